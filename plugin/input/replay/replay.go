// SPDX-License-Identifier: Apache-2.0

// Package replay has the input that reads recorded events from files.
package replay

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/containerapi/containerapi/plugin/containerlog"
	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/input"
	"github.com/containerapi/containerapi/plugin/jsonstream"
	"github.com/containerapi/containerapi/plugin/lines"
)

const (
	defaultMaxLine = 16 << 20
	chunkSize      = 1 << 20
	// batchSize is how many bytes of events are queued at once.
	batchSize = 256 << 10
	// maxDocument is up to which size a file that is not one text a line is
	// read.
	maxDocument = 64 << 20
)

// Options are the settings of a [Replay]. The zero value stands for the
// defaults.
type Options struct {
	// MaxLine is up to how many bytes a line is read whole, by default 16 MiB.
	// Of longer ones that much is read, and the event marked as shortened.
	MaxLine int
}

// Replay reads a file, or the files in a directory, to their end. A file holds
// one JSON text a line, or JSON texts that are spread over lines; a file whose
// name ends in .gz, or that begins as such a one, is unpacked.
type Replay struct {
	files   []string
	maxLine int
	total   int64
	done    atomic.Int64

	sink    input.Sink
	batch   input.Batch
	decoder jsonstream.Decoder
	add     func(*event.Event, error)
	file    string // the file and line that are read
	line    int
	mixed   bool // the API server writes about itself into the same file
}

var (
	_ input.Input    = (*Replay)(nil)
	_ input.Progress = (*Replay)(nil)
)

// Open returns an input that reads the file at path, or the files in the
// directory at path, the oldest first. It does not look into directories within it.
func Open(path string, o Options) (*Replay, error) {
	r := &Replay{maxLine: o.MaxLine}
	if r.maxLine == 0 {
		r.maxLine = defaultMaxLine
	}
	if r.maxLine < 0 {
		return nil, fmt.Errorf("replay %s: longest line of %d bytes is below 0", path, r.maxLine)
	}
	infos, err := list(path)
	if err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	for _, f := range infos {
		file, err := os.Open(f.path)
		if err != nil {
			return nil, fmt.Errorf("replay: %w", err)
		}
		file.Close()
		r.files = append(r.files, f.path)
		r.total += f.Size()
	}
	return r, nil
}

type fileInfo struct {
	os.FileInfo
	path string
}

