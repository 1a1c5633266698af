// SPDX-License-Identifier: Apache-2.0

// Package jsonstream reads events from JSON texts of any length, in memory that
// depends on neither the texts nor what they hold.
package jsonstream

import (
	"bytes"
	"errors"
	"hash/maphash"
	"io"
	"regexp"

	"github.com/containerapi/containerapi/plugin/manifest"
)

const (
	// maxWhole is up to which length an event is handed on as it stands, in bytes:
	// more than those without objects have, and little enough that neither its
	// parsing, which takes up to 50 times its size in memory, nor any text in it
	// can cost much.
	maxWhole = 16 << 10
	// maxJunk is how many bytes in a row may be no JSON.
	maxJunk = 1 << 20
	// maxEmptyReads is how often a source may return nothing, and no error.
	maxEmptyReads = 100
)

var (
	errBroken  = errors.New("broken JSON")
	errUnended = errors.New("broken JSON: it ends too early")
	errJunk    = errors.New("a megabyte that holds no JSON")
	// ErrNoJSON is the error of a line that holds no JSON.
	ErrNoJSON = errors.New("a line that holds no JSON")
	// ErrServerLog is the error of a line that the API server wrote about itself,
	// which stands between its audit events where they go to the same place.
	ErrServerLog = errors.New("a line that the API server wrote about itself, and no audit event")

	errFull = errors.New("the buffer is full") // of a scan: what is marked is longer
	errList = errors.New("a list")             // of a scan: it came to the list of events
	errEnd  = errors.New("the end")            // of a copy: of an array or object
)

// klogHeader matches what k8s.io/klog begins a line with: the severity, month and day,
// and the time.
var klogHeader = regexp.MustCompile(`^[IWEF]\d{4} \d\d:\d\d:\d\d\.\d{6} `)

// Item is one event of a stream as it stands there, or why there is none.
type Item struct {
	// Text is the event's JSON. Of one that is very long, or that ends too
	// early, it is as much as an event needs, and Shortened reports that some
	// of that is missing. It is valid until the next call of Next.
	Text      []byte
	Shortened bool
	// Cut reports that the event ends too early.
	Cut bool
	// Hash identifies the event as it stood in the stream, all of it, under
	// this process' own secret.
	Hash uint64
	// Err says why something in the stream is no event; Text is empty then.
	Err error
}

// Reader reads the events of a stream: JSON texts that follow each other, each
// an event, an array of events, or an object with a list of events. What
// stands before the JSON of a line is left out, as are a byte order mark and
// lines that hold no JSON.
type Reader struct {
	source io.Reader
	lines  bool  // a text ends with its line
	err    error // of source

	buf      []byte
	pos, end int // of what is unread in buf
	began    int // where in a text in memory the last event began
	mark     int // where the event begins that is read, -1 if it need not be kept
	hashed   int // of buf, up to where hash has what is no longer marked
	hash     maphash.Hash
	hashing  bool

	list   bool // within a list of events
	object bool // the list is a member of an object
	first  bool // no element of the list was read yet
	inside bool // within an event
	spread bool // the last text was spread over lines
	texts  int  // how many have begun

	out  []byte // what is kept of a long event
	lost bool   // and that some of it was not

	asked   *manifest.Reader // reads what is passed over, if it is set
	read    int              // of buf, up to where asked has it
	objects *manifest.Reader // made once
}

var seed = maphash.MakeSeed()

// NewReader returns a Reader of a stream. Where lines is set, a text ends with its
// line, so that one that is cut cannot take the next one with it.
func NewReader(source io.Reader, lines bool) *Reader {
	r := &Reader{buf: make([]byte, maxWhole)}
	r.Reset(source, lines)
	return r
}

// Reset begins to read another stream.
func (r *Reader) Reset(source io.Reader, lines bool) {
	*r = Reader{source: source, lines: lines, buf: r.buf, out: r.out, objects: r.objects, mark: -1}
	if cap(r.out) > maxWhole {
		r.out = nil
	}
}

// readText returns a Reader of a text in memory.
func readText(text []byte) *Reader {
	return &Reader{buf: text, end: len(text), err: io.EOF, mark: -1}
}

// Next returns the next event. The error is io.EOF at the end, or why the stream
// cannot be read any further.
func (r *Reader) Next() (Item, error) {
	for {
		err := r.seek()
		if err == io.EOF && r.list {
			r.list = false
			return Item{Err: errUnended}, nil
		}
		if err == ErrNoJSON || err == ErrServerLog || err == errBroken {
			return r.broken(err), nil
		}
		if err != nil {
			return Item{}, err
		}
		item, err := r.item()
		if err != errList {
			return item, err
		}
	}
}

// Empty reports that the stream held no JSON text so far.
func (r *Reader) Empty() bool { return r.texts == 0 }

