// SPDX-License-Identifier: Apache-2.0

package dockerevents

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// maxMessage is how long an event may be, in bytes. A usual one has some
// hundreds; the labels of its object make it longer.
const maxMessage = 1 << 20

// errLong is the error of an event above maxMessage, which is skipped.
var errLong = errors.New("a Docker event of more than 1 MiB is skipped")

// lines reads a stream line by line in bounded memory.
type lines struct {
	r *bufio.Reader
	// long holds a line that does not fit into r's buffer.
	long []byte
}

func newLines(r io.Reader) *lines {
	return &lines{r: bufio.NewReaderSize(r, 64<<10)}
}

// ready reports whether next returns without waiting for more input.
func (l *lines) ready() bool {
	buffered, _ := l.r.Peek(l.r.Buffered())
	return bytes.IndexByte(buffered, '\n') >= 0
}

// next returns the next line without the space around it, valid until the next
// call. What follows the last newline of a stream is half an event, and left
// out. The error is errLong for a line that was skipped, or the stream's.
func (l *lines) next() ([]byte, error) {
	l.long = l.long[:0]
	if cap(l.long) > maxMessage/4 {
		l.long = nil
	}
	skip := false
	for {
		part, err := l.r.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return nil, err
		}
		if skip = skip || len(l.long)+len(part) > maxMessage; skip {
			l.long = nil
		} else if err != nil || len(l.long) > 0 {
			l.long = append(l.long, part...)
		}
		switch {
		case err != nil:
		case skip:
			return nil, errLong
		case len(l.long) > 0:
			return bytes.TrimSpace(l.long), nil
		default:
			return bytes.TrimSpace(part), nil
		}
	}
}
