package render

import (
	"bytes"
	"cmp"
	"fmt"

	"github.com/topotape/topotape/capture/quote"
	"github.com/topotape/topotape/reporter/report"
)

// writeAttempts writes how often something was tried and never established, and one line for each
// attempt.
func writeAttempts(b *bytes.Buffer, list []report.Attempt) {
	if len(list) == 0 {
		return
	}
	tries := uint64(0)
	rows := [][]string{{"CLIENT", "SERVER", "OUTCOME", "COUNT", "LAST SEEN", "PROCESS"}}
	for i := range list {
		a := &list[i]
		tries += a.Count
		outcome := string(a.Outcome)
		if a.Why != "" {
			outcome += ": " + a.Why
		}
		client := a.From.Addr.Addr().String()
		rows = append(rows, []string{client, endText(&a.To), outcome, fmt.Sprint(a.Count), fmt.Sprintf("+%s", hostTime(a.LastSeen)),
			cmp.Or(processesText(a.From.Processes), "-")})
	}
	b.WriteByte('\n')
	quote.Line(b, "not established: %s", Count(tries, "attempt"))
	writeColumns(b, rows)
}
