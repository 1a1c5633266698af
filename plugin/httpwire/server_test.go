// SPDX-License-Identifier: Apache-2.0

package httpwire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// script is a connection to a real net/http server: what a client sends, in
// pieces, and a Conn that is shown what the server reads and writes, as a tap
// would.
type script struct {
	mu     sync.Mutex
	pieces [][]byte
	conn   *Conn
	skim   bool // as asked for by Wants
	closed chan struct{}
	once   sync.Once
}

func (s *script) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.pieces) > 0 && len(s.pieces[0]) == 0 {
		s.pieces = s.pieces[1:]
	}
	if len(s.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.pieces[0])
	s.pieces[0] = s.pieces[0][n:]
	if s.conn != nil {
		b := p[:n]
		switch s.conn.Wants() {
		case Skim:
			s.skim = true
			if n > 4096 {
				b = nil
			}
		case Ignore:
			return n, nil
		}
		s.conn.Request(b, n, 0)
	}
	return n, nil
}

func (s *script) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil && bytes.HasPrefix(p, []byte("HTTP/1.")) {
		s.conn.Response(p[:min(len(p), 256)], 0)
	}
	return len(p), nil
}

func (s *script) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

func (s *script) LocalAddr() net.Addr              { return &net.UnixAddr{Net: "unix"} }
func (s *script) RemoteAddr() net.Addr             { return &net.UnixAddr{Net: "unix"} }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// once is a listener for one connection.
type once struct {
	conn net.Conn
	done chan struct{}
}

func (l *once) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	<-l.done
	return nil, errors.New("closed")
}
func (l *once) Close() error   { return nil }
func (l *once) Addr() net.Addr { return &net.UnixAddr{Net: "unix"} }

