package current

import (
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/carry"
	"github.com/topotape/topotape/reporter/reportertest"
)

// A machineHost is a Host with a machine of the current rules.
type machineHost struct {
	*reportertest.Host
	m *Machine
}

func newMachineHost(t testing.TB) *machineHost {
	return machineHostWith(t, &capture.Header{HostID: "host1", HostName: "host1"})
}

func machineHostWith(t testing.TB, h *capture.Header) *machineHost {
	c := New(h)
	return &machineHost{reportertest.NewHost(t, c), c}
}

// restored returns a host with a new machine that has read the state of h's machine. accepted is
// false if the state is not valid.
func restored(t testing.TB, h *machineHost) (other *machineHost, accepted bool) {
	w := carry.NewWriter()
	h.m.Carry(w)
	other = newMachineHost(t)
	r := carry.NewReader(w.State())
	other.m.Carry(r)
	if accepted = r.Err() == nil; !accepted {
		other = newMachineHost(t)
	}
	other.At, other.Seq = h.At, h.Seq
	return other, accepted
}
