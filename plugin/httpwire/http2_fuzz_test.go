// SPDX-License-Identifier: Apache-2.0

package httpwire

//lint:file-ignore SA1019 Servers with golang.org/x/net's own HTTP/2 are there, and are compared with.

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"
	"golang.org/x/net/http2/hpack"
	"golang.org/x/sync/errgroup"

	"github.com/containerapi/containerapi/plugin/httpwire/internal/goserver"
)

// framer writes random frames as clients do, and others do not.
type framer struct {
	*http2Client
	rnd    *rand.Rand
	stream uint32
	bodies []uint32 // streams with a body that is not complete
	n      int      // of requests
}

func (f *framer) pick(s ...string) string { return s[f.rnd.IntN(len(s))] }
func (f *framer) rarely(n int) bool       { return f.rnd.IntN(n) == 0 }

// generateFrames writes what a client sends behind the preface.
func generateFrames(rnd *rand.Rand) []byte {
	c := new(http2Client)
	c.Framer = http2.NewFramer(&c.Buffer, nil)
	c.AllowIllegalWrites = true
	c.encoder = hpack.NewEncoder(&c.block)
	f := &framer{http2Client: c, rnd: rnd, stream: 1}
	f.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: rnd.Uint32N(9000)})
	for range 1 + rnd.IntN(25) {
		f.frame()
	}
	if rnd.IntN(8) == 0 {
		return mutate(rnd, f.Bytes())
	}
	return f.Bytes()
}

// body returns one of the streams whose body is not complete, or 0.
func (f *framer) body() uint32 {
	if len(f.bodies) == 0 {
		return 0
	}
	return f.bodies[f.rnd.IntN(len(f.bodies))]
}

func (f *framer) frame() {
	switch n := f.rnd.IntN(40); {
	case n < 16:
		f.headers()
	case n < 28:
		if id := f.body(); id != 0 {
			end := f.rarely(3)
			if f.rarely(4) {
				f.WriteDataPadded(id, end, []byte(f.pick("{", "}", `"Cmd"`, "")), make([]byte, f.rnd.IntN(9)))
			} else {
				f.WriteData(id, end, bytes.Repeat([]byte("x"), f.rnd.IntN(300)))
			}
			if end {
				f.bodies = slices.DeleteFunc(f.bodies, func(b uint32) bool { return b == id })
			}
		}
	case n == 28 && f.rarely(2):
		f.WriteRSTStream(max(f.body(), 1), http2.ErrCodeCancel)
	case n == 29:
		f.WritePing(f.rarely(2), [8]byte{1})
	case n == 30:
		f.WriteWindowUpdate(f.body(), 1+f.rnd.Uint32N(100))
	case n == 31:
		f.WritePriority(f.stream, http2.PriorityParam{StreamDep: 1, Weight: 3})
	case n == 32:
		// Not the size of the header table: net/http's server changes that while it
		// writes an answer, which the race detector sees.
		f.WriteSettings(http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: f.rnd.Uint32N(9000)})
	case n == 33:
		f.encoder.SetMaxDynamicTableSize(f.rnd.Uint32N(5000))
	case n == 34 && f.rarely(3):
		f.WriteGoAway(f.stream, http2.ErrCodeNo, nil)
	case n == 35 && f.rarely(3):
		f.WriteRawFrame(http2.FrameType(f.rnd.IntN(20)), http2.Flags(f.rnd.IntN(256)), f.rnd.Uint32N(20), []byte(f.pick("", "\x05", "\xffabcdef")))
	case n == 36 && f.rarely(3):
		f.WritePushPromise(http2.PushPromiseParam{StreamID: f.stream, PromiseID: 2, EndHeaders: true})
	case n == 37:
		if id := f.body(); id != 0 {
			f.block.Reset()
			f.write(id, f.fields("trailer", "x"), !f.rarely(4))
			f.bodies = slices.DeleteFunc(f.bodies, func(b uint32) bool { return b == id })
		}
	case n == 38 && f.rarely(3):
		// Too much padding: the server reads none of it, and goes on.
		f.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersPadded|http2.Flags(f.rnd.IntN(2))*http2.FlagHeadersEndHeaders, f.stream, []byte("\xffabc"))
	}
}

// headers writes a request.
func (f *framer) headers() {
	f.n++
	path := fmt.Sprintf("%s?id=%d", f.pick("/containers/json", "/info", "/x/exec", "/x/create", "/"+strings.Repeat("a", f.rnd.IntN(2000))), f.n)
	fields := []string{":method", f.pick("GET", "POST", "PUT", "BREW"), ":scheme", "http", ":authority", "d", ":path", path, "user-agent", f.pick("a", "b", strings.Repeat("c", f.rnd.IntN(300)))}
	if f.rarely(3) {
		fields = append(fields, f.pick("x", "x-y", "content-length", "expect", "host", "cookie", "trailer"), f.pick("a", "5", "100-continue", "", strings.Repeat("z", f.rnd.IntN(5000))))
	}
	if f.rarely(30) {
		at := 2 * f.rnd.IntN(len(fields)/2)
		switch f.rnd.IntN(5) {
		case 0:
			fields = append(fields[:at:at], fields[at+2:]...)
		case 1:
			fields = append(fields, fields[at:at+2]...)
		case 2:
			fields[at] = f.pick("X-Upper", "", "te", "connection", ":protocol", ":status", "a b", "x:")
		case 3:
			fields[at+1] = f.pick("", "\x00", "CONNECT", "http://a:1:2/x", "*", "//", "https", "a b", "%zz", "[x]")
		case 4:
			fields = append([]string{"x", "first"}, fields...)
		}
	}
	id := f.stream
	switch {
	case f.rarely(30):
		id = f.rnd.Uint32N(f.stream + 3)
	case f.rarely(10): // the same again
	default:
		f.stream += 2 * uint32(1+f.rnd.IntN(2))
	}
	end := f.rarely(2)
	f.write(id, f.fields(fields...), end)
	if !end {
		f.bodies = append(f.bodies, id)
	}
}

