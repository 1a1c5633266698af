// SPDX-License-Identifier: Apache-2.0

package k8saudit

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerapi/containerapi/plugin/input/inputtest"
)

func (b *bodies) len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.open)
}

// server is a running webhook and a client for it.
type server struct {
	t      testing.TB
	hook   *Webhook
	sink   *inputtest.Sink
	client *http.Client
	url    string
	stop   func()
}

func serve(t testing.TB, address string, o WebhookOptions) *server {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	hook, err := ListenWebhook(u, o)
	if err != nil {
		t.Fatal(err)
	}
	return serveHook(t, hook, &http.Transport{})
}

func serveHook(t testing.TB, hook *Webhook, transport *http.Transport) *server {
	s := &server{t: t, hook: hook, sink: new(inputtest.Sink), client: &http.Client{Transport: transport}, url: hook.url}
	stop := start(t, hook, s.sink)
	s.stop = func() {
		stop()
		s.client.CloseIdleConnections()
	}
	t.Cleanup(s.stop)
	return s
}

// pipes is a listener without a network, for tests of time.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	close  func()
}

func newPipes() *pipes {
	p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	p.close = sync.OnceFunc(func() { close(p.closed) })
	return p
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { p.close(); return nil }

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// servePipes is serve within a synctest bubble.
func servePipes(t testing.TB, o WebhookOptions) (*server, *pipes) {
	t.Helper()
	hook, err := newWebhook(&url.URL{Scheme: "http", Host: "127.0.0.1:1"}, o)
	if err != nil {
		t.Fatal(err)
	}
	listener := newPipes()
	hook.listener, hook.url = listener, "http://127.0.0.1:1/"
	return serveHook(t, hook, &http.Transport{DialContext: listener.dial}), listener
}

// send posts a body and returns the status, or 0 if there was no answer.
func (s *server) send(body io.Reader, change ...func(*http.Request)) int {
	return s.sendContext(s.t.Context(), body, change...)
}

func (s *server) sendContext(ctx context.Context, body io.Reader, change ...func(*http.Request)) int {
	status, _ := s.answer(ctx, body, change...)
	return status
}

func (s *server) answer(ctx context.Context, body io.Reader, change ...func(*http.Request)) (int, http.Header) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, body)
	if err != nil {
		s.t.Error(err)
		return 0, nil
	}
	r.Header.Set("Content-Type", "application/json")
	for _, c := range change {
		c(r)
	}
	answer, err := s.client.Do(r)
	if err != nil {
		s.t.Log(err)
		return 0, nil
	}
	defer answer.Body.Close()
	io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, answer.Header
}

func (s *server) wantMalformed(n int, text string) {
	s.t.Helper()
	if got := s.sink.MalformedCount(); got != n || !strings.Contains(s.sink.MalformedText(), text) {
		s.t.Errorf("got %d malformed, want %d with %q:\n%s", got, n, text, s.sink.MalformedText())
	}
}

func list(ids ...string) string {
	events := make([]string, len(ids))
	for i, id := range ids {
		events[i] = audit(id)
	}
	return `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[` + strings.Join(events, ",") + `]}`
}

