// SPDX-License-Identifier: Apache-2.0

// Package httpwire turns the bytes that an HTTP server reads and writes on a
// connection into the requests that it was sent. It knows HTTP and nothing of
// what the requests mean: a [Route] says what is wanted of each.
//
// What the server takes for a request is a request here, too, and what it does
// not is reported as unreadable: heads are read by net/http's own parser, with
// the additional rules of its server.
//
// Which version of Go the server is built with cannot be seen, and need not be:
// where versions from 1.19 on differ, one refuses what another takes, and then
// closes the connection. So the most tolerant reading counts, and hides nothing
// from a server that refuses it.
package httpwire

import (
	"bytes"
	"strconv"
)

// Mode is how much of what the server reads on a connection has to be shown to
// its [Conn].
type Mode uint8

const (
	// Full: everything.
	Full Mode = iota

	// Skim: reads of more than 4096 bytes need only be counted. They are of
	// bodies: net/http's server reads heads through a buffer of that size.
	Skim

	// Ignore: nothing more, neither reads nor writes.
	Ignore
)

const (
	// maxHead is how long a head can be, in bytes. net/http's server reads
	// DefaultMaxHeaderBytes and 4096 for each head, and can have 4096 of it
	// in its buffer before.
	maxHead = 1<<20 + 2*4096

	// maxChunkLine is from bufio's buffer in net/http's server, in bytes.
	maxChunkLine = 4096

	// maxPending is how many requests can wait for a response. What the
	// server can have read ahead, 4096 bytes, holds at most 105.
	maxPending = 256

	// skimFrom is from how long a body on only parts of it are wanted.
	skimFrom = 64 << 10

	// keepBuffer is the largest buffer that is kept for the next request.
	keepBuffer = 16 << 10
)

// Conn reads one connection. It must not be used by two goroutines at once.
//
// A Conn begins where the connection begins; for a connection that is older,
// call Lost first. It needs up to 1 MiB while it reads the longest heads, and some hundred bytes between requests.
type Conn struct {
	route func(method, target string) Route
	emit  func(*Request)

	state   state
	buf     []byte // what is read of a head, a chunk's line or an HTTP/2 frame
	scanned int    // how much of a head in buf has no end
	lined   bool   // the first line of a head in buf is complete
	left    uint64 // what is to come of a body, a chunk or a frame, in bytes
	skipped uint64 // what came of a body, in bytes
	line    int    // of a trailer, in bytes
	crlfs   int    // how far the end of a trailer is CR LF CR LF, in bytes
	newline int    // how many bytes of CR and LF can stand before a request
	closing bool   // the server closes the connection after this request

	current *Request // whose body comes, if it is read

	heads int   // how many there were
	at    int64 // the time of the last bytes

	pairing
	resync

	h2        *http2Conn
	http2     bool   // the connection is, from some place on
	preface   string // what is to come of what HTTP/2 begins with
	noPreface state  // if it does not come
	upgraded  bool   // it comes after an upgrade, and has begun
}

// state is what the next bytes that the server reads belong to.
//
//	inHead ──head──▶ inBody ─────────────────────────▶ inHead
//	   │                                                 ▲
//	   ├──chunked──▶ inChunkLine ─▶ inChunk ─▶ inChunkEnd │ (and again)
//	   │                  └──last──▶ inTrailer ───────────┘
//	   └──PRI, or an upgrade──▶ inPreface ──▶ inHTTP2 (until the end)
//
// From each of them: isLost when bytes are missing, until a piece begins with
// a request line; isUnclear behind a request of which versions of Go read less or
// more; isClosed when the server gives the connection up or has
// answered its last request; isIgnored when the connection is no HTTP any more
// or has ended.
type state uint8

const (
	inHead    state = iota
	inPreface       // "PRI * HTTP/2.0" and more, which HTTP/2 begins with
	inBody
	inChunkLine
	inChunk
	inChunkEnd
	inTrailer
	inHTTP2   // frames
	isLost    // until a request line is found
	isUnclear // where the server reads on depends on its version of Go
	isClosed  // by the server: it reads nothing more as a request
	isIgnored // for good
)

