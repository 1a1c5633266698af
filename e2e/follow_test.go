// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestFollowOn writes to an audit log while the engine is stopped, rotates it, and starts
// the engine again: each event is there once.
func TestFollowOn(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "audit.log")
	n := 0
	write := func() {
		t.Helper()
		n++
		file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		fmt.Fprintf(file, `{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"%d","stage":"ResponseComplete","requestURI":"/","verb":"get"}`+"\n", n)
	}
	seen := make(map[string]int)
	live := func(act func()) {
		t.Helper()
		p := plugin(t, "file://"+log)
		p.Init = map[string]any{"stateDir": filepath.Join(dir, "state")}
		run := startEngine(t, p, "testdata/audit.yaml")
		until(t, 30*time.Second, "the log is followed", func() bool { return strings.Contains(run.Stderr(), "audit log "+log) })
		act()
		before := len(seen)
		until(t, 30*time.Second, "all events are there", func() bool { return before+len(count(run.Alerts())) >= n })
		if err := run.Stop(); err != nil {
			t.Fatal(err)
		}
		for event, times := range count(run.Alerts()) {
			seen[event] += times
		}
	}
	live(write)
	write()
	for i := range 3 {
		if err := os.Rename(log, fmt.Sprintf("%s.%d", log, i)); err != nil {
			t.Fatal(err)
		}
		write()
	}
	live(write)
	write()
	live(write)
	for event, times := range seen {
		if times != 1 {
			t.Errorf("the event %s came %d times", event, times)
		}
	}
	if len(seen) != n {
		t.Errorf("%d events, want %d", len(seen), n)
	}
}
