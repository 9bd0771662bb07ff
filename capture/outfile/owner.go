package outfile

import (
	"fmt"
	"math"
	"os"
	"strconv"
)

// Own gives a file or directory that root made to the user who called sudo. It changes
// nothing if we are not root, or not by sudo.
func Own(f *os.File) error {
	uid, gid, err := sudoUser(os.Geteuid(), os.Getenv)
	if err != nil || uid < 0 {
		return err
	}
	return f.Chown(uid, gid)
}

// sudoUser returns the user and the group of the user who called sudo, -1 if nobody
// did.
func sudoUser(euid int, env func(string) string) (uid, gid int, err error) {
	user, group := env("SUDO_UID"), env("SUDO_GID")
	if euid != 0 || user == "" && group == "" {
		return -1, -1, nil
	}
	if uid, err = parseID("SUDO_UID", user); err == nil {
		gid, err = parseID("SUDO_GID", group)
	}
	if err != nil {
		return -1, -1, err
	}
	return uid, gid, nil
}

// parseID parses the number of a user or group. The largest one, which chown takes as
// "unchanged", is none.
func parseID(name, text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == math.MaxUint32 {
		return -1, fmt.Errorf("%s=%q is not the number of a user or group; run topotape by sudo, or unset it", name, text)
	}
	return int(n), nil
}
