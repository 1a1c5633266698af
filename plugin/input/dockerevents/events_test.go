// SPDX-License-Identifier: Apache-2.0

package dockerevents

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerapi/containerapi/plugin/input/inputtest"
)

// fake is a Docker Engine that sends what a test tells it to.
type fake struct {
	socket string
	server *http.Server

	mu sync.Mutex
	// memory is what it sends to who connects, as an engine sends the last
	// events; streams get what is sent later.
	memory  []string
	streams map[chan string]struct{}
	// since are the times that were asked for; paths all requests.
	since, paths []string
	// inspect is the body of the answer to an inspect, "" a 404.
	inspect string
	// info is the body of the answer to GET /info, "" a 403.
	info    string
	version string
}

// newFake starts a fake on a socket in a directory of the test.
func newFake(t testing.TB) *fake {
	t.Helper()
	f := &fake{socket: filepath.Join(t.TempDir(), "docker.sock"), streams: map[chan string]struct{}{}, version: "1.41"}
	f.listen(t)
	t.Cleanup(func() { _ = f.server.Close() })
	return f
}

func (f *fake) url() string { return "docker://" + f.socket }

func (f *fake) listen(t testing.TB) {
	t.Helper()
	listener, err := net.Listen("unix", f.socket)
	if err != nil {
		t.Fatal(err)
	}
	f.server = &http.Server{Handler: f}
	go func(s *http.Server) { _ = s.Serve(listener) }(f.server)
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.paths = append(f.paths, r.URL.Path)
	if f.version != "" {
		w.Header().Set("Api-Version", f.version)
	}
	switch {
	case r.URL.Path == "/_ping":
		f.mu.Unlock()
		_, _ = io.WriteString(w, "OK")
	case strings.HasSuffix(r.URL.Path, "/json"):
		inspect := f.inspect
		f.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		if inspect == "" {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(w, inspect)
	case strings.HasSuffix(r.URL.Path, "/info"):
		info := f.info
		f.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		if info == "" {
			w.WriteHeader(http.StatusForbidden)
		}
		_, _ = io.WriteString(w, info)
	case strings.HasSuffix(r.URL.Path, "/events") && r.URL.Query().Get("until") != "":
		// What is past.
		memory := f.memory
		f.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		for _, line := range memory {
			_, _ = io.WriteString(w, line)
		}
	case strings.HasSuffix(r.URL.Path, "/events"):
		f.since = append(f.since, r.URL.Query().Get("since"))
		stream := make(chan string, 10000)
		for _, line := range f.memory {
			stream <- line
		}
		f.streams[stream] = struct{}{}
		f.mu.Unlock()
		defer func() {
			f.mu.Lock()
			delete(f.streams, stream)
			f.mu.Unlock()
		}()
		w.Header().Set("Content-Type", "application/json")
		_ = http.NewResponseController(w).Flush()
		for {
			select {
			case line, ok := <-stream:
				if !ok {
					panic(http.ErrAbortHandler)
				}
				if _, err := io.WriteString(w, line); err != nil {
					return
				}
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				return
			}
		}
	default:
		f.mu.Unlock()
		w.WriteHeader(http.StatusNotFound)
	}
}

// send sends lines to all that are connected, and remembers them if asked to.
func (f *fake) send(remember bool, lines ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, line := range lines {
		if remember {
			f.memory = append(f.memory, line)
		}
		for stream := range f.streams {
			stream <- line
		}
	}
}

// unsent is how many lines no connection took yet.
func (f *fake) unsent() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for stream := range f.streams {
		n += len(stream)
	}
	return n
}

// cut breaks all connections.
func (f *fake) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for stream := range f.streams {
		close(stream)
		delete(f.streams, stream)
	}
}

// connections is how many event streams were asked for so far.
func (f *fake) connections() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.since)
}

// line is the event of a container's start, number n.
func line(n int) string {
	return fmt.Sprintf(`{"status":"start","id":"c%d","Type":"container","Action":"start","Actor":{"ID":"c%d","Attributes":{"image":"i","name":"n","com.example.password":"canary-label"}},"scope":"local","time":1,"timeNano":%d}`+"\n",
		n, n, int64(1795350796000000000)+int64(n))
}

