package scope

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"

	"github.com/topotape/topotape/reporter/report"
)

// jsonEncoder encodes JSON without spaces and without HTML escapes.
type jsonEncoder struct {
	buf    []byte
	open   []container  // the innermost last
	quoted bytes.Buffer // scratch space of text
}

// A container is a map or a list that is not yet complete.
type container struct {
	missing, all int // values; of a map keys and values
	isMap        bool
}

func (j *jsonEncoder) openMap(pairs int)     { j.start('{', container{2 * pairs, 2 * pairs, true}) }
func (j *jsonEncoder) openList(elements int) { j.start('[', container{elements, elements, false}) }

func (j *jsonEncoder) start(bracket byte, c container) {
	j.separate()
	j.buf = append(j.buf, bracket)
	j.open = append(j.open, c)
	j.closeComplete()
}

// separate writes the colon or comma before the next value.
func (j *jsonEncoder) separate() {
	if len(j.open) == 0 {
		return
	}
	c := &j.open[len(j.open)-1]
	switch {
	case c.missing == c.all: // the first value
	case c.isMap && c.missing%2 == 1:
		j.buf = append(j.buf, ':')
	default:
		j.buf = append(j.buf, ',')
	}
	c.missing--
}

// closeComplete closes the maps and lists that have all their values.
func (j *jsonEncoder) closeComplete() {
	for n := len(j.open); n > 0 && j.open[n-1].missing == 0; n = len(j.open) {
		bracket := byte(']')
		if j.open[n-1].isMap {
			bracket = '}'
		}
		j.buf = append(j.buf, bracket)
		j.open = j.open[:n-1]
	}
}

func (j *jsonEncoder) raw(s string) {
	j.separate()
	j.buf = append(j.buf, s...)
	j.closeComplete()
}

func (j *jsonEncoder) boolFalse()      { j.raw("false") }
func (j *jsonEncoder) null()           { j.raw("null") }
func (j *jsonEncoder) number(n uint64) { j.raw(strconv.FormatUint(n, 10)) }

func (j *jsonEncoder) time(at int64) {
	j.text(time.Unix(0, at).UTC().Format(time.RFC3339Nano))
}

func (j *jsonEncoder) text(s string) {
	j.separate()
	if isPlain(s) {
		j.buf = append(append(append(j.buf, '"'), s...), '"')
		j.closeComplete()
		return
	}
	j.quoted.Reset()
	e := json.NewEncoder(&j.quoted)
	e.SetEscapeHTML(false)
	if e.Encode(report.ValidText(s)) == nil { // no string fails
		j.buf = append(j.buf, bytes.TrimSuffix(j.quoted.Bytes(), []byte("\n"))...)
	}
	j.closeComplete()
}

// isPlain reports whether JSON needs no escape in the text.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
