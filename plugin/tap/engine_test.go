// SPDX-License-Identifier: Apache-2.0

package tap

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/containerapi/containerapi/plugin/tap/taptest"
)

// engine is a server on a unix socket and a TCP port.
type engine struct {
	*taptest.Server
	path, addr string
	port       uint16
}

func startEngine(t testing.TB) *engine {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s.sock")
	s := taptest.StartServer(t, "unix", path, "tcp4", "127.0.0.1:0")
	return &engine{s, path, s.Addrs[1], taptest.Port(t, s.Addrs[1])}
}

func (e *engine) sockets() []Socket { return []Socket{{Path: e.path}, {Port: e.port}} }

// tcpClient waits for the request with text over TCP and returns who connected.
func (c *capture) tcpClient(t testing.TB, text string) Process {
	t.Helper()
	established := c.established(t, c.accepted(t, c.request(t, text).Conn))
	var last Process
	for _, r := range c.snapshot() {
		// The key of a client's end can have been another's before.
		if r.Kind == Connect && r.Peer == established.Peer && r.Time <= established.Time {
			last = r.Process
		}
	}
	return last
}

// A server at a watched port that is not the engine is nobody's business, in
// this network namespace or another one, and neither are its clients.
func TestTapOtherServer(t *testing.T) {
	taptest.Need(t, "curl", "unshare", "ip")
	e := startEngine(t)
	other := taptest.StartServer(t, "tcp", "127.0.0.1:0")
	c := watch(t, append(e.sockets(), Socket{Port: taptest.Port(t, other.Addr)})...)
	taptest.Run(t, exec.Command("curl", "-s", "http://"+other.Addr+"/other"))
	serve := taptest.Helper(t, "serve", "tcp", e.addr)
	namespaced := exec.Command("unshare", "--net", "sh", "-ec",
		`ip link set lo up; "$1" tcp "$2" & curl -s --retry 20 --retry-connrefused --retry-delay 1 "http://$2/other"; kill $!`, "sh", serve.Path, e.addr)
	namespaced.Env = serve.Env
	taptest.Run(t, namespaced)
	taptest.Run(t, taptest.Helper(t, "get", e.path, "/last"))
	c.request(t, "GET /last ")
	for _, r := range c.snapshot() {
		if r.Kind != Exit && (r.Kind == Accept && r.Local.IsValid() || strings.Contains(string(r.Data), "/other") ||
			r.Remote.Port() == taptest.Port(t, other.Addr)) {
			t.Errorf("saw %s", &r)
		}
	}
}

// An engine that starts again is one at once, whatever it is asked first.
func TestTapEngineStartsAgain(t *testing.T) {
	taptest.Need(t, "curl")
	e := startEngine(t)
	c := watch(t, e.sockets()...)
	taptest.Run(t, exec.Command("curl", "-s", "http://"+e.addr+"/first"))
	c.request(t, "GET /first ")
	e.Stop()
	if err := os.Remove(e.path); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	s := taptest.StartServer(t, "unix", e.path, "tcp4", e.addr)
	if err := c.Watch(e.sockets()); err != nil {
		t.Fatal(err)
	}
	pid, _ := taptest.Run(t, exec.Command("curl", "-s", "http://"+e.addr+"/again"))
	if p := c.tcpClient(t, "GET /again "); int(p.PID) != pid {
		t.Errorf("client is %+v, want %d", p, pid)
	}
	if r := c.request(t, "GET /again "); int(r.PID) != s.PID {
		t.Errorf("server is %d, want %d", r.PID, s.PID)
	}
}

// An engine without a unix socket is root's dockerd, and no other server.
func TestTapEngineWithoutSocket(t *testing.T) {
	taptest.Need(t, "curl")
	cmd := taptest.Helper(t, "serve", "tcp", "127.0.0.1:0")
	dockerd := filepath.Join(t.TempDir(), "dockerd")
	if err := os.Link(cmd.Path, dockerd); err != nil {
		t.Skipf("the test binary cannot have more than one name: %v", err)
	}
	cmd.Path = dockerd
	e := taptest.StartServerAs(t, cmd)
	other := taptest.StartServer(t, "tcp", "127.0.0.1:0")
	c := &capture{Tap: loadTest(t, Options{}), t: t, done: make(chan struct{})}
	_ = c.Watch([]Socket{{Path: "/nowhere/docker.sock"}, {Port: taptest.Port(t, e.Addr)}, {Port: taptest.Port(t, other.Addr)}})
	go c.collect()
	t.Cleanup(func() { c.Close(); <-c.done })
	taptest.Run(t, exec.Command("curl", "-s", "http://"+other.Addr+"/other"))
	pid, _ := taptest.Run(t, exec.Command("curl", "-s", "http://"+e.Addr+"/engine"))
	if p := c.tcpClient(t, "GET /engine "); int(p.PID) != pid {
		t.Errorf("client is %+v, want %d", p, pid)
	}
	if r, found := find(c, "/other"); found {
		t.Errorf("saw %s", &r)
	}
}

