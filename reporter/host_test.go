package reporter

import (
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/reportertest"
)

// A host is a Host with a reporter.
type host struct {
	*reportertest.Host
	r *Reporter
}

func newHost(t testing.TB) *host { return newHostOf(t, RulesCurrent) }

func newHostOf(t testing.TB, rules string) *host {
	return newHostWith(t, &capture.Header{HostID: "host1", HostName: "host1"}, rules)
}

func newHostWith(t testing.TB, h *capture.Header, rules string) *host {
	r, err := New(h, rules)
	if err != nil {
		t.Fatal(err)
	}
	return &host{reportertest.NewHost(t, r), r}
}
