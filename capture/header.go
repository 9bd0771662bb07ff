package capture

// A Header describes a tape. It is the payload of the tape's first frame.
type Header struct {
	Minor         uint32   // minor version of the format
	Tool          string   // version of the tool that wrote it
	Core          uint32   // core version of that tool
	TapeID        [16]byte // random; in a built tape a hash of its content
	Recording     [16]byte // the same in every segment of one recording
	Segment       uint32   // from 0
	Start         int64    // wall clock at At 0, Unix ns
	BigEndian     bool     // byte order of the recorded host
	HostID        string
	HostName      string
	LocalNetworks []string // prefixes that the user named
	Recorder      string   // the person who recorded it
	Command       []string // the command line
	Note          string
	Derived       Derived // zero for a recording
}

// Derived describes how a tape was made from others.
type Derived struct {
	Verb   string   // cut, merge, build, …; "" for a recording
	Parent [16]byte // the parent's tape id
	SHA256 [32]byte // of the parent's bytes
	Args   []string
	Others []Parent // merge: the tapes besides Parent, in the order in which they were named
}

// A Parent is a tape from which another one was made.
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
