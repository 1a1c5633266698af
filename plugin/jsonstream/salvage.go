// SPDX-License-Identifier: Apache-2.0

package jsonstream

import "encoding/json"

// What an API server writes into an audit event outside of its objects stays
// far below these: it has about 20 members, and what a client can put there
// must fit into the request's header.
const (
	maxMembers = 1 << 10
	maxValues  = 1 << 16
	maxDepth   = 64
)

// Salvage appends to dst the JSON object in text without what no event needs:
// the requestObject and responseObject of an audit event. It also leaves out
// members that hold a great many values or are nested deeply, and if text ends
// before its object does, the member that is not complete.
//
// lost reports that more than those two objects is missing, complete that
// the object ended where text ends. object is valid JSON, or nil if there is
// nothing to save.
func Salvage(dst, text []byte) (object []byte, lost, complete bool) {
	i := space(text, 0)
	if i == len(text) || text[i] != '{' {
		return nil, false, false
	}
	start := len(dst)
	object = append(dst, '{')
	count, values := 0, 0
	end, complete := members(text[i:], func(m member) {
		switch {
		case string(m.key) == "requestObject" || string(m.key) == "responseObject":
			return
		case count == maxMembers || values+m.values > maxValues || m.depth > maxDepth:
			lost = true
			return
		}
		count++
		values += m.values
		if count > 1 {
			object = append(object, ',')
		}
		object = append(object, '"')
		object = append(object, m.key...)
		object = append(object, '"', ':')
		object = append(object, m.value...)
	})
	object = append(object, '}')
	if complete && trailing(text, i+end) != nil {
		return nil, false, false
	}
	if count == 0 || !json.Valid(object[start:]) {
		return nil, false, complete
	}
	return object, lost || !complete, complete
}
