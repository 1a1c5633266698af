// SPDX-License-Identifier: Apache-2.0

package dockerevents

import (
	"hash/maphash"
	"math"
)

// remembered is how many events are remembered to tell those that an engine
// sends again: four times as many as an engine remembers itself (eventsLimit
// in daemon/events/events.go of moby/moby).
const remembered = 1024

// seen remembers the last events, so that a stream of events that was cut can
// be resumed without a gap and without a repetition.
type seen struct {
	// start is when the first event of interest may take place.
	start int64
	seed  maphash.Seed
	// ring holds the last events, the oldest at n % remembered once it is
	// full; n is how many there were.
	ring [remembered]mark
	n    int
	// hashes holds the hashes in ring.
	hashes map[uint64]struct{}
}

// mark is an event: its time in nanoseconds since the Unix epoch and the hash
// of its text.
type mark struct {
	time int64
	hash uint64
}

func newSeen(start int64) *seen {
	return &seen{start: start, seed: maphash.MakeSeed(), hashes: make(map[uint64]struct{}, remembered)}
}

// add remembers an event and reports whether it is new. Its text holds its
// time in nanoseconds and all else about it, so that equal texts are the same
// event. An engine repeats an event in three cases: after a resume, at the
// start of a stream when an event happens just then (it is in the engine's
// memory already and published a moment later), and if events of one
// nanosecond lie on both sides of a cut.
func (s *seen) add(text []byte, time int64) bool {
	hash := maphash.Bytes(s.seed, text)
	if _, ok := s.hashes[hash]; ok {
		return false
	}
	at := &s.ring[s.n%remembered]
	if s.n >= remembered {
		delete(s.hashes, at.hash)
	}
	if time <= 0 {
		time = s.start
	}
	*at = mark{time: time, hash: hash}
	s.hashes[hash] = struct{}{}
	s.n++
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
func (s *seen) since() int64 {
	since := s.start
	if s.n >= remembered/2 {
		since = math.MaxInt64
	}
	for i := max(0, s.n-remembered/2); i < s.n; i++ {
		since = min(since, s.ring[i%remembered].time)
	}
	return since
}
