// SPDX-License-Identifier: Apache-2.0

package httpwire

import (
	"bytes"
	"slices"
)

// pairing finds the response to each request. The server writes them in the
// order of the requests, but what it writes is only seen by its beginning, and
// a body can look like one.
type pairing struct {
	pending []*Request // without a response, oldest first

	ahead    bool // a single byte was read of the next head
	alone    bool // every request before the next one was answered
	early    int  // status of a response to a head that is not complete
	reported bool // the head that is not complete was
	// readsOn is a request before whose response the server can have read of the
	// next heads.
	readsOn *Request
	beyond  bool // bytes came since the last response that belong to no request without one
}

// push adds a request to those that wait for a response.
func (c *Conn) push(r *Request) {
	size := 0
	for _, p := range c.pending {
		size += len(p.Target) + len(p.Host) + len(p.UserAgent)
	}
	switch {
	case len(c.pending) < maxPending && size <= maxHead:
	case c.http2:
		// All but those whose body comes: there are few.
		c.pending = slices.DeleteFunc(c.pending, func(p *Request) bool {
			if !p.reading {
				c.send(p)
			}
			return !p.reading
		})
	default:
		c.settle()
	}
	r.Time = c.at
	r.Pipelined = !c.alone
	c.pending = append(c.pending, r)
}

// Response takes the beginning of a write of the server that begins with
// "HTTP/1.". 256 bytes are enough. at is the time in nanoseconds.
func (c *Conn) Response(head []byte, at int64) {
	status, ok := statusOf(head)
	if !ok || c.state == isIgnored || c.http2 || status < 200 && status != 101 {
		// Over HTTP/2, only the bytes of a body look like this.
		return
	}
	c.at = at
	if len(c.pending) == 0 {
		switch {
		case c.beyond:
			c.strayed(status)
		case c.state == inHead && len(c.buf) > 0:
			// The server gave up on what it has. Or an earlier response
			// looks like it, so read on.
			c.early = status
		case c.state == isUnclear:
			c.send(&Request{Time: at, Status: status, Unreadable: Ambiguous, Pipelined: true})
		case c.state == isLost && !c.quiet:
			c.send(&Request{Time: at, Status: status, Unreadable: Lost, Pipelined: true})
		}
		return
	}
	r := c.pending[0]
	c.pending = slices.Delete(c.pending, 0, 1)
	c.beyond = false
	if c.readsOn == r {
		c.readsOn = nil
	}
	if r.older && !r.Pipelined && refusal(status, head) {
		r.Unreadable = Malformed
	}
	hijacked := status == 101 || status == 200 && r.Route != nil && r.Route.Hijacks(whole(head))
	if !r.sent {
		r.Status = status
		c.send(r)
	}
	switch {
	case status == 101 && r.upgrades && !r.Pipelined && c.state == inHead && len(c.buf) == 0:
		c.expectPreface(prefaceHead+prefaceTail, isIgnored)
	case status == 101 && r.upgrades && (c.state == inHead || c.state == inPreface):
		c.upgraded = true // what came of it is read already
	case hijacked && !r.Pipelined && !c.unsure:
		c.pending = nil // bytes of the stream
		c.end(isIgnored)
	case hijacked && (c.state == inHead || c.state == isClosed):
		// Perhaps not: look for further requests, starting with what is
		// read of one.
		c.state, c.scanned, c.lined, c.quiet = isLost, 0, false, true
	case c.doubt && len(c.pending) == 0:
		c.doubt = false
		if c.state == isClosed && !refusal(status, head) {
			c.state, c.quiet = isLost, true
		}
	}
}

// statusOf reads the status line of a response.
func statusOf(head []byte) (int, bool) {
	const n = len("HTTP/1.1 200")
	if len(head) < n || string(head[:7]) != "HTTP/1." || head[8] != ' ' || len(head) > n && head[n] != ' ' && head[n] != '\r' {
		return 0, false
	}
	status := 0
	for _, d := range head[9:n] {
		if d < '0' || d > '9' {
			return 0, false
		}
		status = status*10 + int(d-'0')
	}
	return status, status >= 100
}

// whole cuts what follows the head of a response off.
func whole(head []byte) []byte {
	if end, _ := headEnd(head, 0); end > 0 {
		head = head[:end]
	}
	return head
}

// refusal says if net/http's server itself gave a response, without its handler,
// and closes the connection. From (*conn).serve in net/http/server.go.
func refusal(status int, head []byte) bool {
	switch status {
	case 400, 431, 501, 505:
		return bytes.Contains(head, []byte("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"))
	case 417:
		return bytes.Contains(head, []byte("\r\nConnection: close\r\n"))
	}
	return false
}

// partial reports a head that is not complete.
func (c *Conn) partial(reason string) {
	if len(c.buf) == 0 || c.reported {
		return
	}
	r := new(Request)
	if c.lined {
		r = readLine(c.buf)
	}
	r.Time, r.Status, r.Unreadable = c.at, c.early, reason
	c.reported = true
	c.send(r)
}

// send emits a request with what is known of it.
func (c *Conn) send(r *Request) {
	if r.sent {
		return
	}
	endBody(r, true)
	if r.Pipelined && r.Unreadable == "" {
		// What looks like its response can be bytes of an earlier one.
		r.Status = 0
	}
	r.sent, r.Waiting = true, false
	c.emit(r)
}

// settle emits the requests that wait, and expects no responses to them.
func (c *Conn) settle() {
	for _, r := range c.pending {
		c.send(r)
	}
	clear(c.pending)
	c.pending = c.pending[:0]
	c.readsOn = nil
}

// Flush emits requests whose heads were complete at a time or before, in
// nanoseconds, and that had no response since; those whose body is read and not
// complete as [Request.Waiting]. Call it every now and then with, say, a second
// ago.
func (c *Conn) Flush(before int64) {
	n := 0
	for _, r := range c.pending {
		switch {
		case r.Time > before:
		case !r.reading:
			c.send(r)
		case !r.waited:
			r.waited = true
			early := *r
			early.Waiting = true
			c.emit(&early)
		}
		// Over HTTP/2 no response comes that would be taken for another's.
		if !r.sent || !c.http2 {
			c.pending[n] = r
			n++
		}
	}
	clear(c.pending[n:])
	c.pending = c.pending[:n]
	if c.early != 0 && c.at <= before {
		c.partial(Incomplete)
	}
}

// refuse reports a head that the server refuses. It closes the connection
// then, but the server can be of another version of Go; its response shows it.
func (c *Conn) refuse(head []byte, reason string) []byte {
	r := readLine(head)
	r.Unreadable = reason
	c.push(r)
	c.newHead()
	c.doubt = true
	c.state = isClosed
	return nil
}
