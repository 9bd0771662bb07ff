package collect

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// childEnv makes this program a child: a process in a network namespace that
// opens and closes sockets on command.
const childEnv = "TOPOTAPE_COLLECT_CHILD"

func init() {
	if os.Getenv(childEnv) == "" {
		return
	}
	fds := make(map[string]int)
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		if err := obey(fds, strings.Fields(in.Text())); err != nil {
			fmt.Println(err)
		} else {
			fmt.Println("ok")
		}
	}
	os.Exit(0)
}

// obey does one of: lo; listen NAME ADDR:PORT; connect NAME ADDR:PORT;
// start NAME ADDR:PORT (connect without waiting); accept NAME LISTENER;
// send NAME; recv NAME; half NAME; close NAME; reset NAME; udp NAME;
// frame DEVICE HEX.
func obey(fds map[string]int, f []string) error {
	name := strings.Join(f[1:min(2, len(f))], "")
	fd, addr, family := fds[name], unix.Sockaddr(nil), unix.AF_INET
	if len(f) > 2 {
		if ap, err := netip.ParseAddrPort(f[2]); err == nil {
			if ap.Addr().Is4() {
				addr = &unix.SockaddrInet4{Addr: ap.Addr().As4(), Port: int(ap.Port())}
			} else {
				addr, family = &unix.SockaddrInet6{Addr: ap.Addr().As16(), Port: int(ap.Port())}, unix.AF_INET6
			}
		}
	}
	open := func(flags int) (err error) {
		fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|flags, 0)
		fds[name] = fd
		return err
	}
	switch f[0] {
	case "lo":
		return exec.Command("ip", "link", "set", "lo", "up").Run()
	case "listen":
		if err := open(0); err != nil {
			return err
		}
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		if err := unix.Bind(fd, addr); err != nil {
			return err
		}
		return unix.Listen(fd, 16)
	case "connect":
		if err := open(0); err != nil {
			return err
		}
		return unix.Connect(fd, addr)
	case "start":
		if err := open(unix.SOCK_NONBLOCK); err != nil {
			return err
		}
		if err := unix.Connect(fd, addr); err != unix.EINPROGRESS {
			return err
		}
		return nil
	case "accept":
		n, _, err := unix.Accept(fds[f[2]])
		fds[name] = n
		return err
	case "send":
		_, err := unix.Write(fd, []byte("x"))
		return err
	case "recv":
		_, err := unix.Read(fd, make([]byte, 1))
		return err
	case "half":
		return unix.Shutdown(fd, unix.SHUT_WR)
	case "reset":
		unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		return unix.Close(fd)
	case "close":
		return unix.Close(fd)
	case "frame": // onto the device called NAME, in hexadecimal
		dev, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		raw, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(raw)
		frame, err := hex.DecodeString(f[2])
		if err != nil {
			return err
		}
		return unix.Sendto(raw, frame, 0, &unix.SockaddrLinklayer{Ifindex: dev.Index})
	case "udp":
		n, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
		fds[name] = n
		return err
	}
	return fmt.Errorf("what is %q?", f)
}

// A child is such a process in a namespace of its own.
type child struct {
	t   testing.TB
	pid int
	in  io.Writer
	out *bufio.Reader
	end func()
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to make network namespaces")
	}
}

func startChild(t testing.TB) *child {
	t.Helper()
	needRoot(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childEnv+"=1")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skipf("needs a network namespace: %v", err)
	}
	c := &child{t: t, pid: cmd.Process.Pid, in: in, out: bufio.NewReader(out)}
	c.end = func() {
		in.Close() // the child ends with its input, also when the test was killed
		cmd.Wait()
	}
	t.Cleanup(c.end)
	return c
}

// try sends the child a command and returns its error, "" if there is none.
func (c *child) try(format string, args ...any) string {
	c.t.Helper()
	fmt.Fprintf(c.in, format+"\n", args...)
	answer, err := c.out.ReadString('\n')
	if err != nil {
		c.t.Fatalf("child: %v", err)
	}
	return strings.TrimSpace(answer)
}

func (c *child) do(format string, args ...any) {
	c.t.Helper()
	if answer := c.try(format, args...); answer != "ok" {
		c.t.Fatalf("%s: %s", fmt.Sprintf(format, args...), answer)
	}
}

// run runs a program in the child's namespace.
func (c *child) run(name string, args ...string) {
	c.t.Helper()
	run(c.t, "nsenter", append([]string{"-t", strconv.Itoa(c.pid), "-n", name}, args...)...)
}

// onlyThese is a directory with these processes of /proc and nothing else.
func onlyThese(t testing.TB, children ...*child) string {
	t.Helper()
	root := t.TempDir()
	for _, c := range children {
		pid := strconv.Itoa(c.pid)
		if err := os.Symlink("/proc/"+pid, root+"/"+pid); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func at(addr string, port int) string { return net.JoinHostPort(addr, strconv.Itoa(port)) }
