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
)

const rules = "../../../rules/containerapi_rules.yaml"

func raise(rule string, fields map[string]any) alert {
	return alert{Alert: engine.Alert{Rule: rule, Priority: "Warning", Fields: fields}, latency: 12 * time.Millisecond}
}

func TestReport(t *testing.T) {
	text.DisableColors()
	loaded, err := engine.LoadRules(rules)
	if err != nil {
		t.Fatal(err)
	}
	attack := act{title: "Read a secret", run: "kubectl get secret " + strings.Repeat("very/", 30) + "long", expect: []string{read}}
	benign := act{title: "Look at pods", run: "kubectl get pods"}
	fields := map[string]any{
		"kube.user.name": "dana", "api.object": strings.Repeat("x", 90), "api.command": nil,
		"kube.impersonated.user": "<NA>", "docker.container.name": "",
	}
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
		{name: "caught once of twice", outcome: outcome{act: act{title: "Two", run: "x", expect: []string{read, read}}, alerts: []alert{raise(read, nil)}},
			want: []string{"did not raise"}, fails: "did not raise"},
		{name: "caught by two", outcome: outcome{act: attack, alerts: []alert{raise(read, fields), raise(read, fields)}},
			want: []string{read + " ×2"}, fails: "which it must not"},
		{name: "could not be done", outcome: outcome{act: attack, failed: errors.New("no kubectl")},
			want: []string{"could not be done: no kubectl"}, fails: "could not be done"},
		{name: "inspected before", outcome: outcome{act: attack, alerts: []alert{raise(inspected, fields), raise(read, fields)}},
			want: []string{"WARNING " + read + " │", inspected, "1 of 1 attacks caught"}},
		{name: "benign and inspected", outcome: outcome{act: benign, alerts: []alert{raise(inspected, fields)}},
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
			for _, a := range test.outcome.alerts {
				r.heard(a)
			}
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

// TestActs proves that each act can be shown and each alert that it expects
// raised.
func TestActs(t *testing.T) {
	loaded, err := engine.LoadRules(rules)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range acts {
		if strings.Contains(a.line(), "\n") {
			t.Errorf("%s: a script of several lines needs something to show", a.title)
		}
		if (a.api == kubernetes) != (a.as != "") {
			t.Errorf("%s: live Kubernetes, and nothing else, needs a user", a.title)
		}
		for _, name := range slices.Concat(a.expect, a.untapped) {
			if !slices.ContainsFunc(loaded, func(r engine.Rule) bool { return r.Name == name }) {
				t.Errorf("%s: there is no rule %q", a.title, name)
			}
		}
		if a.api == recordedKubernetes {
			events, err := recording("../../testdata/recordings/" + a.run + ".jsonl.gz")
			if err != nil || len(events) < len(a.expect) {
				t.Errorf("%s: %d events, %v", a.title, len(events), err)
			}
		}
	}
}

// TestActOn proves that attacks are left out where nothing of them can be seen,
// and that benign work never is.
func TestActOn(t *testing.T) {
	for _, test := range []struct {
		name         string
		act          act
		tapped, port bool
		expect       []string
		ok           bool
	}{
		{"seen", act{api: docker, expect: []string{inspected}}, true, false, []string{inspected}, true},
		{"no event", act{api: docker, expect: []string{inspected}}, false, true, nil, false},
		{"event", act{api: docker, expect: []string{containerRead, dockerExec}, untapped: []string{dockerExec}}, false, false, []string{dockerExec}, true},
		{"port", act{api: docker, expect: []string{plainTCP}, tcp: true}, true, true, []string{plainTCP}, true},
		{"no port", act{api: docker, expect: []string{plainTCP}, tcp: true}, true, false, []string{plainTCP}, false},
		{"benign", act{api: docker}, false, false, nil, true},
		{"kubernetes", act{api: kubernetes, expect: []string{read}}, false, false, []string{read}, true},
	} {
		a, ok := test.act.on(test.tapped, test.port)
		if ok != test.ok || !slices.Equal(a.expect, test.expect) {
			t.Errorf("%s: %q, %v, want %q, %v", test.name, a.expect, ok, test.expect, test.ok)
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
