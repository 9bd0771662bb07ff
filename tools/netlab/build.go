//go:build linux

package netlab

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// build builds the network in steps. The parts of a step run at the same time.
func (l *Lab) build() error {
	var err error
	if l.reaper, err = startWorker("reaper lab-reaper "+l.prefix, nil, l.opts.Log); err != nil {
		return err
	}
	places := map[string]*Netns{"client": &l.Client, "gateway": &l.Gateway, "server": &l.Server, "dns": &l.DNS}
	var add strings.Builder
	for place, ns := range places {
		ns.Name = l.prefix + place
		fmt.Fprintf(&add, "netns add %s\n", ns.Name)
	}
	if err := runCommand(add.String(), "ip", "-batch", "-"); err != nil {
		return err
	}
	for place, ns := range places {
		if ns.Inode, err = netnsInode(ns.path()); err != nil {
			return err
		}
		if err := ns.sysctl(sysctls(place)); err != nil {
			return err
		}
	}
	if err := l.ctx.Err(); err != nil {
		return err
	}
	if err := runCommand(l.expand(linkScript), "ip", "-batch", "-"); err != nil {
		return err
	}
	return together(
		func() error { return l.Client.configure(clientAddrs(), clientRules) },
		func() error { return l.Gateway.configure(gatewayAddrs, gatewayRules) },
		func() error { return l.Server.configure(serverAddrs(), serverRules) },
		l.startMembers,
		l.startDNS,
	)
}

