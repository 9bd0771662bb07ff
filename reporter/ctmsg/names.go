package ctmsg

import (
	"math/bits"
	"strconv"
	"strings"
)

// State is a TCP state of conntrack: enum tcp_conntrack of include/uapi/linux/netfilter/nf_conntrack_tcp.h. The states
// of sockets (package procnet) have other numbers.
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

// Bits of a Status. The others have a name (Status.Names) and no constant.
const (
	SeenReply Status = 1 << 1  // packets were seen in both directions
	Assured   Status = 1 << 2  // not dropped early when the table is full
	Confirmed Status = 1 << 3  // the first packet left the host or reached its socket
	SrcNAT    Status = 1 << 4  // the reply's destination is not the original's source
	DstNAT    Status = 1 << 5  // the reply's source is not the original's destination
	Dying     Status = 1 << 9  // removed from the table
	Offload   Status = 1 << 14 // handed to a flow table
	HWOffload Status = 1 << 15 // handed to hardware
)

var (
	typeNames  = [...]string{"", "new", "update", "destroy", "dump"}
	stateNames = [...]string{"NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT",
		"CLOSE", "SYN_SENT2"}
	// statusNames are the names of the bits, lowest first.
	statusNames = [...]string{"EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED", "SRC_NAT", "DST_NAT", "SEQ_ADJUST", "SRC_NAT_DONE",
		"DST_NAT_DONE", "DYING", "FIXED_TIMEOUT", "TEMPLATE", "UNTRACKED", "HELPER", "OFFLOAD", "HW_OFFLOAD"}
	protoNames = [...]struct {
		number uint8
		name   string
	}{{protoTCP, "tcp"}, {protoUDP, "udp"}, {protoICMP, "icmp"}, {protoICMPv6, "icmpv6"}, {protoSCTP, "sctp"},
		{protoUDPLite, "udplite"}, {protoGRE, "gre"}, {protoDCCP, "dccp"}}
)

// String returns new, update, destroy or dump, and the number of any other Type.
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

// String returns the kernel's name, such as SYN_SENT, or the number in decimal if the kernel has no name.
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

// Names returns the names of the bits that are set, lowest first. The name of an unknown bit is its value in
// hexadecimal (0x10000).
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

// String returns the names, joined by |.
func (s Status) String() string { return strings.Join(s.Names(), "|") }

// ParseStatus returns the bit with one of the names of Status.Names.
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

// ProtoName returns the name of an IP protocol: tcp, udp, icmp, icmpv6, sctp, udplite, gre or dccp, and the number of
// any other in decimal.
func ProtoName(proto uint8) string {
	for _, p := range protoNames {
		if p.number == proto {
			return p.name
		}
	}
	return strconv.Itoa(int(proto))
}

// ParseProto is the inverse of ProtoName. It also accepts the decimal number of a protocol that has a name.
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
