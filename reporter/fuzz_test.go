package reporter

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/procnet"
)

// FuzzStep feeds the core any records in any order and looks at what every
// report must be: sorted, whole, and the same twice. The input is a program:
// a byte for the kind, one for the source, a length and the payload; kinds above
// the known ones are well-formed records with few different values, so that
// they meet.
func FuzzStep(f *testing.F) {
	f.Add([]byte{200, 1, 0, 200, 3, 1, 2, 1, 0})
	f.Add(randomProgram(1))
	f.Add(randomProgram(2))
	f.Add([]byte{4, 1, 0, 230, 2, 7, 6, 1, 0, 8, 2, 1, 0x90, 210, 5, 9, 9, 2, 1, 0x90, 2, 0, 1, 0x90, 15, 1, 1, 0x90, 2, 0, 1, 0x90})
	f.Fuzz(func(t *testing.T, program []byte) {
		if len(program) > 1<<12 {
			return
		}
		playTwice(t, program)
	})
}

// playTwice makes every report, then every third one only: a report must not depend on
// which others were made. It does so under all rules.
func playTwice(t *testing.T, program []byte) {
	for _, rules := range []string{RulesCurrent, RulesScope2016} {
		all, some := play(t, rules, program, 1), play(t, rules, program, 3)
		for tick := range some {
			if some[tick] != nil && !bytes.Equal(all[tick], some[tick]) {
				t.Errorf("%s: tick %d:\n%s\nwithout the reports before it:\n%s", rules, tick, all[tick], some[tick])
				return
			}
		}
	}
}

// randomProgram is 300 well-formed records.
func randomProgram(seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 0))
	var p []byte
	for range 300 {
		p = append(p, 128|byte(rng.Uint32()), byte(rng.Uint32()), byte(rng.Uint32()))
	}
	return p
}

func TestAnyOrderIsSurvived(t *testing.T) {
	for seed := range uint64(200) {
		if playTwice(t, randomProgram(seed)); t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// play returns the report of every tick, of those that were asked for.
func play(t *testing.T, rules string, program []byte, every int) [][]byte {
	r, err := New(&capture.Header{HostID: "h"}, rules)
	if err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	for _, rec := range programRecords(program) {
		if r.Step(&rec) {
			out = append(out, nil)
			if len(out)%every == 0 {
				rep := r.Report()
				checkReport(t, rep)
				d := rep.Digests()
				out[len(out)-1] = binary.BigEndian.AppendUint64(rep.AppendJSON(nil), d.Endpoints)
			}
		}
	}
	return out
}

// programRecords is what the program says.
func programRecords(program []byte) (out []capture.Record) {
	rec := capture.Record{}
	for at := 0; at+3 <= len(program); {
		op, source, n := program[at], program[at+1], int(program[at+2])
		at += 3
		rec.Seq++
		rec.At += int64(source) * 1e8
		rec.Source = uint32(source % 6)
		if op < 128 {
			n = min(n, len(program)-at)
			rec.Kind, rec.Payload = capture.Kind(op%24), program[at:at+n]
			at += n
		} else {
			rec.Kind, rec.Payload = wellFormed(op, source, byte(n))
		}
		out = append(out, rec)
	}
	return out
}

// wellFormed makes records of few flows and few sockets.
func wellFormed(op, x, y byte) (capture.Kind, []byte) {
	addrs := []string{"10.0.0.1:1000", "10.0.0.2:80", "10.0.0.3:8080", "127.0.0.1:1000", "127.0.0.1:80", "10.0.0.1:80", "[2001:db8::1]:80", "[::1]:1000"}
	pick := func(b byte) string { return addrs[int(b)%len(addrs)] }
	t := ends(pick(x) + ">" + pick(y))
	switch op % 8 {
	case 0, 1, 2, 3:
		m := ctmsg.Message{Type: ctmsg.Type(op%4 + 1), ID: uint32(y) & 1, Zone: uint16(x) >> 7, HasStatus: true, Status: ctmsg.Status(x) & 6,
			HasState: y&0x80 == 0, State: ctmsg.State(x>>2) % 10,
			Orig: ctmsg.TupleOf(t.src, t.dst, 6), Reply: ctmsg.TupleOf(t.dst, t.src, 6)}
		if !m.HasState {
			m.State = 0
		}
		if op&0x10 != 0 {
			o := tcpFrom(pick(x+y) + ">" + pick(0))
			m.Reply.SrcIP, m.Reply.SrcPort = o.SrcIP, o.SrcPort
		}
		if op&0x20 != 0 {
			m.Reply.Proto = 17
		}
		if m.Type == ctmsg.Dump {
			return capture.KindDumpEntry, m.Append(nil, false)
		}
		return capture.KindConntrack, m.Append(nil, false)
	case 4:
		row := procnet.AppendRow(nil, 0, procnet.Row{Local: t.src, Remote: t.dst, State: procnet.State(op>>3)%12 + 1, Inode: uint64(x & 3)}, false, false)
		return capture.KindProcNet, capture.AppendPayload(nil, &capture.ProcNet{Netns: uint64(y & 1), Table: "tcp", Text: row, Part: uint32(op >> 6 & 1)})
	case 5:
		return capture.KindWalkBegin, capture.AppendPayload(nil, &capture.ProcWalk{})
	case 6:
		return capture.KindWalkEnd, capture.AppendPayload(nil, &capture.ProcWalk{})
	}
	return capture.KindTick, capture.AppendPayload(nil, &capture.Tick{})
}

func checkReport(t *testing.T, r *Report) {
	ids := map[string]bool{}
	for i := range r.Endpoints {
		if i > 0 && r.Endpoints[i-1].Compare(&r.Endpoints[i]) >= 0 {
			t.Errorf("endpoints %q and %q", r.Endpoints[i-1].ID(), r.Endpoints[i].ID())
		}
		ids[r.Endpoints[i].Addr.String()] = true
	}
	for i := range r.Connections {
		c := &r.Connections[i]
		if !c.From.Addr.IsValid() || !c.To.Addr.IsValid() || !ids[c.From.Addr.String()] || !ids[c.To.Addr.String()] {
			t.Errorf("connection %s lacks an end", c.text())
		}
		if c.FirstSeen > c.LastSeen || len(c.Seen) == 0 || c.Direction == "" || c.Closed && c.MayHaveClosed {
			t.Errorf("connection %+v", c)
		}
		if i > 0 {
			p := &r.Connections[i-1]
			if n := p.From.Addr.Compare(c.From.Addr); n > 0 || n == 0 && p.To.Addr.Compare(c.To.Addr) > 0 {
				t.Errorf("%s precedes %s", p.text(), c.text())
			}
		}
	}
}
