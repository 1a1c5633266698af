// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/containerapi/containerapi/e2e/engine"
)

// A runner runs a load in an engine: a plugin, and a rule over all events of its
// source. It prints less than what package engine makes of it, so that the events
// are measured.
type runner interface {
	// String says which program and which version it is.
	String() string
	// command returns the command that runs l, and writes one line for each
	// alert to the file. It keeps its own files in dir.
	command(ctx context.Context, l load, dir string, alerts *os.File) (*exec.Cmd, error)
}

// load is what an engine is to run.
type load struct {
	// plugin is the plugin's name, source that of its event source, and library
	// its path.
	plugin, source, library string
	// init is the init_config, a JSON object, and open the open_params.
	init, open string
	// rules are rule files.
	rules []string
	// condition is that of the only rule, if there are no files.
	condition string
}

// result is what a run took.
type result struct {
	// wall is the time that it took, cpu the processor time of all its threads.
	wall, cpu time.Duration
	// peak is the most memory that the engine had resident, in bytes.
	peak   int64
	alerts int
}

// findRunner returns the runner for the engine that there is.
func findRunner(ctx context.Context) (runner, error) {
	e, err := engine.Find(ctx)
	if err != nil {
		return nil, err
	}
	if e.IsFalco() {
		return falco{e}, nil
	}
	return sysdig{e}, nil
}

// run runs the engine to the end of the source. Its files, which are removed,
// are in a new directory below dir.
func run(ctx context.Context, e runner, l load, dir string) (result, error) {
	dir, err := os.MkdirTemp(dir, "run")
	if err != nil {
		return result{}, err
	}
	defer os.RemoveAll(dir)
	alerts, err := os.Create(filepath.Join(dir, "alerts"))
	if err != nil {
		return result{}, err
	}
	defer alerts.Close()
	cmd, err := e.command(ctx, l, dir, alerts)
	if err != nil {
		return result{}, err
	}
	var log bytes.Buffer
	cmd.Stderr = &log
	if cmd.Stdout == nil {
		cmd.Stdout = &log
	}
	start := time.Now()
	err = cmd.Run()
	r := result{wall: time.Since(start)}
	if err != nil {
		return r, fmt.Errorf("%s with plugin %s: %w\n%s", e, l.plugin, err, lastLines(log.String(), 15))
	}
	r.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	// In KiB. It starts from what this program had when it started the engine,
	// which is therefore kept small.
	r.peak = cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
	text, err := os.ReadFile(alerts.Name())
	if err != nil {
		return r, err
	}
	r.alerts = bytes.Count(text, []byte("\n"))
	return r, nil
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