// New returns a Conn that calls emit for each request, once: when its response
// begins, when [Conn.Flush] finds it late, or when nothing more can be known of
// it. The request is emit's to keep.
//
// route says what is known of the route of a request, by its method and target.
func New(route func(method, target string) Route, emit func(*Request)) *Conn {
	return &Conn{route: route, emit: emit}
}

// Request takes what the server read next on the connection, in one system
// call: b is its beginning and total how many bytes it was, at least len(b). at
// is the time in nanoseconds. b is not kept.
func (c *Conn) Request(b []byte, total int, at int64) {
	if total = max(total, len(b)); total == 0 {
		return
	}
	gap := uint64(total - len(b))
	c.at = at
	switch c.state {
	case isIgnored:
		return
	case isUnclear:
		c.ambiguous()
		return
	case inHead:
		// While it handles a request, net/http's server reads a single byte
		// of the next one, to notice that the client went away. With
		// anything else that it reads of a head, it is done with what was
		// before, and the next response is this head's.
		if c.readsOn != nil {
			c.alone = false
		} else if total > 1 || c.ahead {
			c.settle()
			c.alone = true
		} else {
			c.ahead = true
			c.alone = c.heads == 0
		}
	case isLost:
		c.alone = total > 1
		if b = c.find(b); c.state == isLost {
			return
		}
	case inHTTP2:
		c.alone = false
	default:
		c.alone = false
		c.beyond = len(c.pending) == 0
	}
	for len(b) > 0 {
		b = c.step(b)
	}
	if gap > 0 {
		c.skip(gap)
	}
}

// step reads something of b and returns the rest.
func (c *Conn) step(b []byte) []byte {
	switch c.state {
	case inHead:
		return c.readHead(b)
	case inPreface:
		return c.readPreface(b)
	case inBody, inChunk:
		n := int(min(c.left, uint64(len(b))))
		c.collect(c.current, b[:n])
		c.advance(uint64(n))
		return b[n:]
	case inChunkLine:
		return c.readChunkLine(b)
	case inChunkEnd:
		return c.readChunkEnd(b)
	case inTrailer:
		return c.readTrailer(b)
	case inHTTP2:
		return c.readFrames(b)
	}
	return nil
}

// skip takes n bytes that were read and are not known.
func (c *Conn) skip(n uint64) {
	switch c.state {
	case isLost, isUnclear, isClosed, isIgnored:
	case inBody, inChunk:
		// Large reads go past net/http's buffer, and end where the body or
		// the chunk ends.
		if n > c.left {
			c.lose()
			return
		}
		endBody(c.current, false)
		c.advance(n)
	case inHTTP2:
		if !c.skipFrame(n) {
			c.lose()
		}
	default:
		c.lose()
	}
}

