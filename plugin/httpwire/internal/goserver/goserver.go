// SPDX-License-Identifier: Apache-2.0

// Package goserver has net/http's server read what a client sends, and says what
// the server made of it. Tests compare that with what package httpwire makes of
// the same bytes.
//
// Engines are built with many versions of Go, so this package is compiled with
// old ones, too: it uses nothing that Go 1.19 lacks.
package goserver

import (
	"bytes"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Case is a connection: what the client sends, in the pieces that the server
// gets of it.
type Case struct {
	Pieces [][]byte
	// HTTP2 says that the server speaks HTTP/2 without TLS as well, which it can
	// since Go 1.24.
	HTTP2 bool
}

// Request is a request that the server gave to its handler.
type Request struct {
	Method, Target, Path, Query, Proto, Host, UserAgent string
	// Body is what the handler read of the body, and Whole says that it read
	// all of it without an error.
	Body  []byte
	Whole bool
	// Status is how the handler answered. 0 is a hijacked connection.
	Status int
}

// Op is a read or a write of the server, one of the two.
type Op struct {
	Read  int    // bytes
	Write []byte // its beginning
}

// Result is what the server made of a connection.
type Result struct {
	Requests []Request
	Ops      []Op
	// EOF says that the server read to the end and wanted more.
	EOF bool
}

// MaxBody is how many bytes of a body are kept.
const MaxBody = 64 << 10

// Serve runs a server on a connection to its end.
func Serve(c Case) Result {
	return ServeWith(c, func(h http.Handler) http.Handler { return h })
}

// ServeWith is Serve with something before the handler.
func ServeWith(c Case, before func(http.Handler) http.Handler) Result {
	s := &conn{pieces: c.Pieces, closed: make(chan struct{})}
	r := newRecorder()
	server := &http.Server{Handler: before(r), ErrorLog: log.New(io.Discard, "", 0)}
	if c.HTTP2 {
		allowHTTP2(server)
	}
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		_ = server.Serve(&listener{conn: s, done: done})
		close(ended)
	}()
	select {
	case <-s.closed:
	case <-time.After(20 * time.Second):
		panic("net/http's server did not end")
	}
	close(done)
	server.Close()
	<-ended
	if c.HTTP2 {
		// Handlers run on their own, also such as have just been started.
		time.Sleep(time.Millisecond)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.running > 0 {
		r.idle.Wait()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	result := Result{Ops: s.ops, EOF: s.eof}
	for _, q := range r.requests {
		result.Requests = append(result.Requests, *q)
	}
	return result
}

// conn is the server's end of the connection.
type conn struct {
	mu     sync.Mutex
	pieces [][]byte
	ops    []Op
	eof    bool
	once   sync.Once
	closed chan struct{}
}

func (c *conn) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.pieces) > 0 && len(c.pieces[0]) == 0 {
		c.pieces = c.pieces[1:]
	}
	if len(c.pieces) == 0 {
		c.eof = true
		return 0, io.EOF
	}
	n := copy(p, c.pieces[0])
	c.pieces[0] = c.pieces[0][n:]
	c.ops = append(c.ops, Op{Read: n})
	return n, nil
}

func (c *conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(p)
	if n > 256 {
		n = 256
	}
	c.ops = append(c.ops, Op{Write: append([]byte(nil), p[:n]...)})
	return len(p), nil
}

func (c *conn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

// CloseWrite is called before the server waits half a second for the client to
// notice: it reads nothing more.
func (c *conn) CloseWrite() error { return c.Close() }

func (c *conn) LocalAddr() net.Addr              { return &net.UnixAddr{Net: "unix"} }
func (c *conn) RemoteAddr() net.Addr             { return &net.UnixAddr{Net: "unix"} }
func (c *conn) SetDeadline(time.Time) error      { return nil }
func (c *conn) SetReadDeadline(time.Time) error  { return nil }
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

// listener has one connection.
type listener struct {
	conn net.Conn
	done chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	<-l.done
	return nil, errors.New("closed")
}

func (l *listener) Close() error   { return nil }
func (l *listener) Addr() net.Addr { return &net.UnixAddr{Net: "unix"} }

// recorder is a handler that notes what it gets, and answers as the query says:
//
//	status=404  the status
//	read=none   the body is not read; read=some: its first bytes are
//	first=yes   the response begins before the body is read
//	info=103    an informational response comes first
//
// A POST to a path that ends with /attach gets a raw stream, as from dockerd.
type recorder struct {
	mu       sync.Mutex
	requests []*Request
	running  int
	idle     *sync.Cond // running is 0
}

func newRecorder() *recorder {
	r := &recorder{}
	r.idle = sync.NewCond(&r.mu)
	return r
}

func (h *recorder) ended() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.running--; h.running == 0 {
		h.idle.Broadcast()
	}
}

func parameter(r *http.Request, name string) string {
	for _, pair := range strings.Split(r.URL.RawQuery, "&") {
		if strings.HasPrefix(pair, name+"=") {
			return pair[len(name)+1:]
		}
	}
	return ""
}

func (h *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := &Request{
		Method: r.Method, Target: r.RequestURI, Path: r.URL.Path, Query: r.URL.RawQuery,
		Proto: r.Proto, Host: r.Host, UserAgent: r.UserAgent(),
	}
	h.mu.Lock()
	h.requests = append(h.requests, q)
	h.running++
	h.mu.Unlock()
	defer h.ended()

	status, err := strconv.Atoi(parameter(r, "status"))
	if err != nil || status < 200 || status > 599 {
		status = 200
	}
	if code, err := strconv.Atoi(parameter(r, "info")); err == nil && code >= 100 && code < 200 && code != 101 {
		w.WriteHeader(code)
	}
	first := parameter(r, "first") != ""
	if first {
		w.WriteHeader(status)
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
	}
	var body bytes.Buffer
	whole := false
	switch parameter(r, "read") {
	case "none":
	case "some":
		_, _ = io.CopyN(&body, r.Body, 10)
	default:
		_, err := io.CopyN(&body, r.Body, MaxBody)
		if err == nil {
			_, err = io.Copy(io.Discard, r.Body)
		} else if err == io.EOF {
			err = nil
		}
		whole = err == nil
	}
	h.mu.Lock()
	q.Body, q.Whole, q.Status = body.Bytes(), whole, status
	h.mu.Unlock()

	if hijacker, ok := w.(http.Hijacker); ok && !first && r.Method == "POST" && strings.HasSuffix(r.URL.Path, "/attach") {
		conn, _, err := hijacker.Hijack()
		if err != nil {
			panic(err)
		}
		h.mu.Lock()
		q.Status = 0
		h.mu.Unlock()
		if _, ok := r.Header["Upgrade"]; ok {
			_, _ = io.WriteString(conn, "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
		} else {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n")
		}
		_, _ = io.Copy(io.Discard, conn)
		conn.Close()
		return
	}
	if !first {
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(status)
	}
}
