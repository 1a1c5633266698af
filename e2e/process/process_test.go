// SPDX-License-Identifier: Apache-2.0

package process

import (
	"errors"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestStop(t *testing.T) {
	out := new(Output)
	// The shell's child must end with it.
	cmd := exec.Command("sh", "-c", "sleep 600 & echo $!; wait")
	cmd.Stdout = out
	p, err := Start("sh", cmd)
	if err != nil {
		t.Fatal(err)
	}
	child := ""
	for deadline := time.Now().Add(10 * time.Second); child == "" && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		child = strings.TrimSpace(out.String())
	}
	if err := p.Stop(syscall.SIGKILL, 10*time.Second); err != nil {
		t.Error(err)
	}
	if p.Err() == nil {
		t.Error("a killed process ended well")
	}
	if err := exec.Command("kill", "-0", child).Run(); err == nil {
		// It is a zombie until its new parent waits for it.
		state, _ := exec.Command("ps", "-o", "stat=", "-p", child).Output()
		if !strings.HasPrefix(string(state), "Z") && len(state) > 0 {
			t.Errorf("the child %s still runs: %s", child, state)
		}
	}
	if err := p.Signal(syscall.SIGTERM); err == nil {
		t.Error("a process that has ended takes signals")
	}
	if err := p.Stop(syscall.SIGTERM, time.Second); err != nil {
		t.Errorf("stopped twice: %v", err)
	}
}

func TestStopLimit(t *testing.T) {
	out := new(Output)
	cmd := exec.Command("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done")
	cmd.Stdout = out
	p, err := Start("sh", cmd)
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); out.String() == "" && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	if err := p.Stop(syscall.SIGTERM, 100*time.Millisecond); err == nil {
		t.Error("a process that heeds no SIGTERM was stopped without an error")
	}
	var exit *exec.ExitError
	if !errors.As(p.Err(), &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("it ended with %v, want SIGKILL", p.Err())
	}
}

func TestStartMissing(t *testing.T) {
	if _, err := Start("nothing", exec.Command("/nothing/here")); err == nil || !strings.Contains(err.Error(), "start nothing") {
		t.Errorf("error %v", err)
	}
}
