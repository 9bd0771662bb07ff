package netlab

import (
	"fmt"
	"net/netip"
	"time"
)

// The lab's addresses: 198.18.0.0/15 is reserved for benchmarks of network devices
// (RFC 2544), fd00:18::/32 is unique-local.
var (
	range4 = netip.MustParsePrefix("198.18.0.0/15")
	range6 = netip.MustParsePrefix("fd00:18::/32")

	dnsServer = netip.MustParseAddrPort("198.18.2.53:53")
)

// portsPerKind is how many source ports a kind with ports of its own has. They are below
// the client's ip_local_port_range, which starts at 36000.
const portsPerKind = 1000

// loadPorts is how many ports the server has for load, from 18000. The gateway's address
// translates to them too.
const loadPorts = 32

// target is the destination of a connection.
type target struct {
	Addr netip.AddrPort `json:"addr,omitzero"` // with a Name only the port counts
	Name string         `json:"name,omitempty"`
	IPv6 bool           `json:"ipv6,omitempty"` // look up AAAA instead of A
}

// kind is how connections of a Kind are made.
type kind struct {
	agent     string // which client makes them
	targets   []target
	dns       string // the protocol for looking up names, "udp" or "tcp"
	firstPort uint16 // the first source port of its own; 0: the kernel chooses ports
	timeout   time.Duration
	stack     bool // by a TCP stack in the agent
	pair      bool // on the loopback interfaces of two namespaces
}

// Every kind has server addresses of its own, with or without NAT. A client port may be in
// use for several destinations. If NAT translated two of them to one server, there would
// be two connections between the same two ends.
var kinds = map[string]kind{
	Routed:     {agent: "lab-client", targets: to("198.18.1.9:8080", "198.18.1.5:8080")},
	DNAT:       {agent: "lab-client", targets: to("198.18.0.1:80")},
	Masquerade: {agent: "lab-client", targets: to("198.19.0.10:8080", "198.19.0.11:8080")},
	DNATSNAT:   {agent: "lab-client", targets: to("198.18.0.1:30080")},
	IPv6:       {agent: "lab-client-6", targets: to("[fd00:18:1::5]:8080")},
	IPv6DNAT:   {agent: "lab-client-6", targets: to("[fd00:18::1]:80")},
	HighPort:   {agent: "lab-client", targets: to("198.18.1.2:50051"), firstPort: 33000},
	Loopback:   {targets: to("127.0.0.1:44444"), firstPort: 34000, pair: true},
	dnsUDP:     {agent: "lab-dns-client", dns: "udp", targets: named("db.lab.test", "cache.lab.test")},
	dnsTCP:     {agent: "lab-dns-client", dns: "tcp", targets: named("queue.lab.test", "cache.lab.test")},
	dnsCNAME:   {agent: "lab-dns-client", dns: "udp", targets: named("www.lab.test")},
	Prefork:    {agent: "lab-client", targets: to("198.18.1.4:8090", "198.18.0.1:8090", "[fd00:18:1::4]:8090")},
	Userspace:  {agent: "lab-tun", targets: to("198.18.3.1:8080"), stack: true},
	Refused:    {agent: "lab-client", targets: to("198.18.1.2:7009"), firstPort: 35000},
	HalfOpen:   {agent: "lab-client", targets: to("198.18.1.2:7007", "198.18.1.2:7008"), firstPort: 32000, timeout: 800 * time.Millisecond},
}

func to(addrs ...string) []target {
	ts := make([]target, len(addrs))
	for i, a := range addrs {
		ts[i].Addr = netip.MustParseAddrPort(a)
	}
	return ts
}

func named(names ...string) []target {
	var ts []target
	for _, n := range names {
		t := target{Name: n, Addr: netip.AddrPortFrom(netip.IPv4Unspecified(), 8080)}
		ts = append(ts, t)
		t.IPv6 = true
		ts = append(ts, t)
	}
	return ts
}

// dnsmasqArgs include the lab's names. www.lab.test has a chain of three CNAMEs.
var dnsmasqArgs = []string{
	"--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--user=root", "--log-facility=-",
	"--no-resolv", "--no-hosts", "--no-poll", "--bind-interfaces",
	"--listen-address=198.18.2.53,fd00:18:2::53", "--except-interface=lo", "--local=/lab.test/", "--local-ttl=60",
	"--host-record=db.lab.test,198.18.1.3,fd00:18:1::3",
	"--host-record=web.lab.test,198.18.1.4,fd00:18:1::4",
	"--address=/cache.lab.test/198.18.1.6", "--address=/cache.lab.test/fd00:18:1::6",
	"--host-record=queue.lab.test,198.18.1.7,fd00:18:1::7",
	"--cname=www.lab.test,edge.lab.test",
	"--cname=edge.lab.test,lb.lab.test",
	"--cname=lb.lab.test,web.lab.test",
}

// member is one process of the lab.
type member struct {
	comm    string
	place   string // "client" or "server"
	listen  []string
	prefork bool
}

var members = []member{
	{comm: "lab-client", place: "client"},
	{comm: "lab-client-6", place: "client"},
	{comm: "lab-dns-client", place: "client"},
	{comm: "lab-fork", place: "client"},
	{comm: "lab-fork-b", place: "server"},
	{comm: "lab-lo-a", place: "client"},
	{comm: "lab-lo-a-srv", place: "client", listen: []string{"127.0.0.1:44444"}},
	{comm: "lab-server", place: "server", listen: append([]string{"[::]:8080"}, loadListeners()...)},
	{comm: "lab-server-hi", place: "server", listen: []string{"0.0.0.0:50051", "0.0.0.0:7008"}},
	{comm: "lab-prefork", place: "server", listen: []string{"[::]:8090"}, prefork: true},
	{comm: "lab-tun", place: "server"},
	{comm: "lab-lo-b", place: "server"},
	{comm: "lab-lo-b-srv", place: "server", listen: []string{"127.0.0.1:44444"}},
}

func loadListeners() []string {
	var addrs []string
	for i := range loadPorts {
		addrs = append(addrs, fmt.Sprintf("[::]:%d", 18000+i))
	}
	return addrs
}
