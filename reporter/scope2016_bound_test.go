package reporter

import (
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/source"
)

// The memory for sources and the time of a report are bounded, for any number of sources.
func TestSourcesAreBounded(t *testing.T) {
	for _, rules := range []string{RulesCurrent, RulesScope2016} {
		r, err := New(&capture.Header{HostID: "h"}, rules)
		if err != nil {
			t.Fatal(err)
		}
		for i := range uint64(100_000) {
			r.Step(&capture.Record{Seq: i + 1, Kind: capture.KindGap, Source: uint32(i + 1), Payload: capture.AppendPayload(nil, &capture.Gap{Lost: 1})})
			r.Step(&capture.Record{Seq: i + 1, Kind: capture.KindDNS, Source: uint32(i + 1)})
		}
		r.Step(&capture.Record{Seq: 1e6, Kind: capture.KindTick, Payload: capture.AppendPayload(nil, &capture.Tick{Number: 1})})
		if n := len(r.Report().Coverage); n > source.Max+4 {
			t.Errorf("%d sources under %s", n, rules)
		}
	}
}
