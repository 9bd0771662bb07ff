package replay

import (
	"io"
	"sort"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
)

// An index makes reading faster and does not change its result. Before the reading
// goes on at a chunk, the chunk's place and first record are compared with the
// index. Times and numbers never decrease along a tape, so every record before that
// chunk is earlier than its first one. A tape whose index is missing, damaged or
// wrong is read from its start.

// indexed is a file and its index.
type indexed struct {
	file  io.ReaderAt
	size  int64
	index *tape.Index
}

// index returns the input's index, nil if it has none that can be used.
func (in *Input) index(file io.Reader) *indexed {
	at, ok := file.(io.ReaderAt)
	if !ok || in.Size == 0 {
		return nil
	}
	ix, err := tape.ReadIndex(at, in.Size)
	if err != nil || ix.Base != 0 || len(ix.Entries) == 0 {
		return nil
	}
	return &indexed{at, in.Size, ix}
}

// skipTo makes the reader go on at a chunk.
func (x *indexed) skipTo(r *tape.Reader, e *tape.Entry) error {
	at := int64(e.Offset)
	return r.Skip(io.NewSectionReader(x.file, at, x.size-at), e)
}

// find returns the chunk that choose picks by its position in a list of entries.
// An entry may describe a run of chunks: then choose picks among those again. It
// returns nil if choose returns a negative number, or the run cannot be read.
func (x *indexed) find(choose func([]tape.Entry) int) *tape.Entry {
	list := x.index.Entries
	for {
		i := choose(list)
		if i < 0 {
			return nil
		}
		e := &list[i]
		if !e.Run() {
			return e
		}
		var err error
		if list, err = x.index.Chunks(x.file, e); err != nil {
			return nil
		}
	}
}

// withIndex calls use with a reader of the input and its index. It returns false if
// there is no index to use, or use returns false.
func (in *Input) withIndex(use func(*tape.Reader, *indexed) bool) bool {
	file, err := in.Open()
	if err != nil {
		return false
	}
	defer file.Close()
	x := in.index(file)
	if x == nil {
		return false
	}
	r, err := tape.NewReader(file)
	return err == nil && use(r, x)
}

// endByIndex returns the time of the input's last record, in Unix ns without the
// steps of the wall clock. It reads only the last chunk. It returns false if the
// whole input has to be read.
func (in *Input) endByIndex() (last int64, ok bool) {
	ok = in.withIndex(func(r *tape.Reader, x *indexed) bool {
		e := x.find(func(list []tape.Entry) int { return len(list) - 1 })
		return e != nil && x.readFrom(e, r, func(rec *capture.Record) bool {
			last = r.Header().Start + rec.At
			return true
		})
	})
	return last, ok
}

// marksByIndex calls each with the marks of the input, and some other records. It reads
// only the chunks that contain marks. It returns false if the whole input has to be read.
func (in *Input) marksByIndex(each func(*capture.Record)) (ok bool) {
	return in.withIndex(func(r *tape.Reader, x *indexed) bool {
		for i := range x.index.Entries {
			if !x.index.Entries[i].Holds(capture.KindMark) {
				continue
			}
			chunks, err := x.index.Chunks(x.file, &x.index.Entries[i])
			if err != nil {
				return false
			}
			for j := range chunks {
				c := &chunks[j]
				if c.Holds(capture.KindMark) && !x.readFrom(c, r, func(rec *capture.Record) bool {
					if r.Offset() != int64(c.Offset) {
						return false
					}
					each(rec)
					return true
				}) {
					return false
				}
			}
		}
		return true
	})
}

// lastBefore calls each with the records of a kind in the last chunk before e that has such
// records, in order. The chunks are those of a list. It returns false if there is none.
func (x *indexed) lastBefore(e *tape.Entry, k capture.Kind, list []tape.Entry, each func(*capture.Record)) bool {
	for i := len(list) - 1; i >= 0; i-- {
		c := &list[i]
		if c.Offset >= e.Offset || !c.Holds(k) {
			continue
		}
		if c.Run() {
			if chunks, err := x.index.Chunks(x.file, c); err == nil && x.lastBefore(e, k, chunks, each) {
				return true
			}
			continue
		}
		records, err := x.index.ReadChunk(x.file, c)
		for j := range records {
			if records[j].Kind == k {
				each(&records[j])
			}
		}
		if err == nil {
			return true
		}
	}
	return false
}

// readFrom calls each with the records from a chunk on, until it returns false. It
// returns false if a record cannot be read.
func (x *indexed) readFrom(e *tape.Entry, r *tape.Reader, each func(*capture.Record) (more bool)) bool {
	if x.skipTo(r, e) != nil {
		return false
	}
	for {
		rec, err := r.Next()
		switch {
		case err != nil:
			return err == io.EOF
		case !each(&rec):
			return true
		}
	}
}

// skipByIndex skips the chunks of the current tape that are before the window.
func (t *Tapes) skipByIndex(in *Input, file io.Reader) {
	if w := &t.window; w.entered || w.from.IsZero() {
		return
	}
	if x := in.index(file); x != nil {
		t.skipTo(x)
	}
}

// skipTo goes on at the last chunk that begins before the window. If a chunk before
// that one contains a step of the wall clock, it goes on there instead: the step
// changes the wall time of every later record.
func (t *Tapes) skipTo(x *indexed) {
	from := t.window.from
	from.settle(t.header.Start)
	e := x.find(func(list []tape.Entry) int {
		chunk := sort.Search(len(list), func(i int) bool {
			return from.compare(t.position(list[i].FirstSeq, list[i].FirstAt)) >= 0
		}) - 1
		for i := range list[:max(chunk, 0)] {
			if list[i].Holds(capture.KindClock) {
				return i
			}
		}
		return chunk
	})
	if e != nil && e.Offset != x.index.Entries[0].Offset {
		if x.skipTo(t.reader, e) == nil { // else the tape is read from its start
			t.unreadBefore = true
			x.lastBefore(e, capture.KindSocketFormat, x.index.Entries, t.format.Follow)
		}
	}
}
