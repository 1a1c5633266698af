// SPDX-License-Identifier: Apache-2.0

package tap

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containerapi/containerapi/plugin/tap/taptest"
)

// limit is how long a record may take.
const limit = 20 * time.Second

func TestMain(m *testing.M) {
	taptest.Main(m, taptest.Helpers{"write": write, "load": load, "uring": uring})
}

// capture is all that a tap saw.
type capture struct {
	*Tap
	t       testing.TB
	done    chan struct{}
	mu      sync.Mutex
	records []Record
}

// loadTest loads a tap, or skips the test where none can be.
func loadTest(t testing.TB, o Options) *Tap {
	t.Helper()
	tap, err := Load(o)
	for _, missing := range []error{ErrPrivilege, ErrBTF, ErrKernel, ErrLockdown} {
		if errors.Is(err, missing) {
			t.Skipf("the tap cannot be loaded here: %v", err)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tap.Close() })
	return tap
}

func watch(t testing.TB, sockets ...Socket) *capture {
	t.Helper()
	c := &capture{Tap: loadTest(t, Options{}), t: t, done: make(chan struct{})}
	if err := c.Watch(sockets); err != nil {
		t.Fatal(err)
	}
	go c.collect()
	t.Cleanup(func() {
		c.Close()
		<-c.done
	})
	return c
}

func (c *capture) collect() {
	defer close(c.done)
	for {
		var r Record
		if err := c.ReadInto(&r); errors.Is(err, ErrClosed) {
			return
		} else if err != nil && !errors.Is(err, ErrInterrupted) {
			c.t.Error(err)
			return
		}
		if bytes.Contains(r.Data, []byte(taptest.Body)) {
			c.t.Errorf("a %v has the response's body: %q", r.Kind, r.Data)
		}
		r.Data = bytes.Clone(r.Data)
		c.mu.Lock()
		c.records = append(c.records, r)
		c.mu.Unlock()
	}
}

func (c *capture) snapshot() []Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.records)
}

// wait waits for the first record that is as wanted.
func (c *capture) wait(t testing.TB, what string, wanted func(r Record) bool) Record {
	t.Helper()
	for end := time.Now().Add(limit); ; time.Sleep(5 * time.Millisecond) {
		records := c.snapshot()
		if i := slices.IndexFunc(records, wanted); i >= 0 {
			return records[i]
		}
		if time.Now().After(end) {
			for _, r := range records {
				t.Logf("%s %.40q", &r, r.Data)
			}
			t.Fatalf("no %s within %s", what, limit)
		}
	}
}

// request waits until what a server read from one connection contains text,
// and returns the record with its end. Go's server can read the first byte of a
// request by itself.
func (c *capture) request(t testing.TB, text string) Record {
	t.Helper()
	return c.wait(t, "request with "+text, func(r Record) bool {
		return r.Kind == Request && strings.Contains(c.before(r)+string(r.Data), text)
	})
}

// before is what was read from the record's connection before it.
func (c *capture) before(last Record) string {
	var b strings.Builder
	for _, r := range c.snapshot() {
		if r.Kind == Request && r.Conn == last.Conn && r.Position < last.Position {
			b.Write(r.Data)
		}
	}
	return b.String()
}

// accepted returns the record of how the connection began.
func (c *capture) accepted(t testing.TB, conn ConnKey) Record {
	t.Helper()
	return c.wait(t, "accept of the connection", func(r Record) bool { return r.Kind == Accept && r.Conn == conn })
}

// established returns the client's record of the accepted TCP connection.
func (c *capture) established(t testing.TB, accept Record) Record {
	t.Helper()
	return c.wait(t, "client's end", func(r Record) bool { return r.Kind == Established && r.Sequence == accept.Sequence })
}

// client waits for the request with text and returns who sent it: the last
// process to use the connection.
func (c *capture) client(t testing.TB, text string, pid int) Process {
	t.Helper()
	request := c.request(t, text)
	return c.wait(t, fmt.Sprintf("sender %d of %s", pid, text), func(r Record) bool {
		return (r.Kind == Connect || r.Kind == Sender) && r.Peer == request.Peer && int(r.Process.PID) == pid
	}).Process
}

// sender is who used the request's connection last before it. A peer's key can
// have been another's before.
func (c *capture) sender(request Record) Process {
	var last Process
	for _, r := range c.snapshot() {
		switch {
		case (r.Kind == Connect || r.Kind == Sender) && r.Peer == request.Peer:
			last = r.Process
		case r.Kind == Request && r.Conn == request.Conn && r.Position == request.Position:
			return last
		}
	}
	return last
}