// readHead reads up to the end of a head.
func (c *Conn) readHead(b []byte) []byte {
	if len(c.buf) == 0 {
		for ; c.newline > 0; c.newline-- {
			if len(b) == 0 {
				return nil
			}
			if b[0] != '\r' && b[0] != '\n' {
				c.newline = 0
				break
			}
			b = b[1:]
		}
		if len(b) == 0 {
			return nil
		}
	}
	before := len(c.buf)
	data := b
	if before > 0 {
		c.buf = append(c.buf, b...)
		data = c.buf
	}
	if c.heads == 0 && !c.unsure && data[0] == 0x16 {
		// A TLS record of the type handshake, version 3.x.
		if len(data) > 1 && data[1] == 3 {
			c.send(&Request{Time: c.at, Unreadable: TLS})
			c.end(isIgnored)
			return nil
		}
	}
	if !c.lined && bytes.IndexByte(data[c.scanned:], '\n') >= 0 {
		if c.lined = true; !threeWords(data) {
			return c.refuse(data, Malformed)
		}
	}
	end, scanned := headEnd(data, c.scanned)
	if end > maxHead || end < 0 && len(data) > maxHead {
		return c.refuse(data, TooLarge)
	}
	if end < 0 {
		if before == 0 {
			c.buf = append(c.buf, b...)
		}
		c.scanned = scanned
		return nil
	}
	r, f, err := readHead(data[:end])
	if err != nil {
		return c.refuse(data[:end], Malformed)
	}
	r.Route = c.route(r.Method, r.Target)
	// A client can go on with HTTP/2 before it has the answer to its upgrade.
	upgrade := len(c.pending) > 0 && c.pending[len(c.pending)-1].upgrades
	preface := (c.heads == 0 && !c.unsure || upgrade || c.upgraded) && string(data[:end]) == prefaceHead
	c.push(r)
	c.newHead()
	if r.Method == "POST" {
		// net/http's tolerance for old clients that end a body with CRLF.
		c.newline = 4
	}
	c.closing = f.closing
	c.skipped = 0
	if c.current = nil; f.length > 0 || f.chunked {
		c.begin(r)
	}
	switch {
	case f.unclear:
		r.reading = false
		r.BodyUnread = r.Route != nil && r.Route.ReadsBody()
		c.end(isUnclear)
		if len(b) > end-before {
			c.ambiguous()
		}
		return nil
	case preface:
		c.expectPreface(prefaceTail, isClosed)
	case f.chunked:
		c.state = inChunkLine
	case f.length > 0:
		c.left = uint64(f.length)
		c.state = inBody
	default:
		c.bodyEnd()
	}
	return b[end-before:]
}

// headEnd returns where a head ends, behind its empty line, or -1, and how much
// of it has no end and need not be looked at again.
func headEnd(data []byte, scanned int) (end, next int) {
	for i := scanned; ; {
		n := bytes.IndexByte(data[i:], '\n')
		if n < 0 {
			return -1, len(data)
		}
		i += n + 1
		switch rest := data[i:]; {
		case len(rest) == 0 || len(rest) == 1 && rest[0] == '\r':
			return -1, i - 1
		case rest[0] == '\n':
			return i + 1, 0
		case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
			return i + 2, 0
		}
	}
}

// threeWords says if the first line can be a request line, so that the server
// reads on. From parseRequestLine in net/http/request.go.
func threeWords(data []byte) bool {
	line, _, _ := bytes.Cut(data, []byte("\n"))
	return bytes.Count(line, []byte(" ")) >= 2
}

// newHead forgets what was read of a head.
func (c *Conn) newHead() {
	c.heads++
	c.scanned, c.newline, c.lined = 0, 0, false
	c.ahead, c.alone, c.beyond, c.upgraded = false, false, false, false
	c.early, c.reported = 0, false
	c.buf = release(c.buf)
}

// advance counts n bytes of a body or a chunk.
func (c *Conn) advance(n uint64) {
	c.skipped += n
	c.left -= n
	if c.left > 0 {
		return
	}
	if c.state == inChunk {
		c.line = 0
		c.state = inChunkEnd
		return
	}
	c.bodyEnd()
}

// bodyEnd goes from the end of a request to the next one.
func (c *Conn) bodyEnd() {
	endBody(c.current, true)
	c.current = nil
	c.state = inHead
	if c.closing {
		c.state = isClosed
	}
}

// readChunkLine reads the line before a chunk. Go before 1.23.8 took a bare LF
// as its end.
func (c *Conn) readChunkLine(b []byte) []byte {
	n := bytes.IndexByte(b, '\n')
	if n < 0 {
		n = len(b) - 1
	}
	c.buf = append(c.buf, b[:n+1]...)
	if len(c.buf) > maxChunkLine {
		c.end(isClosed)
		return nil
	}
	if b[n] != '\n' {
		return nil
	}
	left, ok := chunkSize(c.buf)
	if !ok {
		c.end(isClosed)
		return nil
	}
	c.buf = release(c.buf)
	c.left = left
	c.state = inChunk
	if left == 0 {
		c.line, c.crlfs = 0, 0
		c.state = inTrailer
	}
	return b[n+1:]
}