// Two connections with the same addresses, in two network namespaces: each is
// its own client's.
func TestTapNetworkNamespaces(t *testing.T) {
	taptest.Need(t, "unshare", "ip")
	e := startEngine(t)
	c := watch(t, e.sockets()...)
	serve := taptest.Helper(t, "serve", "tcp", e.addr)
	port := strconv.Itoa(int(e.port))
	connect := `
import time
def tcp(local, what):
    for _ in range(200):
        try:
            s = socket.create_connection(("127.0.0.1", int(path)), source_address=("127.0.0.1", local))
            break
        except ConnectionRefusedError:
            time.sleep(0.05)
    get(s, what)
    return s
`
	decoy := taptest.Python(t, port, connect+`
import subprocess
server = subprocess.Popen([sys.argv[2], "tcp", "127.0.0.1:" + path])
kept = tcp(41234, b"/decoy")
print("connected", flush=True)
sys.stdin.read()
server.kill()
`)
	decoy.Args = append([]string{"unshare", "--net", "sh", "-ec", `ip link set lo up; exec "$@"`, "sh"}, append(decoy.Args, serve.Path)...)
	decoy.Path, _ = exec.LookPath("unshare")
	decoy.Env = serve.Env
	d := background(t, decoy)
	pid, _ := taptest.Run(t, taptest.Python(t, port, connect+`tcp(41234, b"/real")`))
	if p := c.tcpClient(t, "GET /real "); int(p.PID) != pid {
		t.Errorf("client is %d, want %d; the decoy is %d", p.PID, pid, d)
	}
	if r, found := find(c, "/decoy"); found {
		t.Errorf("saw %s", &r)
	}
}

// background starts a command that says when it is ready, and ends with the
// test.
func background(t testing.TB, cmd *exec.Cmd) (pid int) {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	for {
		b := make([]byte, 4096)
		n, err := out.Read(b)
		if err != nil {
			t.Fatalf("%s: %v", cmd, err)
		}
		if strings.Contains(string(b[:n]), "connected") {
			return cmd.Process.Pid
		}
	}
}

// Ways to connect that are no connect(2), or look like a server's.
func TestTapTCPClients(t *testing.T) {
	e := startEngine(t)
	other := taptest.StartServer(t, "tcp", "127.0.0.1:0")
	taken := taptest.Port(t, other.Addr)
	other.Stop()
	c := watch(t, append(e.sockets(), Socket{Port: taken})...)
	for name, script := range map[string]string{
		"fast open": `
s = socket.socket()
s.sendto(b"GET /fast HTTP/1.1\r\nHost: x\r\n\r\n", socket.MSG_FASTOPEN, ("127.0.0.1", int(path)))
s.recv(4096)
`,
		"fast open sendmsg": `
s = socket.socket()
s.sendmsg([b"GET /fast HTTP/1.1\r\nHost: x\r\n\r\n"], [], socket.MSG_FASTOPEN, ("127.0.0.1", int(path)))
s.recv(4096)
`,
		"fast open connect": `
s = socket.socket()
s.setsockopt(socket.IPPROTO_TCP, 30, 1)
s.connect(("127.0.0.1", int(path)))
get(s, b"/fast")
`,
		"local port that is watched": fmt.Sprintf(`
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", %d))
s.connect(("127.0.0.1", int(path)))
get(s, b"/fast")
`, taken),
		"not blocking": `
import select
s = socket.socket()
s.setblocking(False)
s.connect_ex(("127.0.0.1", int(path)))
select.select([], [s], [])
s.setblocking(True)
get(s, b"/fast")
`,
		"by IPv6 that is mapped": `
s = socket.socket(socket.AF_INET6)
s.connect(("::ffff:127.0.0.1", int(path)))
get(s, b"/fast")
`,
	} {
		t.Run(name, func(t *testing.T) {
			what := "/" + strings.ReplaceAll(name, " ", "-")
			pid, _ := taptest.Run(t, taptest.Python(t, strconv.Itoa(int(e.port)), strings.ReplaceAll(script, "/fast", what)))
			if p := c.tcpClient(t, "GET "+what+" "); int(p.PID) != pid || p.ExePath != taptest.PythonExe(t) {
				t.Errorf("client is %+v, want %d", p, pid)
			}
		})
	}
	t.Run("io_uring", func(t *testing.T) {
		pid, _ := taptest.Run(t, taptest.Helper(t, "uring", e.addr, "/uring"))
		if p := c.tcpClient(t, "GET /uring "); int(p.PID) != pid {
			t.Errorf("client is %+v, want %d", p, pid)
		}
	})
}