// ids returns the numbers of the events delivered.
func ids(s *running) []string {
	var all []string
	for _, e := range s.got() {
		all = append(all, e.ActorID)
	}
	return all
}

func TestOpenURL(t *testing.T) {
	for address, want := range map[string]string{
		"docker://":                           "unix:///var/run/docker.sock",
		"docker:///":                          "unix:///var/run/docker.sock",
		"docker:///run/user/1000/docker.sock": "unix:///run/user/1000/docker.sock",
		"docker+tcp://localhost:2375":         "tcp://localhost:2375",
		"docker+tcp://[::1]:2375/":            "tcp://[::1]:2375",
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		e, err := Open(u, Options{})
		if err != nil {
			t.Errorf("%s: %v", address, err)
		} else if got := e.endpoint.String(); got != want {
			t.Errorf("%s is %s, want %s", address, got, want)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	pem := filepath.Join(t.TempDir(), "broken.pem")
	if err := os.WriteFile(pem, []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	const tcp = "docker+tcp://localhost:2376"
	for _, test := range []struct {
		address string
		options Options
		want    string
	}{
		{"docker://run/docker.sock", Options{}, "third slash"},
		{"docker:run", Options{}, "more than a place"},
		{"docker:///a.sock?x=1", Options{}, "more than a place"},
		{"docker://user:canary@h:1", Options{}, "more than a place"},
		{"docker:///" + strings.Repeat("a", 200), Options{}, "at most 107"},
		{"docker+tcp://localhost", Options{}, "host:port"},
		{"docker+tcp://:2376", Options{}, "host:port"},
		{tcp + "/path", Options{}, "host:port"},
		{"podman:///a.sock", Options{}, "no scheme of Docker"},
		{tcp, Options{TLSCA: "/does/not/exist.pem"}, "/does/not/exist.pem"},
		{tcp, Options{TLSCA: pem}, "TLS for Docker"},
		{tcp, Options{TLSCert: pem}, "go together"},
		{tcp, Options{TLSCert: pem, TLSKey: pem}, "TLS for Docker"},
	} {
		u, err := url.Parse(test.address)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Open(u, test.options)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s %+v: got the error %v, want one with %q", test.address, test.options, err, test.want)
		} else if strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: the error shows the password: %v", test.address, err)
		}
	}
}

// The environment of Docker's command line tool does not count.
func TestEnvironment(t *testing.T) {
	t.Setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
	t.Setenv("DOCKER_API_VERSION", "1.30")
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	f := newFake(t)
	s, _ := run(t, f.url(), Options{})
	f.send(true, line(1))
	s.eventually("the event", func() bool { return len(s.got()) == 1 })
	paths := func() []string {
		f.mu.Lock()
		defer f.mu.Unlock()
		return slices.Clone(f.paths)
	}
	want := []string{"/_ping", "/v1.41/events", "/v1.41/info"}
	s.eventually("the last request", func() bool { return len(paths()) >= len(want) })
	if got := paths(); !slices.Equal(got, want) {
		t.Errorf("requests were %q, want %q", got, want)
	}
}

func TestVersionPath(t *testing.T) {
	for newest, want := range map[string]string{"": "", "1.24": "/v1.24", "1.41": "/v1.41", "1.53": "/v1.53", "1.60": "/v1.53"} {
		if got, err := versionPath(newest); err != nil || got != want {
			t.Errorf("versionPath(%q) = %q, %v, want %q", newest, got, err, want)
		}
	}
	for _, newest := range []string{"2.0", "1", "1.x", "1.24/../..", "1.-1", "latest"} {
		if got, err := versionPath(newest); err == nil {
			t.Errorf("versionPath(%q) = %q, want an error", newest, got)
		}
	}
}

func TestEvent(t *testing.T) {
	f := newFake(t)
	f.version = ""
	s, _ := run(t, f.url(), Options{})
	f.send(true, line(7))
	s.eventually("the event", func() bool { return len(s.got()) == 1 })
	e := s.got()[0]
	if e.Daemon != "unix://"+f.socket || e.Type != "container" || e.Action != "start" || e.Container.ID != "c7" || e.HealthCheck {
		t.Errorf("got %+v", e)
	}
	if s.Decoded(t)[0].Time != 1795350796000000007 {
		t.Errorf("time is %d", s.Decoded(t)[0].Time)
	}
	if strings.Contains(s.Events()[0].JSON, "canary") {
		t.Errorf("a label shows: %s", s.Events()[0].JSON)
	}
}

// What is wrong with an engine at the start is said once, in words that help,
// and the engine is read as soon as it is there.
func TestEngineMissing(t *testing.T) {
	answer := func(text string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			listener, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = listener.Close() })
			go func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					_, _ = conn.Read(make([]byte, 4096))
					_, _ = io.WriteString(conn, text)
					_ = conn.Close()
				}
			}()
		}
	}
	for name, test := range map[string]struct {
		prepare func(*testing.T, string)
		want    string
	}{
		"missing":      {func(*testing.T, string) {}, "there is no such socket"},
		"directory":    {func(t *testing.T, path string) { _ = os.Mkdir(path, 0o700) }, "this is not a socket"},
		"regular file": {func(t *testing.T, path string) { _ = os.WriteFile(path, nil, 0o600) }, "this is not a socket"},
		"dead": {func(t *testing.T, path string) {
			listener, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			listener.(*net.UnixListener).SetUnlinkOnClose(false)
			_ = listener.Close()
		}, "nothing listens there"},
		"garbage":  {answer("canary canary canary\r\n\r\n"), "not a Docker Engine"},
		"endless":  {answer("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("canary", 50000)), "cannot read"},
		"closes":   {answer(""), "closed the connection"},
		"web page": {answer("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\ncanary"), "not a Docker Engine"},
		"header":   {answer("HTTP/1.1 200 OK\r\nContent-Length: \"canary\"\r\n\r\n"), "cannot read"},
		"version":  {answer("HTTP/1.1 200 OK\r\nApi-Version: canary\r\nContent-Length: 2\r\n\r\nOK"), "not a Docker Engine"},
		"refuses": {answer("HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: 42\r\n\r\n{\"message\":\"authorization denied\\nby x\"}  "),
			"it answers with status 403: authorization denied by x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{socket: filepath.Join(t.TempDir(), "d.sock"), streams: map[chan string]struct{}{}, version: "1.41"}
			test.prepare(t, f.socket)
			s, stop := run(t, f.url(), Options{})
			s.eventually("the complaint", func() bool { return s.LogText() != "" })
			tries := s.tries.Load()
			s.eventually("two more tries", func() bool { return s.tries.Load() > tries+2 })
			if log := s.LogText(); strings.Contains(log, "\n") || !strings.Contains(log, test.want) || !strings.Contains(log, f.socket) || strings.Contains(log, "canary") {
				t.Errorf("log is\n%s\nwant one line with %q", log, test.want)
			}
			_ = os.Remove(f.socket)
			f.listen(t)
			defer func() { _ = f.server.Close() }()
			f.send(true, line(1))
			s.eventually("the event", func() bool { return len(s.got()) == 1 })
			if !s.logged("reading unix://") {
				t.Errorf("the log does not say that it works now: %q", s.LogText())
			}
			stop()
		})
	}
}

