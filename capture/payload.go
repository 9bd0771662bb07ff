package capture

import "slices"

// Kinds of sources, for Source.Kind.
const (
	SourceConntrack = "conntrack"
	SourceProc      = "proc"
	SourceDNS       = "dns"
	SourceRDNS      = "rdns"
	SourceSockets   = "sockets"
	SourceCloses    = "closes"
)

// usualSources are the kinds of sources by the numbers that the recorder gives them.
var usualSources = [...]string{"recorder", SourceConntrack, SourceProc, SourceDNS, SourceRDNS, SourceSockets, SourceCloses}

// UsualSources returns the kinds of sources in the order of their usual numbers, from 1.
func UsualSources() []string { return slices.Clone(usualSources[1:]) }

// UsualSource returns the kind of a source with this number on a tape that has no source
// record about it, "" if there is none. Number 0 is the recorder.
func UsualSource(number uint32) string {
	if int(number) < len(usualSources) {
		return usualSources[number]
	}
	return ""
}

// Source opens or closes the source whose number the record carries. A further record
// of an open source replaces the one before: it is degraded for another reason, or for
// none.
type Source struct {
	Open      bool
	Kind      string // SourceConntrack, SourceProc, SourceDNS, SourceRDNS, SourceSockets or SourceCloses
	Netns     uint64 // inode of the network namespace it observes; 0: unknown, or all
	Interface string // dns: the interface, "" for all
	Buffer    uint64 // bytes of kernel buffer
	Snaplen   uint32 // dns: bytes kept of a packet
	Why       string // why it was closed or is degraded
}

// Tick marks a time at which a report may be made.
type Tick struct {
	Number   uint64 // from 1
	Interval int64  // ns; the interval that this tick closes
}

// ConntrackDump marks the beginning or the end of one dump of the table.
type ConntrackDump struct {
	Number  uint64 // from 1, the same at begin and end
	Entries uint64 // at the end: how many the kernel sent
	Failed  string // at the end: why the dump is incomplete, "" if it is complete
}

// ProcNet contains whole lines of one /proc/PID/net table of one namespace. A
// table over 1 MiB is several records; More is set in all but the last.
type ProcNet struct {
	Netns     uint64
	Table     string // tcp, tcp6, udp or udp6
	Absent    bool   // there is no such file (IPv6 may be off); differs from an empty one
	ReadStart int64  // At when the reading began
	ReadEnd   int64  // At when it ended
	Part      uint32 // from 0
	More      bool   // another part of the same reading follows
	Text      []byte
}

// ProcWalk marks the beginning or the end of one walk of /proc. At its end the
// walk replaces everything that was known: a namespace that is not in it is gone.
type ProcWalk struct {
	Number    uint64 // from 1, the same at begin and end
	Processes uint64 // at the end: processes visited
	Netns     uint64 // at the end: namespaces visited
	Failed    string // at the end: why the walk is void, "" if it is complete
}

// ProcSockets lists processes of one namespace with the inodes of the sockets
// that they own. A socket can have several owners. A record of KindProcesses lists
// all processes, without inodes: what ran when the recording began, or after a loss.
type ProcSockets struct {
	Netns     uint64
	Part      uint32
	More      bool
	Processes []Process
}

// A Process and the sockets that it owns.
type Process struct {
	PID     uint32
	PPID    uint32
	Start   uint64 // clock ticks after boot (field 22 of /proc/PID/stat)
	Comm    string
	Cgroup  []byte // /proc/PID/cgroup as read
	Inodes  []uint64
	Partial bool // its descriptors could not all be read
}

// ProcUnchanged says that the last reading of a table is still valid: the
// kernel's counters show that nothing changed since.
type ProcUnchanged struct {
	Netns   uint64
	Table   string
	Checked int64 // At when the counters were read
}

// Directions of a packet.
const (
	DirectionUnknown = 0
	DirectionIn      = 1
	DirectionOut     = 2
)