func packed(text string) io.Reader {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, text)
	w.Close()
	return &b
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func TestWebhookAccepts(t *testing.T) {
	t.Cleanup(inputtest.Leaks(t))
	s := serve(t, "http://:0/k8s-audit", WebhookOptions{})
	if ip := s.hook.Addr().(*net.TCPAddr).IP.String(); ip != "127.0.0.1" {
		t.Errorf("listens on %s without a host", ip)
	}
	deep := strings.TrimSuffix(audit("deep"), "}") + `,"requestObject":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + "}"
	for i, body := range []io.Reader{
		strings.NewReader(list("a", "b")),
		strings.NewReader(audit("c")),
		strings.NewReader("[" + audit("d") + "," + audit("e") + "]\n"),
		strings.NewReader(list()),
		strings.NewReader(`{"kind":"EventList","items":[` + audit("f") + "," + deep + `]}`),
	} {
		if status := s.send(body); status != 200 {
			t.Errorf("body %d: status %d", i, status)
		}
	}
	if status := s.send(packed(list("g")), header("Content-Encoding", "gzip")); status != 200 {
		t.Errorf("gzip: status %d", status)
	}
	if status := s.send(strings.NewReader(list("h")), header("Content-Type", "application/json; charset=utf-8")); status != 200 {
		t.Errorf("content type with parameters: status %d", status)
	}
	once(t, s.sink, []string{"a", "b", "c", "d", "e", "f", "deep", "g", "h"})
	s.wantMalformed(0, "")
	// The same event, whatever is around it.
	for _, body := range []struct{ text, kind string }{
		{audit("n1") + "\n" + audit("n2") + "\n", "application/x-ndjson"},
		{audit("n1") + "\n" + audit("n3") + "\n", "application/json"},
		{"\ufeff" + list("n4"), "application/json"},
		{list("n5") + list("n6"), "application/json"},
		{`[{"date":1,"log":"2026-09-14T10:00:00Z stdout F ` + strings.ReplaceAll(audit("n7"), `"`, `\"`) + `"}]`, "application/json"},
		{list("n8", "n9")[:270], "application/json"}, // the second one is cut
	} {
		if status := s.send(strings.NewReader(body.text), header("Content-Type", body.kind)); status != 200 {
			t.Errorf("%s: status %d", body.text, status)
		}
	}
	once(t, s.sink, []string{"a", "b", "c", "d", "e", "f", "deep", "g", "h", "n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9"})
	s.wantMalformed(1, "ends too early")
	// Some are no events: the rest must not be sent for ever.
	if status := s.send(strings.NewReader(`{"kind":"EventList","items":[` + audit("i") + `,{"s3cret":1},"s3cret"]}`)); status != 200 {
		t.Errorf("some malformed: status %d", status)
	}
	if n := s.sink.Len(); n != 19 {
		t.Errorf("%d events", n)
	}
	s.wantMalformed(3, "among others")
	if strings.Contains(s.sink.MalformedText(), "s3cret") {
		t.Errorf("the log quotes the input: %s", s.sink.MalformedText())
	}
	s.stop()
}

func TestWebhookRefuses(t *testing.T) {
	t.Cleanup(inputtest.Leaks(t))
	for _, test := range []struct {
		name   string
		status int
		body   io.Reader
		change func(*http.Request)
	}{
		{"path", 404, strings.NewReader(list("x")), func(r *http.Request) { r.URL.Path = "/k8s-audit/s3cret" }},
		{"no type", 415, strings.NewReader(list("x")), func(r *http.Request) { r.Header.Del("Content-Type") }},
		{"type", 415, strings.NewReader(list("x")), header("Content-Type", "text/application/json")},
		{"encoding", 415, strings.NewReader(list("x")), header("Content-Encoding", "zstd")},
		{"method", 405, nil, func(r *http.Request) { r.Method = http.MethodPut }},
		{"not gzip", 400, strings.NewReader(list("x")), header("Content-Encoding", "gzip")},
		{"gzip cut off", 400, io.LimitReader(packed(list("x")), 50), header("Content-Encoding", "gzip")},
		{"empty", 400, nil, nil},
		{"broken", 400, strings.NewReader(`{"auditID":s3cret}`), nil},
		{"truncated", 400, strings.NewReader(list("x", "y")[:80]), nil},
		{"no JSON", 400, strings.NewReader("s3cret"), nil},
		{"no event", 400, strings.NewReader(`{"s3cret":"s3cret"}`), nil},
		{"no object", 400, strings.NewReader(`"s3cret"`), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t, "http://localhost:0/k8s-audit", WebhookOptions{})
			change := test.change
			if change == nil {
				change = func(*http.Request) {}
			}
			status := s.send(test.body, change)
			if status != test.status {
				t.Errorf("status %d, want %d", status, test.status)
			}
			if s.sink.Len() != 0 {
				t.Errorf("queued %v", s.sink.Events())
			}
			s.wantMalformed(1, "request from 127.0.0.1:")
			if strings.Contains(s.sink.MalformedText(), "s3cret") {
				t.Errorf("the log quotes the input: %s", s.sink.MalformedText())
			}
			if status := s.send(strings.NewReader(list("y"))); status != 200 {
				t.Errorf("status %d of the next request", status)
			}
			s.stop()
		})
	}
}

func TestListenErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, test := range []struct {
		url     string
		options WebhookOptions
		want    string
	}{
		{"http://localhost/k8s-audit", WebhookOptions{}, "no port"},
		{"http:///k8s-audit", WebhookOptions{}, "no port"},
		{"ftp://:0/", WebhookOptions{}, `"ftp"`},
		{"http://u:s3cret@:0/", WebhookOptions{}, "only a host"},
		{"http://:0/?a=b", WebhookOptions{}, "only a host"},
		{"http://" + taken.Addr().String(), WebhookOptions{}, "in use"},
		{"http://:0", WebhookOptions{Deadline: time.Minute}, "deadline"},
		{"http://:0", WebhookOptions{TokenFile: "/missing"}, "/missing"},
		{"http://:0", WebhookOptions{TokenFile: os.DevNull}, "is empty"},
		{"https://:0", WebhookOptions{}, "needs a certificate"},
		{"https://:0", WebhookOptions{Certificate: "/missing.pem"}, "/missing.pem"},
	} {
		u, err := url.Parse(test.url)
		if err != nil {
			t.Fatal(err)
		}
		hook, err := ListenWebhook(u, test.options)
		if err == nil {
			hook.Close()
			t.Errorf("%s: no error", test.url)
		} else if !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: got error %v, want %q", test.url, err, test.want)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// No body is refused for its size, and none takes memory for it.
func TestHugeBody(t *testing.T) {
	const size = 300 << 20
	text := strings.TrimSuffix(audit("a"), "}") + `,"requestURI":"/api?`
	const end = `","sourceIPs":["192.0.2.1"]}`
	part, err := io.ReadAll(packed(strings.Repeat("&", 1<<20)))
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]io.Reader{
		"streamed": io.MultiReader(strings.NewReader(text), io.LimitReader(letters{}, size), strings.NewReader(end)),
		"packed":   io.MultiReader(packed(text), bytes.NewReader(bytes.Repeat(part, size>>20)), packed(end)),
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, "http://:0", WebhookOptions{})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			change := []func(*http.Request){}
			if name == "packed" {
				change = append(change, header("Content-Encoding", "gzip"))
			}
			if status := s.send(struct{ io.Reader }{body}, change...); status != 200 {
				t.Errorf("status %d", status)
			}
			runtime.ReadMemStats(&after)
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
				t.Errorf("allocated %d bytes", grown)
			}
			once(t, s.sink, []string{"a"})
			if e := s.sink.Decoded(t)[0].Kubernetes; e.Verb != "list" || e.Peer() != "192.0.2.1" {
				t.Errorf("verb %q, peer %q", e.Verb, e.Peer())
			}
		})
	}
	// What never becomes an event ends.
	s := serve(t, "http://:0", WebhookOptions{})
	if status := s.send(struct{ io.Reader }{io.LimitReader(zeros{}, size)}); status != 400 && status != 0 { // the connection is cut while it sends
		t.Errorf("zeros: status %d", status)
	}
}

