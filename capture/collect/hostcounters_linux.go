package collect

import (
	"bytes"
	"strings"

	"github.com/topotape/topotape/capture"
	"golang.org/x/sys/unix"
)

// maxCounters bounds the text of one file of counters, in bytes. softnet_stat has
// 150 bytes for each processor.
const maxCounters = 64 << 10

// counterFiles are the files of HostCounters. Of those with a prefix, only the
// lines that begin with it are kept.
var counterFiles = [...]struct{ name, prefix string }{
	{"/proc/net/stat/nf_conntrack", ""},
	{"/proc/net/snmp", "Tcp:"},
	{"/proc/net/netstat", "TcpExt:"},
	{"/proc/net/softnet_stat", ""},
	{"/proc/sys/net/netfilter/nf_conntrack_count", ""},
	{"/proc/sys/net/netfilter/nf_conntrack_max", ""},
	{"/proc/sys/net/netfilter/nf_conntrack_events", ""},
	{"/proc/sys/net/netfilter/nf_conntrack_acct", ""},
	{"/proc/sys/net/netfilter/nf_conntrack_timestamp", ""},
	{"/proc/sys/net/netfilter/nf_conntrack_tcp_loose", ""},
}

// HostCounters reads the counters and settings of one network namespace. It is
// used by one goroutine at a time.
type HostCounters struct {
	netns uint64
	files [len(counterFiles)]countersFile
	buf   []byte
	begun bool // Changed was called
}

// A countersFile remembers the text of a file as of the last reading.
type countersFile struct {
	rereadable
	text []byte
}

// OpenHostCounters opens the files of the calling thread's network namespace. A
// file that is missing is tried again at each reading.
func OpenHostCounters() *HostCounters {
	h := &HostCounters{netns: netnsInode(), buf: make([]byte, maxCounters+1)}
	for i, f := range counterFiles {
		h.files[i].rereadable = newRereadable(f.name)
	}
	return h
}

// Changed reads all files and returns those that differ from the last call, at
// the first call all of them; nil if none differs. The text is valid until the
// next call.
func (h *HostCounters) Changed() *capture.Counters {
	c := capture.Counters{Netns: h.netns}
	for i := range h.files {
		f := &h.files[i]
		text := pickLines(f.read(h.buf), counterFiles[i].prefix)
		if h.begun && bytes.Equal(text, f.text) {
			continue
		}
		f.text = append(f.text[:0], text...)
		c.Files = append(c.Files, capture.CounterFile{Name: counterFiles[i].name, Text: f.text})
	}
	h.begun = true
	if len(c.Files) == 0 {
		return nil
	}
	return &c
}

// Close closes the files.
func (h *HostCounters) Close() {
	for i := range h.files {
		h.files[i].close()
	}
}

// pickLines keeps the whole lines that begin with the prefix, in place, at most
// maxCounters bytes of them.
func pickLines(text []byte, prefix string) []byte {
	kept := text[:0]
	for len(text) > 0 {
		n := bytes.IndexByte(text, '\n') + 1
		if n == 0 {
			n = len(text)
		}
		if bytes.HasPrefix(text, []byte(prefix)) {
			if len(kept)+n > maxCounters {
				break
			}
			kept = append(kept, text[:n]...)
		}
		text = text[n:]
	}
	return kept
}

// A rereadable is a file of /proc that stays open, so that it shows the network
// namespace in which it was opened, and reading it again is one system call.
type rereadable struct {
	path string
	fd   int // -1 while there is no such file
}

// newRereadable opens a file. A path in /proc/net is of the calling thread's
// namespace.
func newRereadable(path string) rereadable {
	f := rereadable{path: path, fd: -1}
	f.open()
	return f
}

func (f *rereadable) open() {
	path := f.path
	if rest, ok := strings.CutPrefix(path, "/proc/net/"); ok {
		path = "/proc/thread-self/net/" + rest
	}
	fd, err := openat(unix.AT_FDCWD, path, unix.O_RDONLY)
	if err != nil {
		fd = -1
	}
	f.fd = fd
}

// read reads the file into buf, as much as fits. It returns nothing if there is no
// such file, and opens one that appears.
func (f *rereadable) read(buf []byte) []byte {
	if f.fd < 0 {
		if f.open(); f.fd < 0 {
			return nil
		}
	}
	for n := 0; ; {
		m, err := unix.Pread(f.fd, buf[n:], int64(n))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			f.close()
			return nil
		}
		n += m
		if m == 0 || n == len(buf) {
			return buf[:n]
		}
	}
}

func (f *rereadable) close() {
	if f.fd >= 0 {
		unix.Close(f.fd)
		f.fd = -1
	}
}