// DNS is one packet from the network header on.
type DNS struct {
	Interface uint32 // index; 0 unknown
	Direction uint8
	Length    uint32 // on the wire; Packet may be cut to the snaplen
	Packet    []byte
}

// ReverseName is one reverse look-up and its answer.
type ReverseName struct {
	Addr  string
	Names []string
	Error string
	TTL   int64 // ns
}

// Host has the facts about the machine. It is recorded again when they change.
type Host struct {
	ID            string
	Name          string
	BootID        string
	Kernel        string
	Interfaces    []Interface
	Routes        []string // destination prefixes in the main tables
	LocalNetworks []string // prefixes
	Sysctls       []Sysctl
}

// maxHost bounds the elements of a Host's lists: readers keep sets of them.
const maxHost = 256 << 10

// elements returns how many elements the lists have.
func (h *Host) elements() int {
	n := len(h.Interfaces) + len(h.Routes) + len(h.LocalNetworks) + len(h.Sysctls)
	for i := range h.Interfaces {
		n += len(h.Interfaces[i].Addresses)
	}
	return n
}

// An Interface of the host.
type Interface struct {
	Index     uint32
	Name      string
	Addresses []string // prefixes
}

// A Sysctl that affects what the sources can see. Value is "" if the host has
// none of that name.
type Sysctl struct {
	Name  string
	Value string
}

// Gap says how much the record's source lost, at the place where it was lost.
type Gap struct {
	Lost  uint64 // messages, packets or readings; 0 if the number is unknown
	Exact bool   // counted by the kernel, not estimated
	Why   string
	Since int64 // At of the last moment at which nothing was lost yet; 0 if unknown
}

// Clock says that the wall clock was stepped.
type Clock struct {
	Step int64 // ns, positive forward
	Wall int64 // Unix ns after the step
}

// Counters has the text of the host's counters and settings, once an interval. The first
// record of a recording has all files, later ones have those that changed.
type Counters struct {
	Netns uint64 // namespace whose counters they are; 0: unknown
	Files []CounterFile
}

// A CounterFile is the whole text of a file of /proc. Text is empty if there is none.
type CounterFile struct {
	Name string // path, such as /proc/net/snmp
	Text []byte
}

// SocketFormat has the layout of the kernel's samples of sock:inet_sock_set_state: the
// text of the tracepoint's file "format".
type SocketFormat struct{ Text []byte }

// Cgroups lists directories of the cgroup file system: all when the recording began, later
// those that the ring did not show. Of large lists, More is set in all but the last record.
type Cgroups struct {
	Part uint32 // from 0
	More bool
	Dirs []Cgroup
}

// A Cgroup is a directory of the cgroup file system. Inode is the number by which samples
// name it.
type Cgroup struct {
	Inode uint64
	Path  string // from the mount point on, such as /system.slice
}

// SocketTable has the answer of sock_diag about one table of one namespace: what ProcNet
// has as text. A table over 1 MiB is several records; More is set in all but the last.
type SocketTable struct {
	Netns       uint64
	Table       string // tcp or tcp6
	ReadStart   int64  // At when the reading began
	ReadEnd     int64  // At when it ended
	Part        uint32 // from 0
	More        bool   // another part of the same reading follows
	Interrupted bool   // the table changed during the dump: rows may be missing or stand twice
	Messages    []byte // whole netlink messages, each aligned to 4 bytes
}

// Stall says that the recorder stood still until now: it was stopped, frozen or starved.
type Stall struct {
	Duration int64 // ns
}

// Mark is a user's note.
type Mark struct{ Text string }

// Digests are hashes of a report's sections.
type Digests struct {
	Coverage    uint64
	Endpoints   uint64
	Names       uint64
	Connections [8]uint64 // by hash of the tuple
	Attempts    uint64    // 0 if the report has none
}

// Witness has the digests of the report that was made at the tick before it.
type Witness struct {
	Tick    uint64
	Rules   string
	Core    uint32 // core version
	Digests Digests
}

