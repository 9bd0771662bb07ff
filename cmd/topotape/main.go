// Topotape is a flight recorder for network topology: it records what a
// topology agent sees of a host, and replays it to the same reports.
package main

import "os"

func main() {
	os.Exit(run(os.Args[1:]))
}
