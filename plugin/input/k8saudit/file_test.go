// SPDX-License-Identifier: Apache-2.0

package k8saudit

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerapi/containerapi/plugin/input"
	"github.com/containerapi/containerapi/plugin/input/inputtest"
)

func audit(id string) string {
	return `{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"` + id + `","stage":"ResponseComplete","verb":"list"}`
}

// start runs an input until the test ends or the returned function is called,
// which fails if the input does not end within a second.
func start(t testing.TB, in input.Input, sink input.Sink) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- in.Run(ctx, sink) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(time.Second): // what input.Input promises
			t.Error("Run goes on a second after its context ended")
		}
	})
	t.Cleanup(stop)
	return stop
}

// once fails unless the sink has each of the ids exactly once.
func once(t testing.TB, sink *inputtest.Sink, ids []string) {
	t.Helper()
	got := map[string]int{}
	for _, e := range sink.Events() {
		got[e.AuditID]++
	}
	lost, twice := 0, 0
	for _, id := range ids {
		switch n := got[id]; {
		case n == 0:
			lost++
		case n > 1:
			twice++
		}
	}
	if lost > 0 || twice > 0 || len(got) != len(ids) {
		t.Errorf("of %d events, %d are lost and %d came twice; %d came in all", len(ids), lost, twice, sink.Len())
	}
}

// logFile is an audit log as its writer sees it.
type logFile struct {
	t    testing.TB
	path string
	file *os.File
	ids  []string
}

func newLogFile(t testing.TB) *logFile {
	return &logFile{t: t, path: filepath.Join(t.TempDir(), "audit.log")}
}

func (l *logFile) open(flags int) {
	l.t.Helper()
	file, err := os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|flags, 0o600)
	if err != nil {
		l.t.Fatal(err)
	}
	l.file = file
	l.t.Cleanup(func() { file.Close() })
}

func (l *logFile) write(text string) {
	l.t.Helper()
	if _, err := l.file.WriteString(text); err != nil {
		l.t.Fatal(err)
	}
}

// event writes the line of a new event.
func (l *logFile) event() {
	l.t.Helper()
	id := fmt.Sprintf("event-%d", len(l.ids))
	l.ids = append(l.ids, id)
	l.write(audit(id) + "\n")
}

// rename rotates the log as lumberjack does.
func (l *logFile) rename(to string) {
	l.t.Helper()
	l.file.Close()
	if err := os.Rename(l.path, filepath.Join(filepath.Dir(l.path), to)); err != nil {
		l.t.Fatal(err)
	}
	l.open(os.O_TRUNC)
}

