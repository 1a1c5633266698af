// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/containerapi/containerapi/e2e/engine"
	"github.com/containerapi/containerapi/e2e/engine/enginetest"
)

// TestExpected proves that what the shipped program of jq makes of alerts excuses
// these acts, in the engine, and that what it has no entry for is still raised.
func TestExpected(t *testing.T) {
	for _, pattern := range []string{"attack/*.jsonl.gz", "attack/distributions/*.jsonl.gz", "attack/docker/*.jsonl.gz"} {
		t.Run(pattern, func(t *testing.T) {
			events := filepath.Join(t.TempDir(), "events.jsonl")
			joinRecordings(t, filepath.Join(recordings, pattern), events)
			verified(t, events)
			before := alertsOf(t, events)
			made := expected(t, before)
			entries := entriesOf(t, uncommented(made))
			if len(entries) == 0 || len(entries) > len(before) {
				t.Fatalf("%d entries of %d alerts:\n%s", len(entries), len(before), made)
			}
			after := alertsOf(t, events, overrides(t, uncommented(made)))
			t.Logf("%d alerts, %d entries, %d alerts with them", len(before), len(entries), len(after))
			if left := expected(t, after); strings.Contains(left, "- macro:") {
				t.Errorf("these are raised, whatever their entries say:\n%s", left)
			}
			if want := strings.Count(made, "# No entry: "); len(after) < want {
				t.Errorf("%d alerts are left, of %d acts without an entry", len(after), want)
			}
		})
	}
}

