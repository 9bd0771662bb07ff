package collect

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// procNeeds names what seeing every process's namespace and sockets needs.
const procNeeds = "needs CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH: run as root"

// hiddenWhy returns why the sockets of processes are hidden, "" if none is: hidden
// ones of all can be listed and not read. A process that a security module hides from
// a caller with all capabilities does not count: the walks list it as partial.
func hiddenWhy(hidden, all int) string {
	if hidden == 0 || capable(unix.CAP_SYS_PTRACE, unix.CAP_DAC_READ_SEARCH) {
		return ""
	}
	return fmt.Sprintf("the sockets of %d of %d processes are hidden: %s", hidden, all, procNeeds)
}

// unlistedWhy returns why a procfs does not list all processes, "" if it does: with
// the mount option hidepid, it lists those of the caller only. Process 1 always
// exists, so only a list without it is suspicious.
func unlistedWhy(root string, pids []uint32) string {
	if len(pids) == 0 || pids[0] == 1 {
		return ""
	}
	option := hidepidOption(mounts(), root)
	if option == "" {
		return ""
	}
	return fmt.Sprintf("only %d of about %s processes and threads can be seen: %s is mounted with %s; "+
		"run as root, with CAP_SYS_PTRACE, or in the group of its gid= option", len(pids), threads(), root, option)
}

// hidepidOption returns the option hidepid of the procfs that is mounted at a path,
// "" if it has none.
func hidepidOption(mounts []mount, path string) string {
	proc := lastMount(mounts, func(m *mount) bool { return m.kind == "proc" && m.point == path })
	if proc == nil {
		return ""
	}
	for _, o := range proc.options {
		if strings.HasPrefix(o, "hidepid=") {
			return o
		}
	}
	return ""
}

// threads returns how many threads the kernel has, which it shows to everyone.
func threads() string {
	fields := strings.Fields(readLine("/proc/loadavg"))
	if len(fields) < 4 {
		return "an unknown number of"
	}
	_, all, _ := strings.Cut(fields[3], "/")
	return all
}

// capable reports whether the calling thread has all of the capabilities.
func capable(caps ...int) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&header, &data[0]) != nil {
		return false
	}
	for _, c := range caps {
		if data[c/32].Effective&(1<<(c%32)) == 0 {
			return false
		}
	}
	return true
}
