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

// maxRoutes is how many routes are listed: a router with the whole Internet's
// has a million.
const maxRoutes = 4096

// recordedSysctls decide what the sources can see. They are read, never written.
var recordedSysctls = []string{
	"net.ipv6.conf.all.disable_ipv6",
	"net.netfilter.nf_conntrack_acct",
	"net.netfilter.nf_conntrack_events",
	"net.netfilter.nf_conntrack_max",
	"net.netfilter.nf_conntrack_tcp_loose",
	"net.netfilter.nf_conntrack_timestamp",
}

// HostFacts says what the machine is, as it is now and as the calling thread's
// network namespace shows it, in an order that can be compared: two results
// differ only where the host does. id takes the place of the machine's own;
// local, in CIDR notation, joins the networks of its interfaces. Facts that
// can't be had are left out, and the error names the first of them.
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
		note("routes", fmt.Errorf("%d of them, the first %d are listed", len(h.Routes), maxRoutes))
		h.Routes = h.Routes[:maxRoutes]
	}
	for _, name := range recordedSysctls {
		value := readLine("/proc/sys/" + strings.ReplaceAll(name, ".", "/"))
		h.Sysctls = append(h.Sysctls, capture.Sysctl{Name: name, Value: value})
	}
	return h, first
}

// interfaces lists the interfaces by index, with addresses, and adds the
// networks of these to networks.
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

// prefixList gives the prefixes' text, sorted as addresses are, each once.
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

// readLine is the content of a file of one line, "" when it can't be read.
func readLine(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// hostID is made from the machine's id, which should not leave the machine
// itself (machine-id(5)); "" when it has none.
func hostID(machineID string) string {
	if machineID == "" {
		return ""
	}
	sum := sha256.Sum256([]byte("topotape host " + machineID))
	return hex.EncodeToString(sum[:8])
}