// Fault says that the core panicked; the recording went on without it.
type Fault struct {
	Record  uint64 // number of the record on which it panicked
	Message string
	Stack   string
}

// Carry is at the beginning of a segment or a cut. It is what the core knew at
// this place of the recording and cannot know from the records before it on this
// tape. Only a core of the same version and rules can read it. It takes effect at
// its last part, and replaces everything that came before.
type Carry struct {
	Core  uint32 // core version
	State []byte // in the core's own format
	Rules string
	Part  uint32 // from 0
	More  bool   // another part of the same state follows
}

// End is the last record of a recording.
type End struct {
	Why    string
	Totals []Total
}

// Total of one source over the whole recording.
type Total struct {
	Source      uint32
	Kind        string
	Received    uint64
	Recorded    uint64
	Lost        uint64
	Undecodable uint64
	Bytes       uint64
}

func (*Source) is(k Kind) bool        { return k == KindSource }
func (*Tick) is(k Kind) bool          { return k == KindTick }
func (*ConntrackDump) is(k Kind) bool { return k == KindDumpBegin || k == KindDumpEnd }
func (*ProcNet) is(k Kind) bool       { return k == KindProcNet }
func (*ProcWalk) is(k Kind) bool      { return k == KindWalkBegin || k == KindWalkEnd }
func (*ProcSockets) is(k Kind) bool   { return k == KindProcSockets || k == KindProcesses }
func (*ProcUnchanged) is(k Kind) bool { return k == KindProcUnchanged }
func (*DNS) is(k Kind) bool           { return k == KindDNS }
func (*ReverseName) is(k Kind) bool   { return k == KindReverseName }
func (*Host) is(k Kind) bool          { return k == KindHost }
func (*Gap) is(k Kind) bool           { return k == KindGap }
func (*Clock) is(k Kind) bool         { return k == KindClock }
func (*Mark) is(k Kind) bool          { return k == KindMark }
func (*Witness) is(k Kind) bool       { return k == KindWitness }
func (*Fault) is(k Kind) bool         { return k == KindFault }
func (*Carry) is(k Kind) bool         { return k == KindCarry }
func (*End) is(k Kind) bool           { return k == KindEnd }
func (*Counters) is(k Kind) bool      { return k == KindCounters }
func (*Stall) is(k Kind) bool         { return k == KindStall }
func (*SocketFormat) is(k Kind) bool  { return k == KindSocketFormat }
func (*Cgroups) is(k Kind) bool       { return k == KindCgroups }
func (*SocketTable) is(k Kind) bool   { return k == KindSocketTable }

// New returns an empty payload of the type that belongs to the kind, nil for
// the raw kinds and unknown ones.
func (k Kind) New() Payload {
	switch k {
	case KindSource:
		return new(Source)
	case KindTick:
		return new(Tick)
	case KindDumpBegin, KindDumpEnd:
		return new(ConntrackDump)
	case KindProcNet:
		return new(ProcNet)
	case KindWalkBegin, KindWalkEnd:
		return new(ProcWalk)
	case KindProcSockets, KindProcesses:
		return new(ProcSockets)
	case KindProcUnchanged:
		return new(ProcUnchanged)
	case KindDNS:
		return new(DNS)
	case KindReverseName:
		return new(ReverseName)
	case KindHost:
		return new(Host)
	case KindGap:
		return new(Gap)
	case KindClock:
		return new(Clock)
	case KindMark:
		return new(Mark)
	case KindWitness:
		return new(Witness)
	case KindFault:
		return new(Fault)
	case KindCarry:
		return new(Carry)
	case KindEnd:
		return new(End)
	case KindCounters:
		return new(Counters)
	case KindStall:
		return new(Stall)
	case KindSocketFormat:
		return new(SocketFormat)
	case KindCgroups:
		return new(Cgroups)
	case KindSocketTable:
		return new(SocketTable)
	}
	return nil
}
