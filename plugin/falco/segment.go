// SPDX-License-Identifier: Apache-2.0

package falco

/*
#include "abi.h"
#include <stdlib.h>
*/
import "C"

import (
	"encoding/binary"
	"math"
	"unsafe"

	"github.com/falcosecurity/plugin-sdk-go/pkg/sdk"
)

// pluginEvent is PPME_PLUGINEVENT_E of driver/ppm_events_public.h in
// falcosecurity/libs, the type of all events of plugins.
const pluginEvent = 322

// recordHead is the length of what stands before an event in a segment: the
// length of its record.
const recordHead = 8

// BeginRecord begins an event's record at the end of b as it stands in a
// [Segment]: the event, then its values. The payload, as Falco reads it, is
// appended behind, and [EndRecord] ends the record. Time is in nanoseconds since
// the Unix epoch. The length of b must be a multiple of 8.
func BeginRecord(b []byte, time int64) []byte {
	ne := binary.NativeEndian
	b = ne.AppendUint64(b, 0) // length of the record, set by EndRecord
	b = ne.AppendUint64(b, uint64(time))
	b = ne.AppendUint64(b, math.MaxUint64) // no thread
	b = ne.AppendUint32(b, 0)              // length of the event, set by EndRecord
	b = ne.AppendUint16(b, pluginEvent)
	b = ne.AppendUint32(b, 2)    // parameters
	b = ne.AppendUint32(b, 4)    // length of the plugin's id
	b = ne.AppendUint32(b, 0)    // length of the payload, set by EndRecord
	return ne.AppendUint32(b, 0) // the plugin's id, set by the framework
}

// EndRecord ends the record that begins at start. The length of what it returns
// is a multiple of 8.
func EndRecord(b []byte, start int, values *Block) []byte {
	ne := binary.NativeEndian
	length := len(b) - start - recordHead
	event := b[start+recordHead:]
	ne.PutUint32(event[16:], uint32(length))
	ne.PutUint32(event[30:], uint32(length-sdk.PluginEventPayloadOffset))
	b = pad(b)
	b = append(b, values.b...)
	b = pad(b)
	ne.PutUint64(b[start:], uint64(len(b)-start))
	return b
}

func pad(b []byte) []byte {
	for len(b)%8 != 0 {
		b = append(b, 0)
	}
	return b
}

// Segment is a piece of C memory that holds records of events.
type Segment struct {
	memory memory
	used   int
	read   int
}

// NewSegment returns an empty segment of n bytes.
func NewSegment(n int) *Segment { return &Segment{memory: allocate(n)} }

// Append copies records into the segment, or returns false if there is no
// room.
func (s *Segment) Append(records []byte) bool {
	if s.memory.len-s.used < len(records) {
		return false
	}
	copy(s.memory.bytes()[s.used:], records)
	s.used += len(records)
	return true
}

// Cap is the segment's size in bytes.
func (s *Segment) Cap() int { return s.memory.len }

// Len is how many bytes of the segment are used.
func (s *Segment) Len() int { return s.used }

// Done reports that all of the segment's events were handed out.
func (s *Segment) Done() bool { return s.read == s.used }

// Reset empties the segment.
func (s *Segment) Reset() { s.used, s.read = 0, 0 }

// Free releases the segment's memory.
func (s *Segment) Free() { s.memory.free() }

// Events is the list of events of one batch; it implements sdk.EventWriters
// without a copy of the events.
type Events struct {
	pointers memory
	max      int
}

// NewEvents returns a list of at most n events.
func NewEvents(n int) *Events {
	return &Events{pointers: allocate(n * int(unsafe.Sizeof(uintptr(0)))), max: n}
}

// Take puts the segment's next events into the list, as many as it holds, and
// returns how many there are.
func (e *Events) Take(s *Segment) int {
	list := unsafe.Slice((*unsafe.Pointer)(e.pointers.p), e.max)
	b := s.memory.bytes()
	n := 0
	for n < e.max && s.read < s.used {
		list[n] = unsafe.Add(s.memory.p, s.read+recordHead)
		s.read += int(binary.NativeEndian.Uint64(b[s.read:]))
		n++
	}
	return n
}

// Len is how many events the list can hold.
func (e *Events) Len() int { return e.max }

// Get is part of sdk.EventWriters and not used: events are written before
// they are listed.
func (e *Events) Get(int) sdk.EventWriter { return nil }

// ArrayPtr returns the address of the list.
func (e *Events) ArrayPtr() unsafe.Pointer { return e.pointers.p }

// Free releases the list, but not the events.
func (e *Events) Free() { e.pointers.free() }
