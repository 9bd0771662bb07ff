//go:build linux

package netlab

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// workerEnv is the environment variable of a worker: "role comm [arguments]".
const workerEnv = "TOPOTAPE_NETLAB_WORKER"

// RunWorkerIfAsked runs a worker of a lab and does not return if the process was started
// as one; otherwise it does nothing. Every program that builds a lab calls it first in
// main or TestMain: the lab's clients and servers are the same program, started again.
func RunWorkerIfAsked() {
	spec, ok := os.LookupEnv(workerEnv)
	if !ok {
		return
	}
	os.Unsetenv(workerEnv)
	f := strings.Fields(spec)
	if err := os.WriteFile("/proc/self/comm", []byte(f[1]), 0); err != nil {
		fmt.Fprintln(os.Stderr, "set comm:", err)
		os.Exit(1)
	}
	var err error
	switch f[0] {
	case "agent":
		err = runAgent(os.Stdin, os.Stdout)
	case "dial":
		err = runDial()
	case "dns":
		err = runDNS()
	case "idle":
		err = runIdle()
	case "reaper":
		err = runReaper(f[2])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// agent is a client or server in its own process.
type agent struct {
	mu       sync.Mutex
	out      *json.Encoder
	accepted []accepted
	held     map[int][]heldConn // by group
	serving  map[int]*child     // children of a preforking server, by PID
	stack    *stack             // of a client without sockets
}

// runAgent serves requests until its standard input ends. That also happens when the lab's
// process dies.
func runAgent(in io.Reader, out io.Writer) error {
	a := &agent{out: json.NewEncoder(out), held: map[int][]heldConn{}, serving: map[int]*child{}}
	dec := json.NewDecoder(bufio.NewReader(in))
	for {
		var q request
		if err := dec.Decode(&q); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("read request: %w", err)
		}
		go func() {
			r, err := a.do(q)
			if r.ID = q.ID; err != nil {
				r.Err = err.Error()
			}
			a.mu.Lock()
			defer a.mu.Unlock()
			a.out.Encode(r) // fails only when the lab's process has ended, which also ends the input
		}()
	}
}

func (a *agent) do(q request) (reply, error) {
	switch q.Op {
	case "listen":
		listen := a.listen
		if q.Prefork {
			listen = a.prefork
		}
		for _, addr := range q.Listen {
			if err := listen(addr); err != nil {
				return reply{}, err
			}
		}
		return reply{}, nil
	case "dial":
		return a.dial(q)
	case "release":
		return reply{Dialed: a.release(q.Group)}, nil
	case "collect":
		a.mu.Lock()
		defer a.mu.Unlock()
		a.harvest()
		r := reply{Accepted: a.accepted}
		a.accepted = nil
		return r, nil
	}
	return reply{}, fmt.Errorf("unknown request %q", q.Op)
}

// runDNS keeps dnsmasq running until standard input ends.
func runDNS() error {
	runtime.LockOSThread() // Pdeathsig fires at the end of the thread that started the child
	cmd := exec.Command("dnsmasq", dnsmasqArgs...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start dnsmasq: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	closed := make(chan struct{})
	go func() { io.Copy(io.Discard, os.Stdin); close(closed) }()
	select {
	case err := <-ended:
		return fmt.Errorf("dnsmasq ended: %v", err)
	case <-closed:
		cmd.Process.Kill()
		<-ended
		return nil
	}
}

// runReaper waits until the lab ends, for any reason, and removes the namespaces that it
// left.
func runReaper(prefix string) error {
	lab := os.Getppid()
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	io.Copy(io.Discard, os.Stdin)
	var err error
	for range 3 { // if the lab was killed during New, a command of it may still run
		err = deleteNetns(func(name string) bool { return strings.HasPrefix(name, prefix) })
		if os.Getppid() == lab {
			break // the process is alive, and has removed them itself
		}
		time.Sleep(300 * time.Millisecond)
	}
	return err
}

// runIdle listens, writes one byte to report that, and sleeps until standard input ends.
func runIdle() error {
	l, err := listenTCP("0.0.0.0:7000")
	if err != nil {
		return err
	}
	defer l.Close()
	os.Stdout.Write([]byte{'+'})
	io.Copy(io.Discard, os.Stdin)
	return nil
}