type letters struct{}

func (letters) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// While the queue is full senders get 429; trying again brings every event in,
// none twice.
func TestFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const deadline = 50 * time.Millisecond
		s, _ := servePipes(t, WebhookOptions{Deadline: deadline})
		s.sink.SetFull(true)
		begin := time.Now()
		status, head := s.answer(t.Context(), strings.NewReader(list("first")))
		if status != 429 || head.Get("Retry-After") != "1" || time.Since(begin) != deadline {
			t.Errorf("status %d, Retry-After %q after %v, want 429 after %v", status, head.Get("Retry-After"), time.Since(begin), deadline)
		}
		ids := []string{"first"}
		var refused atomic.Int64
		var senders sync.WaitGroup
		for i := range 20 {
			var batch []string
			for j := range 50 {
				batch = append(batch, fmt.Sprintf("%d-%d", i, j))
			}
			ids = append(ids, batch...)
			senders.Go(func() {
				for s.send(strings.NewReader(list(batch...))) != 200 {
					refused.Add(1)
					time.Sleep(10 * time.Millisecond)
				}
			})
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if s.sink.Len() != 0 || refused.Load() < 20*10 {
			t.Fatalf("%d events passed a full queue, %d requests were refused", s.sink.Len(), refused.Load())
		}
		s.sink.SetFull(false)
		senders.Wait()
		if status := s.send(strings.NewReader(list("first"))); status != 200 {
			t.Errorf("status %d", status)
		}
		once(t, s.sink, ids)
		s.wantMalformed(0, "")
		if n := strings.Count(s.sink.InfoText(), "queue is full"); n != 1 {
			t.Errorf("the full queue is logged %d times", n)
		}
	})
}

