// SPDX-License-Identifier: Apache-2.0

package dockerapi

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
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerapi/containerapi/plugin/correlate"
	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/input/inputtest"
	"github.com/containerapi/containerapi/plugin/meaning"
	"github.com/containerapi/containerapi/plugin/tap"
	"github.com/containerapi/containerapi/plugin/tap/taptest"
)

func TestMain(m *testing.M) {
	taptest.Main(m, taptest.Helpers{"hold": hold, "forks": forks, "forged": forged, "slow": slow, "upload": upload})
}

// hold sends a request on each of many connections, closes none of them, and
// says so once all are answered.
func hold(args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	for i := range n {
		conn, err := net.Dial("unix", args[0])
		if err != nil {
			return err
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET /held/%d HTTP/1.1\r\nHost: x\r\n\r\n", i)
		if _, err := conn.Read(make([]byte, 4096)); err != nil {
			return err
		}
	}
	fmt.Println("all")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return nil
}

// exchange sends a request on a connection and reads the answer.
func exchange(conn net.Conn, answers *bufio.Reader, request string) error {
	if _, err := io.WriteString(conn, request); err != nil {
		return err
	}
	response, err := http.ReadResponse(answers, nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// forged has the server send bytes that look like a switch of protocols, and
// then does what it came for, on the same connection.
func forged(args []string) error {
	conn, err := net.Dial("unix", args[0])
	if err != nil {
		return err
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	if err := exchange(conn, answers, "GET /forge HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return err
	}
	return exchange(conn, answers, "GET /containers/victim/json HTTP/1.1\r\nHost: x\r\n\r\n")
}

// slow sends a request to create a container whose body pauses for longer than
// a request may wait, or is of so many bytes.
func slow(args []string) error {
	size, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	conn, err := net.Dial("unix", args[0])
	if err != nil {
		return err
	}
	defer conn.Close()
	body := `{"Image":"i","Labels":{"l":"` + strings.Repeat("x", size) + `"},"HostConfig":{"Privileged":true,"Binds":["/:/host"]}}`
	fmt.Fprintf(conn, "POST /containers/create?name=c%d HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", size, len(body), body[:20])
	if size < 1000 {
		time.Sleep(correlate.AnswerTime + 3*tick)
	}
	return exchange(conn, bufio.NewReader(conn), body[20:])
}

// upload sends a body without an end, as docker load does, at about 100 MB/s.
func upload(args []string) error {
	conn, err := net.Dial("unix", args[0])
	if err != nil {
		return err
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /images/load HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", int64(1)<<40)
	fmt.Println("uploading")
	junk := make([]byte, 1<<20)
	for {
		if _, err := conn.Write(junk); err != nil {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// forks sends requests on one connection, each by a process of its own.
func forks(args []string) error {
	conn, err := net.Dial("unix", args[0])
	if err != nil {
		return err
	}
	file, err := conn.(*net.UnixConn).File()
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	for range n {
		child := exec.Command("sh", "-c", `printf 'GET /by/%s HTTP/1.1\r\nHost: x\r\n\r\n' $$ >&3`)
		child.ExtraFiles = []*os.File{file}
		if err := child.Run(); err != nil {
			return err
		}
		if _, err := conn.Read(make([]byte, 4096)); err != nil {
			return err
		}
	}
	return nil
}

// load loads a tap, or skips the test where none can be.
func load(t testing.TB, o tap.Options) *tap.Tap {
	t.Helper()
	loaded, err := tap.Load(o)
	for _, missing := range []error{tap.ErrPrivilege, tap.ErrBTF, tap.ErrKernel, tap.ErrLockdown} {
		if errors.Is(err, missing) {
			t.Skipf("the tap cannot be loaded here: %v", err)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { loaded.Close() })
	return loaded
}

// containers are the containers of an engine: what a function says of one, which
// gets its name and whether the engine may be asked.
type containers func(ref string, asked bool) event.Container

func (c containers) Cached(ref string) event.Container { return c(ref, false) }

func (c containers) Find(_ context.Context, ref string) event.Container { return c(ref, true) }

func (c containers) Running(_ context.Context, id string) (event.Running, bool) {
	return event.Running{Container: c(id, true)}, true
}

func (c containers) Image(context.Context, string, string) event.Image { return event.Image{} }

// unknown is an engine without containers.
var unknown = containers(func(string, bool) event.Container { return event.Container{} })

// running is an input that runs.
type running struct {
	*inputtest.Sink
	tap  *tap.Tap
	stop func()
}

// start runs the input until the test ends or stop is called.
func start(t testing.TB, o Options) *running {
	t.Helper()
	load(t, tap.Options{RingSize: 1}).Close()
	if o.Requests == nil {
		o.Requests = correlate.NewLog()
	}
	if o.Containers == nil {
		o.Containers = unknown
	}
	r := &running{Sink: &inputtest.Sink{}}
	api := Open(o)
	api.load = func(o tap.Options) (*tap.Tap, error) {
		loaded, err := tap.Load(o)
		r.tap = loaded
		return loaded, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := api.Run(ctx, r); err != nil {
			t.Error(err)
		}
	}()
	r.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(time.Second): // what input.Input promises
			t.Error("Run did not return within a second of the end of its context")
			<-ended
		}
	})
	t.Cleanup(r.stop)
	r.says(t, " to "+o.Socket)
	return r
}

// events returns what was delivered, understood.
func (r *running) events(t testing.TB) []event.Event {
	t.Helper()
	all := slices.Clone(r.Decoded(t))
	for i := range all {
		meaning.Classify(&all[i])
	}
	return all
}

// says waits for a line of the log.
func (r *running) says(t testing.TB, text string) {
	t.Helper()
	r.Eventually(t, "line with "+text, func() bool { return strings.Contains(r.InfoText(), text) })
}

// event waits for the first event that is as wanted.
func (r *running) event(t testing.TB, what string, wanted func(e *event.Event) bool) event.Event {
	t.Helper()
	var found event.Event
	r.Eventually(t, what, func() bool {
		for _, e := range r.events(t) {
			if wanted(&e) {
				found = e
				return true
			}
		}
		return false
	})
	return found
}

// request waits for the request of a path.
func (r *running) request(t testing.TB, path string) event.Event {
	t.Helper()
	return r.event(t, "request of "+path, func(e *event.Event) bool { return e.Docker.Request.Path == path })
}

// named returns another path of a program.
func named(t testing.TB, program, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.Link(program, path); err != nil {
		t.Skipf("the test binary cannot have more than one name: %v", err)
	}
	return path
}

// 20,000 requests of 50 clients at once are there once each, with the process
// that sent them.
func TestRunStorm(t *testing.T) {
	const clients, requests = 50, 400
	begin := time.Now()
	path := filepath.Join(t.TempDir(), "s.sock")
	taptest.StartServer(t, "unix", path)
	r := start(t, Options{Socket: path, Containers: containers(func(ref string, _ bool) event.Container {
		return event.Container{ID: "id of " + ref}
	})})
	type client struct {
		pid int
		exe string
	}
	var want [clients]client
	var group sync.WaitGroup
	for i := range clients {
		cmd := taptest.Helper(t, "keep", path, fmt.Sprint(i), fmt.Sprint(requests))
		own := named(t, cmd.Path, fmt.Sprint("client-", i))
		cmd.Path = own
		group.Go(func() {
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("client: %v: %s", err, out)
				return
			}
			want[i] = client{cmd.Process.Pid, own}
		})
	}
	group.Wait()
	r.Eventually(t, "end of the requests", func() bool { return r.Len() >= clients*requests })
	took := time.Since(begin)
	seen := make(map[string]bool)
	for _, e := range r.events(t) {
		d := &e.Docker
		var i, n int
		if _, err := fmt.Sscanf(d.Request.Path, "/containers/client-%d-request-%d/json", &i, &n); err != nil || seen[d.Request.Path] {
			t.Fatalf("request of %q, again: %t", d.Request.Path, seen[d.Request.Path])
		}
		seen[d.Request.Path] = true
		name := fmt.Sprintf("client-%d-request-%d", i, n)
		if d.Client.PID != uint64(want[i].pid) || d.Client.ExePath != want[i].exe || d.Client.PPID != uint64(os.Getpid()) ||
			d.Request.Status != 200 || d.Request.First != (n == 0) || d.Container.ID != "id of "+name || e.Operation != "container.inspect" {
			t.Fatalf("%s by %+v is %+v, %s", name, want[i], d, e.Operation)
		}
	}
	if len(seen) != clients*requests || r.tap.Drops() != 0 || r.MalformedCount() != 0 {
		t.Errorf("%d of %d requests, %d drops: %s", len(seen), clients*requests, r.tap.Drops(), r.MalformedText())
	}
	t.Logf("%d requests in %v", len(seen), took)
	// Ten times what two busy cores take with the race detector: only work that
	// grows with what is remembered takes longer.
	if took > 30*time.Second {
		t.Errorf("took %v", took)
	}
}

// An engine that takes its time to name containers loses no request.
func TestRunSlowEngine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	taptest.StartServer(t, "unix", path)
	var slow int
	r := start(t, Options{Socket: path, RingSize: 128 << 10, Containers: containers(func(_ string, asked bool) event.Container {
		if asked {
			slow++
			time.Sleep(5 * time.Millisecond)
		}
		return event.Container{}
	})})
	var group sync.WaitGroup
	for i := range 4 {
		cmd := taptest.Helper(t, "keep", path, fmt.Sprint(i), "250")
		group.Go(func() {
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("client: %v: %s", err, out)
			}
		})
	}
	group.Wait()
	t.Cleanup(func() {
		t.Logf("%d events, asked %d times, %d drops: %s", r.Len(), slow, r.MalformedCount(), r.MalformedText())
	})
	r.Eventually(t, "end of the requests", func() bool { return r.Len() >= 1000 })
	r.stop()
	if r.MalformedCount() != 0 || slow == 0 {
		t.Errorf("the engine was asked %d times of 1000: %s", slow, r.MalformedText())
	}
}

// What is lost is counted, and has an event with the client whose it was.
func TestRunDrops(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	taptest.StartServer(t, "unix", path)
	r := start(t, Options{Socket: path, RingSize: 1})
	r.SetFull(true)
	storm := taptest.Helper(t, "storm", path, "200")
	pid, _ := taptest.Run(t, storm)
	r.SetFull(false)
	e := r.event(t, "event of what was lost", func(e *event.Event) bool {
		return e.Docker.Request.Unreadable == "lost" && e.Docker.Client.PID == uint64(pid)
	})
	if e.Docker.Client.ExePath != storm.Path || e.Operation != "unreadable" || e.Docker.Daemon != "unix://"+path || !meaning.IsAct(&e) ||
		time.Since(time.Unix(0, e.Time)) > time.Minute {
		t.Errorf("event is %+v", e)
	}
	told := func() (sum uint64) {
		for line := range strings.Lines(r.MalformedText()) {
			var n uint64
			if _, err := fmt.Sscanf(line, "%d records of requests were lost", &n); err != nil {
				t.Errorf("malformed: %s", line)
			}
			sum += n
		}
		return sum
	}
	r.Eventually(t, "count of all that was lost", func() bool { return told() == r.tap.Drops() })
	if told() == 0 {
		t.Error("nothing was lost")
	}
	// And it goes on.
	taptest.Run(t, taptest.Helper(t, "keep", path, "0", "1"))
	r.request(t, "/containers/client-0-request-0/json")
}

// Each request of a connection is that of the process that sent it, also if
// another one connected.
func TestRunSenders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	taptest.StartServer(t, "unix", path)
	r := start(t, Options{Socket: path})
	const n = 50
	taptest.Run(t, taptest.Helper(t, "forks", path, fmt.Sprint(n)))
	r.Eventually(t, "requests", func() bool { return r.Len() >= n })
	wrong := 0
	for _, e := range r.events(t) {
		if e.Docker.Request.Path != fmt.Sprint("/by/", e.Docker.Client.PID) || e.Docker.Client.ExePath != taptest.Executable(t, "sh") {
			wrong++
			t.Logf("%s is of %d %s", e.Docker.Request.Path, e.Docker.Client.PID, e.Docker.Client.ExePath)
		}
	}
	if wrong > 0 {
		t.Errorf("%d of %d requests have another client", wrong, n)
	}
}

func TestRunSocketComesAndGoes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	r := start(t, Options{Socket: path})
	r.says(t, "requests to "+path+" are not seen yet: ")
	for n := range 3 {
		s := taptest.StartServer(t, "unix", path)
		begin := time.Now()
		for i := 0; ; i++ {
			// Each one has a name of its own, so that one that is seen is new.
			name := fmt.Sprintf("%d-%d", n, i)
			taptest.Run(t, taptest.Helper(t, "keep", path, name, "1"))
			time.Sleep(20 * time.Millisecond)
			events := r.events(t)
			if len(events) > 0 && strings.HasPrefix(events[len(events)-1].Docker.Request.Path, fmt.Sprintf("/containers/client-%d-", n)) {
				break
			}
			// The next tick finds the new socket; these are eight.
			if time.Since(begin) > 2*time.Second {
				t.Fatalf("no request seen within 2 s: %s", r.InfoText())
			}
		}
		s.Stop()
		// As a daemon that is killed leaves it, or one that ends well.
		if n == 1 {
			r.Eventually(t, "line", func() bool { return strings.Count(r.InfoText(), "seeing every request") == n+1 })
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		if n == 1 {
			r.Eventually(t, "line", func() bool { return strings.Count(r.InfoText(), "not seen yet") == n+1 })
		}
	}
	lines := strings.Split(r.InfoText(), "\n")
	if len(lines) > 7 {
		t.Errorf("log is\n%s", r.InfoText())
	}
}

// What an engine answers, a client can choose in part: it hides nothing that
// comes after it.
func TestRunForgedAnswer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	taptest.StartServer(t, "unix", path)
	r := start(t, Options{Socket: path})
	taptest.Run(t, taptest.Helper(t, "forged", path))
	if e := r.request(t, "/containers/victim/json"); e.Docker.Request.Status != 200 {
		t.Errorf("the request after it has the status %d", e.Docker.Request.Status)
	}
}

// A body that comes slowly, or is long, is read to its end before its request is
// an act.
func TestRunBodies(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	taptest.StartServer(t, "unix", path)
	r := start(t, Options{Socket: path})
	for _, size := range []string{"1", "200000", "3000000"} {
		cmd := taptest.Helper(t, "slow", path, size)
		cmd.Path = named(t, cmd.Path, "slow-"+size)
		taptest.Run(t, cmd)
		ours := func(e *event.Event) bool { return e.Docker.Request.Query == "name=c"+size }
		r.event(t, "act", func(e *event.Event) bool { return ours(e) && meaning.IsAct(e) })
		acts, announced := 0, 0
		for _, e := range r.events(t) {
			switch {
			case !ours(&e):
				continue
			case !meaning.IsAct(&e):
				announced++
				continue
			}
			acts++
			if q := &e.Docker.Request; !q.First || !q.CreatePrivileged || q.Unread || !slices.Contains(q.CreateMounts, "/:/host") {
				t.Errorf("%s bytes: %+v", size, q)
			}
		}
		if acts != 1 || size == "1" && announced != 1 {
			t.Errorf("%s bytes: %d acts, %d announced", size, acts, announced)
		}
	}
}

// Uploads take nothing from others' requests, and do not keep the input from its
// end.
func TestRunBesideUploads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	taptest.StartServer(t, "unix", path)
	r := start(t, Options{Socket: path})
	for range 2 {
		cmd := taptest.Helper(t, "upload", path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	const creates = 64
	pids := make(map[string]int)
	for i := range creates {
		size := fmt.Sprint(1000 + i)
		pids["name=c"+size], _ = taptest.Run(t, taptest.Helper(t, "slow", path, size))
	}
	for query, pid := range pids {
		e := r.event(t, query, func(e *event.Event) bool { return e.Docker.Request.Query == query && meaning.IsAct(e) })
		if d := &e.Docker; d.Client.PID != uint64(pid) || d.Request.Unread || !d.Request.CreatePrivileged {
			t.Errorf("create by %d is %+v", pid, d)
		}
	}
	r.stop() // says if it takes longer than a second
}

// A client is new once a day, whatever number of connections and runs it takes.
func TestKnownClients(t *testing.T) {
	var k known
	const day = int64(24 * time.Hour)
	curl := event.Docker{Daemon: "unix:///s", Client: event.Client{PID: 1, PPID: 7, ExePath: "/usr/bin/curl", UID: 1000}}
	again, other, remote := curl, curl, event.Docker{Daemon: "tcp://h:2375", Insecure: true, Client: event.Client{Addr: "10.0.0.1"}}
	again.Client.PID = 2
	other.Client.PPID = 8
	for n, step := range []struct {
		d    *event.Docker
		at   int64
		use  bool
		want bool
	}{
		{&curl, 1, false, true}, // it only waits
		{&curl, 2, true, true},
		{&again, 3, true, false},
		{&other, 4, true, true},
		{&remote, 5, true, true},
		{&remote, 6, true, false},
		{&again, day, true, false},
		{&again, day + 2, true, true},
	} {
		if got := k.first(step.d, step.at, step.use); got != step.want {
			t.Errorf("step %d: first is %t", n, got)
		}
	}
}

func TestRunNotLoaded(t *testing.T) {
	api := Open(Options{Socket: "/nowhere", Requests: correlate.NewLog()})
	api.load = func(tap.Options) (*tap.Tap, error) {
		return nil, fmt.Errorf("load request tap: %w: run as root", tap.ErrPrivilege)
	}
	sink := &inputtest.Sink{}
	if err := api.Run(t.Context(), sink); err != nil {
		t.Error(err)
	}
	const want = "requests to the Docker API are not seen, only its events: load request tap: missing privilege: run as root"
	if sink.InfoText() != want || sink.Len() != 0 {
		t.Errorf("log is %q, %d events", sink.InfoText(), sink.Len())
	}
}

func TestRunTwice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	taptest.StartServer(t, "unix", path)
	load(t, tap.Options{}).Close()
	api := Open(Options{Socket: path, Requests: correlate.NewLog(), Containers: unknown})
	var check func()
	for n := range 4 {
		sink := &inputtest.Sink{}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- api.Run(ctx, sink) }()
		sink.Eventually(t, "start", func() bool { return strings.Contains(sink.InfoText(), "seeing every request") })
		// In the middle of a load, and full.
		storm := taptest.Helper(t, "storm", path, "300")
		done := make(chan error)
		go func() { done <- storm.Run() }()
		sink.Eventually(t, "first request", func() bool { return sink.Len() > 0 })
		sink.SetFull(n%2 == 0)
		begin := time.Now()
		cancel()
		// A second is what input.Input promises.
		if err := <-ended; err != nil || time.Since(begin) > time.Second {
			t.Errorf("Run returned %v after %v", err, time.Since(begin))
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if n == 0 {
			// What is opened once and for all is open now.
			check = inputtest.Leaks(t)
		}
	}
	check()
	// Where no tap runs, an event waits for no request.
	begin := time.Now()
	api.o.Requests.Attribute(t.Context(), &event.Event{Input: event.DockerEvent, Time: begin.Add(time.Minute).UnixNano(), Docker: event.Docker{
		Type: "container", Action: "export", ActorID: "1",
	}})
	if waited := time.Since(begin); waited > time.Second { // it would be a minute
		t.Errorf("an event waited %v, as if a tap ran", waited)
	}
}

// reading is a reader that runs.
type reading struct {
	*inputtest.Sink
	mu                    sync.Mutex
	conns, order, clients int
}

// read runs a reader that remembers so many connections.
func read(t *testing.T, path string, conns int) *reading {
	loaded := load(t, tap.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	running := &reading{Sink: new(inputtest.Sink)}
	r := newReader(ctx, Options{Socket: path, Requests: correlate.NewLog(), Containers: unknown}, loaded, running, conns)
	r.watch()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		var rec tap.Record
		for r.step(&rec) {
			running.mu.Lock()
			running.conns, running.order, running.clients = len(r.conns), r.order.Len(), r.clients.Len()
			running.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		cancel()
		_ = loaded.Interrupt()
		<-ended
	})
	return running
}

// lengths returns how much the reader remembers since its last step.
func (r *reading) lengths() (conns, order, clients int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.conns, r.order, r.clients
}

func TestReaderForgetsClosed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	taptest.StartServer(t, "unix", path)
	r := read(t, path, maxConns)
	const n = 5000
	taptest.Run(t, taptest.Helper(t, "storm", path, fmt.Sprint(n)))
	// The record of a close can be missing, see [Close].
	r.Eventually(t, "end of the connections", func() bool {
		conns, order, clients := r.lengths()
		return conns == order && conns <= n/50 && clients <= n/50 && r.Len() == n
	})
}

