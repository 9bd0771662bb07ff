package ctmsg

import "errors"

// What Decode may return. All of them mean that the message cannot be used; none of them is wrapped, so that a
// stream of bad messages costs no allocation.
var (
	// ErrLength says that the bytes are not exactly one netlink message (and at most three bytes of padding):
	// shorter than the header, shorter or longer than nlmsg_len says.
	ErrLength = errors.New("ctmsg: not exactly one netlink message")
	// ErrType says that the message is none of ctnetlink's new and delete messages.
	ErrType = errors.New("ctmsg: not a conntrack message")
	// ErrAttribute says that an attribute's length leaves its container, or that a field has the wrong size.
	ErrAttribute = errors.New("ctmsg: attribute of impossible length")
	// ErrTuple says that the original or the reply tuple is missing or has no addresses, protocol or ports.
	ErrTuple = errors.New("ctmsg: tuple missing or incomplete")
)

// Type says what a message reports. It stands nowhere in the message: Decode derives it from nlmsg_type and
// nlmsg_flags (see the package's documentation).
type Type uint8

// The types of messages. Zero is none of them.
const (
	New     Type = iota + 1 // a flow was created
	Update                  // something of it changed
	Destroy                 // it left the table
	Dump                    // it stood in the table when the table was dumped
)

// Dir is a direction of a flow, as used by zones.
type Dir uint8

// Directions. A zone normally holds for Both; `ct original zone set` and `ct reply zone set` of nftables make it hold
// for one of them only.
const (
	Both Dir = iota
	Original
	Reply
)

// Counters counts one direction's packets and bytes. Kernels send them in Destroy and Dump messages, and only if
// net.netfilter.nf_conntrack_acct is on.
type Counters struct {
	Has            bool
	Packets, Bytes uint64
}

// Message is one conntrack message. Has fields tell a value of zero from an attribute that was not sent; where a Has
// field is false the values it guards are zero.
type Message struct {
	Type    Type
	ID      uint32 // CTA_ID; recycled by the kernel
	Zone    uint16 // CTA_ZONE, or CTA_TUPLE_ZONE of a tuple
	ZoneDir Dir    // which direction Zone holds for; Both where Zone is 0

	Orig, Reply Tuple

	HasStatus bool
	Status    Status

	// HasState says that the message has a TCP state (CTA_PROTOINFO_TCP_STATE): Update messages that only tell of
	// another change have none.
	HasState bool
	State    State

	// HasFlags guards what the kernel knows about each direction of a TCP connection, FlagXxx bits and the window
	// scale. Destroy messages never have it.
	HasFlags                bool
	FlagsOrig, FlagsReply   uint8
	WScaleOrig, WScaleReply uint8

	HasTimeout bool
	Timeout    uint32 // seconds until the kernel drops the entry

	HasMark bool
	Mark    uint32 // connmark

	// HasTimestamp guards Start and Stop: when the flow began and ended, Unix nanoseconds. Stop is 0 where not sent.
	HasTimestamp bool
	Start, Stop  uint64

	// EventTime is when the kernel made the message (CTA_TIMESTAMP_EVENT, from Linux 6.14 on), Unix nanoseconds; 0 where not
	// sent. Kernels send it if net.netfilter.nf_conntrack_timestamp is on.
	EventTime uint64

	CountersOrig, CountersReply Counters
}

// Bits of Message.FlagsOrig and FlagsReply (IP_CT_TCP_FLAG_* of include/uapi/linux/netfilter/nf_conntrack_tcp.h).
const (
	FlagWindowScale        uint8 = 0x01 // this direction's SYN offered window scaling
	FlagSACKPerm           uint8 = 0x02 // this direction's SYN offered selective acknowledgments
	FlagCloseInit          uint8 = 0x04 // this direction sent the first FIN
	FlagBeLiberal          uint8 = 0x08 // windows of this direction are not enforced
	FlagDataUnacknowledged uint8 = 0x10 // data of this direction is not acknowledged
	FlagMaxAckSet          uint8 = 0x20 // the highest acknowledgment of this direction is known
)
