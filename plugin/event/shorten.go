// SPDX-License-Identifier: Apache-2.0

package event

import (
	"reflect"
	"unicode/utf8"
)

// MaxShortened is how long the JSON of a shortened event is at most, in bytes.
const MaxShortened = 32 << 10

// How long the texts of a shortened event may be, in bytes of their JSON, and
// how many values a list may have. All that one event has adds up to less than
// MaxShortened, so that nothing has to give way to anything else: who did what
// to which object stays, however much a client writes into the rest.
const (
	shortText  = 512
	shortValue = 256
	shortList  = 12
)

// Shorten cuts the parts of the event that can be long, so that its JSON takes
// MaxShortened bytes at most, whatever they consist of.
func (e *Event) Shorten() {
	e.Shortened = true
	// The last source is the peer, which clients cannot choose.
	k := &e.Kubernetes
	k.SourceIPs = k.SourceIPs[max(0, len(k.SourceIPs)-shortList):]
	shortenAll(reflect.ValueOf(e).Elem())
}

// shortenAll finds the texts and lists by reflection, so that none can be
// forgotten. Few events are so long that it matters what this takes.
func shortenAll(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			shortenAll(v.Field(i))
		}
	case reflect.String:
		v.SetString(cut(v.String(), shortText))
	case reflect.Slice: // of strings
		v.SetLen(min(v.Len(), shortList))
		for i := range v.Len() {
			value := v.Index(i)
			value.SetString(cut(value.String(), shortValue))
		}
	}
}

// cut returns the beginning of s that takes at most so many bytes as a JSON
// string, and ends where a character does.
func cut(s string, limit int) string {
	size := 0
	for i, r := range s {
		switch {
		case r < ' ':
			size += len(`\u0000`)
		case r == '"' || r == '\\':
			size += 2
		default:
			size += utf8.RuneLen(r) // U+FFFD for what is not UTF-8
		}
		if size > limit {
			return s[:i]
		}
	}
	return s
}