// Of a TCP connection that another process than the one that made it sends on,
// both are told.
func TestTapTCPSender(t *testing.T) {
	e := startEngine(t)
	c := watch(t, e.sockets()...)
	parent, out := taptest.Run(t, taptest.Python(t, strconv.Itoa(int(e.port)), `
s = socket.create_connection(("127.0.0.1", int(path)))
child = os.fork()
if not child:
    get(s, b"/child")
    os._exit(0)
os.waitpid(child, 0)
get(s, b"/parent-again")
print(child)
`))
	child, _ := strconv.Atoi(out)
	established := c.established(t, c.accepted(t, c.request(t, "GET /parent-again ").Conn))
	for _, pid := range []int{child, parent} {
		c.wait(t, "sender", func(r Record) bool {
			return r.Kind == Sender && r.Peer == established.Peer && int(r.Process.PID) == pid
		})
	}
}

// Each client has a share of the ring: one that sends without end, while nobody
// reads, loses what it sends, and another one's requests are there.
func TestTapShares(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	taptest.StartServer(t, "unix", path)
	c := &capture{Tap: loadTest(t, Options{RingSize: 1 << 20}), t: t, done: make(chan struct{})}
	if err := c.Watch([]Socket{{Path: path}}); err != nil {
		t.Fatal(err)
	}
	flood := map[string]string{
		"bodies": `
s = connect()
s.sendall(b"POST /load HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n")
for _ in range(100): s.sendall(bytes(1000000))
`,
		"heads": `
for _ in range(3000): get(connect(), b"/" + b"x" * 3000)
`,
	}
	var pids []int
	for _, name := range []string{"bodies", "heads"} {
		pid, _ := taptest.Run(t, taptest.Python(t, path, flood[name]))
		pids = append(pids, pid)
	}
	const others = 20
	want := make(map[string]int)
	for i := range others {
		what := fmt.Sprintf("/create/%d", i)
		pid, _ := taptest.Run(t, taptest.Helper(t, "get", path, what))
		want["GET "+what+" "] = pid
	}
	losses, err := c.Losses()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range losses {
		if int(l.PID) != pids[0] && int(l.PID) != pids[1] {
			t.Errorf("%d records of %d were lost", l.Records, l.PID)
		}
	}
	if len(losses) == 0 {
		t.Error("nobody lost anything")
	}
	go c.collect()
	t.Cleanup(func() { c.Close(); <-c.done })
	for text, pid := range want {
		c.client(t, text, pid)
	}
}

// A lost record shows in the close of its connection, which is not lost.
func TestTapLossAtClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	taptest.StartServer(t, "unix", path)
	c := &capture{Tap: loadTest(t, Options{RingSize: 1}), t: t, done: make(chan struct{})}
	if err := c.Watch([]Socket{{Path: path}}); err != nil {
		t.Fatal(err)
	}
	pid, _ := taptest.Run(t, taptest.Python(t, path, `
s = connect()
for _ in range(50): get(s, b"/" + b"x" * 500)
`))
	time.Sleep(100 * time.Millisecond)
	go c.collect()
	t.Cleanup(func() { c.Close(); <-c.done })
	closed := c.wait(t, "close", func(r Record) bool { return r.Kind == Close })
	var shown uint64
	for _, r := range c.snapshot() {
		if r.Kind == Request {
			shown = r.Position + uint64(r.Total)
		}
	}
	if int(closed.Client) != pid || closed.Position <= shown || closed.Position < 50*500 {
		t.Errorf("close of %d at %d, %d bytes were shown; want %d", closed.Client, closed.Position, shown, pid)
	}
}
