// SPDX-License-Identifier: Apache-2.0

package dockertest

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDaemon(t *testing.T) {
	var dir string
	var cgroups []string
	t.Run("lives", func(t *testing.T) {
		d := Start(t)
		dir = d.Dir
		if out := d.Docker("run", "--rm", Image, "sh", "-c", "id -u; hostname | wc -l"); out != "0\n1" {
			t.Errorf("a container printed %q", out)
		}
		// This container heeds no SIGTERM and must not survive the test.
		d.Docker("run", "--detach", "--restart=always", "--stop-timeout=1", "--name=stubborn", Image, "sh", "-c", "trap '' TERM; sleep 1000")
		cgroups = d.cgroups()
		if len(cgroups) == 0 {
			t.Error("the daemon's containers have no cgroup of their own")
		}
		d.Kill()
		d.Restart()
		if out := d.Docker("ps", "--format={{.Names}}"); out != "stubborn" {
			t.Errorf("after the restart these containers run: %q", out)
		}
		before := d.Pid()
		d.Kill()
		if before == 0 || d.Pid() != 0 {
			t.Errorf("Pid was %d and is %d after Kill", before, d.Pid())
		}
	})
	if dir == "" {
		t.Skip("no daemon")
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", dir, err)
	}
	for _, cgroup := range cgroups {
		if _, err := os.Stat(cgroup); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", cgroup, err)
		}
	}
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range lines {
		if line, _ := os.ReadFile(path); bytes.Contains(line, []byte(dir)) {
			t.Errorf("still runs: %s", bytes.ReplaceAll(line, []byte{0}, []byte{' '}))
		}
	}
	if mounts, _ := os.ReadFile("/proc/self/mounts"); strings.Contains(string(mounts), dir) {
		t.Errorf("mounts below %s are left", dir)
	}
}
