// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/containerapi/containerapi/e2e/engine"
	"github.com/containerapi/containerapi/e2e/engine/enginetest"
)

const (
	syscallRules = "../rules/containerapi_syscall_rules.yaml"
	captures     = "testdata/captures"
)

// capture is a recording of system calls that Falco's driver made of real
// software.
type capture struct {
	File string
	// Done says what the software did.
	Done string
	// Expect are the rules that it raises, as often as it does.
	Expect []string
	// CloseTo is the rule that benign software comes close to.
	CloseTo string `yaml:"close_to"`
}

func loadCaptures(t *testing.T) []capture {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(captures, "captures.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var all []capture
	if err := yaml.Unmarshal(text, &all); err != nil {
		t.Fatalf("captures.yaml: %v", err)
	}
	return all
}

// TestSyscallRules proves each rule on system calls by what was recorded: an
// attack that raises it, and benign software that comes close and does not.
func TestSyscallRules(t *testing.T) {
	e := enginetest.Find(t)
	for _, c := range loadCaptures(t) {
		t.Run(c.File, func(t *testing.T) {
			file, err := filepath.Abs(filepath.Join(captures, c.File))
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
			want := slices.Sorted(slices.Values(c.Expect))
			if !slices.Equal(raised, want) {
				t.Errorf("%s\nraised %q\n  want %q", c.Done, raised, want)
			}
		})
	}
}

// TestSyscallCoverage proves that every rule on system calls has an attack and
// benign software, and that every recording is in the table.
func TestSyscallCoverage(t *testing.T) {
	rules, err := engine.LoadRules(syscallRules)
	if err != nil {
		t.Fatal(err)
	}
	all := loadCaptures(t)
	for _, r := range rules {
		if !slices.ContainsFunc(all, func(c capture) bool { return c.CloseTo == "" && slices.Contains(c.Expect, r.Name) }) {
			t.Errorf("no capture of an attack raises the rule %q", r.Name)
		}
		if !slices.ContainsFunc(all, func(c capture) bool { return c.CloseTo == r.Name && !slices.Contains(c.Expect, r.Name) }) {
			t.Errorf("no capture of benign software comes close to the rule %q", r.Name)
		}
	}
	files, err := filepath.Glob(filepath.Join(captures, "*.scap"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !slices.ContainsFunc(all, func(c capture) bool { return c.File == filepath.Base(file) }) {
			t.Errorf("%s is not in captures.yaml", file)
		}
	}
	for _, c := range all {
		if c.CloseTo != "" && !slices.ContainsFunc(rules, func(r engine.Rule) bool { return r.Name == c.CloseTo }) {
			t.Errorf("%s comes close to the rule %q, which does not exist", c.File, c.CloseTo)
		}
	}
}
