package collect

import (
	"encoding/binary"
	"errors"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Bits of perf_event_attr that the unix package lacks (linux/perf_event.h).
const (
	bitNamespaces = 1 << 28 // since Linux 4.12
	bitCgroup     = 1 << 32 // since Linux 5.7
)

// Features of a ring that old kernels, or some configurations, lack.
type features struct {
	cgroup     bool // samples have the task's cgroup; new cgroups are records
	namespaces bool // the namespaces of a thread are records
	total      bool // the number of lost records can be read
}

// featureSets are tried in this order.
var featureSets = []features{
	{cgroup: true, namespaces: true, total: true},
	{cgroup: true, namespaces: true},
	{namespaces: true, total: true},
	{namespaces: true},
	{},
}

// perfAttr returns the arguments of perf_event_open.
func perfAttr(id uint64, f features) *unix.PerfEventAttr {
	a := &unix.PerfEventAttr{
		Type: unix.PERF_TYPE_TRACEPOINT, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})), Config: id,
		Sample:      1, // every event; the kernel throttles only longer periods of a tracepoint
		Sample_type: unix.PERF_SAMPLE_TID | unix.PERF_SAMPLE_TIME | unix.PERF_SAMPLE_RAW,
		Bits: unix.PerfBitDisabled | unix.PerfBitComm | unix.PerfBitCommExec | unix.PerfBitTask |
			unix.PerfBitSampleIDAll | unix.PerfBitUseClockID,
		Clockid: unix.CLOCK_MONOTONIC,
	}
	if f.cgroup {
		a.Sample_type |= unix.PERF_SAMPLE_CGROUP
		a.Bits |= bitCgroup
	}
	if f.namespaces {
		a.Bits |= bitNamespaces
	}
	if f.total {
		a.Read_format = unix.PERF_FORMAT_LOST
	}
	return a
}

// A ring is the buffer into which the kernel writes the records of one processor.
type ring struct {
	cpu  int
	fd   int
	mem  []byte
	page *unix.PerfEventMmapPage
	data []byte
	gone bool // its processor went offline: the ring is closed after its last record

	head, at uint64 // end of what was written, and the next record, in bytes since the start
	next     struct {
		kind, size int
		time       int64 // ns of CLOCK_MONOTONIC
	}

	last    int64  // time of the last record that was read
	lost    uint64 // records, as the ring shows
	counted uint64 // of these, those that a gap record has
}

// openRing opens a processor's ring, which is not enabled yet.
func openRing(attr *unix.PerfEventAttr, cpu, pages int, filter string) (_ *ring, err error) {
	r := &ring{cpu: cpu}
	if r.fd, err = unix.PerfEventOpen(attr, -1, cpu, -1, unix.PERF_FLAG_FD_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("perf_event_open", err)
	}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	text, err := unix.BytePtrFromString(filter)
	if err != nil {
		return nil, err
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(r.fd), unix.PERF_EVENT_IOC_SET_FILTER, uintptr(unsafe.Pointer(text))); errno != 0 {
		return nil, os.NewSyscallError("set the filter of the tracepoint", errno)
	}
	page := os.Getpagesize()
	if r.mem, err = unix.Mmap(r.fd, 0, (1+pages)*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	r.page, r.data = (*unix.PerfEventMmapPage)(unsafe.Pointer(&r.mem[0])), r.mem[page:]
	return r, nil
}

func (r *ring) close() {
	if r.mem != nil {
		unix.Munmap(r.mem)
	}
	unix.Close(r.fd)
}

// enable begins or ends the writing of records.
func (r *ring) enable(on bool) error {
	op := uint(unix.PERF_EVENT_IOC_ENABLE)
	if !on {
		op = unix.PERF_EVENT_IOC_DISABLE
	}
	return os.NewSyscallError("ioctl of a perf event", unix.IoctlSetInt(r.fd, op, 0))
}

// look notes how far the kernel has written.
func (r *ring) look() { r.head = atomic.LoadUint64(&r.page.Data_head) }

// free returns the room of the records that were read to the kernel.
func (r *ring) free() { atomic.StoreUint64(&r.page.Data_tail, r.at) }

// u32 and u64 read a value of the record at an offset. Records are aligned to 8 bytes, so
// none of their aligned values is split at the ring's end.
func (r *ring) u32(offset int) uint32 {
	return binary.NativeEndian.Uint32(r.data[(r.at+uint64(offset))&uint64(len(r.data)-1):])
}

func (r *ring) u64(offset int) uint64 {
	return binary.NativeEndian.Uint64(r.data[(r.at+uint64(offset))&uint64(len(r.data)-1):])
}

var errRing = errors.New("the kernel's ring has no record where one begins")

// peek reads the header and the time of the next record; more is false if there is none.
func (r *ring) peek() (more bool, err error) {
	if r.at == r.head {
		return false, nil
	}
	header := r.u64(0) // type, misc, size
	var b [8]byte
	binary.NativeEndian.PutUint64(b[:], header)
	r.next.kind, r.next.size = int(binary.NativeEndian.Uint32(b[:])), int(binary.NativeEndian.Uint16(b[6:]))
	if r.next.size < perfHeader+perfTrailer || r.next.size%8 != 0 || uint64(r.next.size) > r.head-r.at {
		return false, errRing
	}
	r.next.time = int64(r.u64(r.next.size - 8))
	if r.next.kind == unix.PERF_RECORD_SAMPLE {
		r.next.time = int64(r.u64(perfHeader + 8))
	}
	return true, nil
}

// append appends the next record, which may be split at the ring's end.
func (r *ring) append(b []byte) []byte {
	at := int(r.at & uint64(len(r.data)-1))
	first := min(r.next.size, len(r.data)-at)
	b = append(b, r.data[at:at+first]...)
	return append(b, r.data[:r.next.size-first]...)
}

// pop moves on to the record after the next one.
func (r *ring) pop() {
	r.at += uint64(r.next.size)
	r.last = r.next.time
}

// total reads how many records the kernel has lost since the ring was opened, more than
// the ring shows if nothing was written since. It is 0 if the kernel does not say.
func (r *ring) total() uint64 {
	var b [16]byte // value, lost
	n, err := unix.Read(r.fd, b[:])
	if err != nil || n < len(b) {
		return 0
	}
	return binary.NativeEndian.Uint64(b[8:])
}

// Parts of a record (linux/perf_event.h).
const (
	perfHeader  = 8  // type, misc, size
	perfTrailer = 16 // pid, tid, time: at the end of all records but samples
	rawStart    = perfHeader + 8 + 8 + 4
)

// byTime orders rings by the times of their next records: container/heap.
type byTime []*ring

func (h byTime) Len() int           { return len(h) }
func (h byTime) Less(i, j int) bool { return h[i].next.time < h[j].next.time }
func (h byTime) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *byTime) Push(r any)        { *h = append(*h, r.(*ring)) }
func (h *byTime) Pop() any {
	last := len(*h) - 1
	r := (*h)[last]
	*h = (*h)[:last]
	return r
}

// lockedMemory reports whether the ring is larger than the process may lock, or than the
// kernel has.
func lockedMemory(err error) bool {
	var call *os.SyscallError
	return errors.As(err, &call) && call.Syscall == "mmap"
}
