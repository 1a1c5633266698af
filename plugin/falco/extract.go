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
	// Extraction returns what NewExtraction gave, which the plugin creates at Init and frees at
	// Destroy.
	Extraction() *Extraction
	// Values writes the values of an event that this plugin did not make to an
	// empty block. What cannot be read has no values.
	Values(payload []byte, to *Block)
}

// Extraction connects an initialized plugin with the extraction of its fields and with
// its metrics.
type Extraction struct {
	c        *C.view
	external Block
	memory   memory
	metrics  measured
}

// NewExtraction returns a view for which no event is live.
func NewExtraction() *Extraction {
	return &Extraction{c: C.view_new()}
}

// SetLive says which events are followed by their values: those of the segment,
// or none if it is nil. It must be called before Falco sees the events, and
// again before their memory is used for something else.
func (v *Extraction) SetLive(s *Segment) {
	if s == nil {
		C.view_live(v.c, nil, nil)
		return
	}
	from := (*C.char)(s.memory.p)
	C.view_live(v.c, from, (*C.char)(unsafe.Add(s.memory.p, s.used)))
}

// Free releases the memory.
func (v *Extraction) Free() {
	C.view_free(v.c)
	v.c = nil
	v.memory.free()
	v.metrics.free()
}

// Asked returns the fields that Falco has asked any plugin for so far: those
// that its rules use. The values of others need not be worked out before.
func Asked() Set {
	asked := (*[2]uint64)(unsafe.Pointer(&C.asked_fields))
	return Set{atomic.LoadUint64(&asked[0]), atomic.LoadUint64(&asked[1])}
}

//export containerapiView
func containerapiView(state C.uintptr_t) *C.view {
	return cgo.Handle(state).Value().(Extractor).Extraction().c
}

//export containerapiValues
func containerapiValues(state C.uintptr_t, payload *C.char, n C.uint32_t) *C.char {
	extractor := cgo.Handle(state).Value().(Extractor)
	v := extractor.Extraction()
	v.external.Reset(All)
	extractor.Values(unsafe.Slice((*byte)(unsafe.Pointer(payload)), n), &v.external)
	b := v.external.b
	copy(v.memory.atLeast(len(b)), b)
	return (*C.char)(v.memory.p)
}
