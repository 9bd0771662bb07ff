package source

import (
	"net/netip"
	"slices"

	"github.com/topotape/topotape/capture"
)

// LocalNetworks returns the networks whose addresses are scoped to the host, and the texts
// of all local networks of the tape, sorted.
//
// Weave Scope used the networks that a user gave it, and the network of the Docker bridge.
// The recorder lists the networks of all interfaces as well; these do not count here.
func LocalNetworks(h *capture.Header, p *capture.Host) (hostScoped []netip.Prefix, all []string) {
	const dockerBridge = "docker0"
	ofInterfaces := make(map[netip.Prefix]bool)
	var bridge []netip.Prefix
	for _, i := range p.Interfaces {
		networks := AppendNetworks(nil, i.Addresses)
		for _, n := range networks {
			ofInterfaces[n] = true
		}
		if i.Name == dockerBridge {
			bridge = append(bridge, networks...)
		}
	}
	byHand := slices.DeleteFunc(AppendNetworks(nil, p.LocalNetworks), func(n netip.Prefix) bool { return ofInterfaces[n] })
	hostScoped = slices.Concat(AppendNetworks(nil, h.LocalNetworks), byHand, bridge)
	all = slices.Concat(h.LocalNetworks, p.LocalNetworks)
	slices.Sort(all)
	return hostScoped, slices.Compact(all)
}

// AppendNetworks parses texts as networks and appends them. It skips invalid texts.
func AppendNetworks(b []netip.Prefix, texts []string) []netip.Prefix {
	for _, s := range texts {
		if n, err := netip.ParsePrefix(s); err == nil {
			b = append(b, n.Masked())
		}
	}
	return b
}
