// SPDX-License-Identifier: Apache-2.0

package httpwire

import (
	"encoding/binary"
	"maps"
	"net/url"
	"slices"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// dockerd takes HTTP/2 without TLS from clients that know so beforehand, since
// SetUnencryptedHTTP2 in daemon/command/daemon.go of
// github.com/moby/moby/v2. Older ones answer the preface like a request.

const (
	prefaceHead = "PRI * HTTP/2.0\r\n\r\n"
	prefaceTail = "SM\r\n\r\n"

	frameHeader = 9

	// maxFrame is the largest frame that net/http's server takes, in bytes.
	maxFrame = 1 << 20
	// maxString is longer than any string in a header block that it takes.
	maxString = maxFrame + 4096
)

// http2Conn is what HTTP/2 needs to know between frames.
type http2Conn struct {
	decoder *hpack.Decoder
	// head is the request whose header block is not complete, and stream its
	// stream; 0 is none.
	head   *Request
	stream uint32
	ends   bool   // the stream ends with the header block
	passed bool   // the server passes the header block over
	last   uint32 // the highest stream
	// bodies are the requests whose body is read and not complete, by their
	// streams.
	bodies map[uint32]*Request
}

func newHTTP2Conn() *http2Conn {
	s := &http2Conn{decoder: hpack.NewDecoder(4096, nil)}
	s.decoder.SetMaxStringLength(maxString)
	s.decoder.SetEmitFunc(s.field)
	return s
}

// expectPreface makes a connection read what HTTP/2 begins with, or else go to a
// state.
func (c *Conn) expectPreface(preface string, or state) {
	c.preface, c.noPreface = preface, or
	c.state = inPreface
}

// readPreface reads what is to come of what HTTP/2 begins with.
func (c *Conn) readPreface(b []byte) []byte {
	n := min(len(b), len(c.preface))
	if string(b[:n]) != c.preface[:n] {
		c.end(c.noPreface)
		return nil
	}
	c.preface = c.preface[n:]
	if c.preface == "" {
		// PRI is no request.
		c.pending = slices.DeleteFunc(c.pending, func(r *Request) bool { return r.Method == "PRI" })
		c.h2, c.http2 = newHTTP2Conn(), true
		c.state = inHTTP2
	}
	return b[n:]
}

// readFrames reads up to the end of a frame. Frames that are not needed are
// skipped: left is what is to come of one.
func (c *Conn) readFrames(b []byte) []byte {
	if c.left > 0 {
		n := min(c.left, uint64(len(b)))
		c.left -= n
		return b[n:]
	}
	n := min(c.wanted(), len(b))
	c.buf = append(c.buf, b[:n]...)
	b = b[n:]
	if len(c.buf) < frameHeader {
		return b
	}
	header := frameOf(c.buf)
	// Nothing may stand between the frames of a header block. One that is passed
	// over ends here for Go before 1.26, and goes on for others.
	among := header.Type == http2.FrameContinuation && header.StreamID == c.h2.stream && c.h2.stream != 0
	if c.h2.passed && !among && c.h2.stream != 0 {
		c.pass()
	}
	if header.Length > maxFrame || (c.h2.stream != 0 || header.Type == http2.FrameContinuation) && !among {
		c.failHTTP2(b)
		return nil
	}
	if !c.needs(header) {
		c.left = uint64(header.Length)
		c.buf = c.buf[:0]
		c.skipEnd(header)
		return b
	}
	if c.wanted() > 0 {
		return b
	}
	payload, ok := payloadOf(header, c.buf[frameHeader:])
	if ok {
		ok = c.readFrame(header, payload)
	}
	if !ok {
		c.failHTTP2(b)
		return nil
	}
	c.buf = release(c.buf)
	return b
}

// wanted returns how many bytes are missing of a frame that is needed, or of
// its header.
func (c *Conn) wanted() int {
	if len(c.buf) < frameHeader {
		return frameHeader - len(c.buf)
	}
	return frameHeader + int(frameOf(c.buf).Length) - len(c.buf)
}

func frameOf(b []byte) http2.FrameHeader {
	return http2.FrameHeader{
		Length:   uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]),
		Type:     http2.FrameType(b[3]),
		Flags:    http2.Flags(b[4]),
		StreamID: binary.BigEndian.Uint32(b[5:]) & (1<<31 - 1),
	}
}

func (c *Conn) needs(h http2.FrameHeader) bool {
	switch h.Type {
	case http2.FrameHeaders, http2.FrameContinuation:
		return true
	case http2.FrameData:
		return c.h2.bodies[h.StreamID] != nil
	}
	return false
}

// skipEnd notices that a stream whose body is read was given up.
func (c *Conn) skipEnd(h http2.FrameHeader) {
	if h.Type == http2.FrameRSTStream {
		c.h2.end(h.StreamID, false)
	}
}

// skipFrame skips n bytes that are not known, if they are all of a frame that
// is not needed.
func (c *Conn) skipFrame(n uint64) bool {
	if c.left == 0 && len(c.buf) >= frameHeader && frameOf(c.buf).Type == http2.FrameData {
		c.h2.end(frameOf(c.buf).StreamID, false)
		c.left = uint64(c.wanted())
		c.buf = c.buf[:0]
	}
	if n > c.left {
		return false
	}
	c.left -= n
	return true
}

