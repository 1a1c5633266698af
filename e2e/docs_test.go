// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/containerapi/containerapi/e2e/engine"
	"github.com/containerapi/containerapi/e2e/engine/enginetest"
)

// yamlBlock is a block of YAML in a page.
var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// TestDocs proves that the engine takes what the pages tell users to write into
// falco.yaml, with the rule files that they name, and then catches an attack. In
// place of the inputs stands a recording; TestK8sAudit does the same for the
// library beside a k8saudit plugin.
func TestDocs(t *testing.T) {
	for page, blocks := range map[string]int{"README.md": 1, "docs/kubernetes-audit.md": 1, "docs/packages.md": 1} {
		text, err := os.ReadFile(filepath.Join("..", page))
		if err != nil {
			t.Fatal(err)
		}
		tried := 0
		for _, block := range yamlBlock.FindAllSubmatch(text, -1) {
			var config struct {
				Plugins []struct {
					Name    string
					Library string `yaml:"library_path"`
					Init    any    `yaml:"init_config"`
				}
				Load  []string `yaml:"load_plugins"`
				Rules []string `yaml:"rules_files"`
			}
			if err := yaml.Unmarshal(block[1], &config); err != nil || len(config.Plugins) != 1 {
				continue
			}
			tried++
			p := config.Plugins[0]
			if p.Library != "libcontainerapi.so" || !slices.Equal(config.Load, []string{p.Name}) {
				t.Errorf("%s: loads %q, and %s from %s", page, config.Load, p.Name, p.Library)
			}
			shipped := plugin(t, "testdata/recordings/attack/atomic-t1552.007-1-get-secrets-all-namespaces.jsonl.gz")
			shipped.Name, shipped.Init = p.Name, p.Init
			rules := []string{ruleFile}
			if len(config.Rules) > 0 {
				rules = nil
			}
			for _, name := range config.Rules {
				rules = append(rules, filepath.Join("../rules", filepath.Base(name)))
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			alerts, err := engine.Replay(ctx, enginetest.Find(t), engine.Config{Plugins: []engine.Plugin{shipped}, Source: source, Rules: rules})
			cancel()
			if err != nil {
				t.Errorf("%s: %v", page, err)
			}
			if len(alerts) != 1 || alerts[0].Rule != "Kubernetes Secrets Listed Across All Namespaces" {
				t.Errorf("%s: %d alerts: %v", page, len(alerts), alerts)
			}
		}
		if tried != blocks {
			t.Errorf("%s: %d blocks for falco.yaml, want %d", page, tried, blocks)
		}
	}
}
