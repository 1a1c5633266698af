// SPDX-License-Identifier: Apache-2.0

package dockerevents

import (
	"hash/maphash"
	"slices"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// remembered is how many events are remembered to tell those that an engine
// sends again: four times as many as an engine remembers itself (eventsLimit
// in daemon/events/events.go of moby/moby).
const remembered = 1024

// resume remembers the last events, so that a stream of events that was cut can
// be resumed without a gap and without a repetition.
type resume struct {
	// start is when the first event of interest may take place, in nanoseconds
	// since the Unix epoch.
	start int64
	seed  maphash.Seed
	// times holds the times of the last events, in the same unit and the oldest
	// first, by the hash of the event's text.
	times *simplelru.LRU[uint64, int64]
	// n is how many new events there were.
	n int
}

func newResume(start int64) *resume {
	// The only error is a size below one.
	times, _ := simplelru.NewLRU[uint64, int64](remembered, nil)
	return &resume{start: start, seed: maphash.MakeSeed(), times: times}
}

// add remembers an event and reports whether it is new. Its text holds its
// time in nanoseconds and all else about it, so that equal texts are the same
// event. An engine repeats an event in three cases: after a resume, at the
// start of a stream when an event happens just then (it is in the engine's
// memory already and published a moment later), and if events of one
// nanosecond lie on both sides of a cut.
func (r *resume) add(text []byte, time int64) bool {
	hash := maphash.Bytes(r.seed, text)
	if r.times.Contains(hash) {
		return false
	}
	if time <= 0 {
		time = r.start
	}
	r.times.Add(hash, time)
	r.n++
	return true
}

// since returns the time from which to ask for events, in nanoseconds since
// the Unix epoch.
//
// It is not the time of the last event. An engine gives an event its time
// before it puts it in the row, so that rows are not always in the order of
// time, and returns what stands behind the last event older than since: asked
// for the last event's time, it may leave out others. The same after its clock
// went back. So it is asked for the newer half of the events remembered, which
// costs 256 events at most.
func (r *resume) since() int64 {
	times := r.times.Values()
	if len(times) < remembered/2 {
		return slices.Min(append(times, r.start))
	}
	return slices.Min(times[len(times)-remembered/2:])
}