// A sender that saw no answer sends again, perhaps before the first request is
// through, perhaps in a batch with others.
func TestDuplicates(t *testing.T) {
	s := serve(t, "http://:0", WebhookOptions{})
	s.sink.SetFull(true)
	var senders sync.WaitGroup
	for range 5 {
		senders.Go(func() {
			if status := s.send(strings.NewReader(list("a", "b"))); status != 200 {
				t.Errorf("status %d", status)
			}
		})
	}
	s.sink.Eventually(t, "a request waits", func() bool { return s.sink.Waiting() == 1 })
	s.sink.Eventually(t, "all requests are read", func() bool { return s.hook.bodies.len() == 5 })
	s.sink.SetFull(false)
	senders.Wait()
	if status := s.send(strings.NewReader(list("c", "b", "d"))); status != 200 {
		t.Errorf("status %d", status)
	}
	once(t, s.sink, []string{"a", "b", "c", "d"})
	// A client chooses the audit id: it must not hide an event behind another.
	other := strings.Replace(audit("a"), "list", "delete", 1)
	if status := s.send(strings.NewReader(other)); status != 200 || s.sink.Len() != 5 {
		t.Errorf("status %d, %d events", status, s.sink.Len())
	}
}

func TestDelivered(t *testing.T) {
	d := newDelivered()
	for i := range uint64(3*maxDelivered + 10) {
		d.add(i)
	}
	if n := len(d.newer) + len(d.older); n > 2*maxDelivered {
		t.Errorf("remembers %d", n)
	}
	if !d.has(3*maxDelivered+9) || !d.has(2*maxDelivered+10) || d.has(2*maxDelivered-1) {
		t.Error("does not remember the last ones")
	}
}

// What was decoded while the queue was full is neither decoded nor remembered again,
// and is not lost if its sender never comes back.
func TestLeftEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := servePipes(t, WebhookOptions{Deadline: time.Second})
		s.sink.SetFull(true)
		for range 5 {
			if status := s.send(strings.NewReader(list("a", "b"))); status != 429 {
				t.Errorf("status %d, want 429", status)
			}
		}
		if n := s.sink.Added(); n != 2 {
			t.Errorf("%d events were added to a batch, want each of 2 once", n)
		}
		s.sink.SetFull(false)
		synctest.Wait()
		once(t, s.sink, []string{"a", "b"})
	})
}

// An event that two deliveries bring at once is one, also if the first to bring it
// is broken off.
func TestOverlappingDeliveries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := servePipes(t, WebhookOptions{})
		r, w := io.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		first := make(chan int)
		go func() { first <- s.sendContext(ctx, r) }()
		io.WriteString(w, `{"kind":"EventList","items":[`+audit("a")+","+audit("b"))
		synctest.Wait()
		if status := s.send(strings.NewReader(list("b", "a", "c"))); status != 200 {
			t.Errorf("status %d", status)
		}
		once(t, s.sink, []string{"a", "b", "c"})
		cancel()
		w.CloseWithError(io.ErrUnexpectedEOF)
		<-first
		if status := s.send(strings.NewReader(list("a", "b", "d"))); status != 200 {
			t.Errorf("status %d", status)
		}
		once(t, s.sink, []string{"a", "b", "c", "d"})
	})
}

