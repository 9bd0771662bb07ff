package reporter

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"

	"github.com/topotape/topotape/capture"
)

// Digests returns the report's fingerprints: of each section the SHA-256 of
// its canonical JSON list, cut to 8 bytes; of the connections one for each of
// 8 buckets, each connection in the bucket that Bucket tells.
func (r *Report) Digests() capture.Digests {
	var d capture.Digests
	h := sha256.New()
	buf := make([]byte, 0, 2*digestPart)
	d.Coverage = sum(h, buf, r.Coverage, appendCoverage)
	d.Endpoints = sum(h, buf, r.Endpoints, appendEndpoint)
	d.Names = sum(h, buf, r.Names, appendNames)
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

// digestPart is how many bytes of a list are hashed at a time, about.
const digestPart = 8 << 10

func sum[T any](h hash.Hash, b []byte, list []T, one func([]byte, *T) []byte) uint64 {
	h.Reset()
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
	return cut(h)
}

func cut(h hash.Hash) uint64 {
	var out [sha256.Size]byte
	return binary.BigEndian.Uint64(h.Sum(out[:0]))
}

// Bucket is the number, 0 to 7, of the digest that covers the connection: the
// last three bits of a hash of its two addresses and ports (FNV-1a, of 32 bits,
// of From then To in binary).
func (c *Connection) Bucket() int { return int(bucket(bucket(fnvBasis, &c.From), &c.To) & 7) }

// FNV-1a's start, and its prime: the last bits of the hash come of theirs alone.
const (
	fnvBasis = 2166136261
	fnvPrime = 16777619 & 7
)

func bucket(h uint32, e *End) uint32 {
	a := e.Addr.Addr().As16()
	tail := a[:]
	if e.Addr.Addr().Is4() {
		tail = a[10:] // ten zeros are ten times the prime, which the last bits do not show
	}
	for _, x := range tail {
		h = (h ^ uint32(x)) * fnvPrime
	}
	h = (h ^ uint32(e.Addr.Port()>>8)) * fnvPrime
	return (h ^ uint32(e.Addr.Port()&0xff)) * fnvPrime
}
