package collect

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/topotape/topotape/capture"
)

// maxRoutes bounds the routes that are listed: a router with a full BGP table
// has a million.
const maxRoutes = 4096

// recordedSysctls affect what the sources can see. They are read, never written.
var recordedSysctls = []string{
	"net.ipv6.conf.all.disable_ipv6",
	"net.netfilter.nf_conntrack_acct",
	"net.netfilter.nf_conntrack_events",
	"net.netfilter.nf_conntrack_max",
	"net.netfilter.nf_conntrack_tcp_loose",
	"net.netfilter.nf_conntrack_timestamp",
}

// HostFacts reads the facts about the machine, as the calling thread's network
// namespace shows them. All lists are sorted: two results differ only if the
// host does. id, if not "", replaces the machine's own; local, in CIDR notation,
// is added to the networks of the interfaces. Facts that cannot be read are left
// out, and the error names the first of them.
func HostFacts(id string, local []string) (capture.Host, error) {
	h := capture.Host{
		ID:     id,
		BootID: readLine("/proc/sys/kernel/random/boot_id"),
		Kernel: readLine("/proc/sys/kernel/osrelease"),
	}
	var first error
	note := func(what string, err error) {
		if err != nil && first == nil {
			first = fmt.Errorf("host: %s: %w", what, err)
		}
	}
	var err error
	h.Name, err = os.Hostname()
	note("name", err)
	h.ID = cmp.Or(h.ID, hostID(readLine("/etc/machine-id")), h.Name)
	var networks []netip.Prefix
	for _, l := range local {
		p, err := netip.ParsePrefix(l)
		note("local network", err)
		if err == nil {
			networks = append(networks, p.Masked())
		}
	}
	h.Interfaces, networks, err = interfaces(networks)
	note("interfaces", err)
	h.LocalNetworks = prefixList(networks)
	routes, err := mainRoutes()
	note("routes", err)
	h.Routes = prefixList(routes)
	if len(h.Routes) > maxRoutes {
		note("routes", fmt.Errorf("only %d of %d are listed", maxRoutes, len(h.Routes)))
		h.Routes = h.Routes[:maxRoutes]
	}
	for _, name := range recordedSysctls {
		value := readLine("/proc/sys/" + strings.ReplaceAll(name, ".", "/"))
		h.Sysctls = append(h.Sysctls, capture.Sysctl{Name: name, Value: value})
	}
	return h, first
}

// interfaces lists the interfaces by index, with their addresses, and adds the
// networks of the addresses to networks.
func interfaces(networks []netip.Prefix) (list []capture.Interface, all []netip.Prefix, err error) {
	devices, err := net.Interfaces()
	if err != nil {
		return nil, networks, err
	}
	slices.SortFunc(devices, func(a, b net.Interface) int { return cmp.Compare(a.Index, b.Index) })
	addresses, err := interfaceAddresses()
	for _, d := range devices {
		own := addresses[uint32(d.Index)]
		for _, p := range own {
			networks = append(networks, p.Masked())
		}
		list = append(list, capture.Interface{Index: uint32(d.Index), Name: d.Name, Addresses: prefixList(own)})
	}
	return list, networks, err
}

// prefixList formats the prefixes, sorted by address, without duplicates.
func prefixList(list []netip.Prefix) []string {
	slices.SortFunc(list, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	var text []string
	for _, p := range slices.Compact(list) {
		text = append(text, p.String())
	}
	return text
}

// readLine reads a file of one line, "" if it cannot be read.
func readLine(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// hostID returns a hash of the machine's id, which should itself stay on the
// machine (machine-id(5)); "" if it has none.
func hostID(machineID string) string {
	if machineID == "" {
		return ""
	}
	sum := sha256.Sum256([]byte("topotape host " + machineID))
	return hex.EncodeToString(sum[:8])
}