func TestToken(t *testing.T) {
	path := writeFile(t, filepath.Join(t.TempDir(), "token"), []byte("first\nsecond\n"))
	s := serve(t, "http://:0", WebhookOptions{TokenFile: path})
	try := func(authorization string, want int) {
		t.Helper()
		if status := s.send(strings.NewReader(list("a")), header("Authorization", authorization)); status != want {
			t.Errorf("%q: status %d, want %d", authorization, status, want)
		}
	}
	try("Bearer first", 200)
	try("bearer second", 200)
	for _, wrong := range []string{"", "Bearer", "Bearer ", "Bearer firs", "Bearer first second", "Basic first", "first", "Bearer first\tsecond"} {
		try(wrong, 401)
	}
	writeFile(t, path, []byte("\n"))
	try("Bearer first", 200) // in the midst of being written
	writeFile(t, path, []byte("another"))
	try("Bearer first", 401)
	try("Bearer another", 200)
	os.Remove(path)
	try("Bearer another", 200)
	if n := strings.Count(s.sink.InfoText(), "keeps its last token"); n != 2 {
		t.Errorf("the problem is logged %d times", n)
	}
	if text := s.sink.LogText(); strings.Contains(text, "first") || strings.Contains(text, "another") {
		t.Errorf("the log has a token: %s", text)
	}
}

// A probe is answered, and is nothing to log.
func TestProbe(t *testing.T) {
	s := serve(t, "http://:0/k8s-audit", WebhookOptions{TokenFile: writeFile(t, filepath.Join(t.TempDir(), "token"), []byte("x"))})
	base := "http://" + s.hook.Addr().String()
	for path, want := range map[string]int{"/healthz": 200, "/k8s-audit": 405, "/": 404} {
		answer, err := s.client.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want || want == 405 && answer.Header.Get("Allow") != "POST" {
			t.Errorf("GET %s: status %d, want %d", path, answer.StatusCode, want)
		}
	}
	s.wantMalformed(0, "")
}

// Whoever says nothing, or nothing more, keeps nobody out.
func TestManyConnections(t *testing.T) {
	silent := func(t *testing.T, s *server, n int) {
		for range n {
			c, err := net.Dial("tcp", s.hook.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
		}
	}
	idle := func(t *testing.T, s *server, n int) {
		for range n {
			c, err := net.Dial("tcp", s.hook.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]")
		}
	}
	for name, crowd := range map[string]func(*testing.T, *server, int){"silent": silent, "idle": idle} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, "http://:0", WebhookOptions{})
			var ids []string
			for i := range 10 {
				ids = append(ids, fmt.Sprint(i))
				begin := time.Now()
				if status := s.send(strings.NewReader(list(ids[i]))); status != 200 || time.Since(begin) > 2*time.Second {
					t.Fatalf("status %d after %v", status, time.Since(begin))
				}
				if i%3 == 2 {
					s.client.CloseIdleConnections()
				}
				crowd(t, s, maxConnections/4)
			}
			once(t, s.sink, ids)
		})
	}
}