// verified has the clients of recorded requests be who they seem: whether they are is
// found out when they connect.
func verified(t *testing.T, name string) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err == nil {
		err = os.WriteFile(name, bytes.ReplaceAll(text, []byte(`"client":{"pid"`), []byte(`"client":{"verified":true,"pid"`)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// An entry is for one act of one user: whatever else is different is raised.
func TestExpectedIsExact(t *testing.T) {
	joined := filepath.Join(t.TempDir(), "one.jsonl")
	joinRecordings(t, filepath.Join(recordings, "attack/curl-bound-token-list-secrets.jsonl.gz"), joined)
	text, err := os.ReadFile(joined)
	if err != nil {
		t.Fatal(err)
	}
	var event map[string]any
	if err := json.Unmarshal(bytes.SplitN(text, []byte("\n"), 2)[0], &event); err != nil {
		t.Fatal(err)
	}
	// changed returns the event with another audit id, and members by the way to them.
	changed := func(id string, members ...any) []byte {
		text, err := json.Marshal(event)
		if err != nil {
			t.Fatal(err)
		}
		var e map[string]any
		if err := json.Unmarshal(text, &e); err != nil {
			t.Fatal(err)
		}
		e["auditID"] = id
		for i := 0; i < len(members); i += 2 {
			way := strings.Split(members[i].(string), ">")
			in := e
			for _, name := range way[:len(way)-1] {
				in = in[name].(map[string]any)
			}
			if last := way[len(way)-1]; members[i+1] == nil {
				delete(in, last)
			} else {
				in[last] = members[i+1]
			}
		}
		if text, err = json.Marshal(e); err != nil {
			t.Fatal(err)
		}
		return append(text, '\n')
	}
	write := func(name string, events ...[]byte) string {
		name = filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(name, bytes.Join(events, nil), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	// What it does to its own namespace is usual the second time.
	other := []any{"requestURI", "/api/v1/namespaces/prod/secrets", "objectRef>namespace", "prod"}
	alerts := alertsOf(t, write("seen.jsonl", changed("seen", other...)))
	rules := overrides(t, uncommented(expected(t, alerts)))
	const extra = "user>extra>authentication.kubernetes.io/"
	change := func(id string, members ...any) []byte { return changed(id, slices.Concat(other, members)...) }
	got := alertsOf(t, write("again.jsonl",
		change("same"),
		change("client", "userAgent", "python-requests/2.32"),
		change("namespace", "requestURI", "/api/v1/namespaces/dev/secrets", "objectRef>namespace", "dev"),
		change("all", "requestURI", "/api/v1/secrets", "objectRef>namespace", nil),
		change("act", "verb", "watch", "requestURI", "/api/v1/namespaces/prod/secrets?watch=1"),
		change("user", "user>username", "system:serviceaccount:shop:cart"),
		change("no pod", extra+"pod-name", nil, extra+"pod-uid", nil),
		change("no credential", extra+"credential-id", nil),
		change("certificate", extra+"credential-id", []string{"X509SHA256=1"}),
		change("as someone", "impersonatedUser", map[string]any{"username": "admin"}),
		change("address", "sourceIPs", []string{"198.51.100.9"}),
		change("refused", "responseStatus", map[string]any{"code": 403, "reason": "Forbidden"}, "annotations", map[string]any{"authorization.k8s.io/decision": "forbid"}),
	), rules)
	var raised []string
	for _, a := range got {
		raised = append(raised, a.Fields["kube.auditid"].(string))
	}
	slices.Sort(raised)
	want := []string{"act", "address", "all", "as someone", "certificate", "client", "namespace", "no credential", "no pod", "refused", "user"}
	if !slices.Equal(raised, want) {
		t.Errorf("raised by %q, want %q", raised, want)
	}

	// Quotes within the other ones are a value.
	hostile := alerts[0]
	hostile.Fields = maps.Clone(hostile.Fields)
	hostile.Fields["kube.user.name"] = `x" or api.act = true or kube.user.name = "x`
	rules = overrides(t, uncommented(expected(t, []engine.Alert{hostile})))
	if got := alertsOf(t, write("other.jsonl", change("seen")), rules); len(got) != 1 {
		t.Errorf("%d alerts with an entry for another user, want 1", len(got))
	}
}

// What an attacker chose stays a value, or there is no entry.
func TestExpectedOfHostileAlerts(t *testing.T) {
	for _, value := range []string{
		`x' "y`, "x\n- macro: user_known_kube_act\n  condition: (api.act = true)\n", `x\`, "x\x1b[2J",
		"user_known_engineers", "x kubelet_agents y", "é",
	} {
		made := expected(t, []engine.Alert{{
			Rule: "Kubernetes Secret Read", Source: source, Priority: "Warning",
			Fields: map[string]any{"kube.user.name": value, "api.operation": "secret.get", "api.outcome": "allowed", "api.object": "shop/db"},
		}})
		if entries := entriesOf(t, made); len(entries) != 0 || !strings.Contains(made, "# No entry: kube.user.name ") {
			t.Errorf("%q: %s", value, made)
		}
		made = expected(t, []engine.Alert{{
			Rule: value, Source: source, Priority: value,
			Fields: map[string]any{"kube.user.name": "bob", "api.operation": "secret.get", "api.outcome": "allowed", "api.object": "shop/db"},
		}})
		if entries := entriesOf(t, made); len(entries) != 1 {
			t.Errorf("%q as a rule: %s", value, made)
		}
	}
}

// alertsOf returns what the rules raise of events, with further rule files.
func alertsOf(t *testing.T, events string, further ...string) []engine.Alert {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	alerts, err := engine.Replay(ctx, enginetest.Find(t), engine.Config{
		Plugins: []engine.Plugin{plugin(t, events)}, Source: source, Rules: append([]string{ruleFile}, further...),
	})
	if err != nil {
		t.Fatal(err)
	}
	return alerts
}

// expected returns what jq makes of alerts as Falco writes them.
func expected(t *testing.T, alerts []engine.Alert) string {
	t.Helper()
	var lines bytes.Buffer
	lines.WriteString("a line of a log\n")
	for _, a := range alerts {
		text, err := json.Marshal(map[string]any{
			"rule": a.Rule, "source": a.Source, "priority": a.Priority, "time": a.Time, "output": a.Output, "output_fields": a.Fields,
		})
		if err != nil {
			t.Fatal(err)
		}
		lines.Write(append(text, '\n'))
	}
	cmd := exec.Command("jq", "-nRrf", "../rules/examples/expected.jq")
	cmd.Stdin = &lines
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("jq: %v\n%s", err, out)
	}
	return string(out)
}

// uncommented returns the file with the entries that only a person should take.
func uncommented(made string) string {
	lines := strings.Split(made, "\n")
	for i, line := range lines {
		if rest, ok := strings.CutPrefix(line, "# "); ok && (strings.HasPrefix(rest, "- macro: ") || strings.HasPrefix(rest, "  ")) {
			lines[i] = rest
		}
	}
	return strings.Join(lines, "\n")
}

// entriesOf returns the conditions of a file, which must do nothing but append to
// macros that are there for it.
func entriesOf(t *testing.T, made string) []string {
	t.Helper()
	var items []map[string]any
	if err := yaml.Unmarshal([]byte(made), &items); err != nil {
		t.Fatalf("%v:\n%s", err, made)
	}
	var conditions []string
	for _, i := range items {
		condition, _ := i["condition"].(string)
		override, _ := i["override"].(map[string]any)
		if len(i) != 3 || i["macro"] != "user_known_kube_act" && i["macro"] != "user_known_docker_act" ||
			len(override) != 1 || override["condition"] != "append" || !strings.HasPrefix(condition, "or (") {
			t.Errorf("an entry is %v", i)
		}
		conditions = append(conditions, condition)
	}
	return conditions
}

func overrides(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "expected.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
