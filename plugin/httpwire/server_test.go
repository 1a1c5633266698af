// SPDX-License-Identifier: Apache-2.0

package httpwire

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"

	"github.com/containerapi/containerapi/plugin/httpwire/internal/goserver"
)

// split cuts data into pieces of random lengths.
func split(rnd *rand.Rand, data []byte) [][]byte {
	longest := []int{1, 3, 50, 4096, 20000}[rnd.IntN(5)]
	longest = max(longest, len(data)/500)
	var pieces [][]byte
	for len(data) > 0 {
		n := min(len(data), 1+rnd.IntN(longest))
		pieces = append(pieces, data[:n])
		data = data[n:]
	}
	return pieces
}

// read gives the pieces to a Conn, without responses.
func read(pieces [][]byte) []*Request { return readFor(newTestRoute, pieces) }

func readFor(route func(method, target string) Route, pieces [][]byte) []*Request {
	var got []*Request
	c := New(route, func(r *Request) { got = append(got, r) })
	for _, p := range pieces {
		c.Request(p, len(p), 0)
	}
	c.Close(0)
	return got
}

func describe(method, target, path, query, proto, host, agent string) string {
	return fmt.Sprintf("%s %q path=%q query=%q %s host=%q agent=%q", method, target, path, query, proto, host, agent)
}

func (r *Request) describe() string {
	return describe(r.Method, r.Target, r.Path, r.Query, r.Version, r.Host, r.UserAgent)
}

// accepted are the requests that could be read.
func accepted(rs []*Request) []string {
	var list []string
	for _, r := range rs {
		if r.Unreadable == "" {
			list = append(list, r.describe())
		}
	}
	return list
}

func equal(a, b []string) bool {
	return len(a) == len(b) && lines(a) == lines(b)
}

func lines(s []string) string { return strings.Join(s, "\n") }

// keepRoute keeps the bodies of all requests but those of a path that ends with
// /skim, as far as the server does.
type keepRoute struct {
	skim bool
	body []byte
}

func newKeepRoute(_, target string) Route {
	path, _, _ := strings.Cut(target, "?")
	return &keepRoute{skim: strings.HasSuffix(path, "/skim")}
}

func (r *keepRoute) ReadsBody() bool { return !r.skim }

func (r *keepRoute) WriteBody(p []byte) bool {
	r.body = append(r.body, p[:min(len(p), goserver.MaxBody-len(r.body))]...)
	return len(r.body) < goserver.MaxBody
}

func (r *keepRoute) EndBody() bool { return true }

func (r *keepRoute) Hijacks(head []byte) bool {
	return bytes.Contains(head, []byte("\nContent-Type: application/vnd.docker."))
}

// replay shows a Conn what a server read and wrote, as a tap would, and returns
// the requests, and whether the Conn asked to skim.
func replay(data []byte, ops []goserver.Op) (got []*Request, skimmed bool) {
	c := New(newKeepRoute, func(r *Request) { got = append(got, r) })
	for _, op := range ops {
		if op.Read == 0 {
			if bytes.HasPrefix(op.Write, []byte("HTTP/1.")) {
				c.Response(op.Write, 0)
			}
			continue
		}
		b := data[:op.Read]
		data = data[op.Read:]
		switch c.Wants() {
		case Skim:
			skimmed = true
			if len(b) > 4096 {
				b = nil
			}
		case Ignore:
			continue
		}
		c.Request(b, op.Read, 0)
	}
	c.Close(0)
	return got, skimmed
}

// differs says how what a Conn makes of a connection differs from what a server
// made of it, or returns "". Behind the last request that the server took there
// may be more only if the server said that it closes the connection: it can know a
// reason that is not seen, and which version of Go it is.
func differs(data []byte, got []*Request, result goserver.Result, answered bool) string {
	var want []goserver.Request
	hijacked, refused, closed := false, false, false
	for _, q := range result.Requests {
		hijacked = hijacked || q.Status == 0
		want = append(want, q)
	}
	if n := len(want); n > 0 && (want[n-1].Proto == "HTTP/1.0" || want[n-1].Method == "CONNECT") {
		closed = true // not said then
	}
	for _, op := range result.Ops {
		closed = closed || bytes.Contains(op.Write, []byte("\r\nConnection: close\r\n"))
		refused = refused || bytes.Contains(op.Write, []byte("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n4"))
	}
	var have []*Request
	for _, r := range got {
		// The server answers OPTIONS * without its handler.
		if r.Unreadable == "" && (r.Method != "OPTIONS" || r.Target != "*") {
			have = append(have, r)
		}
	}
	for i, q := range want {
		if i >= len(have) && slices.ContainsFunc(got, func(r *Request) bool { return r.Unreadable == Ambiguous }) {
			return ""
		}
		if i >= len(have) {
			return fmt.Sprintf("request %d is hidden: %s %q", i, q.Method, q.Target)
		}
		r := have[i]
		if r.older {
			// The host of a target that this Go refuses is not decoded.
			q.Host = r.Host
		}
		line := describe(q.Method, q.Target, q.Path, q.Query, q.Proto, q.Host, q.UserAgent)
		if d := r.describe(); d != line {
			return fmt.Sprintf("request %d is\n%s\nbut for the server\n%s", i, d, line)
		}
		// A handler can go on reading after it answered.
		early := strings.Contains(q.Query, "first=")
		unclear := r.BodyUnread && r.Version == "HTTP/1.0"
		if k := r.Route.(*keepRoute); !k.skim && !early && !unclear {
			// Without a length, the body depends on the GODEBUG settings of the server.
			if q.Whole && !r.older && (r.BodyUnread || !bytes.Equal(k.body, q.Body)) || !bytes.HasPrefix(k.body, q.Body) {
				return fmt.Sprintf("request %d has the body %.100q (unread %t), but for the server %.100q (%t)", i, k.body, r.BodyUnread, q.Body, q.Whole)
			}
		}
		if answered && q.Status != 0 && !r.Pipelined && r.Status != q.Status {
			return fmt.Sprintf("request %d was answered %d, not %d", i, q.Status, r.Status)
		}
	}
	if len(have) > len(want) && result.EOF && !hijacked && !closed {
		return fmt.Sprintf("request %d is none: %s", len(want), have[len(want)].describe())
	}
	if refused && len(got) <= len(want) {
		return "nothing says that something was refused"
	}
	return ""
}