// failing is an engine that cannot be reached.
type failing struct {
	mu    sync.Mutex
	err   error
	tries []time.Time
}

func (f *failing) RoundTrip(*http.Request) (*http.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tries = append(f.tries, time.Now())
	return nil, f.err
}

// An engine that is not there is tried again and again, ever more seldom unless
// a try costs nothing, and one line in ten minutes says so.
func TestRetries(t *testing.T) {
	for name, test := range map[string]struct {
		err   error
		waits []time.Duration // in milliseconds, the last one from then on
		line  string
	}{
		"out of order": {errors.New("out of order"), []time.Duration{250, 500, 1000, 2000, 4000, 8000, 10000}, "out of order"},
		"absent":       {fs.ErrNotExist, []time.Duration{50}, "there is no such socket"},
		"refused":      {syscall.ECONNREFUSED, []time.Duration{50}, "nothing listens there"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, err := Open(&url.URL{Scheme: "docker", Path: "/nowhere"}, Options{})
				if err != nil {
					t.Fatal(err)
				}
				engine := &failing{err: test.err}
				e.engine.client.Transport = engine
				sink := new(inputtest.Sink)
				ctx, cancel := context.WithTimeout(t.Context(), 25*time.Minute)
				defer cancel()
				time.AfterFunc(24*time.Minute, func() {
					engine.mu.Lock()
					defer engine.mu.Unlock()
					engine.err = io.EOF
				})
				if err := e.Run(ctx, sink); err != nil {
					t.Error(err)
				}
				for i := range len(engine.tries) - 1 {
					wait := test.waits[min(i, len(test.waits)-1)] * time.Millisecond
					if got := engine.tries[i+1].Sub(engine.tries[i]); engine.tries[i+1].Sub(engine.tries[0]) < 24*time.Minute && got != wait {
						t.Fatalf("wait %d is %v, want %v", i, got, wait)
					}
				}
				lines := strings.Split(sink.InfoText(), "\n")
				if len(lines) != 4 || !strings.Contains(lines[0], test.line) || lines[1] != lines[0] || lines[2] != lines[0] ||
					!strings.Contains(lines[3], "closed the connection") {
					t.Errorf("the log is\n%s", sink.InfoText())
				}
			})
		})
	}
}

