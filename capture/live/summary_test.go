package live

import (
	"context"
	"strings"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/collect"
)

// The summary says what the collectors lack, what the last report lacks, and what
// nobody records, each in one line.
func TestSummarySaysWhatIsNotSeen(t *testing.T) {
	ct, proc := newFakeConntrack(), &fake{why: "1 of 90"}
	proc.run = func(ctx context.Context, out chan<- *collect.Batch) error {
		walks := []capture.ProcWalk{{Number: 1, Netns: 4}, {Number: 2, Netns: 9, Failed: "stopped"}}
		for i := range walks {
			out <- batch(of(capture.KindWalkBegin, 2, 0, &walks[i]), of(capture.KindWalkEnd, 2, 0, &walks[i]))
		}
		<-ctx.Done()
		return nil
	}
	o := options(t)
	o.NewCore = func(*capture.Header) (Core, error) {
		return &fakeCore{degraded: map[string]string{"conntrack": "no rule", "proc": "1 of 90; something was lost"}}, nil
	}
	summary, err := start(t, o, fakeMachine(conntrackSource(ct), procSource(proc))).wait(t)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	summary.WriteTo(&text)
	for _, want := range []string{
		"\nconntrack: no rule\n", "\nproc: 1 of 90; something was lost\n",
		"\nother network namespaces: 3; conntrack does not record their connections, proc records their sockets\n",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, &text)
		}
	}
	if summary.Gaps() != 0 {
		t.Errorf("%d gaps", summary.Gaps())
	}
}

func TestBothReasonsAreSaidOnce(t *testing.T) {
	for _, c := range [][3]string{{"", "", ""}, {"a", "", "a"}, {"", "b", "b"}, {"a", "a; b", "a; b"}, {"a; b", "b", "a; b"}, {"a", "b", "a; b"}} {
		if got := bothReasons(c[0], c[1]); got != c[2] {
			t.Errorf("%q and %q: %q", c[0], c[1], got)
		}
	}
}
