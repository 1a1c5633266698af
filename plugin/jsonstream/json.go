// SPDX-License-Identifier: Apache-2.0

// Package jsonstream reads events from JSON texts of any size in memory that
// does not depend on what the texts hold.
package jsonstream

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/containerapi/containerapi/plugin/event"
)

var (
	errBroken   = errors.New("broken JSON")
	errUnended  = errors.New("broken JSON: it ends too early")
	errTrailing = errors.New("broken JSON: something follows its end")
)

// Items calls each for every event in a JSON text, which is one event, an
// array of events or an EventList. It finds where they begin and end without
// reading what is in them. The error says why there are none or not all.
func Items(text []byte, each func(item []byte)) error {
	i := space(text, 0)
	if i == len(text) {
		return errUnended
	}
	switch text[i] {
	case '[':
		end, err := elements(text[i:], each)
		if err != nil {
			return err
		}
		return trailing(text, i+end)
	case '{':
		list, items := false, []byte(nil)
		end, complete := members(text[i:], func(m member) {
			switch string(m.key) {
			case "kind":
				list = string(m.value) == `"EventList"`
			case "items":
				items = m.value
			}
		})
		if !complete {
			return errUnended
		}
		if err := trailing(text, i+end); err != nil {
			return err
		}
		if !list {
			each(text)
			return nil
		}
		if len(items) > 0 && items[0] == '[' {
			_, err := elements(items, each)
			return err
		}
		return nil // without items, or null: an empty list
	}
	if !json.Valid(text) {
		return errBroken
	}
	return event.ErrUnrecognized
}

// End returns where the JSON text ends that text begins with, or -1 if it is
// an object or array that does not end, or none of the two.
func End(text []byte) int {
	i := space(text, 0)
	if i == len(text) || (text[i] != '{' && text[i] != '[') {
		return -1
	}
	end, _, _ := skip(text, i)
	return end
}

func trailing(text []byte, i int) error {
	if space(text, i) != len(text) {
		return errTrailing
	}
	return nil
}

// elements calls each for the elements of the array that text begins with, and
// returns where it ends.
func elements(text []byte, each func([]byte)) (end int, err error) {
	i := space(text, 1)
	if i < len(text) && text[i] == ']' {
		return i + 1, nil
	}
	for {
		end, _, _ := skip(text, i)
		if end < 0 {
			return 0, errUnended
		}
		each(text[i:end])
		i = space(text, end)
		switch {
		case i == len(text):
			return 0, errUnended
		case text[i] == ']':
			return i + 1, nil
		case text[i] != ',':
			return 0, errBroken
		}
		i = space(text, i+1)
	}
}

// member is one member of an object as it is written.
type member struct {
	key, value []byte // key without its quotes
	// values is how many values there are inside the value, at least, depth
	// how deep they lie.
	values, depth int
}

// members calls each for the complete members of the object that text begins
// with. It returns where the object ends and whether it does.
func members(text []byte, each func(member)) (end int, complete bool) {
	i := space(text, 1)
	if i < len(text) && text[i] == '}' {
		return i + 1, true
	}
	for i < len(text) && text[i] == '"' {
		var m member
		end := skipString(text, i)
		if end < 0 {
			return 0, false
		}
		m.key = text[i+1 : end-1]
		i = space(text, end)
		if i == len(text) || text[i] != ':' {
			return 0, false
		}
		i = space(text, i+1)
		end, m.values, m.depth = skip(text, i)
		if end < 0 {
			return 0, false
		}
		m.value = text[i:end]
		each(m)
		i = space(text, end)
		if i < len(text) && text[i] == '}' {
			return i + 1, true
		}
		if i == len(text) || text[i] != ',' {
			return 0, false
		}
		i = space(text, i+1)
	}
	return 0, false
}

// skip returns where the value ends that begins at text[i], or -1 if it does
// not end. It looks at strings and brackets only.
func skip(text []byte, i int) (end, values, depth int) {
	level := 0
	for i < len(text) {
		switch text[i] {
		case '"':
			if i = skipString(text, i); i < 0 {
				return -1, 0, 0
			}
			if level == 0 {
				return i, values, depth
			}
			continue
		case '{', '[':
			level++
			values++
			depth = max(depth, level)
		case '}', ']':
			if level--; level == 0 {
				return i + 1, values, depth
			}
			if level < 0 {
				return -1, 0, 0
			}
		case ',':
			if level == 0 {
				return -1, 0, 0
			}
			values++
		default:
			if level == 0 {
				// A number or a word; at the end of the text it may go on.
				if n := bytes.IndexAny(text[i:], ",]} \t\r\n"); n > 0 {
					return i + n, 0, 0
				}
				return -1, 0, 0
			}
		}
		i++
	}
	return -1, 0, 0
}

// skipString returns the index behind the string that begins at text[i], or -1.
func skipString(text []byte, i int) int {
	for end := i + 1; ; end++ {
		n := bytes.IndexByte(text[end:], '"')
		if n < 0 {
			return -1
		}
		end += n
		first := end
		for text[first-1] == '\\' {
			first--
		}
		// The quotation mark at text[i] ends the loop above.
		if (end-first)%2 == 0 {
			return end + 1
		}
	}
}

func space(text []byte, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] == '\n' || text[i] == '\t' || text[i] == '\r') {
		i++
	}
	return i
}