func checkResponse(t *testing.T, c *capture, request Record) {
	t.Helper()
	response := c.wait(t, "response", func(r Record) bool { return r.Kind == Response && r.Conn == request.Conn })
	if !bytes.HasPrefix(response.Data, []byte("HTTP/1.1 200 OK\r\n")) || !bytes.HasSuffix(response.Data, []byte("\r\n\r\n")) {
		t.Errorf("response head is %q", response.Data)
	}
}

func TestTapCurl(t *testing.T) {
	taptest.Need(t, "curl")
	path := filepath.Join(t.TempDir(), "s.sock")
	s := taptest.StartServer(t, "unix", path)
	c := watch(t, Socket{Path: path})
	before := time.Now().UnixNano()
	args := []string{"curl", "-s", "--unix-socket", path, "http://x/curl"}
	pid, _ := taptest.Run(t, exec.Command(args[0], args[1:]...))

	request := c.request(t, "GET /curl HTTP/1.1\r\n")
	if int(request.PID) != s.PID || request.Position != 0 || request.Total != len(request.Data) {
		t.Errorf("request by server %d at %d, %d of %d bytes; want server %d at 0, whole",
			request.PID, request.Position, len(request.Data), request.Total, s.PID)
	}
	if now := time.Now().UnixNano(); request.Time < before || request.Time > now {
		t.Errorf("request at %d, not between %d and %d", request.Time, before, now)
	}
	accept := c.accepted(t, request.Conn)
	if accept.Adopted || int(accept.PID) != s.PID || int(accept.Process.PID) != pid || accept.Process.UID != uint32(os.Getuid()) {
		t.Errorf("accept is %+v", accept)
	}
	checkResponse(t, c, request)
	c.wait(t, "close", func(r Record) bool { return r.Kind == Close && r.Conn == request.Conn })
	c.wait(t, "exit of curl", func(r Record) bool { return r.Kind == Exit && int(r.PID) == pid })

	p := c.client(t, "GET /curl", pid)
	if want := taptest.Executable(t, "curl"); p.ExePath != want {
		t.Errorf("exe is %q, want %q", p.ExePath, want)
	}
	if !slices.Equal(p.Args, args) {
		t.Errorf("args are %q, want %q", p.Args, args)
	}
	loginuid, err := os.ReadFile("/proc/self/loginuid")
	if err == nil && strconv.FormatUint(uint64(p.LoginUID), 10) != string(loginuid) {
		t.Errorf("loginuid is %d, want %s", p.LoginUID, loginuid)
	}
	if p.Comm != "curl" || int(p.PPID) != os.Getpid() || p.ParentComm != comm(t) ||
		p.PIDNamespace != namespace(t, "pid") || p.MountNamespace != namespace(t, "mnt") {
		t.Errorf("process is %+v", p)
	}
	if age := time.Duration(request.Time - bootTime() - int64(p.Start)); p.Start == 0 || age < 0 || age > time.Minute {
		t.Errorf("process began at %d, %s before the request", p.Start, age)
	}
	if want := cgroup(t); p.Cgroup != want {
		t.Errorf("cgroup is %q, want %q", p.Cgroup, want)
	}
	if n := c.Drops(); n != 0 {
		t.Errorf("%d drops", n)
	}
}

