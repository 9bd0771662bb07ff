package reporter

import (
	"github.com/topotape/topotape/capture"
)

// Limits of the counters that are kept: files, and bytes of all records together. A first record
// of a host with 4,096 CPUs has 1.2 MB.
const (
	maxCounterFiles = 64
	maxCounterName  = 256 // bytes
	maxCounterBytes = 16 << 20
)

// counterEvidence is the last counters record of each file, and the last stall. Records of other
// files may repeat older values of a file: reports show no event before their first window.
type counterEvidence struct {
	last  map[counterFile]*capture.Record
	stall *capture.Record // since the last complete walk, nil if there is none
}

// A counterFile is a file of counters in a network namespace.
type counterFile struct {
	netns uint64
	name  string
}

// add adds a record.
func (c *counterEvidence) add(r *capture.Record) {
	k := copyRecord(r)
	if r.Kind == capture.KindStall {
		c.stall = &k
		return
	}
	var p capture.Counters
	if len(r.Payload) > maxCounterBytes/4 || r.Decode(&p) != nil {
		return
	}
	if c.last == nil {
		c.last = make(map[counterFile]*capture.Record)
	}
	for i := range p.Files {
		f := counterFile{p.Netns, p.Files[i].Name}
		if _, known := c.last[f]; known || len(c.last) < maxCounterFiles && len(f.name) <= maxCounterName {
			c.last[f] = &k
		}
	}
	if size := c.size(); size > maxCounterBytes {
		clear(c.last)
	}
}

// size returns the bytes of all records.
func (c *counterEvidence) size() (n int) {
	counted := make(map[*capture.Record]bool)
	for _, r := range c.last { // the order cannot matter: a sum
		if !counted[r] {
			counted[r] = true
			n += len(r.Payload)
		}
	}
	return n
}

// walked drops a stall before the begin of the last complete walk.
func (c *counterEvidence) walked(begin uint64) {
	if c.stall != nil && c.stall.Seq < begin {
		c.stall = nil
	}
}

// appendTo appends the records. A record of several files is appended several times.
func (c *counterEvidence) appendTo(out []capture.Record) []capture.Record {
	for _, r := range c.last { // sorted below, in Records
		out = append(out, *r)
	}
	if c.stall != nil {
		out = append(out, *c.stall)
	}
	return out
}
