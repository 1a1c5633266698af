// SPDX-License-Identifier: Apache-2.0

package httpwire

import "slices"

// resync finds requests again after bytes were lost, or after a response left
// open what the server made of them.
type resync struct {
	doubt   bool // the response shows whether the server refused the last head
	unsure  bool // something was lost, once
	dropped bool // something was given up, once
	quiet   bool // what is lost is part of a request that was reported
}

// Lost says that something of the connection may be missing here: what the
// server read or wrote. Requests that wait for a response or their body are
// emitted as they are, and reading goes on at the next piece that surely begins
// a request. What is read until then is reported as one unreadable request for
// each response.
func (c *Conn) Lost(at int64) {
	if c.state == isIgnored || c.state == isUnclear {
		return
	}
	c.at = at
	c.lose()
}

// Drop gives up what is held of a head or a frame that is not complete, when all
// connections together hold too much, and goes on as Lost does. It is reported the
// first time: a client that sends nothing but such heads is no more than one event
// for each of its connections.
func (c *Conn) Drop(at int64) {
	again, told := c.dropped, c.state == inHead && len(c.buf) > 0
	c.dropped = true
	c.reported = c.reported || again
	c.Lost(at)
	c.quiet = told || again
}

func (c *Conn) lose() {
	c.settle()
	if c.state == inHead {
		c.partial(Lost)
	}
	c.end(isLost)
	c.newline = 0
	c.unsure, c.quiet, c.doubt = true, false, false
	c.early, c.reported = 0, false
	c.ahead = false
}

// ambiguous reports that requests are not known, once for each response.
func (c *Conn) ambiguous() {
	if n := len(c.pending); n == 0 || c.pending[n-1].Unreadable != Ambiguous {
		c.push(&Request{Unreadable: Ambiguous})
	}
}

// strayed takes a response to none of the requests, after bytes that are of none.
// It is part of another response's body, or the server reads the connection in
// another way than this package does, and took a request in them.
func (c *Conn) strayed(status int) {
	c.send(&Request{Time: c.at, Status: status, Unreadable: Lost, Pipelined: true})
	c.lose()
	c.quiet, c.beyond = true, false
}

// find looks for a request line at the beginning of a piece, after something
// was lost, and returns what is then to be read.
func (c *Conn) find(b []byte) []byte {
	before := len(c.buf)
	c.buf = append(c.buf, b...)
	switch f := formOf(c.buf, before); {
	case f != known && before > 0 && formOf(b, 0) > noRequest && (f == noRequest || formOf(b, 0) == known):
		// What came before was the end of something else.
		c.buf = append(release(c.buf), b...)
		if formOf(b, 0) == unfinished {
			return nil
		}
	case f == unfinished:
		return nil
	case f == noRequest:
		c.buf = release(c.buf)
		if !c.quiet && len(c.pending) == 0 {
			c.push(&Request{Unreadable: Lost})
		}
		return nil
	}
	c.settle()
	b = slices.Clone(c.buf)
	c.buf = release(c.buf)
	c.state = inHead
	return b
}
