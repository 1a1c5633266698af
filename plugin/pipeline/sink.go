// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"log"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/falco"
	"github.com/containerapi/containerapi/plugin/field"
	"github.com/containerapi/containerapi/plugin/history"
	"github.com/containerapi/containerapi/plugin/input"
	"github.com/containerapi/containerapi/plugin/meaning"
)

// counters are kept for each input. They only grow.
type counters struct {
	received, malformed, reconnects atomic.Uint64
}

// sink connects one input with the queue.
type sink struct {
	counters
	name      string
	queue     *queue
	history   *history.History
	announced *announced
	// recorded reports that the events are those of a recording.
	recorded bool
	maxEvent int
	shown    event.Shown
	log      *log.Logger
	// lines limits what is logged about bad input; unsaid counts the lines
	// left out since the last one.
	lines  *rate.Limiter
	unsaid atomic.Uint64
}

func newSink(name string, q *queue, h *history.History, a *announced, maxEvent int, shown event.Shown, l *log.Logger) *sink {
	return &sink{name: name, queue: q, history: h, announced: a, maxEvent: maxEvent, shown: shown, log: l, lines: rate.NewLimiter(1, 5)}
}

// Batch implements input.Sink.
func (s *sink) Batch() input.Batch { return &batch{sink: s} }

// Malformed implements input.Sink.
func (s *sink) Malformed(err error) {
	s.malformed.Add(1)
	s.limited("%v", err)
}

// Reconnected implements input.Sink.
func (s *sink) Reconnected(err error) {
	s.reconnects.Add(1)
	s.limited("%v", err)
}

// Position implements input.Sink.
func (s *sink) Position() (queued, done uint64) { return s.queue.position() }

// Info implements input.Sink.
func (s *sink) Info(format string, args ...any) {
	s.log.Printf(s.name+": "+format, args...)
}

func (s *sink) limited(format string, args ...any) {
	if !s.lines.Allow() {
		s.unsaid.Add(1)
		return
	}
	if n := s.unsaid.Swap(0); n > 0 {
		s.Info("%d more messages were left out", n)
	}
	s.Info(format, args...)
}

// keptBatch is how many bytes of memory a batch keeps for the next one.
const keptBatch = 4 << 20

// batch implements input.Batch.
type batch struct {
	sink    *sink
	records []byte
	n       int
	values  falco.Block
	decoder event.Decoder // of announcements in recordings
}

// Add implements input.Batch.
func (b *batch) Add(e *event.Event) {
	if e.Time <= 0 {
		e.Time = time.Now().UnixNano()
	}
	now := time.Now()
	if b.sink.recorded && e.Outcome != event.Unanswered {
		now = b.sink.announced.recorded(e, &b.decoder, b.Add)
	}
	meaning.Classify(e)
	b.sink.announced.note(e, b.sink, now)
	for _, n := range b.sink.announced.crowd() {
		n.unanswered(&b.decoder, b.Add)
	}
	b.sink.history.Observe(e)
	e.Clean(b.sink.shown)
	start := len(b.records)
	b.records = falco.BeginRecord(b.records, e.Time)
	payload := len(b.records)
	b.records = e.AppendJSON(b.records)
	if len(b.records)-payload > b.sink.maxEvent {
		e.Shorten()
		b.records = e.AppendJSON(b.records[:payload])
	}
	b.values.Reset(falco.Asked())
	field.Fill(e, &b.values)
	b.records = falco.EndRecord(b.records, start, &b.values)
	b.n++
}

// Len implements input.Batch.
func (b *batch) Len() int { return b.n }

// Size implements input.Batch.
func (b *batch) Size() int { return len(b.records) }

// Commit implements input.Batch.
func (b *batch) Commit(ctx context.Context) error {
	if b.n == 0 {
		return nil
	}
	if err := b.sink.queue.put(ctx, b.records); err != nil {
		return err
	}
	b.sink.received.Add(uint64(b.n))
	b.empty()
	return nil
}

func (b *batch) empty() {
	b.n = 0
	b.records = b.records[:0]
	if cap(b.records) > keptBatch {
		b.records = nil
	}
}
