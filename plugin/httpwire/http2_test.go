// SPDX-License-Identifier: Apache-2.0

package httpwire

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// http2Client writes frames as an HTTP/2 client does.
type http2Client struct {
	bytes.Buffer
	*http2.Framer
	encoder *hpack.Encoder
	block   bytes.Buffer
}

func newHTTP2Client() *http2Client {
	c := new(http2Client)
	c.WriteString(http2.ClientPreface)
	c.Framer = http2.NewFramer(&c.Buffer, nil)
	c.encoder = hpack.NewEncoder(&c.block)
	c.WriteSettings()
	return c
}

func (c *http2Client) fields(fields ...string) []byte {
	c.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		c.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return bytes.Clone(c.block.Bytes())
}

func (c *http2Client) request(method, path string) []byte {
	return c.fields(":method", method, ":scheme", "http", ":authority", "d", ":path", path, "user-agent", "h2", "x-registry-auth", "canary")
}

// http2Get is what a client sends to get some paths.
func http2Get(paths ...string) string {
	c := newHTTP2Client()
	for i, p := range paths {
		c.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: c.request("GET", p), EndStream: true, EndHeaders: true})
	}
	return c.String()
}

func TestHTTP2Frames(t *testing.T) {
	c := newHTTP2Client()
	block := c.request("GET", "/v1.55/secrets?x=1")
	c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:3], EndStream: true, PadLength: 9, Priority: http2.PriorityParam{Weight: 3}})
	c.WriteContinuation(1, false, block[3:5])
	c.WriteContinuation(1, true, block[5:])
	c.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: c.request("POST", "/containers/a/exec"), EndHeaders: true})
	c.WriteDataPadded(3, false, []byte(`{"Cmd":["a",`), []byte{0, 0})
	c.WritePing(false, [8]byte{})
	// A second body at the same time.
	c.WriteHeaders(http2.HeadersFrameParam{StreamID: 5, BlockFragment: c.request("POST", "/containers/create"), EndHeaders: true})
	c.WriteData(5, true, []byte(`{"Image":"i"}`))
	c.WriteData(3, false, []byte(`"b"]}`))
	c.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: c.fields("trailer", "x"), EndStream: true, EndHeaders: true})
	c.WriteHeaders(http2.HeadersFrameParam{StreamID: 7, BlockFragment: c.request("POST", "/containers/b/exec"), EndHeaders: true})
	c.WriteRSTStream(7, http2.ErrCodeCancel)
	c.WriteHeaders(http2.HeadersFrameParam{StreamID: 9, BlockFragment: c.request("GET", "no path"), EndStream: true, EndHeaders: true})
	c.WriteHeaders(http2.HeadersFrameParam{StreamID: 11, BlockFragment: []byte{0xff, 0xff, 0xff}, EndStream: true, EndHeaders: true})

	h2 := Request{Version: "HTTP/2.0", Host: "d", UserAgent: "h2"}
	secrets, exec, create, reset, pathless := h2, h2, h2, h2, h2
	secrets.Method, secrets.Target, secrets.Path, secrets.Query = "GET", "/v1.55/secrets?x=1", "/v1.55/secrets", "x=1"
	exec.Method, exec.Target, exec.Path = "POST", "/containers/a/exec", "/containers/a/exec"
	create.Method, create.Target, create.Path = "POST", "/containers/create", "/containers/create"
	reset.Method, reset.Target, reset.Path, reset.BodyUnread = "POST", "/containers/b/exec", "/containers/b/exec", true
	pathless.Method, pathless.Target, pathless.Unreadable = "GET", "no path", Malformed
	want := []Request{secrets, exec, create, reset, pathless, {Version: "HTTP/2.0", Unreadable: Malformed, Pipelined: true}}

	rnd := rand.New(rand.NewPCG(7, 8))
	for range 20 {
		got := read(split(rnd, c.Bytes()))
		if len(got) != len(want) {
			t.Fatalf("%d requests, not %d", len(got), len(want))
		}
		for i, r := range got {
			g := *r
			if i == 1 && bodyOf(r) != `{"Cmd":["a","b"]}` || i == 2 && bodyOf(r) != `{"Image":"i"}` {
				t.Errorf("request %d has the body %s", i, bodyOf(r))
			}
			g.Route, g.began, g.sent = nil, false, false
			g.Pipelined = want[i].Pipelined
			if !reflect.DeepEqual(g, want[i]) {
				t.Errorf("request %d is\n%+v, not\n%+v", i, g, want[i])
			}
		}
	}
}