func comm(t *testing.T) string {
	b, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// namespace is the inode of this process' namespace of a kind.
func namespace(t *testing.T, kind string) uint32 {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Stat("/proc/self/ns/"+kind, &st); err != nil {
		t.Fatal(err)
	}
	return uint32(st.Ino)
}

// cgroup is what [Process.Cgroup] promises for this process.
func cgroup(t *testing.T) string {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for _, controller := range []string{"0::", "pids:", "memory:"} {
		for line := range strings.Lines(string(b)) {
			if _, path, ok := strings.Cut(strings.TrimSpace(line), controller); ok && path != "/" {
				return path
			}
		}
	}
	return "/"
}

// Every one of these is a way to reach the socket that a path or a process
// name does not show.
func TestTapClients(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s.sock")
	taptest.StartServer(t, "unix", path)
	c := watch(t, Socket{Path: path})
	curl := func(t *testing.T, dir, path, what string) {
		taptest.Need(t, "curl")
		cmd := exec.Command("curl", "-s", "--unix-socket", path, "http://x"+what)
		cmd.Dir = dir
		pid, _ := taptest.Run(t, cmd)
		if p := c.client(t, "GET "+what+" ", pid); p.ExePath != taptest.Executable(t, "curl") {
			t.Errorf("exe is %q", p.ExePath)
		}
	}

	t.Run("symlink", func(t *testing.T) {
		link := filepath.Join(dir, "link")
		if err := os.Symlink(path, link); err != nil {
			t.Fatal(err)
		}
		curl(t, "", link, "/symlink")
	})
	t.Run("relative path", func(t *testing.T) { curl(t, dir, "./s.sock", "/relative") })
	t.Run("hard link", func(t *testing.T) {
		link := filepath.Join(dir, "hard")
		if err := os.Link(path, link); err != nil {
			t.Fatal(err)
		}
		curl(t, "", link, "/hard")
	})
	t.Run("mount namespace", func(t *testing.T) {
		taptest.Need(t, "unshare", "curl")
		target := filepath.Join(t.TempDir(), "other.sock")
		cmd := exec.Command("unshare", "--mount", "--pid", "--fork", "sh", "-ec",
			`touch "$2"; mount --bind "$1" "$2"; curl -s --unix-socket "$2" http://x/mount; echo`, "sh", path, target)
		taptest.Run(t, cmd)
		request := c.request(t, "GET /mount ")
		p := c.sender(request)
		if p.ExePath != taptest.Executable(t, "curl") || p.Comm != "curl" || p.ParentComm != "sh" {
			t.Errorf("process is %+v", p)
		}
		if p.PIDNamespace == namespace(t, "pid") || p.MountNamespace == namespace(t, "mnt") {
			t.Errorf("process has this one's pid namespace %d or mount namespace %d", p.PIDNamespace, p.MountNamespace)
		}
	})
	t.Run("python", func(t *testing.T) {
		pid, _ := taptest.Run(t, taptest.Python(t, path, `
s = connect()
for part in b"GET /raw", b"/python HTTP", b"/1.1\r\nHost: ", b"x\r\n\r\n":
    s.send(part)
s.recv(4096)
get(s, b"/kept-alive")
`))
		if p := c.client(t, "GET /kept-alive ", pid); p.ExePath != taptest.PythonExe(t) {
			t.Errorf("exe is %q", p.ExePath)
		}
		conn := c.request(t, "GET /kept-alive ").Conn
		if got := stream(t, c, conn); !strings.HasPrefix(got, "GET /raw/python HTTP/1.1\r\nHost: x\r\n\r\nGET /kept-alive ") {
			t.Errorf("read %q", got)
		}
	})
	t.Run("vectors", func(t *testing.T) {
		pid, _ := taptest.Run(t, taptest.Python(t, path, `
s = connect()
s.sendmsg([b"GET /vec", b"tor HTTP/1.1\r\n", b"Host: x\r\n\r\n"])
s.recv(4096)
`))
		c.client(t, "GET /vector ", pid)
	})
	t.Run("child", func(t *testing.T) {
		parent, out := taptest.Run(t, taptest.Python(t, path, `
s = connect()
child = os.fork()
if not child:
    get(s, b"/child")
    os._exit(0)
os.waitpid(child, 0)
get(s, b"/parent-again")
print(child)
`))
		child, _ := strconv.Atoi(out)
		if p := c.client(t, "GET /child ", child); int(p.PPID) != parent || p.ExePath != taptest.PythonExe(t) {
			t.Errorf("child is %+v", p)
		}
		// The parent connected, the child sent, and then the parent again.
		request := c.request(t, "GET /parent-again ")
		c.wait(t, "parent as sender", func(r Record) bool {
			return r.Kind == Sender && r.Peer == request.Peer && int(r.Process.PID) == parent
		})
	})
	t.Run("exec", func(t *testing.T) {
		pid, _ := taptest.Run(t, taptest.Python(t, path, `
s = connect()
os.dup2(s.fileno(), 7)
os.execv("/bin/sh", ["sh", "-c", "printf 'GET /exec HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n' >&7; head -c 1 <&7"])
`))
		request := c.request(t, "GET /exec ")
		p := c.wait(t, "sender", func(r Record) bool { return r.Kind == Sender && r.Peer == request.Peer && int(r.Process.PID) == pid }).Process
		if p.ExePath != taptest.Executable(t, "sh") {
			t.Errorf("sender is %+v, want sh", p)
		}
	})
	t.Run("passed descriptor", func(t *testing.T) {
		_, out := taptest.Run(t, taptest.Python(t, path, `
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
child = os.fork()
if not child:
    message, control, _, _ = b.recvmsg(1, socket.CMSG_SPACE(4))
    s = socket.socket(fileno=array.array("i", control[0][2])[0])
    get(s, b"/passed")
    os._exit(0)
s = connect()
a.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [s.fileno()]))])
os.waitpid(child, 0)
print(child)
`))
		child, _ := strconv.Atoi(out)
		c.client(t, "GET /passed ", child)
	})
	t.Run("taken descriptor", func(t *testing.T) {
		_, out := taptest.Run(t, taptest.Python(t, path, `
read, write = os.pipe()
child = os.fork()
if not child:
    fd = int(os.read(read, 10))
    other = os.pidfd_open(os.getppid())
    s = socket.socket(fileno=ctypes.CDLL(None).syscall(438, other, fd, 0))
    get(s, b"/taken")
    os._exit(0)
s = connect()
os.write(write, b"%d" % s.fileno())
if os.waitpid(child, 0)[1]:
    sys.exit("child failed")
print(child)
`))
		child, _ := strconv.Atoi(out)
		c.client(t, "GET /taken ", child)
	})
	t.Run("gone in a millisecond", func(t *testing.T) {
		cmd := taptest.Helper(t, "get", path, "/quick")
		pid, _ := taptest.Run(t, cmd)
		p := c.client(t, "GET /quick ", pid)
		if exe, _ := os.Executable(); p.ExePath != exe || !slices.Equal(p.Args, cmd.Args) {
			t.Errorf("process is %q with %q, want %q with %q", p.ExePath, p.Args, exe, cmd.Args)
		}
	})
	t.Run("deleted executable", func(t *testing.T) {
		cmd := taptest.Helper(t, "get", path, "/deleted")
		binary, err := os.ReadFile(cmd.Path)
		if err != nil {
			t.Fatal(err)
		}
		cmd.Path = filepath.Join(t.TempDir(), "copy")
		if err := os.WriteFile(cmd.Path, binary, 0o700); err != nil {
			t.Fatal(err)
		}
		// The shell executes the file once it is open, and unlinked.
		shell := exec.Command("sh", "-c", `exec 8<"$1"; rm "$1"; shift; exec /proc/self/fd/8 "$@"`, "sh", cmd.Path, path, "/deleted")
		shell.Env = cmd.Env
		pid, _ := taptest.Run(t, shell)
		if p := c.client(t, "GET /deleted ", pid); p.ExePath != cmd.Path+" (deleted)" {
			t.Errorf("exe is %q, want %q", p.ExePath, cmd.Path+" (deleted)")
		}
	})
	t.Run("executable in memory", func(t *testing.T) {
		cmd := taptest.Helper(t, "get", path, "/memory")
		script := taptest.Python(t, cmd.Path, `
fd = os.memfd_create("malware")
with open(path, "rb") as f:
    os.sendfile(fd, f.fileno(), 0, os.fstat(f.fileno()).st_size)
os.execve(fd, sys.argv[1:], os.environ)
`)
		script.Args = append(script.Args, path, "/memory")
		script.Env = cmd.Env
		pid, _ := taptest.Run(t, script)
		if p := c.client(t, "GET /memory ", pid); p.ExePath != "/memfd:malware (deleted)" {
			t.Errorf("exe is %q", p.ExePath)
		}
	})
	t.Run("long command line and path", func(t *testing.T) {
		cmd := taptest.Helper(t, "get", path, "/long", strings.Repeat("x", 5000))
		binary, err := os.ReadFile(cmd.Path)
		if err != nil {
			t.Fatal(err)
		}
		deep := t.TempDir()
		for range 12 {
			deep = filepath.Join(deep, strings.Repeat("d", 100))
		}
		if err := os.MkdirAll(deep, 0o700); err != nil {
			t.Fatal(err)
		}
		cmd.Path = filepath.Join(deep, "get")
		if err := os.WriteFile(cmd.Path, binary, 0o700); err != nil {
			t.Fatal(err)
		}
		pid, _ := taptest.Run(t, cmd)
		p := c.client(t, "GET /long ", pid)
		if all := strings.Join(p.Args, "\x00"); len(all) != 4096 || !strings.HasPrefix(all, strings.Join(cmd.Args, "\x00")[:4096]) {
			t.Errorf("args have %d bytes", len(all))
		}
		if p.ExePath != cmd.Path {
			t.Errorf("exe is %q, want %q", p.ExePath, cmd.Path)
		}
	})
}

// stream is what the server read from a connection, in the order in which the
// positions say so; "?" stands for a byte that was not copied.
func stream(t testing.TB, c *capture, conn ConnKey) string {
	var b strings.Builder
	for _, r := range c.snapshot() {
		if r.Kind != Request || r.Conn != conn {
			continue
		}
		if r.Position != uint64(b.Len()) {
			t.Errorf("record at %d after %d bytes", r.Position, b.Len())
		}
		b.Write(r.Data)
		b.WriteString(strings.Repeat("?", r.Total-len(r.Data)))
	}
	return b.String()
}