func together(steps ...func() error) error {
	errs := make([]error, len(steps))
	var wg sync.WaitGroup
	for i, step := range steps {
		wg.Go(func() { errs[i] = step() })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (l *Lab) expand(script string) string {
	return strings.NewReplacer("CLIENT", l.Client.Name, "GATEWAY", l.Gateway.Name,
		"SERVER", l.Server.Name, "DNS", l.DNS.Name).Replace(script)
}

func (n Netns) configure(addrs, rules string) error {
	if err := n.run(addrs, "ip", "-batch", "-"); err != nil {
		return err
	}
	if rules == "" {
		return nil
	}
	return n.run(rules, "nft", "-f", "-")
}

// sysctls returns a namespace's settings. They are set before links are added, because
// links copy conf/default. Without duplicate address detection an IPv6 address is usable
// at once.
func sysctls(place string) map[string]string {
	s := map[string]string{"ipv6/conf/default/accept_dad": "0", "ipv6/conf/default/accept_ra": "0",
		"ipv6/conf/default/router_solicitations": "0", "ipv4/conf/all/rp_filter": "0", "ipv4/conf/default/rp_filter": "0"}
	switch place {
	case "gateway":
		s["ipv4/ip_forward"] = "1"
		s["ipv6/conf/all/forwarding"] = "1"
	case "client":
		s["ipv4/ip_local_port_range"] = "36000 64999"
	case "server":
		s["core/somaxconn"] = "16384"
		s["ipv4/tcp_max_syn_backlog"] = "16384"
	}
	return s
}

// Both ends of every link are created in a namespace of the lab, never in the host's.
const linkScript = `
link add c0 netns GATEWAY type veth peer name eth0 netns CLIENT
link add s0 netns GATEWAY type veth peer name eth0 netns SERVER
link add d0 netns GATEWAY type veth peer name eth0 netns DNS
`

func clientAddrs() string {
	var b strings.Builder
	b.WriteString("link set lo up\nlink set eth0 up\n")
	for i := 2; i <= 9; i++ {
		fmt.Fprintf(&b, "address add 198.18.0.%d/24 dev eth0\n", i)
	}
	b.WriteString("address add fd00:18::2/64 dev eth0 nodad\n" +
		"route add default via 198.18.0.1\nroute add default via fd00:18::1\n")
	return b.String()
}

func serverAddrs() string {
	var b strings.Builder
	b.WriteString("link set lo up\nlink set eth0 up\n")
	for i := 2; i <= 9; i++ {
		fmt.Fprintf(&b, "address add 198.18.1.%d/24 dev eth0\naddress add fd00:18:1::%d/64 dev eth0 nodad\n", i, i)
	}
	b.WriteString("address add 198.19.0.10/32 dev eth0\naddress add 198.19.0.11/32 dev eth0\n" +
		"route add default via 198.18.1.1\nroute add default via fd00:18:1::1\n")
	return b.String()
}

const dnsAddrs = `
link set lo up
link set eth0 up
address add 198.18.2.53/24 dev eth0
address add fd00:18:2::53/64 dev eth0 nodad
route add default via 198.18.2.1
route add default via fd00:18:2::1
`

const gatewayAddrs = `
link set lo up
link set c0 up
link set s0 up
link set d0 up
address add 198.18.0.1/24 dev c0
address add fd00:18::1/64 dev c0 nodad
address add 198.18.1.1/24 dev s0
address add fd00:18:1::1/64 dev s0 nodad
address add 198.18.2.1/24 dev d0
address add fd00:18:2::1/64 dev d0 nodad
route add 198.19.0.0/16 via 198.18.1.2
`

// The rules on ct state make the namespace track both families.
const gatewayRules = `
table inet lab {
	chain prerouting {
		type nat hook prerouting priority dstnat
		ip daddr 198.18.0.1 tcp dport 80 dnat ip to 198.18.1.2:8080
		ip daddr 198.18.0.1 tcp dport 30080 dnat ip to 198.18.1.8:8080
		ip daddr 198.18.0.1 tcp dport 18000-18031 dnat ip to 198.18.1.2
		ip daddr 198.18.0.1 tcp dport 8090 dnat ip to 198.18.1.3
		ip6 daddr fd00:18::1 tcp dport 80 dnat ip6 to [fd00:18:1::2]:8080
	}
	chain postrouting {
		type nat hook postrouting priority srcnat
		meta l4proto tcp ct original proto-dst 30080 masquerade
		ip daddr 198.19.0.11 meta l4proto tcp masquerade to :1024-7999 random
		ip daddr 198.19.0.0/16 masquerade
	}
	chain forward {
		type filter hook forward priority filter
		ct state established,related accept
		ct state invalid drop
	}
}
`

// The namespaces of clients and servers drop packets without tracking connections.
const clientRules = `
table ip lab {
	chain input {
		type filter hook input priority filter
		ip saddr 198.18.1.2 tcp sport 7008 drop
	}
}
`

const serverRules = `
table ip lab {
	chain input {
		type filter hook input priority filter
		ip daddr 198.18.1.2 tcp dport 7007 drop
	}
}
`

// startMembers starts the clients and servers. They may start before their namespace has
// addresses: servers listen on wildcard or loopback addresses.
func (l *Lab) startMembers() error {
	var mu sync.Mutex
	var steps []func() error
	for _, m := range members {
		steps = append(steps, func() error {
			ns := &l.Client
			if m.place == "server" {
				ns = &l.Server
			}
			w, err := startWorker("agent "+m.comm, ns, l.opts.Log)
			if err != nil {
				return err
			}
			mu.Lock()
			l.workers[m.comm] = w
			mu.Unlock()
			go w.readReplies()
			_, err = w.call(l.ctx, request{Op: "listen", Listen: m.listen, Prefork: m.prefork})
			return err
		})
	}
	return together(steps...)
}

// startDNS starts dnsmasq and waits until the namespace's socket tables show that it
// listens: it sends no packet. The output of dnsmasq is shown only if it fails.
func (l *Lab) startDNS() error {
	if err := l.DNS.configure(dnsAddrs, ""); err != nil {
		return err
	}
	var err error
	if l.dnsmasq, err = startWorker("dns lab-dns", &l.DNS, io.Discard); err != nil {
		return err
	}
	local := fmt.Sprintf(" %08X:%04X ", binary.NativeEndian.Uint32(dnsServer.Addr().AsSlice()), dnsServer.Port())
	for range 2500 {
		tcp, _ := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", l.dnsmasq.PID))
		udp, _ := os.ReadFile(fmt.Sprintf("/proc/%d/net/udp", l.dnsmasq.PID))
		if bytes.Contains(tcp, []byte(local)) && bytes.Contains(udp, []byte(local)) {
			return nil
		}
		select {
		case <-l.dnsmasq.exited:
			return l.dnsmasq.failure()
		case <-time.After(2 * time.Millisecond):
		}
	}
	return errors.New("dnsmasq does not listen on " + dnsServer.String())
}
