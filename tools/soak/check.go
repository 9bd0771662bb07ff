//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode"
	"unicode/utf8"
)

// forbidden reports whether a character can change what a terminal or a reader shows of
// others: a control character, a line separator, or one that is invisible or changes
// the direction of text. Bytes that are no UTF-8 are forbidden, too.
func forbidden(r rune, size int) bool {
	return r == utf8.RuneError && size == 1 || r == '\u2028' || r == '\u2029' || unicode.In(r, unicode.Cc, unicode.Cf) && r != '\n' && r != '\t'
}

// A textCheck finds characters in a stream that may not be in a text.
type textCheck struct {
	jsonOnly bool   // only controls that JSON escapes
	rest     []byte // of the stream, not looked at yet
	line     []byte // begin of the line
	found    string // the first finding
}

// overlap is how many bytes after a character a check looks at.
const overlap = 1 + len(forged) + utf8.UTFMax

func (c *textCheck) write(b []byte) {
	c.rest = append(c.rest, b...)
	c.look(len(c.rest) - overlap)
}

func (c *textCheck) finish() { c.look(len(c.rest)) }

// look checks the first n bytes of the rest.
func (c *textCheck) look(n int) {
	at := 0
	for at < n {
		b := c.rest[at]
		if b >= ' ' && b < 0x7f {
			c.keep(c.rest[at : at+1])
			at++
			continue
		}
		r, size := utf8.DecodeRune(c.rest[at:])
		switch {
		case c.jsonOnly && (b >= ' ' || b == '\n'):
		case c.jsonOnly, forbidden(r, size):
			c.find(fmt.Sprintf("raw %q", c.rest[at:at+size]), c.rest[at:])
		case bytes.HasPrefix(c.rest[at+size:], []byte(forged)):
			c.find(fmt.Sprintf("raw %q of a text", r), c.rest[at:])
		}
		if c.keep(c.rest[at : at+size]); b == '\n' {
			c.line = c.line[:0]
		}
		at += size
	}
	c.rest = append(c.rest[:0], c.rest[max(at, 0):]...)
}

func (c *textCheck) keep(b []byte) {
	if len(c.line) < 120 {
		c.line = append(c.line, b...)
	}
}

func (c *textCheck) find(what string, after []byte) {
	if c.found == "" {
		c.found = fmt.Sprintf("%s in the line %q, followed by %q", what, c.line, after[:min(len(after), 40)])
	}
}

const (
	// maxOutput is how much of an output is read before its pipe is closed.
	maxOutput = 64 << 20
	// maxParsed is how much of an output is parsed as JSON.
	maxParsed = 8 << 20
)

var errEnough = errors.New("enough output")

// A reader reads what a process writes to standard output or standard error.
type reader struct {
	kind   output
	text   textCheck
	bytes  int64
	first  []byte         // begin of the output
	json   *io.PipeWriter // nil if it is no JSON, or too much
	parsed chan error     // of the JSON
}

func newReader(kind output) *reader {
	r := &reader{kind: kind, text: textCheck{jsonOnly: kind != text}}
	if kind == jsonOne || kind == jsonMany {
		in, out := io.Pipe()
		r.json, r.parsed = out, make(chan error, 1)
		go func() {
			err := parse(in, kind == jsonOne)
			io.Copy(io.Discard, in)
			r.parsed <- err
		}()
	}
	return r
}

// Write reads the next bytes. Its error closes the pipe.
func (r *reader) Write(b []byte) (int, error) {
	r.first = append(r.first, b[:min(len(b), 4096-len(r.first))]...)
	if r.kind != bytesOnly {
		r.text.write(b)
	}
	if r.bytes += int64(len(b)); r.bytes > maxParsed && r.json != nil {
		r.json.CloseWithError(errEnough)
		r.json = nil
	}
	if r.json != nil {
		r.json.Write(b)
	}
	if r.bytes > maxOutput {
		return 0, errEnough
	}
	return len(b), nil
}

// finish returns what is wrong with the output, "" if nothing. A process that failed, was
// killed or lost its pipe may end in the middle of a JSON value or of a character.
func (r *reader) finish(partial bool) string {
	if r.kind != bytesOnly && !partial {
		r.text.finish()
	}
	if r.parsed == nil {
		return r.text.found
	}
	if r.json != nil {
		r.json.Close()
	}
	if err := <-r.parsed; err != nil && !errors.Is(err, errEnough) && !partial {
		return fmt.Sprintf("the JSON: %v", err)
	}
	return r.text.found
}

// parse reads JSON values to the end, exactly one if one is set.
func parse(in io.Reader, one bool) error {
	dec := json.NewDecoder(in)
	depth, values := 0, 0
	for {
		t, err := dec.Token()
		if err == io.EOF && depth == 0 {
			if one && values != 1 {
				return fmt.Errorf("%d values in place of one", values)
			}
			return nil
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('['), json.Delim('{'):
			depth++
		case json.Delim(']'), json.Delim('}'):
			depth--
		}
		if depth == 0 {
			values++
		}
	}
}
