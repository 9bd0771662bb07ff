package current

import (
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/carry"
	"github.com/topotape/topotape/reporter/reportertest"
)

// A machineHost feeds a machine.
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

// handedOver returns a host with a machine that read the state of h's machine; taken is
// false if it refused the state.
func restored(t testing.TB, h *machineHost) (other *machineHost, accepted bool) {
	w := carry.NewWriter()
	h.m.Carry(w)
	other = newMachineHost(t)
	r := carry.NewReader(w.Bytes())
	other.m.Carry(r)
	if accepted = r.Err() == nil; !accepted {
		other = newMachineHost(t)
	}
	other.At, other.Seq = h.At, h.Seq
	return other, accepted
}
