// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// recordLimit is how long Falco records when it is not stopped before.
const recordLimit = 10 * time.Minute

// falco is the real thing.
type falco struct {
	path, version string
}

func newFalco(ctx context.Context, path string) (Engine, error) {
	f := &falco{path: path}
	version, err := firstLine(f.Exec(ctx, "--version"))
	if err != nil {
		return nil, fmt.Errorf("the Falco that FALCO or PATH names: %w", err)
	}
	f.version = strings.TrimPrefix(version, "Falco version: ")
	return f, nil
}

func (f *falco) String() string { return "Falco " + f.version }

func (f *falco) IsFalco() bool { return true }

func (f *falco) Exec(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, f.path, args...)
}

func (f *falco) command(c Config, dir string) (*exec.Cmd, lineReader, error) {
	var plugins []map[string]any
	var load []string
	for i, p := range c.Plugins {
		plugin := map[string]any{"name": p.Name, "library_path": p.Library}
		if p.Init != nil {
			plugin["init_config"] = p.Init
		}
		if i == 0 {
			plugin["open_params"] = p.Open
		}
		plugins = append(plugins, plugin)
		load = append(load, p.Name)
	}
	kind := map[string]any{"kind": "nodriver"}
	record := map[string]any{"enabled": false}
	switch {
	case c.Capture != "":
		kind = map[string]any{"kind": "replay", "replay": map[string]any{"capture_file": c.Capture}}
	case c.Record != "":
		kind = map[string]any{"kind": "modern_ebpf"}
		record = map[string]any{"enabled": true, "path_prefix": c.Record, "mode": "rules", "default_duration": recordLimit.Milliseconds()}
	}
	matching := "first"
	if c.AllMatching {
		matching = "all"
	}
	text, err := yaml.Marshal(map[string]any{
		"engine":                              kind,
		"capture":                             record,
		"plugins":                             plugins,
		"load_plugins":                        load,
		"rules_files":                         c.Rules,
		"rule_matching":                       matching,
		"priority":                            "debug",
		"json_output":                         true,
		"json_include_message_property":       true,
		"json_include_output_fields_property": true,
		"buffered_outputs":                    false,
		"stdout_output":                       map[string]any{"enabled": true},
		"syslog_output":                       map[string]any{"enabled": false},
		"log_stderr":                          true,
		"log_syslog":                          false,
		"log_level":                           "info",
		"webserver":                           map[string]any{"enabled": false},
	})
	if err != nil {
		return nil, nil, err
	}
	config := filepath.Join(dir, "falco.yaml")
	if err := os.WriteFile(config, text, 0o600); err != nil {
		return nil, nil, err
	}
	return exec.Command(f.path, "-c", config, "--enable-source", c.Source), readFalco, nil
}

// readFalco reads an alert as json_output prints it. Other lines tell of
// Falco's start.
func readFalco(line []byte) (Alert, bool, error) {
	if !bytes.HasPrefix(line, []byte("{")) {
		return Alert{}, false, nil
	}
	var alert struct {
		Rule, Priority, Source, Message string
		Time                            time.Time
		Fields                          map[string]any `json:"output_fields"`
	}
	if err := json.Unmarshal(line, &alert); err != nil {
		return Alert{}, false, err
	}
	return Alert{
		Rule:     alert.Rule,
		Priority: alert.Priority,
		Source:   alert.Source,
		Time:     alert.Time,
		Output:   alert.Message,
		Fields:   alert.Fields,
	}, true, nil
}
