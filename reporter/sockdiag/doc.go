// Package sockdiag reads and writes the kernel's netlink messages about TCP sockets: the answers of sock_diag, which have
// what /proc/net/tcp and tcp6 have, and the messages about sockets that were closed. It is pure: bytes in, values out, no
// state. A Scanner (scanner.go) reads the rows of a table; Close (close.go) is a closed socket. Both forms have a method
// Append that writes the bytes.
//
// # The bytes
//
// Every message is a netlink header, a struct inet_diag_msg (include/uapi/linux/inet_diag.h) and attributes. Numbers are in
// the byte order of the host that recorded them, ports and addresses in network byte order.
//
//	 0       length, with the header   4 bytes
//	 4       type: 20                  2
//	 6       flags, sequence, port id  10
//	16       family: 2 IPv4, 10 IPv6   1
//	17       state                     1
//	18       timer, retransmissions    2
//	20       local port, remote port   2 each
//	24       local, remote address     16 each; IPv4 has the first 4
//	56       interface                 4
//	60       cookie                    8, the low half first
//	68       timer, queues             12
//	80       uid, inode                4 each
//	88       attributes                length and type, 2 each; value; zeros up to a multiple of 4
//
// Two attributes are read: 21 is the id of the cgroup of the socket's owner, and 2 is struct tcp_info.
//
// # What surprises
//
// A table read by sock_diag has the rows of /proc/net/tcp or tcp6, in the same order: an IPv6 socket with an IPv4
// connection is in tcp6 only, its addresses are unmapped here, and connections in a listener's backlog have no inode. They
// do have the listener's cgroup. Rows in TIME_WAIT, and those in FIN_WAIT2 without an inode, have none.
//
// A message has no line end, so after an impossible length nothing more can be read: the rest of the bytes counts as one
// malformed message.
//
// The message about a closed socket has no inode and no cgroup, and its state is always CLOSE. In the byte counts of
// tcp_info the SYN and the FIN count as a byte each.
package sockdiag
