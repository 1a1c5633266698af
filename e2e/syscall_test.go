// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/containerapi/containerapi/e2e/engine"
	"github.com/containerapi/containerapi/e2e/engine/enginetest"
	"github.com/containerapi/containerapi/e2e/scenario"
)

const (
	syscallRules = "../rules/containerapi_syscall_rules.yaml"
	captures     = "testdata/captures"
)

// loadCaptured returns the scenarios of a directory that are captures of system
// calls.
func loadCaptured(t *testing.T, dir string) []scenario.Scenario {
	t.Helper()
	all, err := scenario.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(s scenario.Scenario) bool { return s.Capture == "" })
}

// TestSyscallRules proves each rule on system calls by what was captured: an
// attack that raises it, and benign software that comes close and does not.
func TestSyscallRules(t *testing.T) {
	e := enginetest.Find(t)
	for _, s := range slices.Concat(loadCaptured(t, "attack"), loadCaptured(t, "benign")) {
		t.Run(s.Capture, func(t *testing.T) {
			file, err := filepath.Abs(filepath.Join(captures, s.Capture+".scap"))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			alerts, err := engine.Replay(ctx, e, engine.Config{Capture: file, Source: "syscall", Rules: []string{syscallRules}})
			if err != nil {
				t.Fatal(err)
			}
			var raised []string
			for _, a := range alerts {
				raised = append(raised, a.Rule)
				t.Logf("%s: %s", a.Priority, a.Output)
			}
			slices.Sort(raised)
			want := slices.Sorted(slices.Values(s.Expect))
			if !slices.Equal(raised, want) {
				t.Errorf("%s\nraised %q\n  want %q", s.Name, raised, want)
			}
		})
	}
}

// TestSyscallCoverage proves that every rule on system calls has an attack and
// benign software, and that every capture has a scenario.
func TestSyscallCoverage(t *testing.T) {
	rules, err := engine.LoadRules(syscallRules)
	if err != nil {
		t.Fatal(err)
	}
	attacks, benign := loadCaptured(t, "attack"), loadCaptured(t, "benign")
	for _, r := range rules {
		if !slices.ContainsFunc(attacks, func(s scenario.Scenario) bool { return slices.Contains(s.Expect, r.Name) }) {
			t.Errorf("no capture of an attack raises the rule %q", r.Name)
		}
		if !slices.ContainsFunc(benign, func(s scenario.Scenario) bool { return slices.Contains(s.Near, r.Name) }) {
			t.Errorf("no capture of benign software comes close to the rule %q", r.Name)
		}
	}
	files, err := filepath.Glob(filepath.Join(captures, "*.scap"))
	if err != nil {
		t.Fatal(err)
	}
	all := slices.Concat(attacks, benign)
	if len(files) != len(all) {
		t.Errorf("there are %d captures, but %d scenarios of one", len(files), len(all))
	}
	for _, s := range all {
		for _, name := range slices.Concat(s.Expect, s.Near) {
			if !slices.ContainsFunc(rules, func(r engine.Rule) bool { return r.Name == name }) {
				t.Errorf("the scenario %q names the rule %q, which does not exist", s.Name, name)
			}
		}
	}
}
