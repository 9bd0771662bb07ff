// Package procnet reads /proc/net/tcp, tcp6, udp and udp6: the kernel's tables of sockets, one network namespace each. It
// is pure: text in, rows out, no state. A Scanner (scanner.go) reads the rows (row.go) of a table; append.go writes tables.
// Counters (counters.go) reads the kernel's counters of lost packets and of opened connections.
//
// # The text
//
//	sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
//	 0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 16741 1 0000000000000000 100 0 0 10 0
//	    ^        ^    ^             ^  ^                 ^           ^            ^        ^ ^
//	    address  port remote        st tx:rx             tr:when     retrnsmt     uid  timeout inode
//
// Spaces separate the fields; their columns depend on the width of the numbers and on the address family. The first ten
// fields of a row (tcp4_seq_show of net/ipv4/tcp_ipv4.c and its three relatives) are the same in all tables. This package
// ignores the others.
//
// # What surprises
//
// The kernel prints an address in groups of eight hexadecimal digits. Each group is a 32-bit word of the address in the
// host's byte order, so 127.0.0.1 is 0100007F on little-endian hosts and 7F000001 on big-endian ones. The port is a plain
// number.
//
// An IPv6 socket with an IPv4 connection is in tcp6 only, as ::ffff:a.b.c.d. A dual-stack server's end of a connection is
// such a socket. This package unmaps addresses, so that both ends of a connection have the same form (b46).
//
// The inode is 0 for connections in a listener's backlog, for orphans and for TIME_WAIT: such an inode identifies no
// socket (b44). The kernel prints requests that are not yet sockets as SYN_RECV.
//
// The widths of the header and of the row number differ in tables of UDP and of IPv6. The first word identifies the
// header. An incomplete row is skipped and counted, and the next line is read correctly (b48).
//
// The columns of counters differ between kernels, so they are found by their names. Counters of a CPU have 32 bits in
// /proc/net/stat/nf_conntrack and softnet_stat. A CPU that is offline has no line in softnet_stat.
package procnet
