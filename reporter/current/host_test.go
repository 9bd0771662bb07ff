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
	c *Machine
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
func handedOver(t testing.TB, h *machineHost) (heir *machineHost, taken bool) {
	w := carry.NewWriter()
	h.c.Carry(w)
	heir = newMachineHost(t)
	r := carry.NewReader(w.Bytes())
	heir.c.Carry(r)
	if taken = r.Err() == nil; !taken {
		heir = newMachineHost(t)
	}
	heir.At, heir.Seq = h.At, h.Seq
	return heir, taken
}
