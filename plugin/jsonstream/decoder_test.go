// SPDX-License-Identifier: Apache-2.0

package jsonstream_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/jsonstream"
)

const head = `{"kind":"Event","auditID":"a1","verb":"list","user":{"username":"mallory"}`

func TestDecoder(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 1000) + "1" + strings.Repeat("}", 1000)
	large := `"` + strings.Repeat("x", 1<<20) + `"`
	for _, test := range []struct {
		name, text string
		cut        bool
		want       string // one letter for each call: event, shortened event, malformed
	}{
		{"event", head + `}`, false, "e"},
		{"list", `{"kind":"EventList","items":[` + head + `},{},` + head + `}]}`, false, "eme"},
		{"empty list", `{"kind":"EventList","items":[]}`, false, ""},
		{"deep object", head + `,"requestObject":` + deep + `}`, false, "e"},
		{"deep object in a list", `[` + head + `},` + head + `,"responseObject":` + deep + `}]`, false, "ee"},
		{"deep elsewhere", head + `,"annotations":` + deep + `}`, false, "s"},
		{"large object", head + `,"requestObject":` + large + `}`, false, "e"},
		{"large elsewhere", head + `,"userAgent":` + large + `}`, false, "e"},
		{"cut", head + `,"responseObject":{"items":[`, true, "s"},
		{"cut in a string", head + `,"userAgent":"}`, true, "s"},
		{"cut list", `{"kind":"EventList","items":[` + head + `},`, true, "m"},
		{"truncated", head, false, "m"},
		{"broken", head + `,"x":y}`, false, "m"},
		{"large and truncated", head + `,"requestObject":` + large, false, "m"},
		{"no event", `{"a":1}`, false, "m"},
		{"no object", `12`, false, "m"},
		{"nothing", ``, false, "m"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var d jsonstream.Decoder
			got := ""
			d.Decode([]byte(test.text), test.cut, func(e *event.Event, err error) {
				switch {
				case err != nil:
					got += "m"
					if strings.Contains(err.Error(), "mallory") {
						t.Errorf("error quotes its input: %v", err)
					}
				case e.Kubernetes.AuditID != "a1" || e.Kubernetes.User.Name != "mallory":
					t.Errorf("wrong event %+v", e.Kubernetes)
				case e.Shortened:
					got += "s"
				default:
					got += "e"
				}
			})
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// A small text of many values must not take a hundred times its size.
func TestDecoderMemory(t *testing.T) {
	bomb := []byte(head + `,"annotations":[1` + strings.Repeat(",1", 4<<20) + `]}`)
	var d jsonstream.Decoder
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	events := 0
	d.Decode(bomb, false, func(e *event.Event, err error) {
		if err == nil && e.Shortened {
			events++
		}
	})
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > uint64(len(bomb)) {
		t.Errorf("allocated %d bytes for a text of %d", grown, len(bomb))
	}
	if events != 1 {
		t.Errorf("got %d shortened events, want 1", events)
	}
}

func FuzzDecoder(f *testing.F) {
	f.Add([]byte(`{"kind":"EventList","items":[`+head+`},{}]}`), false)
	f.Add([]byte(head+`,"requestObject":{"a`), true)
	f.Fuzz(func(t *testing.T, text []byte, cut bool) {
		var d jsonstream.Decoder
		d.Decode(text, cut, func(e *event.Event, err error) {
			if (e == nil) == (err == nil) {
				t.Fatal("neither or both of an event and an error")
			}
		})
	})
}