// serve runs net/http's server on a connection to its end, and returns the
// requests that its handler got. The handler answers as dockerd would: it
// hijacks for attach, and "status" in the query is its status.
func serve(s *script) []string {
	var mu sync.Mutex
	var got []string
	s.closed = make(chan struct{})
	handled := make(chan struct{}, 1)
	handler := func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		status, err := strconv.Atoi(r.FormValue("status"))
		if err != nil || status < 200 || status > 599 {
			status = 200
		}
		line := describe(r.Method, r.RequestURI, r.URL.Path, r.URL.RawQuery, r.Proto, r.Host, r.UserAgent())
		mu.Lock()
		got = append(got, line)
		mu.Unlock()
		if r.Method == "POST" && strings.HasSuffix(r.URL.Path, "/attach") {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			if _, ok := r.Header["Upgrade"]; ok {
				io.WriteString(conn, "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
			} else {
				io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n")
			}
			io.Copy(io.Discard, conn)
			conn.Close()
			return
		}
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(status)
	}
	l := &once{conn: s, done: handled}
	server := &http.Server{
		Handler:                      http.HandlerFunc(handler),
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     log.New(io.Discard, "", 0),
	}
	go server.Serve(l)
	select {
	case <-s.closed:
	case <-time.After(20 * time.Second):
		panic("net/http's server did not end")
	}
	close(handled)
	server.Close()
	mu.Lock()
	defer mu.Unlock()
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

// split cuts data into pieces of random lengths.
func split(rnd *rand.Rand, data []byte) [][]byte {
	longest := []int{1, 3, 50, 4096, 20000}[rnd.IntN(5)]
	var pieces [][]byte
	for len(data) > 0 {
		n := min(len(data), 1+rnd.IntN(longest))
		pieces = append(pieces, data[:n])
		data = data[n:]
	}
	return pieces
}

// read gives the pieces to a Conn, without responses.
func read(pieces [][]byte) []*Request {
	var got []*Request
	c := New(newTestRoute, func(r *Request) { got = append(got, r) })
	for _, p := range pieces {
		c.Request(p, len(p), 0)
	}
	c.Close(0)
	return got
}

// generate writes random requests as all kinds of clients do. It ends with one
// after which the server closes the connection, some of the time.
func generate(rnd *rand.Rand) []byte {
	var b bytes.Buffer
	pick := func(s ...string) string { return s[rnd.IntN(len(s))] }
	for range 1 + rnd.IntN(6) {
		nl := pick("\r\n", "\r\n", "\n")
		method := pick("GET", "GET", "HEAD", "POST", "POST", "PUT", "DELETE", "OPTIONS", "BREW")
		target := pick("/containers/json", "/v1.47/containers/json?all=1", "/info?status=404", "/%63ontainers/a%2Fb/json",
			"http://docker/images/json?x=%20", "/containers/x/json?status=500&q="+strings.Repeat("a", rnd.IntN(6000)), "*", "//info", "/a?b?c")
		version := pick("HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0")
		fmt.Fprintf(&b, "%s %s %s%s", method, target, version, nl)
		b.WriteString(pick("Host: docker", "host:  api.moby.localhost  ", "HOST:") + nl)
		if version == "HTTP/1.0" {
			b.WriteString("Connection: Keep-Alive" + nl)
		}
		b.WriteString(pick("", "User-Agent: curl/8"+nl, "user-agent: Docker-Client/27 (linux)"+nl+"User-Agent: second"+nl, "User-Agent: one"+nl+" \ttwo"+nl))
		b.WriteString(pick("", "X-Registry-Auth: c2VjcmV0"+nl, "Expect: 100-continue"+nl, "X: "+strings.Repeat("y", rnd.IntN(9000))+nl))
		body := make([]byte, []int{0, 1, 200, 5000, 100000}[rnd.IntN(5)])
		for i := range body {
			body[i] = "GET / HTTP/1.1\r\nHost: no\r\n\r\n"[i%28]
		}
		switch {
		case version == "HTTP/1.1" && rnd.IntN(3) == 0:
			if rnd.IntN(2) == 0 {
				b.WriteString("Content-Length: 3" + nl) // chunked overrides it
			}
			b.WriteString("Transfer-Encoding: " + pick("chunked", "Chunked") + nl + nl)
			for len(body) > 0 {
				n := min(len(body), 1+rnd.IntN(30000))
				fmt.Fprintf(&b, "%s%x%s\r\n%s\r\n", pick("", "0", "000"), n, pick("", ";ext", "; a=\"b\"", "  "), body[:n])
				body = body[n:]
			}
			b.WriteString(pick("0", "00;x") + "\r\n" + pick("", "T: 1\r\n", "T: 1\r\n U: 2\r\nV: 3\r\n") + "\r\n")
		case rnd.IntN(2) == 0:
			fmt.Fprintf(&b, "Content-Length: %d%s%s%s", len(body), nl, nl, body)
		default:
			b.WriteString(nl)
		}
		if method == "POST" {
			b.WriteString(pick("", "\r\n", "\n\n\r\n"))
		}
	}
	b.WriteString(pick("", "",
		"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET /never HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /last HTTP/1.0\r\n\r\nGET /never HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /no-host HTTP/1.1\r\n\r\n", "GET http://x/no-host HTTP/1.1\r\n\r\n", "GET /  HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "GET / HTTP/2.0\r\nHost: x\r\n\r\n", "\x16\x03\x01\x02", "nonsense\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nExpect: cake\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "GET / HTTP/1.1\r\n Host: x\r\n\r\n",
		"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nXX", "GET /half HTTP/1.1\r\nHo"))
	return b.Bytes()
}

// TestServer compares with net/http's server what it takes for a request.
func TestServer(t *testing.T) {
	rounds := 300
	if testing.Short() {
		rounds = 100
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	skimmed := false
	for i := range rounds {
		data := generate(rnd)
		var tapped []*Request
		conn := New(newTestRoute, func(r *Request) { tapped = append(tapped, r) })
		s := &script{pieces: split(rnd, data), conn: conn}
		want := serve(s)
		conn.Close(0)
		skimmed = skimmed || s.skim
		if got := accepted(tapped); !equal(got, want) {
			t.Fatalf("round %d: shown the server's reads: got\n%s\nbut the server had\n%s\nof %q", i, lines(got), lines(want), data)
		}
		for _, r := range tapped {
			want := 200
			if _, v, ok := strings.Cut(r.Query, "status="); ok {
				want, _ = strconv.Atoi(v[:3])
			}
			if r.Pipelined && r.Unreadable == "" {
				want = 0 // not to be believed
			}
			if r.Unreadable == "" && r.Status != want || r.Unreadable == Malformed && r.Status < 400 {
				t.Fatalf("round %d: status %d of %s %s, want %d (%s)", i, r.Status, r.Method, r.Target, want, r.Unreadable)
			}
		}
		if got := accepted(read(split(rnd, data))); !equal(got, want) {
			t.Fatalf("round %d: in other pieces: got\n%s\nbut the server had\n%s\nof %q", i, lines(got), lines(want), data)
		}
	}
	if !skimmed {
		t.Error("no body was large enough to be skimmed")
	}
}

func equal(a, b []string) bool {
	return len(a) == len(b) && lines(a) == lines(b)
}

func lines(s []string) string { return strings.Join(s, "\n") }

// FuzzServer looks for bytes that net/http's server takes for a request and a
// Conn does not.
func FuzzServer(f *testing.F) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 30 {
		if data := generate(rnd); len(data) < 5000 {
			f.Add(data)
		}
	}
	for _, data := range seeds(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 || bytes.Contains(data, []byte("attach")) {
			return // a stream is not known without its response
		}
		if bytes.HasPrefix(data, []byte(http2.ClientPreface)) {
			return // this server speaks HTTP/1 only
		}
		want := serve(&script{pieces: [][]byte{data}})
		got := accepted(read([][]byte{data}))
		// A Conn can know more: it tolerates what older servers do.
		if len(got) < len(want) || !equal(got[:len(want)], want) {
			t.Fatalf("got\n%s\nbut the server had\n%s", lines(got), lines(want))
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
