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
	"github.com/topotape/topotape/replay/render"
)

// A piece is a stretch of a file that holds frames of one tape, one behind the
// other, numbered without a hole.
type piece struct {
	offset, size int64
	first, next  uint64 // the numbers of its first frame, and of the one that would follow
}

// A remnant is what there is of one tape in a damaged file.
type remnant struct {
	fileID   uint64
	pieces   []piece
	index    []capture.Frame // its pages
	from, to int64           // the part of the file that its frames stand in
	head     bool
	foot     bool
	next     uint64 // one more than the highest number of a frame, the foot's too
	tail     bool   // bytes that are no frame stand behind its last frame
}

// maxPieces bounds the memory that a layout takes. A damage makes a piece or
// two.
const maxPieces = 1 << 20

// maxPages is how many pages of an index are looked at.
const maxPages = 1 << 12

// A layout says where the frames of a file stand. The pieces are those of the
// tapes that are to be saved, in the order in which they stand in the file.
type layout struct {
	file     io.ReaderAt
	sum      [32]byte // SHA-256 of the file
	remnants []*remnant
	pieces   int
	full     bool // there are more pieces than are kept
	strange  bool // something stands in the file that belongs to no tape that is saved
	damage   bool // some bytes are no frame
	newer    *capture.VersionError
	say      func(string)
	stray    *capture.DamageError // bytes that are no frame; what follows them is not known yet
	last     *remnant             // of the last frame
}

// layOut finds all frames of a file.
func layOut(file io.ReaderAt, size int64, say func(string)) (*layout, error) {
	l := &layout{file: file, say: say}
	sum := sha256.New()
	frames := capture.NewFrameScanner(io.TeeReader(io.NewSectionReader(file, 0, size), sum))
	byID := map[uint64]*remnant{}
	for {
		f, err := frames.Next()
		var damage *capture.DamageError
		switch {
		case err == io.EOF:
			l.strays(nil)
			copy(l.sum[:], sum.Sum(nil))
			l.sort()
			return l, nil
		case errors.As(err, &damage):
			l.damaged(damage)
			continue
		case err != nil:
			return nil, fmt.Errorf("read: %w", err)
		}
		r := byID[f.FileID]
		if r == nil {
			if l.full {
				continue
			}
			r = &remnant{fileID: f.FileID, from: f.Offset}
			byID[f.FileID] = r
			l.remnants = append(l.remnants, r)
		}
		l.strays(r)
		l.last = r
		l.add(r, &f)
	}
}

func (l *layout) damaged(d *capture.DamageError) {
	l.stray, l.damage = d, true
	reason := d.Err.Error()
	var newer *capture.VersionError
	switch {
	case d.Torn:
		reason = "a frame that is torn off"
	case errors.As(d.Err, &newer):
		reason = "no frame of this version's format"
		l.newer = newer
	}
	l.say(fmt.Sprintf("offset %d: %s up to %d cannot be read: %s", d.Offset, render.Count(d.Ignored, "byte"), d.Offset+d.Ignored, reason))
}

// strays says to which tape the last bytes belong that are no frame: to that
// around them, or that before them if it has no end. Others may have been one.
func (l *layout) strays(next *remnant) {
	if l.stray == nil {
		return
	}
	switch {
	case l.last != nil && l.last == next:
	case l.last != nil && !l.last.foot:
		l.last.tail = true
	default:
		l.strange = true
	}
	l.stray = nil
}

func (l *layout) add(r *remnant, f *capture.Frame) {
	r.to = f.Offset + f.Size
	r.next = max(r.next, f.Number+1)
	r.head = r.head || f.Head()
	r.tail = false
	if f.Foot() { // a new one is written
		r.foot = true
		return
	}
	if f.Index() && len(r.index) < maxPages {
		r.index = append(r.index, *f)
	}
	if n := len(r.pieces); n > 0 {
		if p := &r.pieces[n-1]; p.next == f.Number && p.offset+p.size == f.Offset {
			p.size += f.Size
			p.next++
			return
		}
	}
	switch {
	case l.pieces < maxPieces:
		l.pieces++
		r.pieces = append(r.pieces, piece{offset: f.Offset, size: f.Size, first: f.Number, next: f.Number + 1})
	case !l.full:
		l.say(fmt.Sprintf("offset %d: more than %d pieces of tapes; what follows is left out where it makes one more", f.Offset, maxPieces))
		l.full, l.strange = true, true
	}
}

// sort puts the pieces of each tape into the order of their frames, and leaves
// out the frames without a head that stand in the midst of another tape.
func (l *layout) sort() {
	for _, r := range l.remnants {
		slices.SortStableFunc(r.pieces, func(a, b piece) int { return cmp.Compare(a.first, b.first) })
		slices.SortStableFunc(r.index, func(a, b capture.Frame) int { return cmp.Compare(a.Number, b.Number) })
	}
	all := l.remnants
	l.remnants = nil
	reach := int64(0) // of those that begin before
	for _, r := range all {
		inside := r.to < reach
		reach = max(reach, r.to)
		switch {
		case len(r.pieces) == 0: // a foot
			l.strange = l.strange || !r.head
		case !r.head && inside:
			var frames int64
			for _, p := range r.pieces {
				frames += int64(p.next - p.first)
			}
			l.say(fmt.Sprintf("offset %d: %s of another tape (file id %016x), without its head, are left out", r.pieces[0].offset, render.Count(frames, "frame"), r.fileID))
			l.strange = true
		default:
			l.remnants = append(l.remnants, r)
		}
	}
}

// open reads the remnant's frames in order, behind a head. The head is the
// remnant's own where it has one, else made for h.
func (l *layout) open(r *remnant, h *capture.Header) (*capture.Reader, error) {
	var parts []io.Reader
	if h != nil {
		var head bytes.Buffer
		if _, err := capture.NewWriter(&head, h); err != nil {
			return nil, err
		}
		parts = append(parts, &head)
	}
	for _, p := range r.pieces {
		parts = append(parts, io.NewSectionReader(l.file, p.offset, p.size))
	}
	reader, err := capture.NewReader(io.MultiReader(parts...))
	if err == nil {
		reader.Copying()
	}
	return reader, err
}

// tapeID is as much of the tape's id as its frames say.
func (r *remnant) tapeID() (id [16]byte) {
	binary.BigEndian.PutUint64(id[:], r.fileID)
	return id
}
