// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/containerapi/containerapi/e2e/engine"
	"github.com/containerapi/containerapi/e2e/kube"
	"github.com/containerapi/containerapi/e2e/scenario"
)

// ruleFiles returns the shipped rule files.
func ruleFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../rules/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no rule files: %v", err)
	}
	return files
}

// TestCoverage proves that every shipped rule has an attack that raises it.
func TestCoverage(t *testing.T) {
	rules, err := engine.LoadRules(ruleFiles(t)...)
	if err != nil {
		t.Fatal(err)
	}
	scenarios, err := scenario.Load("scenarios")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		if r.Source == source && !slices.ContainsFunc(scenarios, func(s scenario.Scenario) bool { return slices.Contains(s.Expect, r.Name) }) {
			t.Errorf("no scenario raises the rule %q", r.Name)
		}
	}
	for _, s := range scenarios {
		for _, name := range s.Expect {
			if !slices.ContainsFunc(rules, func(r engine.Rule) bool { return r.Name == name }) {
				t.Errorf("the scenario %q expects the rule %q, which does not exist", s.Name, name)
			}
		}
	}
}

// TestScenarios runs all scenarios in one engine, both APIs at once.
func TestScenarios(t *testing.T) {
	scenarios, err := scenario.Load("scenarios")
	if err != nil {
		t.Fatal(err)
	}
	marker, err := scenario.WriteMarkerRule(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	// One of the attacks finds the API at the port that it has without TLS.
	daemon := startDocker(t, "--host", "tcp://127.0.0.1:2375", "--tls=false")
	url, address := webhook(t)
	run := startEngine(t, plugin(t, url+",docker://"+daemon.Socket), append([]string{marker}, ruleFiles(t)...)...)
	awaitListener(t, run, address)
	canary := newCanary()
	cluster := startCluster(t, kube.Options{Webhook: url, Canary: canary})
	runner := &scenario.Runner{Engine: run, Kube: cluster, DockerHost: daemon.Host, Dir: t.TempDir()}
	for _, api := range []string{scenario.Kubernetes, scenario.Docker} {
		if err := runner.Ready(t.Context(), api); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range scenarios {
		t.Run(s.API+"/"+s.Name, func(t *testing.T) {
			result, err := runner.Run(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			for _, wrong := range s.Check(result.Alerts) {
				t.Error(wrong)
			}
			for _, a := range result.Alerts {
				t.Logf("%s: %s", a.Priority, a.Output)
			}
			if t.Failed() {
				t.Log(result.Output)
			}
		})
	}
	requireNoCanary(t, canary, run.Stdout(), run.Stderr())
}
