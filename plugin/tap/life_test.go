// SPDX-License-Identifier: Apache-2.0

package tap

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/containerapi/containerapi/internal/dockertest"
	"github.com/containerapi/containerapi/plugin/tap/taptest"
)

// conversation is a client in a process of its own: it connects at once, and
// sends what it is told to.
type conversation struct {
	pid int
	in  io.WriteCloser
	out *bufio.Reader
}

func converse(t *testing.T, path string) *conversation {
	t.Helper()
	cmd := taptest.Python(t, path, `
s = connect()
print("connected", flush=True)
while line := sys.stdin.buffer.readline():
    n = int(line)
    s.sendall(sys.stdin.buffer.read(n))
    print(s.recv(1 << 20)[:12], flush=True)
`)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	c := &conversation{pid: cmd.Process.Pid, in: in, out: bufio.NewReader(out)}
	c.answer(t)
	return c
}

// say sends text and waits for the beginning of the answer.
func (c *conversation) say(t *testing.T, text string) {
	t.Helper()
	c.send(t, text)
	c.answer(t)
}

func (c *conversation) send(t *testing.T, text string) {
	t.Helper()
	if _, err := fmt.Fprintf(c.in, "%d\n%s", len(text), text); err != nil {
		t.Fatal(err)
	}
}

func (c *conversation) answer(t *testing.T) {
	t.Helper()
	if _, err := c.out.ReadString('\n'); err != nil {
		t.Fatalf("client ended: %v", err)
	}
}

func TestTapOlderConnection(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	s := taptest.StartServer(t, "unix", path)
	client := converse(t, path)
	client.say(t, "GET /before HTTP/1.1\r\nHost: x\r\n\r\n")

	c := watch(t, Socket{Path: path})
	client.say(t, "GET /after HTTP/1.1\r\nHost: x\r\n\r\n")
	request := c.request(t, "GET /after ")
	if accept := c.accepted(t, request.Conn); !accept.Adopted || int(accept.PID) != s.PID || int(accept.Process.PID) != client.pid {
		t.Errorf("accept is %+v", accept)
	}
	// The process holds the connection, so its first write tells the rest.
	if p := c.client(t, "GET /after ", client.pid); p.ExePath != taptest.PythonExe(t) || len(p.Args) == 0 || p.Args[len(p.Args)-1] != path {
		t.Errorf("client is %+v", p)
	}
	if _, found := find(c, "GET /before"); found {
		t.Error("saw what was before the tap")
	}
}

// A client that the tap never sees do anything: it connected and sent before,
// while the server did not listen to it. The kernel remembers who it was.
func TestTapOlderClient(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	s := taptest.StartServer(t, "unix", path)
	if err := syscall.Kill(s.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	client := converse(t, path)
	client.send(t, "GET /early HTTP/1.1\r\nHost: x\r\n\r\n")
	// Until what it says is in the socket: then it waits for the answer.
	for end := time.Now().Add(limit); ; time.Sleep(time.Millisecond) {
		where, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", client.pid))
		if err != nil {
			t.Skip(err)
		}
		if nr, _, _ := strings.Cut(string(where), " "); nr == fmt.Sprint(unix.SYS_RECVFROM) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("client is in system call %s", where)
		}
	}
	c := watch(t, Socket{Path: path})
	if err := syscall.Kill(s.PID, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	accept := c.accepted(t, c.request(t, "GET /early ").Conn)
	if p := accept.Process; accept.Adopted || int(p.PID) != client.pid || p.Comm != "python3" || p.ExePath != taptest.PythonExe(t) ||
		p.Start == 0 || int(p.PPID) != os.Getpid() || p.Cgroup != cgroup(t) || p.Args != nil {
		t.Errorf("accept is %+v", accept)
	}
}

func find(c *capture, text string) (Record, bool) {
	for _, r := range c.snapshot() {
		if bytes.Contains(r.Data, []byte(text)) {
			return r, true
		}
	}
	return Record{}, false
}

func TestTapSocketMadeAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	old := taptest.StartServer(t, "unix", path)
	c := watch(t, Socket{Path: path})
	taptest.Run(t, taptest.Helper(t, "get", path, "/old"))
	c.request(t, "GET /old ")
	old.Stop()
	c.wait(t, "exit of the server", func(r Record) bool { return r.Kind == Exit && int(r.PID) == old.PID })

	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if err := c.Watch([]Socket{{Path: path}}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("watching a missing socket: %v", err)
	}
	taptest.StartServer(t, "unix", path)
	if err := c.Watch([]Socket{{Path: path}}); err != nil {
		t.Fatal(err)
	}
	pid, _ := taptest.Run(t, taptest.Helper(t, "get", path, "/new"))
	c.client(t, "GET /new ", pid)
}

