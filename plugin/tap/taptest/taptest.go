// SPDX-License-Identifier: Apache-2.0

// Package taptest has the servers, clients and helper processes of tests that
// load the tap.
package taptest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Body is in every response of a [Server], and must be in no record.
const Body = "canary-of-the-response-body"

// Helpers are what a test binary can be run again as, by name. The tap leaves
// its own process out, so servers and some clients are processes of their own.
//
// "serve" answers every request on a network and address, "get" sends one
// request to a unix socket and ends, "storm" sends a number of them on a
// connection each, "keep" all on one: every test binary has these.
type Helpers map[string]func(args []string) error

// common are the helpers that every test binary has.
var common = Helpers{"serve": serve, "get": get, "storm": storm, "keep": keep}

// Main is the TestMain of a package whose tests call [Helper]: it runs a helper
// if this is one, and the tests otherwise.
func Main(m *testing.M, own Helpers) {
	if name := os.Getenv("TAP_TEST_HELPER"); name != "" {
		run := own[name]
		if run == nil {
			run = common[name]
		}
		if err := run(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, name+":", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Helper returns the command of a helper, which ends with this process.
func Helper(t testing.TB, name string, args ...string) *exec.Cmd {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), "TAP_TEST_HELPER="+name)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// serve answers every request on networks and addresses: "unix", a path, "tcp",
// an address, and so on.
func serve(args []string) error {
	var listeners []net.Listener
	for ; len(args) >= 2; args = args[2:] {
		l, err := net.Listen(args[0], args[1])
		if err != nil {
			return err
		}
		listeners = append(listeners, l)
		fmt.Println(l.Addr())
	}
	fmt.Println()
	ended := make(chan error)
	for _, l := range listeners {
		go func() { ended <- http.Serve(l, http.HandlerFunc(answer)) }()
	}
	return <-ended
}

func answer(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Header.Get("Upgrade") != "":
		hijack(w)
		return
	case r.URL.Path == "/forge":
		forge(w)
		return
	}
	n, _ := io.Copy(io.Discard, r.Body)
	w.Header().Set("X-Read", strconv.FormatInt(n, 10))
	_, _ = io.WriteString(w, Body)
}

// forge answers with a body that looks like another answer, in a write of its
// own: what a client can have an engine do that repeats its words.
func forge(w http.ResponseWriter) {
	const body = "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\n\r\n"
	w.Header().Set("Content-Length", strconv.Itoa(2*len(body)))
	w.WriteHeader(http.StatusNotFound)
	flush := http.NewResponseController(w).Flush
	for range 2 {
		_ = flush()
		_, _ = io.WriteString(w, body)
	}
}

// hijack makes an echo of the connection.
func hijack(w http.ResponseWriter) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
	_, _ = io.Copy(conn, rw)
}

// get sends a request and ends without waiting for an answer.
func get(args []string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: args[0]}); err != nil {
		return err
	}
	_, err = unix.Write(fd, []byte("GET "+args[1]+" HTTP/1.1\r\nHost: x\r\n\r\n"))
	return err
}

// KeptPath is the path of a request that "keep" sends.
func KeptPath(client, request any) string {
	return fmt.Sprintf("/containers/client-%v-request-%v/json", client, request)
}

// keep sends requests on one connection: a socket, a number for itself, how
// many.
func keep(args []string) error {
	n, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	conn, err := net.Dial("unix", args[0])
	if err != nil {
		return err
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	for i := range n {
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", KeptPath(args[1], i))
		response, err := http.ReadResponse(answers, nil)
		if err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, response.Body)
	}
	return nil
}

// storm sends a number of requests, every one on a connection of its own and
// with a path of its own.
func storm(args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", args[0])
		},
	}}
	for i := range n {
		response, err := client.Get(fmt.Sprintf("http://x/%d/%d/", os.Getpid(), i))
		if err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
	return nil
}

// Server is a server in a process of its own, which ends with the test.
type Server struct {
	// Addr is the first of Addrs, the addresses that it listens on.
	Addr  string
	Addrs []string
	PID   int
	Stop  func()
}

// StartServer starts a server on networks and addresses: "unix", a path, and so
// on.
func StartServer(t testing.TB, listen ...string) *Server {
	t.Helper()
	return StartServerAs(t, Helper(t, "serve", listen...))
}

// StartServerAs starts a server that is the command of the helper "serve".
func StartServerAs(t testing.TB, cmd *exec.Cmd) *Server {
	t.Helper()
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &Server{PID: cmd.Process.Pid, Stop: sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})}
	t.Cleanup(s.Stop)
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("server did not start: %v", err)
		}
		if line = strings.TrimSpace(line); line == "" {
			break
		}
		s.Addrs = append(s.Addrs, line)
	}
	s.Addr = s.Addrs[0]
	return s
}

// Run runs a command to its end and returns its pid and what it printed.
func Run(t testing.TB, cmd *exec.Cmd) (pid int, out string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v: %s", cmd, err, stderr.Bytes())
	}
	return cmd.Process.Pid, strings.TrimSpace(stdout.String())
}

// Need skips the test where a command is missing.
func Need(t testing.TB, commands ...string) {
	t.Helper()
	for _, name := range commands {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("needs %s: %v", name, err)
		}
	}
}

// Executable is what the kernel will call the program of that name.
func Executable(t testing.TB, name string) string {
	t.Helper()
	found, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	real, err := filepath.EvalSymlinks(found)
	if err != nil {
		t.Fatal(err)
	}
	return real
}

// Python is a script whose first lines it shares with every other one here.
func Python(t testing.TB, path, script string) *exec.Cmd {
	Need(t, "python3")
	return exec.Command("python3", "-c", `
import array, ctypes, os, socket, sys
path = sys.argv[1]
def connect():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.connect(path)
    return s
def get(s, what):
    s.sendall(b"GET " + what + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    s.recv(4096)
`+script, path)
}

// PythonExe is the interpreter behind what may be a wrapper of the same name.
func PythonExe(t testing.TB) string {
	t.Helper()
	_, exe := Run(t, exec.Command("python3", "-c", "import os, sys; print(os.path.realpath(sys.executable))"))
	return exe
}

// Port is the port of an address.
func Port(t testing.TB, addr string) uint16 {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return uint16(a.Port)
}