// Those who may send keep their connections, whoever comes.
func TestProvenStay(t *testing.T) {
	l := listen(nil)
	add := func(address string, change func(*connection)) *connection {
		c := &connection{Conn: nil, listener: l, address: address, since: time.Now()}
		change(c)
		if dropped := l.add(c); dropped != nil {
			return dropped
		}
		return nil
	}
	for range 100 {
		add("api-server", func(c *connection) { c.proven = true })
	}
	for range maxConnections {
		add("stranger", func(c *connection) {})
	}
	for i := range 3 * maxConnections {
		add(fmt.Sprint(i), func(c *connection) { c.spoke = i%2 == 0 })
	}
	kept := 0
	for c := range l.open {
		if c.proven {
			kept++
		}
	}
	if kept != 100 || len(l.open) != maxConnections {
		t.Errorf("of %d connections %d are those of the API server, want 100", len(l.open), kept)
	}
	// One of an address of its own comes in, also where all others said something.
	for c := range l.open {
		c.spoke = true
	}
	if dropped := add("newcomer", func(*connection) {}); dropped == nil || dropped.address == "newcomer" || dropped.proven {
		t.Errorf("dropped %+v", dropped)
	}
}

func TestClientGone(t *testing.T) {
	t.Cleanup(inputtest.Leaks(t))
	s := serve(t, "http://:0", WebhookOptions{})
	s.sink.SetFull(true)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int)
	go func() { done <- s.sendContext(ctx, strings.NewReader(list("a"))) }()
	s.sink.Eventually(t, "the request waits", func() bool { return s.sink.Waiting() == 1 })
	cancel()
	<-done
	s.sink.Eventually(t, "its body is done with", func() bool { return s.hook.bodies.len() == 0 })
	s.sink.SetFull(false)
	if status := s.send(strings.NewReader(list("a", "b"))); status != 200 {
		t.Errorf("status %d", status)
	}
	once(t, s.sink, []string{"a", "b"})
	s.stop()
}

// Slow bodies keep no other out: the one that is the furthest behind goes.
func TestManyBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := servePipes(t, WebhookOptions{})
		var slow []*io.PipeWriter
		var senders sync.WaitGroup
		var ended atomic.Int64
		for range maxBodies + 40 {
			r, w := io.Pipe()
			slow = append(slow, w)
			senders.Go(func() {
				if status := s.send(r); status != 400 {
					ended.Add(1)
				}
			})
			synctest.Wait()
			// All others say a little all the time.
			for _, w := range slow {
				go w.Write([]byte(" "))
			}
			time.Sleep(50 * time.Millisecond)
		}
		for range 20 {
			if status := s.send(strings.NewReader(list("a"))); status != 200 {
				t.Errorf("status %d", status)
			}
		}
		if n := ended.Load(); n < 40 || n > 41 {
			t.Errorf("%d slow bodies were ended, want 40 or 41", n)
		}
		for _, w := range slow {
			w.CloseWithError(io.EOF)
		}
		senders.Wait()
	})
}

// While all bodies that are read wait for the queue, further ones are refused at once
// and come again.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := servePipes(t, WebhookOptions{})
		s.sink.SetFull(true)
		var senders sync.WaitGroup
		var ids []string
		for i := range maxBodies {
			id := fmt.Sprint(i)
			ids = append(ids, id)
			senders.Go(func() {
				for s.send(strings.NewReader(list(id))) != 200 {
					time.Sleep(time.Second)
				}
			})
		}
		synctest.Wait()
		begin := time.Now()
		if status := s.send(strings.NewReader(list("x"))); status != 429 || time.Since(begin) != 0 {
			t.Errorf("status %d after %v, want 429 at once", status, time.Since(begin))
		}
		time.Sleep(time.Minute)
		s.sink.SetFull(false)
		senders.Wait()
		once(t, s.sink, ids)
	})
}

// A body that stops without an end is ended.
func TestSilentBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := servePipes(t, WebhookOptions{})
		r, w := io.Pipe()
		go func() {
			io.WriteString(w, "["+audit("a")+",")
			<-t.Context().Done()
			w.CloseWithError(io.EOF)
		}()
		begin := time.Now()
		if status := s.send(r); status != 408 && status != 0 || time.Since(begin) != bodyTimeout {
			t.Errorf("status %d after %v, want 408 after %v", status, time.Since(begin), bodyTimeout)
		}
		// What came before is there, and not twice if all is sent again.
		s.sink.Eventually(t, "the event is queued", func() bool { return s.sink.Len() == 1 })
		if status := s.send(strings.NewReader(list("a", "b"))); status != 200 {
			t.Errorf("status %d", status)
		}
		once(t, s.sink, []string{"a", "b"})
	})
}

