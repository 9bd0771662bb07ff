package sockmsg

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// A ProcessKind is what a Process event is about.
type ProcessKind uint8

// The kinds of Process events.
const (
	Comm       ProcessKind = iota + 1 // a thread has a name
	Fork                              // a thread or process began
	Exit                              // a thread or process ended
	Namespaces                        // a thread has namespaces: it began, or entered others
	Cgroup                            // a cgroup was made
)

// A Process is an event in the life of a process.
type Process struct {
	Kind       ProcessKind
	PID, TID   uint32 // of the process and its thread; the thread with the process's number is its leader
	PPID, PTID uint32 // Fork, Exit: of the parent
	Time       int64  // ns of CLOCK_MONOTONIC
	Comm       string // Comm: the name, without what follows its first zero
	Exec       bool   // Comm: by exec
	Netns      uint64 // Namespaces: inode of the network namespace
	Cgroup     uint64 // Cgroup: its id
	Path       string // Cgroup: from the mount point on
}

// Leader reports whether the event is about the thread that stands for its process.
func (p *Process) Leader() bool { return p.PID == p.TID }

// maxNamespaces bounds how many namespaces a task has: the kernel has 7 kinds of them.
const maxNamespaces = 64

// DecodeProcess reads any record but a sample. Strings are copied.
func DecodeProcess(p *Process, b []byte, bigEndian bool) error {
	o := order(bigEndian)
	kind, misc, b, err := begin(b, o)
	if err != nil {
		return err
	}
	if len(b) < trailerLen+8 {
		return errShort
	}
	body, trailer := b[:len(b)-trailerLen], b[len(b)-trailerLen:]
	*p = Process{PID: o.Uint32(body), TID: o.Uint32(body[4:]), Time: int64(o.Uint64(trailer[8:]))}
	rest := body[8:]
	switch kind {
	case typeComm:
		p.Kind, p.Exec, p.Comm = Comm, misc&miscExec != 0, text(rest)
	case typeFork, typeExit:
		if len(rest) < 16 {
			return errShort
		}
		p.Kind, p.PPID, p.TID, p.PTID = Fork, p.TID, o.Uint32(rest), o.Uint32(rest[4:])
		if kind == typeExit {
			p.Kind = Exit
		}
	case typeNamespaces:
		p.Kind = Namespaces
		return p.namespaces(rest, o)
	case typeCgroup:
		p.Kind, p.Cgroup, p.Path = Cgroup, o.Uint64(body), text(rest)
		p.PID, p.TID = o.Uint32(trailer), o.Uint32(trailer[4:])
	default:
		return fmt.Errorf("type %d of a record of the ring", kind)
	}
	return nil
}

// namespaces reads the network namespace, which is the first of the list.
func (p *Process) namespaces(b []byte, o binary.ByteOrder) error {
	if len(b) < 8 {
		return errShort
	}
	n := o.Uint64(b)
	if b = b[8:]; n == 0 || n > maxNamespaces || uint64(len(b)) < 16*n {
		return fmt.Errorf("%d namespaces in %d bytes", n, len(b))
	}
	p.Netns = o.Uint64(b[8:])
	return nil
}

// text returns a string up to its first zero.
func text(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return string(b)
}

// Append appends the record.
func (p *Process) Append(b []byte, bigEndian bool) []byte {
	o := order(bigEndian)
	kinds := [...]uint32{Comm: typeComm, Fork: typeFork, Exit: typeExit, Namespaces: typeNamespaces, Cgroup: typeCgroup}
	misc := uint16(0)
	if p.Exec {
		misc = miscExec
	}
	b, done := appendHeader(b, kinds[p.Kind], misc, o)
	switch p.Kind {
	case Comm:
		b = appendText(append32(append32(b, p.PID, o), p.TID, o), p.Comm)
	case Fork, Exit:
		b = append32(append32(append32(append32(b, p.PID, o), p.PPID, o), p.TID, o), p.PTID, o)
		b = append64(b, uint64(p.Time), o)
	case Namespaces:
		b = append32(append32(b, p.PID, o), p.TID, o)
		b = append64(append64(append64(b, 1, o), 0, o), p.Netns, o)
	case Cgroup:
		b = appendText(append64(b, p.Cgroup, o), p.Path)
	}
	b = append32(append32(b, p.PID, o), p.TID, o)
	return done(append64(b, uint64(p.Time), o))
}

// appendText appends a text and zeros, at least one, up to a multiple of eight bytes.
func appendText(b []byte, s string) []byte {
	b = append(b, s...)
	return append(b, make([]byte, 8-len(s)%8)...)
}
