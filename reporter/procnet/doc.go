// Package procnet reads /proc/net/tcp, tcp6, udp and udp6: the kernel's tables of sockets, one network namespace each. It
// is pure: text in, rows out, no state.
//
// # The text
//
//	sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
//	 0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 16741 1 0000000000000000 100 0 0 10 0
//	    ^        ^    ^             ^  ^                 ^           ^            ^        ^ ^
//	    address  port remote        st tx:rx             tr:when     retrnsmt     uid  timeout inode
//
// Fields are separated by spaces; their places differ with the width of the numbers and the address family. A row
// (tcp4_seq_show of net/ipv4/tcp_ipv4.c and its three relatives) has ten fields that all tables share, and more behind
// them that do not matter here.
//
// # What surprises
//
// An address is printed in groups of eight hexadecimal digits. Each is a 32-bit word of the address as the kernel's host reads it from
// memory, so 127.0.0.1 is 0100007F on little-endian hosts and 7F000001 on big-endian ones. The port is the number itself.
//
// A socket of family IPv6 that talks IPv4 stands in tcp6 only, as ::ffff:a.b.c.d, a dual-stack server's end of a
// connection among them. Addresses are unmapped here, so that both ends of a connection look alike (b46).
//
// The inode is 0 for connections that wait in a listener's backlog, for orphans and for TIME_WAIT: it identifies
// nothing then (b44). Requests that are not yet sockets are printed as SYN_RECV.
//
// The tables of UDP and of IPv6 differ in the header's width and in the row number's; the header is known by its
// first word. A line that is not a row in full is skipped and counted, and never costs the line behind it (b48).
package procnet
