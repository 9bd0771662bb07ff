package replay

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/topotape/topotape/capture"
)

// headOf is a tape's header.
func headOf(t testing.TB, tape []byte) capture.Header {
	t.Helper()
	r, err := capture.NewReader(bytes.NewReader(tape))
	if err != nil {
		t.Fatal(err)
	}
	return *r.Header()
}

// withWitnesses is the tape with its witnesses changed, under another header if
// there is one.
func withWitnesses(t testing.TB, tape []byte, h *capture.Header, change func(*capture.Witness)) []byte {
	t.Helper()
	if h == nil {
		own := headOf(t, tape)
		h = &own
	}
	return rewrite(t, tape, *h, func(r *capture.Record) bool {
		var w capture.Witness
		if r.Kind == capture.KindWitness && r.Decode(&w) == nil {
			change(&w)
			r.Payload = capture.AppendPayload(nil, &w)
		}
		return true
	})
}

// wrong spoils the witnesses of ticks.
func wrong(ticks ...uint64) func(*capture.Witness) {
	return func(w *capture.Witness) {
		if slices.Contains(ticks, w.Tick) {
			w.Digests.Coverage++
			w.Digests.Connections[0]++
			w.Digests.Connections[5]++
		}
	}
}

func verify(t testing.TB, o Options, tapes ...[]byte) *Verification {
	t.Helper()
	o.Verify = true
	_, s := ndjson(t, o, tapes...)
	return s.Verification
}

func groupsOf(t testing.TB, d *Difference) string {
	t.Helper()
	var b strings.Builder
	if err := d.WriteGroups(&b, true); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Of what changed since, only what may be what differs is shown: not the times of
// connections, but counts; of endpoints those of connections that may differ.
func TestVerifyShowsOnlyWhatMayDiffer(t *testing.T) {
	a := labTape(t)
	since := func(change func(*capture.Witness)) *Difference {
		d := verify(t, Options{Reports: None}, withWitnesses(t, a, nil, change)).First
		if d == nil || d.Since == nil {
			t.Fatal("no difference")
		}
		return d.Since
	}
	records := false
	for tick := uint64(2); tick <= 7; tick++ {
		for _, g := range since(wrong(tick)).Groups {
			for _, f := range g.Fields {
				records = records || g.Section == CoverageSection && f.Name == "records" && f.How == "more"
				if strings.HasSuffix(f.Name, "_seen") {
					t.Errorf("tick %d: %+v", tick, g)
				}
			}
		}
	}
	if !records {
		t.Error("no counts")
	}
	// Endpoints that differ come with the connections of their buckets.
	own, with := 0, 0
	for tick := uint64(2); tick <= 7; tick++ {
		for bucket := range 8 {
			for _, g := range since(func(w *capture.Witness) {
				if w.Tick == tick {
					w.Digests.Connections[bucket]++
					w.Digests.Endpoints++
				}
			}).Groups {
				switch {
				case g.Section == Endpoints && g.Follows:
					with++
				case g.Section == Endpoints:
					own++
				}
			}
		}
	}
	if own > 0 || with == 0 {
		t.Errorf("%d groups of endpoints of their own, %d with connections", own, with)
	}
	// All endpoints, where no connections differ.
	if text := groupsOf(t, since(func(w *capture.Witness) {
		if w.Tick == 2 {
			w.Digests.Endpoints++
		}
	})); !strings.Contains(text, "endpoint") {
		t.Errorf("%q", text)
	}
}

// Groups are written up to a number, or all.
func TestWriteGroupsWritesAll(t *testing.T) {
	d := new(Difference)
	for i := range maxLines + 5 {
		d.Groups = append(d.Groups, Group{Section: NamesSection, Change: Added, Count: 1, To: fmt.Sprintf("10.0.0.%d", i)})
	}
	var some, all strings.Builder
	if d.WriteGroups(&some, false) != nil || d.WriteGroups(&all, true) != nil {
		t.Fatal("not written")
	}
	if n := strings.Count(some.String(), "+ name "); n != maxLines || !strings.HasSuffix(some.String(), "and 5 causes more; --format json has all\n") {
		t.Errorf("%d: %s", n, &some)
	}
	if n := strings.Count(all.String(), "+ name "); n != maxLines+5 || strings.Contains(all.String(), "more") {
		t.Errorf("%d: %s", n, &all)
	}
}
