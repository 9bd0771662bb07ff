package survey

import (
	"bytes"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/replay"
	sources "github.com/topotape/topotape/reporter/source"
)

// A tape of very many sources takes bounded memory and time. What is beyond the
// maxima is counted.
func TestSurveyOfTooManySources(t *testing.T) {
	var out bytes.Buffer
	w, err := tape.NewWriter(&out, &capture.Header{TapeID: [16]byte{1}})
	if err != nil {
		t.Fatal(err)
	}
	const n = 20_000
	for i := range uint32(n) {
		p := capture.AppendPayload(nil, &capture.Source{Open: true, Kind: "dns", Why: "x"})
		if err := w.Write(&capture.Record{Seq: uint64(i) + 1, Kind: capture.KindSource, Source: i, Payload: p}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, index := range []bool{true, false} {
		v, err := Read([]replay.Input{inputAt("x", out.Bytes())}, index)
		if err != nil {
			t.Fatal(err)
		}
		if v.Records != n || v.KindsMore != n-maxCounts || len(v.Sources) != sources.Max || v.SourcesMore != n-sources.Max || len(v.Coverage) > sources.Max+3 {
			t.Errorf("%d records, %d more, %d sources, %d more, %d covered", v.Records, v.KindsMore, len(v.Sources), v.SourcesMore, len(v.Coverage))
		}
	}
}
