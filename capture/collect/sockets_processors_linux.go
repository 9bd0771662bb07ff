package collect

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// processorsEvery is how often the list of processors is read.
const processorsEvery = time.Second

var pageSize = os.Getpagesize()

// openRings opens the rings of all processors with as many of the features as the kernel
// has, and with smaller rings if the process may lock less memory.
func (s *Sockets) openRings() (err error) {
	cpus := s.processors()
	if len(cpus) == 0 {
		return errors.New("/sys/devices/system/cpu/online shows no processor: is sysfs mounted there?")
	}
	s.pages = ringPages(s.cfg.Memory, pageSize, len(cpus))
	var first *ring
	for _, s.got = range featureSets {
		for first, err = s.openRing(cpus[0]); lockedMemory(err) && s.pages > minRingPages; first, err = s.openRing(cpus[0]) {
			s.pages /= 2
		}
		if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.E2BIG) {
			break
		}
	}
	if err != nil {
		return err
	}
	s.rings = append(s.rings, first)
	for _, cpu := range cpus[1:] {
		r, err := s.openRing(cpu)
		switch {
		case err == nil:
			s.rings = append(s.rings, r)
		case !errors.Is(err, unix.ENODEV): // it went offline
			return err
		}
	}
	return nil
}

// openRing opens the ring of one processor and enables it.
func (s *Sockets) openRing(cpu int) (*ring, error) {
	attr := perfAttr(s.format.id, s.got)
	if s.quiet {
		attr.Bits = unix.PerfBitDisabled | unix.PerfBitSampleIDAll | unix.PerfBitUseClockID
	}
	r, err := openRing(attr, cpu, s.pages, s.filter)
	if err != nil {
		return nil, err
	}
	if err := r.enable(true); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (s *Sockets) ringBytes() int { return s.pages * pageSize }

// processors returns the numbers of the processors that are online.
func (s *Sockets) processors() []int {
	var b [4096]byte
	return processors(string(s.online.read(b[:])))
}

// checkProcessors opens the rings of processors that came, and closes those of
// processors that went, after their last record. When the host slept, all of them went
// and came.
func (s *Sockets) checkProcessors() {
	now := s.cfg.Clock()
	if now-s.checked < int64(processorsEvery) {
		return
	}
	since, slept := s.checked, s.offset-s.awake > int64(processorsEvery)
	s.checked, s.awake = now, s.offset
	cpus := s.processors()
	if len(cpus) == 0 {
		return
	}
	s.rings = slices.DeleteFunc(s.rings, func(r *ring) bool {
		r.gone = r.gone || slept || !slices.Contains(cpus, r.cpu)
		if r.gone {
			r.enable(false)
		}
		if r.look(); !r.gone || r.at != r.head {
			return false
		}
		s.noteLost(r, r.total())
		r.close()
		return true
	})
	for _, cpu := range cpus {
		if !slices.ContainsFunc(s.rings, func(r *ring) bool { return r.cpu == cpu && !r.gone }) {
			s.addProcessor(cpu, since)
		}
	}
}

// addProcessor opens the ring of a processor that was not there at a time. What
// happened on it since is lost.
func (s *Sockets) addProcessor(cpu int, since int64) {
	r, err := s.openRing(cpu)
	switch {
	case err == nil:
		delete(s.missing, cpu)
		s.rings = append(s.rings, r)
		s.lose(0, since-s.offset, fmt.Sprintf("processor %d came online, or the host slept", cpu))
	case !s.missing[cpu]:
		s.missing[cpu] = true
		s.lose(0, since-s.offset, fmt.Sprintf("processor %d is not recorded: %v", cpu, err))
	}
}

// perfWhy returns in one line what the host lacks for a ring, and what to do.
func perfWhy(err error) error {
	switch {
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		paranoid := readLine("/proc/sys/kernel/perf_event_paranoid")
		return fmt.Errorf("%w: needs CAP_PERFMON, before Linux 5.8 CAP_SYS_ADMIN: run as root; in a container, allow perf_event_open in its seccomp profile (kernel.perf_event_paranoid is %s)", err, paranoid)
	case errors.Is(err, unix.ENOSYS):
		return fmt.Errorf("the kernel has no perf events: it needs CONFIG_PERF_EVENTS, or record the other sources: %w", err)
	case errors.Is(err, unix.EMFILE):
		return fmt.Errorf("%w: needs one open file a processor: raise ulimit -n", err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%w: the kernel refuses the event: it needs Linux 4.16 or later", err)
	}
	return err
}

// processors reads a list such as "0-3,8".
func processors(list string) (cpus []int) {
	for part := range strings.SplitSeq(strings.TrimSpace(list), ",") {
		first, last := 0, 0
		switch n, _ := fmt.Sscanf(part, "%d-%d", &first, &last); n {
		case 0:
			continue
		case 1:
			last = first
		}
		for cpu := first; cpu <= last && len(cpus) < maxProcessors; cpu++ {
			cpus = append(cpus, cpu)
		}
	}
	return cpus
}

// maxProcessors is more than a kernel can have.
const maxProcessors = 8192
