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
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerapi/containerapi/plugin/input/inputtest"
)

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
	// Some are no events: the rest must not be sent for ever.
	if status := s.send(strings.NewReader(`{"kind":"EventList","items":[` + audit("i") + `,{"s3cret":1},"s3cret"]}`)); status != 200 {
		t.Errorf("some malformed: status %d", status)
	}
	once(t, s.sink, []string{"a", "b", "c", "d", "e", "f", "deep", "g", "h", "i"})
	s.wantMalformed(2, "among others")
	if strings.Contains(s.sink.MalformedText(), "s3cret") {
		t.Errorf("the log quotes the input: %s", s.sink.MalformedText())
	}
	s.stop()
}

func TestWebhookRefuses(t *testing.T) {
	t.Cleanup(inputtest.Leaks(t))
	const limit = 1 << 20
	large := list("x") + strings.Repeat(" ", limit)
	for _, test := range []struct {
		name   string
		status int
		body   io.Reader
		change func(*http.Request)
	}{
		{"method", 405, nil, func(r *http.Request) { r.Method = http.MethodGet }},
		{"path", 404, strings.NewReader(list("x")), func(r *http.Request) { r.URL.Path = "/k8s-audit/s3cret" }},
		{"no type", 415, strings.NewReader(list("x")), func(r *http.Request) { r.Header.Del("Content-Type") }},
		{"type", 415, strings.NewReader(list("x")), header("Content-Type", "text/application/json")},
		{"encoding", 415, strings.NewReader(list("x")), header("Content-Encoding", "zstd")},
		{"large", 413, strings.NewReader(large), nil},
		{"large, of unknown length", 413, io.MultiReader(strings.NewReader(large)), nil},
		{"gzip bomb", 413, packed(large), header("Content-Encoding", "gzip")},
		{"not gzip", 400, strings.NewReader(list("x")), header("Content-Encoding", "gzip")},
		{"gzip cut off", 400, io.LimitReader(packed(list("x")), 50), header("Content-Encoding", "gzip")},
		{"empty", 400, nil, nil},
		{"broken", 400, strings.NewReader(`{"auditID":s3cret}`), nil},
		{"truncated", 400, strings.NewReader(list("x", "y")[:200]), nil},
		{"two", 400, strings.NewReader(list("x") + list("y")), nil},
		{"no event", 400, strings.NewReader(`{"s3cret":"s3cret"}`), nil},
		{"no object", 400, strings.NewReader(`"s3cret"`), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t, "http://localhost:0/k8s-audit", WebhookOptions{MaxBatchSize: limit})
			change := test.change
			if change == nil {
				change = func(*http.Request) {}
			}
			status, head := s.answer(t.Context(), test.body, change)
			if status != test.status {
				t.Errorf("status %d, want %d", status, test.status)
			}
			if status == 405 && head.Get("Allow") != "POST" {
				t.Error("405 without Allow: POST")
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
		{"http://:0", WebhookOptions{MaxBatchSize: -1}, "batch"},
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

func TestHugeBody(t *testing.T) {
	s := serve(t, "http://:0", WebhookOptions{})
	const size = 300 << 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	status := s.send(struct{ io.Reader }{io.LimitReader(zeros{}, size)})
	if status != 413 && status != 0 { // the connection is cut while it sends
		t.Errorf("streamed: status %d", status)
	}
	part, err := io.ReadAll(packed(strings.Repeat("\x00", 1<<20)))
	if err != nil {
		t.Fatal(err)
	}
	bomb := bytes.NewReader(bytes.Repeat(part, size>>20))
	if status := s.send(bomb, header("Content-Encoding", "gzip")); status != 413 {
		t.Errorf("packed: status %d", status)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 100<<20 {
		t.Errorf("allocated %d bytes", grown)
	}
	s.sink.Eventually(t, "both are reported", func() bool { return s.sink.MalformedCount() == 2 })
	s.wantMalformed(2, "larger than the limit")
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
	s.sink.Eventually(t, "all requests are read", func() bool { return len(s.hook.bodies) == 5 })
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
	for i := range uint64(3 * maxDelivered) {
		d.add(i)
		d.add(i)
	}
	if d.hashes.Len() != maxDelivered {
		t.Errorf("remembers %d", d.hashes.Len())
	}
	if !d.has(3*maxDelivered-1) || !d.has(2*maxDelivered) || d.has(2*maxDelivered-1) {
		t.Error("does not remember the last ones")
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
	s.sink.Eventually(t, "it waits no more", func() bool { return s.sink.Waiting() == 0 })
	s.sink.SetFull(false)
	if status := s.send(strings.NewReader(list("b"))); status != 200 {
		t.Errorf("status %d", status)
	}
	once(t, s.sink, []string{"b"})
	s.stop()
}

// Bodies beyond the number that may be in memory wait, then are refused.
func TestManyBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := servePipes(t, WebhookOptions{})
		var slow []*io.PipeWriter
		var senders sync.WaitGroup
		for range maxBodies {
			r, w := io.Pipe()
			slow = append(slow, w)
			senders.Go(func() { s.send(r) })
		}
		synctest.Wait()
		if n := len(s.hook.bodies); n != maxBodies {
			t.Fatalf("%d bodies are being read, want %d", n, maxBodies)
		}
		begin := time.Now()
		if status := s.send(strings.NewReader(list("a"))); status != 429 || time.Since(begin) != defaultDeadline {
			t.Errorf("status %d after %v, want 429 after %v", status, time.Since(begin), defaultDeadline)
		}
		for _, w := range slow {
			w.Close()
		}
		senders.Wait()
		if status := s.send(strings.NewReader(list("a"))); status != 200 {
			t.Errorf("status %d", status)
		}
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
		s.sink.Eventually(t, "all requests wait", func() bool { return s.sink.Waiting() == 1 && len(s.hook.bodies) == 3 })
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
	hook, err := ListenWebhook(u, WebhookOptions{MaxBatchSize: 1 << 16})
	if err != nil {
		f.Fatal(err)
	}
	hook.Close()
	f.Add([]byte(list("a", "b")), "application/json", "")
	f.Add([]byte(`{"kind":"EventList","items":[{},{"auditID":"a"}]}`), "application/json;charset=utf-8", "")
	zipped, _ := io.ReadAll(packed(list("c")))
	f.Add(zipped, "application/json", "gzip")
	sink := new(inputtest.Sink)
	hook.sink = sink
	hook.deliveries.New = func() any { return &delivery{batch: sink.Batch()} }
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
