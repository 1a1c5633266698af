// SPDX-License-Identifier: Apache-2.0

// Package pipeline runs the inputs and hands their events to Falco.
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log"
	"sync"
	"sync/atomic"
	"time"

	"github.com/falcosecurity/plugin-sdk-go/pkg/sdk"
	"github.com/falcosecurity/plugin-sdk-go/pkg/sdk/plugins/source"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/falco"
	"github.com/containerapi/containerapi/plugin/history"
	"github.com/containerapi/containerapi/plugin/input"
)

const (
	// batchEvents is how many events Falco gets at once, at the most.
	batchEvents = 1024
	// idle is how long Falco waits for an event before it looks after other
	// things, such as a signal.
	idle = 100 * time.Millisecond
)

// Input is an input with the name of its kind, such as "webhook", which
// messages and metrics carry.
type Input struct {
	Name  string
	Input input.Input
}

// Options are the limits of a Source.
type Options struct {
	// QueueSize is how many bytes of events may wait for Falco. Inputs wait
	// when there are more.
	QueueSize int
	// MaxEventSize is the length in bytes above which an event is shortened.
	MaxEventSize int
	// History remembers what the events tell of. The Source closes it.
	History *history.History
	// Shown is how much of commands events show.
	Shown event.Shown
	// Log takes what is to be said about the inputs.
	Log *log.Logger
}

// Source is an open capture: inputs that run, and the queue from them to
// Falco. It implements source.Instance of plugin-sdk-go.
type Source struct {
	source.BaseInstance
	inputs  []Input
	sinks   []*sink
	history *history.History
	log     *log.Logger
	queue   *queue
	events  *falco.Events
	// taken is the segment in Falco's hands, extraction what extracts from it.
	taken      *falco.Segment
	extraction *falco.Extraction
	// last is the segment before it, whose memory stays until another is there: sysdig
	// looks at its last event once more where there is no next one.
	last *falco.Segment

	cancel    context.CancelFunc
	running   sync.WaitGroup
	left      atomic.Int32 // inputs that still run
	forwarded atomic.Uint64

	mu   sync.Mutex
	errs []error // of inputs that ended
}

// Open starts the inputs, which it closes in the end.
func Open(inputs []Input, o Options) *Source {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Source{
		inputs:  inputs,
		history: o.History,
		log:     o.Log,
		queue:   newQueue(o.QueueSize),
		events:  falco.NewEvents(batchEvents),
		cancel:  cancel,
	}
	s.SetEvents(s.events)
	s.left.Store(int32(len(inputs)))
	announced := newAnnounced()
	s.running.Go(func() { announced.report(ctx) })
	s.running.Go(func() { o.History.Keep(ctx) })
	for _, in := range inputs {
		sink := newSink(in.Name, s.queue, o.History, announced, o.MaxEventSize, o.Shown, o.Log)
		if _, sink.recorded = in.Input.(input.Progress); sink.recorded {
			sink.announced = newAnnounced()
		}
		s.sinks = append(s.sinks, sink)
		s.running.Go(func() { s.run(ctx, in, sink) })
	}
	return s
}

func (s *Source) run(ctx context.Context, in Input, sink *sink) {
	defer func() {
		s.left.Add(-1)
		s.queue.wake()
	}()
	if err := in.Input.Run(ctx, sink); err != nil {
		sink.Info("ended: %v", err)
		s.mu.Lock()
		s.errs = append(s.errs, fmt.Errorf("%s: %w", in.Name, err))
		s.mu.Unlock()
	}
}

// NextBatch implements sdk.NextBatcher. The events stay valid until the next
// call. When all inputs have ended the stream ends, with their errors if they
// had some.
func (s *Source) NextBatch(state sdk.PluginState, _ sdk.EventWriters) (int, error) {
	if s.taken == nil || s.taken.Done() {
		if err := s.next(state.(falco.Extractor).Extraction()); err != nil {
			return 0, err
		}
	}
	n := s.events.Take(s.taken)
	s.forwarded.Add(uint64(n))
	return n, nil
}

// next takes the next segment from the queue.
func (s *Source) next(extraction *falco.Extraction) error {
	// Only with the first batch does Falco say which plugin's state this source
	// belongs to, and with it whose metrics these are: Open does not know it.
	if s.extraction == nil {
		s.extraction = extraction
		extraction.Measure(s.metrics)
	}
	extraction.SetLive(nil)
	if s.taken != nil {
		s.queue.release(s.taken)
		s.last, s.taken = s.taken, nil
	}
	// Whether inputs are left is asked first: what an input queued before it
	// ended is then in the queue.
	ended, wait := s.left.Load() == 0, idle
	if ended {
		wait = 0
	}
	if s.taken = s.queue.take(wait); s.taken != nil {
		s.releaseLast()
		extraction.SetLive(s.taken)
		return nil
	}
	if !ended {
		return sdk.ErrTimeout
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.errs) > 0 {
		return errors.Join(s.errs...)
	}
	return sdk.ErrEOF
}

// releaseLast gives up the memory of the segment before the one in Falco's hands.
func (s *Source) releaseLast() {
	if s.last != nil {
		s.queue.reuse(s.last)
		s.last = nil
	}
}

// Progress implements sdk.Progresser: the part that is read of inputs that
// know their end.
func (s *Source) Progress(sdk.PluginState) (float64, string) {
	var sum float64
	for _, in := range s.inputs {
		p, ok := in.Input.(input.Progress)
		if !ok {
			return 0, ""
		}
		sum += p.Progress()
	}
	part := sum / float64(len(s.inputs))
	return part, fmt.Sprintf("%.2f%%", part*100)
}

// Close implements sdk.Closer. It returns when all inputs have ended.
func (s *Source) Close() {
	s.cancel()
	s.running.Wait()
	if err := s.history.Close(); err != nil {
		s.log.Printf("what identities did lately may be forgotten: %v", err)
	}
	if s.extraction != nil {
		s.extraction.SetLive(nil)
		s.extraction.Measure(nil)
	}
	s.queue.close()
	s.releaseLast()
	if s.taken != nil {
		s.taken.Free()
		s.taken = nil
	}
}

// metrics returns the counters of all inputs, added up for each kind.
func (s *Source) metrics() []falco.Metric {
	list := []falco.Metric{
		{Name: "forwarded", Value: s.forwarded.Load()},
		{Name: "queue_bytes", Value: uint64(s.queue.bytes()), Gauge: true},
	}
	at := make(map[string]int)
	for _, sink := range s.sinks {
		i, ok := at[sink.name]
		if !ok {
			i = len(list)
			at[sink.name] = i
			list = append(list,
				falco.Metric{Name: sink.name + ".received"},
				falco.Metric{Name: sink.name + ".malformed"},
				falco.Metric{Name: sink.name + ".reconnects"})
		}
		list[i].Value += sink.received.Load()
		list[i+1].Value += sink.malformed.Load()
		list[i+2].Value += sink.reconnects.Load()
	}
	return list
}
