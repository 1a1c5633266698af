// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerapi/containerapi/e2e/engine"
	"github.com/containerapi/containerapi/e2e/engine/enginetest"
	"github.com/containerapi/containerapi/e2e/scenario"
)

// TestDistributionsOnK8sAudit proves that the rules on k8s_audit judge events of
// managed clusters as those on the plugin's own do: there Falco's plugins for
// EKS, GKE, AKS and OVHcloud collect them.
func TestDistributionsOnK8sAudit(t *testing.T) {
	const twin, suffix = "../rules/containerapi_k8s_audit_rules.yaml", " (k8s_audit)"
	library := buildK8sAudit(t)
	for _, s := range loadScenarios(t, func(s scenario.Scenario) bool { return strings.Contains(s.Recording, "/distributions/") }) {
		t.Run(s.Recording, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			alerts, err := engine.Replay(ctx, enginetest.Find(t), engine.Config{
				Plugins: k8sAuditPlugins(t, library, unpacked(t, s.RecordingFile(recordings))),
				Source:  k8sAuditSource,
				Rules:   []string{twin},
			})
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, rule := range s.Expect {
				want = append(want, rule+suffix)
			}
			if raised := notAllowed(s, alerts, suffix); !slices.Equal(raised, want) {
				t.Errorf("raised %q, want %q", raised, want)
			}
		})
	}
}

// unpacked writes a recording as k8saudit reads it, and returns the file's name.
func unpacked(t *testing.T, recording string) string {
	t.Helper()
	packed, err := os.Open(recording)
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	r, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "events.jsonl")
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := io.Copy(file, r); err != nil {
		t.Fatal(err)
	}
	return name
}
