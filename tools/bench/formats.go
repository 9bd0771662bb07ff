//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/google/gopacket/pcapgo"
	"github.com/klauspost/compress/zstd"
	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/tools/netlab"
)

// formatsTraffic is slow enough for conntrack to lose nothing.
var formatsTraffic = netlab.LoadOptions{Rate: 1000}

// A format is one file format for the same events.
type format struct {
	name   string
	file   string
	packed bool // the format itself is compressed
	events uint64
	scan   func(io.Reader) (events uint64, err error)
}

// formats compares the size and the reading speed of the same real events in several
// formats.
func (b *bench) formats() error {
	b.note("formats: recording %.0f connections/s for %v in three formats", formatsTraffic.Rate, b.plan.size)
	tape := filepath.Join(b.dir, "events.tape")
	text, xml := filepath.Join(b.dir, "events.txt"), filepath.Join(b.dir, "events.xml")
	if err := b.recordFormats(tape, text, xml); err != nil {
		return err
	}
	pcapng := filepath.Join(b.dir, "events.pcapng")
	if err := b.export(tape, pcapng); err != nil {
		return err
	}
	all := []format{
		{name: "tape", file: tape, packed: true, scan: scanTape},
		{name: "tape, every message decoded", file: tape, packed: true, scan: decodeTape},
		{name: "pcapng of the netlink messages", file: pcapng, scan: scanPcapng},
		{name: "conntrack -E -o id,timestamp,extended", file: text, scan: scanLines},
		{name: "conntrack -E -o xml,timestamp", file: xml, scan: scanLines},
	}
	t := table{title: "The same events in other formats", head: []string{"format", "events", "bytes an event", "with zstd", "of the tape's", "read, events/s", "of the tape's"}}
	var size, speed float64
	for _, f := range all {
		row, err := b.format(&f)
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		if size == 0 {
			size, speed = row.packed, row.speed.median()
		}
		plain := fmt.Sprintf("%.1f", row.plain)
		if f.packed {
			plain = "–"
		}
		t.add(f.name, count(float64(f.events)), plain, fmt.Sprintf("%.1f", row.packed), fmt.Sprintf("%.2f", row.packed/size),
			row.speed.show("%.0f"), fmt.Sprintf("%.2f", row.speed.median()/speed))
	}
	t.below = "Reading decompresses the file and finds each event: records of a tape, with checksums and order checked, blocks of pcapng, lines of text. " +
		"zstd compresses the whole file at its default level; a tape is compressed by the same library, chunk by chunk, and its size includes head, ticks, witnesses and index."
	b.print(&t)
	return nil
}

// recordFormats records the same traffic in three formats at the same time.
func (b *bench) recordFormats(tape, text, xml string) (err error) {
	if err := b.flush(); err != nil {
		return err
	}
	var ps []*process
	defer func() {
		for _, p := range ps {
			if err != nil {
				p.kill()
			}
		}
	}()
	for _, r := range []func() (*process, error){
		func() (*process, error) { return b.record(tape, "--sources", "conntrack") },
		func() (*process, error) { return b.conntrack(text, "id,timestamp,extended") },
		func() (*process, error) { return b.conntrack(xml, "xml,timestamp") },
	} {
		p, err := r()
		if err != nil {
			return err
		}
		ps = append(ps, p)
		if err := p.ready(); err != nil {
			return err
		}
	}
	for _, p := range ps[1:] {
		if err := p.enlarge(ourBuffer); err != nil {
			return err
		}
	}
	traffic := formatsTraffic
	traffic.Duration = b.plan.size
	if _, err := b.lab.Load(b.ctx, traffic); err != nil {
		return err
	}
	for _, p := range ps {
		if err := p.drained(); err != nil {
			return err
		}
		if _, err := p.stop(); err != nil {
			return err
		}
		if p.drops > 0 {
			return fmt.Errorf("%s lost %d events: the comparison needs all events", p.cmd.Args[len(p.cmd.Args)-1], p.drops)
		}
	}
	return nil
}

// export writes the tape's messages as pcapng.
func (b *bench) export(tape, to string) error {
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	p, err := b.topotapeTo(out, "cat", "--format", "pcapng", tape)
	if err != nil {
		return err
	}
	_, err = p.wait(replayWait)
	return err
}

type formatRow struct {
	plain, packed float64 // bytes an event
	speed         series  // events a second
}

func (b *bench) format(f *format) (row formatRow, err error) {
	data, err := os.ReadFile(f.file)
	if err != nil {
		return row, err
	}
	stored := data
	if !f.packed {
		enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
		if err != nil {
			return row, err
		}
		stored = enc.EncodeAll(data, nil)
		enc.Close()
	}
	for range max(b.plan.rounds, 3) {
		b.note("reading: %s", f.name)
		begun, times := time.Now(), 0
		for ; times == 0 || time.Since(begun) < time.Second/2; times++ {
			if f.events, err = f.read(stored); err != nil {
				return row, err
			}
		}
		row.speed = append(row.speed, float64(f.events)*float64(times)/time.Since(begun).Seconds())
	}
	n := float64(max(f.events, 1))
	row.plain, row.packed = float64(len(data))/n, float64(len(stored))/n
	return row, nil
}

// read reads the events of a stored file on one core.
func (f *format) read(stored []byte) (uint64, error) {
	if f.packed {
		return f.scan(bytes.NewReader(stored))
	}
	dec, err := zstd.NewReader(bytes.NewReader(stored), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return 0, err
	}
	defer dec.Close()
	return f.scan(dec)
}

func scanTape(r io.Reader) (uint64, error) {
	return eachEvent(r, func(*capture.Record) error { return nil })
}

func decodeTape(r io.Reader) (uint64, error) {
	var m ctmsg.Message
	return eachEvent(r, func(rec *capture.Record) error { return m.Decode(rec.Payload, false) })
}

func eachEvent(r io.Reader, event func(*capture.Record) error) (n uint64, err error) {
	tape, err := tape.NewReader(r)
	if err != nil {
		return 0, err
	}
	for {
		rec, err := tape.Next()
		if err == io.EOF {
			return n, nil
		} else if err != nil {
			return n, err
		}
		if rec.Kind != capture.KindConntrack {
			continue
		}
		n++
		if err := event(&rec); err != nil {
			return n, err
		}
	}
}

// scanLines counts the lines with an event. XML has other lines at its beginning and end.
func scanLines(r io.Reader) (n uint64, err error) {
	lines := bufio.NewReaderSize(r, 256<<10)
	for {
		line, err := lines.ReadSlice('\n')
		if len(line) > 0 && (line[0] != '<' || bytes.HasPrefix(line, []byte("<flow"))) {
			n++
		}
		if err == io.EOF {
			return n, nil
		} else if err != nil {
			return n, err
		}
	}
}

// scanPcapng counts packets of netlink interfaces.
func scanPcapng(r io.Reader) (n uint64, err error) {
	in, err := pcapgo.NewNgReader(r, pcapgo.NgReaderOptions{WantMixedLinkType: true})
	if err != nil {
		return 0, err
	}
	for {
		_, info, err := in.ZeroCopyReadPacketData()
		if err == io.EOF {
			return n, nil
		} else if err != nil {
			return n, err
		}
		if i, err := in.Interface(info.InterfaceIndex); err == nil && i.LinkType == linkTypeNetlink {
			n++
		}
	}
}

const linkTypeNetlink = 253 // LINKTYPE_NETLINK of the tcpdump group's list
