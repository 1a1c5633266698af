// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerapi/containerapi/e2e/engine"
)

// TestK8sAudit gives the plugin events that the k8saudit plugin collected: its
// fields must say the same as for those that it collects itself, but for what
// it remembers.
func TestK8sAudit(t *testing.T) {
	library := filepath.Join(t.TempDir(), "libk8saudit.so")
	build := exec.CommandContext(t.Context(), "go", "build", "-buildmode=c-shared", "-o", library, "github.com/falcosecurity/plugins/plugins/k8saudit/plugin")
	build.Dir = "bench/k8saudit"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build k8saudit: %v\n%s", err, out)
	}
	for _, file := range []string{"engine/testdata/exec.jsonl", "engine/testdata/list-secrets.jsonl"} {
		own := plugin(t, file)
		theirs := engine.Plugin{Name: "k8saudit", Library: library, Open: file, Init: map[string]any{"useAsync": false}}
		want := replay(t, engine.Config{Plugins: []engine.Plugin{own}, Source: source})
		ours := plugin(t, "")
		ours.Name, ours.Library = "containerapi-extract", strings.TrimSuffix(ours.Library, ".so")+"-extract.so"
		got := replay(t, engine.Config{Plugins: []engine.Plugin{theirs, ours}, Source: "k8s_audit"})
		if len(want) == 0 || !slices.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", file, got, want)
		}
	}
}

// replay returns the fields of the alerts that a configuration raises.
func replay(t *testing.T, c engine.Config) []string {
	t.Helper()
	c.Rules = []string{"testdata/meaning.yaml"}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	alerts, err := engine.Replay(ctx, findEngine(t), c)
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