func TestReaderForgetsOldest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	taptest.StartServer(t, "unix", path)
	const n, most = 200, 16
	r := read(t, path, most)
	cmd := taptest.Helper(t, "hold", path, fmt.Sprint(n))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.Eventually(t, "events of all requests", func() bool {
		conns, order, _ := r.lengths()
		if conns > most || order > most {
			t.Fatalf("%d connections, %d in order; want %d at most", conns, order, most)
		}
		return r.Len() == n
	})
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, stderr.Bytes())
	}
	r.Eventually(t, "end of all connections", func() bool {
		conns, order, _ := r.lengths()
		return conns == 0 && order == 0
	})
}

// records gives records to a reader as the kernel's side would.
// Heads without an end, on as many connections as are remembered, hold no more
// than all connections may together, and what others send is read meanwhile.
func TestReaderMemory(t *testing.T) {
	sink := &inputtest.Sink{}
	r := newReader(t.Context(), Options{Socket: "/x", Requests: correlate.NewLog(), Containers: unknown}, load(t, tap.Options{}), sink, maxConns)
	junk := append([]byte("GET / HTTP/1.1\r\nX: "), bytes.Repeat([]byte("x"), 8<<10)...)
	next := uint64(0)
	send := func(conn tap.ConnKey, data []byte, position uint64) {
		r.handle(&tap.Record{Kind: tap.Request, Conn: conn, PID: 99, Data: data, Total: len(data), Position: position, Time: 1})
	}
	for piece := range 16 {
		for conn := range tap.ConnKey(1000) {
			send(conn+1, junk[:len(junk)-20*min(piece, 1)], next)
			if r.held > maxHeld {
				t.Fatalf("%d bytes are held", r.held)
			}
		}
		next += uint64(len(junk) - 20*min(piece, 1))
	}
	send(5000, []byte("GET /containers/victim/json HTTP/1.1\r\nHost: x\r\n\r\n"), 0)
	for key, c := range r.conns {
		r.close(key, c, 2)
	}
	if r.held != 0 {
		t.Errorf("%d bytes are held by no connection", r.held)
	}
	if err := r.batch.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	found, unreadable := false, 0
	for _, e := range sink.Events() {
		found = found || strings.Contains(e.JSON, "/containers/victim/json")
		if strings.Contains(e.JSON, `"unreadable":"`) {
			unreadable++
		}
	}
	if unreadable != 1000 {
		t.Errorf("%d events of 1000 connections with heads that cannot be read, want one each", unreadable)
	}
	if !found {
		t.Error("a request among them was not read")
	}
}

