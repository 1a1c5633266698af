// SPDX-License-Identifier: Apache-2.0

package jsonstream

import (
	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/manifest"
)

// How much is kept of an event that is too long to be read as it stands: of a
// string, and of an array or object, by how deep it lies, all in bytes. What an API
// server itself writes into an audit event stays far below; what a client can make
// longer displaces nothing else.
const (
	maxString, maxNestedString                 = 8 << 10, 1 << 10
	maxEvent, maxMember, maxNestedMember       = 128 << 10, 32 << 10, 8 << 10
	maxKey, maxWord                            = 256, 64
	memberDepth, nestedMemberDepth, depthLimit = 2, 3, 8
)

func sizeLimit(depth int) int {
	switch {
	case depth < memberDepth:
		return maxEvent
	case depth == memberDepth:
		return maxMember
	}
	return maxNestedMember
}

func stringLimit(depth int) int {
	if depth <= memberDepth {
		return maxString
	}
	return maxNestedString
}

// copyValue copies one value to out, as valid JSON also where it ends too early,
// if it lies at the first level.
func (r *Reader) copyValue(depth int, top bool) error {
	c, err := r.space()
	if err != nil {
		return err
	}
	switch c {
	case '{', '[':
		if depth > depthLimit {
			r.out = append(r.out, "null"...)
			r.lost = true
			return r.skip(0)
		}
		return r.copyValues(depth, c, top)
	case '"':
		return r.copyString(stringLimit(depth))
	case '}', ']', ',', ':':
		return errBroken
	}
	return r.copyWord()
}

// copyValues copies an array or object. Of one that is too long it leaves out
// values in the middle, so that neither what a client writes first nor what it
// writes last is all that there is: the last of an event's addresses is the peer's.
func (r *Reader) copyValues(depth int, open byte, top bool) error {
	end := byte('}')
	if open == '[' {
		end = ']'
	}
	r.pos++
	r.out = append(r.out, open)
	begin, tail := len(r.out), 0
	for {
		value := len(r.out)
		keep, err := r.copyElement(depth, open, top)
		if err == errEnd && value == begin {
			break // it is empty
		}
		if err != nil {
			if err == errEnd {
				err = errBroken
			}
			r.out = append(r.out[:value], end)
			return err
		}
		half := sizeLimit(depth) / 2
		switch {
		case !keep:
			r.out = r.out[:value]
		case tail == 0 && len(r.out)-begin > half:
			tail = len(r.out)
		case tail > 0 && len(r.out)-tail > half && value > tail:
			r.out = append(r.out[:tail], r.out[value:]...)
			r.lost = true
		}
		c, err := r.space()
		if err == nil && c != ',' && c != end {
			err = errBroken
		}
		if err != nil {
			r.out = append(r.out, end)
			return err
		}
		if c == end {
			break
		}
		r.pos++
	}
	r.pos++
	r.out = append(r.out, end)
	return nil
}

// copyElement copies one element of an array, or one member of an object with its
// key. It returns false if that is not to be kept, and errEnd if there is none.
func (r *Reader) copyElement(depth int, open byte, top bool) (keep bool, err error) {
	c, err := r.space()
	if err != nil {
		return false, err
	}
	if c == '}' || c == ']' {
		return false, errEnd
	}
	if r.out[len(r.out)-1] != open {
		r.out = append(r.out, ',')
	}
	if open == '[' {
		return true, r.copyValue(depth+1, false)
	}
	if c != '"' {
		return false, errBroken
	}
	start := len(r.out)
	lost := r.lost
	r.lost = false
	if err := r.copyString(maxKey); err != nil {
		return false, err
	}
	long := r.lost
	r.lost = lost || long
	name := nameOf(r.out[start+1 : len(r.out)-1])
	if c, err = r.colon(); err != nil {
		return false, err
	}
	switch {
	case top && name == listName && c == '[':
		r.pos++
		return false, errList
	case long, depth == 1 && name == objectName:
		return false, r.skip(0)
	case depth == 1 && name == askedName:
		return r.copyGiven(start)
	}
	r.out = append(r.out, ':')
	return true, r.copyValue(depth+1, false)
}

// copyGiven copies of the object of a request what it gives, with a key of its own in
// place of the one that begins at start of out.
func (r *Reader) copyGiven(start int) (keep bool, err error) {
	if r.objects == nil {
		r.objects = manifest.NewReader()
	}
	r.objects.Reset()
	r.asked, r.read = r.objects, r.pos
	err = r.skip(0)
	r.tee()
	given := r.asked.Given()
	r.asked = nil
	r.out = append(r.out[:start], `"`+manifest.Member+`":`...)
	r.out = event.AppendGiven(r.out, &given)
	return true, err
}

// tee gives what was passed over to whom reads along.
func (r *Reader) tee() {
	if r.asked != nil {
		// It says for itself what it could not read.
		_, _ = r.asked.Write(r.buf[r.read:r.pos])
		r.read = r.pos
	}
}

// copyString copies a string, cut between two characters if it is longer than
// limit.
func (r *Reader) copyString(limit int) error {
	r.pos++
	r.out = append(r.out, '"')
	start := len(r.out)
	whole := start // the end of the last whole character
	escaped, hex := false, 0
	for len(r.out)-start <= limit {
		if r.pos == r.end {
			if err := r.fill(); err != nil {
				return err
			}
		}
		c := r.buf[r.pos]
		if c == '\n' {
			return errBroken
		}
		r.pos++
		switch {
		case escaped:
			escaped = false
			if c == 'u' {
				hex = 4
			}
		case c == '"':
			r.out = append(r.out, c)
			return nil
		case c == '\\':
			whole, escaped = len(r.out), true
		case hex > 0:
			hex--
		case c&0xC0 != 0x80: // the first byte of a character
			whole = len(r.out)
		}
		r.out = append(r.out, c)
	}
	r.out = append(r.out[:whole], '"')
	r.lost = true
	if escaped {
		if r.pos == r.end {
			if err := r.fill(); err != nil {
				return err
			}
		}
		r.pos++
	}
	return r.skipString()
}

// copyWord copies a number, or true, false or null.
func (r *Reader) copyWord() error {
	start := len(r.out)
	for {
		for ; r.pos < r.end; r.pos++ {
			switch c := r.buf[r.pos]; c {
			case ',', ']', '}', ' ', '\t', '\r', '\n':
				return nil
			default:
				if len(r.out)-start == maxWord {
					r.out = append(r.out[:start], "null"...)
					r.lost = true
					return r.skipWord()
				}
				r.out = append(r.out, c)
			}
		}
		if err := r.fill(); err != nil {
			return err
		}
	}
}
