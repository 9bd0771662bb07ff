/*
Package capture holds what is on a tape: records, and the file that keeps them.

It is pure: no clock, no files, no goroutines. A Writer writes to an io.Writer,
a Reader reads from an io.Reader, and neither needs to seek. Record, Kind and the
payload types say what a record means; Writer and Reader say where its bytes
live. The seam between the two is the bytes of one record.

What follows is the format, version 1.1, all that a reader in another language
needs. tools/readers/tape.py is one, written from it; testdata/conformance has tapes of
every kind and every odd case, with what they say and how they end.

# Values

A tape is MessagePack throughout. Its numbers are big-endian. These types occur:

	bool     the integer 0 or 1
	u8       an integer, at least 0, of that many bits; u32 and u64 likewise
	i64      an integer of 64 bits; a time or duration is in nanoseconds
	str      a string: text, most often UTF-8, but a process can have any bytes as its name
	bin      a binary; bin 16 is one of 16 bytes
	[u64]    an array of such values; [str] likewise
	[Name]   an array of objects of that type
	Name     an object: an array with the fields of the type, in the order given here

Integers and lengths are written in their shortest form, and read in any. An
object may have more elements than a reader knows: it skips them, whatever they
are (the keys of maps are strings). It may have fewer: the fields that are missing are zero or empty.

# A frame

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

CRC32C is Castagnoli's (reflected polynomial 82f63b78; of "123456789" it is
e3069283). The header's is over bytes 0 to 43 and 48 to 52, both included, that is
over all but bytes 44 to 47. A zstd payload is one zstd frame (RFC 8878) without a
dictionary, with a window of 8 MiB at most.

Nothing stands behind the payload: what the format gains, it gains inside the
payloads. Any MessagePack library reads a whole file, frame by frame. Both lengths
are at most 8 MiB; a reader checks that before it reserves memory, and stops
decoding where the length announced is reached.

	head  chunk  chunk  …  index  chunk  …  index  foot

# Head

A tape begins with its head, frame number 0. The payload is a Header, plain.

	Header
	    Minor           u32      minor version of the format
	    Tool            str      version of the tool that wrote the tape
	    Core            u32      core version of that tool: which reports it makes
	    TapeID          bin 16   random; of a built tape a hash of its content
	    Recording       bin 16   the same in every segment of one recording
	    Segment         u32      from 0
	    Start           i64      wall clock at time 0 of the records, since 1970
	    BigEndian       bool     byte order of the recorded host
	    HostID          str
	    HostName        str
	    LocalNetworks   [str]    networks given by hand, as address/bits
	    Recorder        str      who recorded it
	    Command         [str]    and with which command
	    Note            str
	    Verb            str      derived: cut, merge, build, …; empty for a recording
	    Parent          bin 16   derived: tape id of the tape that this one was made from
	    SHA256          bin 32   derived: of that tape's bytes
	    Args            [str]    derived: arguments of the verb
	    Others          [Parent] derived: the tapes beside that one, in their order; since 1.1

	Parent
	    TapeID          bin 16
	    SHA256          bin 32   of its bytes

# Chunk

A chunk's payload is a stream of records, one behind the other without anything
around them; it may be empty. A writer fills one with about 256 KiB before
compression, or with what a quarter of a second brings.

	95  kind  number  time  source  payload

The four are unsigned integers: a kind of 8 bits, a number of 64, a time of 63, a
source of 32. The array may have up to 15 elements; those behind the payload are
skipped. The number is the record's, from 1, and grows from record to record along
a tape; holes are where a transform left records out. Only records of kind carry
have none: it is 0. The time is that since the recording's start by a clock that
is never set (CLOCK_BOOTTIME), and never decreases; the wall clock is Start, plus
that, plus the steps of the clock records so far. The source is the number that
a record of kind source gave it; 0 is the recorder.

The payload of the raw kinds is a bin, that of every other kind one value: for the
kinds that are known an object of the type given here. A writer keeps it to 4 MiB.

	 1  source                 Source
	 2  tick                   Tick
	 3  conntrack              raw: one nfnetlink message as received
	 4  conntrack_dump_begin   ConntrackDump
	 5  conntrack_dump_entry   raw: one nfnetlink message of a table dump
	 6  conntrack_dump_end     ConntrackDump
	 7  proc_net               ProcNet
	 8  proc_walk_begin        ProcWalk
	 9  proc_walk_end          ProcWalk
	10  proc_sockets           ProcSockets
	11  proc_unchanged         ProcUnchanged
	12  dns                    DNS
	13  reverse_name           ReverseName
	14  host                   Host
	15  gap                    Gap
	16  clock                  Clock
	17  mark                   Mark
	18  witness                Witness
	19  fault                  Fault
	20  carry                  Carry
	21  end                    End

A message begins with its netlink header: length (32 bits), type (16), flags (16),
sequence number (32), port (32), in the host's byte order, as are the length and
type at the head of each attribute. Behind it stand four bytes of nfgenmsg and the
attributes of linux/netfilter/nfnetlink_conntrack.h, whose numbers are big-endian.
The low byte of the type is 2 for a flow that was destroyed, else 0, with one of
the flags 0x600 for a new flow.

	Source
	    Open            bool     1: the source was opened, 0: it was closed
	    Kind            str      conntrack, proc, dns or rdns
	    Netns           u64      inode of the network namespace that it sees; 0: unknown, or all
	    Interface       str      dns: the interface; empty: all
	    Buffer          u64      bytes of kernel buffer
	    Snaplen         u32      dns: bytes kept of a packet
	    Why             str      why it was closed, or is degraded

	Tick
	    Number          u64      from 1: a report may be made now
	    Interval        i64      the interval that this tick closes

	ConntrackDump
	    Number          u64      from 1, the same at begin and end
	    Entries         u64      at the end: how many the kernel sent
	    Failed          str      at the end: why the dump is incomplete; empty when it is whole

	ProcNet
	    Netns           u64
	    Table           str      tcp, tcp6, udp or udp6 of /proc/PID/net
	    Absent          bool     there is no such file, which is not the same as an empty one
	    ReadStart       i64      time at which reading began
	    ReadEnd         i64      and ended
	    Part            u32      from 0
	    More            bool     another part of the same reading follows
	    Text            bin      whole lines

	ProcWalk
	    Number          u64      from 1, the same at begin and end
	    Processes       u64      at the end: processes visited
	    Netns           u64      at the end: namespaces visited
	    Failed          str      at the end: why the walk is void; empty when it is good

	ProcSockets
	    Netns           u64      namespace of the processes
	    Part            u32      from 0
	    More            bool     another part of the same namespace follows
	    Processes       [Process]

	Process
	    PID             u32
	    PPID            u32
	    Start           u64      clock ticks after boot, field 22 of /proc/PID/stat
	    Comm            str
	    Cgroup          bin      /proc/PID/cgroup
	    Inodes          [u64]    of the sockets that it holds
	    Partial         bool     its descriptors could not all be read

	ProcUnchanged
	    Netns           u64
	    Table           str      the table of which the last reading still holds
	    Checked         i64      time at which the kernel's counters said so

	DNS
	    Interface       u32      index; 0: unknown
	    Direction       u8       0 unknown, 1 in, 2 out
	    Length          u32      bytes on the wire
	    Packet          bin      from the IP header on, perhaps cut to the snaplen

	ReverseName
	    Addr            str
	    Names           [str]
	    Error           str
	    TTL             i64

	Host
	    ID              str
	    Name            str
	    BootID          str
	    Kernel          str
	    Interfaces      [Interface]
	    Routes          [str]    destinations in the main tables, as address/bits
	    LocalNetworks   [str]    networks, likewise
	    Sysctls         [Sysctl]

	Interface
	    Index           u32
	    Name            str
	    Addresses       [str]    as address/bits

	Sysctl
	    Name            str
	    Value           str      empty: the host has none of that name

	Gap
	    Lost            u64      messages, packets or readings that the source lost here; 0: unknown
	    Exact           bool     counted by the kernel, not estimated
	    Why             str

	Clock
	    Step            i64      by which the wall clock was stepped; positive: forward
	    Wall            i64      wall clock behind the step, since 1970

	Mark
	    Text            str      a person's note

	Witness
	    Tick            u64      number of the tick before it, whose report it tells
	    Rules           str      rules of that report
	    Core            u32      and core version
	    Coverage        u64      first 8 bytes of the SHA-256 of that section's JSON
	    Endpoints       u64
	    Names           u64
	    Connections     8 u64    by hash of the tuple; eight elements

	Fault
	    Record          u64      number of the record on which the core panicked
	    Message         str
	    Stack           str

	Carry
	    Core            u32      core version
	    State           bin      what the core knew, in a form of its own
	    Rules           str      since 1.1
	    Part            u32      from 0; since 1.1
	    More            bool     another part of the same state follows; since 1.1

	End
	    Why             str      why the recording ended
	    Totals          [Total]

	Total
	    Source          u32      number of the source
	    Kind            str
	    Received        u64      messages, packets or readings
	    Recorded        u64
	    Lost            u64
	    Undecodable     u64
	    Bytes           u64

At the end of a walk what it brought replaces all that was known: a namespace that
is not in it is gone. A dump without an end, and a walk without one, are void.
A carry stands at the head of a segment or a cut. It is what the core knew at this
place of the recording that the records before it on this tape do not tell; it is
taken at its last part, in place of all that came before. Only a core of the same
version and rules can read it; every other reader passes over it and knows less.

# Index and foot

They only speed things up: every record can be found without them. An index page
lists the chunks between the page before it and itself, 4,096 at most. Offsets count from the
first byte of the tape's own head, so tapes can be joined with cat.

	indexPage
	    previous        u64      offset of the page before it; 0: it is the first
	    entries         [Entry]
	    earlier         u64      offset of the last page before it that has runs; 0: none has; since 1.1
	    runs            [run]    of that page's chunks, and of all behind them up to this page's own; since 1.1

	Entry
	    Offset          u64      of the chunk's frame
	    Stored          u64      bytes of the frame, header included
	    Plain           u64      bytes of its records
	    FirstSeq        u64      number of its first numbered record; 0: it has none
	    LastSeq         u64      and of its last
	    FirstAt         i64      time of its first record
	    LastAt          i64      and of its last
	    Counts          [Count]

	Count
	    Kind            u8
	    Source          u32
	    Records         u64      of that kind from that source
	    Bytes           u64      of their payloads

	run
	    Offset          u64      of its first chunk's frame
	    Stored          u64      bytes from there to the end of its last chunk's
	    Plain           u64      the rest as in Entry, of all its chunks together
	    FirstSeq        u64
	    LastSeq         u64
	    FirstAt         i64
	    LastAt          i64
	    Counts          [Count]
	    chunks          u64      how many, at least 1
	    page            u64      offset of the page that lists them

Counts are in the order in which each first occurs. A run is chunks of one page
that stand one behind the other. A chunk that holds a record of kind source,
conntrack_dump_begin, conntrack_dump_end, host, gap, clock, mark, fault or end is a
run by itself: what these say is found from the last page alone. So is one with
more than 256 counts; no run of several chunks has more. The last of several pages
has the runs of all before it, itself or by way of earlier, and may list no chunk.
Where runs are as many as a page lists, the next page has them, and those behind
begin anew. A last page that names one before it and has no runs was written
without them: all pages are to be read. Who reads a run's page finds it a lie if its
chunks' entries do not add up to it.

The foot's payload is plain and of a fixed size, 46 bytes, so that the last 99
bytes of a file are the foot; a newer version's may have more elements.

	95  cf own offset  cf offset of the last index page  cf chunks  cf records  cf time of the last record

# How a tape ends

A tape is closed when its last record is of kind end, its last frame is the foot,
the foot counts the chunks and records that were read, and nothing was damaged.
It is cut when it ends at a frame's boundary without those: a recording that goes on,
or a recorder that was killed. It is torn when it ends inside a frame, or when
anything before the end was damaged. Only the first is clean. While it is
recorded a tape's name ends in .partial; a file that kept that name is a tape like
any other, most often cut.

A tape ends too where a head follows that is not its own: that of another file id,
or behind the foot any head, or a frame of another major version. That is how
tapes that were joined with cat are told apart; each has its own ending.

A reader takes for damage, and for nothing else: bytes that begin no frame; a frame
whose header or payload fails its checksum, or whose payload cannot be decoded; a
frame of another file id or major version, out of its number, or behind the foot; a
foot that says
other than what was read; a record that is none, or whose number or time goes back
(the rest of its chunk is lost with it). It then looks for the next frame from the
byte behind the one where the damage began: sync string, right header checksum,
the tape's file id, a number not below the one expected; or another tape's head.
So every record that is read is one that was written, and in order.

# Versions

A new minor version adds elements to objects, record kinds, and frame kinds from
64 on. Older readers skip them all, the frames whatever their coding (1.0 reads
past codings 0 and 1 only), and count the records. A frame kind below 64, a coding or a major version that a reader does not
know needs a newer one: that is an error of its own, *VersionError here, and never
used for damage. A sync string of another major version, with a header checksum
that is not right for ours, is one. Kind numbers are never reused, and no
element changes its meaning.

	1.0   the first
	1.1   Header: Others. Carry: Rules, Part, More. indexPage: earlier, runs

# What surprises

A record's payload is decoded by whoever wants to know, with Record.Decode; a reader
that only copies never decodes. What a malformed payload means is the core's
business: on tape it is as good as any other.

Byte slices of a record and of what was decoded from it point into the reader's
buffer: they are valid until the next call of Next.
*/
package capture