// seek goes to the beginning of the next event.
func (r *Reader) seek() error {
	for r.list {
		c, err := r.space()
		if err != nil {
			return err
		}
		switch {
		case c == ']' && r.object:
			r.pos++
			r.list = false
			if err := r.skip(1); err != nil && err != io.EOF {
				return err
			}
		case c == ']':
			r.pos++
			r.list = false
		case r.first:
			r.first = false
			return nil
		case c == ',':
			r.pos++
			_, err := r.space()
			return err
		default:
			return errBroken
		}
	}
	return r.begin()
}

// begin goes to the beginning of the next text, over what stands before it on its
// line.
func (r *Reader) begin() error {
	for junk := 0; ; {
		c, err := r.space()
		if err != nil {
			return err
		}
		switch c {
		case '{':
			r.text()
			return nil
		case '[':
			r.pos++
			if c, err = r.space(); err != nil {
				return errBroken
			}
			if c == '{' || c == '[' || c == ']' {
				r.text()
				r.list, r.object, r.first = true, false, true
				return r.seek()
			}
		}
		// A prefix, or a line without JSON. A brace alone may stand in any text.
		start, none := []byte(`{"`), ErrNoJSON
		if klogHeader.Match(r.buf[r.pos:r.end]) {
			start, none = []byte(`{"kind":"Event`), ErrServerLog
		}
		for {
			window := r.buf[r.pos:r.end]
			end := bytes.IndexByte(window, '\n')
			line := window
			if end >= 0 {
				line = window[:end]
			}
			if i := bytes.Index(line, start); i >= 0 {
				r.pos += i
				r.text()
				return nil
			}
			if junk += len(line); junk > maxJunk {
				return errJunk
			}
			if end >= 0 {
				r.pos += end
				return none
			}
			// Its first bytes may be the last ones here.
			r.pos = r.end - min(len(line), len(start)-1)
			if err := r.fill(); err == io.EOF {
				r.pos = r.end
				return none
			} else if err != nil {
				return err
			}
		}
	}
}

// text notes that a text begins.
func (r *Reader) text() {
	// Where one ended with its line, each does.
	r.lines = r.lines || r.texts > 0 && !r.spread
	r.spread = false
	r.texts++
}

// broken goes on at the next line.
func (r *Reader) broken(why error) Item {
	r.list = false
	for r.pos == 0 || r.buf[r.pos-1] != '\n' {
		if i := bytes.IndexByte(r.buf[r.pos:r.end], '\n'); i >= 0 {
			r.pos += i + 1
			break
		}
		r.pos = r.end
		if r.fill() != nil {
			break
		}
	}
	return Item{Err: why}
}

// item reads the event that begins here. The error is errList if it is a list.
func (r *Reader) item() (Item, error) {
	r.mark, r.inside = r.pos, true
	r.began = r.pos
	top := !r.list
	var err error
	if top {
		err = r.members()
	} else {
		err = r.skip(0)
	}
	start := r.mark
	r.mark, r.inside = -1, false
	if err == nil && r.pos-start > maxWhole { // of a text in memory
		err = errFull
	}
	switch err {
	case nil:
		text := r.buf[start:r.pos]
		return Item{Text: text, Hash: maphash.Bytes(seed, text)}, nil
	case errList:
		r.list, r.object, r.first = true, true, true
	case errFull, io.EOF, errBroken:
		r.pos = start
		return r.shrunk(top)
	}
	return Item{}, err
}

// shrunk reads the event that begins here as [Reader.item] does, but keeps only as
// much of it as an event needs.
func (r *Reader) shrunk(top bool) (Item, error) {
	r.hash.SetSeed(seed)
	r.hash.Reset()
	r.hashing, r.hashed, r.inside = true, r.pos, true
	r.out, r.lost = r.out[:0], false
	err := r.copyValue(1, top)
	r.hash.Write(r.buf[r.hashed:r.pos])
	r.hashing, r.inside = false, false
	item := Item{Text: r.out, Shortened: r.lost, Hash: r.hash.Sum64()}
	switch {
	case err == errList:
		r.list, r.object, r.first = true, true, true
		return Item{}, errList
	case err == nil:
		return item, nil
	case err != io.EOF && err != errBroken:
		return Item{}, err
	}
	why := err
	if err == io.EOF {
		why = errUnended
	}
	r.list = r.list && err == io.EOF
	if len(r.out) <= len("{}") {
		if err == io.EOF {
			r.list = false
			return Item{Err: why}, nil
		}
		return r.broken(why), nil
	}
	if err == errBroken {
		r.broken(why)
	}
	item.Shortened, item.Cut = true, true
	return item, nil
}