// write writes a header block in one frame or several.
func (f *framer) write(id uint32, block []byte, end bool) {
	p := http2.HeadersFrameParam{StreamID: id, EndStream: end}
	if f.rarely(5) {
		p.PadLength = uint8(f.rnd.IntN(256))
	}
	if f.rarely(5) {
		p.Priority = http2.PriorityParam{StreamDep: f.rnd.Uint32N(9), Weight: 1}
	}
	var parts [][]byte
	for len(block) > 0 && f.rarely(3) {
		n := f.rnd.IntN(len(block) + 1)
		parts = append(parts, block[:n])
		block = block[n:]
	}
	parts = append(parts, block)
	p.BlockFragment, p.EndHeaders = parts[0], len(parts) == 1
	f.WriteHeaders(p)
	for i, part := range parts[1:] {
		f.WriteContinuation(id, i == len(parts)-2 && !f.rarely(50), part)
	}
}

// differs2 is differs for HTTP/2, where requests are handled at the same time.
func differs2(got []*Request, result goserver.Result) string {
	have := make(map[string][]*Request)
	unreadable := false
	for _, r := range got {
		unreadable = unreadable || r.Unreadable != ""
		if r.Unreadable == "" {
			have[r.describe()] = append(have[r.describe()], r)
		}
	}
	for _, q := range result.Requests {
		line := describe(q.Method, q.Target, q.Path, q.Query, q.Proto, q.Host, q.UserAgent)
		rs := have[line]
		if len(rs) == 0 {
			return "hidden is " + line
		}
		i := max(0, slices.IndexFunc(rs, func(r *Request) bool {
			k, ok := r.Route.(*keepRoute)
			return !ok || r.BodyUnread && !q.Whole || bytes.Equal(k.body, q.Body)
		}))
		if k, ok := rs[i].Route.(*keepRoute); ok && q.Whole && (!bytes.Equal(k.body, q.Body) || rs[i].BodyUnread) {
			return fmt.Sprintf("%s has the body %.100q (unread %t), but for the server %.100q", line, k.body, rs[i].BodyUnread, q.Body)
		}
		have[line] = slices.Delete(rs, i, i+1)
	}
	return ""
}

// compareFrames serves a connection over HTTP/2 and compares, after the preface or
// after an upgrade.
func compareFrames(rnd *rand.Rand, frames []byte, upgrade bool, serve func(goserver.Case) goserver.Result) string {
	data := append([]byte(http2.ClientPreface), frames...)
	if upgrade {
		data = append([]byte("POST /first?id=0 HTTP/1.1\r\nHost: d\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 3\r\n\r\nabc"), data...)
	}
	result := serve(goserver.Case{Pieces: split(rnd, data), HTTP2: true})
	if upgrade {
		for i := range result.Requests {
			if q := &result.Requests[i]; q.Target == "/first?id=0" {
				q.Proto = "HTTP/1.1" // of the same request
			}
		}
	}
	got, _ := replay(data, result.Ops)
	return differs2(got, result)
}

// serveH2C serves HTTP/2 without TLS as golang.org/x/net/http2/h2c does.
func serveH2C(c goserver.Case) goserver.Result {
	return goserver.ServeWith(c, func(h http.Handler) http.Handler { return h2c.NewHandler(h, &http2.Server{}) })
}

// TestHTTP2Servers compares with the HTTP/2 servers of net/http and golang.org/x/net
// what they take for a request.
func TestHTTP2Servers(t *testing.T) {
	rounds := 400
	if testing.Short() {
		rounds = 100
	}
	// A server waits a second before it closes the connection for a bad frame.
	var requests atomic.Int64
	var group errgroup.Group
	group.SetLimit(64)
	for name, serve := range map[string]func(goserver.Case) goserver.Result{"net/http": goserver.Serve, "x/net": serveH2C, "x/net, upgrade": serveH2C} {
		for i := range rounds {
			group.Go(func() error {
				rnd := rand.New(rand.NewPCG(11, uint64(i)))
				frames := generateFrames(rnd)
				d := compareFrames(rnd, frames, name == "x/net, upgrade", func(c goserver.Case) goserver.Result {
					r := serve(c)
					requests.Add(int64(len(r.Requests)))
					return r
				})
				if d != "" {
					return fmt.Errorf("round %d, %s: %s\nof %q", i, name, d, frames)
				}
				return nil
			})
		}
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := requests.Load(); n < 6*int64(rounds) {
		t.Errorf("only %d requests were taken", n)
	}
}

// FuzzHTTP2Servers looks for frames that a server takes for a request and a Conn
// does not.
func FuzzHTTP2Servers(f *testing.F) {
	for i := range 30 {
		f.Add(generateFrames(rand.New(rand.NewPCG(12, uint64(i)))), uint64(i))
	}
	f.Fuzz(func(t *testing.T, frames []byte, seed uint64) {
		if len(frames) > 1<<16 {
			return
		}
		rnd := rand.New(rand.NewPCG(seed, 0))
		serve := serveH2C
		if seed%3 == 0 {
			serve = goserver.Serve
		}
		if d := compareFrames(rnd, frames, seed%3 == 1, serve); d != "" {
			t.Fatal(d)
		}
	})
}