// payloadOf removes padding and priority. Of a header block with too much padding
// the server reads nothing, and goes on: it is nil.
func payloadOf(h http2.FrameHeader, p []byte) ([]byte, bool) {
	if h.Type == http2.FrameContinuation {
		return p, true
	}
	padding := 0
	if h.Flags.Has(http2.FlagHeadersPadded) { // the same bit as FlagDataPadded
		if len(p) == 0 {
			return nil, false
		}
		padding = int(p[0])
		p = p[1:]
	}
	if h.Type == http2.FrameHeaders && h.Flags.Has(http2.FlagHeadersPriority) {
		if len(p) < 5 {
			return nil, false
		}
		p = p[5:]
	}
	if padding > len(p) {
		return nil, h.Type == http2.FrameHeaders
	}
	return p[:len(p)-padding], true
}

// readFrame reads a frame that is needed, and says if the server takes it.
func (c *Conn) readFrame(h http2.FrameHeader, payload []byte) bool {
	s := c.h2
	if h.Type == http2.FrameData {
		r := s.bodies[h.StreamID]
		c.collect(r, payload)
		if !r.reading {
			delete(s.bodies, h.StreamID) // it has what it wants
		}
		if h.Flags.Has(http2.FlagDataEndStream) {
			s.end(h.StreamID, true)
		}
		return true
	}
	if h.Type == http2.FrameHeaders {
		if h.StreamID == 0 {
			return false
		}
		s.head = &Request{Version: "HTTP/2.0"}
		s.stream = h.StreamID
		s.ends = h.Flags.Has(http2.FlagHeadersEndStream)
		s.passed = payload == nil
	}
	if !s.passed {
		if _, err := s.decoder.Write(payload); err != nil {
			return false
		}
	}
	if !h.Flags.Has(http2.FlagHeadersEndHeaders) { // the same bit as FlagContinuationEndHeaders
		return true
	}
	if s.passed {
		c.pass()
		return true
	}
	r, stream := s.head, s.stream
	s.head, s.stream = nil, 0
	switch {
	case s.decoder.Close() != nil:
		return false
	case r.Method == "" && stream <= s.last:
		// A trailer.
		s.end(stream, s.ends)
		return true
	default:
		finish(r)
	}
	s.last = max(s.last, stream)
	// A stream's number says nothing: that of a head that the server refused can
	// come again, or a lower one. Another request's body ends here.
	s.end(stream, false)
	c.alone = true
	c.push(r)
	c.heads++
	if r.Unreadable == "" && (r.Method != "CONNECT" || r.Path != "") {
		r.Route = c.route(r.Method, r.Target)
	}
	if r.reading = r.Route != nil && r.Route.ReadsBody() && !s.ends; r.reading {
		s.begin(stream, r)
	}
	return true
}

// pass reports a request whose header block the server passes over.
func (c *Conn) pass() {
	c.h2.end(c.h2.stream, false)
	c.h2.head, c.h2.stream, c.h2.passed = nil, 0, false
	c.alone = true
	c.push(&Request{Version: "HTTP/2.0", Unreadable: Malformed})
}

// maxStreams is how many streams net/http's server takes at once: its own
// limit is 250, of which those count that are not answered.
const maxStreams = 250

// begin begins to read the body of a stream. If there are too many, the oldest is
// one that was answered: that is not seen.
func (s *http2Conn) begin(stream uint32, r *Request) {
	if len(s.bodies) >= maxStreams {
		s.end(slices.Min(slices.Collect(maps.Keys(s.bodies))), false)
	}
	if s.bodies == nil {
		s.bodies = make(map[uint32]*Request)
	}
	s.bodies[stream] = r
}

// end ends the body of a stream, if it is read.
func (s *http2Conn) end(stream uint32, whole bool) {
	endBody(s.bodies[stream], whole)
	delete(s.bodies, stream)
}

// field takes a field of a header block. From (*serverConn).newWriterAndRequest in
// golang.org/x/net/http2/server.go.
func (s *http2Conn) field(f hpack.HeaderField) {
	r := s.head
	switch f.Name {
	case ":method":
		r.Method = f.Value
	case ":path":
		r.Target = f.Value
	case ":authority":
		r.Host = f.Value
	case "host":
		if r.Host == "" {
			r.Host = f.Value
		}
	case "user-agent":
		if r.UserAgent == "" {
			r.UserAgent = f.Value
		}
	}
}

// finish reads what the fields of a request say.
func finish(r *Request) {
	if r.Method == "CONNECT" && r.Target == "" {
		r.Target = r.Host
		return
	}
	target := r.Target
	u, err := url.ParseRequestURI(target)
	if err != nil {
		target, _ = withoutHost(r) // an older Go can take it
		u, err = url.ParseRequestURI(target)
	}
	if err != nil || r.Method == "" {
		r.Unreadable = Malformed
		return
	}
	r.Path, r.Query = u.Path, u.RawQuery
}

// failHTTP2 reports frames that the server closes the connection for; rest is what
// was read behind them. It does so a second later, or another version of Go goes on.
func (c *Conn) failHTTP2(rest []byte) {
	c.push(&Request{Unreadable: Malformed, Version: "HTTP/2.0"})
	c.end(isUnclear)
	if len(rest) > 0 {
		c.ambiguous()
	}
}