// An engine sends its memory again after every cut: nothing may come twice,
// nothing may be missing, and the order stays.
func TestResume(t *testing.T) {
	f := newFake(t)
	s, _ := run(t, f.url(), Options{})
	var want []string
	n := 0
	for cut := range 4 {
		s.eventually("the connection", func() bool { return f.connections() == cut+1 })
		for range 20 {
			f.send(true, line(n))
			want = append(want, fmt.Sprintf("c%d", n))
			n++
		}
		s.eventually("the events", func() bool { return len(s.got()) == n })
		f.cut()
		// These happen while nobody listens.
		for range 5 {
			f.send(true, line(n))
			want = append(want, fmt.Sprintf("c%d", n))
			n++
		}
	}
	s.eventually("the last events", func() bool { return len(s.got()) >= n })
	if got := ids(s); !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if n := s.ReconnectedCount(); n != 4 {
		t.Errorf("%d reconnections counted, want 4:\n%s", n, s.LogText())
	}
}

// An engine publishes an event to a stream that already had it from memory.
func TestRepeatedInStream(t *testing.T) {
	f := newFake(t)
	s, _ := run(t, f.url(), Options{})
	s.eventually("the connection", func() bool { return f.connections() == 1 })
	f.send(false, line(1), line(1), line(2))
	s.eventually("the events", func() bool { return slices.Contains(ids(s), "c2") })
	if got := ids(s); !slices.Equal(got, []string{"c1", "c2"}) {
		t.Errorf("got %v", got)
	}
}

func TestGarbageLines(t *testing.T) {
	f := newFake(t)
	s, _ := run(t, f.url(), Options{})
	s.eventually("the connection", func() bool { return f.connections() == 1 })
	bad := []string{
		"no JSON canary\n",
		"{\"Type\":\"container\",\"Action\":\"canary\n",
		"[" + strings.TrimSpace(line(5)) + "]\n",
		"{}\n", "null\n", "\"canary\"\n",
		`{"auditID":"canary"}` + "\n",
		`{"input":"docker_event","audit":null,"event":{"Type":"container","Action":"canary"},"healthCheck":true}` + "\n",
		strings.Repeat("[", 100000) + "\n",
		`{"Type":"container","Action":"` + strings.Repeat("canary", 200000) + "\"}\n",
		"\xff\xfe\x00canary\n",
	}
	f.send(true, "\n", " \r\n")
	f.send(true, bad...)
	f.send(true, line(9))
	s.eventually("the event", func() bool { return len(s.got()) == 1 })
	if got := ids(s); !slices.Equal(got, []string{"c9"}) {
		t.Errorf("got %v", got)
	}
	log := s.LogText()
	if n := s.MalformedCount(); n != len(bad) {
		t.Errorf("%d lines counted as malformed, want %d:\n%s", n, len(bad), log)
	}
	if strings.Contains(log, "canary") || !strings.Contains(log, "more than 1 MiB") {
		t.Errorf("log is:\n%s", log)
	}
}

