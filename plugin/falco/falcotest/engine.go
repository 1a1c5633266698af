// SPDX-License-Identifier: Apache-2.0

// Package falcotest stands in for Falco in tests and benchmarks: it calls a
// plugin's C functions as Falco's engine does.
package falcotest

/*
#include <stdlib.h>
#include <string.h>
#include "../abi.h"

// Defined in package falco, which every user of this package links in.
extern int32_t plugin_extract_fields(void *state, const ss_plugin_event_input *in, const ss_plugin_field_extract_input *request);
extern ss_plugin_metric *plugin_get_metrics(uintptr_t state, uint32_t *n);

// Defined in package parsing, if the plugin's library links it in.
extern int32_t plugin_parse_event(uintptr_t state, const ss_plugin_event_input *in, const void *tables) __attribute__((weak));
extern const char *plugin_get_parse_event_sources(void) __attribute__((weak));

static int parses(void) { return plugin_parse_event != NULL; }

static const char *parse_sources(void) { return plugin_get_parse_event_sources(); }

static int32_t parse(uintptr_t state, const ss_plugin_event *evt, uint64_t num)
{
	ss_plugin_event_input in = {.evt = evt, .evtnum = num};
	return plugin_parse_event(state, &in, NULL);
}

static int32_t extract(uintptr_t state, const ss_plugin_event *evt, uint64_t num, ss_plugin_extract_field *fields, uint32_t n)
{
	ss_plugin_event_input in = {.evt = evt, .evtnum = num};
	ss_plugin_field_extract_input request = {.num_fields = n, .fields = fields};
	return plugin_extract_fields((void *)state, &in, &request);
}

static void forget_asked(void) { memset(asked_fields, 0, sizeof(asked_fields)); }

static const char *string_at(const ss_plugin_extract_field *f, int i) { return f->res.str[i]; }
static uint64_t number_at(const ss_plugin_extract_field *f) { return *f->res.u64; }
static uint32_t bool_at(const ss_plugin_extract_field *f) { return *f->res.boolean; }
static ss_plugin_byte_buffer buffer_at(const ss_plugin_extract_field *f) { return *f->res.buf; }
*/
import "C"

import (
	"fmt"
	"net/netip"
	"slices"
	"unsafe"

	"github.com/falcosecurity/plugin-sdk-go/pkg/cgo"
	"github.com/falcosecurity/plugin-sdk-go/pkg/sdk"

	"github.com/containerapi/containerapi/plugin/falco"
)

// Engine is an engine with one plugin and the fields that it extracts.
type Engine struct {
	handle  cgo.Handle
	entries []sdk.FieldEntry
	fields  []C.ss_plugin_extract_field
	num     uint64
}

// types are the numbers of field types in the plugin API.
var types = map[string]C.uint32_t{
	"uint64": C.FTYPE_UINT64,
	"string": C.FTYPE_STRING,
	"bool":   C.FTYPE_BOOL,
	"ipaddr": C.FTYPE_IPADDR,
}

// New returns an engine for an initialized plugin with these fields.
func New(state falco.Extractor, entries []sdk.FieldEntry) *Engine {
	e := &Engine{handle: cgo.NewHandle(state), entries: entries}
	size := C.size_t(len(entries)) * C.sizeof_ss_plugin_extract_field
	memory := C.calloc(1, size)
	e.fields = unsafe.Slice((*C.ss_plugin_extract_field)(memory), len(entries))
	for i, entry := range entries {
		e.fields[i].field_id = C.uint32_t(i)
		e.fields[i].ftype = types[entry.Type]
		if entry.IsList {
			e.fields[i].flist = 1
		}
	}
	return e
}

// Close forgets the plugin, which must be destroyed first.
func (e *Engine) Close() {
	e.handle.Delete()
	C.free(unsafe.Pointer(&e.fields[0]))
}

// Record returns an event's record as it stands in a [falco.Segment]. Time is in
// nanoseconds since the Unix epoch.
func Record(time int64, payload []byte, values *falco.Block) []byte {
	return falco.EndRecord(append(falco.BeginRecord(nil, time), payload...), 0, values)
}

// Event is an event as Falco hands it to a plugin.
type Event struct {
	p   *C.ss_plugin_event
	num uint64
}

// Events returns the events of a list that NextBatch filled.
func (e *Engine) Events(list sdk.EventWriters, n int) []Event {
	events := make([]Event, n)
	for i, p := range unsafe.Slice((**C.ss_plugin_event)(list.ArrayPtr()), n) {
		e.num++
		events[i] = Event{p: p, num: e.num}
	}
	return events
}

