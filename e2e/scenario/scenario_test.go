// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

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
		"- {name: a, api: docker}":                                           "something to run",
		"- {name: a, api: docker, run: x, exepct: []}":                       "exepct",
		"- {name: a, api: docker, run: x}\n- {name: a, api: docker, run: y}": "two scenarios",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "a.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gave %v, want %s", text, err, want)
		}
	}
}
