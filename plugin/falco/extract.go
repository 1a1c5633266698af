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
	c        *C.extraction
	external Block
	memory   memory
	metrics  measured
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
	e.memory.free()
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
func containerapiValues(state C.uintptr_t, payload *C.char, n C.uint32_t) *C.char {
	extractor := cgo.Handle(state).Value().(Extractor)
	e := extractor.Extraction()
	e.external.Reset(All)
	extractor.Values(unsafe.Slice((*byte)(unsafe.Pointer(payload)), n), &e.external)
	b := e.external.b
	copy(e.memory.atLeast(len(b)), b)
	return (*C.char)(e.memory.p)
}
