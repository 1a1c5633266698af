// SPDX-License-Identifier: Apache-2.0

// Package inputtest has a sink for the tests of inputs.
package inputtest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/input"
)

// Event is what a [Sink] keeps of an event.
type Event struct {
	// AuditID is the audit id of a Kubernetes event, else empty.
	AuditID   string
	Shortened bool
	// JSON is the event as it would be queued.
	JSON string
}

// Sink keeps what it is given. The zero value is ready and takes everything;
// it is safe for use by several goroutines.
type Sink struct {
	mu          sync.Mutex
	full        chan struct{} // closed when there is room again, nil if there is
	closed      bool
	waiting     int
	added       int
	held        bool
	done        uint64
	events      []Event
	malformed   []string
	malformings int
	reconnects  []string
	infos       []string

	decoding sync.Mutex
	decoded  []event.Event
}

var _ input.Sink = (*Sink)(nil)

// SetFull makes every Commit wait until SetFull(false).
func (s *Sink) SetFull(full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case full && s.full == nil:
		s.full = make(chan struct{})
	case !full && s.full != nil:
		close(s.full)
		s.full = nil
	}
}

// Close makes every later Commit return input.ErrClosed.
func (s *Sink) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.SetFull(false)
}

// Waiting returns how many commits wait for room.
func (s *Sink) Waiting() int { return get(s, func() int { return s.waiting }) }

// Added returns how many events were added to batches, committed or not.
func (s *Sink) Added() int { return get(s, func() int { return s.added }) }

// Len returns how many events were committed.
func (s *Sink) Len() int { return get(s, func() int { return len(s.events) }) }

// Events returns the committed events in their order.
func (s *Sink) Events() []Event {
	return get(s, func() []Event { return s.events[:len(s.events):len(s.events)] })
}

// Decoded returns the committed events in their order, each as its JSON reads.
func (s *Sink) Decoded(t testing.TB) []event.Event {
	t.Helper()
	s.decoding.Lock()
	defer s.decoding.Unlock()
	for _, e := range s.Events()[len(s.decoded):] {
		// A decoder's strings are in its own memory.
		decoder := &event.Decoder{}
		err := decoder.Decode([]byte(e.JSON), func(e *event.Event, err error) {
			if err != nil {
				t.Fatal(err)
			}
			s.decoded = append(s.decoded, *e)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return s.decoded[:len(s.decoded):len(s.decoded)]
}

// JSONText returns the JSON of the committed events, one a line.
func (s *Sink) JSONText() string {
	var text strings.Builder
	for _, e := range s.Events() {
		text.WriteString(e.JSON + "\n")
	}
	return text.String()
}

// MalformedCount returns how many times Malformed was called.
func (s *Sink) MalformedCount() int { return get(s, func() int { return s.malformings }) }

// MalformedText returns the first errors given to Malformed, one a line.
func (s *Sink) MalformedText() string {
	return get(s, func() string { return strings.Join(s.malformed, "\n") })
}

// ReconnectedCount returns how many times Reconnected was called.
func (s *Sink) ReconnectedCount() int { return get(s, func() int { return len(s.reconnects) }) }

// ReconnectedText returns the errors given to Reconnected, one a line.
func (s *Sink) ReconnectedText() string {
	return get(s, func() string { return strings.Join(s.reconnects, "\n") })
}

// InfoText returns the lines given to Info.
func (s *Sink) InfoText() string { return get(s, func() string { return strings.Join(s.infos, "\n") }) }

// LogText returns all that was reported: what InfoText, MalformedText and
// ReconnectedText return.
func (s *Sink) LogText() string {
	return strings.TrimSpace(s.InfoText() + "\n" + s.MalformedText() + "\n" + s.ReconnectedText())
}

// Eventually is [Eventually], and says what the sink was given if it fails.
func (s *Sink) Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	if !waited(holds) {
		t.Fatalf("%s: not within %v; there are %d events, and the log is\n%s", what, patience, s.Len(), s.LogText())
	}
}

func get[T any](s *Sink, f func() T) T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return f()
}

// Hold makes everything that is committed from now on wait to be done with.
func (s *Sink) Hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held, s.done = true, uint64(len(s.events))
}

// Position implements input.Sink.
func (s *Sink) Position() (queued, done uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if queued = uint64(len(s.events)); s.held {
		return queued, s.done
	}
	return queued, queued
}

// Batch implements input.Sink.
func (s *Sink) Batch() input.Batch { return &batch{sink: s} }

// Malformed implements input.Sink. It keeps the first 1,000 errors.
func (s *Sink) Malformed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.malformings++; len(s.malformed) < 1000 {
		s.malformed = append(s.malformed, err.Error())
	}
}

// Reconnected implements input.Sink.
func (s *Sink) Reconnected(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reconnects = append(s.reconnects, err.Error())
}

// Info implements input.Sink.
func (s *Sink) Info(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.infos = append(s.infos, fmt.Sprintf(format, args...))
}

type batch struct {
	sink   *Sink
	events []Event
	size   int
}

func (b *batch) Add(e *event.Event) {
	text := string(e.AppendJSON(nil))
	b.events = append(b.events, Event{AuditID: strings.Clone(e.Kubernetes.AuditID), Shortened: e.Shortened, JSON: text})
	b.size += len(text)
	b.sink.mu.Lock()
	b.sink.added++
	b.sink.mu.Unlock()
}

func (b *batch) Len() int  { return len(b.events) }
func (b *batch) Size() int { return b.size }

func (b *batch) Commit(ctx context.Context) error {
	s := b.sink
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.full != nil && !s.closed {
		full := s.full
		s.waiting++
		s.mu.Unlock()
		select {
		case <-full:
		case <-ctx.Done():
		}
		s.mu.Lock()
		s.waiting--
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	switch {
	case s.closed:
		return input.ErrClosed
	case ctx.Err() != nil:
		return ctx.Err()
	}
	s.events = append(s.events, b.events...)
	b.events, b.size = b.events[:0], 0
	return nil
}
