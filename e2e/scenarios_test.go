// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/containerapi/containerapi/e2e/engine"
	"github.com/containerapi/containerapi/e2e/scenario"
	"github.com/containerapi/containerapi/internal/dockertest"
	"github.com/containerapi/containerapi/plugin/tap/taptest"
)

// ruleFile has the shipped rules on the plugin's own events.
const ruleFile = "../rules/containerapi_rules.yaml"

// known tunes the rules as the example that is shipped beside them does.
const known = "../rules/examples/local_containerapi.yaml"

// insecure is the rule that a Docker Engine's start raises, and no scenario.
const insecure = "Docker Daemon Listens On TCP Without TLS"

// TestCoverage proves that every shipped rule has an attack that raises it, and
// benign work that comes close and does not.
func TestCoverage(t *testing.T) {
	rules, err := engine.LoadRules(ruleFile)
	if err != nil {
		t.Fatal(err)
	}
	scenarios := loadLive(t)
	for _, r := range rules {
		if r.Source != source || r.Name == insecure {
			continue
		}
		if !slices.ContainsFunc(scenarios, func(s scenario.Scenario) bool { return slices.Contains(s.Expect, r.Name) }) {
			t.Errorf("no scenario raises the rule %q", r.Name)
		}
		if !slices.ContainsFunc(scenarios, func(s scenario.Scenario) bool { return slices.Contains(s.Near, r.Name) }) {
			t.Errorf("no scenario comes near the rule %q", r.Name)
		}
	}
	for _, s := range loadScenarios(t, func(s scenario.Scenario) bool { return s.Capture == "" }) {
		for _, name := range slices.Concat(s.Expect, s.Untapped, s.Allow, s.Near) {
			if !slices.ContainsFunc(rules, func(r engine.Rule) bool { return r.Name == name }) {
				t.Errorf("the scenario %q names the rule %q, which does not exist", s.Name, name)
			}
		}
	}
}

// loadScenarios returns the attacks and the benign work of one kind.
func loadScenarios(t *testing.T, kind func(scenario.Scenario) bool) []scenario.Scenario {
	t.Helper()
	all, err := scenario.Load("attack", "benign")
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(s scenario.Scenario) bool { return !kind(s) })
}

func loadLive(t *testing.T) []scenario.Scenario {
	t.Helper()
	return loadScenarios(t, scenario.Scenario.Live)
}

// TestScenarios runs all live scenarios in one engine, both APIs at once. Those of
// Docker run on the newest Docker Engine as well.
func TestScenarios(t *testing.T) {
	dockertest.Each(t, func(t *testing.T, on dockertest.Engine) {
		if on.OfMachine() {
			testScenarios(t, on, scenario.Kubernetes, scenario.Docker)
		} else {
			testScenarios(t, on, scenario.Docker)
		}
	})
}

func testScenarios(t *testing.T, on dockertest.Engine, apis ...string) {
	scenarios := slices.DeleteFunc(loadLive(t), func(s scenario.Scenario) bool {
		return !slices.Contains(apis, s.API) || s.Machine && !on.OfMachine()
	})
	marker, err := scenario.WriteMarkerRule(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	setHelmEnv(t)
	// One of the attacks finds the API at the port that it has without TLS.
	requireDocker(t)
	daemon := on.StartIsolated(t, "--host", "tcp://127.0.0.1:2375", "--tls=false")
	url, address := webhook(t)
	run := startEngine(t, plugin(t, url+",docker://"+daemon.Socket), marker, ruleFile, known, knownCLI(t, daemon))
	awaitListener(t, run, address)
	canary := newCanary()
	runner := &scenario.Runner{Engine: run, Audit: url, Docker: daemon.Daemon, Dir: t.TempDir(), Secret: canary}
	if slices.Contains(apis, scenario.Kubernetes) {
		options := shippedAudit(t, url)
		options.AuditPolicy = shippedPolicy(t, "audit-policy-requests.yaml")
		options.Canary, options.Flags = canary, []string{"--enable-logs-handler=true"}
		runner.Kube = startCluster(t, options)
	}
	for _, api := range apis {
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
	// The engine listens on TCP without TLS: said once, with the address.
	var told []engine.Alert
	for _, a := range run.Alerts() {
		if a.Rule == insecure {
			told = append(told, a)
		}
	}
	if len(told) != 1 || told[0].Fields["api.object"] != "tcp://127.0.0.1:2375" {
		t.Errorf("%d alerts of %q, want one: %v", len(told), insecure, told)
	}
	requireNoCanary(t, canary, run.Stdout(), run.Stderr())
}

// knownCLI returns a rule file that knows the docker command of a daemon, wherever
// it is installed.
func knownCLI(t *testing.T, d *dockertest.Daemon) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "cli.yaml")
	rules := "- list: docker_client_exes\n  items: [" + taptest.Executable(t, d.CLI) + "]\n  override: {items: append}\n"
	if err := os.WriteFile(name, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
