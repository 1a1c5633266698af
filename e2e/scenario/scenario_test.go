// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/containerapi/containerapi/e2e/engine"
)

func TestCheck(t *testing.T) {
	alert := func(rule string, fields ...string) engine.Alert {
		a := engine.Alert{Rule: rule, Fields: map[string]any{"api.operation": "secret.list"}}
		for _, f := range fields {
			name, value, _ := strings.Cut(f, "=")
			a.Fields[name] = value
			if value == "" {
				a.Fields[name] = nil
			}
		}
		return a
	}
	for _, test := range []struct {
		name   string
		expect []string
		alerts []engine.Alert
		wrong  []string
	}{
		{name: "nothing"},
		{name: "as expected", expect: []string{"A", "B"}, alerts: []engine.Alert{alert("B", "kube.user.name=bob"), alert("A")}},
		{name: "missing", expect: []string{"A"}, wrong: []string{`did not raise "A"`}},
		{name: "unexpected", alerts: []engine.Alert{alert("A")}, wrong: []string{`raised "A", which it must not`}},
		{name: "twice", expect: []string{"A"}, alerts: []engine.Alert{alert("A"), alert("A")}, wrong: []string{`raised "A", which it must not`}},
		{name: "once of two", expect: []string{"A", "A"}, alerts: []engine.Alert{alert("A")}, wrong: []string{`did not raise "A"`}},
		{name: "no user", expect: []string{"A"}, alerts: []engine.Alert{alert("A", "kube.user.name=")}, wrong: []string{"has no kube.user.name"}},
		{name: "no name", expect: []string{"A"}, alerts: []engine.Alert{alert("A", "kube.target.name=")}},
		{name: "no command", expect: []string{"A"}, alerts: []engine.Alert{alert("A", "api.operation=pod.exec", "api.command=")}, wrong: []string{"has no api.command"}},
		{name: "no command needed", expect: []string{"A"}, alerts: []engine.Alert{alert("A", "api.command=")}},
	} {
		wrong := Scenario{Expect: test.expect}.Check(test.alerts)
		if len(wrong) != len(test.wrong) {
			t.Errorf("%s: %q, want %q", test.name, wrong, test.wrong)
			continue
		}
		for i := range wrong {
			if !strings.Contains(wrong[i], test.wrong[i]) {
				t.Errorf("%s: %q, want %q", test.name, wrong[i], test.wrong[i])
			}
		}
	}
}

func TestLoadErrors(t *testing.T) {
	for text, want := range map[string]string{
		"[]":                                   "no scenarios",
		"- {name: a, api: kubernetes, run: x}": "needs a user",
		"- {name: a, api: docker, as: b, run: x}":                            "knows no users",
		"- {name: a, api: podman, run: x}":                                   `api is "podman"`,
		"- {name: a, api: docker}":                                           "one of run, recording and capture",
		"- {name: a, api: docker, run: x, recording: y}":                     "one of run, recording and capture",
		"- {name: a, api: docker, recording: y, before: x}":                  "only what is run",
		"- {name: a, api: docker, run: y, record: x}":                        "is not recorded",
		"- {name: a, api: kubernetes, recording: y, record: x}":              "needs a user",
		"- {name: a, capture: y, engine: true}":                              "for the record of a capture",
		"- {name: a, api: docker, capture: y}":                               "through no api",
		"- {name: a, api: docker, run: x, expect: [b], near: [b]}":           "comes near",
		"- {name: a, api: docker, run: x, exepct: []}":                       "exepct",
		"- {name: a, api: docker, run: x}\n- {name: a, api: docker, run: y}": "two scenarios",
	} {
		files := fstest.MapFS{"attack/a.yaml": &fstest.MapFile{Data: []byte(text)}}
		if _, err := load(files, "attack"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gave %v, want %s", text, err, want)
		}
	}
}

// TestLoad proves that the names of all scenarios are different, and those of the
// files that they refer to as well.
func TestLoad(t *testing.T) {
	all, err := Load("attack", "benign", "benign/software")
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	for _, s := range all {
		file := s.Recording + s.Capture
		if other, ok := files[file]; ok && file != "" {
			t.Errorf("%q and %q are of the same file %s", s.Name, other, file)
		}
		files[file] = s.Name
	}
}

// TestShape proves that recordings of the same acts have one shape, and that others
// have another, also when they were written and read again.
func TestShape(t *testing.T) {
	event := func(verb, uri, resource string, code int) json.RawMessage {
		return fmt.Appendf(nil, `{"auditID":%q,"verb":%q,"requestURI":%q,"objectRef":{"resource":%q},"responseStatus":{"code":%d}}`,
			rand.Text(), verb, uri, resource, code)
	}
	file := filepath.Join(t.TempDir(), "attack", "a.jsonl.gz")
	if err := WriteRecording(file, []json.RawMessage{event("list", "/a", "secrets", 200), event("list", "/b", "secrets", 200), event("get", "/version?x", "", 403)}); err != nil {
		t.Fatal(err)
	}
	events, err := ReadRecording(file)
	if err != nil || len(events) != 3 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	got, err := Shape(events)
	if want := []string{"get /version denied", "list secrets allowed"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("the shape is %q, %v, want %q", got, err, want)
	}
}
