package reporter

import (
	"bytes"
	"slices"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/source"
)

// The memory for a hostile tape is bounded, for any number of unchanged tables and any size of
// records.
func TestEvidenceIsBounded(t *testing.T) {
	e := NewEvidence(&capture.Header{})
	seq := uint64(0)
	add := func(k capture.Kind, source uint32, p capture.Payload) {
		seq++
		e.Add(&capture.Record{Seq: seq, Kind: k, Source: source, Payload: capture.AppendPayload(nil, p)})
	}
	text := bytes.Repeat([]byte{'x'}, 1<<20)
	add(capture.KindWalkBegin, 2, &capture.ProcWalk{})
	for part := range uint32(600) {
		add(capture.KindProcNet, 2, &capture.ProcNet{Netns: 1, Table: "tcp", Part: part, More: true, Text: text})
	}
	add(capture.KindWalkEnd, 2, &capture.ProcWalk{})
	add(capture.KindWalkBegin, 2, &capture.ProcWalk{})
	for part := range uint32(100) {
		add(capture.KindProcNet, 2, &capture.ProcNet{Netns: 1, Table: "tcp", Part: part, More: part < 99})
	}
	for range 2 {
		add(capture.KindWalkEnd, 2, &capture.ProcWalk{})
		add(capture.KindWalkBegin, 2, &capture.ProcWalk{})
		for range 10_000 {
			add(capture.KindProcUnchanged, 2, &capture.ProcUnchanged{Netns: 1, Table: "tcp"})
		}
	}
	for i := range uint32(3000) {
		add(capture.KindSource, i, &capture.Source{Kind: "dns", Why: string(text[:i])})
		add(capture.KindGap, i, &capture.Gap{Why: string(text[:7*i])})
	}
	size := 0
	list := slices.Collect(e.Records(0))
	for i := range list {
		size += len(list[i].Payload)
	}
	if size > maxEvidencePlain || len(list) > 20_000+100+10+2*source.Max {
		t.Errorf("%d records of %d MiB", len(list), size>>20)
	}
	if w := e.walk.appendTo(nil); len(w) > 20_000+100+10 {
		t.Errorf("%d records of walks", len(w))
	}
}
