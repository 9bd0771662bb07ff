//go:build !unix

package outfile

import (
	"fmt"
	"io/fs"
	"os"
)

const noFollow = 0

func lock(*os.File, bool) bool { return true }

func links(fs.FileInfo) uint64 { return 1 }

func syncDirectory(*os.Root) error { return nil }

func duplicate(_ int, name string) (*os.File, error) {
	return nil, fmt.Errorf("%s: this system has no names of open files; use -", name)
}
