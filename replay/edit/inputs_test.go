package edit

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/reporter/report"
)

func tapeInput(name string, b []byte) replay.Input {
	return replay.Input{Name: name, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
}

// reportLines replays tapes and returns the reports, a line each.
func reportLines(t testing.TB, o replay.Options, tapes ...[]byte) (lines []string, s *replay.Summary) {
	t.Helper()
	var inputs []replay.Input
	for i, tape := range tapes {
		inputs = append(inputs, tapeInput(fmt.Sprintf("tape%d", i), tape))
	}
	s, err := replay.Run(inputs, o, func(r *report.Report) error {
		lines = append(lines, string(r.AppendJSON(nil)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines, s
}
