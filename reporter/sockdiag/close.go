package sockdiag

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/topotape/topotape/reporter/procnet"
)

// Close is a socket that was closed, and what it had carried. A listener has no remote address. Without Counted the kernel
// did not send the counts, and they are 0.
type Close struct {
	Local, Remote netip.AddrPort
	Cookie        uint64
	Counted       bool
	Sent          uint64 // bytes that the peer acknowledged
	Received      uint64 // bytes
	SegmentsOut   uint32
	SegmentsIn    uint32
	Retransmitted uint32 // segments
	RTT           int64  // ns, smoothed
}

// Offsets in struct tcp_info (include/uapi/linux/tcp.h), and the length of what has all of them: since Linux 4.2.
const (
	atRTT      = 68
	atRetrans  = 100
	atAcked    = 120
	atReceived = 128
	atSegsOut  = 136
	atSegsIn   = 140
	infoLen    = 144
)

var (
	errLength = errors.New("the message is shorter or longer than its length")
	errSocket = errors.New("is no message about a TCP socket")
)

// Decode reads one message about a closed socket.
func (c *Close) Decode(b []byte, bigEndian bool) error {
	o := order(bigEndian)
	kind, body, rest, ok := cut(b, o)
	if !ok || len(rest) > 0 {
		return errLength
	}
	var r Row
	info, ok := r.decode(body, o)
	if kind != socketKind || !ok {
		return errSocket
	}
	*c = Close{Local: r.Local, Remote: r.Remote, Cookie: r.Cookie}
	if len(info) >= infoLen {
		c.count(info, o)
	}
	return nil
}

func (c *Close) count(info []byte, o binary.ByteOrder) {
	c.Counted = true
	c.Sent, c.Received = o.Uint64(info[atAcked:]), o.Uint64(info[atReceived:])
	c.SegmentsOut, c.SegmentsIn = o.Uint32(info[atSegsOut:]), o.Uint32(info[atSegsIn:])
	c.Retransmitted, c.RTT = o.Uint32(info[atRetrans:]), int64(o.Uint32(info[atRTT:]))*1000
}

// Append appends the message.
func (c *Close) Append(b []byte, bigEndian bool) []byte {
	r := Row{Row: procnet.Row{Local: c.Local, Remote: c.Remote, State: procnet.Close}, Cookie: c.Cookie}
	if !c.Counted {
		return r.appendTo(b, r.ipv6(), bigEndian, nil)
	}
	o, info := order(bigEndian), make([]byte, infoLen)
	o.PutUint64(info[atAcked:], c.Sent)
	o.PutUint64(info[atReceived:], c.Received)
	o.PutUint32(info[atSegsOut:], c.SegmentsOut)
	o.PutUint32(info[atSegsIn:], c.SegmentsIn)
	o.PutUint32(info[atRetrans:], c.Retransmitted)
	o.PutUint32(info[atRTT:], uint32(c.RTT/1000))
	return r.appendTo(b, r.ipv6(), bigEndian, info)
}
