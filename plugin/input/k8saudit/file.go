// SPDX-License-Identifier: Apache-2.0

package k8saudit

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/containerapi/containerapi/plugin/containerlog"
	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/input"
	"github.com/containerapi/containerapi/plugin/jsonstream"
	"github.com/containerapi/containerapi/plugin/lines"
)

const (
	defaultMaxLine = 16 << 20

	pollInterval = time.Second
	// retirement is how long a file is read on after another took its place:
	// a writer that is told to open its log anew does so a little later.
	retirement = 10 * time.Second
	maxRetired = 8
	// maxReached is how many places wait for Falco to come so far.
	maxReached = 64
	// saveInterval is how often it is kept how far the log was read.
	saveInterval = 250 * time.Millisecond
)

var errNoLine = errors.New("an empty line or NUL bytes")

// FileOptions are the settings of a [File]. The zero value stands for the
// defaults.
type FileOptions struct {
	// MaxLine is up to how many bytes a line is read whole, by default
	// 16 MiB. Of longer ones that much is read, and the event marked as
	// shortened.
	MaxLine int
	// StateDir is a directory where it is kept how far the log was read. If it is
	// empty, that is forgotten at the end, and the next start begins at the log's
	// end.
	StateDir string
}

// File follows an audit log that an API server writes, as tail -F does: over
// rotation by renaming it and by copying and truncating it.
type File struct {
	path    string
	maxLine int
	// tails are the files that are read: the last one is the one at path,
	// unless it is retired, the others were there before it.
	tails []*tail
	// heads are the files that are not to be read from their beginning: those
	// that were read, and those that were there when the plugin started.
	heads  map[string]bool
	order  []string // of heads, the oldest first
	failed string   // the last problem that was logged

	// state is the file for how far the log was read, or "". What was read is on its
	// way to Falco; saved is what stands in state, and unsaved why it cannot.
	state   string
	reached []reached
	saved   places
	savedAt time.Time
	// rescuing reports that a copy of a file is read in its place.
	rescuing bool
	unsaved  string
	notes    []string // for the log, from before there was one

	sink    input.Sink
	batch   input.Batch
	joiner  *containerlog.Joiner
	decoder jsonstream.Decoder
	add     func(*event.Event, error)
	// mixed reports that the API server writes about itself into the same file.
	mixed bool
}

// reached is how far the files were read when the queue's position was queued.
type reached struct {
	queued uint64
	places places
}

var _ input.Input = (*File)(nil)

// FollowFile returns an input that follows the file at path from where it was read to
// before, or from its end. If there is no file, it waits for one and reads that from
// its beginning.
func FollowFile(path string, o FileOptions) (*File, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	f := &File{path: path, maxLine: o.MaxLine, heads: map[string]bool{}}
	if f.maxLine == 0 {
		f.maxLine = defaultMaxLine
	}
	if f.maxLine < 0 {
		return nil, fmt.Errorf("audit log %s: longest line of %d bytes is below 0", path, f.maxLine)
	}
	f.joiner = containerlog.NewJoiner(f.maxLine)
	if o.StateDir != "" {
		f.state = placesFile(o.StateDir, path)
		saved, err := loadPlaces(f.state, path)
		if err != nil {
			f.notes = append(f.notes, fmt.Sprintf("it is not known how far it was read, so it is followed from its end: %v", err))
		}
		if saved != nil {
			found, err := f.resume(saved)
			if err != nil {
				f.Close()
				return nil, fmt.Errorf("audit log: %w", err)
			}
			if !found {
				f.notes = append(f.notes, "a file that was read is gone: what was written to it while nobody followed it is lost")
			}
			return f, nil
		}
	}
	for _, name := range f.siblings() {
		// What is packed is not unpacked to know it.
		file, err := openRotated(name, func(head string) bool { f.remember(head); return false })
		if err == nil {
			f.know(file)
			file.Close()
		}
	}
	file, err := open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	t := newTail(file, f.maxLine)
	if err := t.skipToEnd(f.maxLine); err != nil {
		file.Close()
		return nil, fmt.Errorf("audit log: %w", err)
	}
	f.tails = append(f.tails, t)
	return f, nil
}

// open opens a regular file. It does not wait for the writer of a pipe.
func open(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, fmt.Errorf("%s is a directory, not a file", path)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	return os.Open(path)
}

// Close implements input.Input.
func (f *File) Close() error {
	for _, t := range f.tails {
		t.file.Close()
	}
	f.tails = nil
	return nil
}

