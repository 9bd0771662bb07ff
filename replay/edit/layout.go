package edit

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/replay/render"
)

// A layout lists the tapes that a file has frames of.
type layout struct {
	sum     [32]byte      // SHA-256 of the file
	tapes   []*brokenTape // those to be saved, by the offset of their first frame
	damaged bool          // some bytes are not part of a frame
	foreign bool          // some bytes or frames belong to none of the tapes
	newer   *tape.VersionError

	// While the file is read:
	say   func(string)
	runs  int         // of all tapes
	full  bool        // there are more runs or tapes than the limit: the others are left out
	last  *brokenTape // the tape of the last frame
	stray bool        // the bytes after it are not part of a frame
}

// A brokenTape lists the frames of one tape. Some of its frames may be missing.
type brokenTape struct {
	file       io.ReaderAt
	fileID     uint64
	runs       []frameRun   // in the order of the frames' numbers
	index      []tape.Frame // the pages of its index, in that order
	end        int64        // offset in the file of the end of its last frame
	head, foot bool         // whether it has them
	strayTail  bool         // bytes that are not part of a frame follow its last frame
}

// A frameRun is a part of the file with frames of one tape that follow one
// another, without a gap between their numbers.
type frameRun struct {
	offset, size int64
	first, next  uint64 // number of the first frame, and one more than that of the last
}

const (
	maxRuns  = 1 << 20 // bounds memory; each damage makes one or two runs
	maxPages = 1 << 12 // of a tape's index
	maxTapes = 1 << 12 // each takes half a millisecond to save
)

// scanLayout finds all frames of a file, in one pass. It passes a line about each
// damage to say.
func scanLayout(file io.ReaderAt, size int64, say func(string)) (*layout, error) {
	s := &layout{say: say}
	sum := sha256.New()
	frames := tape.NewFrameScanner(io.TeeReader(io.NewSectionReader(file, 0, size), sum))
	byID := map[uint64]*brokenTape{}
	for {
		f, err := frames.Next()
		var damage *tape.DamageError
		switch {
		case err == io.EOF:
			s.assignStray(nil)
			copy(s.sum[:], sum.Sum(nil))
			s.dropFragments()
			return s, nil
		case errors.As(err, &damage):
			s.addDamage(damage)
			continue
		case err != nil:
			return nil, fmt.Errorf("read: %w", err)
		}
		t := byID[f.FileID]
		if t == nil {
			if len(s.tapes) == maxTapes && !s.full {
				s.leaveOut(f.Offset, fmt.Sprintf("%d tapes: further ones", maxTapes))
			}
			if s.full {
				continue
			}
			t = &brokenTape{file: file, fileID: f.FileID}
			byID[f.FileID] = t
			s.tapes = append(s.tapes, t)
		}
		s.assignStray(t)
		s.last = t
		s.addFrame(t, &f)
	}
}

func (s *layout) addDamage(d *tape.DamageError) {
	s.stray, s.damaged = true, true
	reason := d.Err.Error()
	var newer *tape.VersionError
	switch {
	case d.Torn:
		reason = "a torn frame"
	case errors.As(d.Err, &newer):
		reason = "not a frame of this format version"
		s.newer = newer
	}
	s.say(fmt.Sprintf("offset %d: %s up to %d cannot be read: %s", d.Offset, render.Count(d.Ignored, "byte"), d.Offset+d.Ignored, reason))
}

// assignStray assigns the stray bytes before the next frame to a tape: to the one
// with frames on both sides, or to the one before them if that has no foot yet.
// Any others may have been another tape. next is nil at the end of the file.
func (s *layout) assignStray(next *brokenTape) {
	switch {
	case !s.stray:
	case s.last != nil && s.last == next:
	case s.last != nil && !s.last.foot:
		s.last.strayTail = true
	default:
		s.foreign = true
	}
	s.stray = false
}

func (s *layout) addFrame(t *brokenTape, f *tape.Frame) {
	t.end = f.Offset + f.Size
	t.head = t.head || f.Head()
	t.strayTail = false
	if f.Foot() { // a new one is written
		t.foot = true
		return
	}
	if f.Index() && len(t.index) < maxPages {
		t.index = append(t.index, *f)
	}
	if n := len(t.runs); n > 0 {
		if r := &t.runs[n-1]; r.next == f.Number && r.offset+r.size == f.Offset {
			r.size += f.Size
			r.next++
			return
		}
	}
	switch {
	case s.runs < maxRuns:
		s.runs++
		t.runs = append(t.runs, frameRun{offset: f.Offset, size: f.Size, first: f.Number, next: f.Number + 1})
	case !s.full:
		s.leaveOut(f.Offset, fmt.Sprintf("%d runs of frames: further ones", maxRuns))
	}
}

// leaveOut says that there is too much of something, and that the rest is left out.
func (s *layout) leaveOut(offset int64, what string) {
	s.say(fmt.Sprintf("offset %d: more than %s are left out", offset, what))
	s.full, s.foreign = true, true
}

// dropFragments drops the tapes that have only a foot, and those without a head
// that lie within another tape. It puts the frames of the others in order.
func (s *layout) dropFragments() {
	all := s.tapes
	s.tapes = nil
	end := int64(0) // of the tapes before
	for _, t := range all {
		slices.SortStableFunc(t.runs, func(a, b frameRun) int { return cmp.Compare(a.first, b.first) })
		slices.SortStableFunc(t.index, func(a, b tape.Frame) int { return cmp.Compare(a.Number, b.Number) })
		inside := t.end < end
		end = max(end, t.end)
		switch {
		case len(t.runs) == 0:
			s.foreign = s.foreign || !t.head
		case !t.head && inside:
			s.say(fmt.Sprintf("offset %d: %s of another tape (file id %016x) are left out: its head is missing", t.runs[0].offset, render.Count(t.frames(), "frame"), t.fileID))
			s.foreign = true
		default:
			s.tapes = append(s.tapes, t)
		}
	}
}

func (t *brokenTape) frames() (n int64) {
	for _, r := range t.runs {
		n += int64(r.next - r.first)
	}
	return n
}

// tapeID returns the part of the tape's id that its frames have.
func (t *brokenTape) tapeID() (id [16]byte) {
	binary.BigEndian.PutUint64(id[:], t.fileID)
	return id
}

// open reads the frames of the tape in order. If its head is lost, one made of h
// precedes them.
func (t *brokenTape) open(headLost bool, h *capture.Header) (*tape.Reader, error) {
	var parts []io.Reader
	if headLost {
		var head bytes.Buffer
		if _, err := tape.NewWriter(&head, h); err != nil {
			return nil, err
		}
		parts = append(parts, &head)
	}
	for _, r := range t.runs {
		parts = append(parts, io.NewSectionReader(t.file, r.offset, r.size))
	}
	reader, err := tape.NewReader(io.MultiReader(parts...))
	if err == nil {
		reader.Copying()
	}
	return reader, err
}

// eachRecord calls each with every record that is left of a tape, and with the damage
// between them.
func eachRecord(reader *tape.Reader, each func(*capture.Record, *tape.DamageError) error) error {
	for {
		r, err := reader.Next()
		var damage *tape.DamageError
		if err == io.EOF {
			return nil
		}
		if err != nil && !errors.As(err, &damage) {
			return err
		}
		if err := each(&r, damage); err != nil {
			return err
		}
	}
}
