// Package sockmsg reads and writes what the kernel's perf rings say about TCP sockets and processes: samples of the
// tracepoint sock:inet_sock_set_state, and the records about the life of processes beside them. It is pure: bytes in,
// values out, no state.
//
// Format.Decode reads a sample, DecodeProcess any other record. Both have a method Append that writes the bytes, and
// AppendText writes either as a line for people.
//
// # The bytes
//
// One record of the ring, in the byte order of the host that recorded it. Every record begins with struct
// perf_event_header and is a multiple of eight bytes long:
//
//	 0                4        6        8
//	+----------------+--------+--------+----------+
//	| type           | misc   | size   | ...      |
//	+----------------+--------+--------+----------+
//
//	SAMPLE 9         pid, tid; time; length of the raw data, raw data; cgroup (since Linux 5.7)
//	COMM 3           pid, tid; name, zeros            misc 0x2000: by exec
//	EXIT 4, FORK 7   pid, parent's pid; tid, parent's tid; time
//	NAMESPACES 16    pid, tid; number of namespaces; device and inode of each, the network first
//	CGROUP 19        id; path, zeros
//
// All but samples end with the pid, the tid and the time of whoever caused them. Times are ns of CLOCK_MONOTONIC.
//
// The raw data are the fields of the tracepoint, whose offsets differ between kernels. The file "format" of the
// tracepoint lists them; ParseFormat reads it. A tape has its text before the first sample.
//
// # What surprises
//
// The process of a sample is whoever had the processor. In an interrupt, and while another task's packet is delivered,
// that is a stranger: see Event.InProcess, and package current for what a sample proves.
//
// The socket's number is the kernel's address of it, hashed with a key of the recording, so that a tape does not show
// where the kernel's memory is. The kernel reuses addresses, so a number can be another socket later.
package sockmsg
