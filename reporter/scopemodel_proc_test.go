package reporter

import (
	"net"
	"strconv"
	"strings"
)

// rows adds the sockets in the tables of the last walk to the nodes.
func (m *scopeModel) rows(nodes map[string]modelNode, seen map[string]modelTuple) {
	var owner modelOwner // a row without an owner has the owner of the row before
	text, inodes := m.text, map[uint64]bool{}
	for len(text) >= 3 {
		if text[2] == 's' {
			text = afterLine(text)
			continue
		}
		var fields [10]string
		rest := text
		at := 0
		for ; at < 4; at++ {
			fields[at], rest = cutField(rest)
		}
		if hexNumber(fields[3]) == 1 {
			for ; at < len(fields); at++ {
				fields[at], rest = cutField(rest)
			}
		}
		text = afterLine(rest)
		if at < len(fields) {
			continue
		}
		inode := uint64(0)
		for _, c := range []byte(fields[9]) {
			inode = inode*10 + uint64((int(c)-'0'+256)%256)
		}
		if inodes[inode] {
			continue
		}
		inodes[inode] = true
		if o, ok := m.owners[inode]; ok {
			owner = o
		}
		local, localPort, ok := hexAddress(fields[1])
		remote, remotePort, ok2 := hexAddress(fields[2])
		if !ok || !ok2 {
			continue // the original has no text for such an address
		}
		netns := ""
		if owner.netns > 0 {
			netns = strconv.FormatUint(owner.netns, 10)
		}
		t := modelTuple{local, remote, localPort, remotePort}
		from, to := map[string]string{"procspied": "true"}, map[string]string{"procspied": "true"}
		if owner.pid > 0 {
			from["pid"], from["host_node_id"] = strconv.Itoa(owner.pid), m.hostID+";<host>"
		}
		was, known := seen[t.key()]
		if known && was != t || !known && t.sport < t.dport {
			t, from, to = t.reversed(), to, from
		}
		m.connection(nodes, t, netns, from, to)
	}
}

func afterLine(s string) string {
	_, rest, _ := strings.Cut(s, "\n")
	return rest
}

func cutField(s string) (field, rest string) {
	s = strings.TrimLeft(s, " ")
	field, _, found := strings.Cut(s, " ")
	if !found {
		return "", ""
	}
	return field, s[len(field):]
}

func hexNumber(s string) uint64 {
	n := uint64(0)
	for _, c := range []byte(s) {
		n *= 16
		if v, err := strconv.ParseUint(string(rune(c)), 16, 8); err == nil && c < 0x80 {
			n += v
		}
	}
	return n
}

// hexAddress converts 0100007F:0050 to 127.0.0.1 and 80.
func hexAddress(s string) (addr string, port int, ok bool) {
	digits, number, found := strings.Cut(s, ":")
	if !found {
		return "<nil>", 0, true
	}
	var ip net.IP
	for ; len(digits) >= 8; digits = digits[8:] {
		word := hexNumber(digits[:8])
		ip = append(ip, byte(word), byte(word>>8), byte(word>>16), byte(word>>24))
	}
	switch len(ip) {
	case 0, net.IPv4len, net.IPv6len:
		return ip.String(), int(uint16(hexNumber(number))), true
	}
	return "", 0, false
}
