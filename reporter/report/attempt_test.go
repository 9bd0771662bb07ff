package report

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
)

func anAttempt() Attempt {
	return Attempt{Proto: "tcp", From: End{Addr: netip.MustParseAddrPort("10.0.0.1:0")}, To: End{Addr: netip.MustParseAddrPort("10.0.0.9:5432")},
		Outcome: OutcomeUnanswered, Count: 3, LastSeen: 2e9, Seen: []string{"conntrack"}}
}

// The JSON of attempts follows the names. There is none while there are no attempts.
func TestJSONOfAttempts(t *testing.T) {
	const want = `{"proto":"tcp","from":{"addr":"10.0.0.1","netns":0,"processes":[]},"to":{"addr":"10.0.0.9","port":5432,"netns":0,"processes":[]},"nat":[],` +
		`"outcome":"unanswered","why":"","count":3,"first_seen":"0s","last_seen":"2s","seen":["conntrack"]}`
	r := Report{Attempts: []Attempt{anAttempt()}, HostEvents: []HostEvent{{What: "x"}}}
	got := r.AppendJSON(nil)
	if !bytes.Contains(got, []byte(`"names":[],"attempts":[`+want+`],"host_events":[`)) {
		t.Errorf("%s", got)
	}
	r.Attempts[0].Earlier = 2
	if got := r.Attempts[0].AppendJSON(nil); string(got) != want[:len(want)-1]+`,"earlier":2}` {
		t.Errorf("%s", got)
	}
	back, err := ParseReport(r.AppendJSON(nil))
	if err != nil || len(back.Attempts) != 1 || back.Attempts[0].Compare(&r.Attempts[0]) != 0 || back.Attempts[0].Earlier != 2 {
		t.Errorf("%v %+v", err, back)
	}
	for _, bad := range []string{
		`"attempts":[],"host_events"`,
		`"attempts":[` + want[:len(want)-1] + `,"earlier":0}],"host_events"`,
		`"attempts":[` + `{"proto":"tcp","from":{"addr":"10.0.0.1","port":0,` + want[len(`{"proto":"tcp","from":{"addr":"10.0.0.1",`):] + `],"host_events"`,
	} {
		if _, err := ParseReport(bytes.Replace(got, []byte(`"host_events"`), []byte(bad), 1)); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
	r.Attempts = nil
	if bytes.Contains(r.AppendJSON(nil), []byte("attempts")) {
		t.Errorf("%s", r.AppendJSON(nil))
	}
}

// The digest of attempts is that of their list only, and 0 if there are none.
func TestDigestOfAttempts(t *testing.T) {
	r := Report{}
	none := r.Digests()
	r.Attempts = []Attempt{anAttempt()}
	one := r.Digests()
	r.Attempts[0].Count++
	more := r.Digests()
	if none.Attempts != 0 || one.Attempts == 0 || more.Attempts == one.Attempts {
		t.Errorf("digests %x, %x, %x", none.Attempts, one.Attempts, more.Attempts)
	}
	if one.Attempts, more.Attempts = 0, 0; one != none || more != none {
		t.Error("the digest of another section changed")
	}
}

// Equal ends and outcomes are one attempt, and everything else is united.
func TestAttemptsUnite(t *testing.T) {
	a, b := anAttempt(), anAttempt()
	a.From.Processes = []Process{{9, "z"}, {1, ""}}
	b.From.Processes = []Process{{1, "a"}, {9, ""}, {9, "y"}}
	a.Why, b.FirstSeen, b.LastSeen, b.Earlier, b.Seen = "x", 1e9, 5e9, 1, []string{"sockets"}
	b.NAT = []NAT{{OriginalSrc: b.From.Addr}}
	other := anAttempt()
	other.Outcome = OutcomeRefused
	far := anAttempt()
	far.To.Netns = 7
	s := NewAttempts(2)
	for _, x := range []Attempt{a, b, other, far, far} {
		s.Add(&x)
	}
	list := s.List()
	if len(list) != 2 || !s.Has(&a) || s.Has(&far) || list[0].Outcome != OutcomeRefused {
		t.Fatalf("%+v", list)
	}
	got := &list[1]
	if got.Count != 6 || got.Earlier != 1 || got.FirstSeen != 0 || got.LastSeen != 5e9 || got.Why != "x" || len(got.NAT) != 1 ||
		!slices.Equal(got.Seen, []string{"conntrack", "sockets"}) || !slices.Equal(got.From.Processes, []Process{{1, "a"}, {9, "y"}, {9, "z"}}) {
		t.Errorf("%s", got.AppendJSON(nil))
	}
	if left := s.AppendLeftOut(nil, 3); len(left) != 1 || left[0].Count != 6 || left[0].At != 3 {
		t.Errorf("%+v", left)
	}
	if len(a.From.Processes) != 2 || a.From.Processes[1].Comm != "" {
		t.Error("what was added has changed")
	}
}