// list returns the regular file at path, or those in the directory at path in the
// order of their modification.
func list(path string) ([]fileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().IsRegular() {
		return []fileInfo{{info, path}}, nil
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is neither a file nor a directory", path)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var files []fileInfo
	for _, entry := range entries {
		name := filepath.Join(path, entry.Name())
		info, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		if info.Mode().IsRegular() {
			files = append(files, fileInfo{info, name})
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("directory %s holds no files", path)
	}
	slices.SortFunc(files, func(a, b fileInfo) int {
		return cmp.Or(a.ModTime().Compare(b.ModTime()), cmp.Compare(a.path, b.path))
	})
	return files, nil
}

// Progress implements input.Progress.
func (r *Replay) Progress() float64 {
	if r.total == 0 {
		return 1
	}
	return min(1, float64(r.done.Load())/float64(r.total))
}

// Close implements input.Input. A Replay holds nothing before Run.
func (r *Replay) Close() error { return nil }

// Run implements input.Input.
func (r *Replay) Run(ctx context.Context, sink input.Sink) error {
	r.sink, r.batch, r.add = sink, sink.Batch(), r.added
	for _, path := range r.files {
		err := r.replay(ctx, path)
		if err == nil && r.batch.Len() > 0 {
			err = r.batch.Commit(ctx)
		}
		if ctx.Err() != nil || err == input.ErrClosed {
			return nil
		}
		if err != nil {
			return fmt.Errorf("replay: %w", err)
		}
	}
	return nil
}

func (r *Replay) replay(ctx context.Context, path string) error {
	r.file, r.line, r.mixed = path, 0, false
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	counted := &counter{ctx: ctx, file: file, count: &r.done}
	source := bufio.NewReaderSize(counted, batchSize)
	if !strings.HasSuffix(path, ".gz") {
		// An error is that of reading, and shows again there.
		first, _ := source.Peek(len(gzipHead))
		if string(first) != gzipHead {
			if err := unreadable(source); err != nil {
				r.malformed(err)
				return nil
			}
			return r.read(ctx, source)
		}
	}
	unpacked, err := gzip.NewReader(source)
	if err == nil {
		err = r.read(ctx, unpacked)
	}
	// Recordings end early where a machine was switched off; what is before
	// that, and the other files, are good.
	if err != nil && counted.err == nil && ctx.Err() == nil && err != input.ErrClosed {
		r.malformed(err)
		return nil
	}
	return err
}

// gzipHead is what a file begins with that is packed with gzip.
const gzipHead = "\x1f\x8b"

// otherHeads are what files begin with that hold events in a form that is not read.
var otherHeads = []struct{ head, form string }{
	{"\x28\xb5\x2f\xfd", "packed with zstd: unpack it with zstd -d"},
	{"\xfd7zXZ\x00", "packed with xz: unpack it with xz -d"},
	{"BZh91A", "packed with bzip2: unpack it with bzip2 -d"},
	{"PK\x03\x04", "packed with zip: unpack it"},
	{"\xff\xfe", "text in UTF-16: convert it with iconv -f UTF-16 -t UTF-8"},
	{"\xfe\xff", "text in UTF-16: convert it with iconv -f UTF-16 -t UTF-8"},
}

// unreadable says why a file cannot be read by what it begins with, and what to do, or
// returns nil.
func unreadable(source *bufio.Reader) error {
	first, _ := source.Peek(6)
	for _, other := range otherHeads {
		if strings.HasPrefix(string(first), other.head) {
			return errors.New(other.form)
		}
	}
	return nil
}

// counter counts what is read, and ends reading when ctx ends.
type counter struct {
	ctx   context.Context
	file  *os.File
	count *atomic.Int64
	err   error // of the file, other than io.EOF
}

func (c *counter) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.file.Read(p)
	c.count.Add(int64(n))
	if err != io.EOF {
		c.err = err
	}
	return n, err
}

// read reads one unpacked file.
func (r *Replay) read(ctx context.Context, source io.Reader) error {
	first := make([]byte, min(chunkSize, r.maxLine))
	n, err := io.ReadFull(source, first)
	first = first[:n]
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return err
	}
	source = io.MultiReader(bytes.NewReader(first), source)
	if isDocument(first) {
		return r.document(ctx, source)
	}
	reader, joiner := lines.NewReader(source, chunkSize, r.maxLine), containerlog.NewJoiner(r.maxLine)
	for {
		line, _, err := reader.Next()
		last := err == io.EOF
		if last {
			line, err = reader.Rest(), nil
		}
		if err != nil {
			return err
		}
		r.line++
		if text, ok := joiner.Line(line); ok && len(bytes.TrimSpace(text)) > 0 {
			r.decoder.Decode(text, r.add)
		}
		if r.batch.Size() >= batchSize {
			if err := r.batch.Commit(ctx); err != nil {
				return err
			}
		}
		if last {
			return nil
		}
	}
}

// isDocument reports that a file that begins with these bytes has JSON texts
// that are spread over lines. A broken line looks the same, so that the next
// line is looked at as well.
func isDocument(text []byte) bool {
	text = bytes.TrimLeft(text, " \t\r\n")
	line, rest, more := bytes.Cut(text, []byte("\n"))
	line = bytes.TrimSpace(line)
	if !more || len(line) == 0 || (line[0] != '{' && line[0] != '[') || json.Valid(line) {
		return false
	}
	if len(line) == 1 {
		return true
	}
	next, _, _ := bytes.Cut(bytes.TrimLeft(rest, " \t\r\n"), []byte("\n"))
	return len(next) == 0 || next[0] != '{' || !json.Valid(next)
}

// document reads a file of JSON texts that follow each other.
func (r *Replay) document(ctx context.Context, source io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(source, maxDocument+1))
	if err != nil {
		return err
	}
	if len(text) > maxDocument {
		r.malformed(fmt.Errorf("JSON spread over lines, and larger than %d bytes: write one event a line, for example with jq -c", maxDocument))
		return nil
	}
	r.line = 1
	for {
		space := len(text) - len(bytes.TrimLeft(text, " \t\r\n"))
		r.line += bytes.Count(text[:space], []byte("\n"))
		text = text[space:]
		if len(text) == 0 {
			return nil
		}
		end := jsonstream.End(text)
		if end < 0 {
			r.decoder.Decode(text, r.add)
			return nil
		}
		r.decoder.Decode(text[:end], r.add)
		if r.batch.Size() >= batchSize {
			if err := r.batch.Commit(ctx); err != nil {
				return err
			}
		}
		r.line += bytes.Count(text[:end], []byte("\n"))
		text = text[end:]
	}
}

func (r *Replay) added(e *event.Event, err error) {
	if err == jsonstream.ErrServerLog {
		if !r.mixed {
			r.mixed = true
			r.sink.Info("replay %s also has what the API server writes about itself, which is passed over", r.file)
		}
		return
	}
	if err != nil {
		r.malformed(err)
		return
	}
	r.batch.Add(e)
}

func (r *Replay) malformed(err error) {
	r.sink.Malformed(fmt.Errorf("replay %s line %d: %w", r.file, r.line, err))
}
