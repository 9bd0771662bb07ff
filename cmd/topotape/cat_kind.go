package main

import (
	"fmt"
	"strings"

	"github.com/topotape/topotape/capture"
)

// kindFlag is a flag that takes kinds of records, with commas between; given
// again, it adds some.
type kindFlag map[capture.Kind]bool

func (f *kindFlag) Set(s string) error {
	for _, name := range strings.Split(s, ",") {
		kind, ok := parseKind(strings.TrimSpace(name))
		if !ok {
			return fmt.Errorf("no kind %q; there are %s", name, kindNames())
		}
		if *f == nil {
			*f = kindFlag{}
		}
		(*f)[kind] = true
	}
	return nil
}

func (f *kindFlag) Type() string   { return "kind" }
func (f *kindFlag) String() string { return "" }

func parseKind(name string) (capture.Kind, bool) {
	for k := capture.Kind(1); k.Known(); k++ {
		if k.String() == name {
			return k, true
		}
	}
	return 0, false
}

func kindNames() string {
	var names []string
	for k := capture.Kind(1); k.Known(); k++ {
		names = append(names, k.String())
	}
	return strings.Join(names, ", ")
}
