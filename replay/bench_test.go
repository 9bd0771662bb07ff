package replay

import (
	"fmt"
	"testing"

	"github.com/topotape/topotape/replay/replaytest"
	"github.com/topotape/topotape/reporter/report"
)

func BenchmarkReplay(b *testing.B) {
	const records = 1_000_000
	tape := replaytest.Busy(b, records, 50_000)
	for _, o := range []struct {
		name string
		Options
	}{{"none", Options{Reports: None}}, {"last", Options{}}, {"verify", Options{Reports: None, Verify: true}}, {"all", Options{Reports: All}}} {
		for _, in := range []Input{memory("stream", tape), seekable("file", tape)} {
			b.Run(o.name+"/"+in.Name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					s, err := Run([]Input{in}, o.Options, func(*report.Report) error { return nil })
					if err != nil {
						b.Fatal(err)
					}
					if v := s.Verification; v != nil && (v.Identical != v.Witnesses || v.Witnesses != records/50_000) {
						b.Fatal(fmt.Sprint(v))
					}
				}
				b.ReportMetric(float64(b.N)*records/b.Elapsed().Seconds(), "records/s")
				b.ReportMetric(float64(len(tape))/records, "B/record")
			})
		}
	}
}