// chunkSize reads the size in a chunk's line. Go before 1.22 takes none for 0.
func chunkSize(line []byte) (uint64, bool) {
	size, _, _ := bytes.Cut(bytes.TrimRight(line, " \t\r\n"), []byte(";"))
	if len(size) == 0 {
		return 0, true
	}
	n, err := strconv.ParseUint(string(size), 16, 64)
	return n, err == nil && len(size) <= 16
}

// readChunkEnd reads the CRLF after a chunk.
func (c *Conn) readChunkEnd(b []byte) []byte {
	const crlf = "\r\n"
	if b[0] != crlf[c.line&1] {
		c.end(isClosed)
		return nil
	}
	c.line ^= 1
	if c.line == 0 {
		c.state = inChunkLine
	}
	return b[1:]
}

// readTrailer reads what follows the last chunk: lines up to an empty one.
func (c *Conn) readTrailer(b []byte) []byte {
	const end = "\r\n\r\n"
	for i, d := range b {
		c.left++
		switch {
		case d == end[c.crlfs]:
			c.crlfs++
		case d == '\r':
			c.crlfs = 1
		default:
			c.crlfs = 0
		}
		switch {
		case d == '\n' && c.line <= 0:
			// The server looks for that end, even if another is before it.
			if n := len(c.pending); n > 0 && c.crlfs < len(end) && (c.left != 2 || c.crlfs != 2) {
				c.readsOn = c.pending[n-1]
			}
			c.left = 0
			c.bodyEnd()
			return b[i+1:]
		case d == '\n':
			c.line = 0
		case d == '\r' && c.line == 0:
			c.line = -1
		case c.line < 0:
			c.line = 2
		default:
			c.line++
		}
		if c.left > maxChunkLine {
			c.end(isClosed)
			return nil
		}
	}
	return nil
}

// collect gives a piece of a body to the route that reads it.
func (c *Conn) collect(r *Request, b []byte) {
	if r == nil || len(b) == 0 || !r.reading {
		return
	}
	r.began = true
	if !r.Route.WriteBody(b) {
		endBody(r, true)
	}
}

// begin begins to read the body of a request, if its route wants it.
func (c *Conn) begin(r *Request) {
	if r.reading = r.Route != nil && r.Route.ReadsBody(); r.reading {
		c.current = r
	}
}

// endBody ends the reading of a body: what was read of it is whole as far as the
// server has read, or something is missing.
func endBody(r *Request, whole bool) {
	if r != nil && r.reading {
		r.reading = false
		r.BodyUnread = !whole || !r.Route.EndBody() && r.began
	}
}

// release empties a buffer, which can hold secrets.
func release(b []byte) []byte {
	if cap(b) > keepBuffer {
		return nil
	}
	clear(b)
	return b[:0]
}

// end goes to a state in which nothing is read.
func (c *Conn) end(s state) {
	c.current = nil
	c.buf = release(c.buf)
	c.scanned, c.lined = 0, false
	c.h2 = nil
	c.state = s
}

// Close ends the connection at a time in nanoseconds, and emits what it left,
// also the beginning of a request.
func (c *Conn) Close(at int64) {
	c.at = at
	c.settle()
	switch {
	case c.state == inHead && !c.dropped:
		c.partial(Incomplete)
	case c.state == isLost && !c.quiet:
		c.partial(Lost)
	}
	c.end(isIgnored)
}

// Held returns how much memory the connection holds, in bytes, as far as its
// client can make it grow.
func (c *Conn) Held() int {
	n := cap(c.buf)
	for _, r := range c.pending {
		n += len(r.Target) + len(r.Host) + len(r.UserAgent)
	}
	return n
}

// reads reports whether the body that comes is read.
func (c *Conn) reads() bool { return c.current != nil && c.current.reading }

// Wants says how much has to be shown of what the server reads next.
func (c *Conn) Wants() Mode {
	switch c.state {
	case isIgnored:
		return Ignore
	case isLost, isUnclear, isClosed:
		return Skim
	case inBody:
		if !c.reads() && c.left+c.skipped >= skimFrom {
			return Skim
		}
	case inChunk, inChunkLine, inChunkEnd, inTrailer:
		if !c.reads() && c.skipped >= skimFrom {
			return Skim
		}
	}
	return Full
}
