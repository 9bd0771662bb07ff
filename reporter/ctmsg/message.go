package ctmsg

import "errors"

// The errors of Decode. None is wrapped, so that a stream of bad messages costs no allocation.
var (
	// errLength means that the bytes are not exactly one netlink message and at most three bytes of padding. They are shorter
	// than the headers, or shorter or longer than nlmsg_len.
	errLength = errors.New("ctmsg: not exactly one netlink message")
	// errType means that the message is neither a new nor a delete message of ctnetlink.
	errType = errors.New("ctmsg: not a conntrack message")
	// errAttribute means that the length of an attribute exceeds its container, or a field has the wrong size.
	errAttribute = errors.New("ctmsg: attribute of impossible length")
	// errTuple means that the original or the reply tuple is missing or has no addresses, protocol or ports.
	errTuple = errors.New("ctmsg: tuple missing or incomplete")
)

// Type is what a message reports. No field of the message has it: Decode derives it from nlmsg_type and nlmsg_flags
// (see the package's documentation).
type Type uint8

// The types of messages. Zero is none of them.
const (
	New     Type = iota + 1 // a flow was created
	Update                  // a flow changed
	Destroy                 // a flow left the table
	Dump                    // an entry of the table, read by a dump
)

// Dir is a direction of a flow, as used by zones.
type Dir uint8

// Directions. A zone normally applies to Both. nftables limits it to one direction with `ct original zone set` and
// `ct reply zone set`.
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

// Message is one conntrack message. A Has field distinguishes a value of zero from an attribute that was not sent; if it
// is false, the values that it guards are zero.
type Message struct {
	Type    Type
	ID      uint32 // CTA_ID; recycled by the kernel
	Zone    uint16 // CTA_ZONE, or CTA_TUPLE_ZONE of a tuple
	ZoneDir Dir    // the direction that Zone applies to; Both if Zone is 0

	Orig, Reply Tuple

	HasStatus bool
	Status    Status

	// HasState guards the TCP state (CTA_PROTOINFO_TCP_STATE). Update messages that report another change do not have
	// it.
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

	// HasTimestamp guards Start and Stop: when the flow began and ended, Unix nanoseconds. Stop is 0 if it was not sent.
	HasTimestamp bool
	Start, Stop  uint64

	// EventTime is when the kernel made the message (CTA_TIMESTAMP_EVENT, from Linux 6.14 on), Unix nanoseconds; 0 if it
	// was not sent. Kernels send it if net.netfilter.nf_conntrack_timestamp is on.
	EventTime uint64

	CountersOrig, CountersReply Counters
}

// Bits of Message.FlagsOrig and FlagsReply. The others (IP_CT_TCP_FLAG_* of
// include/uapi/linux/netfilter/nf_conntrack_tcp.h) are 0x02 SACK_PERM, 0x04 CLOSE_INIT, 0x10 DATA_UNACKNOWLEDGED and
// 0x20 MAXACK_SET.
const (
	FlagWindowScale uint8 = 0x01 // the SYN of this direction offered window scaling
	FlagBeLiberal   uint8 = 0x08 // windows of this direction are not enforced
)
