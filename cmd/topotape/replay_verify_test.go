package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/replay/diff"
	"github.com/topotape/topotape/reporter"
	"github.com/topotape/topotape/reporter/report"
)

// The JSON format has the causes that the table leaves out.
func TestVerificationInJSONHasAllCauses(t *testing.T) {
	since := new(diff.Difference)
	for i := range 60 {
		since.Groups = append(since.Groups, diff.Group{Section: diff.Names, Change: diff.Added, Count: 1, To: fmt.Sprintf("10.0.0.%d", i)})
	}
	first := &replay.Mismatch{Tick: 2, Sections: []string{"names"}, Core: reporter.CoreVersion, Report: new(report.Report), Before: new(diff.Moment), Since: since}
	for format, want := range map[string]int{"table": 40, "json": 60} {
		var text strings.Builder
		v := verification{Verification: &replay.Verification{Witnesses: 2, Identical: 1, First: first}, format: format}
		if err := v.write(&text); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(text.String(), "\n+ name 10.0.0."); n != want || strings.Contains(text.String(), "and 20 causes more; --format json has all\n") != (want < 60) {
			t.Errorf("%s: %d causes\n%s", format, n, &text)
		}
	}
}
