// SPDX-License-Identifier: Apache-2.0

// A Falco plugin that does nothing: it hands out the same event of 1.2 KB as
// often as it is told to, and its fields cost nothing. What the engine reaches
// with it is the limit for every plugin.
//
// The declarations follow userspace/plugin/plugin_types.h and plugin_api.h of
// github.com/falcosecurity/libs.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

enum { SUCCESS = 0, FAILURE = 1, END = 2 };

// PPME_PLUGINEVENT_E of driver/ppm_events_public.h.
#define PLUGIN_EVENT 322

#define PAYLOAD 1240
#define BATCH 128

#pragma pack(push, 1)
typedef struct {
	uint64_t ts, tid;
	uint32_t len;
	uint16_t type;
	uint32_t nparams;
	uint32_t id_len, payload_len;
	uint32_t id;
	char payload[PAYLOAD];
} event;
#pragma pack(pop)

typedef struct {
	const char **str;
	uint64_t res_len;
	uint32_t field_id;
	const char *field, *arg_key;
	uint64_t arg_index;
	uint32_t arg_present, ftype, flist;
} extract_field;

typedef struct {
	void *owner;
	const char *(*get_owner_last_error)(void *owner);
	uint32_t num_fields;
	extract_field *fields;
} extract_input;

typedef struct {
	uint64_t left;
	event events[BATCH];
	event *list[BATCH];
} source;

EXPORT const char *plugin_get_required_api_version(void) { return "3.0.0"; }
EXPORT const char *plugin_get_name(void) { return "nothing"; }
EXPORT const char *plugin_get_description(void) { return "A source that does nothing"; }
EXPORT const char *plugin_get_contact(void) { return "github.com/containerapi/containerapi"; }
EXPORT const char *plugin_get_version(void) { return "0.1.0"; }
EXPORT const char *plugin_get_last_error(void *state) { return ""; }
EXPORT uint32_t plugin_get_id(void) { return 998; }
EXPORT const char *plugin_get_event_source(void) { return "nothing"; }

EXPORT void *plugin_init(const void *input, int32_t *rc)
{
	static int state;
	*rc = SUCCESS;
	return &state;
}

EXPORT void plugin_destroy(void *state) {}

// The parameter is how many events there are.
EXPORT void *plugin_open(void *state, const char *params, int32_t *rc)
{
	source *s = calloc(1, sizeof(*s));
	*rc = s == NULL ? FAILURE : SUCCESS;
	if (s == NULL)
		return NULL;
	s->left = strtoull(params, NULL, 10);
	for (int i = 0; i < BATCH; i++) {
		event *e = &s->events[i];
		*e = (event){.len = sizeof(event), .type = PLUGIN_EVENT, .nparams = 2, .id_len = 4, .payload_len = PAYLOAD, .id = 998};
		memset(e->payload, 'x', PAYLOAD);
		s->list[i] = e;
	}
	return s;
}

EXPORT void plugin_close(void *state, void *s) { free(s); }

EXPORT int32_t plugin_next_batch(void *state, void *h, uint32_t *n, event ***events)
{
	source *s = h;
	*n = s->left < BATCH ? s->left : BATCH;
	*events = s->list;
	s->left -= *n;
	// The framework sets the time of an event that has none.
	for (uint32_t i = 0; i < *n; i++)
		s->events[i].ts = s->events[i].tid = UINT64_MAX;
	return *n == 0 ? END : SUCCESS;
}

EXPORT const char *plugin_get_fields(void)
{
	return "[{\"type\":\"string\",\"name\":\"nothing.a\",\"desc\":\"a\"},"
	       "{\"type\":\"string\",\"name\":\"nothing.b\",\"desc\":\"b\"},"
	       "{\"type\":\"string\",\"name\":\"nothing.c\",\"desc\":\"c\"},"
	       "{\"type\":\"string\",\"name\":\"nothing.d\",\"desc\":\"d\"},"
	       "{\"type\":\"string\",\"name\":\"nothing.e\",\"desc\":\"e\"},"
	       "{\"type\":\"string\",\"name\":\"nothing.f\",\"desc\":\"f\"}]";
}

EXPORT int32_t plugin_extract_fields(void *state, const void *e, const extract_input *in)
{
	static const char *values[] = {"a", "b", "c", "d", "e", "f"};
	for (uint32_t i = 0; i < in->num_fields; i++) {
		in->fields[i].str = &values[in->fields[i].field_id];
		in->fields[i].res_len = 1;
	}
	return SUCCESS;
}
