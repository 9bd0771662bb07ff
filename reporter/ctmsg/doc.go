// Package ctmsg reads and writes the messages in which Linux reports tracked connections: nfnetlink's subsystem
// ctnetlink, as its sockets deliver them. It is pure: bytes in, values out, no state.
//
// Message.Decode reads what the reporter needs, fast and without an allocation. AppendText writes a message as
// conntrack(8) prints it, with details that a Message does not have. Message.Append writes a message's bytes.
//
// # The bytes
//
// One message. The numbers in headers are in the byte order of the host that received it, which is a parameter of every
// function here; payloads of attributes are in network order:
//
//	 0                4        6        8                12               16
//	+----------------+--------+--------+----------------+----------------+
//	| nlmsg_len      | type   | flags  | nlmsg_seq      | nlmsg_pid      |  struct nlmsghdr
//	+------+---------+--------+--------+----------------+----------------+
//	|family|version=0| res_id=0        |                                     struct nfgenmsg
//	+------+---------+-----------------+
//	| attributes ...                                                      |
//
//	+--------+--------+---------------------------+- - - - -+
//	| length | type   | payload                   | padding |               struct nlattr
//	+--------+--------+---------------------------+- - - - -+
//	  length counts header and payload, not the padding to four bytes; the two highest bits of type are flags
//
//	CTA_TUPLE_ORIG 1    { CTA_TUPLE_IP 1 { source, destination }
//	CTA_TUPLE_REPLY 2     CTA_TUPLE_PROTO 2 { number, source port, destination port }
//	                      CTA_TUPLE_ZONE 3 }
//	CTA_STATUS 3          IPS_* bits
//	CTA_PROTOINFO 4     { CTA_PROTOINFO_TCP 1 { state, window scales, { flags, mask } of each direction } }
//	CTA_TIMEOUT 7         seconds
//	CTA_MARK 8
//	CTA_COUNTERS_ORIG 9 { packets, bytes }
//	CTA_COUNTERS_REPLY 10
//	CTA_ID 12
//	CTA_ZONE 18
//	CTA_TIMESTAMP 20    { start, stop }
//	CTA_TIMESTAMP_EVENT 27
//
// The numbers are from include/uapi/linux/netfilter/nfnetlink_conntrack.h. Decode skips other attributes. AppendText also
// reads CTA_HELP, CTA_USE, CTA_SECMARK and CTA_SECCTX, the states of SCTP and DCCP, and what identifies an ICMP query.
//
// # What surprises
//
// The type of an event is no field. IPCTNL_MSG_CT_DELETE is Destroy; IPCTNL_MSG_CT_NEW is New with NLM_F_CREATE or
// NLM_F_EXCL, Update without them, and Dump with NLM_F_MULTI: an entry of a dump of the table. The message type alone
// does not distinguish these three.
//
// The reply tuple is not the original one reversed: it has the addresses of the reply's packets. With NAT, the server's
// real address is the reply's source and the client's translated address is the reply's destination.
//
// An Update without CTA_PROTOINFO has no state: it reports that a reply was seen or that the flow became assured, and
// the state did not change. This differs from a state of NONE. Destroy messages have state and timeout from Linux 5.11
// on, but no flags, and no timeout if it expired.
//
// A connection that is older than its tracking is picked up in mid-stream (net.netfilter.nf_conntrack_tcp_loose). Its
// New message has the state ESTABLISHED at once, and its original direction is the direction of the first packet seen,
// so the original source may be the server. The flags show a pickup, in New messages, in Updates with a later state, and
// in dump entries:
//
//	             handshake                      pickup
//	New          SYN_SENT    03 00              ESTABLISHED 0a 0a
//	Update       SYN_RECV    03 23              (no protocol info: reply seen)
//	Update       ESTABLISHED 23 23              (no protocol info: assured)
//	Update       FIN_WAIT    37 23              FIN_WAIT    0e 0a
//
// 0x01 and 0x02 come from the options of a SYN, so ends that do not scale windows show 02 00 or even 00 00. A pickup
// sets 0x02 and 0x08 for both directions without a SYN, and 0x08 stays. The sysctl nf_conntrack_tcp_be_liberal does not
// set 0x08. Offload to a flow table (nftables and act_ct) does set it, for connections whose handshake was seen: 0x08
// together with 0x01 is no pickup.
//
// A zone for one direction only (`ct original zone set`) is in that direction's tuple, not in CTA_ZONE. IDs are
// recycled.
package ctmsg
