// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"sync"
	"time"

	"github.com/containerapi/containerapi/plugin/falco"
	"github.com/containerapi/containerapi/plugin/input"
)

// segmentSize is how many bytes of events are kept together, and handed to
// Falco and released as one.
const segmentSize = 256 << 10

// queue brings records of events from the inputs to Falco, in C memory and in
// the order they came in. It is bounded in bytes and never drops: a full queue
// makes inputs wait.
type queue struct {
	limit int

	mu       sync.Mutex
	segments []*falco.Segment
	spare    *falco.Segment // kept to be used again
	used     int            // bytes of records, those in Falco's hands included
	total    uint64         // bytes of records that were ever put here
	closed   bool
	// room is closed and made anew when records are released.
	room chan struct{}
	// filled has a value when there may be something to take.
	filled chan struct{}
}

func newQueue(limit int) *queue {
	return &queue{
		limit:  limit,
		room:   make(chan struct{}),
		filled: make(chan struct{}, 1),
	}
}

// put appends records, all or none of them. While there is no room it waits;
// an empty queue has room for everything.
func (q *queue) put(ctx context.Context, records []byte) error {
	for {
		q.mu.Lock()
		if q.closed {
			q.mu.Unlock()
			return input.ErrClosed
		}
		if q.used == 0 || q.used+len(records) <= q.limit {
			q.append(records)
			q.mu.Unlock()
			q.wake()
			return nil
		}
		room := q.room
		q.mu.Unlock()

		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (q *queue) append(records []byte) {
	q.used += len(records)
	q.total += uint64(len(records))
	if n := len(q.segments); n > 0 && q.segments[n-1].Append(records) {
		return
	}
	s := q.spare
	q.spare = nil
	if s == nil || !s.Append(records) {
		if s != nil {
			s.Free()
		}
		s = falco.NewSegment(max(segmentSize, len(records)))
		s.Append(records)
	}
	q.segments = append(q.segments, s)
}

// take returns the oldest segment and takes it out of the queue, so that nothing
// is appended to it any more. If there is none it waits for one, up to the given
// time, and returns nil if there still is none, or if wake ended the wait.
func (q *queue) take(wait time.Duration) *falco.Segment {
	if s := q.pop(); s != nil || wait == 0 {
		return s
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-q.filled:
	case <-timer.C:
	}
	return q.pop()
}

// wake ends a wait in take.
func (q *queue) wake() {
	select {
	case q.filled <- struct{}{}:
	default:
	}
}

func (q *queue) pop() *falco.Segment {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.segments) == 0 {
		return nil
	}
	s := q.segments[0]
	q.segments = append(q.segments[:0], q.segments[1:]...)
	return s
}

// release makes room for as much as the segment held.
func (q *queue) release(s *falco.Segment) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.used -= s.Len()
	close(q.room)
	q.room = make(chan struct{})
}

// reuse takes back the memory of a segment that was released.
func (q *queue) reuse(s *falco.Segment) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.spare == nil && s.Cap() == segmentSize && !q.closed {
		s.Reset()
		q.spare = s
	} else {
		s.Free()
	}
}

// bytes returns how many bytes of records are in the queue.
func (q *queue) bytes() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.used
}

// position returns how many bytes of records were put into the queue so far, and how
// many of them were released again.
func (q *queue) position() (put, released uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.total, q.total - uint64(q.used)
}

// close refuses further records and frees what was not taken.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for _, s := range q.segments {
		s.Free()
	}
	q.segments = nil
	if q.spare != nil {
		q.spare.Free()
		q.spare = nil
	}
	close(q.room)
	q.room = make(chan struct{})
}
