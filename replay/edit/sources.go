package edit

import (
	"cmp"
	"slices"

	"github.com/topotape/topotape/capture"
	sources "github.com/topotape/topotape/reporter/source"
)

// ranked are the kinds of sources by how much a loss of theirs damages the reports, the
// worst first. The number that a kind has by convention is its place here, from 1.
var ranked = []string{capture.SourceConntrack, capture.SourceProc, capture.SourceDNS, capture.SourceRDNS, capture.SourceSockets, capture.SourceCloses}

// rank returns the place of a kind from 0; other kinds come last.
func rank(kind string) int {
	if at := slices.Index(ranked, kind); at >= 0 {
		return at
	}
	return len(ranked)
}

// A source is a source of a tape, by its number there.
type source struct {
	number uint32
	sourceID
}

// A sourceID says what a source observes. Sources of different recordings with the
// same id may be one source.
type sourceID struct {
	kind      string
	netns     uint64
	Interface string
}

func idOf(s *capture.Source) sourceID { return sourceID{s.Kind, s.Netns, s.Interface} }

func compareSources(a, b source) int {
	return cmp.Or(cmp.Compare(rank(a.kind), rank(b.kind)), cmp.Compare(a.number, b.number))
}

// openSources are the sources that are open at a place of a tape, by rank.
type openSources []source

// update applies a record of the tape. A source whose opening is not on the tape
// opens with its first record.
func (o *openSources) update(r *capture.Record) {
	if r.Kind == capture.KindSource {
		var s capture.Source
		if r.Decode(&s) == nil {
			o.set(r.Source, &s)
		}
		return
	}
	if kind := r.Kind.Source(); kind != "" && !o.has(r.Source) {
		o.set(r.Source, &capture.Source{Open: true, Kind: kind})
	}
}

func (o *openSources) set(number uint32, s *capture.Source) {
	*o = slices.DeleteFunc(*o, func(x source) bool { return x.number == number })
	if s.Open && len(*o) < sources.Max {
		opened := source{number, idOf(s)}
		at, _ := slices.BinarySearchFunc(*o, opened, compareSources)
		*o = slices.Insert(*o, at, opened)
	}
}

func (o openSources) has(number uint32) bool {
	return slices.ContainsFunc(o, func(s source) bool { return s.number == number })
}

// gaps returns a gap of every open source.
func (o openSources) gaps(why string) (list []capture.Record) {
	for _, s := range o {
		list = append(list, newGap(s.number, 0, why))
	}
	return list
}