// An engine whose socket is given another name serves it still, also while another
// socket has the old one.
func TestTapSocketMoved(t *testing.T) {
	dir := t.TempDir()
	path, moved := filepath.Join(dir, "s.sock"), filepath.Join(dir, "moved.sock")
	server := taptest.StartServer(t, "unix", path)
	c := watch(t, Socket{Path: path})
	if err := os.Rename(path, moved); err != nil {
		t.Fatal(err)
	}
	if err := c.Watch([]Socket{{Path: path}}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("watching a socket that was moved: %v", err)
	}
	pid, _ := taptest.Run(t, taptest.Helper(t, "get", moved, "/moved"))
	c.client(t, "GET /moved ", pid)

	taptest.StartServer(t, "unix", path)
	if err := c.Watch([]Socket{{Path: path}}); err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]string{"/again": moved, "/other": path} {
		pid, _ = taptest.Run(t, taptest.Helper(t, "get", at, name))
		c.client(t, "GET "+name+" ", pid)
	}
	// The number of its file can be another's once nobody serves it.
	server.Stop()
	c.wait(t, "exit of the server", func(r Record) bool { return r.Kind == Exit && int(r.PID) == server.PID })
	if err := c.Refresh(); err != nil {
		t.Fatal(err)
	}
	if served, err := c.stillServed(); err != nil || len(served) != 1 {
		t.Errorf("%d sockets are watched, %v", len(served), err)
	}
}

func TestTapNoSocket(t *testing.T) {
	tap := loadTest(t, Options{})
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := tap.Watch([]Socket{{Path: path}}); err == nil || !strings.Contains(err.Error(), path+" is no socket") {
		t.Errorf("watching a file: %v", err)
	}
}

// What others do is not seen, and neither is what this process does.
func TestTapOthers(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "s.sock"), filepath.Join(dir, "other.sock")
	port := taptest.StartServer(t, "unix", path, "tcp", "127.0.0.1:0").Addrs[1]
	taptest.StartServer(t, "unix", other)
	c := watch(t, Socket{Path: path}, Socket{Port: taptest.Port(t, port)})

	taptest.Run(t, taptest.Helper(t, "get", other, "/other"))
	for _, dial := range []func() (net.Conn, error){
		func() (net.Conn, error) { return net.Dial("unix", path) },
		func() (net.Conn, error) { return net.Dial("tcp", port) },
	} {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
			DialContext: func(context.Context, string, string) (net.Conn, error) { return dial() }}}
		response, err := client.Get("http://x/own")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
	taptest.Run(t, taptest.Helper(t, "get", path, "/last"))
	c.request(t, "GET /last ")
	for _, r := range c.snapshot() {
		if bytes.Contains(r.Data, []byte("/other")) || bytes.Contains(r.Data, []byte("/own")) ||
			(r.Kind == Connect || r.Kind == Sender) && int(r.Process.PID) == os.Getpid() {
			t.Errorf("saw %v of %+v: %q", r.Kind, r.Process, r.Data)
		}
	}
}

func TestTapTCP(t *testing.T) {
	taptest.Need(t, "curl")
	for _, listen := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		t.Run(listen, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s.sock")
			addr := taptest.StartServer(t, "unix", path, "tcp", listen).Addrs[1]
			c := watch(t, Socket{Path: path}, Socket{Port: taptest.Port(t, addr)})
			url := "http://" + strings.Replace(addr, "[::]", "127.0.0.1", 1) + "/tcp"
			pid, _ := taptest.Run(t, exec.Command("curl", "-s", url))
			request := c.request(t, "GET /tcp ")
			accept := c.accepted(t, request.Conn)
			established := c.established(t, accept)
			connect := c.wait(t, "connect", func(r Record) bool { return r.Kind == Connect && r.Peer == established.Peer })
			if int(connect.Process.PID) != pid || connect.Process.ExePath != taptest.Executable(t, "curl") {
				t.Errorf("client is %+v", connect.Process)
			}
			if established.Local != accept.Remote || established.Remote != accept.Local || accept.Local.Port() != taptest.Port(t, addr) {
				t.Errorf("client's end is %v to %v, server's %v to %v", established.Local, established.Remote, accept.Local, accept.Remote)
			}
			if netns := namespace(t, "net"); established.NetNamespace != netns || accept.NetNamespace != netns {
				t.Errorf("network namespaces are %d and %d, want %d", established.NetNamespace, accept.NetNamespace, netns)
			}
			if !accept.Remote.Addr().IsLoopback() || accept.Remote.Addr().Is4In6() {
				t.Errorf("client's address is %v", accept.Remote)
			}
			checkResponse(t, c, request)
		})
	}
}

