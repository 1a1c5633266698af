// SPDX-License-Identifier: Apache-2.0

package falco

/*
#include "abi.h"
#include <stdlib.h>
*/
import "C"

import (
	"sync"
	"unsafe"

	"github.com/falcosecurity/plugin-sdk-go/pkg/cgo"
)

// Metric is a number that Falco exports with the plugin's name before its own.
type Metric struct {
	Name  string
	Value uint64
	// Gauge is true for a number that can go down as well.
	Gauge bool
}

// maxMetrics is how many metrics a plugin may have.
const maxMetrics = 64

// measured holds what a plugin last returned to Falco. Falco asks from several
// threads and copies what it got without a lock, so that the memory must stay
// where it is.
type measured struct {
	mu     sync.Mutex
	source func() []Metric
	list   memory
	names  map[string]*C.char
}

// Measure says where the plugin gets its metrics from: a function that
// is safe to call from any thread, or nil.
func (e *Extraction) Measure(source func() []Metric) {
	e.metrics.mu.Lock()
	defer e.metrics.mu.Unlock()
	e.metrics.source = source
}

//export plugin_get_metrics
func plugin_get_metrics(state C.uintptr_t, n *C.uint32_t) *C.ss_plugin_metric {
	*n = 0
	if state == 0 {
		return nil
	}
	m := &cgo.Handle(state).Value().(Extractor).Extraction().metrics
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.source == nil {
		return nil
	}
	values := m.source()
	values = values[:min(len(values), maxMetrics)]
	if m.names == nil {
		m.names = make(map[string]*C.char)
		m.list = allocate(maxMetrics * C.sizeof_ss_plugin_metric)
	}
	list := (*[maxMetrics]C.ss_plugin_metric)(m.list.p)
	for i, v := range values {
		name, ok := m.names[v.Name]
		if !ok {
			name = C.CString(v.Name)
			m.names[v.Name] = name
		}
		list[i] = C.ss_plugin_metric{name: name, value: C.uint64_t(v.Value), value_type: C.SS_PLUGIN_METRIC_VALUE_TYPE_U64}
		if v.Gauge {
			list[i]._type = C.SS_PLUGIN_METRIC_TYPE_NON_MONOTONIC
		}
	}
	*n = C.uint32_t(len(values))
	return &list[0]
}

func (m *measured) free() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range m.names {
		C.free(unsafe.Pointer(name))
	}
	m.names, m.source = nil, nil
	m.list.free()
}
