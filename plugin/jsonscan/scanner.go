// SPDX-License-Identifier: Apache-2.0

// Package jsonscan reads chosen members of a JSON text of any length from the
// pieces that it comes in, and keeps nothing else of it.
//
// It reads as encoding/json does: keys match whatever their case, the last of
// two counts, what has another type than the one that is wanted is passed over,
// and the text ends with its first value.
package jsonscan

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

const (
	// maxDepth is how deep arrays and objects may lie in each other, as in
	// encoding/json.
	maxDepth = 10000
	// maxKey is how long a key can be that matches one, in bytes.
	maxKey = 256
	// maxNumber is the longest number or literal, in bytes. Numbers are not
	// kept.
	maxNumber = 1 << 20
)

// DefaultLimit is how many bytes of strings a Scanner keeps at the most.
const DefaultLimit = 1 << 20

var (
	// ErrSyntax is the error of a text that is no JSON.
	ErrSyntax = errors.New("not JSON")
	// ErrLimit is the error of a text with more in its wanted members than may
	// be kept. What was kept by then stays.
	ErrLimit = errors.New("more than can be kept")
)

// Node says what is wanted of a value. The zero value, and nil, want nothing.
type Node struct {
	// Members are what is wanted of an object's members, by their keys.
	Members map[string]*Node
	// Exact reports that keys match as they are written only, as the API server of
	// Kubernetes reads them. It saves looking through all members for each key.
	Exact bool
	// Any is what is wanted of each member whose key is not in Members; its
	// key is given to Key first.
	Any *Node
	// Key takes the key of each member of an object.
	Key func(key string)
	// Element is what is wanted of each element of an array.
	Element *Node
	// String, Bool and Null take a value of that type.
	String func(s string)
	Bool   func(b bool)
	Null   func()
	// Begin and End are called at the beginning and the end of an object or
	// array.
	Begin func(array bool)
	End   func()
}

// Scanner reads one JSON value. It must not be copied.
type Scanner struct {
	stack []frame
	limit int

	state  state
	node   *Node  // what is wanted of the value that comes next
	text   []byte // of a string, as far as it is kept
	keep   bool   // text is kept
	key    bool   // the string is a key
	long   bool   // a key longer than maxKey, which matches none
	hex    rune   // of an escape \uXXXX, as far as it was read
	digits int    // of hex
	high   rune   // the first half of a surrogate pair
	word   string // what is to come of true, false or null
	value  string // true, false or null
	number int    // length of a number
	num    numState
	err    error
	done   bool
}

// frame is an array or object that is open.
type frame struct {
	node  *Node
	array bool
}

type state uint8

const (
	beforeValue   state = iota
	beforeElement       // a value or the end of an array
	beforeKey           // a key or the end of an object
	beforeNextKey       // a key
	beforeColon
	afterValue // a comma or an end
	inString
	inEscape
	inHex
	inLiteral
	inNumber
)

// New returns a Scanner for one text, which keeps at most limit bytes of
// strings.
func New(root *Node, limit int) *Scanner {
	return &Scanner{node: root, limit: limit}
}

// Done reports whether the first value of the text is complete.
func (s *Scanner) Done() bool { return s.done }

// Close ends the text, and returns why it could not be read as a whole.
func (s *Scanner) Close() error {
	switch {
	case s.err != nil:
		return s.err
	case s.state == inNumber && len(s.stack) == 0 && s.num.complete():
		s.done = true
	case !s.done:
		return fmt.Errorf("%w: the text ends too early", ErrSyntax)
	}
	return nil
}

// Write reads the next piece of the text. Behind the end of the value, and
// behind an error, it reads nothing more.
func (s *Scanner) Write(p []byte) (int, error) {
	for i := 0; i < len(p) && !s.done && s.err == nil; {
		switch s.state {
		case inString:
			i += s.readString(p[i:])
		case inNumber:
			i += s.readNumber(p[i:])
		default:
			s.step(p[i])
			i++
		}
	}
	return len(p), s.err
}

