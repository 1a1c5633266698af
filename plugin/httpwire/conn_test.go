// SPDX-License-Identifier: Apache-2.0

package httpwire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// a step is something that happens on a connection; text is as it is said:
// "> bytes" the server reads, ">1000 bytes" of which it reads more than
// is known, "< bytes" it writes, "!" something is lost, "flush", "close".
type step string

func run(c *Conn, steps []step) {
	for i, s := range steps {
		at := int64(i + 1)
		switch text := string(s); {
		case strings.HasPrefix(text, "> "):
			c.Request([]byte(text[2:]), len(text)-2, at)
		case strings.HasPrefix(text, ">"):
			var total int
			fmt.Sscanf(text, ">%d", &total)
			_, known, _ := strings.Cut(text, " ")
			c.Request([]byte(known), total, at)
		case strings.HasPrefix(text, "< "):
			c.Response([]byte(text[2:]), at)
		case text == "!":
			c.Lost(at)
		case text == "flush":
			c.Flush(at)
		case text == "close":
			c.Close(at)
		default:
			panic("no such step: " + text)
		}
	}
}

const (
	get   = "> GET /containers/json HTTP/1.1\r\nHost: d\r\n\r\n"
	get2  = "> GET /info HTTP/1.1\r\nHost: d\r\n\r\n"
	ok    = "< HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
	gone  = "< HTTP/1.1 404 Not Found\r\n\r\n"
	bad   = "< HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
	up    = "< HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
	raw   = "< HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n"
	start = "> POST /v1.47/exec/abc/start HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\n\r\n{}"
)

// chunkedPost is the head of a chunked upload.
const chunkedPost = "POST /build HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n"

