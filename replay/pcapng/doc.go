/*
Package pcapng writes packets in the pcapng format (draft-ietf-opsawg-pcapng), which
Wireshark and tshark read. It writes to an io.Writer and uses no clock.

A file is a series of blocks:

	type  length  body  options  length

Each is a multiple of 4 bytes long, in the byte order of the section. A section begins
with a section header block. Interface description blocks follow, and number the
interfaces from 0. An enhanced packet block has one packet with its time in nanoseconds
since 1970 (if_tsresol 9). An interface statistics block has the number of packets that
were received and dropped.
*/
package pcapng
