package reporter

import (
	"maps"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/source"
)

// A reading is the records of one reading of a table, or of one list of
// processes.
type reading struct {
	key   source.TableKey
	parts []capture.Record
}

// ownersTable is the name that lists of processes have among the tables.
const ownersTable = "owners"

// A walkStep is one record of a walk, with the reading that it asserts again if it only
// does that.
type walkStep struct {
	capture.Record
	unchanged *reading
}

// walkEvidence is what the last whole walk of /proc brought, and what the one
// that goes on has brought so far.
type walkEvidence struct {
	last, current []walkStep
	walking       bool
	beginSeq      uint64                       // record of the begin of the walk that goes on
	wholeSeq      uint64                       // record of the begin of the last whole walk
	readings      map[source.TableKey]*reading // the last of each
	outside       []*reading                   // of tables outside a walk since the last whole one
	size          int                          // bytes of what came since then, or since the walk's begin
}

// grow counts the bytes of a record. If they are too many, all that came since the last
// whole walk is forgotten.
func (w *walkEvidence) countBytes(r *capture.Record) {
	if w.size += len(r.Payload) + 64; w.size > source.MaxWalk {
		w.walking, w.current, w.outside, w.readings, w.size = false, nil, nil, nil, 0
	}
}

// add adds a record. It returns true when a whole walk has ended.
func (w *walkEvidence) add(r *capture.Record) (whole bool) {
	switch r.Kind {
	case capture.KindWalkBegin:
		w.walking, w.beginSeq, w.current, w.size = true, r.Seq, []walkStep{{Record: copyRecord(r)}}, 0
	case capture.KindWalkEnd:
		return w.end(r)
	case capture.KindProcNet:
		var p capture.ProcNet
		if r.Decode(&p) == nil {
			w.read(r, source.TableKey{Netns: p.Netns, Name: p.Table}, p.Part)
		}
	case capture.KindProcSockets:
		var p capture.ProcSockets
		if r.Decode(&p) == nil {
			w.read(r, source.TableKey{Netns: p.Netns, Name: ownersTable}, p.Part)
		}
	case capture.KindProcUnchanged:
		var p capture.ProcUnchanged
		if r.Decode(&p) != nil || !w.walking {
			break
		}
		if w.countBytes(r); w.walking {
			w.current = append(w.current, walkStep{copyRecord(r), w.readings[source.TableKey{Netns: p.Netns, Name: p.Table}]})
		}
	}
	return false
}

func (w *walkEvidence) read(r *capture.Record, key source.TableKey, part uint32) {
	w.countBytes(r)
	if w.readings == nil {
		w.readings = make(map[source.TableKey]*reading)
	}
	k := copyRecord(r)
	table := w.readings[key]
	if part == 0 || table == nil {
		table = &reading{key: key}
		w.readings[key] = table
		if !w.walking {
			w.outside = append(slices.DeleteFunc(w.outside, func(o *reading) bool { return o.key == key }), table)
		}
	}
	table.parts = append(table.parts, k)
	if w.walking {
		w.current = append(w.current, walkStep{Record: k})
	}
}

func (w *walkEvidence) end(r *capture.Record) (whole bool) {
	var p capture.ProcWalk
	if r.Decode(&p) != nil || !w.walking {
		return false
	}
	w.walking = false
	if p.Failed != "" {
		w.current = nil
		return false
	}
	w.last, w.current, w.outside, w.wholeSeq, w.size = append(w.current, walkStep{Record: copyRecord(r)}), nil, nil, w.beginSeq, 0
	unchanged := make(map[*reading]bool)
	for i := range w.last {
		unchanged[w.last[i].unchanged] = true
	}
	maps.DeleteFunc(w.readings, func(_ source.TableKey, m *reading) bool { // of namespaces that are gone
		return !unchanged[m] && m.parts[len(m.parts)-1].Seq < w.beginSeq
	})
	return true
}

func (w *walkEvidence) appendTo(out []capture.Record) []capture.Record {
	appended := make(map[*reading]bool)
	for _, steps := range [...][]walkStep{w.last, w.current} {
		for i := range steps {
			if table := steps[i].unchanged; table != nil && !appended[table] {
				appended[table] = true
				out = append(out, table.parts...)
			}
			out = append(out, steps[i].Record)
		}
	}
	for _, table := range w.outside {
		out = append(out, table.parts...)
	}
	return out
}
