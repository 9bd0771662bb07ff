package live

import (
	"fmt"
	"os"
	"time"
	"unsafe"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/collect"
	"golang.org/x/sys/unix"
)

// collectors makes the collectors of the chosen sources.
func collectors(o *Options, clock collect.Clock) ([]source, error) {
	var sources []source
	plan := newSizePlan(o)
	for _, kind := range o.Sources {
		s := source{number: number(kind), kind: kind, allowance: plan.allowance(kind, o.Sources)}
		switch kind {
		case capture.SourceConntrack:
			s.Collector = collect.NewConntrack(collect.ConntrackConfig{Source: s.number, Clock: clock, Buffer: o.ConntrackBuffer, Interval: o.Interval, Allowance: s.allowance})
		case capture.SourceProc:
			s.Collector = collect.NewProc(collect.ProcConfig{Source: s.number, Clock: clock, Interval: o.ProcInterval, Allowance: s.allowance})
		case capture.SourceDNS:
			s.Collector = collect.NewDNS(collect.DNSConfig{Source: s.number, Clock: clock, Interval: o.Interval, Allowance: s.allowance})
		case capture.SourceSockets:
			s.Collector = collect.NewSockets(collect.SocketsConfig{Source: s.number, Clock: clock, Interval: o.Interval, Allowance: s.allowance})
		case capture.SourceRDNS:
			s.Collector = collect.NewRDNS(collect.RDNSConfig{Source: s.number, Clock: clock, Allowance: s.allowance})
		case capture.SourceCloses:
			s.Collector = collect.NewCloses(collect.ClosesConfig{Source: s.number, Clock: clock, Interval: o.Interval, Allowance: s.allowance})
		default:
			return nil, fmt.Errorf("no source %q; there are %v", kind, capture.UsualSources())
		}
		sources = append(sources, s)
	}
	return sources, nil
}

func wallClock() int64 { return time.Now().UnixNano() }

// bootClock reads CLOCK_BOOTTIME. It is called for every batch, and a system call
// that enters the runtime's scheduler costs four times as much as a raw one.
func bootClock() int64 {
	var t unix.Timespec
	_, _, errno := unix.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_BOOTTIME, uintptr(unsafe.Pointer(&t)), 0)
	if errno != 0 {
		panic(errno) // Linux has the clock since 2.6.39
	}
	return t.Nano()
}

// diskFree returns how many bytes an unprivileged user can still write to the
// file's disk, -1 if that is unknown.
func diskFree(f *os.File) int64 {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return -1
	}
	return int64(st.Bavail) * int64(st.Bsize)
}

func datasync(f *os.File) error {
	return os.NewSyscallError("fdatasync", unix.Fdatasync(int(f.Fd())))
}

// usage returns the CPU time and the peak resident memory of this process.
func usage() (cpu time.Duration, memory int64) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0, 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), int64(u.Maxrss) * 1024
}

// IsTerminal reports whether the file is a terminal.
func IsTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
