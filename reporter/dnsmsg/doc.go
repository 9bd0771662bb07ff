// Package dnsmsg goes from captured packets to the names that DNS answers give to addresses. It is pure: bytes in,
// values out. An Assembler does all of it; the steps can be had alone, and have no state.
//
//	packet ──Packet.Decode──> addresses, ports, payload ──Message.Decode──> records ──Message.Answers──> address, name, TTL
//	                 │                        ▲
//	                 ├─ fragments ── datagram ┤ Packet.Transport
//	                 └─ TCP segments ─ stream ┘
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
// Of a frame with two VLAN tags (QinQ) the kernel takes away the outer one. The inner one stays, without its ethertype,
// which moved into the socket address:
//
//	tag control (2)  ethertype of what follows (2)  IP header ...
//
// Its first four bits are a priority, so a tag of priority 2 or 3 looks like the version nibble of IPv4 or IPv6. What
// has a right IPv4 header checksum, or the IPv6 payload length that was captured, is taken for IP; then what has an
// ethertype and a nibble that agree, for a tag; then the nibble alone decides.
//
// Checksums are not verified: on the sending host they are often filled in later, by the network card.
//
// A capture may be cut (snaplen). The lengths of the headers are what was sent, so Packet.PayloadLen is right where
// Packet.Payload is short, and a TCP stream can be continued behind the hole.
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
//	name       length (1) label ... 0, or two bytes 11...... ........ : a pointer to where the name goes on
//
// Over TCP each message has a length of two bytes before it, which is not part of it.
//
// # Fragments and streams
//
// Fragments wait for the others of their datagram, 30 s at most. Two that overlap void it (RFC 5722). The kernel's filter
// can't tell of a later fragment whether it is DNS: where there is no room, datagrams without a first one go first.
//
// A direction of a TCP connection is a stream. Messages begin behind the SYN, and one behind the other from there, be
// they malformed or not. Without a SYN the stream begins at the first length that fits: lengths that lead from the
// segment's first byte to its last, or one with a plausible header behind it. If the message turns out to be none, the
// search goes on with its second byte. Segments may come in any order, repeated and overlapping; the bytes that came first count. What is
// missing for 3 s was not captured: the stream goes on behind it as if it had begun there. A FIN, an RST, another SYN, a
// sequence number beyond 1 MiB, a segment that was not captured in full, a gap of the source and 30 s of silence end it.
//
//	bound                       what goes when it is reached
//	256 datagrams, 1 MiB        the one touched longest ago, those without a first fragment before the others
//	1,024 streams, 4 MiB        the one touched longest ago
//	256 segments and 128 KiB    the bytes that this stream waits for
//	of one stream
//
// Names are written as a zone file does, without the final dot: a dot inside a label is \., a backslash \\, and what is not printable
// ASCII \DDD in decimal. No name of the wire can forge another one, or break a line of a report. The root is ".".
//
// # What surprises
//
// A resolver may mix upper and lower case at random and expects the question back as it was (0x20 encoding), while the
// answer's names come from elsewhere: names compare without regard to case, and Answer.Name is lower-case (b65).
//
// The way from the question to an address may lead over many CNAME records (b60), which need not stand in order.
//
// Rcode 0 in the header may be the low half of another code: the upper bits are in the TTL of the OPT record. A TTL with the
// highest bit set is 0.
//
// A compression pointer must point before everything that was read of its name. All encoders do that; a pointer that
// does not is how loops are made.
package dnsmsg
