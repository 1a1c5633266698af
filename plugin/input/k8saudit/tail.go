// SPDX-License-Identifier: Apache-2.0

package k8saudit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/containerapi/containerapi/plugin/lines"
)

const (
	chunkSize = 256 << 10
	// markSize is how many bytes before the place of reading are compared to
	// see that the file was not written anew. In an audit log they hold an
	// event's time.
	markSize = 128
	// headSize is how much of a file's first line identifies the file.
	headSize = 1 << 10
)

// errTruncated is the error of reading a file that was truncated, also if it
// has grown again since.
var errTruncated = errors.New("file was truncated")

// tail reads a file that grows.
type tail struct {
	file   *os.File
	offset int64
	mark   []byte // what stands before offset
	check  [markSize]byte
	lines  *lines.Reader
	// pieces is how many bytes were read of lines since one of which the end has
	// not come.
	pieces int64
	// retired is when another file was found in its place, or zero.
	retired time.Time
}

func newTail(file *os.File, maxLine int) *tail {
	t := &tail{file: file}
	t.lines = lines.NewReader(t, chunkSize, maxLine)
	return t
}

// Read reads on. The bytes before are read again by the same system call, which
// narrows the time between the check and the reading in which a truncation goes
// unnoticed; not every filesystem makes the two one.
func (t *tail) Read(p []byte) (int, error) {
	check := t.check[:len(t.mark)]
	var n int
	var err error
	for {
		n, err = unix.Preadv(int(t.file.Fd()), [][]byte{check, p}, t.offset-int64(len(check)))
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", t.file.Name(), err)
	}
	if n < len(check) || !bytes.Equal(check, t.mark) {
		return 0, errTruncated
	}
	if n -= len(check); n == 0 {
		return 0, io.EOF
	}
	t.offset += int64(n)
	t.mark = append(t.mark, p[max(0, n-markSize):n]...)
	t.mark = t.mark[max(0, len(t.mark)-markSize):]
	return n, nil
}

// rewind goes on at the file's beginning, in the middle of no line.
func (t *tail) rewind() {
	t.offset, t.pieces, t.mark = 0, 0, t.mark[:0]
	t.lines.Reset(t)
}

// skipToEnd goes to the beginning of the file's last line if that is not
// finished, and to the file's end if it is.
func (t *tail) skipToEnd(maxLine int) error {
	size, err := t.file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	buf := make([]byte, chunkSize)
	end := size
	for end > 0 && size-end < int64(maxLine) {
		from := max(0, end-chunkSize)
		n, err := t.file.ReadAt(buf[:end-from], from)
		if err != nil && err != io.EOF {
			return err
		}
		if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
			end = from + int64(i) + 1
			break
		}
		end = from
	}
	return t.seek(end)
}

// seek goes on at an offset, where a line begins.
func (t *tail) seek(offset int64) error {
	t.offset = offset
	t.mark = make([]byte, min(offset, markSize))
	if _, err := t.file.ReadAt(t.mark, offset-int64(len(t.mark))); err != nil && err != io.EOF {
		return err
	}
	return nil
}

// continues reports that another file holds what t has read last at the same
// place, as a copy of it does.
func (t *tail) continues(other *os.File) bool {
	mark := make([]byte, len(t.mark))
	n, _ := other.ReadAt(mark, t.offset-int64(len(mark)))
	return n == len(mark) && bytes.Equal(mark, t.mark)
}
