/*
Package capture holds what is on a tape: records, and the file that keeps them.

It is pure: no clock, no files, no goroutines. A Writer writes to an io.Writer,
a Reader reads from an io.Reader, and neither needs to seek. Record, Kind and the
payload types say what a record means; Writer and Reader say where its bytes
live. The seam between the two is the bytes of one record.

# The file

A tape is a sequence of frames. Each frame is one MessagePack array of nine
elements, with every element but the last of fixed width, so that a frame's
header is always 53 bytes:

	 0  99                    array of 9
	 1  a9 "topotape" "1"     sync string, then the major version of the format
	11  cc KK                 kind: 1 head, 2 chunk, 3 index, 4 foot
	13  cc CC                 coding of the payload: 0 plain, 1 zstd, 2 reserved
	15  cf NNNNNNNNNNNNNNNN   number of the frame, from 0, without holes
	24  cf FFFFFFFFFFFFFFFF   file id: the first 8 bytes of the tape id
	33  ce PPPPPPPP           length of the payload when decoded
	38  ce CCCCCCCC           CRC32C of the payload as stored
	43  ce HHHHHHHH           CRC32C of this header without these four bytes
	48  c6 LLLLLLLL           length of the payload as stored
	53  …                     payload

Numbers are big-endian, as in all of MessagePack. Nothing stands behind the
payload: what the format gains, it gains inside the payloads. Any MessagePack
library reads a whole file, frame by frame. Both lengths are at most 8 MiB; a
reader checks that before it reserves memory.

	head  chunk  chunk  …  index  chunk  …  index  foot

The head's payload is an array with the fields of Header, plain. A chunk's is a
stream of records, one behind the other, about 256 KiB of them before
compression. An index page lists up to 4,096 chunks with their places, times and
numbers and with how many records of each kind and source they hold; it names the
offset of the page before it, 0 for none. The foot's payload has a fixed size:

	95  cf own offset  cf offset of the last index page  cf chunks  cf records  cf time of the last record

Offsets count from the tape's own head, so tapes can be joined with cat. Index and
foot only speed things up: every record can be found without them.

# A record

	95  kind  number  time  source  payload

Kind, number, time and source are unsigned integers, in the shortest form. The
payload of the raw kinds (conntrack, conntrack_dump_entry) is binary: the netlink
message as it was received. Every other payload is an array with the fields of its
type, in the order of fields.go; booleans are 0 and 1, times and durations are
nanoseconds, text is a string, bytes are binary.

# How a tape ends

A tape is closed when its last record is of kind end and its last frame is the foot.
It is cut when it ends at a frame's boundary without them: a recording that goes on,
or a recorder that was killed. It is torn when it ends inside a frame, or when
anything before the end failed its checksum. Only the first is clean, and a Reader
tells the three apart. After damage it looks for the next frame of the tape by sync
string, header checksum, file id and number.

# Versions

A new minor version adds elements to payloads, record kinds, and frame kinds from
64 on: older readers skip them all, and count the records. A frame kind below 64, a
coding or a major version that a reader does not know is a *VersionError, which is
never used for damage. Kind numbers are never reused.

# What surprises

A record's payload is decoded by whoever wants to know, with Record.Decode; a reader
that only copies never decodes. What a malformed payload means is the core's
business: on tape it is as good as any other.

Byte slices of a record and of what was decoded from it point into the reader's
buffer: they are valid until the next call of Next.
*/
package capture
