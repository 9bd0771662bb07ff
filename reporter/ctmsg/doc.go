// Package ctmsg reads and writes the messages in which Linux tells of tracked connections: nfnetlink's subsystem
// ctnetlink, as its sockets deliver them. It is pure: bytes in, values out, no state.
//
// # The bytes
//
// One message, numbers of the headers in the byte order of the host that received it (a parameter everywhere here),
// everything inside attributes in network order:
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
// The numbers are those of include/uapi/linux/netfilter/nfnetlink_conntrack.h. Other attributes are skipped.
//
// # What surprises
//
// The type of an event is no field. IPCTNL_MSG_CT_DELETE is Destroy; IPCTNL_MSG_CT_NEW is New with NLM_F_CREATE or
// NLM_F_EXCL, Update without, and Dump with NLM_F_MULTI: an entry of a table that was asked for. The message type alone
// takes all three for new flows.
//
// The reply tuple is not the original one reversed but what the reply's packets look like: where NAT is at work, the
// server's real address is the reply's source and the client's translated address the reply's destination.
//
// An Update without CTA_PROTOINFO has no state: it says that a reply was seen or that the flow became assured, and the
// state is what it was. A state of NONE is another thing. Destroy messages have state and timeout from Linux 5.11 on,
// but no flags, and no timeout if it ran out.
//
// A connection that was there before it was tracked is picked up in mid-stream (net.netfilter.nf_conntrack_tcp_loose).
// Its New message is in state ESTABLISHED at once, and its original direction is that of whichever packet came first,
// so it may be the server's. The flags tell, in New messages, those with a later state, and dump entries:
//
//	             handshake                      pickup
//	New          SYN_SENT    03 00              ESTABLISHED 0a 0a
//	Update       SYN_RECV    03 23              (no protocol info: reply seen)
//	Update       ESTABLISHED 23 23              (no protocol info: assured)
//	Update       FIN_WAIT    37 23              FIN_WAIT    0e 0a
//
// 0x01 and 0x02 come from the options of a SYN, so ends that do not scale windows show 02 00 or even 00 00; the pickup
// sets 0x02 and 0x08 for both directions without having seen any, and 0x08 stays. The sysctl nf_conntrack_tcp_be_liberal
// does not set 0x08. Offload to a flow table (nftables and act_ct) does, of connections whose handshake was seen: 0x08
// together with 0x01 is no pickup.
//
// A zone that holds for one direction only (`ct original zone set`) stands in that direction's tuple, not in CTA_ZONE.
// IDs are recycled.
package ctmsg
