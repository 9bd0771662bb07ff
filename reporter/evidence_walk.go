package reporter

import (
	"maps"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/packed"
	"github.com/topotape/topotape/reporter/source"
)

// A reading is the records of one reading of a table of sockets, or of one list of
// processes.
type reading struct{ parts []packed.Record }

// ownersTable is the table name in the key of a list of processes.
const ownersTable = "owners"

// A walkStep is one record of a walk. If the record only shows that a table has not changed,
// unchanged is the last reading of that table.
type walkStep struct {
	packed.Record
	unchanged *reading
}

// walkEvidence is the records of the last complete walk of /proc, and of the current walk so
// far.
type walkEvidence struct {
	last, current []walkStep
	walking       bool
	beginSeq      uint64                       // number of the record that began the current walk
	completeSeq   uint64                       // number of the record that began the last complete walk
	readings      map[source.TableKey]*reading // the last one of each table
	outside       map[source.TableKey]*reading // outside a walk, since the last complete one
	size          int                          // bytes in memory of the current walk and of the readings outside one
	plain         int                          // bytes of their payloads
}

// Bounds of the current walk and of the readings outside one, in bytes: what they take in
// memory, with recordCost for each record, and what the payloads are.
const (
	maxEvidence      = 40 << 20
	maxEvidencePlain = 256 << 20
	recordCost       = 512
)

// keep returns a packed copy of a record and counts its bytes. If there are too many, it
// drops the current walk and all readings.
func (w *walkEvidence) keep(r *capture.Record, packer *packed.Packer) packed.Record {
	k := packer.PackRecord(r)
	w.size += k.Size() + recordCost
	w.plain += len(r.Payload)
	if w.size > maxEvidence || w.plain > maxEvidencePlain {
		w.walking, w.current, w.outside, w.readings = false, nil, nil, nil
		w.size, w.plain = 0, 0
	}
	return k
}

// add adds a record of /proc. It returns true if the record completes a walk.
func (w *walkEvidence) add(r *capture.Record, packer *packed.Packer) (complete bool) {
	switch r.Kind {
	case capture.KindWalkBegin:
		w.size, w.plain = 0, 0
		w.walking, w.beginSeq, w.current = true, r.Seq, []walkStep{{Record: packer.PackRecord(r)}}
	case capture.KindWalkEnd:
		return w.end(r, packer)
	case capture.KindProcNet:
		var p capture.ProcNet
		if r.Decode(&p) == nil {
			w.read(r, source.TableKey{Netns: p.Netns, Name: p.Table}, p.Part, packer)
		}
	case capture.KindSocketTable:
		var p capture.SocketTable
		if r.Decode(&p) == nil {
			w.read(r, source.TableKey{Netns: p.Netns, Name: p.Table}, p.Part, packer)
		}
	case capture.KindProcSockets:
		var p capture.ProcSockets
		if r.Decode(&p) == nil {
			w.read(r, source.TableKey{Netns: p.Netns, Name: ownersTable}, p.Part, packer)
		}
	case capture.KindProcUnchanged:
		var p capture.ProcUnchanged
		if r.Decode(&p) != nil || !w.walking {
			break
		}
		if k := w.keep(r, packer); w.walking {
			w.current = append(w.current, walkStep{k, w.readings[source.TableKey{Netns: p.Netns, Name: p.Table}]})
		}
	}
	return false
}

// read adds one part of a reading.
func (w *walkEvidence) read(r *capture.Record, key source.TableKey, part uint32, packer *packed.Packer) {
	k := w.keep(r, packer)
	if w.readings == nil {
		w.readings = make(map[source.TableKey]*reading)
	}
	table := w.readings[key]
	if part == 0 || table == nil {
		table = new(reading)
		w.readings[key] = table
		if !w.walking {
			if w.outside == nil {
				w.outside = make(map[source.TableKey]*reading)
			}
			w.outside[key] = table
		}
	}
	table.parts = append(table.parts, k)
	if w.walking {
		w.current = append(w.current, walkStep{Record: k})
	}
}

// end ends the walk. A failed walk is dropped.
func (w *walkEvidence) end(r *capture.Record, packer *packed.Packer) (complete bool) {
	var p capture.ProcWalk
	if r.Decode(&p) != nil || !w.walking {
		return false
	}
	w.walking = false
	if p.Failed != "" {
		w.current = nil
		return false
	}
	w.last, w.current, w.outside, w.completeSeq = append(w.current, walkStep{Record: packer.PackRecord(r)}), nil, nil, w.beginSeq
	w.size, w.plain = 0, 0
	unchanged := make(map[*reading]bool)
	for i := range w.last {
		unchanged[w.last[i].unchanged] = true
	}
	maps.DeleteFunc(w.readings, func(_ source.TableKey, table *reading) bool { // tables that the walk did not find
		return !unchanged[table] && table.parts[len(table.parts)-1].Seq < w.beginSeq
	})
	return true
}

// appendTo appends the records of the walks, and the readings that they show as unchanged.
func (w *walkEvidence) appendTo(out []packed.Record) []packed.Record {
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
	for _, table := range w.outside { // sorted below, in Records
		out = append(out, table.parts...)
	}
	return out
}
