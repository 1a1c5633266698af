// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/containerapi/containerapi/e2e/engine"
	"github.com/containerapi/containerapi/e2e/kube"
)

// markerRule is the rule that makes an alert of the marks that a [Runner] sets.
//
//go:embed marker.yaml
var markerRule []byte

const markerName = "Marker"

// markPath is the path of a request that a mark is sent with: one that the
// shipped audit policy records, and of which no rule and no history takes note.
const markPath = "/api/v1/namespaces/shop/serviceaccounts/web?mark="

// How long a mark may take through an API, the plugin and the engine, and a
// script to end.
const (
	markLimit   = 30 * time.Second
	scriptLimit = time.Minute
)

// WriteMarkerRule writes the rule file that an engine must load, before all
// others, for a [Runner].
func WriteMarkerRule(dir string) (string, error) {
	name := filepath.Join(dir, "marker.yaml")
	return name, os.WriteFile(name, markerRule, 0o600)
}

// Runner runs scenarios one after another. After each it sends a mark through
// the same API: the alerts before the mark's are the scenario's.
type Runner struct {
	// Engine runs the plugin with the rules.
	Engine *engine.Process
	// Kube is the cluster of Kubernetes scenarios.
	Kube *kube.Cluster
	// DockerHost is the address of the Docker Engine of Docker scenarios,
	// such as unix:///run/docker.sock.
	DockerHost string
	// Dir is a directory for what scripts write.
	Dir string

	marks int
}

// Result is what became of a scenario.
type Result struct {
	// Output is what the script printed.
	Output string
	// Alerts are those that it raised.
	Alerts []engine.Alert
}

// Ready waits until events of an API reach the engine.
func (r *Runner) Ready(ctx context.Context, api string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		_, err := r.mark(ctx, api, time.Second)
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
}

// Run runs a scenario. The error says which command failed; what alerts there
// must be is for [Scenario.Check].
func (r *Runner) Run(ctx context.Context, s Scenario) (Result, error) {
	if _, err := r.script(ctx, s, s.Before); err != nil {
		return Result{}, err
	}
	if _, err := r.mark(ctx, s.API, markLimit); err != nil {
		return Result{}, err
	}
	var result Result
	var err error
	if result.Output, err = r.script(ctx, s, s.Run); err != nil {
		_, _ = r.script(ctx, s, s.After)
		return Result{}, err
	}
	if result.Alerts, err = r.mark(ctx, s.API, markLimit); err != nil {
		return Result{}, err
	}
	_, err = r.script(ctx, s, s.After)
	return result, err
}

// script runs a script of a scenario and returns what it prints. What it
// leaves running is killed.
func (r *Runner) script(ctx context.Context, s Scenario, text string) (string, error) {
	if text == "" {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, scriptLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-exc", text)
	cmd.Dir = r.Dir
	cmd.Env = r.env(s.API, s.As)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return string(out), nil
}

func (r *Runner) env(api, user string) []string {
	if api == Kubernetes {
		return append(os.Environ(), r.Kube.Env(user)...)
	}
	return append(os.Environ(), "DOCKER_HOST="+r.DockerHost, "DOCKER_CONFIG="+filepath.Join(r.Dir, "docker-config"),
		"DOCKER_CONTEXT=", "DOCKER_API_VERSION=", "DOCKER_TLS_VERIFY=", "DOCKER_CERT_PATH=")
}

// mark sends a mark through an API and returns the alerts that the engine
// raised before it saw the mark.
func (r *Runner) mark(ctx context.Context, api string, limit time.Duration) ([]engine.Alert, error) {
	r.marks++
	mark := fmt.Sprintf("containerapi-mark-%d", r.marks)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var cmd *exec.Cmd
	if api == Kubernetes {
		cmd = r.Kube.Command(ctx, "admin", "get", "--raw", markPath+mark)
	} else {
		// One mark for Docker's events, and one for the requests, which come
		// by another way: an event can overtake a request.
		cmd = exec.CommandContext(ctx, "sh", "-c", `docker volume create "$0" && docker volume inspect "$0"`, mark)
		cmd.Env = r.env(api, "")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("mark through %s: %w: %s", api, err, out)
	}
	var event, request bool
	alerts, err := r.Engine.Until(ctx, func(a engine.Alert) bool {
		if a.Rule != markerName {
			return false
		}
		path, _ := a.Fields["docker.request.path"].(string)
		event = event || a.Fields["docker.object.id"] == mark
		request = request || strings.HasSuffix(path, "/volumes/"+mark)
		return a.Fields["kube.uri"] == markPath+mark || (event && request)
	})
	if err != nil {
		return nil, fmt.Errorf("mark through %s: %w", api, err)
	}
	// The mark itself, and those that Ready waited too short for.
	kept := alerts[:0:0]
	for _, a := range alerts {
		if a.Rule != markerName {
			kept = append(kept, a)
		}
	}
	return kept, nil
}
