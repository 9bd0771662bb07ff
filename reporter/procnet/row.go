package procnet

import (
	"net/netip"
	"strconv"
)

// State is the state of a socket, by the enum of include/net/tcp_states.h. UDP uses two states: Established for a
// connected socket, Close for any other. It is not the state of a flow (package ctmsg).
type State uint8

// The states of include/net/tcp_states.h.
const (
	Established State = iota + 1
	SynSent
	SynRecv
	FinWait1
	FinWait2
	TimeWait
	Close
	CloseWait
	LastAck
	Listen
	Closing
	NewSynRecv // a request in a listener's queue; the kernel prints it as SynRecv
)

var stateNames = [...]string{"", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT",
	"LAST_ACK", "LISTEN", "CLOSING", "NEW_SYN_RECV"}

// String returns the kernel's name without its prefix, such as LISTEN, or the number if there is no name.
func (s State) String() string {
	if s == 0 || int(s) >= len(stateNames) {
		return strconv.Itoa(int(s))
	}
	return stateNames[s]
}

// Row is one socket. IPv4-mapped IPv6 addresses are unmapped, so a Row does not show whether it comes from tcp6.
type Row struct {
	Local, Remote netip.AddrPort // Remote is the unspecified address and port 0 if the socket is not connected
	State         State
	UID           uint32
	Inode         uint64 // 0 for sockets without a file: not yet accepted, orphaned, TIME_WAIT
}
