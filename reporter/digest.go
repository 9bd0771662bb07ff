package reporter

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"hash/fnv"

	"github.com/topotape/topotape/capture"
)

// Digests returns the report's fingerprints: of each section the SHA-256 of
// its canonical JSON list, cut to 8 bytes; of the connections one for each of
// 8 buckets, each connection in the bucket that Bucket tells.
func (r *Report) Digests() capture.Digests {
	var d capture.Digests
	h := sha256.New()
	buf := appendList(nil, r.Coverage, appendCoverage)
	d.Coverage = sum(h, buf)
	buf = appendList(buf[:0], r.Endpoints, appendEndpoint)
	d.Endpoints = sum(h, buf)
	buf = appendList(buf[:0], r.Names, appendNames)
	d.Names = sum(h, buf)
	var buckets [len(d.Connections)][]byte
	for i := range r.Connections {
		c := &r.Connections[i]
		at := c.Bucket()
		b := append(buckets[at], "[,"[min(len(buckets[at]), 1)])
		buckets[at] = appendConnection(b, c)
	}
	for i, b := range buckets {
		if b == nil {
			b = []byte{'['}
		}
		d.Connections[i] = sum(h, append(b, ']'))
	}
	return d
}

func sum(h hash.Hash, b []byte) uint64 {
	var out [sha256.Size]byte
	h.Reset()
	h.Write(b)
	return binary.BigEndian.Uint64(h.Sum(out[:0]))
}

// Bucket is the number, 0 to 7, of the digest that covers the connection: a
// hash of its two addresses and ports (FNV-1a of From then To in binary).
func (c *Connection) Bucket() int {
	h := fnv.New32a()
	var b [64]byte
	buf := appendTuple(b[:0], &c.From)
	buf = appendTuple(buf, &c.To)
	h.Write(buf)
	return int(h.Sum32() & 7)
}

func appendTuple(b []byte, e *End) []byte {
	a := e.Addr.Addr().As16()
	b = append(b, a[:]...)
	return binary.BigEndian.AppendUint16(b, e.Addr.Port())
}
