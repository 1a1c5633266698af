// SPDX-License-Identifier: Apache-2.0

package httpwire

import (
	"bytes"
	"math/rand/v2"
	"reflect"
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
