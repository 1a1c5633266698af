// SPDX-License-Identifier: Apache-2.0

package event_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/event/eventtest"
)

// These tests hold what spells out the fields of an event to each other: the
// struct, AppendJSON, the Decoder, Shorten and Reset. A field that is added and
// forgotten in one of them makes a test fail that names it. Package field has the
// same test for the table of fields.

var inputs = []event.Input{event.KubernetesAudit, event.DockerAPI, event.DockerEvent}

// unwritten are the leaves that the JSON of an event does not have, and why. A
// struct stands for all of its leaves.
var unwritten = map[event.Input]map[string]string{
	event.Unknown: { // any input
		"Operation":  "worked out from the rest",
		"Credential": "worked out from the rest",
		"Outcome":    "worked out from the rest",
		"Replayed":   "true for whatever is read back",
	},
	event.KubernetesAudit: {
		"Docker": "the other API's",
	},
	event.DockerAPI: {
		"Kubernetes":      "the other API's",
		"Docker.Type":     "only of an event",
		"Docker.Action":   "only of an event",
		"Docker.ActorID":  "only of an event",
		"Docker.ExecID":   "only of an event",
		"Docker.ExitCode": "only of an event",
	},
	event.DockerEvent: {
		"Kubernetes":                    "the other API's",
		"Docker.Request.Method":         "only of a request",
		"Docker.Request.Path":           "only of a request",
		"Docker.Request.Query":          "only of a request",
		"Docker.Request.Version":        "only of a request",
		"Docker.Request.UserAgent":      "only of a request",
		"Docker.Request.Status":         "only of a request",
		"Docker.Request.First":          "only of a request",
		"Docker.Request.Unreadable":     "only of a request",
		"Docker.Request.Waiting":        "only of a request",
		"Docker.Request.ArchivePath":    "only of a request",
		"Docker.Request.ExecPrivileged": "only of a request",
	},
}

// isUnwritten reports whether the JSON of an event of this input lacks a leaf.
func isUnwritten(input event.Input, path string) bool {
	for _, reasons := range []map[string]string{unwritten[event.Unknown], unwritten[input]} {
		for prefix := range reasons {
			if path == prefix || strings.HasPrefix(path, prefix+".") {
				return true
			}
		}
	}
	return false
}

// dependent are the leaves that mean nothing without another one, which is
// written in their place or not at all.
var dependent = map[string]string{
	"Seen.Known":         "told by Seen.Count, which counts the event itself",
	"Time":               "of a Kubernetes event stands in Kubernetes.Received",
	"Kubernetes.Command": "stands in Kubernetes.RequestURI",
	"Docker.Command":     "stands behind Docker.Action",
}

// Every field comes back from JSON as it went in.
func TestFilledRoundTrip(t *testing.T) {
	for _, input := range inputs {
		written := &event.Event{Input: input}
		eventtest.Fill(written)
		if input == event.KubernetesAudit {
			received, err := time.Parse(time.RFC3339Nano, written.Kubernetes.Received)
			if err != nil {
				t.Fatal(err)
			}
			written.Time = received.UnixNano()
		}
		compareLeaves(t, written, decoded(t, written))
	}
}

func compareLeaves(t *testing.T, written, read *event.Event) {
	t.Helper()
	if read.Input != written.Input {
		t.Errorf("%s: read back as %s", written.Input, read.Input)
	}
	back := eventtest.Leaves(read)
	for i, leaf := range eventtest.Leaves(written) {
		want, got := leaf.Value.Interface(), back[i].Value.Interface()
		same := reflect.DeepEqual(want, got)
		switch unwritten := isUnwritten(written.Input, leaf.Path); {
		case leaf.Path == "Replayed":
			if got != true {
				t.Errorf("%s: an event that was read back is not marked as Replayed", written.Input)
			}
		case unwritten && !back[i].Value.IsZero():
			t.Errorf("%s: %s comes back, as %v: it is not unwritten", written.Input, leaf.Path, got)
		case !unwritten && !same:
			t.Errorf("%s: %s was written as %v and read as %v: AppendJSON or the Decoder lacks it", written.Input, leaf.Path, want, got)
		}
	}
}

// A field comes back also where no other has a value. Without this AppendJSON
// could make one depend on another, and no test with all fields would tell.
func TestSingleRoundTrip(t *testing.T) {
	for _, input := range inputs {
		for i, leaf := range eventtest.Leaves(new(event.Event)) {
			if isUnwritten(input, leaf.Path) || dependent[leaf.Path] != "" {
				continue
			}
			written := &event.Event{Input: input}
			set := eventtest.Leaves(written)[i]
			set.Fill()
			got := eventtest.Leaves(decoded(t, written))[i].Value.Interface()
			if want := set.Value.Interface(); !reflect.DeepEqual(want, got) {
				t.Errorf("%s: %s alone was written as %v and read as %v, from %s", input, leaf.Path, want, got, written.AppendJSON(nil))
			}
		}
	}
}

