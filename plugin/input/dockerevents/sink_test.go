// SPDX-License-Identifier: Apache-2.0

package dockerevents

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/input"
)

// limit is how long a test waits for what must happen.
const limit = 30 * time.Second

// sink is an input.Sink that keeps all it gets.
type sink struct {
	mu          sync.Mutex
	events      []event.Docker
	times       []int64
	json        []string
	log         []string
	malformed   int
	reconnected int
	// full stops Commit while it is held.
	full sync.Mutex
}

func (s *sink) Batch() input.Batch { return &batch{sink: s} }

func (s *sink) Malformed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.malformed++
	s.log = append(s.log, "malformed: "+err.Error())
}

func (s *sink) Reconnected(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reconnected++
	s.log = append(s.log, "reconnected: "+err.Error())
}

func (s *sink) Info(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, fmt.Sprintf(format, args...))
}

// lines returns what was logged.
func (s *sink) lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.log...)
}

// got returns the events delivered.
func (s *sink) got() []event.Docker {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]event.Docker(nil), s.events...)
}

// count returns how many events are of this action, and how many of them are
// of different objects.
func (s *sink) count(action string) (all, different int) {
	ids := map[string]bool{}
	for _, e := range s.got() {
		if e.Action == action {
			all++
			ids[e.ActorID+e.ExecID] = true
		}
	}
	return all, len(ids)
}

// logged reports whether a line with this text was logged.
func (s *sink) logged(text string) bool {
	return strings.Contains(strings.Join(s.lines(), "\n"), text)
}

type batch struct {
	sink   *sink
	events []event.Docker
	times  []int64
	json   []string
}

func (b *batch) Add(e *event.Event) {
	d := e.Docker
	for _, s := range []*string{&d.Daemon, &d.Type, &d.Action, &d.Command, &d.ActorID, &d.ActorName, &d.ExecID, &d.ExitCode,
		&d.Container.ID, &d.Container.Name, &d.Container.Image} {
		*s = strings.Clone(*s)
	}
	b.events = append(b.events, d)
	b.times = append(b.times, e.Time)
	b.json = append(b.json, string(e.AppendJSON(nil)))
}

func (b *batch) Len() int  { return len(b.events) }
func (b *batch) Size() int { return 400 * len(b.events) }

func (b *batch) Commit(ctx context.Context) error {
	b.sink.full.Lock()
	defer b.sink.full.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	b.sink.mu.Lock()
	defer b.sink.mu.Unlock()
	b.sink.events = append(b.sink.events, b.events...)
	b.sink.times = append(b.sink.times, b.times...)
	b.sink.json = append(b.sink.json, b.json...)
	b.Reset()
	return nil
}

func (b *batch) Reset() { b.events, b.times, b.json = nil, nil, nil }

// run opens an input and runs it until the test's end, or until stop is
// called, which fails the test if Run takes more than a second to return.
func run(t testing.TB, address string, o Options) (s *sink, stop func()) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	e, err := Open(u, o)
	if err != nil {
		t.Fatal(err)
	}
	s = &sink{}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx, s) }()
	stop = sync.OnceFunc(func() {
		t.Helper()
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Run returned %v", err)
			}
		case <-time.After(time.Second):
			t.Error("Run did not return within a second")
		}
	})
	t.Cleanup(stop)
	return s, stop
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, s *sink, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not happen within %s; %d events, log:\n%s", what, limit, len(s.got()), strings.Join(s.lines(), "\n"))
		}
	}
}

// descriptors returns how many files are open.
func descriptors(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// leaks returns a function that fails the test if more goroutines run or more
// files are open than now.
func leaks(t testing.TB) func() {
	t.Helper()
	goroutines, files := runtime.NumGoroutine(), descriptors(t)
	return func() {
		t.Helper()
		var g, f int
		for end := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
			g, f = runtime.NumGoroutine(), descriptors(t)
			if g <= goroutines && f <= files {
				return
			}
			if time.Now().After(end) {
				break
			}
		}
		buf := make([]byte, 1<<20)
		t.Errorf("%d goroutines and %d files, before %d and %d\n%s", g, f, goroutines, files, buf[:runtime.Stack(buf, true)])
	}
}
