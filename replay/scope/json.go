package scope

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"

	"github.com/topotape/topotape/reporter"
)

// scopeJSON encodes what scopeWriter writes in JSON, without spaces and HTML
// escapes.
type scopeJSON struct {
	buf    []byte
	open   []openJSON
	string bytes.Buffer // of the last text
}

// openJSON is a map or a list that is being written.
type openJSON struct {
	left, all int // values, keys of maps included
	mapping   bool
}

func (j *scopeJSON) openMap(pairs int)     { j.start('{', openJSON{2 * pairs, 2 * pairs, true}) }
func (j *scopeJSON) openList(elements int) { j.start('[', openJSON{elements, elements, false}) }

func (j *scopeJSON) start(bracket byte, o openJSON) {
	j.before()
	j.buf = append(j.buf, bracket)
	j.open = append(j.open, o)
	j.shut()
}

// before writes what parts a value from the one before it.
func (j *scopeJSON) before() {
	if len(j.open) == 0 {
		return
	}
	o := &j.open[len(j.open)-1]
	switch {
	case o.left == o.all:
	case o.mapping && o.left%2 == 1:
		j.buf = append(j.buf, ':')
	default:
		j.buf = append(j.buf, ',')
	}
	o.left--
}

// shut ends the maps and lists that are full.
func (j *scopeJSON) shut() {
	for n := len(j.open); n > 0 && j.open[n-1].left == 0; n = len(j.open) {
		bracket := byte(']')
		if j.open[n-1].mapping {
			bracket = '}'
		}
		j.buf = append(j.buf, bracket)
		j.open = j.open[:n-1]
	}
}

func (j *scopeJSON) raw(s string) {
	j.before()
	j.buf = append(j.buf, s...)
	j.shut()
}

func (j *scopeJSON) no()             { j.raw("false") }
func (j *scopeJSON) null()           { j.raw("null") }
func (j *scopeJSON) number(n uint64) { j.raw(strconv.FormatUint(n, 10)) }

func (j *scopeJSON) moment(at int64) {
	j.text(time.Unix(0, at).UTC().Format(time.RFC3339Nano))
}

// text is a string.
func (j *scopeJSON) text(s string) {
	j.before()
	if plain(s) {
		j.buf = append(append(append(j.buf, '"'), s...), '"')
		j.shut()
		return
	}
	j.string.Reset()
	e := json.NewEncoder(&j.string)
	e.SetEscapeHTML(false)
	if e.Encode(reporter.ValidText(s)) == nil { // a string always can be
		j.buf = append(j.buf, bytes.TrimSuffix(j.string.Bytes(), []byte("\n"))...)
	}
	j.shut()
}

// plain reports whether a text is itself in JSON.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