func TestConn(t *testing.T) {
	for _, test := range []struct {
		name  string
		steps []step
		want  string // as summary says
		mode  Mode   // at the end
	}{
		{"one", []step{get, ok}, "GET /containers/json 200", Full},
		{"kept alive", []step{get, ok, get2, gone}, "GET /containers/json 200; GET /info 404", Full},
		{"in pieces", []step{"> G", "> ET /info HT", "> TP/1.1\r", "> \nHost: d\r\n\r", "> \n", ok}, "GET /info 200", Full},
		{"byte read ahead", []step{get, "> G", ok, "> ET /info HTTP/1.1\r\nHost: d\r\n\r\n", gone}, "GET /containers/json 200; GET /info 404", Full},
		{"pipelined", []step{get + step(get2[2:]), ok, gone}, "GET /containers/json 200; GET /info 0 pipelined", Full},
		{"100 Continue", []step{"> POST /x HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", "< HTTP/1.1 100 Continue\r\n\r\n", "> x", gone}, "POST /x 404", Full},
		{"late", []step{get, "flush", ok, get2, ok}, "GET /containers/json 0; GET /info 200", Full},
		{"no response", []step{get, "close"}, "GET /containers/json 0", Ignore},
		{"no response seen", []step{get, get2, ok}, "GET /containers/json 0; GET /info 200", Full},
		{"response to nothing", []step{ok, get, ok, ok}, "GET /containers/json 200", Full},
		{"half", []step{"> GET /secrets HTTP/1.1\r\nHo", "close"}, "GET /secrets 0 incomplete", Ignore},
		{"less", []step{"> GET /sec", "close"}, "  0 incomplete", Ignore},
		{"nothing", []step{"close"}, "", Ignore},
		{"half, answered", []step{"> GET /x HTTP/1.1\r\nHost: d\r\nbroken\r\n", bad, "flush", "close"}, "GET /x 400 incomplete", Ignore},
		{"half, answered by something else", []step{get, ok, "> G", bad, "> ET /info HTTP/1.1\r\nHost: d\r\n\r\n", gone}, "GET /containers/json 200; GET /info 404", Full},
		{"malformed", []step{"> GET /secrets HTTP/1.1\r\n\r\n", bad, get, "close"}, "GET /secrets 400 malformed", Ignore},
		{"malformed for us only", []step{"> GET /secrets HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: identity\r\n\r\n", ok, get, gone}, "GET /secrets 200 malformed; GET /containers/json 404", Full},
		{"garbage", []step{"> \x00\x01\x02\n", bad}, "  400 malformed", Skim},
		{"closes", []step{"> GET /x HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n" + step(get[2:]), ok}, "GET /x 200", Skim},
		{"TLS", []step{"> \x16", "> \x03\x01\x02\x00\x01", "> more", "close"}, "  0 tls", Ignore},
		{"LF, in chunks", []step{"> " + chunkedPost + "3\nabc\r\n0\n\r\n", get, ok}, "POST /build 0; GET /containers/json 200", Full},

		{"attach", []step{"> POST /containers/a/attach?stream=1 HTTP/1.1\r\nHost: d\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n", up, get, ok}, "POST /containers/a/attach 101", Ignore},
		{"exec start", []step{start, raw, get, ok}, "POST /v1.47/exec/abc/start 200", Ignore},
		{"exec start, late", []step{start, "flush", raw, get, ok}, "POST /v1.47/exec/abc/start 0", Ignore},
		{"exec start, detached", []step{start, ok, get, ok}, "POST /v1.47/exec/abc/start 200; GET /containers/json 200", Full},
		{"logs are no stream", []step{"> GET /containers/a/logs HTTP/1.1\r\nHost: d\r\n\r\n", raw, get, ok}, "GET /containers/a/logs 200; GET /containers/json 200", Full},
		{"input before the stream", []step{start + step(get[2:]), raw, "close"}, "POST /v1.47/exec/abc/start 200", Ignore},
		// Logs that look like a response must not make a client invisible.
		{"forged stream", []step{get + step(start[2:]), ok, up, get2, gone}, "GET /containers/json 200; POST /v1.47/exec/abc/start 0 pipelined; GET /info 404", Full},
		{"forged stream, half a request", []step{get + step(start[2:]) + "GET /in", ok, up, "> fo HTTP/1.1\r\nHost: d\r\n\r\n", gone},
			"GET /containers/json 200; POST /v1.47/exec/abc/start 0 pipelined; GET /info 404", Full},

		{"lost", []step{get, "!", get2, ok}, "GET /containers/json 0; GET /info 200", Full},
		{"lost, byte read ahead", []step{"!", "> G", "> ET /info HTTP/1.1\r\nHost: d\r\n\r\n", gone}, "GET /info 404", Full},
		{"lost in a head", []step{"> GET /x HTTP/1.1\r\n", "!", "> Host: d\r\n\r\n", ok, get, gone}, "GET /x 0 lost; 200 lost; GET /containers/json 404", Full},
		{"lost in a body", []step{"> POST /images/load HTTP/1.1\r\nHost: d\r\nContent-Length: 90000\r\n\r\n", "!", "> tar", ">5000 ", ok, get, gone}, "POST /images/load 0; 200 lost; GET /containers/json 404", Full},
		{"lost, response only", []step{"!", ok, ok}, "200 lost; 200 lost", Skim},
		{"lost, then nothing", []step{"!", "> x", "> y", "flush", "> z", "close"}, "0 lost", Ignore},
		{"stream after loss", []step{"!", start, raw, "> typed", get2, ok}, "POST /v1.47/exec/abc/start 200; GET /info 200", Full},

		{"skimmed", []step{"> PUT /containers/a/archive HTTP/1.1\r\nHost: d\r\nContent-Length: 100000\r\n\r\n", ">99999 ", "> x", ok, get, ok}, "PUT /containers/a/archive 200; GET /containers/json 200", Full},
		{"to be skimmed", []step{"> PUT /containers/a/archive HTTP/1.1\r\nHost: d\r\nContent-Length: 100000\r\n\r\n"}, "", Skim},
		{"chunks skimmed", []step{"> " + chunkedPost, "> 11170\r\n", ">70000 ", "> \r\n0\r\n\r\n", get, ok}, "POST /build 0; GET /containers/json 200", Full},
		{"chunks to be skimmed", []step{"> " + chunkedPost, "> 11170\r\n", ">70000 "}, "", Skim},
		{"counted too much", []step{"> POST /build HTTP/1.1\r\nHost: d\r\nContent-Length: 10\r\n\r\n", ">5000 ", get, ok}, "POST /build 0; GET /containers/json 200", Full},
		{"head counted only", []step{">5000 GET /x HTTP/1.1\r\n", "> more", gone}, "GET /x 0 lost; 404 lost", Skim},

		// What versions of Go read in different ways.
		{"no chunk size", []step{"> " + chunkedPost + "5\r\nhello\r\n;x\r\n\r\n" + step(get[2:]), ok, gone}, "POST /build 200; GET /containers/json 0 pipelined", Full},
		{"no chunk size at all", []step{"> " + chunkedPost + "\r\n\r\n" + step(get[2:]), ok, gone}, "POST /build 200; GET /containers/json 0 pipelined", Full},
		{"CR in a chunk's line", []step{"> " + chunkedPost + "2;a\rb\r\nhi\r\n0\r\r\n\r\n" + step(get[2:]), ok, gone}, "POST /build 200; GET /containers/json 0 pipelined", Full},
		{"no length", []step{"> POST /x HTTP/1.1\r\nHost: d\r\nContent-Length:\r\n\r\n" + step(get[2:]), gone, gone}, "POST /x 404; GET /containers/json 0 pipelined", Full},
		{"no length, refused", []step{"> POST /x HTTP/1.1\r\nHost: d\r\nContent-Length:\r\n\r\n", bad}, "POST /x 400 malformed", Full},
		{"no length, answered by the handler", []step{"> POST /x HTTP/1.1\r\nHost: d\r\nContent-Length:\r\n\r\n", "< HTTP/1.1 400 Bad Request\r\nApi-Version: 1.41\r\n\r\n"}, "POST /x 400", Full},
		{"a wrong length beside chunks", []step{"> POST /x HTTP/1.1\r\nHost: d\r\nContent-Length: \x01\r\n -3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + step(get[2:]), ok, gone}, "POST /x 200; GET /containers/json 0 pipelined", Full},
		{"a wrong length twice", []step{"> POST /x HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\r\nContent-Length: 2\r\n\r\nab" + step(get[2:]), ok, gone}, "POST /x 200; GET /containers/json 0 pipelined", Full},
		{"a wrong trailer", []step{"> POST /x HTTP/1.1\r\nHost: d\r\nTrailer: a\x01\r\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + step(get[2:]), ok, gone}, "POST /x 200; GET /containers/json 0 pipelined", Full},
		{"a wrong encoding", []step{"> POST /x HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: \x01\r\n\r\n" + step(get[2:]), ok, gone}, "POST /x 200; GET /containers/json 0 pipelined", Full},
		{"no name", []step{"> GET /x HTTP/1.1\r\nHost: d\r\n: x\r\n y\r\n\r\n" + step(get[2:]), ok, gone}, "GET /x 200; GET /containers/json 0 pipelined", Full},
		{"colons in the host", []step{"> GET http://a:1:2/x HTTP/1.1\r\nHost: d\r\n\r\n" + step(get[2:]), ok, gone}, "GET /x 200; GET /containers/json 0 pipelined", Full},
		{"PRI with chunks", []step{"> PRI * HTTP/2.0\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + step(get[2:]), ok, gone}, "PRI * 200; GET /containers/json 0 pipelined", Full},
		{"PRI with chunks, HTTP/1.9", []step{"> PRI /x HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", ok, "> GET /info HTTP/1.9\r\nHost: d\r\n\r\n", gone}, "PRI /x 200; GET /info 404", Full},
		{"a body that is there or not", []step{"> POST /containers/create HTTP/1.0\r\nConnection: keep-alive, close\r\nContent-Length: 40\r\n\r\n" + step(get[2:]), ok, ok, "> more", gone},
			"POST /containers/create 200; 200 ambiguous; 404 ambiguous", Skim},
		{"a body without end or none", []step{"> POST /x HTTP/1.0\r\nConnection: keep-alive, close\r\nContent-Length: \r\n\r\n", ok, get, ok, "close"}, "POST /x 200; 200 ambiguous", Ignore},
		{"read on for a trailer's end", []step{"> " + chunkedPost + "0\r\n", "> \n", "> GET /in", "> fo HTTP/1.1\r\nHost: d\r\n\r\n", ok, gone}, "POST /build 200; GET /info 0 pipelined", Full},
		{"a response from beyond the end", []step{"> GET /x HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n", ok, "> ?", ok, get, gone}, "GET /x 200; 200 lost; GET /containers/json 404", Full},
		{"a response from within a body", []step{"> POST /x HTTP/1.1\r\nHost: d\r\nContent-Length: 100\r\n\r\n", ok, "> ?", gone, get, ok}, "POST /x 200; 404 lost; GET /containers/json 200", Full},
		{"lost, HTTP/1.5", []step{"!", "> BREW ftp://d/x HTTP/1.5\r\nHost: d\r\n\r\n", ok}, "BREW /x 200", Full},

		{"HTTP/2 refused", []step{"> " + step(http2Get("/secrets")), bad, "close"}, "GET /secrets 0", Ignore},
		{"PRI", []step{"> PRI * HTTP/2.0\r\n\r\n", gone, "close"}, "PRI * 404", Ignore},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			c := New(newTestRoute, func(r *Request) { got = append(got, summary(r)) })
			run(c, test.steps)
			if s := strings.Join(got, "; "); s != strings.TrimSpace(test.want) {
				t.Errorf("got  %s\nwant %s", s, test.want)
			}
			if c.Wants() != test.mode {
				t.Errorf("wants %d, not %d", c.Wants(), test.mode)
			}
		})
	}
}

// TestOlderTarget has targets of heads that only an older Go takes.
func TestOlderTarget(t *testing.T) {
	for target, want := range map[string]Request{
		"/images/create?fromSrc=http://evil:1:2/x": {Path: "/images/create", Query: "fromSrc=http://evil:1:2/x", Host: "d"},
		"http:/tp://docker/x":                      {Path: "/tp://docker/x", Host: "d"},
		"http://u:p@a:1:2/x?y=http://b":            {Path: "/x", Query: "y=http://b", Host: "a:1:2"},
		"http://[x]?y":                             {Query: "y", Host: "[x]"},
	} {
		r, _, err := readHead([]byte("GET " + target + " HTTP/1.1\r\nHost: d\r\n: x\r\n\r\n"))
		if err != nil || r.Target != target || r.Path != want.Path || r.Query != want.Query || r.Host != want.Host {
			t.Errorf("%s: %+v, %v", target, r, err)
		}
	}
}

func summary(r *Request) string {
	s := fmt.Sprint(r.Method, " ", r.Path, " ", r.Status)
	if r.Unreadable != "" {
		s += " " + r.Unreadable
	}
	if r.Pipelined && r.Unreadable != Lost && r.Unreadable != Ambiguous {
		s += " pipelined"
	}
	return strings.TrimSpace(s)
}

// TestTooLarge has a head that never ends.
func TestTooLarge(t *testing.T) {
	var got []*Request
	c := New(newTestRoute, func(r *Request) { got = append(got, r) })
	c.Request([]byte("GET /secrets HTTP/1.1\r\nX: "), 26, 1)
	junk := bytes.Repeat([]byte("x"), 4096)
	for range 1000 {
		c.Request(junk, len(junk), 2)
		if c.Held() > 2*maxHead {
			t.Fatalf("holds %d bytes", c.Held())
		}
	}
	c.Response([]byte("HTTP/1.1 431 Request Header Fields Too Large\r\n"), 3)
	if len(got) != 1 || summary(got[0]) != "GET /secrets 431 too large" {
		t.Errorf("got %+v", got)
	}
}

// testRoute keeps the bodies of execs and of what is created, as JSON, and
// knows what begins a stream.
type testRoute struct {
	path string
	text string
}

func newTestRoute(_, target string) Route {
	path, _, _ := strings.Cut(target, "?")
	return &testRoute{path: path}
}

func (r *testRoute) ReadsBody() bool {
	return strings.HasSuffix(r.path, "/exec") || strings.HasSuffix(r.path, "/create")
}

func (r *testRoute) WriteBody(p []byte) bool {
	r.text += string(p)
	return !r.EndBody()
}

func (r *testRoute) EndBody() bool {
	var value any
	return json.NewDecoder(strings.NewReader(r.text)).Decode(&value) == nil
}

func (r *testRoute) Hijacks(head []byte) bool {
	return strings.HasSuffix(r.path, "/start") && bytes.Contains(head, []byte("\nContent-Type: application/vnd.docker."))
}

// bodyOf returns the body that the route of a request was given.
func bodyOf(r *Request) string { return r.Route.(*testRoute).text }

func TestBodies(t *testing.T) {
	const execute = "/containers/a/b/exec"
	for _, test := range []struct {
		path, body, want string
		unread           bool
	}{
		{path: execute, body: `{"Cmd":["cat","/etc/shadow"]}`, want: `{"Cmd":["cat","/etc/shadow"]}`},
		{path: execute, body: `{"Cmd":["id"`, want: `{"Cmd":["id"`, unread: true},
		{path: execute, body: `{"Cmd":["` + strings.Repeat("x", 9999) + `"]}`, want: `{"Cmd":["` + strings.Repeat("x", 9999) + `"]}`},
		{path: execute, body: ``},
		{path: "/containers/a/update", body: `{"Cmd":["id"]}`},
	} {
		head := "POST " + test.path + " HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"
		whole := fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(test.body), test.body)
		chunks := head + "Transfer-Encoding: chunked\r\n\r\n"
		for rest := test.body; rest != ""; {
			n := min(len(rest), 1+len(test.body)/3)
			chunks += fmt.Sprintf("%x\r\n%s\r\n", n, rest[:n])
			rest = rest[n:]
		}
		for _, data := range []string{whole, chunks + "0\r\n\r\n"} {
			got := read(split(rand.New(rand.NewPCG(5, 6)), []byte(data)))
			if len(got) != 1 {
				t.Errorf("%.80s: %d requests", test.body, len(got))
				continue
			}
			if r := got[0]; r.BodyUnread != test.unread || bodyOf(r) != test.want {
				t.Errorf("%s %.80s: got %.80q, unread %t; want %.80q, %t", test.path, test.body, bodyOf(r), r.BodyUnread, test.want, test.unread)
			}
		}
	}
}

// TestBodyAnsweredEarly has the server act on a body of which it did not read all.
func TestBodyAnsweredEarly(t *testing.T) {
	for rest, unread := range map[string]bool{`{"Cmd":["id"]}`: false, `{"Cmd":["i`: true} {
		var got []*Request
		c := New(newTestRoute, func(r *Request) { got = append(got, r) })
		run(c, []step{step("> POST /containers/a/exec HTTP/1.1\r\nHost: d\r\nContent-Length: 9999\r\n\r\n" + rest), gone})
		if len(got) != 1 || got[0].Status != 404 || got[0].BodyUnread != unread || bodyOf(got[0]) != rest {
			t.Errorf("%s: %+v", rest, got)
		}
	}
}

// TestNoSecrets looks for what heads and bodies held in what a Conn still holds.
func TestNoSecrets(t *testing.T) {
	c := New(newTestRoute, func(*Request) {})
	run(c, []step{"> POST /containers/create HTTP/1.1\r\nHost: d\r\nX-Registry-", "> Auth: canary\r\nContent-Length: 40\r\n\r\n", `> {"Env":["P=canary"],    `, "> canary          "})
	c.Close(9)
	for _, b := range [][]byte{c.buf[:cap(c.buf)]} {
		if bytes.Contains(b, []byte("canary")) {
			t.Errorf("holds %q", b)
		}
	}
}

func seeds(testing.TB) [][]byte {
	var list [][]byte
	for _, s := range []string{get[2:], start[2:] + get[2:], chunkedPost + "3;x\r\nabc\r\n0\r\nT: 1\r\n\r\n" + get[2:], chunkedPost + "3\nabc\r\n0\n\n" + get[2:],
		http2Get("/a", "/b"), "\x16\x03\x01", "POST / HTTP/1.0\r\n\r\n\r\n\r\nGET / HTTP/1.1\n\n",
		"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 13\r\n\r\n{\"image\":\"a\"}" + get[2:],
		"POST /volumes/create HTTP/1.1\r\nHost: d\r\nContent-Length: 45\r\n\r\n{\"DriverOpts\":{\"device\":\"/etc\",\"o\":\"bind\"}}  " + get[2:]} {
		list = append(list, []byte(s))
	}
	for i := range uint64(20) {
		list = append(list, append([]byte(http2.ClientPreface), generateFrames(rand.New(rand.NewPCG(13, i)))...))
	}
	return list
}

// FuzzPieces looks for bytes that mean something else in other pieces.
func FuzzPieces(f *testing.F) {
	for i, data := range seeds(f) {
		f.Add(data, uint64(i))
	}
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		whole := readFor(newKeepRoute, [][]byte{data})
		pieces := readFor(newKeepRoute, split(rand.New(rand.NewPCG(seed, 0)), data))
		if len(whole) != len(pieces) {
			t.Fatalf("%d requests at once, %d in pieces", len(whole), len(pieces))
		}
		for i := range whole {
			a, b := *whole[i], *pieces[i]
			a.Pipelined, b.Pipelined = false, false
			if !reflect.DeepEqual(a, b) {
				t.Fatalf("request %d is\n%+v at once\n%+v in pieces", i, a, b)
			}
		}
	})
}

// FuzzConn has anything happen on a connection. It must not panic, emit a
// request twice or keep more than its limits.
func FuzzConn(f *testing.F) {
	for _, data := range seeds(f) {
		f.Add(data, []byte{10, 0, 30, 1, 20, 2, 5, 3, 200, 4, 9, 5})
	}
	f.Add([]byte(get[2:]+start[2:]+get2[2:]+up[2:]), []byte{40, 0, 60, 1, 30, 2})
	f.Fuzz(func(t *testing.T, data, ops []byte) {
		seen := make(map[*Request]bool)
		c := New(newTestRoute, func(r *Request) {
			if seen[r] {
				t.Fatalf("emitted twice: %+v", r)
			}
			seen[r] = true
		})
		for i := 0; i+1 < len(ops); i += 2 {
			n := min(int(ops[i]), len(data))
			piece := data[:n]
			at := int64(i)
			switch ops[i+1] % 8 {
			case 0, 1, 2:
				c.Request(piece, n, at)
				data = data[n:]
			case 3:
				c.Request(piece, n+int(ops[i+1])*16, at)
				data = data[n:]
			case 4:
				status := []string{"100", "101", "200", "400", "404"}[int(ops[i])%5]
				c.Response([]byte("HTTP/1.1 "+status+" OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n"), at)
			case 5:
				c.Response(piece, at)
			case 6:
				c.Lost(at)
			case 7:
				c.Flush(at - int64(ops[i]))
			}
			c.Wants()
			if c.Held() > 4*maxHead {
				t.Fatalf("holds %d bytes", c.Held())
			}
		}
		c.Request(data, len(data), 1)
		c.Close(2)
		c.Close(3)
		if len(c.pending) != 0 || c.current != nil || len(c.buf) != 0 {
			t.Fatalf("keeps something: %+v", c)
		}
	})
}

func BenchmarkRequest(b *testing.B) {
	data := []byte("GET /v1.47/containers/json?all=1 HTTP/1.1\r\nHost: api.moby.localhost\r\nUser-Agent: Docker-Client/27.3.1 (linux)\r\nAccept-Encoding: gzip\r\n\r\n")
	response := []byte(ok[2:])
	c := New(newTestRoute, func(*Request) {})
	b.ReportAllocs()
	for b.Loop() {
		c.Request(data[:1], 1, 1)
		c.Request(data[1:], len(data)-1, 1)
		c.Response(response, 2)
	}
}

func BenchmarkUpload(b *testing.B) {
	c := New(newTestRoute, func(*Request) {})
	c.Request([]byte(chunkedPost), len(chunkedPost), 1)
	chunk := []byte(fmt.Sprintf("%x\r\n%s\r\n", 4000, make([]byte, 4000)))
	b.SetBytes(int64(len(chunk)))
	b.ReportAllocs()
	for b.Loop() {
		c.Request(chunk, len(chunk), 1)
	}
}