// copyTruncate rotates the log as logrotate does with copytruncate.
func (l *logFile) copyTruncate(to string) {
	l.t.Helper()
	text, err := os.ReadFile(l.path)
	if err == nil {
		err = os.WriteFile(filepath.Join(filepath.Dir(l.path), to), text, 0o600)
	}
	if err == nil {
		err = os.Truncate(l.path, 0)
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

// pack packs a file that the log was rotated to, as logrotate and lumberjack do.
func (l *logFile) pack(name string) {
	l.t.Helper()
	name = filepath.Join(filepath.Dir(l.path), name)
	text, err := os.ReadFile(name)
	if err != nil {
		l.t.Fatal(err)
	}
	zipped, err := io.ReadAll(packed(string(text)))
	if err != nil {
		l.t.Fatal(err)
	}
	writeFile(l.t, name+".gz", zipped)
	if err := os.Remove(name); err != nil {
		l.t.Fatal(err)
	}
}

func (l *logFile) follow(o FileOptions) (*inputtest.Sink, func()) {
	l.t.Helper()
	f, err := FollowFile(l.path, o)
	if err != nil {
		l.t.Fatal(err)
	}
	sink := new(inputtest.Sink)
	return sink, start(l.t, f, sink)
}

func (l *logFile) all(sink *inputtest.Sink) {
	l.t.Helper()
	sink.Eventually(l.t, "all events are there", func() bool { return sink.Len() >= len(l.ids) })
	once(l.t, sink, l.ids)
}

func TestFollow(t *testing.T) {
	t.Cleanup(inputtest.Leaks(t))
	l := newLogFile(t)
	l.open(os.O_APPEND)
	l.write(audit("old") + "\n")
	// What is not finished when we start is not over yet.
	whole := audit("event-0")
	l.ids = append(l.ids, "event-0")
	l.write(whole[:20])
	sink, stop := l.follow(FileOptions{})
	l.write(whole[20:])
	l.write("\n")
	l.event()
	l.all(sink)
	half := audit("event-2")
	l.ids = append(l.ids, "event-2")
	l.write(half[:30])
	sink.Eventually(t, "the half line is read", func() bool { return sink.Len() == 2 })
	l.write(half[30:] + "\n")
	l.all(sink)
	stop()
	l.file.Close()
	if text := sink.MalformedText(); text != "" {
		t.Error(text)
	}
}

// What is written while nobody follows the log is read at the next start, whatever
// became of the files meanwhile, and what was read before is not read again.
func TestResume(t *testing.T) {
	for name, meanwhile := range map[string]func(l *logFile){
		"nothing":   func(*logFile) {},
		"lines":     func(l *logFile) { l.event(); l.event() },
		"half line": func(l *logFile) { l.event(); l.write(`{"auditID"`) },
		"rotation": func(l *logFile) {
			l.event()
			l.rename("audit-2026-11-22T12-00-00.000.log")
			l.event()
		},
		"rotation by number": func(l *logFile) {
			l.event()
			l.rename("audit.log.1")
			l.event()
		},
		"three rotations": func(l *logFile) {
			for i := range 3 {
				l.event()
				l.rename(fmt.Sprintf("audit-%d.log", i+10))
				l.event()
			}
		},
		"packed": func(l *logFile) {
			l.pack("audit-0.log") // which was read in another life
			for i := range 2 {
				l.event()
				l.rename(fmt.Sprintf("audit-%d.log", i+10))
				l.pack(fmt.Sprintf("audit-%d.log", i+10))
				l.event()
			}
		},
		"copied, truncated and packed": func(l *logFile) {
			l.event()
			l.copyTruncate("audit.log.7")
			l.pack("audit.log.7")
			l.event()
		},
		"copied and truncated": func(l *logFile) {
			l.event()
			l.copyTruncate("audit.log.7")
			l.event()
		},
		"copied": func(l *logFile) {
			text, err := os.ReadFile(l.path)
			if err == nil {
				err = os.WriteFile(l.path+".8", text, 0o600)
			}
			if err != nil {
				l.t.Fatal(err)
			}
			l.event()
		},
		"copied and truncated, and rotated": func(l *logFile) {
			l.event()
			l.copyTruncate("audit.log.7")
			l.event()
			l.rename("audit-8.log")
			l.event()
		},
		"removed": func(l *logFile) {
			l.file.Close()
			if err := os.Remove(l.path); err != nil {
				l.t.Fatal(err)
			}
			l.open(os.O_APPEND)
			l.event()
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLogFile(t)
			l.open(os.O_APPEND)
			// Read in another life, by the log's own writer's rotation.
			l.write(audit("old") + "\n")
			l.rename("audit-0.log")
			l.file.Close()
			l.open(os.O_APPEND)
			l.write(audit("older") + "\n")
			state := filepath.Join(t.TempDir(), "state")
			var all []inputtest.Event
			read := func(act func()) *inputtest.Sink {
				sink, stop := l.follow(FileOptions{StateDir: state})
				sink.Eventually(t, "it follows", func() bool { return strings.Contains(sink.InfoText(), "following") })
				act()
				sink.Eventually(t, "all events are there", func() bool { return len(all)+sink.Len() >= len(l.ids) })
				stop()
				all = append(all, sink.Events()...)
				if text := sink.MalformedText(); text != "" {
					t.Error(text)
				}
				return sink
			}
			read(func() {
				l.event()
				l.event()
			})
			meanwhile(l)
			half := name == "half line"
			sink := read(func() {
				if half {
					l.write(`:"half","stage":"ResponseComplete","verb":"list"}` + "\n")
					l.ids = append(l.ids, "half")
				}
				l.event()
				if name == "rotation" {
					l.rename("audit-2026-11-22T13-00-00.000.log")
					l.event()
				}
			})
			read(func() { l.event() })
			got := map[string]int{}
			for _, e := range all {
				got[e.AuditID]++
			}
			for _, id := range l.ids {
				if got[id] != 1 {
					t.Errorf("%s came %d times", id, got[id])
				}
			}
			if len(got) != len(l.ids) {
				t.Errorf("%d events, want %d", len(got), len(l.ids))
			}
			if gone := strings.Contains(sink.InfoText(), "is lost"); gone != (name == "removed") {
				t.Errorf("a loss is logged: %v\n%s", gone, sink.InfoText())
			}
		})
	}
}

// A line of which a container engine wrote the first pieces only is read whole after a
// restart, and once.
func TestResumePieces(t *testing.T) {
	l := newLogFile(t)
	l.open(os.O_APPEND)
	state := t.TempDir()
	const prefix = "2026-11-22T12:00:00Z stdout "
	sink, stop := l.follow(FileOptions{StateDir: state})
	l.write(prefix + "P " + audit("event-1")[:20] + "\n" + prefix + "P " + audit("event-1")[20:40] + "\n")
	l.event()
	sink.Eventually(t, "the pieces are read", func() bool { return sink.Len() == 1 })
	stop()
	sink, _ = l.follow(FileOptions{StateDir: state})
	l.write(prefix + "F " + audit("event-1")[40:] + "\n")
	l.ids = append(l.ids, "event-1")
	l.all(sink)
	if text := sink.MalformedText(); text != "" {
		t.Error(text)
	}
}

// The lines of a container's log are put together also where the file changes between
// them, and what the server writes about itself is said once.
func TestFollowContainerLog(t *testing.T) {
	l := newLogFile(t)
	l.open(os.O_APPEND)
	sink, _ := l.follow(FileOptions{})
	const prefix = "2026-11-22T12:00:00Z "
	l.ids = []string{"event-0"}
	l.write(prefix + "stderr F I1122 12:00:00.000000       1 server.go:1] started\n")
	l.write(prefix + "stdout P " + audit("event-0")[:20] + "\n")
	l.write(prefix + "stderr F W1122 12:00:00.000000       1 server.go:1] warned\n")
	l.rename("audit.log.20261122-120000")
	l.write(prefix + "stdout F " + audit("event-0")[20:] + "\n")
	l.all(sink)
	if text := sink.MalformedText(); text != "" {
		t.Error(text)
	}
	if n := strings.Count(sink.InfoText(), "passed over"); n != 1 {
		t.Errorf("said %d times: %s", n, sink.InfoText())
	}
}

// A log at the end of a link, as those of containers are, is followed over rotation.
func TestResumeLink(t *testing.T) {
	l := newLogFile(t)
	l.open(os.O_APPEND)
	link := filepath.Join(t.TempDir(), "link.log")
	if err := os.Symlink(l.path, link); err != nil {
		t.Fatal(err)
	}
	state := t.TempDir()
	follow := func() (*inputtest.Sink, func()) {
		f, err := FollowFile(link, FileOptions{StateDir: state})
		if err != nil {
			t.Fatal(err)
		}
		sink := new(inputtest.Sink)
		return sink, start(t, f, sink)
	}
	sink, stop := follow()
	l.event()
	l.all(sink)
	stop()
	l.event()
	l.rename("audit.log.20261122-120000")
	l.event()
	sink, _ = follow()
	l.ids = l.ids[1:]
	l.all(sink)
}

// What Falco did not get to is read again.
func TestResumeUndone(t *testing.T) {
	l := newLogFile(t)
	l.open(os.O_APPEND)
	state := t.TempDir()
	sink, stop := l.follow(FileOptions{StateDir: state})
	l.event()
	l.all(sink)
	time.Sleep(2 * saveInterval)
	sink.Hold()
	l.event()
	l.event()
	l.all(sink)
	stop()
	if text, err := os.ReadFile(placesFile(state, l.path)); err != nil || strings.Contains(string(text), "event-") {
		t.Errorf("the state holds text of the log: %s, %v", text, err)
	}
	sink, _ = l.follow(FileOptions{StateDir: state})
	l.event()
	l.ids = l.ids[1:]
	l.all(sink)
}

// A state that cannot be read or written is a line in the log.
func TestResumeErrors(t *testing.T) {
	l := newLogFile(t)
	l.open(os.O_APPEND)
	dir := t.TempDir()
	writeFile(t, placesFile(dir, l.path), []byte("{"))
	sink, stop := l.follow(FileOptions{StateDir: dir})
	l.event()
	l.all(sink)
	stop()
	if !strings.Contains(sink.InfoText(), "followed from its end") {
		t.Error(sink.InfoText())
	}
	sink, _ = l.follow(FileOptions{StateDir: filepath.Join(l.path, "no-directory")})
	sink.Eventually(t, "it is logged", func() bool { return strings.Contains(sink.InfoText(), "cannot be kept") })
}

func TestFollowMissing(t *testing.T) {
	l := newLogFile(t)
	sink, _ := l.follow(FileOptions{})
	sink.Eventually(t, "it says that it waits", func() bool { return strings.Contains(sink.InfoText(), l.path+" is not there yet") })
	l.open(os.O_APPEND)
	l.event()
	l.all(sink)
	l.rename("audit-1.log")
	l.event()
	l.all(sink)
}

func TestFollowErrors(t *testing.T) {
	dir := t.TempDir()
	if _, err := FollowFile(dir, FileOptions{}); err == nil || !strings.Contains(err.Error(), dir+" is a directory") {
		t.Errorf("directory: got error %v", err)
	}
	if _, err := FollowFile(os.DevNull, FileOptions{}); err == nil || !strings.Contains(err.Error(), os.DevNull) {
		t.Errorf("device: got error %v", err)
	}
	if os.Getuid() != 0 {
		path := filepath.Join(dir, "unreadable")
		if err := os.WriteFile(path, nil, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := FollowFile(path, FileOptions{}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("unreadable file: got error %v", err)
		}
	}
}

func TestFollowMalformed(t *testing.T) {
	l := newLogFile(t)
	l.open(os.O_APPEND)
	sink, _ := l.follow(FileOptions{})
	l.write("{\"auditID\":\"s3cret\n") // truncated
	l.write("\"s3cret\"\n")            // no object
	l.write("{\"s3cret\":1}\n")        // no event
	l.write("\n")                      // empty
	l.write("{\"auditID\":s3cret}\n")  // broken
	l.write("\x00\x00\x00\x00")        // a hole
	l.event()
	l.all(sink)
	if n, text := sink.MalformedCount(), sink.MalformedText(); n != 6 || strings.Contains(text, "s3cret") || strings.Count(text, l.path) != 6 {
		t.Errorf("got %d malformed:\n%s", n, text)
	}
}

func TestFollowLongLine(t *testing.T) {
	l := newLogFile(t)
	l.open(os.O_APPEND)
	sink, _ := l.follow(FileOptions{MaxLine: 1 << 20})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	l.write(strings.TrimSuffix(audit("event-0"), "}") + `,"responseObject":"`)
	part := strings.Repeat("x", 1<<20)
	for range 80 {
		l.write(part)
	}
	l.write("\"}\n")
	l.write(part + part + "\n") // no event
	l.ids = append(l.ids, "event-0")
	l.event()
	l.all(sink)
	if e := sink.Events(); !e[0].Shortened || e[1].Shortened {
		t.Errorf("got %v", e)
	}
	if n := sink.MalformedCount(); n != 1 {
		t.Errorf("got %d malformed, want 1: %s", n, sink.MalformedText())
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
		t.Errorf("allocated %d bytes for a line that is cut after 1 MiB", grown)
	}
}

// The log is renamed every few hundred lines, faster than the reader looks.
func TestRenameUnderLoad(t *testing.T) {
	t.Cleanup(inputtest.Leaks(t))
	for _, name := range []string{"audit-%06d.log", "audit.log.%d"} {
		t.Run(name, func(t *testing.T) {
			l := newLogFile(t)
			l.open(os.O_APPEND)
			sink, stop := l.follow(FileOptions{})
			for i := range 20000 {
				l.event()
				if i%307 == 306 {
					l.rename(fmt.Sprintf(name, i))
				}
			}
			l.all(sink)
			if text := sink.MalformedText(); text != "" {
				t.Error(text)
			}
			stop()
			l.file.Close()
		})
	}
}

// A reader that cannot queue anything reads what was rotated meanwhile.
func TestRenameWhileFull(t *testing.T) {
	l := newLogFile(t)
	l.open(os.O_APPEND)
	sink, _ := l.follow(FileOptions{})
	sink.SetFull(true)
	l.event()
	sink.Eventually(t, "the reader waits", func() bool { return sink.Waiting() == 1 })
	for i := range 5 {
		for range 100 {
			l.event()
		}
		l.rename(fmt.Sprintf("audit-2026-11-22T12-00-%02d.000.log", i))
	}
	l.event()
	if n := sink.Len(); n != 0 {
		t.Fatalf("%d events passed a full queue", n)
	}
	sink.SetFull(false)
	l.all(sink)
}

// A writer that opens its log anew late, as after logrotate's postrotate.
func TestLateWriter(t *testing.T) {
	for name, seen := range map[string]bool{"the new file is seen first": true, "the late line is there first": false} {
		t.Run(name, func(t *testing.T) {
			l := newLogFile(t)
			l.open(os.O_APPEND)
			f, err := FollowFile(l.path, FileOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			sink := new(inputtest.Sink)
			f.begin(sink)
			look := func() {
				f.notice()
				if !f.read(t.Context()) {
					t.Fatal("it ends")
				}
			}
			l.event()
			look()
			if err := os.Rename(l.path, l.path+".1"); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(l.path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if seen {
				look()
			}
			l.event()
			l.file.Close()
			l.open(os.O_APPEND)
			l.event()
			look()
			once(t, sink, l.ids)
		})
	}
}

// A file of another inode that is larger from the beginning.
func TestReplaced(t *testing.T) {
	l := newLogFile(t)
	l.open(os.O_APPEND)
	sink, _ := l.follow(FileOptions{})
	l.event()
	l.all(sink)
	other := &logFile{t: t, path: l.path + "~", ids: l.ids}
	other.open(os.O_APPEND)
	for range 100 {
		other.event()
	}
	if err := os.Rename(other.path, l.path); err != nil {
		t.Fatal(err)
	}
	other.event()
	other.all(sink)
}

func TestCopyTruncateUnderLoad(t *testing.T) {
	t.Cleanup(inputtest.Leaks(t))
	for name, flags := range map[string]int{"append": os.O_APPEND, "holes": 0} {
		t.Run(name, func(t *testing.T) {
			l := newLogFile(t)
			l.open(flags)
			sink, stop := l.follow(FileOptions{})
			for i := range 20000 {
				l.event()
				if i%1009 == 1008 {
					// All that came before a truncation can be known only
					// by who has read something of the file.
					sink.Eventually(t, "the file is read at all", func() bool { return sink.Len() > i-1000 })
					l.copyTruncate(fmt.Sprintf("audit.log.%d", i))
				}
			}
			l.all(sink)
			if text := sink.MalformedText(); name == "append" && text != "" {
				t.Error(text)
			}
			stop()
			l.file.Close()
		})
	}
}

// A file that is longer than before when it is looked at again.
func TestTruncatedAndGrown(t *testing.T) {
	l := newLogFile(t)
	l.open(os.O_APPEND)
	sink, _ := l.follow(FileOptions{})
	l.event()
	l.all(sink)
	sink.SetFull(true)
	l.event()
	sink.Eventually(t, "the reader waits", func() bool { return sink.Waiting() == 1 })
	if err := os.Truncate(l.path, 0); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		l.event()
	}
	sink.SetFull(false)
	l.all(sink)
}

// A copy that somebody made of the log is not read as a rotated one.
func TestCopyIsNotRead(t *testing.T) {
	l := newLogFile(t)
	l.open(os.O_APPEND)
	sink, _ := l.follow(FileOptions{})
	l.event()
	l.all(sink)
	text, err := os.ReadFile(l.path)
	if err == nil {
		err = os.WriteFile(filepath.Join(filepath.Dir(l.path), "audit-1.log"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	l.rename("audit-2.log")
	l.event()
	l.all(sink)
}

func TestStopWhileFull(t *testing.T) {
	t.Cleanup(inputtest.Leaks(t))
	l := newLogFile(t)
	l.open(os.O_APPEND)
	sink, stop := l.follow(FileOptions{})
	sink.SetFull(true)
	l.event()
	sink.Eventually(t, "the reader waits", func() bool { return sink.Waiting() == 1 })
	stop()
	l.file.Close()
	f, err := FollowFile(l.path, FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f.Close() // without Run
}
