package replay

import (
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/topotape/topotape/capture"
)

// Records returns the records of the tapes that stand within the window, with
// the error that stops the reading, if any. Damage is handed on as an error
// and read past. Headers are found with t.Header. What stands outside of the
// window is not read where an index tells it apart, so damage there goes unsaid.
func Records(inputs []Input, w Window) (*Tapes, iter.Seq2[capture.Record, error]) {
	t := NewTapes(inputs)
	return t, func(yield func(capture.Record, error) bool) {
		defer t.Close()
		bounds, err := Resolve(inputs, w.From, w.To)
		if err != nil {
			yield(capture.Record{}, err)
			return
		}
		c := Clip{From: bounds[0], To: bounds[1]}
		t.clip = &c
		for {
			r, err := t.Next()
			var damage *capture.DamageError
			switch {
			case err == io.EOF:
				return
			case errors.As(err, &damage):
				if !yield(r, err) {
					return
				}
				continue
			case err != nil:
				yield(r, err)
				return
			}
			switch c.Place(t.Header(), &r, t.Position(&r)) {
			case Behind:
				return
			case Within:
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}

// Clip tells where records stand to a window. Once within, a record stays so
// until the window's end.
type Clip struct {
	From, To bound
	settled  bool
	entered  bool
}

type standing uint8

const (
	ahead standing = iota
	Within
	Behind
)

func (c *Clip) Place(h *capture.Header, r *capture.Record, p position) standing {
	if !c.settled {
		c.settled = true
		c.From.settle(h.Start)
		c.To.settle(h.Start)
	}
	if c.To.kind != boundNone {
		if before, _ := c.To.before(p); !before && !(r.Kind == capture.KindCarry && c.To.kind == boundSeq) {
			return Behind
		}
	}
	if !c.entered {
		if before, _ := c.From.before(p); before {
			return ahead
		}
		c.entered = true
	}
	return Within
}

// Check refuses a window that cannot hold anything, where its two times tell.
func (w Window) Check() error {
	if w.From.kind == w.To.kind && !w.From.IsZero() && (w.From.ns > w.To.ns || w.From.seq > w.To.seq) {
		return fmt.Errorf("the window from %s to %s is empty: from stands behind to", w.From, w.To)
	}
	return nil
}
