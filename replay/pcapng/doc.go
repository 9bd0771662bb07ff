/*
Package pcapng writes packets in the pcapng format (draft-ietf-opsawg-pcapng), as
Wireshark and tshark read it. It is pure: it writes to an io.Writer and knows no clock.

A file is a series of blocks:

	type  length  body  options  length

all multiples of 4 bytes long, in the byte order of the section. A section begins
with a section header block; interface description blocks number its interfaces
from 0; enhanced packet blocks hold the packets, each with a time in nanoseconds
since 1970 (if_tsresol 9); interface statistics blocks say how many were dropped.
*/
package pcapng
