package carry

import (
	"iter"

	"github.com/topotape/topotape/capture/packed"
)

const (
	// maxSize bounds the bytes of a state. That of a host with a million flows and a million
	// sockets is smaller.
	maxSize  = 256 << 20
	partSize = 1 << 20 // bytes of a written part, except of the last one
)

// A State is the bytes of a state, in parts. They are kept compressed: what a hostile tape
// repeats takes little memory.
type State struct {
	packer packed.Packer
	parts  []packed.Bytes
	size   int // bytes of all parts
}

// Add adds a copy of the next part. It returns false if the state is too large.
func (s *State) Add(part []byte) bool {
	if len(part) > maxSize-s.size || len(s.parts) == maxParts {
		return false
	}
	s.size += len(part)
	s.parts = append(s.parts, s.packer.Pack(part))
	return true
}

// maxParts bounds the parts: other writers may make smaller ones.
const maxParts = 1 << 16

// Len returns the number of parts.
func (s *State) Len() int { return len(s.parts) }

// Parts returns the parts in order.
func (s *State) Parts() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for _, part := range s.parts {
			if !yield(s.packer.Append(nil, part)) {
				return
			}
		}
	}
}