// compare serves a connection and compares.
func compare(data []byte, pieces, others [][]byte, serve func(goserver.Case) goserver.Result) (difference string, skimmed bool) {
	result := serve(goserver.Case{Pieces: pieces})
	got, skimmed := replay(data, result.Ops)
	if d := differs(data, got, result, true); d != "" {
		return d, skimmed
	}
	if d := differs(data, readFor(newKeepRoute, others), result, false); d != "" {
		return "in other pieces and without responses: " + d, skimmed
	}
	return "", skimmed
}

// TestServer compares with net/http's server what it takes for a request.
func TestServer(t *testing.T) {
	rounds := 2000
	if testing.Short() {
		rounds = 300
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	skimmed := false
	for i := range rounds {
		data := generate(rnd)
		d, s := compare(data, split(rnd, data), split(rnd, data), goserver.Serve)
		if d != "" {
			t.Fatalf("round %d: %s\nof %q", i, d, data)
		}
		skimmed = skimmed || s
	}
	if !skimmed {
		t.Error("no body was large enough to be skimmed")
	}
}

// FuzzServer looks for bytes that net/http's server takes for a request and a
// Conn does not.
func FuzzServer(f *testing.F) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 60 {
		if data := generate(rnd); len(data) < 5000 {
			f.Add(data, uint64(3))
		}
	}
	for _, data := range seeds(f) {
		f.Add(data, uint64(1))
	}
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		if len(data) > 1<<16 || bytes.HasPrefix(data, []byte(http2.ClientPreface)) {
			return // this server speaks HTTP/1 only
		}
		rnd := rand.New(rand.NewPCG(seed, 0))
		if d, _ := compare(data, split(rnd, data), split(rnd, data), goserver.Serve); d != "" {
			t.Fatal(d)
		}
	})
}

// TestHTTP2 has net/http's client and server speak HTTP/2 without TLS.
func TestHTTP2(t *testing.T) {
	dir, err := os.MkdirTemp("", "httpwire")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	l, err := net.Listen("unix", dir+"/s")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var got []*Request
	tap := &tapped{Listener: l, conn: New(newTestRoute, func(r *Request) { got = append(got, r) }), mu: &mu}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
	}), Protocols: new(http.Protocols)}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	go server.Serve(tap)
	defer server.Close()

	transport := &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", dir+"/s") },
		Protocols:   new(http.Protocols),
	}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	do := func(method, target, body string) {
		t.Helper()
		req, err := http.NewRequest(method, "http://docker"+target, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("User-Agent", "h2")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.ProtoMajor != 2 {
			t.Fatalf("the server answered with %s", resp.Proto)
		}
	}
	var want []string
	for i := range 40 {
		target := fmt.Sprintf("/v1.55/containers/%d/json?size=1", i)
		do("GET", target, "")
		want = append(want, describe("GET", target, target[:len(target)-7], "size=1", "HTTP/2.0", "docker", "h2"))
	}
	do("POST", "/images/load", strings.Repeat("PRI * HTTP/2.0\r\n\r\n", 200000))
	do("POST", "/containers/x/exec", `{"Env":["SECRET=1"],"Cmd":["sh","-c","id"],"pad":"`+strings.Repeat("x", 20000)+`"}`)
	do("GET", "/"+strings.Repeat("long", 10000), "")

	mu.Lock()
	defer mu.Unlock()
	tap.conn.Close(0)
	if len(got) != 43 || !equal(accepted(got[:40]), want) {
		t.Fatalf("got %d requests:\n%s", len(got), lines(accepted(got)))
	}
	if r := got[41]; r.Path != "/containers/x/exec" || !strings.Contains(bodyOf(r), `"Cmd":["sh","-c","id"]`) || r.BodyUnread {
		t.Errorf("the exec is %+v", r)
	}
	if r := got[42]; r.Unreadable != "" || len(r.Path) != 40001 {
		t.Errorf("the long path has %d bytes, %q", len(r.Path), r.Unreadable)
	}
}

// tapped shows a Conn what a server reads and writes on a real connection.
type tapped struct {
	net.Listener
	net.Conn
	conn *Conn
	mu   *sync.Mutex
}

func (t *tapped) Accept() (net.Conn, error) {
	c, err := t.Listener.Accept()
	return &tapped{Conn: c, conn: t.conn, mu: t.mu}, err
}

func (t *tapped) Addr() net.Addr { return t.Listener.Addr() }

func (t *tapped) Close() error {
	if t.Listener != nil {
		return t.Listener.Close()
	}
	return t.Conn.Close()
}

func (t *tapped) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	if n > 0 {
		t.mu.Lock()
		t.conn.Request(p[:min(n, 32<<10)], n, 0)
		t.mu.Unlock()
	}
	return n, err
}

func (t *tapped) Write(p []byte) (int, error) {
	if bytes.HasPrefix(p, []byte("HTTP/1.")) {
		t.mu.Lock()
		t.conn.Response(p[:min(len(p), 256)], 0)
		t.mu.Unlock()
	}
	return t.Conn.Write(p)
}
