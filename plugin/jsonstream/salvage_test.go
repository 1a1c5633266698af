// SPDX-License-Identifier: Apache-2.0

package jsonstream_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/containerapi/containerapi/plugin/jsonstream"
)

func TestSalvage(t *testing.T) {
	deep := strings.Repeat("[", 100) + strings.Repeat("]", 100)
	many := "[1" + strings.Repeat(",1", 1<<17) + "]"
	for _, test := range []struct {
		text, want     string
		lost, complete bool
	}{
		{`{"a":"1","b":2}`, `{"a":"1","b":2}`, false, true},
		{` { "a" : "1" , "b" : [2] } `, `{"a":"1","b":[2]}`, false, true},
		{`{"a":1,"requestObject":{"x":{}},"b":2,"responseObject":[]}`, `{"a":1,"b":2}`, false, true},
		{`{"a":1,"b":2,"c":{"x":"y`, `{"a":1,"b":2}`, true, false},
		{`{"a":1,"b":"}],\"{`, `{"a":1}`, true, false},
		{`{"a":"\\","b":"\\\"","c":`, `{"a":"\\","b":"\\\""}`, true, false},
		{`{"a":{"}":"]"},"b`, `{"a":{"}":"]"}}`, true, false},
		{`{"a":1,"b":12`, `{"a":1}`, true, false}, // the number may go on
		{`{"a":1,"b":` + deep + `,"c":2}`, `{"a":1,"c":2}`, true, true},
		{`{"a":1,"b":` + many + `,"c":2}`, `{"a":1,"c":2}`, true, true},
		{`{"a":nonsense,"b":`, ``, false, false},
		{`{"a":"1"} x`, ``, false, false},
		{`{"a`, ``, false, false},
		{`[{"a":1}]`, ``, false, false},
		{``, ``, false, false},
	} {
		got, lost, complete := jsonstream.Salvage(nil, []byte(test.text))
		if string(got) != test.want || lost != test.lost || complete != test.complete {
			t.Errorf("%.60s: got %.60s lost %v complete %v, want %s %v %v", test.text, got, lost, complete, test.want, test.lost, test.complete)
		}
	}
}

func FuzzSalvage(f *testing.F) {
	f.Add([]byte(`{"a":1,"b":"\\\"}","requestObject":{"c":[]},"d":{"e`))
	f.Fuzz(func(t *testing.T, text []byte) {
		object, lost, _ := jsonstream.Salvage(nil, text)
		if object == nil {
			return
		}
		var got map[string]json.RawMessage
		if err := json.Unmarshal(object, &got); err != nil {
			t.Fatalf("%q: %v", object, err)
		}
		// What is kept is what a parser finds in the whole.
		var whole map[string]json.RawMessage
		if json.Unmarshal(text, &whole) != nil || lost {
			return
		}
		for key, value := range got {
			if string(whole[key]) != string(value) {
				t.Fatalf("%q: %s became %s", key, whole[key], value)
			}
		}
	})
}
