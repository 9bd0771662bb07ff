package collect

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/topotape/topotape/capture"
)

func TestHostFacts(t *testing.T) {
	inNetns(t)
	run(t, "ip", "link", "add", "near", "type", "veth", "peer", "name", "far")
	for _, args := range []string{"link set near up", "link set far up", "addr add 10.5.0.9/24 dev near", "addr add 10.5.0.1/24 dev near",
		"addr add fd05::1/64 dev near nodad", "route add 10.9.0.0/16 via 10.5.0.2", "route add default via 10.5.0.2",
		"-6 route add fd09::/48 via fd05::2", "route add 10.8.0.0/16 via 10.5.0.2 table 77", "-6 addr flush scope link"} {
		run(t, "ip", strings.Fields(args)...)
	}
	local := []string{"192.168.5.1/16", "10.5.0.0/24"}
	h, err := HostFacts("host1", local)
	if err != nil {
		t.Fatal(err)
	}
	if h.ID != "host1" || h.Name == "" || len(h.BootID) != 36 || h.Kernel == "" {
		t.Errorf("%+v", h)
	}
	i := slices.IndexFunc(h.Interfaces, func(i capture.Interface) bool { return i.Name == "near" })
	if d := cmp.Diff([]string{"10.5.0.1/24", "10.5.0.9/24", "fd05::1/64"}, h.Interfaces[i].Addresses); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"10.5.0.0/24", "127.0.0.0/8", "192.168.0.0/16", "::1/128", "fd05::/64"}, h.LocalNetworks); d != "" {
		t.Error(d)
	}
	for _, want := range []string{"0.0.0.0/0", "10.5.0.0/24", "10.9.0.0/16", "fd05::/64", "fd09::/48"} {
		if !slices.Contains(h.Routes, want) {
			t.Errorf("no route to %s in %v", want, h.Routes)
		}
	}
	if slices.Contains(h.Routes, "10.8.0.0/16") || slices.Contains(h.Routes, "127.0.0.0/8") {
		t.Errorf("routes of other tables: %v", h.Routes)
	}
	for _, s := range h.Sysctls {
		if s.Value == "" {
			t.Errorf("%s has no value", s.Name)
		}
	}
	again, _ := HostFacts("host1", local)
	if d := cmp.Diff(h, again); d != "" {
		t.Errorf("twice is not the same: %s", d)
	}
	if h, err := HostFacts("", []string{"10.0.0.0"}); err == nil || h.ID == "" || len(h.Interfaces) == 0 {
		t.Errorf("a bad network gives %v and %+v", err, h)
	}
}
