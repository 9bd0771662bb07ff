package packed

import (
	"iter"

	"github.com/topotape/topotape/capture"
)

// A Record is a record whose payload is packed.
type Record struct {
	capture.Record // without its payload
	payload        Bytes
}

// Size returns how many bytes of memory the payload takes.
func (r *Record) Size() int { return r.payload.Size() }

// PackRecord returns a packed copy of a record.
func (p *Packer) PackRecord(r *capture.Record) Record {
	k := Record{*r, p.Pack(r.Payload)}
	k.Payload = nil
	return k
}

// Unpacked returns a record whose payload is not copied and not packed, for a list of
// records some of which are.
func Unpacked(r capture.Record) Record {
	k := Record{r, Bytes{r.Payload, len(r.Payload)}}
	k.Payload = nil
	return k
}

// Unpack returns the record, with a payload of its own.
func (p *Packer) Unpack(k *Record) capture.Record {
	r := k.Record
	r.Payload = p.Append(nil, k.payload)
	return r
}

// Bounds of Records, besides the bytes of their payloads. Those of a state are larger.
const (
	maxRecords = 1 << 17
	maxKept    = 128 << 20 // bytes of memory
)

// Records are records that are kept together or not at all: the parts of a carry.
type Records struct {
	packer Packer
	list   []Record
	size   int // bytes of memory
	full   bool
}

// Add adds a copy of a record. When there are too many, it drops all of them and keeps
// none until Clear is called.
func (s *Records) Add(r *capture.Record) {
	if s.full {
		return
	}
	k := s.packer.PackRecord(r)
	s.list = append(s.list, k)
	if s.size += k.Size(); s.size > maxKept || len(s.list) > maxRecords {
		s.list, s.full = nil, true
	}
}

// Clear removes all records.
func (s *Records) Clear() { s.list, s.size, s.full = nil, 0, false }

// Len returns how many records there are.
func (s *Records) Len() int { return len(s.list) }

// At returns a record by its index.
func (s *Records) At(i int) capture.Record { return s.packer.Unpack(&s.list[i]) }

// All returns the records as they are now, also if they are cleared while it is used.
func (s *Records) All() iter.Seq[capture.Record] {
	list := s.list
	return func(yield func(capture.Record) bool) {
		for i := range list {
			if !yield(s.packer.Unpack(&list[i])) {
				return
			}
		}
	}
}
