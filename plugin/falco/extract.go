// SPDX-License-Identifier: Apache-2.0

// Package falco serves the parts of Falco's plugin API that plugin-sdk-go
// serves with a copy or a call into Go for every field, or not at all: events
// in C memory, field extraction and metrics. Everything else of the API comes
// from plugin-sdk-go, whose symbols/extract must not be linked in beside this
// package.
//
// What an event means is worked out when the event is made, and stands behind
// it in memory as a [Block] of values, where extraction finds it: those values
// that Falco has asked for before, and so will again. All others, and those of
// an event that Falco got from elsewhere (a capture file, another plugin), are
// read from the event when they are first asked for.
package falco

/*
#include "abi.h"
*/
import "C"

import (
	"sync/atomic"
	"unsafe"

	"github.com/falcosecurity/plugin-sdk-go/pkg/cgo"
	"github.com/falcosecurity/plugin-sdk-go/pkg/sdk"
)

// Extractor is the part of an initialized plugin that extraction needs. The
// plugin state given to plugin-sdk-go implements it.
type Extractor interface {
	// Extraction returns what [NewExtraction] gave, which the plugin creates at
	// Init and frees at Destroy.
	Extraction() *Extraction
	// Values writes the values of an event that this plugin did not make to an
	// empty block. What cannot be read has no values.
	Values(payload []byte, to *Block)
}

// Parser is an [Extractor] that is shown every event of some sources once, in their
// order, and before it is asked for any field of it.
type Parser interface {
	Extractor
	// Parse reads an event, and writes the values of those fields to an empty block
	// that it wants. Time is what Falco shows as the event's, in nanoseconds since the
	// Unix epoch.
	Parse(payload []byte, time int64, to *Block)
	// Parsed writes the values of the event that was parsed last to an empty block.
	Parsed(to *Block)
}

// What extract.c counts with is what this package and plugin-sdk-go do: an index
// or a size other than these does not compile.
var (
	_ = [1]struct{}{}[C.MAX_HANDLE-cgo.MaxHandle]
	_ = [1]struct{}{}[C.SET_WORDS-len(Set{})]
	_ = [1]struct{}{}[unsafe.Offsetof(C.values{}.present)-presentAt]
	_ = [1]struct{}{}[unsafe.Offsetof(C.values{}.known)-knownAt]
	_ = [1]struct{}{}[C.sizeof_values-valuesAt]
	_ [C.SET_WORDS*64 - MaxFields]struct{} // a set has room for all fields
	_ [C.MAX_RESULTS - maxList]struct{}    // a call can return the longest list
)

// Extraction connects an initialized plugin with the extraction of its fields
// and with its metrics. All methods but Measure are for the thread on which Falco
// takes the source's events; extract.c says which that is.
type Extraction struct {
	c *C.extraction
	// What C knows of the event that was parsed last, and of the one that it asked of.
	parsed, read shownBlock
	metrics      measured
}

// shownBlock is a block that C is shown a copy of.
type shownBlock struct {
	Block
	memory memory
}

// show returns the copy. It is valid until the next call.
func (b *shownBlock) show() *C.char {
	copy(b.memory.atLeast(len(b.b)), b.b)
	return (*C.char)(b.memory.p)
}

// NewExtraction returns an extraction for which no event is live.
func NewExtraction() *Extraction {
	return &Extraction{c: C.extraction_new()}
}

// SetLive says which events are followed by their values: those of the segment,
// or none if it is nil. It must be called before Falco sees the events, and
// again before their memory is used for something else.
func (e *Extraction) SetLive(s *Segment) {
	if s == nil {
		C.extraction_set_live(e.c, nil, nil)
		return
	}
	from := (*C.char)(s.memory.p)
	C.extraction_set_live(e.c, from, (*C.char)(unsafe.Add(s.memory.p, s.used)))
}

// Free releases the memory.
func (e *Extraction) Free() {
	C.extraction_free(e.c)
	e.c = nil
	e.parsed.memory.free()
	e.read.memory.free()
	e.metrics.free()
}

// Asked returns the fields that Falco has asked any plugin of this process for so
// far: those that its rules use. The values of others need not be worked out
// before. It only grows; it is safe to call from any goroutine.
func Asked() Set {
	asked := (*Set)(unsafe.Pointer(&C.asked_fields))
	var set Set
	for i := range set {
		set[i] = atomic.LoadUint64(&asked[i])
	}
	return set
}

//export containerapiExtraction
func containerapiExtraction(state C.uintptr_t) *C.extraction {
	return cgo.Handle(state).Value().(Extractor).Extraction().c
}

//export containerapiValues
func containerapiValues(state C.uintptr_t, event *C.ss_plugin_event) *C.char {
	extractor := cgo.Handle(state).Value().(Extractor)
	read := &extractor.Extraction().read
	read.Reset(All)
	extractor.Values(payload(event), &read.Block)
	return read.show()
}

//export containerapiParsed
func containerapiParsed(state C.uintptr_t) *C.char {
	parser := cgo.Handle(state).Value().(Parser)
	read := &parser.Extraction().read
	read.Reset(All)
	parser.Parsed(&read.Block)
	return read.show()
}

// Parse shows an event to the plugin, a [Parser], that a handle of plugin-sdk-go
// stands for. The event is a ss_plugin_event of Falco's, and num its number there.
// It is for the thread on which Falco takes the source's events.
func Parse(plugin cgo.Handle, event unsafe.Pointer, num uint64) {
	parser := plugin.Value().(Parser)
	e, evt := parser.Extraction(), (*C.ss_plugin_event)(event)
	e.parsed.Reset(Asked())
	parser.Parse(payload(evt), int64(evt.ts), &e.parsed.Block)
	C.extraction_set_parsed(e.c, evt, C.uint64_t(num), e.parsed.show())
}

// payload returns what the source of an event wrote into it:
//
//	| header | length of id | length of payload | id | payload |
func payload(event *C.ss_plugin_event) []byte {
	n := *(*uint32)(unsafe.Add(unsafe.Pointer(event), C.sizeof_ss_plugin_event+4))
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(event), sdk.PluginEventPayloadOffset)), n)
}