func TestTapBodies(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	taptest.StartServer(t, "unix", path)
	c := watch(t, Socket{Path: path})
	post := func(what string, body []byte) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", what, len(body), body)
	}
	content := make([]byte, 300_000)
	for i := range content {
		content[i] = 'a' + byte(i*7%26)
	}
	client := converse(t, path)

	// Whole, in order, with every byte.
	text := post("/whole", content)
	client.say(t, text)
	conn := c.request(t, "POST /whole ").Conn
	c.wait(t, "end of body", func(r Record) bool { return r.Conn == conn && r.Position+uint64(r.Total) == uint64(len(text)) })
	if got := stream(t, c, conn); got != text {
		t.Errorf("read %d bytes, %d of them not copied; want %d", len(got), strings.Count(got, "?"), len(text))
	}

	// Skimmed: the head, and how much the rest was.
	if err := c.Skim(conn); err != nil {
		t.Fatal(err)
	}
	client.say(t, post("/skimmed", content))
	client.say(t, "GET /then HTTP/1.1\r\nHost: x\r\n\r\n")
	c.request(t, "GET /then ")
	got := stream(t, c, conn)[len(text):]
	if unseen := strings.Count(got, "?"); !strings.HasPrefix(got, "POST /skimmed ") || !strings.Contains(got, "GET /then ") ||
		unseen < len(content)/2 || len(got) < len(content) {
		t.Errorf("of %d bytes %d were not copied", len(got), unseen)
	}

	// Ignored: nothing, until it is resumed.
	if err := c.Ignore(conn); err != nil {
		t.Fatal(err)
	}
	client.say(t, "GET /ignored HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := c.Resume(conn); err != nil {
		t.Fatal(err)
	}
	client.say(t, "GET /seen HTTP/1.1\r\nHost: x\r\n\r\n")
	c.request(t, "GET /seen ")
	if r, found := find(c, "/ignored"); found {
		t.Errorf("saw a request of an ignored connection: %v at %d: %q", r.Kind, r.Position, r.Data)
	}
}

// After the switch of protocols nothing of the stream is seen, once user space
// has said so: the kernel's side concludes nothing from bytes.
func TestTapHijacked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	taptest.StartServer(t, "unix", path)
	c := watch(t, Socket{Path: path})
	client := converse(t, path)
	client.say(t, "POST /attach HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
	request := c.request(t, "POST /attach ")
	response := c.wait(t, "response", func(r Record) bool { return r.Kind == Response && r.Conn == request.Conn })
	if !bytes.HasPrefix(response.Data, []byte("HTTP/1.1 101 ")) {
		t.Errorf("response is %q", response.Data)
	}
	client.say(t, "seen-until-then")
	c.request(t, "seen-until-then")
	if err := c.Ignore(request.Conn); err != nil {
		t.Fatal(err)
	}
	client.say(t, "typed-by-the-user")
	client.in.Close()
	c.wait(t, "close", func(r Record) bool { return r.Kind == Close && r.Conn == request.Conn })
	if r, found := find(c, "typed-by-the-user"); found {
		t.Errorf("saw the stream: %v %q", r.Kind, r.Data)
	}
}

// A request for each of 20,000 connections of 50 processes at once: every one
// arrives, with its own client, and none is dropped.
func TestTapStorm(t *testing.T) {
	const processes, requests = 50, 400
	path := filepath.Join(t.TempDir(), "s.sock")
	taptest.StartServer(t, "unix", path)
	c := watch(t, Socket{Path: path})
	var clients sync.WaitGroup
	for range processes {
		cmd := taptest.Helper(t, "storm", path, fmt.Sprint(requests))
		clients.Go(func() {
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("client: %v: %s", err, out)
			}
		})
	}
	clients.Wait()

	connected := make(map[PeerKey]Process)
	peers := make(map[ConnKey]PeerKey)
	accepted := make(map[ConnKey]uint32)
	seen := make(map[string]bool)
	check := func(r Record) {
		switch r.Kind {
		case Connect:
			connected[r.Peer] = r.Process
		case Accept:
			accepted[r.Conn], peers[r.Conn] = r.Process.PID, r.Peer
		case Request:
			what, _, _ := strings.Cut(strings.TrimPrefix(string(r.Data), "GET "), " ")
			p := connected[peers[r.Conn]]
			if !strings.HasPrefix(what, fmt.Sprintf("/%d/", p.PID)) || accepted[r.Conn] != p.PID {
				t.Fatalf("request %s of %d, accepted from %d", what, p.PID, accepted[r.Conn])
			}
			if seen[what] {
				t.Fatalf("request %s twice", what)
			}
			seen[what] = true
		}
	}
	done := 0
	for end := time.Now().Add(limit); len(seen) < processes*requests && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		records := c.snapshot()
		for ; done < len(records); done++ {
			check(records[done])
		}
	}
	if len(seen) != processes*requests || c.Drops() != 0 {
		t.Errorf("%d of %d requests, %d drops", len(seen), processes*requests, c.Drops())
	}
}

