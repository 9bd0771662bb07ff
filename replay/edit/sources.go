package edit

import (
	"cmp"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter"
)

// rank orders sources by what a loss of theirs does to the reports.
func rank(kind string) int {
	for i, k := range [...]string{capture.SourceConntrack, capture.SourceProc, capture.SourceDNS, capture.SourceRDNS} {
		if k == kind {
			return i
		}
	}
	return 4
}

// An openSource could deliver records now.
type openSource struct {
	number uint32
	kind   string
}

// openSources are those of a tape, by rank. A source whose opening is not on
// the tape opens with its first record.
type openSources []openSource

func (o *openSources) record(r *capture.Record) {
	if r.Kind == capture.KindSource {
		var s capture.Source
		if r.Decode(&s) == nil {
			o.change(r.Source, &s)
		}
		return
	}
	if kind := r.Kind.Source(); kind != "" && !o.has(r.Source) {
		o.change(r.Source, &capture.Source{Open: true, Kind: kind})
	}
}

// change takes over what a source record says; other payloads say nothing.
func (o *openSources) change(number uint32, p capture.Payload) {
	s, ok := p.(*capture.Source)
	if !ok {
		return
	}
	*o = slices.DeleteFunc(*o, func(x openSource) bool { return x.number == number })
	if s.Open && len(*o) < reporter.MaxSources {
		own := openSource{number, s.Kind}
		at, _ := slices.BinarySearchFunc(*o, own, func(a, b openSource) int {
			return cmp.Or(cmp.Compare(rank(a.kind), rank(b.kind)), cmp.Compare(a.number, b.number))
		})
		*o = slices.Insert(*o, at, own)
	}
}

func (o openSources) has(number uint32) bool {
	return slices.ContainsFunc(o, func(s openSource) bool { return s.number == number })
}

// made is a record that a verb makes of its own.
type made struct {
	kind    capture.Kind
	source  uint32
	payload capture.Payload
}

// gaps makes a gap of every open source.
func (o openSources) gaps(why string) (list []made) {
	for _, s := range o {
		list = append(list, made{capture.KindGap, s.number, &capture.Gap{Why: why}})
	}
	return list
}
