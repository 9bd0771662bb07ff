package collect

import (
	"bytes"
	"testing"

	"github.com/topotape/topotape/capture"
	"golang.org/x/sys/unix"
)

// Text that follows a short read is recorded without cutting a row, and after
// that no short read is taken for a table's end.
func TestTableThatGrowsWhileItIsRead(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET, 0) // a read returns the bytes of one write
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	reads := []string{"  sl  local_address\n   0: first\n", "   1: came late\n", "   2: later still\n"}
	for _, text := range reads {
		if _, err := unix.Write(fds[1], []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	unix.Close(fds[1])
	out := make(chan *Batch, 4)
	p := &Proc{cfg: ProcConfig{Clock: testClock()}}
	w := &walk{Proc: p, q: newQueue(2, out), text: make([]byte, maxPart)}
	if _, err := w.parts(fds[0], new(reading), capture.ProcNet{Netns: 1, Table: "tcp"}); err != nil {
		t.Fatal(err)
	}
	w.q.flush()
	var got []byte
	for _, r := range (<-out).Records {
		var table capture.ProcNet
		if err := r.Decode(&table); err != nil {
			t.Fatal(err)
		}
		got = append(got, table.Text...)
	}
	if want := bytes.Join([][]byte{[]byte(reads[0]), []byte(reads[1]), []byte(reads[2])}, nil); !bytes.Equal(got, want) {
		t.Errorf("the table is %q, want %q", got, want)
	}
	if p.shortIsEnd() || !p.endsWrong {
		t.Error("a short read is taken for the end, though more text followed one")
	}
}
