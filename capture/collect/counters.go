package collect

import (
	"bytes"
	"strconv"
)

// counters are the kernel's counters of one namespace's TCP sockets. Reading
// them costs a fraction of reading a table. What changes them, measured on 6.18
// by TestEveryEventMovesACounter:
//
//	                                 snmp, both families            sockstat, sockstat6
//	listener opened or closed                                       inuse
//	connected, in the backlog        Active-, PassiveOpens,         inuse
//	                                 CurrEstab, In-, OutSegs
//	handshake's last ACK lost        ActiveOpens, CurrEstab, Segs   inuse
//	SYN into the void                ActiveOpens, OutSegs           inuse
//	SYN_SENT given up                                               inuse
//	connection refused               ActiveOpens, AttemptFails, Segs
//	data                             InSegs, OutSegs
//	half closed                      CurrEstab, Segs
//	closed                           CurrEstab, Segs                inuse, tw
//	reset                            EstabResets, CurrEstab, Segs   inuse
//	TIME_WAIT ended                                                 tw
//	accepted from the backlog        -                              -
//	one listener closed, another
//	opened between two looks         -                              -
//
// In the last two cases a process owns a socket that none owned before. An event
// that only sockstat shows also opens or closes a socket of a process. So
// sockstat is not read while snmp and the owned sockets are unchanged, except in
// every thoroughWalks-th walk.
//
// tw counts both families, inuse is per family. A dual-stack socket counts as
// IPv6, even with IPv4 traffic, and has its row in tcp6. The other numbers of
// sockstat (orphan, alloc, mem) are those of the whole host.
type counters struct {
	known         bool   // snmp and sockstat were read and parsed
	tcp           string // Tcp line of snmp
	inuse, inuse6 uint64 // hashed sockets: all that have a row, except TIME_WAIT
	tw            uint64 // TIME_WAIT sockets, both families
	v6            bool   // there is a sockstat6
}

// parse reads the counters from the three files; sockstat6 is nil where the
// kernel has none.
func (c *counters) parse(snmp, sockstat, sockstat6 []byte) {
	*c = counters{v6: sockstat6 != nil}
	values := tcpLine(snmp)
	line, _ := lineOf(sockstat, "TCP:")
	inuse, ok := numberAfter(line, "inuse")
	tw, ok2 := numberAfter(line, "tw")
	c.known = len(values) > 0 && ok && ok2
	c.tcp, c.inuse, c.tw = string(values), inuse, tw
	if c.v6 {
		line, _ = lineOf(sockstat6, "TCP6:")
		c.inuse6, ok = numberAfter(line, "inuse")
		c.known = c.known && ok
	}
}

// none reports whether a table (an index of tableNames) has no row now.
func (c *counters) none(table int) bool {
	return c.known && c.tw == 0 && (table == 0 && c.inuse == 0 || table == 1 && c.inuse6 == 0)
}

// tcpLine returns the line of TCP's values in snmp; the line above has their
// names.
func tcpLine(snmp []byte) []byte {
	_, rest := lineOf(snmp, "Tcp:")
	values, _ := lineOf(rest, "Tcp:")
	return values
}

// lineOf returns the first line that begins with a word, and the text after it.
func lineOf(text []byte, first string) (line, rest []byte) {
	for len(text) > 0 {
		line, text, _ = bytes.Cut(text, []byte{'\n'})
		if bytes.HasPrefix(line, []byte(first)) {
			return line, text
		}
	}
	return nil, nil
}

// numberAfter returns the number that follows a word of a line.
func numberAfter(line []byte, word string) (uint64, bool) {
	fields := bytes.Fields(line)
	for i := 0; i+1 < len(fields); i++ {
		if string(fields[i]) == word {
			v, err := strconv.ParseUint(string(fields[i+1]), 10, 64)
			return v, err == nil
		}
	}
	return 0, false
}
