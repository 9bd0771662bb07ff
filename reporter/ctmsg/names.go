package ctmsg

import (
	"math/bits"
	"strconv"
	"strings"
)

// State is a TCP state as conntrack counts it: enum tcp_conntrack of
// include/uapi/linux/netfilter/nf_conntrack_tcp.h. It is not the state of a socket (package procnet).
type State uint8

// The states of enum tcp_conntrack.
const (
	None State = iota
	SynSent
	SynRecv
	Established
	FinWait
	CloseWait
	LastAck
	TimeWait
	Close
	SynSent2 // both ends sent a SYN; LISTEN in old kernels
)

// Status is the bits of CTA_STATUS: enum ip_conntrack_status of include/uapi/linux/netfilter/nf_conntrack_common.h.
type Status uint32

// The bits of a Status.
const (
	Expected     Status = 1 << iota // made by an expectation of a helper
	SeenReply                       // packets were seen in both directions
	Assured                         // not dropped early when the table is full
	Confirmed                       // the first packet left the host or reached its socket
	SrcNAT                          // the reply's destination is not the original's source
	DstNAT                          // the reply's source is not the original's destination
	SeqAdjust                       // TCP sequence numbers are shifted
	SrcNATDone                      // source NAT was decided, if only to do nothing
	DstNATDone                      // destination NAT was decided, if only to do nothing
	Dying                           // removed from the table
	FixedTimeout                    // the timeout is not refreshed
	Template                        // no flow, a template of the rules
	Untracked                       // obsolete
	Helper                          // a helper was attached by a rule
	Offload                         // handed to a flow table
	HWOffload                       // handed to hardware
)

var (
	typeNames  = [...]string{"", "new", "update", "destroy", "dump"}
	stateNames = [...]string{"NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT",
		"CLOSE", "SYN_SENT2"}
	statusNames = [...]string{"EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED", "SRC_NAT", "DST_NAT", "SEQ_ADJUST", "SRC_NAT_DONE",
		"DST_NAT_DONE", "DYING", "FIXED_TIMEOUT", "TEMPLATE", "UNTRACKED", "HELPER", "OFFLOAD", "HW_OFFLOAD"}
	protoNames = [...]struct {
		number uint8
		name   string
	}{{protoTCP, "tcp"}, {protoUDP, "udp"}, {protoICMP, "icmp"}, {protoICMPv6, "icmpv6"}, {protoSCTP, "sctp"},
		{protoUDPLite, "udplite"}, {protoGRE, "gre"}, {protoDCCP, "dccp"}}
)

// String gives new, update, destroy or dump, and the number where it is none of them.
func (t Type) String() string {
	if t == 0 || int(t) >= len(typeNames) {
		return strconv.Itoa(int(t))
	}
	return typeNames[t]
}

// ParseType is the inverse of Type.String for the four types that exist.
func ParseType(name string) (Type, bool) {
	for i, n := range typeNames {
		if i > 0 && n == name {
			return Type(i), true
		}
	}
	return 0, false
}

// String gives the kernel's name, such as SYN_SENT, and the number in decimal where the kernel has none.
func (s State) String() string {
	if int(s) >= len(stateNames) {
		return strconv.Itoa(int(s))
	}
	return stateNames[s]
}

// ParseState is the inverse of State.String.
func ParseState(name string) (State, bool) {
	for i, n := range stateNames {
		if n == name {
			return State(i), true
		}
	}
	n, ok := parseNumber(name)
	return State(n), ok && int(n) >= len(stateNames)
}

// Names lists the names of the bits that are set, lowest first; a bit without a name is written in hexadecimal (0x10000).
func (s Status) Names() []string {
	names := make([]string, 0, bits.OnesCount32(uint32(s)))
	for rest := uint32(s); rest != 0; rest &= rest - 1 {
		if i := bits.TrailingZeros32(rest); i < len(statusNames) {
			names = append(names, statusNames[i])
		} else {
			names = append(names, "0x"+strconv.FormatUint(1<<i, 16))
		}
	}
	return names
}

// String joins the names with a bar.
func (s Status) String() string { return strings.Join(s.Names(), "|") }

// ParseStatus gives the bit that one of Status.Names stands for.
func ParseStatus(name string) (Status, bool) {
	for i, n := range statusNames {
		if n == name {
			return 1 << i, true
		}
	}
	digits, ok := strings.CutPrefix(name, "0x")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 16, 32)
	return Status(n), err == nil
}

// ProtoName names an IP protocol: tcp, udp, icmp, icmpv6, sctp, udplite, gre, dccp, and any other in decimal.
func ProtoName(proto uint8) string {
	for _, p := range protoNames {
		if p.number == proto {
			return p.name
		}
	}
	return strconv.Itoa(int(proto))
}

// ParseProto is the inverse of ProtoName; it takes decimal numbers of named protocols too.
func ParseProto(name string) (uint8, bool) {
	for _, p := range protoNames {
		if p.name == name {
			return p.number, true
		}
	}
	return parseNumber(name)
}

func parseNumber(s string) (uint8, bool) {
	n, err := strconv.ParseUint(s, 10, 8)
	return uint8(n), err == nil
}
