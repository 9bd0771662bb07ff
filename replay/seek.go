package replay

import (
	"io"
	"sort"

	"github.com/topotape/topotape/capture"
)

// An index makes a reading faster and must not change it. What it says of the
// chunk that the reading goes on at is checked, and because times and numbers
// never go back along a tape, all that stands before that chunk's first record
// is earlier. Where it is missing, damaged or wrong, everything is read.

// indexed is a file and its index.
type indexed struct {
	file  io.ReaderAt
	size  int64
	index *capture.Index
}

// index is what the input's index says, nil if there is none to trust.
func (in *Input) index(file io.Reader) *indexed {
	at, ok := file.(io.ReaderAt)
	if !ok || in.Size == 0 {
		return nil
	}
	ix, err := capture.ReadIndex(at, in.Size)
	if err != nil || ix.Base != 0 || len(ix.Entries) == 0 {
		return nil
	}
	return &indexed{at, in.Size, ix}
}

// skip has the reader go on at a chunk.
func (x *indexed) skip(r *capture.Reader, e *capture.Entry) error {
	at := int64(e.Offset)
	return r.Skip(io.NewSectionReader(x.file, at, x.size-at), e)
}

// find chooses one of the entries, and of a run's chunks one again. It returns
// nil where the choice is none, or the run is not what the index says.
func (x *indexed) find(choose func([]capture.Entry) int) *capture.Entry {
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

// withIndex calls use with the input's reader and index, and returns false if
// there is no index to trust, or use does.
func (in *Input) withIndex(use func(*capture.Reader, *indexed) bool) bool {
	file, err := in.Open()
	if err != nil {
		return false
	}
	defer file.Close()
	x := in.index(file)
	if x == nil {
		return false
	}
	r, err := capture.NewReader(file)
	return err == nil && use(r, x)
}

// endByIndex finds the time of the last record.
func (in *Input) endByIndex(last *int64) bool {
	return in.withIndex(func(r *capture.Reader, x *indexed) bool {
		e := x.find(func(list []capture.Entry) int { return len(list) - 1 })
		if e == nil || x.skip(r, e) != nil {
			return false
		}
		for {
			rec, err := r.Next()
			if err != nil {
				return err == io.EOF
			}
			*last = r.Header().Start + rec.At
		}
	})
}

// marksByIndex calls each with the records of those chunks that hold marks.
func (in *Input) marksByIndex(each func(*capture.Record)) bool {
	return in.withIndex(func(r *capture.Reader, x *indexed) bool {
		for i := range x.index.Entries {
			if !x.index.Entries[i].Holds(capture.KindMark) {
				continue
			}
			chunks, err := x.index.Chunks(x.file, &x.index.Entries[i])
			if err != nil {
				return false
			}
			for j := range chunks {
				if chunks[j].Holds(capture.KindMark) && !x.records(r, &chunks[j], each) {
					return false
				}
			}
		}
		return true
	})
}

// records calls each with the records of a chunk.
func (x *indexed) records(r *capture.Reader, e *capture.Entry, each func(*capture.Record)) bool {
	if x.skip(r, e) != nil {
		return false
	}
	for {
		rec, err := r.Next()
		if err != nil && err != io.EOF {
			return false
		}
		if err == io.EOF || r.Offset() != int64(e.Offset) {
			return true
		}
		each(&rec)
	}
}

// skip passes over the chunks of the current tape that stand ahead of the clip.
func (t *Tapes) skip(in *Input, file io.Reader) {
	if t.clip.entered || t.clip.From.kind == boundNone || t.clip.From.kind == boundCount {
		return
	}
	if x := in.index(file); x != nil {
		t.skipAlong(x)
	}
}

// skipAlong stops at a step of the wall clock: times behind it go by that. Only
// this, that there is none, is believed of chunks that are not looked at.
func (t *Tapes) skipAlong(x *indexed) {
	from := t.clip.From
	if !t.clip.settled {
		from.settle(t.header.Start)
	}
	e := x.find(func(list []capture.Entry) int {
		chunk := sort.Search(len(list), func(i int) bool {
			e := &list[i]
			before, _ := from.before(t.Position(&capture.Record{Seq: e.FirstSeq, At: e.FirstAt}))
			return !before
		}) - 1
		for i := range list[:max(chunk, 0)] {
			if list[i].Holds(capture.KindClock) {
				return i
			}
		}
		return chunk
	})
	if e != nil && e.Offset != x.index.Entries[0].Offset {
		_ = x.skip(t.reader, e) // if that can't be, all is read
	}
}
