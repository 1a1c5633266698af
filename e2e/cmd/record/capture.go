// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/containerapi/containerapi/e2e/engine"
	"github.com/containerapi/containerapi/e2e/kube"
	"github.com/containerapi/containerapi/e2e/process"
	"github.com/containerapi/containerapi/e2e/scenario"
)

// settle is how long the probe may take to be loaded, and how long events take to
// come out of its buffers.
const settle = 3 * time.Second

// makeCaptures captures the system calls of scenarios' scripts with the sysdig that
// the environment variable SYSDIG names and its modern eBPF probe: the kernel must
// have BTF, and let this process load it. Debian's sysdig is built without the probe.
func makeCaptures(ctx context.Context, chosen []scenario.Scenario, out string) error {
	sysdig, err := exec.LookPath(cmp.Or(os.Getenv("SYSDIG"), "sysdig"))
	if err != nil {
		return fmt.Errorf("captures need a sysdig with the modern eBPF probe: name it in SYSDIG: %w", err)
	}
	e, err := engine.Find(ctx)
	if err != nil {
		return err
	}
	programs, err := kube.Directory()
	if err != nil {
		return err
	}
	if err := os.Setenv("PATH", programs+string(os.PathListSeparator)+os.Getenv("PATH")); err != nil {
		return err
	}
	for _, s := range chosen {
		if err := makeCapture(ctx, sysdig, e, s, out); err != nil {
			return fmt.Errorf("%s: %w", s.Capture, err)
		}
	}
	fmt.Println("written to", out)
	return nil
}

// makeCapture captures what the script's own processes do, and nothing of others,
// and says whether that raises what the scenario expects.
func makeCapture(ctx context.Context, sysdig string, e engine.Engine, s scenario.Scenario, out string) error {
	out, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "capture")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	file := filepath.Join(out, s.Capture+".scap")
	// A shell that waits until the probe is there, so that its pid can be the
	// filter's.
	script := exec.CommandContext(ctx, "sh", "-ec", "read start\n"+s.Record)
	script.Dir = work
	start, err := script.StdinPipe()
	if err != nil {
		return err
	}
	script.Stderr = os.Stderr
	if err := script.Start(); err != nil {
		return err
	}
	log := new(process.Output)
	filter := fmt.Sprintf("proc.pid=%[1]d or proc.apid=%[1]d", script.Process.Pid)
	cmd := exec.CommandContext(ctx, sysdig, "--modern-bpf", "-w", file, filter)
	cmd.Stdout, cmd.Stderr = log, log
	probe, err := process.Start("sysdig --modern-bpf", cmd)
	if err == nil {
		select {
		case <-probe.Ended():
			err = fmt.Errorf("the probe was not loaded: %v\n%s", probe.Err(), log)
		case <-time.After(settle):
		}
	}
	if err != nil {
		return errors.Join(err, script.Process.Kill(), script.Wait())
	}
	_, err = fmt.Fprintln(start)
	err = errors.Join(err, start.Close(), script.Wait())
	time.Sleep(settle)
	if err := errors.Join(err, probe.Stop(syscall.SIGINT, 10*time.Second)); err != nil {
		return err
	}
	alerts, err := engine.Replay(ctx, e, engine.Config{Capture: file, Source: "syscall", Rules: []string{syscallRules}})
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d alerts\n", s.Capture, len(alerts))
	for _, wrong := range s.CheckRules(alerts) {
		fmt.Printf("  it %s\n", wrong)
	}
	return nil
}
