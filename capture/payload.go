package capture

// Source kinds, as Source.Kind and coverage spell them.
const (
	SourceConntrack = "conntrack"
	SourceProc      = "proc"
	SourceDNS       = "dns"
	SourceRDNS      = "rdns"
)

// Source opens or closes the source whose number the record carries.
type Source struct {
	Open      bool
	Kind      string // SourceConntrack, SourceProc, SourceDNS or SourceRDNS
	Netns     uint64 // inode of the namespace it sees; 0 unknown or all
	Interface string // dns: the interface, "" for all
	Buffer    uint64 // bytes of kernel buffer
	Snaplen   uint32 // dns: bytes kept of a packet
	Why       string // when closed, or opened degraded: the reason
}

// Tick says that a report may be made now.
type Tick struct {
	Number   uint64 // from 1
	Interval int64  // ns; the interval that this tick closes
}

// ConntrackDump marks the begin or the end of one table dump.
type ConntrackDump struct {
	Number  uint64 // from 1, the same at begin and end
	Entries uint64 // at the end: how many the kernel sent
	Failed  string // at the end: why the dump is incomplete, "" when it is whole
}

// ProcNet is whole lines of one /proc/PID/net table of one namespace. A table
// over 1 MiB is several records; Last marks the final one.
type ProcNet struct {
	Netns     uint64
	Table     string // tcp, tcp6, udp or udp6
	Absent    bool   // there is no such file (IPv6 may be off); not the same as empty
	ReadStart int64  // At when the read began and ended
	ReadEnd   int64
	Part      uint32 // from 0
	More      bool   // another part of the same reading follows
	Text      []byte
}

// ProcWalk marks the begin or the end of one walk of /proc. At its end what it
// brought replaces all that was known: a namespace that is not in it is gone.
type ProcWalk struct {
	Number    uint64 // from 1, the same at begin and end
	Processes uint64 // at the end: processes and namespaces visited
	Netns     uint64
	Failed    string // at the end: why the walk is void, "" when it is good
}

// ProcSockets lists processes of one namespace with the socket inodes they
// hold, all owners of an inode, not the last one found.
type ProcSockets struct {
	Netns     uint64
	Part      uint32
	More      bool
	Processes []Process
}

// A Process and the sockets it holds.
type Process struct {
	PID     uint32
	PPID    uint32
	Start   uint64 // clock ticks after boot (field 22 of /proc/PID/stat)
	Comm    string
	Cgroup  []byte // /proc/PID/cgroup as read
	Inodes  []uint64
	Partial bool // its descriptors could not all be read
}

// ProcUnchanged asserts the last reading of a table anew: the kernel's
// counters show that nothing moved since.
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

// Host says what the machine is; again whenever that changes.
type Host struct {
	ID            string
	Name          string
	BootID        string
	Kernel        string
	Interfaces    []Interface
	Routes        []string // destination prefixes of the main tables, textual
	LocalNetworks []string // prefixes
	Sysctls       []Sysctl
}

// An Interface of the host.
type Interface struct {
	Index     uint32
	Name      string
	Addresses []string // prefixes
}

// A Sysctl that matters to what the sources can see. Value is "" when the
// host has none of that name.
type Sysctl struct {
	Name  string
	Value string
}

// Gap says how much the record's source lost, at the place where it was lost.
type Gap struct {
	Lost  uint64 // messages, packets or readings; 0 when only "something" is known
	Exact bool   // counted by the kernel, not estimated
	Why   string
}

// Clock says that the wall clock was stepped.
type Clock struct {
	Step int64 // ns, positive forward
	Wall int64 // Unix ns after the step
}

// Mark is a person's note.
type Mark struct{ Text string }

// Digests are a report's fingerprints, by section.
type Digests struct {
	Coverage    uint64
	Endpoints   uint64
	Names       uint64
	Connections [8]uint64 // by hash of the tuple
}

// Witness holds the digests of the report that was made at the tick before it.
type Witness struct {
	Tick    uint64
	Rules   string
	Core    uint32 // core version
	Digests Digests
}

// Fault says that the core panicked on a record; recording went on without it.
type Fault struct {
	Record  uint64
	Message string
	Stack   string
}

// Carry is what the core knew at this place of the recording that the records
// before it on this tape do not tell: at the head of a segment or a cut. Only a
// core of the same version and rules can read it. It is taken at its last part,
// in place of all that was stepped before.
type Carry struct {
	Core  uint32
	State []byte
	Rules string
	Part  uint32 // from 0
	More  bool   // another part of the same state follows
}

// End closes the recording.
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
func (*ProcSockets) is(k Kind) bool   { return k == KindProcSockets }
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
	case KindProcSockets:
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
	}
	return nil
}