// Run implements input.Input.
func (f *File) Run(ctx context.Context, sink input.Sink) error {
	defer f.Close()
	f.begin(sink)
	defer f.save(true)
	for _, note := range f.notes {
		sink.Info("audit log %s: %s", f.path, note)
	}
	if len(f.tails) == 0 {
		sink.Info("audit log %s is not there yet, waiting for it", f.path)
	} else {
		sink.Info("following audit log %s", f.path)
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		sink.Info("audit log %s is looked at every %v: %v", f.path, pollInterval, err)
		watcher = &fsnotify.Watcher{} // its channels are nil
	} else {
		defer watcher.Close()
	}
	watched := false
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		if !watched && err == nil {
			watched = watcher.Add(filepath.Dir(f.path)) == nil
		}
		f.notice()
		if !f.read(ctx) {
			return nil
		}
		f.save(false)
		select {
		case <-ctx.Done():
			return nil
		case <-poll.C:
			// The directory may have been replaced, which ends the watch.
			watched = watched && len(watcher.WatchList()) > 0
		case <-watcher.Events:
		case <-watcher.Errors:
		}
		for drained := false; !drained; {
			select {
			case <-watcher.Events:
			default:
				drained = true
			}
		}
	}
}

// begin delivers to a sink from now on.
func (f *File) begin(sink input.Sink) { f.sink, f.batch, f.add = sink, sink.Batch(), f.added }

// notice looks whether another file is at the path, and adds it to the files
// that are read.
func (f *File) notice() {
	info, err := os.Stat(f.path)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			f.problem(err)
		}
		return
	}
	var last *tail
	if len(f.tails) > 0 {
		last = f.tails[len(f.tails)-1]
		f.know(last.file)
		if current, err := last.file.Stat(); err == nil && os.SameFile(info, current) {
			last.retired = time.Time{}
			return
		}
	}
	file, err := open(f.path)
	if err != nil {
		f.problem(err)
		return
	}
	f.problem(nil)
	if last == nil {
		f.sink.Info("following audit log %s", f.path)
	} else {
		last.retired = time.Now()
		// Files that were at the path only while nobody looked.
		for _, name := range f.siblings() {
			f.retire(name)
		}
	}
	// The file may have been renamed and listed since it was opened.
	if current, err := file.Stat(); err == nil && f.reads(current) {
		file.Close()
		return
	}
	f.tails = append(f.tails, newTail(file, f.maxLine))
}

// retire adds a file that was renamed before it was seen.
func (f *File) retire(name string) {
	file, err := openRotated(name, func(head string) bool { return !f.heads[head] })
	if err != nil {
		return
	}
	info, err := file.Stat()
	if _, ok := head(file); err != nil || !ok || f.reads(info) || !f.know(file) {
		file.Close()
		return
	}
	t := newTail(file, f.maxLine)
	t.retired = time.Now()
	f.tails = append(f.tails, t)
}

func (f *File) reads(info os.FileInfo) bool {
	return slices.ContainsFunc(f.tails, func(t *tail) bool {
		open, err := t.file.Stat()
		return err == nil && os.SameFile(info, open)
	})
}

// know remembers a file and reports that it is new.
func (f *File) know(file *os.File) bool {
	hash, ok := head(file)
	return ok && f.remember(hash)
}

func (f *File) remember(head string) bool {
	if f.heads[head] {
		return false
	}
	f.heads[head] = true
	f.order = append(f.order, head)
	if len(f.order) > maxKnown {
		delete(f.heads, f.order[0])
		f.order = f.order[1:]
	}
	return true
}

// reach notes how far the files are read now that all of it is queued.
func (f *File) reach() {
	if f.state == "" || f.rescuing {
		return
	}
	queued, _ := f.sink.Position()
	now := reached{queued, places{Path: f.path, Known: slices.Clone(f.order)}}
	for _, t := range f.tails {
		now.places.Files = append(now.places.Files, t.place())
	}
	if n := len(f.reached); n > 0 && slices.Equal(f.reached[n-1].places.Files, now.places.Files) {
		return
	}
	// While much waits in the queue, the places between do not matter.
	if len(f.reached) == maxReached {
		f.reached = f.reached[:maxReached-1]
	}
	f.reached = append(f.reached, now)
}

// save keeps how far Falco is done with what was read, not more often than it has to
// unless it is the last time.
func (f *File) save(last bool) {
	if f.state == "" || !last && time.Since(f.savedAt) < saveInterval {
		return
	}
	f.savedAt = time.Now()
	_, done := f.sink.Position()
	newest := -1
	for i, r := range f.reached {
		if r.queued <= done {
			newest = i
		}
	}
	if newest < 0 {
		return
	}
	places := f.reached[newest].places
	f.reached = slices.Delete(f.reached, 0, newest+1)
	if slices.Equal(places.Files, f.saved.Files) && slices.Equal(places.Known, f.saved.Known) {
		return
	}
	failed := ""
	if err := places.save(f.state); err != nil {
		failed = err.Error()
	} else {
		f.saved = places
	}
	if failed != "" && failed != f.unsaved {
		f.sink.Info("audit log %s: it cannot be kept how far it was read, so a restart begins at its end: %v", f.path, failed)
	}
	f.unsaved = failed
}

// siblings returns the files that the log was rotated to, the oldest first:
// audit-2026-11-22T12-00-00.000.log of lumberjack, audit.log.1 and
// audit.log-20261122 of logrotate, also packed.
func (f *File) siblings() []string {
	paths := []string{f.path}
	// /var/log/containers holds links to the logs of containers.
	if target, err := filepath.EvalSymlinks(f.path); err == nil && target != f.path {
		paths = append(paths, target)
	}
	var found []sibling
	for _, path := range paths {
		found = append(found, siblingsOf(path)...)
	}
	slices.SortFunc(found, func(a, b sibling) int {
		return cmp.Or(a.time.Compare(b.time), cmp.Compare(a.name, b.name))
	})
	names := make([]string, len(found))
	for i, s := range found {
		names[i] = s.name
	}
	return names
}