// A full queue keeps the events waiting and loses none; the end of the input
// does not wait for it.
func TestFullQueue(t *testing.T) {
	f := newFake(t)
	s, _ := run(t, f.url(), Options{})
	s.eventually("the connection", func() bool { return f.connections() == 1 })
	s.SetFull(true)
	const n = 5000
	for i := range n {
		f.send(false, line(i))
	}
	// An engine drops what is not taken from it.
	s.eventually("reading ahead", func() bool { return f.unsent() == 0 })
	if got := len(s.got()); got != 0 {
		t.Errorf("%d events passed a full queue", got)
	}
	s.SetFull(false)
	s.eventually("the events", func() bool { return len(s.got()) == n })
}

// Run ends within a second wherever it stands, and leaves nothing behind.
func TestStop(t *testing.T) {
	stuck, err := net.Listen("unix", filepath.Join(t.TempDir(), "stuck.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer stuck.Close()
	accepted := make(chan net.Conn)
	go func() {
		for {
			c, err := stuck.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	f := newFake(t)
	check := inputtest.Leaks(t)
	for range 10 {
		_, stop := run(t, "docker:///does/not/exist.sock", Options{})
		stop()
		// It accepts and never answers.
		_, stop = run(t, "docker://"+stuck.Addr().String(), Options{})
		c := <-accepted
		stop()
		_ = c.Close()
		before := f.connections()
		s, stop := run(t, f.url(), Options{})
		s.eventually("the connection", func() bool { return f.connections() > before })
		f.send(false, line(1))
		s.eventually("the event", func() bool { return len(s.got()) == 1 })
		stop()
	}
	inputtest.Eventually(t, "the end of all connections", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.streams) == 0
	})
	check()
}

func FuzzStream(f *testing.F) {
	f.Add([]byte(line(1) + line(2) + line(1)))
	f.Add([]byte(`{"Type":"container","Action":"exec_create: sh -c x","Actor":{"ID":"c","Attributes":{"execID":"e"}},"timeNano":-1}` + "\n"))
	f.Add([]byte("{\"kind\":\"EventList\",\"items\":[{}]}\n[]\n{\"input\":\"docker_event\",\"event\":{}}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := Open(&url.URL{Scheme: "docker", Path: "/does/not/exist"}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		s := new(inputtest.Sink)
		r := &reader{Events: e, sink: s, batch: s.Batch(), resume: newResume(1), health: newHealthChecks(e.inspections), made: newMade(e.engine, "")}
		for line := range bytes.Lines(text) {
			if line = bytes.TrimSpace(line); len(line) > 0 {
				if err := r.add(t.Context(), line); err != nil {
					t.Fatal(err)
				}
			}
		}
		if since := r.resume.since(); since <= 0 {
			t.Errorf("since is %d", since)
		}
	})
}

func TestResumeMemory(t *testing.T) {
	s := newResume(1000)
	if got := s.since(); got != 1000 {
		t.Errorf("at the start since is %d, want 1000", got)
	}
	for i := range 3000 {
		text := []byte(line(i))
		if !s.add(text, int64(2000+i)) || s.add(text, int64(2000+i)) {
			t.Fatalf("event %d is new once", i)
		}
	}
	if got := s.since(); got != 2000+3000-remembered/2 {
		t.Errorf("since is %d, want the time of the event %d back", got, remembered/2)
	}
	if s.times.Len() != remembered {
		t.Errorf("%d events are remembered, want %d", s.times.Len(), remembered)
	}
	// The engine's clock went back: what it says from now on is older.
	s.add([]byte("x"), 500)
	if got := s.since(); got != 500 {
		t.Errorf("after the clock went back since is %d, want 500", got)
	}
}
