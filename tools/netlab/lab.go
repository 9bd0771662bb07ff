//go:build linux

package netlab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Options of a lab. The zero value works.
type Options struct {
	// Log gets messages of the lab, and errors of its processes. Nil: nobody gets them.
	Log io.Writer
	// KeepSignals leaves SIGINT and SIGTERM to the caller. Otherwise the lab closes
	// itself on either signal, and then lets the signal end the program.
	KeepSignals bool
}

// Lab is a running network. Its methods may be called at the same time.
type Lab struct {
	Client, Gateway, Server, DNS Netns

	opts    Options
	prefix  string // of the names of all namespaces
	workers map[string]*worker
	reaper  *worker
	dnsmasq *worker

	ctx     context.Context // ends when the lab closes
	cancel  context.CancelFunc
	closing sync.Once
	closed  error

	collecting sync.Mutex
	// addStackDevice makes the tun device of a stack, once.
	addStackDevice func() error

	mu       sync.Mutex
	groups   int                 // the last group of held connections
	ports    map[string]uint16   // the next source port of a kind with ports of its own, from 0
	accepted map[connID]endpoint // server ends that are not yet joined with their clients'
}

var labCount atomic.Int64

// New builds a lab. It needs root, and the commands ip, nft and dnsmasq. It takes well
// under 3 s. When ctx is done, the lab closes.
func New(ctx context.Context, opts Options) (*Lab, error) {
	if err := usable(); err != nil {
		return nil, err
	}
	if opts.Log == nil {
		opts.Log = io.Discard
	}
	opts.Log = &lockedWriter{w: opts.Log}
	l := &Lab{opts: opts, workers: map[string]*worker{}, ports: map[string]uint16{}, accepted: map[connID]endpoint{}}
	l.prefix = fmt.Sprintf("%s%d-%d-", namePrefix, os.Getpid(), labCount.Add(1))
	l.addStackDevice = sync.OnceValue(func() error { return l.Server.run(stackScript, "ip", "-batch", "-") })
	l.ctx, l.cancel = context.WithCancel(ctx)
	begin := time.Now()
	up, built := false, make(chan struct{})
	defer close(built)
	defer func() {
		if !up { // an error or a panic
			l.Close()
		}
	}()
	if !opts.KeepSignals {
		l.handleSignals(built)
	}
	if err := cmp.Or(l.build(), l.ctx.Err()); err != nil {
		return nil, fmt.Errorf("build the network lab: %w", err)
	}
	up = true
	context.AfterFunc(ctx, func() { l.Close() })
	fmt.Fprintf(opts.Log, "lab %s* built in %v\n", l.prefix, time.Since(begin).Round(time.Millisecond))
	return l, nil
}

// usable returns an error that lists everything that is missing.
func usable() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("a network lab needs root: %w", os.ErrPermission)
	}
	var missing []string
	for _, t := range [][2]string{{"ip", "iproute2"}, {"nft", "nftables"}, {"dnsmasq", "dnsmasq-base"}} {
		if _, err := exec.LookPath(t[0]); err != nil {
			missing = append(missing, fmt.Sprintf("%s (Debian package %s)", t[0], t[1]))
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("a network lab needs %s: %w", strings.Join(missing, ", "), exec.ErrNotFound)
	}
	if _, err := os.Stat("/proc/sys/net/ipv6"); err != nil {
		return errors.New("a network lab needs IPv6, and this kernel has none")
	}
	return nil
}

// Close ends the lab's processes and then removes its namespaces. It may be called more
// than once.
func (l *Lab) Close() error {
	l.closing.Do(func() {
		l.cancel()
		var wg sync.WaitGroup
		for _, w := range l.workers {
			wg.Go(w.stop)
		}
		if l.dnsmasq != nil {
			wg.Go(l.dnsmasq.stop)
		}
		wg.Wait()
		l.closed = deleteNetns(func(name string) bool { return strings.HasPrefix(name, l.prefix) })
		if l.reaper != nil {
			l.reaper.stop()
		}
	})
	return l.closed
}

// handleSignals closes the lab on a signal and then lets the signal end the program. A
// lab that is not yet built is closed by New.
func (l *Lab) handleSignals(built <-chan struct{}) {
	got := make(chan os.Signal, 1)
	signal.Notify(got, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		select {
		case s := <-got:
			l.cancel()
			<-built
			l.Close()
			signal.Reset(s)
			syscall.Kill(os.Getpid(), s.(syscall.Signal))
		case <-l.ctx.Done():
			signal.Stop(got)
		}
	}()
}

// Command prepares a command that runs in the namespace. It uses ip netns exec, which
// replaces itself with the command. When the lab closes, the command gets SIGTERM and, if
// somebody waits for it, SIGKILL ten seconds later.
func (l *Lab) Command(in Netns, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(l.ctx, "ip", append([]string{"netns", "exec", in.Name, name}, args...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}
