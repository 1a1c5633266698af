// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/containerapi/containerapi/e2e/engine"
	"github.com/containerapi/containerapi/e2e/scenario"
)

const rules = "../../../rules/containerapi_rules.yaml"

// Rules that the tests speak of.
const (
	read      = "Kubernetes Secret Read"
	inspected = "Docker Container Inspected"
)

func raise(rule string, fields map[string]any) alert {
	return alert{Alert: engine.Alert{Rule: rule, Priority: "Warning", Fields: fields}, latency: 12 * time.Millisecond}
}

func TestReport(t *testing.T) {
	text.DisableColors()
	loaded, err := engine.LoadRules(rules)
	if err != nil {
		t.Fatal(err)
	}
	attack := act{title: "Read a secret", Scenario: scenario.Scenario{Run: "kubectl get secret " + strings.Repeat("very/", 30) + "long", Expect: []string{read}}}
	inspects := attack
	inspects.Allow = []string{inspected}
	twice := attack
	twice.Expect = []string{read, read}
	benign := act{title: "Look at pods", Scenario: scenario.Scenario{Run: "kubectl get pods", Allow: []string{inspected}}, benign: true}
	fields := map[string]any{
		"kube.user.name": "dana", "api.object": strings.Repeat("x", 90), "api.command": nil,
		"kube.impersonated.user": "<NA>", "docker.client.addr": "",
	}
	inspection := raise(inspected, fields)
	inspection.Priority = "Notice"
	for _, test := range []struct {
		name    string
		outcome outcome
		want    []string
		fails   string
	}{
		{name: "caught", outcome: outcome{act: attack, alerts: []alert{raise(read, fields)}},
			want: []string{"$ kubectl get secret", "WARNING " + read, "user=dana", "T1552.007", "12 ms", "1 of 1 attacks caught"}},
		{name: "not caught", outcome: outcome{act: attack},
			want: []string{"did not raise", "0 of 1 attacks caught"}, fails: "did not raise"},
		{name: "caught once of twice", outcome: outcome{act: twice, alerts: []alert{raise(read, nil)}},
			want: []string{"did not raise"}, fails: "did not raise"},
		{name: "caught by two", outcome: outcome{act: attack, alerts: []alert{raise(read, fields), raise(read, fields)}},
			want: []string{read + " ×2"}, fails: "which it must not"},
		{name: "could not be done", outcome: outcome{act: attack, failed: errors.New("no kubectl")},
			want: []string{"could not be done: no kubectl"}, fails: "could not be done"},
		{name: "inspected before", outcome: outcome{act: inspects, alerts: []alert{inspection, raise(read, fields)}},
			want: []string{"WARNING " + read + " │", "NOTICE " + inspected, "1 of 1 attacks caught"}},
		{name: "benign and inspected", outcome: outcome{act: benign, alerts: []alert{inspection}},
			want: []string{"which it must not"}, fails: "which it must not"},
		{name: "client process", outcome: outcome{act: attack, alerts: []alert{raise(read, map[string]any{
			"docker.client.exepath": "/usr/bin/curl", "docker.client.pid": 4711, "docker.client.pname": "sh", "docker.client.container.name": "web"})}},
			want: []string{"exe=/usr/bin/curl pid=4711", "parent=sh in_container=web"}},
		{name: "silent", outcome: outcome{act: benign},
			want: []string{"silent, as it should be", "1 of 1 benign acts silent"}},
		{name: "not silent", outcome: outcome{act: benign, alerts: []alert{raise(read, fields)}},
			want: []string{"which it must not", "0 of 1 benign acts silent"}, fails: "which it must not"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var b strings.Builder
			r := newReport(&b, loaded)
			r.begin(test.outcome.act)
			r.end(test.outcome)
			r.table("Title", []outcome{test.outcome})
			err := r.summary([]outcome{test.outcome})
			if (err != nil) != (test.fails != "") || err != nil && !strings.Contains(err.Error(), test.fails) {
				t.Errorf("summary returned %v, want %q", err, test.fails)
			}
			out := b.String()
			// A text may be broken into lines within a column.
			flat := strings.Join(strings.Fields(out), " ")
			for _, want := range test.want {
				if !strings.Contains(flat, want) {
					t.Errorf("lacks %q", want)
				}
			}
			for _, never := range []string{"<NA>", "nil", "\x1b"} {
				if strings.Contains(out, never) {
					t.Errorf("shows %q", never)
				}
			}
			for line := range strings.Lines(out) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
					t.Errorf("a line has %d columns: %s", n, line)
				}
			}
			if t.Failed() {
				t.Logf("\n%s", out)
			}
		})
	}
}

// TestActs proves that each act is a scenario that the demo can play and show.
func TestActs(t *testing.T) {
	all, err := loadActs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if a.Capture != "" || a.API == scenario.Docker && a.Recording != "" {
			t.Errorf("%s: a capture, or a recording of Docker, goes to no engine that runs", a.Name)
		}
		if strings.Contains(a.line(), "\n") {
			t.Errorf("%s: a script of several lines needs something to show", a.Name)
		}
		if a.benign && len(a.Expect) > 0 || !a.benign && len(a.Expect) == 0 {
			t.Errorf("%s: it expects %q, and benign is %t", a.Name, a.Expect, a.benign)
		}
		if strings.Contains(a.Run, ":2375") && !strings.Contains(a.Run, plainAddress) {
			t.Errorf("%s: it uses another address than %s", a.Name, plainAddress)
		}
	}
}

// TestActOn proves that attacks are left out where nothing of them can be seen,
// and that benign work never is.
func TestActOn(t *testing.T) {
	const event, container = "Docker Exec", "Docker Credentials Read From Container"
	of := func(api string, expect, untapped []string) act {
		return act{Scenario: scenario.Scenario{API: api, Run: "x", Expect: expect, Untapped: untapped}, benign: expect == nil}
	}
	for _, test := range []struct {
		name   string
		act    act
		tapped bool
		expect []string
		ok     bool
	}{
		{"seen", of(scenario.Docker, []string{inspected}, nil), true, []string{inspected}, true},
		{"no event", of(scenario.Docker, []string{inspected}, nil), false, nil, false},
		{"event", of(scenario.Docker, []string{container, event}, []string{event}), false, []string{event}, true},
		{"benign", of(scenario.Docker, nil, nil), false, nil, true},
		{"kubernetes", of(scenario.Kubernetes, []string{read}, nil), false, []string{read}, true},
	} {
		a, ok := test.act.on(test.tapped)
		if ok != test.ok || !slices.Equal(a.Expect, test.expect) {
			t.Errorf("%s: %q, %v, want %q, %v", test.name, a.Expect, ok, test.expect, test.ok)
		}
	}
}

func TestLeaks(t *testing.T) {
	const secret = "dummy-ABCDEFGHIJKLMNOPQRSTUVWX"
	if err := leaks([]string{secret}, "nothing", "dummy-ABC"); err != nil {
		t.Error(err)
	}
	for _, printed := range []string{"password=" + secret + "!", "ZHVtbXktQUJDREVGR0hJSktMTU5PUFFSU1RVVldYCg=="} {
		err := leaks([]string{"other", secret}, "nothing", printed)
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%q gave %v", printed, err)
		}
	}
}
