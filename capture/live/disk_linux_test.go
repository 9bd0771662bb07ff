package live

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/collect"
	"github.com/topotape/topotape/capture/tape"
	"golang.org/x/sys/unix"
)

// privateMounts gives the test mounts that nobody else sees, and which end with it. It
// returns an empty directory.
func privateMounts(t *testing.T) string {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount a file system")
	}
	dir := t.TempDir()
	runtime.LockOSThread() // never unlocked: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		t.Skipf("needs a mount namespace: %v", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Skipf("needs private mounts: %v", err)
	}
	return dir
}

// smallDisk mounts a file system of 1 MiB.
func smallDisk(t *testing.T) string {
	dir := privateMounts(t)
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("needs tmpfs: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// A realDisk is a file system in a file. Errors of its device can be made.
type realDisk struct {
	t                  *testing.T
	image, dir, device string
	root               *os.File // its directory
}

func newRealDisk(t *testing.T) *realDisk {
	d := &realDisk{t: t, dir: privateMounts(t), image: filepath.Join(t.TempDir(), "image")}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.image, 64<<20); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", d.image).CombinedOutput(); err != nil {
		t.Skipf("needs mkfs.ext4: %v: %s", err, out)
	}
	d.mount()
	t.Cleanup(d.unmount)
	return d
}

// mount mounts it on a loop device, which is freed when it is unmounted.
func (d *realDisk) mount() {
	if out, err := exec.Command("mount", "-o", "loop,errors=remount-ro", d.image, d.dir).CombinedOutput(); err != nil {
		d.t.Skipf("needs a loop device: %v: %s", err, out)
	}
	device, err := exec.Command("losetup", "--noheadings", "--output", "NAME", "--associated", d.image).Output()
	if err != nil {
		d.t.Fatal(err)
	}
	d.device = filepath.Base(strings.TrimSpace(string(device)))
	if d.root, err = os.Open(d.dir); err != nil {
		d.t.Fatal(err)
	}
}

func (d *realDisk) unmount() {
	d.root.Close()
	if err := unix.Unmount(d.dir, 0); err != nil {
		d.t.Error(err)
	}
}

// breakIt makes every access to the file system fail with EIO.
func (d *realDisk) breakIt() {
	const shutdown = 0x8004587d // EXT4_IOC_SHUTDOWN
	if err := unix.IoctlSetPointerInt(int(d.root.Fd()), shutdown, 0); err != nil {
		d.t.Error(err)
	}
}

// failInside makes the file system find an error in itself: it is read-only from
// then on.
func (d *realDisk) failInside() {
	if err := os.WriteFile("/sys/fs/ext4/"+d.device+"/trigger_fs_error", []byte("test"), 0); err != nil {
		d.t.Error(err)
	}
}

// checkSaved checks that the summary counts the records that the file has, and that
// the error's last words do.
func checkSaved(t *testing.T, name string, s *Summary, err error) {
	t.Helper()
	f, openErr := os.Open(name)
	if openErr != nil {
		t.Fatal(openErr)
	}
	defer f.Close()
	st, statErr := f.Stat()
	if statErr != nil {
		t.Fatal(statErr)
	}
	_, records, ending := readTape(t, f)
	if ending != tape.Cut || s.Closed || s.File != name || s.Records != uint64(len(records)) || s.Bytes != st.Size() {
		t.Errorf("%v tape of %d records in %d bytes, summary %+v", ending, len(records), st.Size(), s)
	}
	events := uint64(len(find(records, capture.KindConntrack)))
	if src := s.Sources[0]; src.Recorded != events || src.Undecodable > events {
		t.Errorf("%d events on the tape, summary %+v", events, src)
	}
	if want := fmt.Sprintf("%d records (%s) were saved in %s", len(records), size(st.Size()), name); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}

func TestFullDiskCutsTheTape(t *testing.T) {
	o := options(t)
	o.Output = filepath.Join(smallDisk(t), "a.tape")
	o.Interval = 10 * time.Millisecond
	source := noise()
	summary, err := record(t.Context(), o, fakeMachine(conntrackSource(source)))
	if !errors.Is(err, syscall.ENOSPC) || summary == nil || summary.Why != "the tape can't be written" {
		t.Fatalf("summary %+v, error %v", summary, err)
	}
	checkSaved(t, o.Output+partial, summary, err)
	if src := summary.Sources[0]; src.Recorded < 200 || src.Received <= src.Recorded {
		t.Errorf("%d received, %d recorded", src.Received, src.Recorded)
	}
}

func TestDiskErrorCutsTheTape(t *testing.T) {
	disk := newRealDisk(t)
	o := options(t)
	o.Output = filepath.Join(disk.dir, "a.tape")
	broken := make(chan struct{})
	time.AfterFunc(300*time.Millisecond, func() { disk.breakIt(); close(broken) })
	summary, err := record(t.Context(), o, fakeMachine(conntrackSource(slowly(noise()))))
	<-broken
	if !errors.Is(err, syscall.EIO) || summary == nil || !strings.Contains(err.Error(), "of which the disk has confirmed 0 B") {
		t.Fatalf("summary %+v, error %v", summary, err)
	}
	disk.unmount()
	disk.mount()
	checkSaved(t, o.Output+partial, summary, err)
}

func TestReadOnlyDiskCutsTheTape(t *testing.T) {
	disk := newRealDisk(t)
	o := options(t)
	o.Output = filepath.Join(disk.dir, "a.tape")
	broken := make(chan struct{})
	time.AfterFunc(300*time.Millisecond, func() { disk.failInside(); close(broken) })
	summary, err := record(t.Context(), o, fakeMachine(conntrackSource(slowly(noise()))))
	<-broken
	if !errors.Is(err, syscall.EROFS) || summary == nil {
		t.Fatalf("summary %+v, error %v", summary, err)
	}
	checkSaved(t, o.Output+partial, summary, err)
}

// slowly sends a batch of another source every 10 ms.
func slowly(from *fake) *fake {
	return &fake{run: func(ctx context.Context, out chan<- *collect.Batch) error {
		batches, done := make(chan *collect.Batch), make(chan error, 1)
		go func() { done <- from.run(ctx, batches) }()
		for {
			select {
			case b := <-batches:
				out <- b
				time.Sleep(10 * time.Millisecond)
			case err := <-done:
				return err
			}
		}
	}}
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