// Foreign returns a copy of an event's payload in memory that no plugin knows,
// as if it came from a capture file, and a function that frees it.
func (e *Engine) Foreign(payload []byte) (Event, func()) {
	var none falco.Block
	none.Reset(falco.All)
	record := Record(1, payload, &none)
	memory := C.CBytes(record[8 : 8+sdk.PluginEventPayloadOffset+len(payload)])
	e.num++
	return Event{p: (*C.ss_plugin_event)(memory), num: e.num}, func() { C.free(memory) }
}

// ParseSources returns the sources whose events Falco has the plugin parse, as a JSON
// list, or "" for a plugin that does not parse events.
func ParseSources() string {
	if C.parses() == 0 {
		return ""
	}
	return C.GoString(C.parse_sources())
}

// Parse shows an event to a plugin that parses events, as Falco does before it
// extracts fields.
func (e *Engine) Parse(ev Event) error {
	if rc := C.parse(C.uintptr_t(e.handle), ev.p, C.uint64_t(ev.num)); rc != 0 {
		return fmt.Errorf("plugin_parse_event returned %d", rc)
	}
	return nil
}

// ForgetAsked makes it unknown which fields are asked for, as when Falco starts.
func ForgetAsked() { C.forget_asked() }

// Hold extracts a field that is a string, and returns a function that reads it where
// Falco still points at, as it does until it is done with the event.
func (e *Engine) Hold(ev Event, name string) (func() string, error) {
	i := slices.IndexFunc(e.entries, func(entry sdk.FieldEntry) bool { return entry.Name == name })
	C.extract(C.uintptr_t(e.handle), ev.p, C.uint64_t(ev.num), &e.fields[i], 1)
	if e.fields[i].res_len != 1 {
		return nil, fmt.Errorf("%s has %d values", name, e.fields[i].res_len)
	}
	held := C.string_at(&e.fields[i], 0)
	return func() string { return C.GoString(held) }, nil
}

// Next returns the event as one that comes later, in the same place.
func (ev Event) Next() Event { return Event{p: ev.p, num: ev.num + 1} }

// Payload returns what Falco shows as evt.plugininfo, and the event's time in
// nanoseconds since the Unix epoch.
func (ev Event) Payload() (payload []byte, time uint64) {
	b := unsafe.Slice((*byte)(unsafe.Pointer(ev.p)), ev.p.len)
	return append([]byte(nil), b[sdk.PluginEventPayloadOffset:]...), uint64(ev.p.ts)
}

// Touch extracts the first n fields one by one, as Falco does for a rule's
// condition, and returns how many have a value.
func (e *Engine) Touch(ev Event, n int) int {
	found := 0
	for i := range n {
		C.extract(C.uintptr_t(e.handle), ev.p, C.uint64_t(ev.num), &e.fields[i], 1)
		if e.fields[i].res_len > 0 {
			found++
		}
	}
	return found
}

// Extract returns the event's fields by name: string, []string, uint64, bool
// or netip.Addr. All are extracted in one call.
func (e *Engine) Extract(ev Event) (map[string]any, error) {
	rc := C.extract(C.uintptr_t(e.handle), ev.p, C.uint64_t(ev.num), &e.fields[0], C.uint32_t(len(e.fields)))
	if rc != 0 {
		return nil, fmt.Errorf("plugin_extract_fields returned %d", rc)
	}
	values := make(map[string]any)
	for i := range e.fields {
		f := &e.fields[i]
		if f.res_len == 0 {
			continue
		}
		name := e.entries[i].Name
		switch {
		case f.ftype == C.FTYPE_STRING && f.flist != 0:
			list := make([]string, f.res_len)
			for j := range list {
				list[j] = C.GoString(C.string_at(f, C.int(j)))
			}
			values[name] = list
		case f.ftype == C.FTYPE_STRING:
			values[name] = C.GoString(C.string_at(f, 0))
		case f.ftype == C.FTYPE_UINT64:
			values[name] = uint64(C.number_at(f))
		case f.ftype == C.FTYPE_BOOL:
			values[name] = C.bool_at(f) != 0
		case f.ftype == C.FTYPE_IPADDR:
			b := C.buffer_at(f)
			addr, ok := netip.AddrFromSlice(C.GoBytes(b.ptr, C.int(b.len)))
			if !ok {
				return nil, fmt.Errorf("%s has an address of %d bytes", name, b.len)
			}
			values[name] = addr
		}
	}
	return values, nil
}

// Metrics returns the plugin's metrics by name.
func (e *Engine) Metrics() map[string]uint64 {
	var n C.uint32_t
	list := C.plugin_get_metrics(C.uintptr_t(e.handle), &n)
	values := make(map[string]uint64)
	for _, m := range unsafe.Slice(list, n) {
		values[C.GoString(m.name)] = uint64(m.value)
	}
	return values
}
