package collect

import (
	"os"
	"slices"
	"strings"
)

// A mount is a mounted file system, as /proc/PID/mountinfo shows it (proc(5)).
type mount struct {
	point   string
	kind    string   // such as proc or cgroup2
	options []string // of the file system
}

// has reports whether the file system has an option.
func (m *mount) has(option string) bool { return slices.Contains(m.options, option) }

// mounts returns what the process's mount namespace has mounted, nothing if /proc does
// not show it. Later ones cover those before.
func mounts() []mount {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	return parseMounts(string(text))
}

// escapes are the characters of a mount point that mountinfo writes in octal.
var escapes = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

func parseMounts(text string) (list []mount) {
	for line := range strings.Lines(text) {
		place, device, _ := strings.Cut(line, " - ")
		before, after := strings.Fields(place), strings.Fields(device)
		if len(before) >= 6 && len(after) >= 3 {
			list = append(list, mount{escapes.Replace(before[4]), after[0], strings.Split(after[2], ",")})
		}
	}
	return list
}

// lastMount returns the last mount that satisfies ok, nil if none does.
func lastMount(list []mount, ok func(*mount) bool) (found *mount) {
	for i := range list {
		if ok(&list[i]) {
			found = &list[i]
		}
	}
	return found
}
