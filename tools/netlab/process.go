//go:build linux

package netlab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// worker is the lab's side of one process it started.
type worker struct {
	process
	netns  uint64 // 0: the host's
	cgroup string

	cmd    *exec.Cmd
	in     io.WriteCloser
	out    io.Reader
	errs   *tail
	exited chan struct{}

	mu    sync.Mutex
	last  int
	calls map[int]chan reply
}

// startWorker starts this program as a worker: spec is its role, its name and its
// arguments. The worker has a process group of its own, so that only the lab gets a
// Ctrl-C. It ends when its standard input ends.
func startWorker(spec string, in *Netns, log io.Writer) (*worker, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	w := &worker{process: process{Comm: strings.Fields(spec)[1]}, errs: &tail{log: log}, exited: make(chan struct{}), calls: map[int]chan reply{}}
	w.cmd = exec.Command(exe)
	w.cmd.Args[0] = w.Comm
	w.cmd.Env = append(os.Environ(), workerEnv+"="+spec)
	w.cmd.Stderr = w.errs
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if w.in, err = w.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if w.out, err = w.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	w.cmd.WaitDelay = time.Second // a child may still have its standard error open
	start := w.cmd.Start
	if in != nil {
		w.netns = in.Inode
		start = func() error { return in.do(w.cmd.Start) }
	}
	if err := start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", w.Comm, err)
	}
	w.PID = w.cmd.Process.Pid
	w.cgroup = cgroupOf(w.PID)
	go func() {
		w.cmd.Wait()
		close(w.exited)
	}()
	return w, nil
}

// cgroupOf returns the path of a process in the hierarchy of cgroup v2, "" if there is none.
func cgroupOf(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	for line := range strings.Lines(string(b)) {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			return strings.TrimSuffix(path, "\n")
		}
	}
	return ""
}

// call sends a request and waits for its reply.
func (w *worker) call(ctx context.Context, q request) (reply, error) {
	ch := make(chan reply, 1)
	w.mu.Lock()
	w.last++
	q.ID = w.last
	w.calls[q.ID] = ch
	line, err := json.Marshal(q)
	if err == nil {
		_, err = w.in.Write(append(line, '\n'))
	}
	w.mu.Unlock()
	if err != nil {
		return reply{}, fmt.Errorf("%s: %s: %w", w.Comm, q.Op, err)
	}
	select {
	case r, ok := <-ch:
		if !ok {
			return reply{}, w.failure()
		}
		if r.Err != "" {
			return r, fmt.Errorf("%s: %s: %s", w.Comm, q.Op, r.Err)
		}
		return r, nil
	case <-w.exited:
		return reply{}, w.failure()
	case <-ctx.Done():
		return reply{}, ctx.Err()
	}
}

// readReplies passes replies to their calls until the worker ends. Then the calls that
// still wait fail.
func (w *worker) readReplies() {
	dec := json.NewDecoder(w.out)
	for {
		var r reply
		if err := dec.Decode(&r); err != nil {
			break
		}
		w.mu.Lock()
		if ch := w.calls[r.ID]; ch != nil {
			ch <- r
			delete(w.calls, r.ID)
		}
		w.mu.Unlock()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, ch := range w.calls {
		close(ch)
		delete(w.calls, id)
	}
}

// stop ends the worker and waits for its end.
func (w *worker) stop() {
	w.in.Close()
	select {
	case <-w.exited:
	case <-time.After(2 * time.Second):
		w.cmd.Process.Kill()
		<-w.exited
	}
}

// failure returns the error of a worker that ended by itself.
func (w *worker) failure() error {
	return fmt.Errorf("%s ended: %s", w.Comm, w.errs)
}

// lockedWriter lets several processes share a log.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// tail writes a worker's messages to the log, and keeps the last 2,000 bytes for an error.
type tail struct {
	mu   sync.Mutex
	log  io.Writer
	last []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, b...)
	if over := len(t.last) - 2000; over > 0 {
		t.last = t.last[over:]
	}
	return t.log.Write(b)
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.last) == 0 {
		return "no message"
	}
	return string(bytes.TrimSpace(t.last))
}
