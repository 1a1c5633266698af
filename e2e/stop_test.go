// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerapi/containerapi/e2e/engine"
	"github.com/containerapi/containerapi/e2e/engine/enginetest"
)

// stopLimit is how long an engine may take to end: the plugin's second, and the
// engine's own time.
const stopLimit = 1500 * time.Millisecond

// TestStop ends an engine with all inputs open, a client in the middle of a
// request among them.
func TestStop(t *testing.T) {
	daemon := startDocker(t)
	url, address := webhook(t)
	followed := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(followed, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	open := strings.Join([]string{url, "file://" + followed, "docker://" + daemon.Socket, "docker:///nothing/here.sock"}, ",")
	e := enginetest.Find(t)
	for i := range 3 {
		run, err := engine.Start(e, engine.Config{
			Plugins: []engine.Plugin{plugin(t, open)},
			Source:  source,
			Rules:   []string{"testdata/audit.yaml"},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = run.Stop() })
		awaitListener(t, run, address)
		slow, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(slow, "POST /k8s-audit HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
		start := time.Now()
		if err := run.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		select {
		case <-run.Ended():
		case <-time.After(10 * time.Second):
		}
		if took := time.Since(start); took > stopLimit {
			t.Errorf("run %d: the engine ended after %s, want %s\n%s", i, took, stopLimit, run.Stderr())
		} else {
			t.Logf("ended after %s", took)
		}
		slow.Close()
		if err := run.Stop(); err != nil {
			t.Error(err)
		}
		if err := run.Err(); err != nil {
			t.Errorf("the engine ended with %v\n%s", err, run.Stderr())
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatalf("the webhook's port is not free: %v", err)
		}
		l.Close()
	}
}

// TestReload makes Falco load its configuration again, which closes and opens
// the plugin within the process, and looks for what is left behind.
func TestReload(t *testing.T) {
	if e := enginetest.Find(t); !strings.HasPrefix(e.String(), "Falco") {
		t.Skip("only Falco can reload")
	}
	daemon := startDocker(t)
	url, address := webhook(t)
	run := startEngine(t, plugin(t, url+",docker://"+daemon.Socket), "testdata/audit.yaml")
	awaitListener(t, run, address)
	// How many times the plugin was ready: an input is, when it says so.
	listening := func() int {
		return min(strings.Count(run.Stderr(), "receiving Kubernetes audit events"), strings.Count(run.Stderr(), "seeing every request"))
	}
	until(t, 30*time.Second, "the inputs are ready", func() bool { return listening() == 1 })
	files := func() int {
		all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", run.Pid()))
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	reload := func() {
		t.Helper()
		before := listening()
		start := time.Now()
		if err := run.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		until(t, 30*time.Second, "the inputs are back", func() bool { return listening() > before })
		t.Logf("reloaded after %s", time.Since(start).Round(time.Millisecond))
		name := fmt.Sprintf("volume-%d", before)
		attempt := 0
		until(t, 30*time.Second, "events arrive again", func() bool {
			attempt++
			name := fmt.Sprintf("%s-%d", name, attempt)
			daemon.Docker("volume", "create", name)
			time.Sleep(100 * time.Millisecond)
			for _, a := range run.Alerts() {
				if a.Fields["docker.object.id"] == name {
					return true
				}
			}
			return false
		})
	}
	reload()
	first := files()
	for range 5 {
		reload()
	}
	until(t, 10*time.Second, "no more files are open than after the first reload", func() bool { return files() <= first })
}

// TestRequiredAPI proves that the oldest Falco that is promised loads the
// plugin.
func TestRequiredAPI(t *testing.T) {
	program := filepath.Join(t.TempDir(), "version")
	if out, err := exec.Command("gcc", "-o", program, "testdata/version.c", "-ldl").CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	out, err := exec.Command(program, plugin(t, "").Library).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := strings.TrimSpace(string(out)); got != "3.0.0" {
		t.Errorf("the plugin requires the API %s, want 3.0.0", got)
	}
}
