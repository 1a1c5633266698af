// SPDX-License-Identifier: Apache-2.0

package field

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/containerapi/containerapi/e2e/engine"
	"github.com/containerapi/containerapi/e2e/process"
	"github.com/containerapi/containerapi/e2e/scenario"
	"github.com/containerapi/containerapi/internal/dockerd"
)

//go:embed docker/software.yaml
var dockerSoftware []byte

//go:embed docker/client.py
var dockerClient []byte

// Polled is what one software that works with Docker raised.
type Polled struct {
	Name string
	// Raised is by kind of act: the operation and the rule.
	Raised []Act
}

// Act is one kind of act, with the alerts that it raised.
type Act struct {
	Operation string
	Raised
}

// Misses says in what the software is not as quiet as it must be: at most one alert for
// each kind of act.
func (p Polled) Misses() []string {
	var wrong []string
	told := make(map[string]int)
	for _, a := range p.Raised {
		if a.Priority == "Informational" {
			continue
		}
		if told[a.Operation] += a.Count; told[a.Operation] > 1 && !slices.Contains(wrong, a.Operation) {
			wrong = append(wrong, a.Operation)
		}
	}
	return wrong
}

// Docker runs software against a Docker Engine, one after the other, and returns what
// each raised.
func (s Site) Docker(ctx context.Context) (_ []Polled, err error) {
	var work []scenario.Scenario
	decoder := yaml.NewDecoder(bytes.NewReader(dockerSoftware))
	decoder.KnownFields(true)
	if err := decoder.Decode(&work); err != nil {
		return nil, err
	}
	for _, name := range []string{"prometheus", "cadvisor"} {
		if _, err := exec.LookPath(name); err != nil {
			return nil, fmt.Errorf("run make setup: %w", err)
		}
	}
	dir, err := os.MkdirTemp("", "field")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	daemon, err := dockerd.Start(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, daemon.Close()) }()
	for _, name := range []string{"one", "two", "three"} {
		run := daemon.Command(ctx, "run", "--detach", "--name="+name, "--network=none", "--env=PASSWORD=dummy", dockerd.Image, "sleep", "100000")
		if out, err := run.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("docker run: %w\n%s", err, out)
		}
	}
	client := filepath.Join(dir, "client.py")
	marker, err1 := scenario.WriteMarkerRule(dir)
	ports, err2 := process.FreePorts(1)
	if err := errors.Join(err1, err2, os.WriteFile(client, dockerClient, 0o644),
		os.Setenv("RUN", "docker run --rm --network none -v "+daemon.Socket+":/var/run/docker.sock -v "+client+":/client.py:ro "+
			"-v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro")); err != nil {
		return nil, err
	}
	if err := os.Setenv("PORT", fmt.Sprint(ports[0])); err != nil {
		return nil, err
	}
	run, err := engine.Start(s.Engine, engine.Config{
		Plugins: []engine.Plugin{{Name: "containerapi", Library: s.Library, Open: "docker://" + daemon.Socket}},
		Source:  source,
		Rules:   append([]string{marker}, s.Rules...),
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, run.Stop()) }()
	runner := &scenario.Runner{Engine: run, Docker: daemon, Dir: dir}
	if err := runner.Ready(ctx, scenario.Docker); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, run.Stderr())
	}
	var all []Polled
	for _, w := range work {
		result, err := runner.Run(ctx, w)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", w.Name, err)
		}
		all = append(all, Polled{w.Name, acts(software(result.Alerts))})
		// What belongs to the last one is told of before the next one begins.
		if err := runner.Ready(ctx, scenario.Docker); err != nil {
			return nil, err
		}
		time.Sleep(100 * time.Millisecond)
	}
	return all, nil
}

// software returns the alerts that the software raised, and not the script that starts it
// by the docker command.
func software(alerts []engine.Alert) []engine.Alert {
	return slices.DeleteFunc(slices.Clone(alerts), func(a engine.Alert) bool {
		exe, _ := a.Fields["docker.client.exepath"].(string)
		return filepath.Base(exe) == "docker" || a.Rule == "Marker"
	})
}

// acts counts alerts by kind of act.
func acts(alerts []engine.Alert) []Act {
	var all []Act
	for _, a := range alerts {
		operation, _ := a.Fields["api.operation"].(string)
		i := slices.IndexFunc(all, func(o Act) bool { return o.Operation == operation && o.Rule == a.Rule })
		if i < 0 {
			i = len(all)
			all = append(all, Act{operation, Raised{Rule: a.Rule, Priority: a.Priority, Example: a.Output}})
		}
		all[i].Count++
	}
	slices.SortFunc(all, func(a, b Act) int {
		return cmp.Or(priority(a.Priority)-priority(b.Priority), cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Rule, b.Rule))
	})
	return all
}

// DockerTable is the table of software that works with Docker. How often something is
// polled in a measurement differs, so it says only once or again.
func DockerTable(all []Polled) string {
	var out strings.Builder
	head(&out, "software", "alerts by kind of act", "quiet enough")
	quiet := 0
	for _, p := range all {
		var parts []string
		for _, a := range p.Raised {
			often := "once"
			if a.Count > 1 {
				often = "again and again"
			}
			parts = append(parts, fmt.Sprintf("%s %s, %s, %s", level(a.Priority), short(a.Rule), cmp.Or(a.Operation, "any"), often))
		}
		verdict := "yes"
		if len(p.Misses()) > 0 {
			verdict = "**no**"
		} else {
			quiet++
		}
		fmt.Fprintf(&out, "| %s | %s | %s |\n", p.Name, cmp.Or(strings.Join(parts, "<br>"), "–"), verdict)
	}
	fmt.Fprintf(&out, "\n%d of %d are quiet enough.\n", quiet, len(all))
	return out.String()
}