func records(t *testing.T, records ...tap.Record) []event.Event {
	loaded := load(t, tap.Options{})
	run := &running{Sink: &inputtest.Sink{}}
	r := newReader(t.Context(), Options{
		Socket: "/s.sock", Requests: correlate.NewLog(),
		Containers: unknown,
	}, loaded, run, 16)
	for i := range records {
		records[i].Total = max(records[i].Total, len(records[i].Data))
		r.handle(&records[i])
	}
	if err := r.batch.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	return run.events(t)
}

func TestReaderAttribution(t *testing.T) {
	get := []byte("GET /info HTTP/1.1\r\nHost: x\r\n\r\n")
	ok := []byte("HTTP/1.1 200 OK\r\n\r\n")
	process := func(pid uint32) tap.Process {
		return tap.Process{PID: pid, Start: 1, ExePath: fmt.Sprint("/", pid), Args: []string{"x"}}
	}
	peer := func(kind tap.Kind, conn tap.ConnKey, pid uint32) tap.Record {
		return tap.Record{Kind: kind, Conn: conn, Peer: 7, PID: 99, Process: process(pid), Time: 1}
	}
	request := tap.Record{Kind: tap.Request, Conn: 1, Peer: 7, PID: 99, Data: get, Time: 2}
	response := tap.Record{Kind: tap.Response, Conn: 1, Peer: 7, PID: 99, Data: ok, Time: 3}
	closed := tap.Record{Kind: tap.Close, Conn: 1, Time: 4}
	second := request
	second.Conn = 2
	for name, test := range map[string]struct {
		records []tap.Record
		want    []uint64
	}{
		"plain":                       {[]tap.Record{peer(tap.Connect, 0, 10), peer(tap.Accept, 1, 10), request, response}, []uint64{10}},
		"accept first":                {[]tap.Record{peer(tap.Accept, 1, 10), peer(tap.Connect, 0, 10), request, response}, []uint64{10}},
		"sender late":                 {[]tap.Record{peer(tap.Connect, 0, 10), peer(tap.Accept, 1, 10), request, peer(tap.Sender, 0, 11), response}, []uint64{11}},
		"sender of an older one":      {[]tap.Record{peer(tap.Accept, 1, 10), request, peer(tap.Sender, 0, 11), response}, []uint64{11}},
		"connect lost":                {[]tap.Record{peer(tap.Connect, 0, 9), peer(tap.Accept, 1, 10), request, response}, []uint64{10}},
		"key given again before end":  {[]tap.Record{peer(tap.Connect, 0, 10), peer(tap.Accept, 1, 10), request, peer(tap.Connect, 0, 20), closed}, []uint64{10}},
		"and that one has its own":    {[]tap.Record{peer(tap.Connect, 0, 10), peer(tap.Accept, 1, 10), request, peer(tap.Connect, 0, 20), closed, peer(tap.Accept, 2, 20), second, {Kind: tap.Close, Conn: 2, Time: 5}}, []uint64{10, 20}},
		"accept lost":                 {[]tap.Record{peer(tap.Connect, 0, 10), request, response}, []uint64{10}},
		"forgotten and taken again":   {[]tap.Record{peer(tap.Connect, 0, 10), peer(tap.Accept, 1, 10), request, peer(tap.Accept, 1, 10), response}, []uint64{10}},
		"server ended":                {[]tap.Record{peer(tap.Connect, 0, 10), peer(tap.Accept, 1, 10), request, {Kind: tap.Exit, PID: 99, Time: 4}}, []uint64{10}},
		"another process ended":       {[]tap.Record{peer(tap.Connect, 0, 10), peer(tap.Accept, 1, 10), request, {Kind: tap.Exit, PID: 10, Time: 4}}, nil},
		"evicted by sixteen and more": {append([]tap.Record{peer(tap.Connect, 0, 10), peer(tap.Accept, 1, 10), request}, accepts(16)...), []uint64{10}},
	} {
		t.Run(name, func(t *testing.T) {
			events := records(t, test.records...)
			var got []uint64
			for _, e := range events {
				if e.Docker.Request.Path == "/info" {
					got = append(got, e.Docker.Client.PID)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(test.want) {
				t.Errorf("clients are %v, want %v: %+v", got, test.want, events)
			}
		})
	}
}

func accepts(n int) []tap.Record {
	all := make([]tap.Record, n)
	for i := range all {
		all[i] = tap.Record{Kind: tap.Accept, Conn: tap.ConnKey(100 + i), Peer: tap.PeerKey(100 + i), PID: 99}
	}
	return all
}

func TestRunTCP(t *testing.T) {
	taptest.Need(t, "curl")
	path := filepath.Join(t.TempDir(), "s.sock")
	addr := taptest.StartServer(t, "unix", path, "tcp", "127.0.0.1:0").Addrs[1]
	r := start(t, Options{Socket: path, Ports: []uint16{taptest.Port(t, addr)}})
	pid, _ := taptest.Run(t, exec.Command("curl", "-s", "http://"+addr+"/v1.41/info?filters=x"))
	e := r.request(t, "/info")
	d := &e.Docker
	if d.Client.PID != uint64(pid) || d.Client.ExePath != taptest.Executable(t, "curl") || d.Client.Addr != "127.0.0.1" || !d.Insecure ||
		d.Daemon != "tcp://"+addr || d.Request.Version != "1.41" || d.Request.Query != "" {
		t.Errorf("event is %+v", d)
	}
	// What speaks TLS is not insecure.
	_ = exec.Command("curl", "-sk", "https://"+addr+"/").Run()
	e = r.event(t, "TLS", func(e *event.Event) bool { return e.Docker.Request.Unreadable == "tls" })
	if e.Docker.Insecure || e.Docker.Client.PID == 0 {
		t.Errorf("event is %+v", e.Docker)
	}
}

// What is not a request has its client all the same.
func TestRunUnreadable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	taptest.StartServer(t, "unix", path)
	r := start(t, Options{Socket: path})
	for text, reason := range map[string]string{
		"GET /x HTTP/1.1\r\nHost : x\r\n\r\n":                      "malformed",
		"GET http://user:canary%zz@x/ HTTP/1.1\r\nHost: x\r\n\r\n": "malformed",
		"GET /half HTTP/1.1\r\nHo":                                 "incomplete",
	} {
		pid, _ := taptest.Run(t, taptest.Python(t, path, fmt.Sprintf("s = connect()\ns.sendall(bytes.fromhex('%x'))\ns.shutdown(socket.SHUT_WR)\ns.recv(4096)\n", text)))
		e := r.event(t, reason, func(e *event.Event) bool { return e.Docker.Client.PID == uint64(pid) })
		if e.Docker.Request.Unreadable != reason || e.Docker.Client.ExePath != taptest.PythonExe(t) || !meaning.IsAct(&e) {
			t.Errorf("%q is %+v", text, e.Docker)
		}
	}
	for _, e := range r.Events() {
		if strings.Contains(e.JSON, "canary") {
			t.Errorf("a secret shows: %s", e.JSON)
		}
	}
}