func (s *Scanner) fail(what string) {
	s.err = fmt.Errorf("%w: %s", ErrSyntax, what)
	s.text = nil
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// step reads one byte outside of strings' text and of numbers.
func (s *Scanner) step(c byte) {
	switch s.state {
	case inEscape:
		s.readEscape(c)
		return
	case inHex:
		s.readHex(c)
		return
	case inLiteral:
		s.readLiteral(c)
		return
	}
	if isSpace(c) {
		return
	}
	switch s.state {
	case beforeValue:
		s.begin(c)
	case beforeElement:
		if c == ']' {
			s.pop()
			return
		}
		s.begin(c)
	case beforeKey, beforeNextKey:
		switch {
		case c == '"':
			s.beginString(true)
		case c == '}' && s.state == beforeKey:
			s.pop()
		default:
			s.fail("no key where one has to be")
		}
	case beforeColon:
		if c != ':' {
			s.fail("no colon behind a key")
			return
		}
		s.state = beforeValue
	case afterValue:
		s.next(c)
	}
}

// begin begins a value.
func (s *Scanner) begin(c byte) {
	switch {
	case c == '{':
		s.push(false)
	case c == '[':
		s.push(true)
	case c == '"':
		s.beginString(false)
	case c == 't':
		s.value, s.word, s.state = "true", "rue", inLiteral
	case c == 'f':
		s.value, s.word, s.state = "false", "alse", inLiteral
	case c == 'n':
		s.value, s.word, s.state = "null", "ull", inLiteral
	case c == '-' || c >= '0' && c <= '9':
		s.num, s.number, s.state = numStart, 0, inNumber
		s.readNumber([]byte{c})
	default:
		s.fail("no value where one has to be")
	}
}

func (s *Scanner) push(array bool) {
	if len(s.stack) >= maxDepth {
		s.fail("too deep")
		return
	}
	s.stack = append(s.stack, frame{s.node, array})
	if n := s.node; n != nil && n.Begin != nil {
		n.Begin(array)
	}
	s.state = beforeKey
	if array {
		s.state = beforeElement
		s.node = s.element()
	}
}

// element returns what is wanted of the elements of the innermost array.
func (s *Scanner) element() *Node {
	if n := s.stack[len(s.stack)-1].node; n != nil {
		return n.Element
	}
	return nil
}

func (s *Scanner) pop() {
	f := s.stack[len(s.stack)-1]
	s.stack = s.stack[:len(s.stack)-1]
	if f.node != nil && f.node.End != nil {
		f.node.End()
	}
	s.end()
}

// end ends a value.
func (s *Scanner) end() {
	s.state = afterValue
	s.done = len(s.stack) == 0
}

// next reads what follows a value.
func (s *Scanner) next(c byte) {
	f := s.stack[len(s.stack)-1]
	switch {
	case c == ',' && f.array:
		s.state, s.node = beforeValue, s.element()
	case c == ',':
		s.state = beforeNextKey
	case c == ']' && f.array, c == '}' && !f.array:
		s.pop()
	default:
		s.fail("no comma or end behind a value")
	}
}

// beginString begins a string, which is a key or a value.
func (s *Scanner) beginString(key bool) {
	s.state, s.key, s.long, s.high = inString, key, false, 0
	s.text = s.text[:0]
	if key {
		n := s.stack[len(s.stack)-1].node
		s.keep = n != nil && (n.Members != nil || n.Any != nil || n.Key != nil)
	} else {
		s.keep = s.node != nil && s.node.String != nil
	}
}

// readString reads text up to the end of the string, and returns how much.
func (s *Scanner) readString(p []byte) int {
	for i, c := range p {
		switch {
		case c == '"':
			s.add(p[:i])
			s.endString()
			return i + 1
		case c == '\\':
			s.add(p[:i])
			s.state = inEscape
			return i + 1
		case c < ' ':
			s.fail("a control character in a string")
			return i + 1
		}
	}
	s.add(p)
	return len(p)
}

// add keeps a piece of a string.
func (s *Scanner) add(p []byte) {
	if len(p) == 0 {
		return
	}
	s.lone()
	s.append(p)
}

func (s *Scanner) append(p []byte) {
	switch {
	case !s.keep:
	case s.key && len(s.text)+len(p) > maxKey:
		// Cut, so that a long key that is shown is not lost.
		s.text = append(s.text, p[:max(0, maxKey-len(s.text))]...)
		s.long = true
	case !s.key && len(s.text)+len(p) > s.limit:
		s.err = ErrLimit
		s.text = nil
	default:
		s.text = append(s.text, p...)
	}
}

// lone ends the first half of a surrogate pair that the second does not follow.
func (s *Scanner) lone() {
	if s.high != 0 {
		s.high = 0
		s.rune(utf8.RuneError)
	}
}

func (s *Scanner) rune(r rune) {
	var b [utf8.UTFMax]byte
	s.append(b[:utf8.EncodeRune(b[:], r)])
}

func (s *Scanner) readEscape(c byte) {
	s.state = inString
	switch c {
	case '"', '\\', '/':
		s.add([]byte{c})
	case 'b':
		s.add([]byte{'\b'})
	case 'f':
		s.add([]byte{'\f'})
	case 'n':
		s.add([]byte{'\n'})
	case 'r':
		s.add([]byte{'\r'})
	case 't':
		s.add([]byte{'\t'})
	case 'u':
		s.state, s.hex, s.digits = inHex, 0, 0
	default:
		s.fail("an escape that there is not")
	}
}

func (s *Scanner) readHex(c byte) {
	var d byte
	switch {
	case c >= '0' && c <= '9':
		d = c - '0'
	case c >= 'a' && c <= 'f':
		d = c - 'a' + 10
	case c >= 'A' && c <= 'F':
		d = c - 'A' + 10
	default:
		s.fail("an escape that there is not")
		return
	}
	s.hex = s.hex<<4 | rune(d)
	if s.digits++; s.digits < 4 {
		return
	}
	s.state = inString
	r := s.hex
	switch low := r >= 0xDC00 && r < 0xE000; {
	case s.high != 0 && low:
		r = (s.high-0xD800)<<10 | (r - 0xDC00) + 0x10000
		s.high = 0
	case r >= 0xD800 && r < 0xDC00:
		s.lone()
		s.high = r
		return
	default:
		s.lone()
		if low {
			r = utf8.RuneError
		}
	}
	s.rune(r)
}

func (s *Scanner) endString() {
	s.lone()
	if s.err != nil {
		return
	}
	if s.key {
		s.endKey()
		return
	}
	if s.keep {
		text := valid(s.text)
		s.limit -= len(text)
		s.node.String(text)
	}
	s.end()
}

// valid is a text as encoding/json gives it: what is not UTF-8 is replaced.
func valid(text []byte) string {
	if utf8.Valid(text) {
		return string(text)
	}
	return string([]rune(string(text)))
}

func (s *Scanner) endKey() {
	s.state = beforeColon
	n := s.stack[len(s.stack)-1].node
	s.node = nil
	if !s.keep {
		return
	}
	key := valid(s.text)
	if n.Key != nil {
		if s.limit -= len(key); s.limit < 0 {
			s.err = ErrLimit
			return
		}
		n.Key(key)
	}
	s.node = n.Any
	if !s.long {
		if m := n.Members[key]; m != nil {
			s.node = m
		} else if n.Exact {
			return
		} else if m := member(n.Members, key); m != nil {
			s.node = m
		}
	}
}

func (s *Scanner) readLiteral(c byte) {
	if c != s.word[0] {
		s.fail("a word that there is not")
		return
	}
	if s.word = s.word[1:]; s.word != "" {
		return
	}
	if n := s.node; n != nil {
		switch {
		case s.value == "null":
			if n.Null != nil {
				n.Null()
			}
		case n.Bool != nil:
			n.Bool(s.value == "true")
		}
	}
	s.end()
}
