package report

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"

	"github.com/topotape/topotape/capture"
)

// Digests returns the report's digests. The digest of a section is the SHA-256 of its
// canonical JSON list, cut to 8 bytes. Connections are split into 8 buckets by Bucket,
// and each bucket has a digest. If the host had events, their list follows that of the
// coverage. The digest of attempts is 0 if there are none.
func (r *Report) Digests() capture.Digests {
	var d capture.Digests
	h := sha256.New()
	buf := make([]byte, 0, 2*digestPart)
	write(h, buf, r.Coverage, appendCoverage)
	if len(r.HostEvents) > 0 {
		write(h, buf, r.HostEvents, appendHostEvent)
	}
	d.Coverage = cut(h)
	d.Endpoints = sum(h, buf, r.Endpoints, appendEndpoint)
	d.Names = sum(h, buf, r.Names, appendNames)
	if len(r.Attempts) > 0 {
		d.Attempts = sum(h, buf, r.Attempts, appendAttempt)
	}
	var buckets [len(d.Connections)]hash.Hash
	for i := range buckets {
		buckets[i] = sha256.New()
	}
	comma := [len(buckets)]byte{'[', '[', '[', '[', '[', '[', '[', '['}
	for i := range r.Connections {
		at := r.Connections[i].Bucket()
		buf = appendConnection(append(buf[:0], comma[at]), &r.Connections[i])
		buckets[at].Write(buf)
		comma[at] = ','
	}
	for i, h := range buckets {
		if comma[i] == '[' {
			h.Write(comma[i : i+1])
		}
		h.Write([]byte{']'})
		d.Connections[i] = cut(h)
	}
	return d
}

// digestPart is about how many bytes of a list are hashed at a time.
const digestPart = 8 << 10

func sum[T any](h hash.Hash, b []byte, list []T, one func([]byte, *T) []byte) uint64 {
	h.Reset()
	write(h, b, list, one)
	return cut(h)
}

// write hashes a list. It uses b.
func write[T any](h hash.Hash, b []byte, list []T, one func([]byte, *T) []byte) {
	b = append(b[:0], '[')
	for i := range list {
		if i > 0 {
			b = append(b, ',')
		}
		if b = one(b, &list[i]); len(b) >= digestPart {
			h.Write(b)
			b = b[:0]
		}
	}
	h.Write(append(b, ']'))
}

func cut(h hash.Hash) uint64 {
	var out [sha256.Size]byte
	return binary.BigEndian.Uint64(h.Sum(out[:0]))
}

// Bucket returns the number, 0 to 7, of the digest that covers the connection: the last
// three bits of the 32-bit FNV-1a hash of From and To, each the 16 bytes of the address
// and the port.
func (c *Connection) Bucket() int {
	const basis = 2166136261
	return int(hashEnd(hashEnd(basis, &c.From), &c.To) & 7)
}

func hashEnd(h uint32, e *End) uint32 {
	const prime = 16777619
	for _, x := range e.Addr.Addr().As16() {
		h = (h ^ uint32(x)) * prime
	}
	h = (h ^ uint32(e.Addr.Port()>>8)) * prime
	return (h ^ uint32(e.Addr.Port()&0xff)) * prime
}
