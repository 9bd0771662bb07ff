// Check passes if package tiny does what it says.
package main

import (
	"os"

	"github.com/topotape/topotape/tools/mutate/testdata/tiny"
)

func main() {
	if tiny.Sum(5) != 10 || !tiny.Small(1) || tiny.Small(-1) || tiny.Small(11) || string(tiny.Spare([]byte("ab"))) != "ab" ||
		tiny.Kind(3) != "three" || tiny.Kind(4) != "" {
		os.Exit(1)
	}
}