// sibling is a file that a log was rotated to.
type sibling struct {
	name string
	time time.Time // of its last change
}

func siblingsOf(path string) []sibling {
	directory, base := filepath.Split(path)
	entries, err := os.ReadDir(directory)
	if err != nil {
		return nil
	}
	stem := strings.TrimSuffix(base, filepath.Ext(base))
	var found []sibling
	for _, entry := range entries {
		name := entry.Name()
		if !rotated(name, base) && !rotated(name, stem) {
			continue
		}
		if plain, packed := strings.CutSuffix(name, packedSuffix); packed {
			// While a file is packed, both are there.
			if _, err := os.Lstat(directory + plain); err == nil {
				continue
			}
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			found = append(found, sibling{directory + name, info.ModTime()})
		}
	}
	return found
}

// rotated reports that name is base, "-" or ".", a digit and more.
func rotated(name, base string) bool {
	rest, ok := strings.CutPrefix(name, base)
	return ok && len(rest) > 1 && (rest[0] == '-' || rest[0] == '.') && '0' <= rest[1] && rest[1] <= '9'
}

// read queues what all files hold, and lets go of those that are done with. It
// returns false at the end of ctx or of the queue.
func (f *File) read(ctx context.Context) bool {
	for i := 0; i < len(f.tails); i++ {
		t := f.tails[i]
		err := f.drain(ctx, t)
		for err == errTruncated {
			if err = f.rescue(ctx, t); err == nil {
				t.rewind()
				err = f.drain(ctx, t)
			}
		}
		if ctx.Err() != nil || err == input.ErrClosed {
			return false
		}
		if err != nil {
			f.problem(err)
		}
		if !t.retired.IsZero() && (time.Since(t.retired) > retirement || i+maxRetired < len(f.tails)) {
			f.unfinished(t.lines)
			f.know(t.file)
			t.file.Close()
			f.tails = slices.Delete(f.tails, i, i+1)
			i--
		}
	}
	f.reach()
	return true
}

// rescue reads what t did not read of its file before that was truncated, from
// the copy that was made of it.
func (f *File) rescue(ctx context.Context, t *tail) error {
	f.rescuing = true
	defer func() { f.rescuing = false }()
	defer f.unfinished(t.lines)
	siblings := f.siblings()
	slices.Reverse(siblings)
	for _, name := range siblings {
		file, err := openRotated(name, func(head string) bool { return f.heads[head] })
		if err != nil {
			continue
		}
		if len(t.mark) == 0 || !t.continues(file) {
			file.Close()
			continue
		}
		defer file.Close()
		f.know(file)
		t.lines.SetSource(&tail{file: file, offset: t.offset, mark: slices.Clone(t.mark)})
		return f.drain(ctx, t)
	}
	return nil
}

// unfinished reports a line that will never end.
func (f *File) unfinished(r *lines.Reader) {
	if len(r.Rest()) > 0 {
		f.malformed(errors.New("a line without an end"))
	}
}

// drain queues the lines up to the end of what t reads.
func (f *File) drain(ctx context.Context, t *tail) error {
	for {
		line, _, err := t.lines.Next()
		if err == nil {
			f.line(t, line)
		}
		if f.batch.Len() > 0 && (err != nil || f.batch.Size() >= chunkSize) {
			if err := f.batch.Commit(ctx); err != nil {
				return err
			}
			f.reach()
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// line decodes a line of t, unless it is the beginning of a longer one.
func (f *File) line(t *tail, line []byte) {
	t.pieces += int64(len(line) + len("\n"))
	text, ok := f.joiner.Line(line)
	if !f.joiner.Waiting() {
		for _, t := range f.tails {
			t.pieces = 0
		}
	}
	if ok {
		f.decode(text)
	}
}

func (f *File) decode(line []byte) {
	if len(bytes.TrimSpace(line)) == 0 {
		f.malformed(errNoLine)
		return
	}
	f.decoder.Decode(line, f.add)
}

func (f *File) added(e *event.Event, err error) {
	if err == jsonstream.ErrServerLog {
		if !f.mixed {
			f.mixed = true
			f.sink.Info("audit log %s also has what the API server writes about itself, which is passed over", f.path)
		}
		return
	}
	if err != nil {
		f.malformed(err)
		return
	}
	f.batch.Add(e)
}

func (f *File) malformed(err error) {
	f.sink.Malformed(fmt.Errorf("audit log %s: %w", f.path, err))
}

// problem logs that the file cannot be read, once.
func (f *File) problem(err error) {
	if err == nil {
		f.failed = ""
		return
	}
	if err.Error() != f.failed {
		f.failed = err.Error()
		f.sink.Info("audit log %s cannot be read, trying again: %v", f.path, err)
	}
}
