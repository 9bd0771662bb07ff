package main

import (
	"bytes"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/fixtures/ingest"
	"github.com/topotape/topotape/fixtures/script"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/reporter/report"
)

// throughPackets returns the tape that build makes from the output of cat --format
// pcapng.
func throughPackets(t *testing.T, tape []byte) []byte {
	t.Helper()
	file, _ := packetsOf(t, tape)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	list, err := ingest.Build(&out, []ingest.Input{{Name: "x.pcapng", Data: bytes.NewReader(b), Size: int64(len(b))}}, ingest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !list[0].Complete() {
		t.Errorf("lost: %s", list[0].String())
	}
	return out.Bytes()
}

// tracked returns the connections, names and coverage of a tape that come from
// conntrack and DNS, without times, which in a pcapng start at the first packet.
func tracked(t *testing.T, tape []byte) (lines []string) {
	t.Helper()
	_, err := replay.Run([]replay.Input{inputOf("x", tape)}, replay.Options{Reports: replay.Whole}, func(r *report.Report) error {
		shown := map[string]bool{}
		for _, c := range r.Connections {
			if c.Seen[0] == "conntrack" {
				lines = append(lines, fmt.Sprint(c.Proto, c.From.Addr, c.To.Addr, c.State, c.Direction, c.NAT, c.Closed))
				shown[c.From.Addr.Addr().String()], shown[c.To.Addr.Addr().String()] = true, true
			}
		}
		for _, n := range r.Names {
			if shown[n.Addr.String()] {
				lines = append(lines, fmt.Sprint(n.Addr, n.Forward))
			}
		}
		for _, c := range r.Coverage {
			if c.State == report.CoverageOK {
				c.Why = "" // it is known only from socket tables
			}
			if c.Source != "proc" {
				lines = append(lines, fmt.Sprint(c))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// A recording that went through a pcapng shows the same connections, except those
// known only from socket tables.
func TestPcapngShowsTheSameConnections(t *testing.T) {
	tape, err := os.ReadFile("../../fixtures/lab-gateway/capture.tape")
	if err != nil {
		t.Fatal(err)
	}
	want, got := tracked(t, tape), tracked(t, throughPackets(t, tape))
	if len(want) < 50 || !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

const dumpScript = `{"tape":{"host_id":"host1","host_name":"host1","start":"2026-01-02T03:04:05Z","local_networks":[]%s}}
{"at":"0s","conntrack_dump":{"phase":"begin"}}
{"at":"1s","conntrack":{"type":"update","id":8,"state":"ESTABLISHED","orig":{"proto":"tcp","src":"10.0.0.1","dst":"10.0.0.2","sport":5000,"dport":443}}}
{"at":"1s","conntrack":{"type":"dump","id":9,"state":"ESTABLISHED","orig":{"proto":"tcp","src":"10.0.0.1","dst":"10.0.0.2","sport":5001,"dport":443}}}
{"at":"2s","conntrack":{"type":"destroy","id":8,"orig":{"proto":"tcp","src":"10.0.0.1","dst":"10.0.0.2","sport":5000,"dport":443}}}
{"at":"2s","conntrack":{"type":"dump","id":7,"state":"ESTABLISHED","orig":{"proto":"tcp","src":"10.0.0.1","dst":"10.0.0.2","sport":5002,"dport":443}}}
{"at":"2s","conntrack_dump":{"phase":"end","entries":2}}
{"at":"3s","gap":{"source":"conntrack","lost":42,"exact":true,"why":"buffer full: lost"}}
{"at":"3s","gap":{"source":"conntrack","lost":7}}
{"at":"3s","gap":{"source":"conntrack","lost":0,"why":"something"}}
{"at":"4s","conntrack_dump":{"phase":"begin"}}
{"at":"4s","conntrack":{"type":"dump","id":9,"state":"ESTABLISHED","orig":{"proto":"tcp","src":"10.0.0.1","dst":"10.0.0.2","sport":5001,"dport":443}}}
{"at":"5s","conntrack_dump":{"phase":"end","entries":1,"failed":"interrupted"}}
{"at":"6s","conntrack_dump":{"phase":"begin"}}
{"at":"7s","conntrack_dump":{"phase":"end","entries":0}}
{"at":"12s","mark":{"text":"the end"}}
`

// A pcapng keeps the places of dumps (complete, failed and empty) and of gaps, and the
// time of the end.
func TestPcapngKeepsDumpsAndGaps(t *testing.T) {
	for _, big := range []string{"", `,"big_endian":true`} {
		var tape bytes.Buffer
		if err := script.Build(&tape, strings.NewReader(fmt.Sprintf(dumpScript, big)), script.Options{}); err != nil {
			t.Fatal(err)
		}
		want, got := evidenceOf(t, tape.Bytes()), evidenceOf(t, throughPackets(t, tape.Bytes()))
		if len(want) < 15 || !reflect.DeepEqual(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// evidenceOf returns the conntrack messages, dumps and gaps of a tape, and its end.
func evidenceOf(t *testing.T, tape []byte) (lines []string) {
	t.Helper()
	tapes, records := replay.Records([]replay.Input{inputOf("x", tape)}, replay.Window{})
	for r, err := range records {
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		switch r.Kind {
		case capture.KindConntrack, capture.KindDumpEntry:
			text = fmt.Sprintf("%x", r.Payload)
		case capture.KindDumpBegin, capture.KindDumpEnd:
			var d capture.ConntrackDump
			if err := r.Decode(&d); err != nil {
				t.Fatal(err)
			}
			text = fmt.Sprint(d.Number, d.Entries, d.Failed != "")
		case capture.KindGap:
			var g capture.Gap
			if err := r.Decode(&g); err != nil {
				t.Fatal(err)
			}
			text = fmt.Sprintf("%+v", g)
		case capture.KindEnd:
		default:
			continue
		}
		lines = append(lines, fmt.Sprintf("%d %s %s", tapes.Header().Start+r.At, r.Kind, text))
	}
	return lines
}
