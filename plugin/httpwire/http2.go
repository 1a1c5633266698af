// SPDX-License-Identifier: Apache-2.0

package httpwire

import (
	"encoding/binary"
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

	// maxFrame is the largest frame and the longest header block that
	// net/http's server takes, in bytes.
	maxFrame = 1 << 20
)

// http2Conn is what HTTP/2 needs to know between frames.
type http2Conn struct {
	decoder *hpack.Decoder
	block   []byte // of a header block
	ends    bool   // the stream ends with the header block
	last    uint32 // the highest stream
	// bodies are the requests whose body is read and not complete, by their
	// streams. The server takes so many streams at once, and no more.
	bodies map[uint32]*Request
}

// readPreface reads what follows prefaceHead in HTTP/2.
func (c *Conn) readPreface(b []byte) []byte {
	for i, d := range b {
		if d != prefaceTail[len(c.buf)] {
			c.end(isClosed)
			return nil
		}
		c.buf = append(c.buf, d)
		if len(c.buf) == len(prefaceTail) {
			c.buf = c.buf[:0]
			c.pending = c.pending[:0]
			c.h2 = &http2Conn{decoder: hpack.NewDecoder(4096, nil)}
			c.h2.decoder.SetMaxStringLength(maxFrame)
			c.state = inHTTP2
			return b[i+1:]
		}
	}
	return nil
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
	if header.Length > maxFrame {
		c.failHTTP2()
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
		c.failHTTP2()
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

// payloadOf removes padding and priority.
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
		return nil, false
	}
	return p[:len(p)-padding], true
}

// readFrame reads a frame that is needed, and says if the server takes it.
func (c *Conn) readFrame(h http2.FrameHeader, payload []byte) bool {
	s := c.h2
	if h.Type == http2.FrameData {
		c.collect(s.bodies[h.StreamID], payload)
		if h.Flags.Has(http2.FlagDataEndStream) {
			s.end(h.StreamID, true)
		}
		return true
	}
	if h.Type == http2.FrameHeaders {
		s.block = s.block[:0]
		s.ends = h.Flags.Has(http2.FlagHeadersEndStream)
	}
	if len(s.block)+len(payload) > maxFrame {
		return false
	}
	s.block = append(s.block, payload...)
	if !h.Flags.Has(http2.FlagHeadersEndHeaders) { // the same bit as FlagContinuationEndHeaders
		return true
	}
	r, err := s.request()
	s.block = release(s.block)
	if err != nil {
		return false
	}
	if h.StreamID <= s.last {
		// A trailer.
		if s.ends {
			s.end(h.StreamID, true)
		}
		return true
	}
	s.last = h.StreamID
	c.alone = true
	c.push(r)
	c.heads++
	if r.Unreadable == "" && r.Method != "CONNECT" {
		r.Route = c.route(r.Method, r.Target)
	}
	if r.reading = r.Route != nil && r.Route.ReadsBody() && !s.ends; r.reading {
		s.begin(h.StreamID, r)
	}
	return true
}

// maxStreams is how many streams net/http's server takes at once: its own
// limit is 250, of which those count that are not answered.
const maxStreams = 250

// begin begins to read the body of a stream.
func (s *http2Conn) begin(stream uint32, r *Request) {
	if len(s.bodies) >= maxStreams {
		endBody(r, false)
		return
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

// request decodes the header block. From (*serverConn).newWriterAndRequest in
// golang.org/x/net/http2/server.go.
func (s *http2Conn) request() (*Request, error) {
	r := &Request{Version: "HTTP/2.0"}
	s.decoder.SetEmitFunc(func(f hpack.HeaderField) {
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
			r.UserAgent = f.Value
		}
	})
	if _, err := s.decoder.Write(s.block); err != nil {
		return nil, err
	}
	if err := s.decoder.Close(); err != nil {
		return nil, err
	}
	if r.Method == "CONNECT" && r.Target == "" {
		r.Target = r.Host
		return r, nil
	}
	u, err := url.ParseRequestURI(r.Target)
	if err != nil || r.Method == "" {
		r.Unreadable = Malformed
		return r, nil
	}
	r.Path, r.Query = u.Path, u.RawQuery
	return r, nil
}

// failHTTP2 reports frames that the server closes the connection for.
func (c *Conn) failHTTP2() {
	c.push(&Request{Unreadable: Malformed, Version: "HTTP/2.0"})
	c.end(isClosed)
}

// refuseHTTP2 takes the response of a server that knows HTTP/1 only: it is to
// the preface, so to all that came with it. Only the first request gets the
// status: a response over HTTP/2 could hold bytes that look like this one.
func (c *Conn) refuseHTTP2(status int) {
	if status < 400 {
		return
	}
	c.pending[0].Status = status
	c.send(c.pending[0])
	c.pending = slices.Delete(c.pending, 0, 1)
}
