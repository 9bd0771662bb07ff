//go:build linux

package main

// The numbers of the format that the program needs.
const (
	frameHead  = 1
	frameChunk = 2
	frameIndex = 3
	frameFoot  = 4

	plain = 0
	zstds = 1

	headerLen  = 53
	maxPayload = 8 << 20
	maxValue   = 4 << 20 // of a record
)

// The kinds of records that the program makes or changes by their meaning.
const (
	kindSource      = 1
	kindTick        = 2
	kindConntrack   = 3
	kindDumpBegin   = 4
	kindDumpEntry   = 5
	kindDumpEnd     = 6
	kindProcNet     = 7
	kindWalkBegin   = 8
	kindWalkEnd     = 9
	kindProcSockets = 10
	kindDNS         = 12
	kindReverseName = 13
	kindHost        = 14
	kindGap         = 15
	kindClock       = 16
	kindMark        = 17
	kindFault       = 19
	kindCarry       = 20
	kindEnd         = 21
	kindCounters    = 22
	kindStall       = 23

	kindSocketFormat = 24
	kindSocketEvent  = 25
	kindProcessEvent = 26
	kindProcesses    = 27
	kindCgroups      = 28
	kindSocketTable  = 29
	kindSocketClose  = 30
)

// A tape is its frames without index and foot, which write makes of them.
type tape struct {
	frames []*frame
	closed bool // write an index and a foot
	page   int  // chunks of a full page of the index
	chunk  int  // bytes of records of a full chunk
	// These change the index and the foot before they are written.
	lieIndex, lieFoot func(value any) any
}

// A frame of a tape. A chunk has records; they become several chunks if they are too
// many for one. A payload of other frames, or of a chunk that is wrong, is bytes.
type frame struct {
	kind, coding byte
	fileID       uint64
	records      []*record
	payload      []byte
	times        int // it is written as often, with consecutive numbers; 0 is once

	// What its header says in place of the truth.
	major     byte // 0: the right one
	skip      int64
	longer    int64 // than the payload decoded
	stored    int64 // longer than the payload
	otherFile bool
	restart   bool // frames count from 0 again
}

// A record of a chunk. The payload is a value of MessagePack as the library decodes
// it to an interface. Values are never changed in place, since records share them.
type record struct {
	kind, seq, at, source uint64
	payload               any
	more                  []any // elements that a newer version added
}

// bytes returns the payload of a raw kind.
func (r *record) bytes() []byte { b, _ := r.payload.([]byte); return b }

// A place is a value within a payload, and set returns the payload with another there.
type place struct {
	value any
	set   func(any) any
}

// maxPlaces bounds the values of one payload that are looked at.
const maxPlaces = 2000

// places lists the values within v, v among them.
func places(v any) []place {
	var list []place
	var walk func(v any, set func(any) any)
	walk = func(v any, set func(any) any) {
		if len(list) >= maxPlaces {
			return
		}
		list = append(list, place{v, set})
		a, _ := v.([]any)
		for i := range a {
			walk(a[i], func(to any) any {
				b := append([]any(nil), a...)
				b[i] = to
				return set(b)
			})
		}
	}
	walk(v, func(to any) any { return to })
	return list
}
