// SPDX-License-Identifier: Apache-2.0

package httpwire

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// nasty are inputs that cost more than others: of about n bytes, each behind what
// begins it.
var nasty = map[string]func(n int) (begin, data []byte){
	"chunks of one byte":     repeated(chunkedPost, "1\r\nx\r\n"),
	"long extensions":        repeated(chunkedPost, "1;"+strings.Repeat("x", 4000)+"\r\nx\r\n"),
	"a line without an end":  repeated("GET / HTTP/1.1\r\nX: ", "x"),
	"a target without end":   repeated("GET /", "x"),
	"lines of a head":        repeated("GET / HTTP/1.1\r\nHost: d\r\n", "a:\r\n"),
	"continued lines":        repeated("GET / HTTP/1.1\r\nHost: d\r\nA: b\r\n", " \r\n"),
	"colons":                 repeated("GET / HTTP/1.1\r\nX", ":"),
	"heads":                  repeated("", "GET / HTTP/1.1\nHost:\n\n"),
	"heads of an older Go":   repeated("", "GET http://[x]/ HTTP/1.1\nHost:\n:\n\n"),
	"empty lines":            repeated("POST / HTTP/1.1\r\nHost: d\r\n\r\n", "\n"),
	"a long head, refused":   around("GET / HTTP/1.1\r\nHost: d\r\n", "a:\r\n", ": x\r\n\r\n"),
	"names without a letter": around("GET / HTTP/1.1\r\nHost: d\r\n", ":\r\n", "\r\n"),
	"lengths":                around("GET / HTTP/1.1\r\nHost: d\r\n:\r\n", "Content-Length: 1\r\n", "\r\n"),
	"frames":                 frames(func(c *http2Client, i uint32) { c.WritePing(false, [8]byte{}) }),
	"streams": frames(func(c *http2Client, i uint32) {
		c.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: c.request("POST", "/x/create"), EndHeaders: true})
	}),
	"data of one byte": frames(func(c *http2Client, i uint32) {
		if i == 0 {
			c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.request("POST", "/x/create"), EndHeaders: true})
		}
		c.WriteData(1, false, []byte("["))
	}),
	"continuations": frames(func(c *http2Client, i uint32) {
		if i == 0 {
			c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0}})
		}
		c.WriteContinuation(1, false, nil)
	}),
}

func repeated(begin, piece string) func(n int) ([]byte, []byte) { return around(begin, piece, "") }

func around(begin, piece, end string) func(n int) ([]byte, []byte) {
	return func(n int) ([]byte, []byte) {
		return []byte(begin), append(bytes.Repeat([]byte(piece), n/len(piece)), end...)
	}
}

func frames(frame func(*http2Client, uint32)) func(n int) ([]byte, []byte) {
	return func(n int) ([]byte, []byte) {
		c := newHTTP2Client()
		begin := c.Len()
		for i := uint32(0); c.Len() < n; i++ {
			frame(c, i)
		}
		return c.Bytes()[:begin], c.Bytes()[begin:]
	}
}

// feed gives a Conn data in pieces, after what begins it, and returns how long that
// took. Lost says that something is lost before.
func feed(begin, data []byte, piece int, lost bool) time.Duration {
	c := New(newHungryRoute, func(*Request) {})
	if lost {
		c.Lost(0)
	}
	c.Request(begin, len(begin), 0)
	start := time.Now()
	for len(data) > 0 {
		n := min(piece, len(data))
		c.Request(data[:n], n, 0)
		data = data[n:]
	}
	took := time.Since(start)
	c.Close(0)
	return took
}

// hungryRoute wants all of every body.
type hungryRoute struct{}

func newHungryRoute(_, _ string) Route           { return hungryRoute{} }
func (hungryRoute) ReadsBody() bool              { return true }
func (hungryRoute) WriteBody(p []byte) bool      { return true }
func (hungryRoute) EndBody() bool                { return true }
func (hungryRoute) Hijacks(response []byte) bool { return false }

// TestLinear has the time for what is read grow with its length and no faster,
// whatever it is and in whatever pieces it comes.
func TestLinear(t *testing.T) {
	for name, make := range nasty {
		for _, way := range []struct {
			piece int
			lost  bool
		}{{1, false}, {1, true}, {4096, false}} {
			measure := func(n int) time.Duration {
				begin, data := make(n)
				return min(feed(begin, data, way.piece, way.lost), feed(begin, data, way.piece, way.lost))
			}
			small, large := measure(64<<10), measure(8*64<<10)
			for range 5 {
				if large <= 40*small {
					break
				}
				large = min(large, measure(8*64<<10)) // something else was running
			}
			// Eight times the bytes, and some room for a busy machine.
			if large > 40*small && large > 50*time.Millisecond {
				t.Errorf("%s, %+v: 64 KiB take %v, 512 KiB %v", name, way, small, large)
			}
		}
	}
}

// BenchmarkNasty says what the bytes of inputs cost that cost more than others.
func BenchmarkNasty(b *testing.B) {
	for name, make := range nasty {
		b.Run(strings.ReplaceAll(name, " ", "-"), func(b *testing.B) {
			begin, data := make(512 << 10)
			var took time.Duration
			for b.Loop() {
				took += feed(begin, data, 4096, false)
			}
			b.ReportMetric(float64(took.Nanoseconds())/float64(b.N)/float64(len(data)), "ns/byte")
			b.ReportMetric(0, "ns/op")
		})
	}
}
