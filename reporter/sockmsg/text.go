package sockmsg

import (
	"fmt"
)

// flagNames are the names of the flags in texts.
var flagNames = [...]struct {
	flag uint8
	name string
}{{FlagHardIRQ, "HARDIRQ"}, {FlagSoftIRQ, "SOFTIRQ"}, {FlagNMI, "NMI"}, {FlagBHOff, "BH_OFF"}}

// AppendText decodes a record of the ring and appends it to b as a line for people, without the newline. f is the layout
// of samples. After an error, one of decoding, b is returned as it was.
func AppendText(b []byte, f *Format, record []byte, bigEndian bool) ([]byte, error) {
	if len(record) >= headerLen && order(bigEndian).Uint32(record) == typeSample {
		var e Event
		if err := f.Decode(&e, record, bigEndian); err != nil {
			return b, err
		}
		return e.appendText(b), nil
	}
	var p Process
	if err := DecodeProcess(&p, record, bigEndian); err != nil {
		return b, err
	}
	return p.appendText(b), nil
}

func (e *Event) appendText(b []byte) []byte {
	b = appendTask(append(b, "pid "...), e.PID, e.TID)
	b = fmt.Appendf(b, " %v -> %v %v -> %v", e.Old, e.New, e.Local, e.Remote)
	switch e.Protocol {
	case TCP:
	case MPTCP:
		b = append(b, " mptcp"...)
	default:
		b = fmt.Appendf(b, " protocol %d", e.Protocol)
	}
	b = fmt.Appendf(b, " socket %x", e.Socket)
	if e.Cgroup != 0 {
		b = fmt.Appendf(b, " cgroup %d", e.Cgroup)
	}
	sep := " ["
	for _, f := range flagNames {
		if e.Flags&f.flag != 0 {
			b = append(append(b, sep...), f.name...)
			sep = " "
		}
	}
	if sep == " " {
		b = append(b, ']')
	}
	return b
}

func (p *Process) appendText(b []byte) []byte {
	switch p.Kind {
	case Fork:
		return appendTask(append(appendTask(append(b, "fork "...), p.PID, p.TID), " of "...), p.PPID, p.PTID)
	case Exit:
		return appendTask(append(b, "exit "...), p.PID, p.TID)
	case Comm:
		b = fmt.Appendf(appendTask(append(b, "comm "...), p.PID, p.TID), " %q", p.Comm)
		if p.Exec {
			b = append(b, " (exec)"...)
		}
		return b
	case Namespaces:
		return fmt.Appendf(appendTask(append(b, "namespaces "...), p.PID, p.TID), ": net %d", p.Netns)
	}
	return fmt.Appendf(b, "cgroup %d %q", p.Cgroup, p.Path)
}

// appendTask appends a process, and the thread if it is not the leader.
func appendTask(b []byte, pid, tid uint32) []byte {
	b = fmt.Append(b, pid)
	if tid != pid {
		b = fmt.Appendf(b, "/%d", tid)
	}
	return b
}
