// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/containerapi/containerapi/e2e/engine"
)

// falco is the engine that the plugin is made for.
type falco struct{ engine.Engine }

func (f falco) command(ctx context.Context, l load, dir string, alerts *os.File) (*exec.Cmd, error) {
	rules := l.rules
	if len(rules) == 0 {
		file := filepath.Join(dir, "rule.yaml")
		if err := writeYAML(file, []map[string]any{{
			"rule":      "Six fields",
			"desc":      "The rule of the benchmark.",
			"source":    l.source,
			"condition": l.condition,
			"output":    "Event %evt.num matches",
			"priority":  "NOTICE",
		}}); err != nil {
			return nil, err
		}
		rules = []string{file}
	}
	config := filepath.Join(dir, "falco.yaml")
	err := writeYAML(config, map[string]any{
		"engine": map[string]any{"kind": "nodriver"},
		"plugins": []map[string]any{{
			"name":         l.plugin,
			"library_path": l.library,
			"init_config":  l.init,
			"open_params":  l.open,
		}},
		"load_plugins":       []string{l.plugin},
		"rules_files":        rules,
		"watch_config_files": false,
		"json_output":        false,
		"buffered_outputs":   true,
		"stdout_output":      map[string]any{"enabled": false},
		"syslog_output":      map[string]any{"enabled": false},
		"file_output":        map[string]any{"enabled": true, "keep_alive": true, "filename": alerts.Name()},
		"log_syslog":         false,
		"webserver":          map[string]any{"enabled": false},
	})
	if err != nil {
		return nil, err
	}
	return f.Exec(ctx, "-c", config, "--enable-source", l.source), nil
}

// writeYAML writes a value as JSON, which is YAML as well.
func writeYAML(file string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}
