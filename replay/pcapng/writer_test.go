package pcapng

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

// blocks returns the types of the blocks in a file. It walks by the lengths, which each
// block has at both ends.
func blocks(t *testing.T, b []byte, order binary.ByteOrder) (kinds []uint32) {
	t.Helper()
	for len(b) > 0 {
		if len(b) < 12 {
			t.Fatalf("%d bytes are left", len(b))
		}
		n := order.Uint32(b[4:])
		if n%4 != 0 || n < 12 || int(n) > len(b) || order.Uint32(b[n-4:]) != n {
			t.Fatalf("block of %d bytes", n)
		}
		kinds = append(kinds, order.Uint32(b))
		b = b[n:]
	}
	return kinds
}

// Another library reads what is written: in both byte orders, with packets and texts of
// many lengths.
func TestAnotherLibraryReadsFile(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, big := range []bool{false, true} {
		var file bytes.Buffer
		var want []packetInfo
		w, err := newWriter(&file, sectionInfo{BigEndian: big, OS: "Linux 6.18", Application: "test", Comments: []string{"one"}})
		if err != nil {
			t.Fatal(err)
		}
		for i, in := range []interfaceInfo{{Link: linkRaw, Snaplen: 4096, Name: "eth0", Description: "d"}, {Link: linkNetlink, Name: "conntrack"}} {
			if n, err := w.writeInterface(in); err != nil || int(n) != i {
				t.Fatal(n, err)
			}
		}
		for i := range 200 {
			p := packetInfo{Time: 1767323045e9 + rng.Int64N(1e15), Data: make([]byte, rng.IntN(90)), Direction: uint32(i % 3),
				Comments: []string{strings.Repeat("é", i), "\xff"}[:i%3]}
			p.Length = uint32(len(p.Data) + i%2*10)
			for j := range p.Data {
				p.Data[j] = byte(rng.Uint32())
			}
			if err := w.writePacket(uint32(i%2), p); err != nil {
				t.Fatal(err)
			}
			want = append(want, p)
		}
		received, dropped := uint64(100), uint64(1<<40)
		if err := w.writeStatistics(1, statisticsInfo{Time: 1767323045e9 + 7, Received: received, Dropped: dropped, Last: true, Comments: []string{"lost"}}); err != nil {
			t.Fatal(err)
		}
		order := binary.ByteOrder(binary.LittleEndian)
		if big {
			order = binary.BigEndian
		}
		if kinds := blocks(t, file.Bytes(), order); len(kinds) != 1+2+200+1 || kinds[0] != blockSection || kinds[203] != blockStatistics {
			t.Errorf("blocks %v", kinds)
		}
		r, err := pcapgo.NewNgReader(&file, pcapgo.NgReaderOptions{WantMixedLinkType: true})
		if err != nil {
			t.Fatal(err)
		}
		if s := r.SectionInfo(); s.OS != "Linux 6.18" || s.Application != "test" || s.Comment != "one" {
			t.Errorf("section %+v", s)
		}
		for i, p := range want {
			data, info, err := r.ReadPacketData()
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(data, p.Data) || info.Timestamp.UnixNano() != p.Time || info.Length != int(p.Length) || info.CaptureLength != len(p.Data) || info.InterfaceIndex != i%2 {
				t.Errorf("packet %d: %+v, want %+v", i, info, p)
			}
		}
		if _, _, err := r.ReadPacketData(); err != io.EOF {
			t.Error(err)
		}
		one, _ := r.Interface(0)
		two, _ := r.Interface(1)
		if one.Name != "eth0" || one.Description != "d" || one.LinkType != layers.LinkType(linkRaw) || one.SnapLength != 4096 || one.TimestampResolution != 9 {
			t.Errorf("interface %+v", one)
		}
		if s := two.Statistics; uint16(two.LinkType)&0xff != linkNetlink || s.PacketsDropped != dropped || s.PacketsReceived != received || s.Comment != "lost" || s.LastUpdate.UnixNano() != 1767323045e9+7 {
			t.Errorf("interface %+v", two)
		}
	}
}

// Texts and lengths beyond the limits of a block are cut and do not wrap around.
func TestLimits(t *testing.T) {
	var file bytes.Buffer
	w, err := newWriter(&file, sectionInfo{Comments: []string{strings.Repeat("é", 40_000)}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.writeInterface(interfaceInfo{Name: "x"}); err != nil {
		t.Fatal(err)
	}
	if err := w.writePacket(0, packetInfo{Time: -5, Data: []byte{1, 2, 3}, Length: 2}); err != nil {
		t.Fatal(err)
	}
	blocks(t, file.Bytes(), binary.LittleEndian)
	r, err := pcapgo.NewNgReader(&file, pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	if c := r.SectionInfo().Comment; len(c) != maxText || strings.Trim(c, "é") != "" {
		t.Errorf("comment of %d bytes", len(c))
	}
	_, info, err := r.ReadPacketData()
	if err != nil || info.Length != 3 || info.Timestamp.UnixNano() != 0 {
		t.Errorf("%+v, %v", info, err)
	}
}