// decoded returns the event that is read from the JSON of another.
func decoded(t *testing.T, written *event.Event) *event.Event {
	t.Helper()
	text := written.AppendJSON(nil)
	if !json.Valid(text) {
		t.Fatalf("not JSON: %s", text)
	}
	var read *event.Event
	err := new(event.Decoder).Decode(text, func(e *event.Event, err error) {
		if err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		read = e
	})
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return read
}

// The tables of exceptions name fields that there are.
func TestExceptions(t *testing.T) {
	exists := func(path string) bool {
		for _, leaf := range eventtest.Leaves(new(event.Event)) {
			if leaf.Path == path || strings.HasPrefix(leaf.Path, path+".") {
				return true
			}
		}
		return false
	}
	for path := range dependent {
		if !exists(path) {
			t.Errorf("dependent: an event has no %s", path)
		}
	}
	for input, reasons := range unwritten {
		for path := range reasons {
			if !exists(path) {
				t.Errorf("unwritten for %s: an event has no %s", input, path)
			}
		}
	}
}

// Nothing of an event is in the next one, but the memory of its lists.
func TestReset(t *testing.T) {
	e := &event.Event{Input: event.DockerAPI}
	eventtest.Fill(e)
	e.Reset()
	if e.Input != event.Unknown {
		t.Errorf("Input is %s", e.Input)
	}
	for _, leaf := range eventtest.Leaves(e) {
		switch v := leaf.Value; {
		case v.Kind() != reflect.Slice && !v.IsZero():
			t.Errorf("%s is still %v", leaf.Path, v)
		case v.Kind() == reflect.Slice && (v.Len() != 0 || v.Cap() == 0):
			t.Errorf("%s has %d values and memory for %d: Reset lacks it", leaf.Path, v.Len(), v.Cap())
		}
	}
}

// The worst that there is: each text as long as can be, of what takes most when
// it is escaped.
func TestShortenAll(t *testing.T) {
	for name, text := range map[string]string{
		"plain":       strings.Repeat("x", 4<<10),
		"control":     strings.Repeat("\x00\x1f", 4<<10),
		"quotes":      strings.Repeat(`"\`, 4<<10),
		"HTML":        strings.Repeat("<&>\u2028", 4<<10),
		"not UTF-8":   strings.Repeat("\xff\xc3", 4<<10),
		"four bytes":  strings.Repeat("😀", 4<<10),
		"ends escape": strings.Repeat("x", 510) + strings.Repeat("\x00", 4<<10),
	} {
		for _, input := range inputs {
			e := filledWith(input, text, 100)
			e.Shorten()
			checkShortened(t, e, text)
			t.Logf("%s, %s: %d bytes", input, name, len(e.AppendJSON(nil)))
		}
	}
}

// filledWith returns an event with a text for each of its texts, lists of so many
// of them, and the largest of numbers.
func filledWith(input event.Input, text string, values int) *event.Event {
	e := &event.Event{Input: input}
	eventtest.Fill(e)
	for _, leaf := range eventtest.Leaves(e) {
		switch v := leaf.Value; {
		case leaf.Path == "CommandReads":
			v.SetUint(7)
		case v.Kind() == reflect.String:
			v.SetString(text)
		case v.Kind() == reflect.Slice:
			list := make([]string, values)
			for i := range list {
				list[i] = text
			}
			v.Set(reflect.ValueOf(list))
		case v.CanUint():
			v.SetUint(1<<64 - 1)
		case v.CanInt():
			v.SetInt(1<<63 - 1)
		}
	}
	return e
}

// checkShortened checks an event whose texts were all the same before it was
// shortened.
func checkShortened(t *testing.T, e *event.Event, text string) {
	t.Helper()
	if !e.Shortened {
		t.Error("the event is not marked as Shortened")
	}
	written := e.AppendJSON(nil)
	if len(written) > event.MaxShortened || !json.Valid(written) {
		t.Errorf("%s: %d bytes, want at most %d; valid: %t", e.Input, len(written), event.MaxShortened, json.Valid(written))
	}
	check := func(path, short string) {
		if !strings.HasPrefix(text, short) {
			t.Errorf("%s: %s is not the beginning of what it was", e.Input, path)
		}
		if len(short) > 512 {
			t.Errorf("%s: %s has %d bytes: Shorten lacks it", e.Input, path, len(short))
		}
	}
	for _, leaf := range eventtest.Leaves(e) {
		switch v := leaf.Value; v.Kind() {
		case reflect.String:
			check(leaf.Path, v.String())
		case reflect.Slice:
			if v.Len() > 16 {
				t.Errorf("%s: %s has %d values: Shorten lacks it", e.Input, leaf.Path, v.Len())
			}
			for i := range v.Len() {
				check(leaf.Path, v.Index(i).String())
			}
		}
	}
}

// FuzzShorten looks for what is too long all the same.
func FuzzShorten(f *testing.F) {
	f.Add("x", 1000, 20)
	f.Add("\x00\"é\xff<", 300, 3)
	f.Fuzz(func(t *testing.T, text string, times, values int) {
		text = strings.Repeat(text, max(0, min(times, 4<<10/max(1, len(text)))))
		for _, input := range inputs {
			e := filledWith(input, text, max(0, min(values, 100)))
			e.Shorten()
			checkShortened(t, e, text)
		}
	})
}
