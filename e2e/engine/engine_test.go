// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// find returns the engine and the plugin that `make build` built.
func find(t *testing.T) (Engine, Plugin) {
	t.Helper()
	e, err := Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	library, err := filepath.Abs("../../libcontainerapi.so")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(library); err != nil {
		t.Fatalf("run make build: %v", err)
	}
	t.Logf("engine: %s", e)
	return e, Plugin{Name: "containerapi", Library: library}
}

func TestReplay(t *testing.T) {
	e, plugin := find(t)
	for _, test := range []struct {
		file   string
		all    bool
		alerts []string
	}{
		{file: "list-secrets.jsonl", alerts: []string{"Secrets Of All Namespaces"}},
		{file: "list-secrets.jsonl", all: true, alerts: []string{"Secrets Of All Namespaces", "Secrets"}},
		// Two events of one act are one alert.
		{file: "exec.jsonl", alerts: []string{"Exec"}},
	} {
		plugin.Open = "testdata/" + test.file
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		alerts, err := Replay(ctx, e, Config{
			Plugins:     []Plugin{plugin},
			Source:      "container_api",
			Rules:       []string{"testdata/base.yaml", "testdata/local.yaml"},
			AllMatching: test.all,
		})
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, a := range alerts {
			names = append(names, a.Rule)
		}
		if strings.Join(names, ",") != strings.Join(test.alerts, ",") {
			t.Errorf("%s: alerts %q, want %q", test.file, names, test.alerts)
		}
	}
}

func TestAlert(t *testing.T) {
	e, plugin := find(t)
	plugin.Open = "testdata/list-secrets.jsonl"
	alerts, err := Replay(t.Context(), e, Config{
		Plugins: []Plugin{plugin},
		Source:  "container_api",
		Rules:   []string{"testdata/base.yaml"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(alerts) != 1 {
		t.Fatalf("%d alerts, want 1", len(alerts))
	}
	a := alerts[0]
	if !strings.HasPrefix(a.Output, "All secrets | user=kubernetes-admin groups=(") || !strings.Contains(a.Output, "name=<NA> code=200") {
		t.Errorf("output %q", a.Output)
	}
	if a.Fields["kube.user.name"] != "kubernetes-admin" || a.Fields["kube.target.name"] != nil {
		t.Errorf("fields %v", a.Fields)
	}
	if a.Priority != "Warning" || a.Source != "container_api" {
		t.Errorf("priority %q source %q", a.Priority, a.Source)
	}
	if want := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC); a.Time.Truncate(24*time.Hour) != want {
		t.Errorf("time %v", a.Time)
	}
}

func TestWrongRule(t *testing.T) {
	e, plugin := find(t)
	plugin.Open = "testdata/list-secrets.jsonl"
	rules := filepath.Join(t.TempDir(), "wrong.yaml")
	text := "- rule: Wrong\n  desc: A field that nobody has.\n  condition: kube.nonsense = 1\n  output: x\n  priority: NOTICE\n  source: container_api\n"
	if err := os.WriteFile(rules, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Replay(t.Context(), e, Config{Plugins: []Plugin{plugin}, Source: "container_api", Rules: []string{rules}})
	if err == nil || !strings.Contains(err.Error(), "kube.nonsense") {
		t.Errorf("error %v, want one that names kube.nonsense", err)
	}
}