func TestTapDrops(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	taptest.StartServer(t, "unix", path)
	tap := loadTest(t, Options{RingSize: 1})
	if err := tap.Watch([]Socket{{Path: path}}); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		taptest.Run(t, taptest.Helper(t, "get", path, "/dropped"))
	}
	if tap.Drops() == 0 {
		t.Error("a ring of one page took all of 50 connections")
	}
	// What was in the ring is there, and then reading is interrupted.
	if err := tap.Interrupt(); err != nil {
		t.Fatal(err)
	}
	var rec Record
	n := 0
	for ; ; n++ {
		if err := tap.ReadInto(&rec); errors.Is(err, ErrInterrupted) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if n == 0 {
		t.Error("read nothing")
	}
	if err := tap.Close(); err != nil {
		t.Error(err)
	}
	if err := tap.ReadInto(&rec); !errors.Is(err, ErrClosed) {
		t.Errorf("read of a closed tap: %v", err)
	}
}

// load loads a tap and says what came of it. Run without root, it needs no
// file but the kernel's BTF.
func load([]string) error {
	tap, err := Load(Options{})
	if errors.Is(err, ErrPrivilege) {
		fmt.Println("missing privilege")
	}
	if err != nil {
		return err
	}
	defer tap.Close()
	return tap.Watch([]Socket{{Port: 2375}})
}

func TestTapPrivileges(t *testing.T) {
	loadTest(t, Options{}) // skips
	// A copy that any user can execute.
	dir, err := os.MkdirTemp("", "tap")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	as := func(caps ...uintptr) *exec.Cmd {
		cmd := taptest.Helper(t, "load")
		binary, err := os.ReadFile(cmd.Path)
		if err != nil {
			t.Fatal(err)
		}
		cmd.Path = filepath.Join(dir, "load")
		if err := os.WriteFile(cmd.Path, binary, 0o755); err != nil {
			t.Fatal(err)
		}
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, AmbientCaps: caps}
		return cmd
	}
	if out, err := as(unix.CAP_BPF, unix.CAP_PERFMON).CombinedOutput(); err != nil {
		t.Errorf("with CAP_BPF and CAP_PERFMON: %v: %s", err, out)
	}
	for name, caps := range map[string][]uintptr{"none": nil, "CAP_BPF": {unix.CAP_BPF}, "CAP_PERFMON": {unix.CAP_PERFMON}} {
		out, err := as(caps...).CombinedOutput()
		if err == nil || !bytes.HasPrefix(out, []byte("missing privilege\n")) || !bytes.Contains(out, []byte("run with CAP_BPF and CAP_PERFMON")) {
			t.Errorf("with %s: %v: %s", name, err, out)
		}
	}
}

func TestTapDocker(t *testing.T) {
	d := dockertest.Start(t)
	c := watch(t, Socket{Path: d.Socket})
	cmd := d.Command("run", "--rm", "--network=none", dockertest.Image, "true")
	taptest.Run(t, cmd)
	request := c.request(t, "/containers/create ")
	p := c.sender(request)
	if int(p.PID) != cmd.Process.Pid || p.ExePath != taptest.Executable(t, "docker") || len(p.Args) < 3 {
		t.Errorf("client is %+v", p)
	}
	taptest.Need(t, "curl")
	pid, _ := taptest.Run(t, exec.Command("curl", "-s", "--unix-socket", d.Socket, "http://x/v1.40/info"))
	c.client(t, "GET /v1.40/info ", pid)
	checkResponse(t, c, c.request(t, "GET /v1.40/info "))

	// From a container that has the host's root.
	d.Docker("run", "--rm", "--network=none", "-v", "/:/host", "--name=inside", dockertest.Image,
		"chroot", "/host", "curl", "-s", "--unix-socket", d.Socket, "http://x/v1.40/containers/json")
	request = c.request(t, "GET /v1.40/containers/json ")
	p = c.sender(request)
	if p.ExePath != "/host"+taptest.Executable(t, "curl") || p.PIDNamespace == namespace(t, "pid") {
		t.Errorf("client is %+v", p)
	}
	if id := filepath.Base(p.Cgroup); len(id) != 64 {
		t.Errorf("cgroup of the container is %s", p.Cgroup)
	}
	if n := c.Drops(); n != 0 {
		t.Errorf("%d drops", n)
	}
}
