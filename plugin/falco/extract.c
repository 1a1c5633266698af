// SPDX-License-Identifier: Apache-2.0

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "abi.h"

// The largest cgo.Handle of plugin-sdk-go, whose values are Falco's plugin
// states.
#define MAX_HANDLE 255

// How many strings and buffers one call may return.
#define MAX_RESULTS 512

struct view {
	// Events in [live, live_end) are followed by their values.
	const char *live, *live_end;
	// The values of the last event that was not in there.
	const ss_plugin_event *external;
	uint64_t external_num;
	const char *external_values;
	// What the results of one call point to.
	const char *strings[MAX_RESULTS];
	ss_plugin_byte_buffer buffers[MAX_RESULTS];
};

// The head of an event's values; see block.go for their layout.
typedef struct {
	uint64_t present[2];
	uint64_t known[2];
	uint64_t value[];
} values;

uint64_t asked_fields[2];

static view *views[MAX_HANDLE + 1];

// Defined in extract.go.
extern view *containerapiView(uintptr_t state);
extern char *containerapiValues(uintptr_t state, char *payload, uint32_t len);

view *view_new(void)
{
	return calloc(1, sizeof(view));
}

void view_free(view *v)
{
	for (int i = 0; i <= MAX_HANDLE; i++) {
		if (views[i] == v)
			views[i] = NULL;
	}
	free(v);
}

void view_live(view *v, const char *from, const char *to)
{
	v->live = from;
	v->live_end = to;
}

static int has(const uint64_t *set, uint32_t id)
{
	return id < 128 && set[id / 64] >> (id % 64) & 1;
}

// read_values returns the values that Go reads from an event's payload, all of
// them, once for an event.
static const values *read_values(view *v, uintptr_t state, const ss_plugin_event_input *in)
{
	const char *evt = (const char *)in->evt;
	if (v->external != in->evt || v->external_num != in->evtnum || v->external_values == NULL) {
		// | header | length of id | length of payload | id | payload |
		uint32_t len;
		memcpy(&len, evt + sizeof(ss_plugin_event) + 4, sizeof(len));
		v->external_values = containerapiValues(state, (char *)evt + sizeof(ss_plugin_event) + 12, len);
		v->external = in->evt;
		v->external_num = in->evtnum;
	}
	return (const values *)v->external_values;
}

// values_of returns the values of an event in which it is known whether a field
// has a value: those that stand behind the event if this plugin made it, or
// else those read from it. Fields that are asked for once will be again, and
// from then on stand behind new events.
static const values *values_of(view *v, uintptr_t state, const ss_plugin_event_input *in, uint32_t id)
{
	const char *evt = (const char *)in->evt;
	if (evt < v->live || evt >= v->live_end)
		return read_values(v, state, in);
	const values *f = (const values *)(evt + ((in->evt->len + 7) & ~7u));
	if (has(f->known, id))
		return f;
	if (id < 128)
		__atomic_fetch_or(&asked_fields[id / 64], 1ull << (id % 64), __ATOMIC_RELAXED);
	return read_values(v, state, in);
}

// plugin_extract_fields implements the API's function of this name. It calls
// Go at most once for an event, and as a rule not at all for an event that this
// plugin made: a call into Go costs more than all that is done here.
int32_t plugin_extract_fields(void *state, const ss_plugin_event_input *in,
			      const ss_plugin_field_extract_input *request)
{
	uintptr_t handle = (uintptr_t)state;
	if (handle > MAX_HANDLE)
		return 1;
	view *v = views[handle];
	if (v == NULL)
		v = views[handle] = containerapiView(handle);

	uint32_t strings = 0, buffers = 0;

	for (uint32_t i = 0; i < request->num_fields; i++) {
		ss_plugin_extract_field *field = &request->fields[i];
		uint32_t id = field->field_id;
		field->res_len = 0;
		const values *f = values_of(v, handle, in, id);
		if (f == NULL || !has(f->present, id))
			continue;
		const char *base = (const char *)f;

		const uint64_t *value = &f->value[id];
		uint32_t offset = (uint32_t)*value, n = (uint32_t)(*value >> 32);
		switch (field->ftype) {
		case FTYPE_STRING:
			if (!field->flist)
				n = 1;
			if (strings + n > MAX_RESULTS)
				break;
			field->res.str = &v->strings[strings];
			field->res_len = n;
			if (!field->flist) {
				v->strings[strings++] = base + offset;
				break;
			}
			for (const uint32_t *o = (const uint32_t *)(base + offset); n > 0; n--)
				v->strings[strings++] = base + *o++;
			break;
		case FTYPE_IPADDR:
			if (buffers == MAX_RESULTS)
				break;
			v->buffers[buffers].len = n;
			v->buffers[buffers].ptr = base + offset;
			field->res.buf = &v->buffers[buffers++];
			field->res_len = 1;
			break;
		default:
			// Numbers and, on little-endian machines, booleans.
			field->res.u64 = (uint64_t *)value;
			field->res_len = 1;
		}
	}
	return 0;
}
