// SPDX-License-Identifier: Apache-2.0

// The part of Falco's plugin API that this plugin serves without
// plugin-sdk-go, as declared in userspace/plugin/plugin_types.h and
// plugin_api.h of github.com/falcosecurity/libs. The API keeps these layouts
// within a major version: structs grow at their end only. layout.h has them in
// numbers, which a test compares with plugin-sdk-go's copy of the API as well.

#pragma once

#include <stdint.h>

enum {
	FTYPE_UINT64 = 8,
	FTYPE_STRING = 9,
	FTYPE_BOOL = 25,
	FTYPE_IPADDR = 40,
};

enum {
	SS_PLUGIN_METRIC_VALUE_TYPE_U64 = 2,
};

enum {
	SS_PLUGIN_METRIC_TYPE_MONOTONIC = 0,
	SS_PLUGIN_METRIC_TYPE_NON_MONOTONIC = 1,
};

#pragma pack(push, 1)
typedef struct ss_plugin_event {
	uint64_t ts;
	uint64_t tid;
	uint32_t len;
	uint16_t type;
	uint32_t nparams;
} ss_plugin_event;
#pragma pack(pop)

typedef struct ss_plugin_event_input {
	const ss_plugin_event *evt;
	uint64_t evtnum;
	const char *evtsrc;
} ss_plugin_event_input;

typedef struct ss_plugin_byte_buffer {
	uint32_t len;
	const void *ptr;
} ss_plugin_byte_buffer;

typedef struct ss_plugin_extract_field {
	union {
		const char **str;
		uint64_t *u64;
		uint32_t *boolean;
		ss_plugin_byte_buffer *buf;
	} res;
	uint64_t res_len;
	uint32_t field_id;
	const char *field;
	const char *arg_key;
	uint64_t arg_index;
	uint32_t arg_present;
	uint32_t ftype;
	uint32_t flist;
} ss_plugin_extract_field;

typedef struct ss_plugin_field_extract_input {
	void *owner;
	const char *(*get_owner_last_error)(void *owner);
	uint32_t num_fields;
	ss_plugin_extract_field *fields;
	// More follows; nothing of it is used.
} ss_plugin_field_extract_input;

typedef struct ss_plugin_metric {
	const char *name;
	uint32_t type;
	uint64_t value;
	uint32_t value_type;
} ss_plugin_metric;

#include "layout.h"

// What extract.c and Go count with; extract.go holds the two to each other.
enum {
	// The largest cgo.Handle of plugin-sdk-go, whose values are Falco's plugin
	// states.
	MAX_HANDLE = 255,
	// How many strings, and how many buffers, one call may return.
	MAX_RESULTS = 512,
	// Sets of fields are bitmaps of this many words of 64 bits.
	SET_WORDS = 3,
};

// The head of an event's values; block.go has the whole layout.
typedef struct values {
	uint64_t present[SET_WORDS];
	uint64_t known[SET_WORDS];
	uint64_t value[];
} values;

// An extraction is what one initialized plugin knows about the events that Falco
// asks it about.
typedef struct extraction extraction;

extraction *extraction_new(void);
void extraction_free(extraction *e);

// extraction_set_live says that the events in [from, to) were made by this
// plugin and are each followed by their values. Both NULL: there are none.
void extraction_set_live(extraction *e, const char *from, const char *to);

// extraction_set_parsed says what was found in the event that Falco shows now, the
// one with this number: values of the fields that were asked for until now. They
// have to stay as they are until the next event is parsed.
void extraction_set_parsed(extraction *e, const ss_plugin_event *evt, uint64_t num, const char *values);

// The fields that Falco has asked for so far, by their ids: of any plugin of this
// process, as the rules of all sources are loaded together. The set only grows,
// also when Falco loads other rules: a field too many costs a little time for
// each event, one too few a call into Go. It is read and written atomically,
// because every source has a thread of its own.
extern uint64_t asked_fields[SET_WORDS];
