package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// maxAlike is how many boxes may look the same before they become one.
const maxAlike = 8

// bundle makes one box of many that differ in nothing but their address: outside
// of the host, without a process, with the same lines to the same boxes, and as
// servers with the same port.
func (d *drawer) bundle() {
	looks := d.looks()
	alike := map[string][]*box{}
	for i, n := range d.boxList {
		if looks[i] != "" {
			alike[looks[i]] = append(alike[looks[i]], n)
		}
	}
	moved := make([]int, len(d.boxList)) // index in the old list to index in the new one
	var boxes []*box
	for i, n := range d.boxList {
		all := alike[looks[i]]
		if len(all) <= maxAlike || all[0] == n {
			moved[i] = len(boxes)
			boxes = append(boxes, n)
			continue
		}
		moved[i] = moved[all[0].at]
		all[0].more++
		maps.Copy(all[0].names, n.names)
	}
	d.boxList = boxes
	for i, n := range boxes {
		n.at = i
	}
	d.moveLines(moved)
}

// looks describes each box that may be bundled by all that it shows but its
// address; the others have "".
func (d *drawer) looks() []string {
	links := make([][]string, len(d.boxList))
	hasAlias := make([]bool, len(d.boxList))
	for _, l := range d.lineList {
		look := fmt.Sprint(l.line, l.closed, l.mayHaveClosed, l.side)
		links[l.from] = append(links[l.from], fmt.Sprintf(">%d %s", l.to, look))
		links[l.to] = append(links[l.to], fmt.Sprintf("<%d %s", l.from, look))
		if l.line == lineAlias {
			hasAlias[l.from], hasAlias[l.to] = true, true
		}
	}
	looks := make([]string, len(d.boxList))
	for i, n := range d.boxList {
		if n.frame >= 0 || len(n.processes) > 0 || hasAlias[i] {
			continue
		}
		slices.Sort(links[i])
		looks[i] = fmt.Sprint(n.side, n.server, strings.Join(links[i], ","))
		if n.server {
			looks[i] += fmt.Sprint(n.ports) // a server's box has one
		}
	}
	return looks
}

// moveLines connects the lines to the boxes' new places and adds up those that
// became the same.
func (d *drawer) moveLines(moved []int) {
	old := d.lineList
	d.lineList, d.lines = nil, map[lineKey]*boxLine{}
	for _, l := range old {
		l.from, l.to = moved[l.from], moved[l.to]
		same := d.lines[l.lineKey]
		if same == nil {
			d.lines[l.lineKey] = l
			d.lineList = append(d.lineList, l)
			continue
		}
		same.count[0] += l.count[0]
		same.count[1] += l.count[1]
		same.side |= l.side
	}
}
