// Package dnsmsg reads the names that DNS answers give to addresses from captured packets. It is pure: bytes in, values
// out. An Assembler does all steps and keeps incomplete messages. A Packet and a Message do one step each, without state.
//
//	packet ──Packet.Decode──> addresses, ports, payload ──Message.Decode──> records ──Message.Answers──> address, name, TTL
//	                 │                        ▲
//	                 ├─ fragments ── datagram ┤ Packet.reassembled
//	                 └─ TCP segments ─ stream ┘
//
// Read packet.go, message.go, names.go and answers.go for the single steps, then assembler.go, fragments.go and streams.go.
// build.go makes packets, carry.go saves an Assembler.
//
// # The bytes of a packet
//
// A packet begins with its network header, as AF_PACKET sockets of type SOCK_DGRAM deliver it:
//
//	IPv4 (RFC 791)   45 .. len  id.. frag  ttl proto check  source       destination   options?
//	IPv6 (RFC 8200)  6. .. ...  len.. next hops  source (16)  destination (16)
//	                 extension headers: hop-by-hop 0, routing 43, fragment 44, destination options 60
//	UDP  (RFC 768)   source port, destination port, length, checksum
//	TCP  (RFC 9293)  source port, destination port, seq, ack, header words, flags, window, checksum, urgent, options?
//
// The kernel removes the outer one of two VLAN tags (QinQ). The inner tag stays, without its ethertype, which moved into
// the socket address:
//
//	tag control (2)  ethertype of the next header (2)  IP header ...
//
// The first four bits of a tag are a priority, so a tag of priority 2 or 3 looks like the version nibble of IPv4 or IPv6.
// A packet with a correct IPv4 header checksum, or with the IPv6 payload length that was captured, is IP. Otherwise it has
// a tag if its ethertype and the nibble after it agree. Otherwise its first nibble decides.
//
// Checksums are not verified: on the sending host the network card often fills them in after the capture.
//
// A capture may be cut (snaplen). The lengths in the headers are those of the sent packet, so Packet.PayloadLen is correct
// even if Packet.Payload is shorter. A message in a UDP datagram that was cut gives the answers up to its last whole record,
// and its packet still counts as undecodable.
//
// # The bytes of a message
//
// RFC 1035 section 4.1:
//
//	id (2)  flags (2)  QDCOUNT  ANCOUNT  NSCOUNT  ARCOUNT  (2 each)
//	question   name, type (2), class (2)
//	record     name, type (2), class (2), TTL (4), length (2), data
//
//	flags      QR | opcode (4) | AA TC RD RA | 0 | AD CD | rcode (4)
//	name       length (1) label ... 0, or two bytes 11...... ........ : a pointer to the rest of the name
//
// Over TCP a length of two bytes precedes each message. It does not count itself.
//
// # Fragments and streams
//
// A fragment waits for the other fragments of its datagram for at most 30 s. A datagram with fragments that overlap is
// dropped (RFC 5722). The kernel's filter cannot see whether a later fragment is DNS: when there is no room, datagrams
// without their first fragment are removed first.
//
// One direction of a TCP connection is a stream. Its messages follow each other without gaps from the SYN on, malformed
// ones included. Without a SYN the stream begins at the first length that fits: either a chain of lengths covers the
// segment from its first byte to its last, or a plausible header follows the length. If the bytes turn out not to be a
// message, the search continues at their second byte. Segments may come in any order, repeated and overlapping; the bytes
// that came first count. Bytes that are missing for 3 s were not captured: the stream begins again after them. A FIN, an
// RST, another SYN, a sequence number beyond 1 MiB, a segment that was not captured in full, a gap of the source and 30 s
// of silence end a stream.
//
//	bound                       what is removed
//	256 datagrams, 1 MiB        the datagram used longest ago, those without a first fragment before the others
//	1,024 streams, 4 MiB        the stream used longest ago
//	256 segments and 128 KiB    the bytes that the stream waits for
//	of one stream
//
// Names have the presentation form of a zone file, without the final dot: \. for a dot inside a label, \\ for a backslash,
// and \DDD in decimal for other bytes than printable ASCII. So no captured name looks like another one or breaks a line of
// a report. The root is ".".
//
// # What surprises
//
// A resolver may mix upper and lower case at random and expects the question back unchanged (0x20 encoding), while the
// names of the answer come from elsewhere: comparisons ignore case, and Answer.Name is lower-case (b65).
//
// The path from the question to an address may have many CNAME records (b60), in any order.
//
// Rcode 0 in the header may be the lower half of another code: the upper bits are in the TTL of the OPT record. A TTL with
// the highest bit set is 0.
//
// A compression pointer must point before all bytes of its name that were read. All encoders do that, and it excludes loops.
package dnsmsg
