package edit

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter"
)

// A survey is what must be known of a remnant before it is written.
type survey struct {
	records uint64
	header  capture.Header
	// Sources whose records are on the tape without their opening, in order of
	// their numbers.
	orphans []orphan
}

// An orphan is a source that was opened in a lost part of the tape, or never.
type orphan struct {
	number uint32
	kind   string
	first  uint64 // number of its first record
}

// survey reads a remnant through. Without a head it makes one of what the
// records tell; guessed says what that is.
func (l *layout) survey(r *remnant) (s *survey, guessed []string, err error) {
	s = &survey{}
	made := capture.Header{Minor: capture.Minor, TapeID: r.tapeID(), Note: "the head of this tape was lost; it was made anew of what the records tell"}
	reader, err := l.openOwn(r)
	if err != nil {
		return nil, nil, err
	}
	if reader != nil {
		s.header = *reader.Header()
	} else if reader, err = l.open(r, &made); err != nil {
		return nil, nil, err
	} else {
		r.head = false
	}
	g := guess{header: made}
	seen := map[uint32]bool{}
	for {
		rec, err := reader.Next()
		var damage *capture.DamageError
		switch {
		case err == io.EOF:
			if !r.head {
				s.header, guessed = g.finish()
			}
			return s, guessed, nil
		case errors.As(err, &damage):
			continue
		case err != nil:
			return nil, nil, err
		}
		s.records++
		if !r.head {
			g.record(&rec)
		}
		if kind := rec.Kind.Source(); kind != "" && !seen[rec.Source] && len(seen) < reporter.MaxSources {
			s.orphans = append(s.orphans, orphan{rec.Source, kind, rec.Seq})
			seen[rec.Source] = true
		} else if rec.Kind == capture.KindSource && len(seen) < reporter.MaxSources {
			seen[rec.Source] = true
		}
	}
}

// openOwn opens the remnant behind its own head; nil when that does not read.
func (l *layout) openOwn(r *remnant) (*capture.Reader, error) {
	if !r.head {
		return nil, nil
	}
	reader, err := l.open(r, nil)
	var damage *capture.DamageError
	if errors.As(err, &damage) || errors.Is(err, capture.ErrNotTape) {
		return nil, nil
	}
	return reader, err
}

// A guess makes a lost header anew of the first records that tell of it.
type guess struct {
	header                 capture.Header
	host, start, byteOrder bool
}

func (g *guess) record(r *capture.Record) {
	switch r.Kind {
	case capture.KindHost:
		var h capture.Host
		if !g.host && r.Decode(&h) == nil && h.ID != "" {
			g.header.HostID, g.header.HostName, g.host = h.ID, h.Name, true
		}
	case capture.KindClock:
		var c capture.Clock
		if !g.start && r.Decode(&c) == nil {
			g.header.Start, g.start = c.Wall-c.Step-r.At, true
		}
	case capture.KindConntrack, capture.KindDumpEntry: // the message begins with its length
		if n := uint32(len(r.Payload)); !g.byteOrder && n >= 16 {
			big := binary.BigEndian.Uint32(r.Payload) == n
			g.byteOrder = big || binary.LittleEndian.Uint32(r.Payload) == n
			g.header.BigEndian = big
		}
	}
}

func (g *guess) finish() (capture.Header, []string) {
	var said []string
	say := func(known bool, yes, no string) { said = append(said, map[bool]string{true: yes, false: no}[known]) }
	say(g.host, "the host is "+strings.Join(slices.Compact([]string{g.header.HostID, g.header.HostName}), " "), "its host is unknown")
	say(g.start, "it starts at "+wallText(g.header.Start)+", by a clock record", "its start is unknown: times count from it")
	if !g.byteOrder {
		said = append(said, "its byte order is unknown: little endian is taken")
	}
	said = append(said, "networks that were given by hand are lost")
	return g.header, said
}
