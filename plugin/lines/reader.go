// SPDX-License-Identifier: Apache-2.0

// Package lines splits a stream into lines, in bounded memory however long they
// are.
package lines

import (
	"bytes"
	"io"
)

// A Reader splits a stream into lines. It holds no more than the longest line
// it may return, and copies a line only where it spans two reads.
type Reader struct {
	source io.Reader
	buf    []byte
	max    int
	// buf[start:end] is unread; there is no newline before buf[scanned].
	start, scanned, end int
	skipping            bool // the rest of a line that was cut
	hole                bool // NUL bytes stood before the line
}

// NewReader returns a Reader that reads chunks of the given size from source
// and cuts lines that are longer than max, both in bytes.
func NewReader(source io.Reader, chunk, max int) *Reader {
	return &Reader{source: source, buf: make([]byte, min(chunk, max)), max: max}
}

// Reset drops what is unread and goes on with source.
func (r *Reader) Reset(source io.Reader) {
	r.SetSource(source)
	r.start, r.scanned, r.end, r.skipping, r.hole = 0, 0, 0, false, false
}

// SetSource goes on with source where the last one ended.
func (r *Reader) SetSource(source io.Reader) { r.source = source }

// Next returns the next line without its newline, valid until the next call.
// Where cut is set, the line is longer than the Reader may return, this is its
// beginning, and the rest will be left out. NUL bytes before a line, which a
// writer leaves in a file that was truncated under it, are one empty line.
//
// The error is the source's. At io.EOF an unfinished line is kept: it is
// returned once its newline has come, or by Rest.
func (r *Reader) Next() (line []byte, cut bool, err error) {
	for {
		if r.skipping {
			r.skip()
		}
		if !r.skipping {
			if r.start < r.end && r.buf[r.start] == 0 {
				r.skipHole()
			}
			if r.hole && r.start < r.end {
				r.hole = false
				return nil, false, nil
			}
			if i := bytes.IndexByte(r.buf[r.scanned:r.end], '\n'); i >= 0 {
				line = r.buf[r.start : r.scanned+i]
				r.start = r.scanned + i + 1
				r.scanned = r.start
				return line, false, nil
			}
			r.scanned = r.end
			if r.end-r.start >= r.max {
				line = r.buf[r.start:r.end]
				r.start, r.scanned, r.skipping = r.end, r.end, true
				return line, true, nil
			}
		}
		if err := r.fill(); err != nil {
			return nil, false, err
		}
	}
}

// Buffered reports whether the next line is read to its end already, so that
// Next returns it without reading from the source.
func (r *Reader) Buffered() bool {
	// While the rest of a line is skipped there is nothing unread.
	return bytes.IndexByte(r.buf[r.scanned:r.end], '\n') >= 0
}

// Unread returns how many bytes were read from the source, and are in no line yet
// that was returned.
func (r *Reader) Unread() int { return r.end - r.start }

// Rest returns and drops the unfinished line.
func (r *Reader) Rest() []byte {
	rest := r.buf[r.start:r.end]
	r.start, r.scanned, r.end, r.skipping, r.hole = 0, 0, 0, false, false
	return rest
}

func (r *Reader) skip() {
	i := bytes.IndexByte(r.buf[r.start:r.end], '\n')
	if i < 0 {
		r.start = r.end
	} else {
		r.start += i + 1
		r.skipping = false
	}
	r.scanned = r.start
}

func (r *Reader) skipHole() {
	for r.start < r.end && r.buf[r.start] == 0 {
		r.start++
	}
	r.scanned = max(r.scanned, r.start)
	r.hole = true
}

// fill reads once from the source, after it made room.
func (r *Reader) fill() error {
	if r.start > 0 {
		copy(r.buf, r.buf[r.start:r.end])
		r.end -= r.start
		r.start, r.scanned = 0, r.end
	}
	if r.end == len(r.buf) {
		buf := make([]byte, min(2*len(r.buf), r.max))
		copy(buf, r.buf)
		r.buf = buf
	}
	n, err := r.source.Read(r.buf[r.end:])
	r.end += n
	if n > 0 {
		return nil
	}
	return err
}