// space goes to the next byte that is no space, and returns it.
func (r *Reader) space() (byte, error) {
	for {
		for ; r.pos < r.end; r.pos++ {
			switch c := r.buf[r.pos]; c {
			case ' ', '\t', '\r':
			case '\n':
				if r.inside && r.lines {
					return 0, errBroken
				}
				r.spread = r.spread || r.inside || r.list
			default:
				return c, nil
			}
		}
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
}

// members passes over the object that begins here. The error is errList if it
// comes to the list of events in it.
func (r *Reader) members() error {
	r.pos++
	c, err := r.space()
	if err != nil {
		return err
	}
	if c == '}' {
		r.pos++
		return nil
	}
	single := false
	for {
		if c != '"' {
			return errBroken
		}
		start := r.pos - r.mark
		r.pos++
		if err := r.skipString(); err != nil {
			return err
		}
		name := nameOf(r.buf[r.mark+start+1 : r.pos-1])
		if c, err = r.colon(); err != nil {
			return err
		}
		if name == listName && c == '[' && !single {
			r.pos++
			return errList
		}
		start = r.pos - r.mark
		if err := r.skip(0); err != nil {
			return err
		}
		if name == kindName {
			single = string(r.buf[r.mark+start:r.pos]) == `"Event"`
		}
		if c, err = r.space(); err != nil {
			return err
		}
		r.pos++
		switch c {
		case '}':
			return nil
		case ',':
			if c, err = r.space(); err != nil {
				return err
			}
		default:
			return errBroken
		}
	}
}

// colon goes over the colon behind a key, to the value.
func (r *Reader) colon() (byte, error) {
	c, err := r.space()
	if err != nil {
		return 0, err
	}
	if c != ':' {
		return 0, errBroken
	}
	r.pos++
	return r.space()
}

// name is a key of a text that a Reader looks at.
type name uint8

const (
	otherName name = iota
	kindName
	listName   // of a list of events
	askedName  // of the object of a request, of which an event needs what it gives
	objectName // of an object that no event needs
)

func nameOf(key []byte) name {
	switch string(key) {
	case "kind":
		return kindName
	case "items", // EventList
		"logEvents", "events", // CloudWatch
		"records", "Records": // Azure
		return listName
	case "requestObject":
		return askedName
	case "responseObject":
		return objectName
	}
	return otherName
}

// skip passes over one value, or over the rest of the arrays and objects that are
// open, level of them. It looks at strings and brackets only.
func (r *Reader) skip(level int) error {
	for {
		c, err := r.space()
		if err != nil {
			return err
		}
		switch c {
		case '"':
			r.pos++
			if err := r.skipString(); err != nil {
				return err
			}
		case '{', '[':
			r.pos++
			level++
			continue
		case '}', ']':
			if level == 0 {
				return errBroken
			}
			r.pos++
			level--
		case ',', ':':
			if level == 0 {
				return errBroken
			}
			r.pos++
			continue
		default:
			if err := r.skipWord(); err != nil {
				return err
			}
		}
		if level == 0 {
			return nil
		}
	}
}

// skipWord passes over a number, or over true, false or null.
func (r *Reader) skipWord() error {
	for {
		for ; r.pos < r.end; r.pos++ {
			switch r.buf[r.pos] {
			case ',', ']', '}', ':', ' ', '\t', '\r', '\n', '"', '[', '{':
				return nil
			}
		}
		if err := r.fill(); err != nil {
			return err
		}
	}
}

// skipString passes over the rest of a string. A line ends it.
func (r *Reader) skipString() error {
	for {
		window := r.buf[r.pos:r.end]
		for i := 0; i < len(window); i++ {
			switch window[i] {
			case '"':
				r.pos += i + 1
				return nil
			case '\\':
				i++
				if i == len(window) {
					r.pos = r.end
					if err := r.fill(); err != nil {
						return err
					}
					window, i = r.buf[r.pos:r.end], 0
				}
			case '\n':
				r.pos += i
				return errBroken
			}
		}
		r.pos = r.end
		if err := r.fill(); err != nil {
			return err
		}
	}
}

// fill reads once from the source, after it made room. The error is errFull if
// what is marked leaves none.
func (r *Reader) fill() error {
	if r.err != nil {
		return r.err
	}
	keep := r.pos
	if r.mark >= 0 {
		keep = r.mark
		r.mark = 0
	}
	if r.hashing {
		r.hash.Write(r.buf[r.hashed:r.pos])
	}
	r.tee()
	copy(r.buf, r.buf[keep:r.end])
	r.end -= keep
	r.pos -= keep
	r.hashed, r.read = r.pos, r.pos
	if r.end == len(r.buf) {
		return errFull
	}
	for range maxEmptyReads {
		n, err := r.source.Read(r.buf[r.end:])
		r.end += n
		r.err = err
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// End returns where the JSON text ends that text begins with, or -1 if it is
// an object or array that does not end, or none of the two.
func End(text []byte) int {
	r := readText(text)
	if c, err := r.space(); err != nil || c != '{' && c != '[' || r.skip(0) != nil {
		return -1
	}
	return r.pos
}
