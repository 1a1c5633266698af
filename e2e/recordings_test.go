// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerapi/containerapi/e2e/engine"
	"github.com/containerapi/containerapi/e2e/engine/enginetest"
	"github.com/containerapi/containerapi/e2e/scenario"
)

const recordings = "testdata/recordings"

// TestRecordings proves that what attack tools sent when they were recorded is
// caught, by the rules as they are, and that what benign software sent is not,
// by the rules with one entry for each person and program of a site.
func TestRecordings(t *testing.T) {
	recorded := loadScenarios(t, func(s scenario.Scenario) bool { return s.Recording != "" })
	var files []string
	for _, pattern := range []string{"*/*.jsonl.gz", "*/*/*.jsonl.gz"} {
		found, err := filepath.Glob(filepath.Join(recordings, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) != len(recorded) {
		t.Errorf("there are %d recordings, but %d scenarios of one", len(files), len(recorded))
	}
	for _, s := range recorded {
		t.Run(s.Recording, func(t *testing.T) {
			rules := []string{ruleFile}
			if strings.HasPrefix(s.Recording, "benign/") {
				rules = append(rules, known)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			alerts, err := engine.Replay(ctx, enginetest.Find(t), engine.Config{
				Plugins: []engine.Plugin{plugin(t, s.RecordingFile(recordings))},
				Source:  source,
				Rules:   rules,
			})
			if err != nil {
				t.Fatal(err)
			}
			if raised := notAllowed(s, alerts, ""); !slices.Equal(raised, s.Expect) {
				t.Errorf("raised %q, want %q", raised, s.Expect)
			}
		})
	}
}

// notAllowed returns the rules of alerts, in order, but for those that the scenario
// allows. Their names can have a suffix that the scenario's have not.
func notAllowed(s scenario.Scenario, alerts []engine.Alert, suffix string) (rules []string) {
	for _, a := range alerts {
		if !slices.Contains(s.Allow, strings.TrimSuffix(a.Rule, suffix)) {
			rules = append(rules, a.Rule)
		}
	}
	return rules
}
