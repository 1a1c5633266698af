// SPDX-License-Identifier: Apache-2.0

// Package input says what an input is. Each input has a directory of its own and
// imports none of the others, nor the queue behind the [Sink], nor anything of
// Falco. What two of them share, as the events and the requests of one engine
// do, both are given where they are opened: in plugin/inputs.go.
package input

import (
	"context"
	"errors"

	"github.com/containerapi/containerapi/plugin/event"
)

// Input brings events from one place. What it needs (a port, a file) it holds
// from its construction on, so that what is wrong with it is said when Falco
// starts.
type Input interface {
	// Run delivers events to the sink until ctx ends or the input is
	// exhausted, and returns nil in both cases. It releases all that the
	// input holds before it returns, and returns within a second of ctx's
	// end. An error ends this input only.
	Run(ctx context.Context, sink Sink) error
	// Close releases what the input holds if Run is never called.
	Close() error
}

// Progress is implemented by an input that knows its end.
type Progress interface {
	// Progress returns which part of the input is read, from 0 to 1. It is
	// safe to call while Run runs.
	Progress() float64
}

// ErrClosed is returned by Batch.Commit when the queue was closed.
var ErrClosed = errors.New("event queue is closed")

// Sink takes events from an input to Falco's queue, counts them and says what
// went wrong. It is safe for use by several goroutines.
type Sink interface {
	// Batch returns a new empty batch. A goroutine that reads much keeps one
	// and uses it again and again.
	Batch() Batch
	// Malformed counts input that is no event and logs why, not more often
	// than a person can read. The error must quote no more of the input than
	// its place: it may hold secrets.
	Malformed(err error)
	// Reconnected counts a connection that had to be made again after err, and
	// logs it.
	Reconnected(err error)
	// Position returns how much was queued so far, by all inputs, and how much of
	// that Falco is done with. Both only grow: what an input committed by the time
	// that queued was n is done with once done is n.
	Position() (queued, done uint64)
	// Info logs one line about what the input does.
	Info(format string, args ...any)
}

// Batch is a group of events that is queued as a whole or not at all. A Batch
// must not be used by two goroutines at once.
type Batch interface {
	// Add encodes the event, which may be reused when Add returns.
	Add(e *event.Event)
	// Len is how many events were added since the last Commit, Size how many bytes
	// they take in the queue.
	Len() int
	Size() int
	// Commit queues the events in their order and empties the batch. While
	// the queue is full it waits; the error is then ctx's, or ErrClosed, no
	// event has been queued, and the batch still holds them all.
	Commit(ctx context.Context) error
}
