// SPDX-License-Identifier: Apache-2.0

package httpwire

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"sync"

	"golang.org/x/net/http/httpguts"
)

// Why a request could not be read, in [Request.Unreadable].
const (
	// Malformed: net/http's server does not take it for a request and
	// answers 400 or the like without asking its handler.
	Malformed = "malformed"

	// TooLarge: the head is longer than net/http's server reads (431).
	TooLarge = "too large"

	// Incomplete: the connection ended in the middle of the head.
	Incomplete = "incomplete"

	// Lost: bytes of the connection are missing.
	Lost = "lost"

	// Ambiguous: an earlier request on the connection ends at different places for
	// different versions of Go, so that of all others no more is known.
	Ambiguous = "ambiguous"

	// TLS: the client speaks TLS; only this first sign of it is reported.
	TLS = "tls"
)

// Request is a request as the server understood it.
type Request struct {
	// Time is when the server had read the whole head, in the nanoseconds
	// that [Conn.Request] was given.
	Time int64

	Method string

	// Target is what stands in the request line: a path with its query, also
	// in absolute form or percent-encoded. Path and Query are its parts, Path
	// decoded as the server's router sees it, Query as it was sent.
	//
	// A query can hold secrets: build arguments are sent in it.
	Target string
	Path   string
	Query  string

	Version   string // "HTTP/1.1"
	Host      string
	UserAgent string

	// Status is the final status of the response, or 0 if none was seen in
	// time. HTTP/2 responses cannot be seen.
	Status int

	// Pipelined says that the request may have been sent before an earlier
	// one was answered. The end of a response cannot be seen, so what looks
	// like this one's could be bytes of the earlier response: Status is 0.
	Pipelined bool

	// Unreadable says why the request could not be read, or is "". The other
	// facts are then what could be read of it, or nothing.
	Unreadable string

	// Route is what the function given to [New] said of the request, nil if
	// it could not be read.
	Route Route
	// BodyUnread says that the route reads the body and could not: parts of
	// it are missing, or it is not what the route reads. What was read of it
	// before is known.
	BodyUnread bool
	// Waiting says that the body is still to come: the request is emitted once
	// more when that has come, or when it is answered.
	Waiting bool

	older    bool // only servers of an older Go take the head
	upgrades bool // to HTTP/2, if the server wants to
	reading  bool // the body is read, and not complete
	began    bool // something of the body came
	waited   bool // it was emitted as waiting
	sent     bool // emit was called
}

// Route is what has to be known of a request's route to read on behind its
// head.
type Route interface {
	// ReadsBody reports whether something of the body is wanted.
	ReadsBody() bool
	// WriteBody takes the next piece of the body, which it may not keep, and
	// reports whether it wants more.
	WriteBody(p []byte) (more bool)
	// EndBody ends the body, and reports whether what is wanted of it was
	// read. It may be called again.
	EndBody() (read bool)
	// Hijacks reports whether an answer of status 200 with this head begins a
	// stream that is no HTTP any more.
	Hijacks(head []byte) bool
}

// framing says where the body of a request ends.
type framing struct {
	length  int64 // in bytes, if it is known
	chunked bool  // the body comes in chunks
	closing bool  // the server surely closes the connection after the response
	closed  bool  // the client asked for that
	unclear bool  // versions of Go go on in different ways
}

// errRefused is the error of a head that the server's parser takes and the
// server itself does not.
var errRefused = errors.New("refused by net/http's server")

// headReader is what http.ReadRequest needs, reused.
type headReader struct {
	src bytes.Reader
	buf *bufio.Reader
}

var headReaders = sync.Pool{New: func() any {
	r := new(headReader)
	r.buf = bufio.NewReader(&r.src)
	return r
}}

// readHead reads a whole head as net/http's server does, also as that of an older
// Go. If all refuse it, the error is not nil, and the request holds what its first
// line says.
func readHead(head []byte) (*Request, framing, error) {
	r, f, err := parseHead(head)
	if err == nil {
		return r, f, nil
	}
	first := readLine(head)
	if r, f, ok := readOlderHead(head, first); ok {
		return r, f, nil
	}
	return first, framing{}, err
}

// parseHead reads a whole head as net/http's server of this Go does.
func parseHead(head []byte) (*Request, framing, error) {
	hr := headReaders.Get().(*headReader)
	hr.src.Reset(head)
	hr.buf.Reset(&hr.src)
	req, err := http.ReadRequest(hr.buf)
	hr.src.Reset(nil)
	headReaders.Put(hr)
	if err == nil {
		err = refused(req, head)
	}
	if err != nil {
		return nil, framing{}, err
	}
	r := &Request{
		Method:    req.Method,
		Target:    req.RequestURI,
		Path:      req.URL.Path,
		Query:     req.URL.RawQuery,
		Version:   req.Proto,
		Host:      req.Host,
		UserAgent: req.UserAgent(),
	}
	// From isH2CUpgrade in golang.org/x/net/http2/h2c/h2c.go. Docker's own upgrades
	// say h2c without the rest, and are hijacked connections.
	r.upgrades = httpguts.HeaderValuesContainsToken(req.Header["Upgrade"], "h2c") &&
		httpguts.HeaderValuesContainsToken(req.Header["Connection"], "HTTP2-Settings")
	f := framing{length: max(req.ContentLength, 0), chunked: len(req.TransferEncoding) > 0}
	// Of a client that says both "keep-alive" and "close", a body that the handler
	// did not read is skipped by some versions of Go, and by Go 1.27 read as the
	// next requests.
	f.closing = req.Close && !keepsOpen(req)
	f.closed = req.Close
	f.unclear = f.closed && !f.closing && f.length > 0
	return r, f, nil
}

