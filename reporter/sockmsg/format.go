package sockmsg

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/topotape/topotape/capture"
)

// A place is where a field is in the raw data of a sample.
type place struct{ offset, size int }

// Format is the layout of a tracepoint's raw data.
type Format struct {
	flags, socket, old, new, sport, dport, family, protocol, saddr, daddr, saddr6, daddr6 place
	size                                                                                  int // of the raw data at least
}

// fields are the fields by their names in the text.
func (f *Format) fields() map[string]*place {
	return map[string]*place{
		"common_flags": &f.flags, "skaddr": &f.socket, "oldstate": &f.old, "newstate": &f.new, "sport": &f.sport, "dport": &f.dport,
		"family": &f.family, "protocol": &f.protocol, "saddr": &f.saddr, "daddr": &f.daddr, "saddr_v6": &f.saddr6, "daddr_v6": &f.daddr6,
	}
}

// widths are the sizes that a field may have, in bytes.
var widths = map[string]string{
	"common_flags": "1", "skaddr": "4 8", "oldstate": "4", "newstate": "4", "sport": "2", "dport": "2",
	"family": "2", "protocol": "1 2", "saddr": "4", "daddr": "4", "saddr_v6": "16", "daddr_v6": "16",
}

// maxOffset bounds the offset of a field, in bytes.
const maxOffset = 4 << 10

// ParseFormat reads the text of a tracepoint's file "format". The error names what is missing or impossible.
func ParseFormat(text []byte) (Format, error) {
	var f Format
	fields := f.fields()
	for line := range bytes.Lines(text) {
		name, at, ok := parseField(string(line))
		if p := fields[name]; ok && p != nil && p.size == 0 {
			if at.offset > maxOffset || !strings.Contains(" "+widths[name]+" ", " "+strconv.Itoa(at.size)+" ") {
				return Format{}, fmt.Errorf("field %s has offset %d and size %d", name, at.offset, at.size)
			}
			*p = at
			f.size = max(f.size, at.offset+at.size)
		}
	}
	for _, name := range [...]string{"common_flags", "skaddr", "oldstate", "newstate", "sport", "dport", "family", "saddr", "daddr", "saddr_v6", "daddr_v6"} {
		if fields[name].size == 0 {
			return Format{}, errors.New("no field " + name)
		}
	}
	return f, nil
}

// Follow makes the layout that of a record of kind socket_format. Any other record, and one that cannot be decoded,
// leaves it as it is.
func (f *Format) Follow(r *capture.Record) {
	var p capture.SocketFormat
	if r.Kind != capture.KindSocketFormat || r.Decode(&p) != nil {
		return
	}
	if g, err := ParseFormat(p.Text); err == nil {
		*f = g
	}
}

// parseField reads a line such as "field:__u8 saddr[4];	offset:32;	size:4;	signed:0;".
func parseField(line string) (name string, at place, ok bool) {
	declaration, rest, ok := strings.Cut(strings.TrimSpace(line), ";")
	declaration, isField := strings.CutPrefix(declaration, "field:")
	if !ok || !isField {
		return "", place{}, false
	}
	name = declaration[strings.LastIndexAny(declaration, " *")+1:]
	name, _, _ = strings.Cut(name, "[")
	for part := range strings.SplitSeq(rest, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), ":")
		n, err := strconv.ParseUint(value, 10, 16)
		switch {
		case err != nil && (key == "offset" || key == "size"):
			return "", place{}, false
		case key == "offset":
			at.offset = int(n)
		case key == "size":
			at.size = int(n)
		}
	}
	return name, at, at.size > 0
}

// UsualFormat returns the layout that Linux 6.18 has: that of tapes without a format, which are written by hand.
func UsualFormat() Format {
	return Format{
		flags: place{2, 1}, socket: place{8, 8}, old: place{16, 4}, new: place{20, 4}, sport: place{24, 2}, dport: place{26, 2},
		family: place{28, 2}, protocol: place{30, 2}, saddr: place{32, 4}, daddr: place{36, 4}, saddr6: place{40, 16}, daddr6: place{56, 16},
		size: 72,
	}
}