// A client that sends its request a byte at a time is cut off, and meanwhile
// others are served.
func TestSlowClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, listener := servePipes(t, WebhookOptions{})
		c, err := listener.dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		begin := time.Now()
		cut := make(chan time.Duration, 1)
		go func() {
			for _, b := range []byte("POST / HTTP/1.1\r\nX-Slow: " + strings.Repeat("x", 1000)) {
				if _, err := c.Write([]byte{b}); err != nil {
					break
				}
				time.Sleep(100 * time.Millisecond)
			}
			cut <- time.Since(begin)
		}()
		time.Sleep(time.Second)
		if status := s.send(strings.NewReader(list("a"))); status != 200 {
			t.Errorf("status %d", status)
		}
		if after := <-cut; after < headerTimeout || after > headerTimeout+time.Second {
			t.Errorf("cut off after %v, want %v", after, headerTimeout)
		}
	})
}

// The end answers who waits, in whatever state a connection is, and releases
// the port, again and again.
func TestStop(t *testing.T) {
	t.Cleanup(inputtest.Leaks(t))
	address := "http://127.0.0.1:0"
	for range 3 {
		s := serve(t, address, WebhookOptions{})
		address = "http://" + s.hook.Addr().String()
		s.send(strings.NewReader(list("idle")))
		silent, err := net.Dial("tcp", s.hook.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		r, w := io.Pipe()
		s.sink.SetFull(true)
		var senders sync.WaitGroup
		senders.Go(func() { s.send(r) }) // hangs in its body
		for i := range 2 {               // one waits for room, one for its turn
			senders.Go(func() {
				if status := s.send(strings.NewReader(list(fmt.Sprint(i)))); status != 503 {
					t.Errorf("status %d, want 503", status)
				}
			})
		}
		s.sink.Eventually(t, "all requests wait", func() bool { return s.sink.Waiting() == 1 && s.hook.bodies.len() == 3 })
		s.stop()
		w.Close()
		senders.Wait()
		silent.Close()
		s.client.CloseIdleConnections()
		once(t, s.sink, []string{"idle"})
	}
	u, _ := url.Parse(address)
	hook, err := ListenWebhook(u, WebhookOptions{})
	if err != nil {
		t.Fatal(err)
	}
	hook.Close() // without Run
}

func TestClosedQueue(t *testing.T) {
	s := serve(t, "http://:0", WebhookOptions{})
	s.sink.Close()
	if status := s.send(strings.NewReader(list("a"))); status != 503 {
		t.Errorf("status %d", status)
	}
}

func FuzzWebhook(f *testing.F) {
	u, _ := url.Parse("http://127.0.0.1:0/")
	hook, err := ListenWebhook(u, WebhookOptions{})
	if err != nil {
		f.Fatal(err)
	}
	hook.Close()
	f.Add([]byte(list("a", "b")), "application/json", "")
	f.Add([]byte(`{"kind":"EventList","items":[{},{"auditID":"a"}]}`), "application/json;charset=utf-8", "")
	zipped, _ := io.ReadAll(packed(list("c")))
	f.Add(zipped, "application/json", "gzip")
	sink := new(inputtest.Sink)
	hook.sink, hook.batch = sink, sink.Batch()
	f.Fuzz(func(t *testing.T, body []byte, kind, encoding string) {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		r.Header.Set("Content-Type", kind)
		r.Header.Set("Content-Encoding", encoding)
		answer := httptest.NewRecorder()
		before := sink.Len()
		hook.handle(answer, r)
		switch answer.Code {
		case 200:
		case 400, 413, 415:
			if sink.Len() != before {
				t.Fatalf("status %d, and events queued", answer.Code)
			}
		default:
			t.Fatalf("status %d", answer.Code)
		}
	})
}