// refused says if the server refuses what its parser took. From
// (*conn).readRequest and (*conn).serve in net/http/server.go.
func refused(req *http.Request, head []byte) error {
	h2 := req.Method == "PRI" && req.RequestURI == "*" && req.ProtoMajor == 2 && req.ProtoMinor == 0
	if req.ProtoMajor != 1 && !h2 {
		return errRefused
	}
	host, exact := req.Host, req.URL.Host == ""
	if host == "" || !exact {
		// The parser removed the header and put the target's host, if it
		// has one, in its place.
		hosts, err := hostHeader(head)
		if err != nil {
			return err
		}
		if len(hosts) == 0 {
			upgrade := h2 && len(req.Header) == 0
			if req.ProtoAtLeast(1, 1) && !upgrade && req.Method != http.MethodConnect {
				return errRefused
			}
		} else {
			host = hosts[0]
		}
	}
	if !httpguts.ValidHostHeader(host) && host != "" {
		return errRefused
	}
	for name, values := range req.Header {
		if !httpguts.ValidHeaderFieldName(name) {
			return errRefused
		}
		for _, v := range values {
			if !httpguts.ValidHeaderFieldValue(v) {
				return errRefused
			}
		}
	}
	if expect := req.Header.Get("Expect"); expect != "" && !strings.Contains(strings.ToLower(expect), "100-continue") {
		return errRefused // 417
	}
	return nil
}

func hostHeader(head []byte) ([]string, error) {
	tp := textproto.NewReader(bufio.NewReader(bytes.NewReader(head)))
	if _, err := tp.ReadLine(); err != nil {
		return nil, err
	}
	header, err := tp.ReadMIMEHeader()
	return header["Host"], err
}

// keepsOpen says if the server may keep a connection of HTTP/1.0 open. From
// wantsHttp10KeepAlive in net/http/request.go and hasToken in net/http/header.go.
func keepsOpen(req *http.Request) bool {
	if req.ProtoMajor != 1 || req.ProtoMinor != 0 {
		return false
	}
	for token := range strings.FieldsFuncSeq(req.Header.Get("Connection"), func(r rune) bool { return r == ' ' || r == ',' || r == '\t' }) {
		if strings.EqualFold(token, "keep-alive") {
			return true
		}
	}
	return false
}

// readLine returns what the first line of a head says that is otherwise not
// understood.
func readLine(head []byte) *Request {
	r := new(Request)
	line, _, _ := bytes.Cut(head, []byte("\n"))
	method, rest, _ := strings.Cut(strings.TrimSuffix(string(line), "\r"), " ")
	i := strings.LastIndexByte(rest, ' ')
	if i < 0 || !strings.HasPrefix(rest[i+1:], "HTTP/") || !httpguts.ValidHeaderFieldName(method) {
		return r
	}
	// Cloned so that a long line is not kept whole for a part of it.
	r.Method, r.Target, r.Version = strings.Clone(method), strings.Clone(rest[:i]), strings.Clone(rest[i+1:])
	if u, err := url.ParseRequestURI(r.Target); err == nil {
		r.Path, r.Query = u.Path, u.RawQuery
	}
	return r
}

// form is how far data looks like the beginning of a request.
type form uint8

const (
	noRequest  form = iota
	unfinished      // it could become one
	request         // a whole request line of HTTP/1 that the server takes
	known           // one with a method that APIs use
)

// formOf returns how far data looks like the beginning of a request. In its first
// scanned bytes there is no line feed.
func formOf(data []byte, scanned int) form {
	end := bytes.IndexByte(data[scanned:], '\n')
	if end < 0 {
		method, _, _ := bytes.Cut(data[:min(len(data), maxMethod+1)], []byte(" "))
		if len(data) > maxLine || !isMethod(method) {
			return noRequest
		}
		return unfinished
	}
	line := data[:scanned+end]
	method, rest, _ := bytes.Cut(line, []byte(" "))
	target, version, _ := bytes.Cut(rest, []byte(" "))
	version = bytes.TrimSuffix(version, []byte("\r"))
	if len(line) > maxLine || len(target) == 0 || !isMethod(method) || len(version) != len("HTTP/1.1") ||
		!bytes.HasPrefix(version, []byte("HTTP/1.")) || version[7] < '0' || version[7] > '9' {
		return noRequest
	}
	switch string(method) {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE":
		return known
	}
	return request
}

const (
	// maxLine is the longest request line by which a lost connection is found
	// again, in bytes.
	maxLine = 64 << 10
	// maxMethod is the longest method in such a line, in bytes.
	maxMethod = 64
)

// isMethod reports whether the server takes s for a method.
func isMethod(s []byte) bool {
	return len(s) <= maxMethod && httpguts.ValidHeaderFieldName(string(s))
}
