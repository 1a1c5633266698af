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
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/containerapi/containerapi/e2e/engine"
	"github.com/containerapi/containerapi/e2e/kube"
	"github.com/containerapi/containerapi/internal/dockerd"
)

// markerRule is the rule that makes an alert of the marks that a [Runner] sets.
//
//go:embed marker.yaml
var markerRule []byte

const markerName = "Marker"

// markPath is the path of a request that a mark is sent with: one that the
// shipped audit policy records, and of which no rule and no history takes note.
const markPath = "/api/v1/namespaces/shop/serviceaccounts/web?fieldManager="

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
	// Kube is the cluster of Kubernetes scenarios that are run.
	Kube *kube.Cluster
	// Audit is the URL at which the plugin takes audit events. Scripts find it as
	// AUDIT.
	Audit string
	// Webhook plays those that were recorded.
	Webhook *Webhook
	// Docker is the Docker Engine of Docker scenarios. Their scripts run in its
	// network namespace.
	Docker *dockerd.Daemon
	// Untapped says that the plugin does not see the requests to the Docker
	// API, only its events.
	Untapped bool
	// Kubelet starts a kubelet for a recording.
	Kubelet func(ctx context.Context) (stop func() error, err error)
	// Dir is a directory for what scripts write.
	Dir string
	// Secret is what scripts find as PASSWORD. No error shows it.
	Secret string

	marks int
}

// Result is what became of a scenario.
type Result struct {
	// Output is what the script printed.
	Output string
	// Began is when the script was started.
	Began time.Time
	// Alerts are those that it raised.
	Alerts []engine.Alert
}

// Ready waits until events of an API reach the engine: those of the cluster, or
// of the webhook where there is no cluster.
func (r *Runner) Ready(ctx context.Context, api string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	way := r.way(api, api == Kubernetes && r.Kube == nil)
	if way == nil {
		return fmt.Errorf("the runner has nothing for %s", api)
	}
	for {
		_, err := r.mark(ctx, way, time.Second)
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
}

// ScriptError is the error of a scenario whose script failed. It is no fault of
// the runner, which can run the next one.
type ScriptError struct {
	// Err is how the script ended, Output what it printed.
	Err    error
	Output string
}

// Error implements error.
func (e *ScriptError) Error() string { return fmt.Sprintf("%v\n%s", e.Err, e.Output) }

// Unwrap returns how the script ended.
func (e *ScriptError) Unwrap() error { return e.Err }

// Run runs a scenario. The error says which command failed, as a [ScriptError];
// what alerts there must be is for [Scenario.Check].
func (r *Runner) Run(ctx context.Context, s Scenario) (Result, error) {
	way := r.way(s.API, s.Recording != "")
	if way == nil {
		return Result{}, fmt.Errorf("the runner has nothing for the scenario %q", s.Name)
	}
	if s.Recording != "" {
		// They are for making the recording.
		s.Before, s.After = "", ""
	}
	if _, err := r.script(ctx, s, s.Before); err != nil {
		return Result{}, err
	}
	if _, err := r.mark(ctx, way, markLimit); err != nil {
		return Result{}, err
	}
	result := Result{Began: time.Now()}
	err := r.perform(ctx, s, &result)
	if err != nil {
		_, _ = r.script(ctx, s, s.After)
		return Result{}, err
	}
	if result.Alerts, err = r.mark(ctx, way, markLimit); err != nil {
		return Result{}, err
	}
	_, err = r.script(ctx, s, s.After)
	return result, err
}

// perform does what the scenario is about.
func (r *Runner) perform(ctx context.Context, s Scenario, result *Result) (err error) {
	if s.Recording != "" {
		return r.Webhook.play(ctx, s)
	}
	result.Output, err = r.script(ctx, s, s.Run)
	return err
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
	cmd.Env = r.env(s)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	var out []byte
	err := r.enter(s.API, func() (err error) {
		// The parent of Pdeathsig is the thread that started the process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		out, err = cmd.CombinedOutput()
		return err
	})
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	if err != nil {
		output := string(out)
		if r.Secret != "" {
			output = strings.ReplaceAll(output, r.Secret, "***")
		}
		return "", &ScriptError{Err: errors.Join(err, ctx.Err()), Output: output}
	}
	return string(out), nil
}

// enter calls f where the programs of an API's scenarios run.
func (r *Runner) enter(api string, f func() error) error {
	if api == Docker {
		return r.Docker.Enter(f)
	}
	return f()
}

func (r *Runner) env(s Scenario) []string {
	env := os.Environ()
	if r.Secret != "" {
		env = append(env, "PASSWORD="+r.Secret)
	}
	if s.API == Kubernetes {
		return append(append(env, "AUDIT="+r.Audit), r.Kube.Env(s.As)...)
	}
	return append(env, r.Docker.Env()...)
}

// A way is how the events of scenarios get into the engine.
type way struct {
	name string
	// send sends a mark on this way.
	send func(ctx context.Context, mark string) error
	// arrived reports whether an alert completes the mark.
	arrived func(a engine.Alert, mark string) bool
}

// way returns the way of an API, live or recorded; nil if there is none.
func (r *Runner) way(api string, recorded bool) *way {
	inURI := func(a engine.Alert, mark string) bool { return a.Fields["kube.uri"] == markPath+mark }
	switch {
	case api == Docker && !recorded && r.Docker != nil:
		return r.dockerWay()
	case api == Kubernetes && !recorded && r.Kube != nil:
		return &way{api, func(ctx context.Context, mark string) error {
			return output(r.Kube.Command(ctx, "admin", "get", "--raw", markPath+mark))
		}, inURI}
	case api == Kubernetes && recorded && r.Webhook != nil:
		return &way{"the webhook", func(ctx context.Context, mark string) error {
			return r.Webhook.mark(ctx, markPath+mark)
		}, inURI}
	}
	return nil
}

// dockerWay sends one mark for Docker's events, and one for the requests, which
// come by another way: an event can overtake a request.
func (r *Runner) dockerWay() *way {
	event, request := false, r.Untapped
	return &way{Docker, func(ctx context.Context, mark string) error {
		event, request = false, r.Untapped
		if err := output(r.Docker.Command(ctx, "volume", "create", mark)); err != nil {
			return err
		}
		return output(r.Docker.Command(ctx, "volume", "inspect", mark))
	}, func(a engine.Alert, mark string) bool {
		path, _ := a.Fields["docker.request.path"].(string)
		event = event || a.Fields["docker.object.id"] == mark
		request = request || strings.HasSuffix(path, "/volumes/"+mark)
		return event && request
	}}
}

// output runs a command, whose error shows what it prints.
func output(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// mark sends a mark and returns the alerts that the engine raised before it saw
// the mark.
func (r *Runner) mark(ctx context.Context, w *way, limit time.Duration) ([]engine.Alert, error) {
	r.marks++
	mark := fmt.Sprintf("containerapi-mark-%d", r.marks)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := w.send(ctx, mark); err != nil {
		// What is killed at the limit does not say why.
		return nil, fmt.Errorf("mark through %s: %w", w.name, errors.Join(err, ctx.Err()))
	}
	alerts, err := r.Engine.Until(ctx, func(a engine.Alert) bool { return a.Rule == markerName && w.arrived(a, mark) })
	if err != nil {
		return nil, fmt.Errorf("mark through %s: %w", w.name, err)
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
