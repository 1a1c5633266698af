// SPDX-License-Identifier: Apache-2.0

package k8saudit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// maxKnown is of how many rotated files it is remembered that they were read.
const maxKnown = 1024

// places is how far an audit log was read, as it is kept from one start to the next.
type places struct {
	// Path is the log's.
	Path string `json:"path"`
	// Known are the files that are not to be read from their beginning, by their
	// first lines.
	Known []string `json:"known"`
	// Files are those that were read, the oldest first.
	Files []place `json:"files"`
}

// place is how far one file was read, up to the end of a line. What stands in the file
// is known by its hash only.
type place struct {
	// Head is of the file's first line, empty if it has none yet.
	Head   string `json:"head"`
	Device uint64 `json:"device"`
	Inode  uint64 `json:"inode"`
	Offset int64  `json:"offset"`
	// Mark is of up to markSize bytes before Offset.
	Mark string `json:"mark"`
}

// placesFile returns where the places of an audit log are kept.
func placesFile(dir, path string) string {
	sum := sha256.Sum256([]byte(path))
	return filepath.Join(dir, "file-"+hex.EncodeToString(sum[:8])+".json")
}

// loadPlaces returns what was kept, or nil if that is nothing.
func loadPlaces(name, path string) (*places, error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p := new(places)
	if err := json.Unmarshal(text, p); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if p.Path != path {
		return nil, fmt.Errorf("%s is of another log, %s", name, p.Path)
	}
	return p, nil
}

// save replaces the file with these places, so that it holds either the old or the
// new ones whenever the machine stops.
func (p *places) save(name string) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	_, err = temporary.Write(text)
	if err = errors.Join(err, temporary.Close()); err == nil {
		err = os.Rename(temporary.Name(), name)
	}
	if err != nil {
		os.Remove(temporary.Name())
	}
	return err
}

// place returns how far t was read, up to the last whole line that a container wrote.
func (t *tail) place() place {
	p := place{Offset: t.offset - int64(t.lines.Unread()) - t.pieces}
	p.Head, _ = head(t.file)
	p.Device, p.Inode = identity(t.file)
	p.Mark = markAt(t.file, p.Offset)
	return p
}

func identity(file *os.File) (device, inode uint64) {
	var stat unix.Stat_t
	if unix.Fstat(int(file.Fd()), &stat) != nil {
		return 0, 0
	}
	return stat.Dev, stat.Ino
}

func markAt(file *os.File, offset int64) string {
	mark := make([]byte, min(offset, markSize))
	if n, _ := file.ReadAt(mark, offset-int64(len(mark))); n < len(mark) {
		return ""
	}
	sum := sha256.Sum256(mark)
	return hex.EncodeToString(sum[:8])
}

// at reports that a file is the one that was read up to p, or a copy of it.
func (p place) at(file *os.File) (same, itself bool) {
	device, inode := identity(file)
	itself = device == p.Device && inode == p.Inode
	if p.Offset == 0 {
		return itself, itself
	}
	name, ok := head(file)
	return ok && name == p.Head && markAt(file, p.Offset) == p.Mark, itself
}

// head identifies a file by its first line; ok is false if it has none yet.
func head(file *os.File) (name string, ok bool) {
	buf := make([]byte, headSize)
	n, err := file.ReadAt(buf, 0)
	if err != nil && err != io.EOF {
		return "", false
	}
	return headOf(buf[:n])
}

// headOf identifies a file by up to headSize bytes that it begins with.
func headOf(text []byte) (name string, ok bool) {
	if i := bytes.IndexByte(text, '\n'); i >= 0 {
		text = text[:i]
	} else if len(text) < headSize {
		return "", false
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8]), true
}

// resume goes on where the log was left: in the files that were read, and from the
// beginning in those that came after them. It returns false if one that was read is
// gone, and with it what was written to it later.
func (f *File) resume(saved *places) (found bool, err error) {
	for _, name := range saved.Known {
		f.remember(name)
	}
	type candidate struct {
		name string
		tail *tail
		read bool // before
	}
	var files []candidate
	wanted := func(head string) bool {
		return !f.heads[head] || slices.ContainsFunc(saved.Files, func(p place) bool { return p.Head == head })
	}
	for _, name := range append(f.siblings(), f.path) {
		file, err := openRotated(name, wanted)
		if err == nil {
			files = append(files, candidate{name: name, tail: newTail(file, f.maxLine)})
		} else if name == f.path && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	left := slices.Clone(saved.Files)
	// A file itself rather than a copy of it.
	for _, copies := range []bool{false, true} {
		for i := range files {
			c := &files[i]
			at := slices.IndexFunc(left, func(p place) bool {
				same, itself := p.at(c.tail.file)
				return same && (itself || copies)
			})
			if at >= 0 && !c.read {
				c.read = true
				c.tail.seek(left[at].Offset)
				left = slices.Delete(left, at, at+1)
			}
		}
	}
	for _, c := range files {
		file := c.tail.file
		hash, ok := head(file)
		if c.name != f.path {
			if !c.read && (!ok || f.heads[hash]) {
				file.Close()
				continue
			}
			c.tail.retired = time.Now()
		}
		f.know(file)
		f.tails = append(f.tails, c.tail)
	}
	return !slices.ContainsFunc(left, func(p place) bool { return p.Offset > 0 }), nil
}
