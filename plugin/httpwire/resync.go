// SPDX-License-Identifier: Apache-2.0

package httpwire

// resync finds requests again after bytes were lost, or after a response left
// open what the server made of them.
type resync struct {
	doubt  bool // the response shows whether the server refused the last head
	unsure bool // something was lost, once
	quiet  bool // what is lost is part of a request that was reported
}

// Lost says that something of the connection may be missing here: what the
// server read or wrote. Requests that wait for a response or their body are
// emitted as they are, and reading goes on at the next piece that surely begins
// a request. What is read until then is reported as one unreadable request for
// each response.
func (c *Conn) Lost(at int64) {
	if c.state == isIgnored {
		return
	}
	c.at = at
	c.lose()
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

// find looks for a request line at the beginning of a piece, after something
// was lost, and returns what is then to be read.
func (c *Conn) find(b []byte) []byte {
	for {
		data := b
		if len(c.buf) > 0 {
			data = append(c.buf, b...)
			c.buf = data[:len(c.buf)]
		}
		certain, possible := lineForm(data)
		switch {
		case certain:
			c.settle()
			c.state = inHead
			return b
		case possible:
			c.buf = append(c.buf, b...)
			return nil
		case len(c.buf) == 0:
			if !c.quiet && len(c.pending) == 0 {
				c.push(&Request{Unreadable: Lost})
			}
			return nil
		}
		c.buf = release(c.buf)
	}
}
