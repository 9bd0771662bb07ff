package capture

// Format is the major version of the container, part of every frame's sync
// string; Minor counts what was added without breaking older readers.
const (
	Format = 1
	Minor  = 1
)

// A Header is what a tape says of itself before its first record.
type Header struct {
	Minor         uint32   // of the format
	Tool          string   // version of the tool that wrote it
	Core          uint32   // core version of that tool
	TapeID        [16]byte // random; of a built tape a hash of its content
	Recording     [16]byte // the same in every segment of one recording
	Segment       uint32   // from 0
	Start         int64    // wall clock at At 0, Unix ns
	BigEndian     bool     // byte order of the recorded host
	HostID        string
	HostName      string
	LocalNetworks []string // prefixes given by hand
	Recorder      string   // who recorded it
	Command       []string // and with which command
	Note          string
	Derived       Derived // zero for a recording
}

// Derived says from what a tape was made.
type Derived struct {
	Verb   string   // cut, merge, build, …; "" for a recording
	Parent [16]byte // the parent's tape id
	SHA256 [32]byte // of the parent's bytes
	Args   []string
	Others []Parent // merge: the tapes beside Parent, in the order in which they were named
}

// A Parent is a tape that another one was made from.
type Parent struct {
	TapeID [16]byte
	SHA256 [32]byte // of its bytes
}

// Origin returns the ID of the recording that numbered the records of this tape.
func (h *Header) Origin() [16]byte {
	if h.Recording == [16]byte{} {
		return h.TapeID
	}
	return h.Recording
}

// Continues reports whether h is the next segment of the recording that before
// belongs to. A nil before is no segment.
func (h *Header) Continues(before *Header) bool {
	return before != nil && h.Recording != [16]byte{} && h.Recording == before.Recording && h.Segment == before.Segment+1
}
