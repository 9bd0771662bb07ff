package live

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/topotape/topotape/capture/collect"
	"github.com/topotape/topotape/capture/tape"
)

// smallDisk mounts a file system of 1 MiB that only this test sees.
func smallDisk(t *testing.T) string {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount a small file system")
	}
	dir := t.TempDir()
	runtime.LockOSThread() // never unlocked: the thread ends with the test
	if err := syscall.Unshare(syscall.CLONE_NEWNS); err != nil {
		t.Skipf("needs a mount namespace: %v", err)
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Skipf("needs private mounts: %v", err)
	}
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("needs tmpfs: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// noise sends events that do not compress, until it is stopped.
func noise() *fake {
	return &fake{run: func(ctx context.Context, out chan<- *collect.Batch) error {
		x := uint64(88172645463325252)
		for ctx.Err() == nil {
			b := &collect.Batch{}
			for range 100 {
				e := event(0)
				e.Payload = make([]byte, 1000)
				for i := range e.Payload {
					x ^= x << 13
					x ^= x >> 7
					x ^= x << 17
					e.Payload[i] = byte(x)
				}
				b.Records = append(b.Records, e)
			}
			out <- b
		}
		return nil
	}}
}

func TestFullDiskCutsTheTape(t *testing.T) {
	dir := smallDisk(t)
	o := options(t)
	o.Output = filepath.Join(dir, "a.tape")
	summary, err := record(t.Context(), o, fakeMachine(conntrackSource(noise())))
	if !errors.Is(err, syscall.ENOSPC) || summary == nil || summary.Closed || summary.File != o.Output+partial || !strings.Contains(err.Error(), "were saved in") {
		t.Fatalf("summary %+v, error %v", summary, err)
	}
	f, err := os.Open(o.Output + partial)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, records, ending := readTape(t, f)
	if ending != tape.Cut || len(records) < 200 {
		t.Errorf("%v tape of %d records", ending, len(records))
	}
}

func TestRecordingStopsBeforeTheDiskReserve(t *testing.T) {
	dir := smallDisk(t)
	o := options(t)
	o.Output, o.MinFree = filepath.Join(dir, "a.tape"), 2<<20
	if _, err := record(t.Context(), o, fakeMachine(conntrackSource(newFakeConntrack()))); err == nil || !strings.Contains(err.Error(), "--min-free") {
		t.Errorf("error %v", err)
	}
	o.MinFree = 512 << 10
	ct := newFakeConntrack()
	slow := noise()
	ct.run = func(ctx context.Context, out chan<- *collect.Batch) error {
		// about 600 KiB, then nothing
		inner, cancel := context.WithCancel(ctx)
		defer cancel()
		few := make(chan *collect.Batch)
		go func() { slow.run(inner, few); close(few) }()
		for range 6 {
			out <- <-few
		}
		cancel()
		for range few {
		}
		<-ctx.Done()
		return nil
	}
	o.Duration = 10 * time.Second
	summary, err := record(t.Context(), o, fakeMachine(conntrackSource(ct)))
	if err != nil || !summary.Closed || !strings.Contains(summary.Why, "the disk has only") {
		t.Errorf("summary %+v, error %v", summary, err)
	}
}

func TestSizeIsALimit(t *testing.T) {
	o := options(t)
	o.MaxSize = 4 << 20
	summary, err := record(t.Context(), o, fakeMachine(conntrackSource(noise())))
	if err != nil || !summary.Closed || !strings.Contains(summary.Why, "size of 4.0 MiB") {
		t.Fatalf("summary %+v, error %v", summary, err)
	}
	// The batches that collectors send while they stop come on top.
	if over := summary.Bytes - o.MaxSize; over > int64(queueLen+2)*110_000 || over < -600_000 {
		t.Errorf("%d bytes for a limit of %d", summary.Bytes, o.MaxSize)
	}
}

func TestDurationIsALimit(t *testing.T) {
	o := options(t)
	o.Duration = 100 * time.Millisecond
	summary, err := record(t.Context(), o, fakeMachine(conntrackSource(newFakeConntrack())))
	if err != nil || !summary.Closed || !strings.Contains(summary.Why, "duration of 100ms") || summary.Duration < o.Duration || summary.Duration > time.Minute {
		t.Errorf("summary %+v, error %v", summary, err)
	}
}