// TestHTTP2Late has requests emitted without a response, and none twice.
func TestHTTP2Late(t *testing.T) {
	var got []string
	c := New(newTestRoute, func(r *Request) { got = append(got, summary(r)) })
	data := http2Get("/a", "/b", "/c")
	run(c, []step{step("> " + data[:len(data)-5]), "flush", step("> " + data[len(data)-5:]), "flush", "!", "> frames", "close"})
	if want := []string{"GET /a 0", "GET /b 0", "GET /c 0", "0 lost"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestHTTP2Hides has what could make a later request or body hidden.
func TestHTTP2Hides(t *testing.T) {
	get := func(c *http2Client, stream uint32, path string) {
		c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: c.request("GET", path), EndStream: true, EndHeaders: true})
	}
	create := func(c *http2Client, stream uint32) {
		c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: c.request("POST", "/containers/create"), EndHeaders: true})
	}
	for _, test := range []struct {
		name string
		send func(c *http2Client)
		want string // some of the requests
	}{
		// The server takes such a stream for one that there never was.
		{"a refused stream's number again", func(c *http2Client) {
			c.WriteHeaders(http2.HeadersFrameParam{StreamID: 7, BlockFragment: c.fields(":method", "GET", ":path", "/x", "Bad Name", ""), EndStream: true, EndHeaders: true})
			get(c, 7, "/a")
		}, "GET /x 0; GET /a 0"},
		{"a lower number", func(c *http2Client) {
			c.WriteHeaders(http2.HeadersFrameParam{StreamID: 7, BlockFragment: c.fields("Bad Name", ""), EndStream: true, EndHeaders: true})
			get(c, 3, "/a")
		}, "0 malformed; GET /a 0"},
		{"too much padding", func(c *http2Client) {
			c.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersPadded, 1, []byte("\xffabc"))
			c.WriteContinuation(1, true, []byte("not read"))
			get(c, 3, "/a")
		}, "0 malformed; GET /a 0"},
		{"too much padding, without a continuation", func(c *http2Client) {
			c.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersPadded, 1, []byte("\xffabc"))
			get(c, 3, "/a")
		}, "0 malformed; GET /a 0"},
		{"a flood of continuations", func(c *http2Client) {
			c.encoder.SetMaxDynamicTableSize(0)
			c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndStream: true})
			for range 9 {
				c.WriteContinuation(1, false, bytes.Repeat([]byte{0x20}, 1<<19)) // sizes of the table
			}
			c.WriteContinuation(1, true, c.request("GET", "/a"))
			get(c, 3, "/b")
		}, "GET /a 0; GET /b 0"},
		{"a path of more than a mebibyte", func(c *http2Client) {
			c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndStream: true})
			block := c.request("GET", "/"+strings.Repeat("~", 1<<20+50))
			for ; len(block) > 1<<20; block = block[1<<20:] {
				c.WriteContinuation(1, false, block[:1<<20])
			}
			c.WriteContinuation(1, true, block)
			get(c, 3, "/b")
		}, "GET /b 0"},
		{"a body among many requests", func(c *http2Client) {
			create(c, 1)
			c.WriteData(1, false, []byte(`{"Image":`))
			for i := range uint32(300) {
				get(c, 3+2*i, "/_ping")
			}
			c.WriteData(1, true, []byte(`"i"}`))
		}, `POST /containers/create 0 {"Image":"i"}`},
		{"many bodies without an end", func(c *http2Client) {
			for i := range uint32(300) {
				create(c, 1+2*i)
			}
			create(c, 1001)
			c.WriteData(1001, true, []byte(`{"Image":"i"}`))
		}, `POST /containers/create 0; POST /containers/create 0 {"Image":"i"}`},
		{"a body of a stream that begins again", func(c *http2Client) {
			create(c, 1)
			create(c, 1)
			c.WriteData(1, true, []byte(`{"Image":"i"}`))
		}, `POST /containers/create 0 unread; POST /containers/create 0 {"Image":"i"}`},
		{"a bad frame", func(c *http2Client) {
			c.WriteContinuation(1, true, nil)
			get(c, 1, "/a")
		}, "0 malformed"},
		{"a continuation of no stream", func(c *http2Client) { c.WriteContinuation(0, true, c.request("GET", "/a")) }, "0 malformed"},
		{"what looks like a response", func(c *http2Client) { get(c, 1, "/a") }, "GET /a 0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newHTTP2Client()
			c.AllowIllegalWrites = true
			test.send(c)
			var got []string
			wire := New(newTestRoute, func(r *Request) {
				s := summary(r)
				s = strings.TrimSuffix(s, " pipelined")
				if r.BodyUnread {
					s += " unread"
				} else if r.Unreadable == "" && bodyOf(r) != "" {
					s += " " + bodyOf(r)
				}
				got = append(got, s)
			})
			for _, p := range split(rand.New(rand.NewPCG(1, 1)), c.Bytes()) {
				wire.Request(p, len(p), 0)
				if n := wire.Held(); n > 4*maxFrame {
					t.Fatalf("holds %d bytes", n)
				}
			}
			wire.Response([]byte("HTTP/1.1 404 Not Found\r\n\r\n"), 1)
			wire.Close(2)
			if s := strings.Join(got, "; ") + ";"; !strings.Contains(s, test.want+";") {
				t.Errorf("got  %.1000s\nwant %s", s, test.want)
			}
		})
	}
}

// TestH2C has HTTP/2 begin after an upgrade, before and after its answer.
func TestH2C(t *testing.T) {
	upgrade := "POST /info HTTP/1.1\r\nHost: d\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n"
	const answer = "< HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
	frames := http2Get("/a")
	for _, test := range []struct {
		name  string
		steps []step
		want  string
	}{
		{"after", []step{step("> " + upgrade), answer, step("> " + frames)}, "POST /info 101; GET /a 0"},
		{"in pieces", []step{step("> " + upgrade), answer, step("> " + frames[:7]), step("> " + frames[7:30]), step("> " + frames[30:])}, "POST /info 101; GET /a 0"},
		{"before", []step{step("> " + upgrade + frames), answer}, "POST /info 0; GET /a 0"},
		{"around", []step{step("> " + upgrade), step("> " + frames[:1]), answer, step("> " + frames[1:])}, "POST /info 101; GET /a 0"},
		{"not that", []step{step("> " + upgrade), answer, get}, "POST /info 101"},
		{"Docker's", []step{step("> " + strings.Replace(upgrade, ", HTTP2-Settings", "", 1)), answer, step("> " + frames)}, "POST /info 101"},
	} {
		var got []string
		c := New(newTestRoute, func(r *Request) { got = append(got, summary(r)) })
		run(c, append(test.steps, "close"))
		if s := strings.Join(got, "; "); s != test.want {
			t.Errorf("%s: got  %s\nwant %s", test.name, s, test.want)
		}
	}
}
