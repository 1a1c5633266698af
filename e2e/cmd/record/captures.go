// SPDX-License-Identifier: Apache-2.0

package main

import (
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

	"github.com/containerapi/containerapi/e2e/engine"
	"github.com/containerapi/containerapi/e2e/process"
	"github.com/containerapi/containerapi/e2e/scap"
	"github.com/containerapi/containerapi/e2e/scenario"
)

var (
	//go:embed capture.yaml
	markRules []byte
	//go:embed threads.yaml
	threadRules string
)

// How long a script may take, and a mark until Falco tells it: its probe has to be
// loaded before the first one.
const (
	scriptLimit = 2 * time.Minute
	markLimit   = time.Minute
)

// makeCaptures captures the system calls of scenarios' scripts with Falco's modern
// eBPF probe: the kernel must have BTF, and let this process load it.
func makeCaptures(ctx context.Context, chosen []scenario.Scenario, out string) error {
	falco, err := engine.Find(ctx)
	if err != nil {
		return err
	}
	if !falco.IsFalco() {
		return errors.New("captures need a Falco with the modern eBPF probe: name it in the environment variable FALCO")
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	stage, err := newStage(ctx, slices.ContainsFunc(chosen, func(s scenario.Scenario) bool { return s.Engine }))
	if err != nil {
		return err
	}
	var failed error
	for _, s := range chosen {
		if err := makeCapture(ctx, falco, stage, s, filepath.Join(out, s.Capture+".scap")); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", s.Capture, err))
		}
	}
	fmt.Println("written to", out)
	return errors.Join(failed, stage.close())
}

// makeCapture captures what a scenario's script does, and nothing of others, and says
// whether that raises what the scenario expects.
func makeCapture(ctx context.Context, falco engine.Engine, stage *stage, s scenario.Scenario, file string) error {
	work, err := os.MkdirTemp("", "capture")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if _, err := script(ctx, stage, work, s.Before); err != nil {
		return fmt.Errorf("before: %w", err)
	}
	raw, pid, err := capture(ctx, falco, stage, work, s)
	_, undone := script(ctx, stage, work, s.After)
	if err := errors.Join(err, undone); err != nil {
		return err
	}
	if err := takeOut(ctx, falco, raw, pid, stage.cgroup, file); err != nil {
		return err
	}
	return report(ctx, falco, s, file)
}

// script runs a script as scenarios have it, and returns its process id. The error
// has what it printed.
func script(ctx context.Context, stage *stage, work, text string) (pid int, err error) {
	ctx, cancel := context.WithTimeout(ctx, scriptLimit)
	defer cancel()
	var printed process.Output
	cmd := exec.CommandContext(ctx, "sh", "-ec", text)
	cmd.Dir, cmd.Env = work, stage.env
	cmd.Stdout, cmd.Stderr = &printed, &printed
	cmd.WaitDelay = time.Second
	// What it leaves behind may hold its output open.
	if err := cmd.Run(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return 0, fmt.Errorf("the script: %w\n%s", err, printed.String())
	}
	return cmd.Process.Pid, nil
}

// capture runs a scenario's script while Falco captures what all processes do, and
// returns the capture's file, in the directory work, and the process id of the script.
func capture(ctx context.Context, falco engine.Engine, stage *stage, work string, s scenario.Scenario) (file string, pid int, err error) {
	dir, err := os.MkdirTemp(work, "falco")
	if err != nil {
		return "", 0, err
	}
	marks := filepath.Join(dir, "marks.yaml")
	if err := os.WriteFile(marks, markRules, 0o600); err != nil {
		return "", 0, err
	}
	// The rules decide which system calls Falco traces.
	prefix := filepath.Join(dir, "all")
	p, err := engine.Start(falco, engine.Config{Record: prefix, Source: "syscall", Rules: []string{marks, syscallRules}})
	if err != nil {
		return "", 0, err
	}
	pid, err = perform(ctx, p, stage, work, s.Record)
	if err = errors.Join(err, p.Stop()); err != nil {
		return "", 0, fmt.Errorf("%w\n%s", err, p.Stderr())
	}
	files, err := filepath.Glob(prefix + "*.scap")
	if err == nil && len(files) != 1 {
		err = fmt.Errorf("falco wrote %d captures, not one", len(files))
	}
	if err != nil {
		return "", 0, err
	}
	return files[0], pid, nil
}

// perform runs a script between two marks, and returns its process id.
func perform(ctx context.Context, p *engine.Process, stage *stage, work, text string) (pid int, err error) {
	if err := mark(ctx, p, "begin"); err != nil {
		return 0, err
	}
	if pid, err = script(ctx, stage, work, text); err != nil {
		return 0, err
	}
	return pid, mark(ctx, p, "end")
}

// mark starts a program with a name of its own until Falco tells that it saw it.
func mark(ctx context.Context, p *engine.Process, name string) error {
	ctx, cancel := context.WithTimeout(ctx, markLimit)
	defer cancel()
	text := "containerapi-mark-" + name
	for {
		if err := exec.CommandContext(ctx, "true", text).Run(); err != nil {
			return fmt.Errorf("falco did not see the mark: %w", err)
		}
		try, stop := context.WithTimeout(ctx, time.Second)
		_, err := p.Until(try, func(a engine.Alert) bool { return a.Output == text })
		stop()
		if err == nil || !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return err
		}
	}
}

// takeOut writes a capture without what belongs to other processes than those of a
// script and of the containers in a cgroup.
func takeOut(ctx context.Context, falco engine.Engine, raw string, pid int, cgroup, file string) error {
	rules := filepath.Join(filepath.Dir(raw), "threads.yaml")
	if err := os.WriteFile(rules, fmt.Appendf(nil, threadRules, pid, cgroup), 0o600); err != nil {
		return err
	}
	alerts, err := engine.Replay(ctx, falco, engine.Config{Capture: raw, Source: "syscall", Rules: []string{rules}})
	if err != nil {
		return err
	}
	threads := make(map[string]bool)
	for _, a := range alerts {
		threads[strings.TrimSpace(a.Output)] = true
	}
	in, err := os.Open(raw)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(scap.Filter(out, in, func(thread uint64) bool { return threads[fmt.Sprint(thread)] }), out.Close())
}

// report says what a capture raises that its scenario does not expect, or the other
// way round, and whether it could take the place of the committed one.
func report(ctx context.Context, falco engine.Engine, s scenario.Scenario, file string) error {
	alerts, err := engine.Replay(ctx, falco, engine.Config{Capture: file, Source: "syscall", Rules: []string{syscallRules}})
	if err != nil {
		return err
	}
	wrong := s.CheckRules(alerts)
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	verdict := "as expected"
	if len(wrong) > 0 {
		verdict = "not as expected"
	}
	committed := "none is committed"
	if old, err := os.Stat(filepath.Join(captures, filepath.Base(file))); err == nil {
		committed = fmt.Sprintf("the committed one has %d", old.Size())
	}
	fmt.Printf("%s: %d alerts, %s; %d bytes, %s\n", s.Capture, len(alerts), verdict, info.Size(), committed)
	for _, text := range wrong {
		fmt.Printf("  it %s\n", text)
	}
	return nil
}
