// SPDX-License-Identifier: Apache-2.0

// Threads: only asked_fields is shared by them; all else here has no lock and
// needs none. The API calls a function from several threads at once only "with
// distinct and unique parameter values" (plugin_api.h, at next_batch and
// extract_fields), and so for different plugin states. Falco goes further: it
// takes the events of a source, parses and matches them and formats their alerts on
// one thread (process_inspector_events in
// userspace/falco/app/actions/process_events.cpp and falco_outputs::handle_event
// of falcosecurity/falco), and makes and destroys plugins on its main thread
// while no source runs. An extraction, with its slot in extractions, is therefore
// one thread's, which is also the one that says which events are live.

#include <stdlib.h>
#include <string.h>

#include "abi.h"

// told is an event with what is known of it; values is NULL if there is none.
struct told {
	const ss_plugin_event *evt;
	uint64_t num;
	const values *values;
};

struct extraction {
	// Events in [live, live_end) are followed by their values.
	const char *live, *live_end;
	// The event that was parsed last, with the values of the fields that were
	// asked for before.
	struct told parsed;
	// The last event of which Go was asked, with all of its values. Its memory is
	// not that of parsed, which Falco may still point into.
	struct told read;
	// What the results of one call point to.
	const char *strings[MAX_RESULTS];
	ss_plugin_byte_buffer buffers[MAX_RESULTS];
};

uint64_t asked_fields[SET_WORDS];

// By the plugin state.
static extraction *extractions[MAX_HANDLE + 1];

// Defined in extract.go.
extern extraction *containerapiExtraction(uintptr_t state);
extern char *containerapiValues(uintptr_t state, const ss_plugin_event *evt);
extern char *containerapiParsed(uintptr_t state);

extraction *extraction_new(void)
{
	return calloc(1, sizeof(extraction));
}

void extraction_free(extraction *e)
{
	for (int i = 0; i <= MAX_HANDLE; i++) {
		if (extractions[i] == e)
			extractions[i] = NULL;
	}
	free(e);
}

void extraction_set_live(extraction *e, const char *from, const char *to)
{
	e->live = from;
	e->live_end = to;
}

void extraction_set_parsed(extraction *e, const ss_plugin_event *evt, uint64_t num, const char *v)
{
	e->parsed = (struct told){.evt = evt, .num = num, .values = (const values *)v};
	// Nor is what was read before that of this event, whatever its number.
	e->read.values = NULL;
}

static int tells(const struct told *t, const ss_plugin_event_input *in)
{
	return t->values != NULL && t->evt == in->evt && t->num == in->evtnum;
}

static int has(const uint64_t *set, uint32_t id)
{
	return id < SET_WORDS * 64 && set[id / 64] >> (id % 64) & 1;
}

// read_values returns the values that Go has or reads of an event, all of them,
// once for an event.
static const values *read_values(extraction *e, uintptr_t state, const ss_plugin_event_input *in)
{
	if (!tells(&e->read, in)) {
		char *v = tells(&e->parsed, in) ? containerapiParsed(state) : containerapiValues(state, in->evt);
		e->read = (struct told){.evt = in->evt, .num = in->evtnum, .values = (const values *)v};
	}
	return e->read.values;
}

// values_of returns the values of an event in which it is known whether a field
// has a value: those that stand behind the event if this plugin made it, those that
// were worked out when it was parsed, or else those read from it. Fields that are
// asked for once will be again, and from then on are among the first two.
static const values *values_of(extraction *e, uintptr_t state, const ss_plugin_event_input *in, uint32_t id)
{
	const char *evt = (const char *)in->evt;
	const values *f;
	if (evt >= e->live && evt < e->live_end)
		f = (const values *)(evt + ((in->evt->len + 7) & ~7u));
	else if (tells(&e->parsed, in))
		f = e->parsed.values;
	else
		return read_values(e, state, in);
	if (has(f->known, id))
		return f;
	if (id < SET_WORDS * 64)
		__atomic_fetch_or(&asked_fields[id / 64], 1ull << (id % 64), __ATOMIC_RELAXED);
	return read_values(e, state, in);
}

// plugin_extract_fields implements the API's function of this name. It calls
// Go at most once for an event, and as a rule not at all for an event that this
// plugin made or parsed: a call into Go costs more than all that is done here.
int32_t plugin_extract_fields(void *state, const ss_plugin_event_input *in,
			      const ss_plugin_field_extract_input *request)
{
	uintptr_t handle = (uintptr_t)state;
	if (handle > MAX_HANDLE)
		return 1;
	extraction *e = extractions[handle];
	if (e == NULL)
		e = extractions[handle] = containerapiExtraction(handle);

	uint32_t strings = 0, buffers = 0;

	for (uint32_t i = 0; i < request->num_fields; i++) {
		ss_plugin_extract_field *field = &request->fields[i];
		uint32_t id = field->field_id;
		field->res_len = 0;
		const values *f = values_of(e, handle, in, id);
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
			field->res.str = &e->strings[strings];
			field->res_len = n;
			if (!field->flist) {
				e->strings[strings++] = base + offset;
				break;
			}
			for (const uint32_t *o = (const uint32_t *)(base + offset); n > 0; n--)
				e->strings[strings++] = base + *o++;
			break;
		case FTYPE_IPADDR:
			if (buffers == MAX_RESULTS)
				break;
			e->buffers[buffers].len = n;
			e->buffers[buffers].ptr = base + offset;
			field->res.buf = &e->buffers[buffers++];
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
