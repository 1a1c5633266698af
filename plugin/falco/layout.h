// SPDX-License-Identifier: Apache-2.0

// The layouts of abi.h in numbers. TestLayout compiles this after the headers of
// plugin-sdk-go, so that the same is true of Falco's own declarations.

#pragma once

#include <stddef.h>

#define IS_AT(type, member, offset, size)                                      \
	_Static_assert(offsetof(type, member) == (offset), #type "." #member); \
	_Static_assert(sizeof(((type *)0)->member) == (size), #type "." #member)
#define IS(name, value) _Static_assert((name) == (value), #name)

IS(FTYPE_UINT64, 8);
IS(FTYPE_STRING, 9);
IS(FTYPE_BOOL, 25);
IS(FTYPE_IPADDR, 40);
IS(SS_PLUGIN_METRIC_VALUE_TYPE_U64, 2);
IS(SS_PLUGIN_METRIC_TYPE_MONOTONIC, 0);
IS(SS_PLUGIN_METRIC_TYPE_NON_MONOTONIC, 1);

IS_AT(ss_plugin_event, ts, 0, 8);
IS_AT(ss_plugin_event, tid, 8, 8);
IS_AT(ss_plugin_event, len, 16, 4);
IS_AT(ss_plugin_event, type, 20, 2);
IS_AT(ss_plugin_event, nparams, 22, 4);
IS(sizeof(ss_plugin_event), 26);

IS_AT(ss_plugin_event_input, evt, 0, 8);
IS_AT(ss_plugin_event_input, evtnum, 8, 8);
IS_AT(ss_plugin_event_input, evtsrc, 16, 8);

IS_AT(ss_plugin_byte_buffer, len, 0, 4);
IS_AT(ss_plugin_byte_buffer, ptr, 8, 8);
IS(sizeof(ss_plugin_byte_buffer), 16);

IS_AT(ss_plugin_extract_field, res, 0, 8);
IS_AT(ss_plugin_extract_field, res_len, 8, 8);
IS_AT(ss_plugin_extract_field, field_id, 16, 4);
IS_AT(ss_plugin_extract_field, field, 24, 8);
IS_AT(ss_plugin_extract_field, arg_key, 32, 8);
IS_AT(ss_plugin_extract_field, arg_index, 40, 8);
IS_AT(ss_plugin_extract_field, arg_present, 48, 4);
IS_AT(ss_plugin_extract_field, ftype, 52, 4);
IS_AT(ss_plugin_extract_field, flist, 56, 4);
IS(sizeof(ss_plugin_extract_field), 64);

IS_AT(ss_plugin_field_extract_input, owner, 0, 8);
IS_AT(ss_plugin_field_extract_input, get_owner_last_error, 8, 8);
IS_AT(ss_plugin_field_extract_input, num_fields, 16, 4);
IS_AT(ss_plugin_field_extract_input, fields, 24, 8);

IS_AT(ss_plugin_metric, name, 0, 8);
IS_AT(ss_plugin_metric, type, 8, 4);
IS_AT(ss_plugin_metric, value, 16, 8);
IS_AT(ss_plugin_metric, value_type, 24, 4);
IS(sizeof(ss_plugin_metric), 32);

#undef IS_AT
#undef IS
