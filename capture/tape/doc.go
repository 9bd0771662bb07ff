/*
Package tape reads and writes tapes: files of records.

The package is pure: it uses no clock, no files and no goroutines. A Writer
writes to an io.Writer, a Reader reads from an io.Reader, and neither needs to
seek. What a record means is defined by package capture; this package defines
where its bytes are.

Reading order: frame.go, envelope.go (one record in a chunk), writer.go, reader.go
with input.go (the window over the input), errors.go; then index.go, runs.go,
chunk.go and seek.go (reading by the index); recovery.go (frames of a damaged file).

The rest of this text is the format, version 1.3: everything that a reader in
another language needs. tools/readers/tape.py was written from it.
testdata/conformance has tapes of every kind and every special case, with their
records and how they end.

# Values

A tape consists of MessagePack values. Its numbers are big-endian. These types
occur:

	bool     the integer 0 or 1
	u8       an integer, at least 0, of that many bits; u32 and u64 likewise
	i64      an integer of 64 bits; a time or duration is in nanoseconds
	str      a string: text, usually UTF-8, but a process can have any bytes as its name
	bin      a binary; bin 16 is one of 16 bytes
	[u64]    an array of such values; [str] likewise
	[Name]   an array of objects of that type
	Name     an object: an array with the fields of the type, in the order given here

Integers and lengths are written in their shortest form; a reader accepts any
form. An object may have more elements than a reader knows: the reader skips
them, of any type (the keys of maps are strings). It may have fewer: the missing
fields are zero or empty.

A str has at most 4 KiB. A note, a message, why a recording ended, and an element of a
command line have at most 64 KiB; names from the network have any length. A reader
takes a payload with a longer str as malformed. The document of package capture lists
all limits.

# A frame

A tape is a sequence of frames. Each frame is one MessagePack array of nine
elements, with every element but the last of fixed width, so that a frame's
header is always 53 bytes:

	 0  99                    array of 9
	 1  a9 "topotape" "1"     sync string, then the major version of the format
	11  cc KK                 kind: 1 head, 2 chunk, 3 index, 4 foot
	13  cc CC                 coding of the payload: 0 plain, 1 zstd, 2 reserved
	15  cf NNNNNNNNNNNNNNNN   number of the frame, from 0, without gaps
	24  cf FFFFFFFFFFFFFFFF   file id: the first 8 bytes of the tape id
	33  ce PPPPPPPP           length of the payload when decoded
	38  ce CCCCCCCC           CRC32C of the payload as stored
	43  ce HHHHHHHH           CRC32C of this header without these four bytes
	48  c6 LLLLLLLL           length of the payload as stored
	53  …                     payload

CRC32C is Castagnoli's (reflected polynomial 82f63b78; of "123456789" it is
e3069283). The header's covers bytes 0 to 43 and 48 to 52, both included: all
except its own bytes 44 to 47. A zstd payload is one zstd frame (RFC 8878) without
a dictionary, with a window of 8 MiB at most.

Nothing follows the payload: a newer version adds to a frame only inside its
payload. Any MessagePack library reads a whole file, frame by frame. Both lengths are
at most 8 MiB; a reader checks that before it allocates memory, and stops decoding
at the announced length. A payload that would decode to more than 256 times the length
of its frame is stored plain. A reader decodes up to 40 MiB of payloads that break this
rule, because versions before 1.2 did not have it; further ones are damage.

	head  chunk  chunk  …  index  chunk  …  index  foot

# Head

A tape begins with its head, frame number 0. The payload is a Header, coding
plain.

	Header
	    Minor           u32      minor version of the format
	    Tool            str      version of the tool that wrote the tape
	    Core            u32      core version of that tool: which reports it makes
	    TapeID          bin 16   random; in a built tape a hash of its content
	    Recording       bin 16   the same in every segment of one recording
	    Segment         u32      from 0
	    Start           i64      wall clock at time 0 of the records, since 1970
	    BigEndian       bool     byte order of the recorded host
	    HostID          str
	    HostName        str
	    LocalNetworks   [str]    networks that the user named, as address/bits
	    Recorder        str      the person who recorded it
	    Command         [str]    the command line
	    Note            str
	    Verb            str      derived: cut, merge, build, …; empty for a recording
	    Parent          bin 16   derived: tape id of the tape that this one was made from
	    SHA256          bin 32   derived: of that tape's bytes
	    Args            [str]    derived: arguments of the verb
	    Others          [Parent] derived: the other tapes it was made from, in their order; since 1.1

	Parent
	    TapeID          bin 16
	    SHA256          bin 32   of its bytes

# Chunk

A chunk's payload is a sequence of records with nothing between them; it may be
empty. A writer ends a chunk at about 256 KiB before compression, or after a
quarter of a second.

	95  kind  number  time  source  payload

The first four are unsigned integers: a kind of 8 bits, a number of 64, a time of
63, a source of 32. The array may have up to 15 elements; a reader skips those
after the payload. The number is the record's, from 1, and increases from record
to record along a tape; numbers are missing where a transform left records out.
Only records of kind carry have no number: it is 0. The time is the time since the
recording's start by a clock that is never set (CLOCK_BOOTTIME), and never
decreases; the wall clock is Start, plus the time, plus the steps of the clock
records so far. The source is the number that a record of kind source has
assigned; 0 is the recorder.

The payload of the raw kinds is a bin. The payload of every other kind is one
value: for the known kinds an object of the type given here. A writer
keeps it to 4 MiB.

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
	22  counters               Counters
	23  stall                  Stall
	24  socket_format          SocketFormat
	25  socket_event           raw: one sample of the kernel's perf ring, a socket's change of state
	26  process_event          raw: one other record of the ring: comm, fork, exit, namespaces or cgroup
	27  processes              ProcSockets
	28  cgroups                Cgroups
	29  socket_table           SocketTable
	30  socket_close           raw: one sock_diag message about a socket that was closed

A message of conntrack begins with its netlink header: length (32 bits), type (16), flags (16),
sequence number (32), port (32), in the host's byte order, like the length and the
type at the beginning of each attribute. Four bytes of nfgenmsg follow, and the
attributes of linux/netfilter/nfnetlink_conntrack.h, whose numbers are big-endian.
The low byte of the type is 2 for a flow that was destroyed, else 0, with one of
the flags 0x600 for a new flow.

A record of the perf ring is one of linux/perf_event.h, in the host's byte order. It
begins with its header: type (32 bits), misc (16), length of the record (16). Numbers
after that have 32 bits, or 64 where it says so; times are CLOCK_MONOTONIC:

	 3  comm        pid, tid; name, zeros; the trailer. Misc 0x2000: by exec
	 4  exit        pid, parent's pid; tid, parent's tid; time (64); the trailer
	 7  fork        likewise
	 9  sample      pid, tid; time (64); length of the data; data; cgroup (64), absent before Linux 5.7
	16  namespaces  pid, tid; how many (64); device (64) and inode (64) of each, the network first; the trailer
	19  cgroup      id (64); path, zeros; the trailer

The trailer is the pid, tid and time (64) of the task that caused the record. The data
of a sample are the fields of the tracepoint sock:inet_sock_set_state, where the last
record of kind socket_format before it has them. The field skaddr is no address: the
recorder replaces it by a number that is the same for the same socket. A tape without a
socket_format has the layout of Linux 6.18: common_flags (8 bits) at byte 2, skaddr (64)
at 8, oldstate (32) at 16, newstate (32) at 20, sport (16) at 24, dport (16) at 26, family
(16) at 28, protocol (16) at 30, saddr (4 bytes) at 32, daddr (4) at 36, saddr_v6 (16) at
40, daddr_v6 (16) at 56.

A message of sock_diag begins with the same netlink header, of type 20. A struct
inet_diag_msg of linux/inet_diag.h follows, 72 bytes: family (8 bits), state (8), timer
(8), retransmissions (8); local port (16, big-endian), remote port (16, big-endian),
local address (16 bytes), remote address (16 bytes; 4 bytes and zeros in IPv4),
interface (32), cookie (64); expiry (32), receive queue (32), send queue (32), uid (32),
inode (32). Attributes follow, such as 2 (tcp_info) and 21 (cgroup id, 64).

	Source
	    Open            bool     1: the source was opened, 0: it was closed
	    Kind            str      conntrack, proc, dns, rdns, sockets or closes
	    Netns           u64      inode of the network namespace that it observes; 0: unknown, or all
	    Interface       str      dns: the interface; empty: all
	    Buffer          u64      bytes of kernel buffer
	    Snaplen         u32      dns: bytes kept of a packet
	    Why             str      why it was closed or is degraded; a further record of an open source replaces it

	Tick
	    Number          u64      from 1: a report may be made now
	    Interval        i64      the interval that this tick closes

	ConntrackDump
	    Number          u64      from 1, the same at begin and end
	    Entries         u64      at the end: how many the kernel sent
	    Failed          str      at the end: why the dump is incomplete; empty if it is complete

	ProcNet
	    Netns           u64
	    Table           str      tcp, tcp6, udp or udp6 of /proc/PID/net
	    Absent          bool     there is no such file, which differs from an empty file
	    ReadStart       i64      time at which reading began
	    ReadEnd         i64      and ended
	    Part            u32      from 0
	    More            bool     another part of the same reading follows
	    Text            bin      whole lines

	ProcWalk
	    Number          u64      from 1, the same at begin and end
	    Processes       u64      at the end: processes visited
	    Netns           u64      at the end: namespaces visited
	    Failed          str      at the end: why the walk is void; empty if it is complete

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
	    Inodes          [u64]    of the sockets that it owns
	    Partial         bool     its descriptors could not all be read

	ProcUnchanged
	    Netns           u64
	    Table           str      the table whose last reading is still valid
	    Checked         i64      time at which the kernel's counters showed that

	DNS
	    Interface       u32      index; 0: unknown
	    Direction       u8       0 unknown, 1 in, 2 out
	    Length          u32      bytes on the wire
	    Packet          bin      from the IP header on, at most snaplen bytes

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
	    Value           str      empty: the host has no sysctl of that name

	Gap
	    Lost            u64      messages, packets or readings that the source lost here; 0: unknown
	    Exact           bool     counted by the kernel, not estimated
	    Why             str
	    Since           i64      time of the last moment at which nothing was lost yet; 0: unknown; not written while it is 0; since 1.2

	Clock
	    Step            i64      by which the wall clock was stepped; positive: forward
	    Wall            i64      wall clock after the step, since 1970

	Mark
	    Text            str      a user's note

	Witness
	    Tick            u64      number of the tick before it; the digests are of the report made there
	    Rules           str      rules of that report
	    Core            u32      core version of that report
	    Coverage        u64      first 8 bytes of the SHA-256 of that section's JSON; of coverage and host_events if there are any
	    Endpoints       u64
	    Names           u64
	    Connections     8 u64    by hash of the tuple; eight elements
	    Attempts        u64      0 and not written if the report has none; since 1.3

	Fault
	    Record          u64      number of the record on which the core panicked
	    Message         str
	    Stack           str

	Carry
	    Core            u32      core version
	    State           bin      what the core knew, in the core's own format
	    Rules           str      since 1.1
	    Part            u32      from 0; since 1.1
	    More            bool     another part of the same state follows; since 1.1

	End
	    Why             str      why the recording ended
	    Totals          [Total]

	Counters
	    Netns           u64      namespace whose counters they are; 0: unknown
	    Files           [CounterFile] all in a recording's first record, later those that changed

	CounterFile
	    Name            str      path, such as /proc/net/snmp
	    Text            bin      the whole file; empty: there is none

	Stall
	    Duration        i64      for how long the recorder stood still until now

	SocketFormat
	    Text            bin      the tracepoint's file "format"

	Cgroups
	    Part            u32      from 0
	    More            bool     another part of the same list follows
	    Dirs            [Cgroup] all in a recording's first list, later those that no cgroup record shows

	Cgroup
	    Inode           u64      by which samples name it
	    Path            str      from the mount point on, such as /system.slice

	SocketTable
	    Netns           u64
	    Table           str      tcp or tcp6
	    ReadStart       i64      time at which reading began
	    ReadEnd         i64      and ended
	    Part            u32      from 0
	    More            bool     another part of the same reading follows
	    Interrupted     bool     the table changed during the reading: rows may be missing, or twice
	    Messages        bin      whole messages of sock_diag, each aligned to 4 bytes

	Total
	    Source          u32      number of the source
	    Kind            str
	    Received        u64      messages, packets or readings
	    Recorded        u64
	    Lost            u64
	    Undecodable     u64
	    Bytes           u64

At its end, a walk replaces everything that was known from /proc: a namespace that
is not in it is gone. A dump or a walk without an end is void. In a walk, the
socket_table records of a table are a second encoding of its proc_net records.

A processes record lists what runs when the recording begins or after a loss, in the
form of proc_sockets but without inodes.

A carry is at the beginning of a segment or a cut. It is what the core knew at
this place of the recording and cannot know from the records before it on this
tape. It takes effect at its last part, and replaces everything that came before.
Only a core of the same version and rules can read it; every other reader skips it
and knows less.

# Index and foot

They only make reading faster: every record can be found without them. An index
page lists the chunks between the page before it and itself, 4,096 at most.
Offsets count from the first byte of the tape's own head, so tapes can be joined
with cat.

	indexPage
	    previous        u64      offset of the page before it; 0: it is the first
	    entries         [Entry]
	    earlier         u64      offset of the last page before it that has runs; 0: none has; since 1.1
	    runs            [run]    of that page's chunks, and of all after them up to this page's own; since 1.1

	Entry
	    Offset          u64      of the chunk's frame
	    Stored          u64      bytes of the frame, header included
	    Plain           u64      bytes of its records
	    FirstSeq        u64      number of its first numbered record; 0: it has none
	    LastSeq         u64      number of its last numbered record
	    FirstAt         i64      time of its first record
	    LastAt          i64      time of its last record
	    Counts          [Count]

	Count
	    Kind            u8
	    Source          u32
	    Records         u64      of that kind from that source
	    Bytes           u64      of their payloads

	run
	    Offset          u64      of its first chunk's frame
	    Stored          u64      bytes from there to the end of its last chunk's frame
	    Plain           u64      this and the rest as in Entry, for all its chunks together
	    FirstSeq        u64
	    LastSeq         u64
	    FirstAt         i64
	    LastAt          i64
	    Counts          [Count]
	    chunks          u64      how many, at least 1
	    page            u64      offset of the page that lists them

Counts are in the order of their first records. A run is a sequence of consecutive
chunks of one page. A chunk with a record of kind source, conntrack_dump_begin,
conntrack_dump_end, host, gap, clock, mark, fault, end or stall is a run of its own, so
these records can be found from the last page alone. A chunk with
more than 256 counts is a run of its own, too; a run of several chunks never has
so many.

The last of several pages has the runs of all pages before it: in its own runs, and
in those of the page named by earlier, and so on. It may list no chunk. When as
many runs are pending as a page can list, the next page has them, and the list of
runs begins again. If the last page names a page before it and has no runs, the
tape was written without runs: a reader reads all pages. A run is wrong if the
entries of its chunks do not add up to it.

The foot's payload is plain and has a fixed size, 46 bytes, so that the last 99
bytes of a file are the foot. In a newer version it may have more elements.

	95  cf own offset  cf offset of the last index page  cf chunks  cf records  cf time of the last record

# How a tape ends

A tape is closed when its last record is of kind end, its last frame is the foot,
the foot counts the chunks and records that were read, and nothing was damaged.
It is cut when it ends at a frame's boundary without those: the recording is still
running, or the recorder was killed. It is torn when it ends inside a frame, or
when anything before the end was damaged. Only a closed tape is complete. During
the recording a tape's name ends in .partial; a file that kept that name is a tape
like any other, usually cut.

A tape also ends before a head that is not its own: before a head with another file
id, and after the foot before any head or a frame of another major version. So
tapes that were joined with cat can be separated; each has its own ending.

Damage is one of these, and nothing else:

  - bytes that begin no frame;
  - a frame whose header or payload fails its checksum, or whose payload cannot be
    decoded;
  - a frame with another file id or major version, with an unexpected number, or
    after the foot;
  - a foot that differs from what was read;
  - bytes in a chunk that are no record, or a record whose number or time goes
    back; the rest of the chunk is then lost.

A tape whose head is damaged cannot be read: a reader skips it, up to the next head.
After any other damage a reader searches for the next frame, from the byte after the one
where the damage began: sync string, correct header checksum, the tape's file id,
and a number not below the expected one; or the head of another tape. So every
record that is read is one that was written, and in order.

# Versions

A new minor version adds elements to objects, record kinds, and frame kinds from
64 on. Older readers skip all of these, frames with any coding (1.0 skips codings
0 and 1 only), and count the records. A frame kind below 64, a coding or a major
version that a reader does not know needs a newer reader. That is an error of its
own, *VersionError here, which is never used for damage. Bytes are of another major
version if they have its sync string and the header checksum would not be correct
for ours. Kind numbers are never reused, and no element changes its meaning.

	1.0   the first
	1.1   Header: Others. Carry: Rules, Part, More. indexPage: earlier, runs
	1.2   Gap: Since. The kinds counters and stall
	1.3   Witness: Attempts. The kinds socket_format to socket_close

# What surprises

A Reader does not decode payloads; Record.Decode does. A malformed payload is not
damage: the tape contains what the kernel or an older tool wrote, and the core
decides what to do with it.

Byte slices in a record, and in payloads decoded from it, point into the Reader's
buffer: they are valid until the next call of Next.
*/
package tape
