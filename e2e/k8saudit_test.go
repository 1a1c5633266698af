// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerapi/containerapi/e2e/engine"
	"github.com/containerapi/containerapi/e2e/engine/enginetest"
)

// TestK8sAudit gives the plugin events that the k8saudit plugin collected: its
// fields must say the same as for those that it collects itself, also what it
// remembers from one to the next.
func TestK8sAudit(t *testing.T) {
	library := buildK8sAudit(t)
	recorded := filepath.Join(t.TempDir(), "attacks.jsonl")
	joinRecordings(t, "testdata/recordings/attack/*.jsonl.gz", recorded)
	for _, file := range []string{"engine/testdata/exec.jsonl", "engine/testdata/list-secrets.jsonl", recorded} {
		want := replay(t, engine.Config{Plugins: []engine.Plugin{plugin(t, file)}, Source: source})
		got := replay(t, engine.Config{Plugins: k8sAuditPlugins(t, library, file), Source: k8sAuditSource})
		if len(want) == 0 || !slices.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", file, got, want)
		}
		if file == recorded && !slices.ContainsFunc(got, func(fields string) bool { return strings.Contains(fields, "api.seen.first:false") }) {
			t.Errorf("of %d acts each is the first of its kind", len(got))
		}
	}
}

// TestK8sAuditRules proves that the rules on k8s_audit tell of the same acts as
// those that they are made from, and of no others, in the same order.
func TestK8sAuditRules(t *testing.T) {
	file := filepath.Join(t.TempDir(), "attacks.jsonl")
	joinRecordings(t, "testdata/recordings/attack/*.jsonl.gz", file)
	alerts := func(suffix string, c engine.Config) (told []string) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		alerts, err := engine.Replay(ctx, enginetest.Find(t), c)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range alerts {
			// Those have no event on k8s_audit.
			if a.Fields["api.outcome"] != "unanswered" {
				told = append(told, fmt.Sprint(a.Fields["kube.auditid"], " ", strings.TrimSuffix(a.Rule, suffix), " first=", a.Fields["api.seen.first"]))
			}
		}
		return told
	}
	want := alerts("", engine.Config{Plugins: []engine.Plugin{plugin(t, file)}, Source: source, Rules: []string{ruleFile}})
	got := alerts(" (k8s_audit)", engine.Config{
		Plugins: k8sAuditPlugins(t, buildK8sAudit(t), file),
		Source:  k8sAuditSource,
		Rules:   []string{"../rules/containerapi_k8s_audit_rules.yaml"},
	})
	if !slices.Equal(got, want) {
		t.Errorf("on %s %q\non %s %q", k8sAuditSource, got, source, want)
	}
	if len(want) < 10 || !slices.ContainsFunc(want, func(told string) bool { return strings.HasSuffix(told, "first=false") }) {
		t.Errorf("too few alerts, or each is about a first time: %q", want)
	}
}

// TestK8sAuditMemory sends events to the k8saudit plugin: what an identity did once is
// not its first time again, not even after Falco loaded its configuration anew.
func TestK8sAuditMemory(t *testing.T) {
	url, address := webhook(t)
	plugins := k8sAuditPlugins(t, buildK8sAudit(t), url)
	plugins[1].Init = map[string]any{"stateDir": t.TempDir()}
	run := enginetest.Start(t, engine.Config{Plugins: plugins, Source: k8sAuditSource, Rules: []string{"testdata/meaning.yaml"}})
	n := 0
	// first sends an event and returns what its alert says of it.
	first := func() (first any) {
		t.Helper()
		alerts := len(run.Alerts())
		until(t, 30*time.Second, "the event of a read is there", func() bool {
			n++
			now := time.Now().UTC().Format(time.RFC3339Nano)
			resp, err := http.Post(url, "application/json", strings.NewReader(fmt.Sprintf(`{"kind":"Event","apiVersion":"audit.k8s.io/v1",
				"auditID":"%d","stage":"ResponseComplete","verb":"get","requestURI":"/api/v1/namespaces/shop/secrets/db","user":{"username":"mallory"},
				"objectRef":{"resource":"secrets","namespace":"shop","name":"db","apiVersion":"v1"},"responseStatus":{"code":200},
				"requestReceivedTimestamp":%q,"stageTimestamp":%q}`, n, now, now)))
			if err != nil {
				return false // between two of Falco's runs
			}
			resp.Body.Close()
			for range 50 {
				if all := run.Alerts(); len(all) > alerts {
					first = all[alerts].Fields["api.seen.first"]
					return true
				}
				time.Sleep(20 * time.Millisecond)
			}
			return false
		})
		return first
	}
	awaitListener(t, run, address)
	for i, want := range []bool{true, false, false} {
		if got := first(); got != want {
			t.Errorf("read %d: first is %v", i, got)
		}
	}
	if !enginetest.Find(t).IsFalco() {
		return // only Falco can reload
	}
	for i := range 2 {
		if err := run.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		until(t, 30*time.Second, "Falco runs anew", func() bool { return strings.Count(run.Stderr(), "Opening 'k8s_audit' source") == i+2 })
		if got := first(); got != false {
			t.Errorf("after reload %d: first is %v", i, got)
		}
	}
}

const k8sAuditSource = "k8s_audit"

// buildK8sAudit builds the k8saudit plugin.
func buildK8sAudit(t *testing.T) string {
	t.Helper()
	library := filepath.Join(t.TempDir(), "libk8saudit.so")
	build := exec.CommandContext(t.Context(), "go", "build", "-buildmode=c-shared", "-o", library, "github.com/falcosecurity/plugins/plugins/k8saudit/plugin")
	build.Dir = "bench/k8saudit"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build k8saudit: %v\n%s", err, out)
	}
	return library
}

// k8sAuditPlugins returns the k8saudit plugin, which reads a file, and beside it
// the library that extracts from its events.
func k8sAuditPlugins(t *testing.T, library, file string) []engine.Plugin {
	t.Helper()
	theirs := engine.Plugin{Name: "k8saudit", Library: library, Open: file, Init: map[string]any{"useAsync": false}}
	ours := plugin(t, "")
	ours.Name, ours.Library = "containerapi-extract", strings.TrimSuffix(ours.Library, ".so")+"-extract.so"
	return []engine.Plugin{theirs, ours}
}

// joinRecordings writes the events of recordings, which k8saudit does not read
// as they are, to one file.
func joinRecordings(t *testing.T, pattern, file string) {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	var all bytes.Buffer
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		unzipped, err := gzip.NewReader(f)
		if err == nil {
			_, err = io.Copy(&all, unzipped)
		}
		f.Close()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if err := os.WriteFile(file, all.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// replay returns the fields of the alerts that a configuration raises.
func replay(t *testing.T, c engine.Config) []string {
	t.Helper()
	c.Rules = []string{"testdata/meaning.yaml"}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	alerts, err := engine.Replay(ctx, enginetest.Find(t), c)
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, a := range alerts {
		// Falco's own time of reading is no field of the plugin.
		delete(a.Fields, "evt.time")
		told = append(told, fmt.Sprint(a.Fields))
	}
	return told
}
