// SPDX-License-Identifier: Apache-2.0

package dockerd

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDaemon(t *testing.T) {
	engines, err := Engines()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range engines {
		t.Run(e.Name, func(t *testing.T) { testDaemon(t, e) })
	}
}

func testDaemon(t *testing.T, e Engine) {
	var dir string
	var cgroups, sockets []string
	t.Run("lives", func(t *testing.T) {
		d, err := e.Start(t.Context())
		var missing *MissingError
		if errors.As(err, &missing) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
		docker := func(args ...string) string {
			t.Helper()
			out, err := d.Command(t.Context(), args...).Output()
			if err != nil {
				t.Fatalf("docker %s: %v", args, err)
			}
			return strings.TrimSpace(string(out))
		}
		dir = d.Dir
		requireEngine(t, d, e)
		if out := docker("run", "--rm", Image, "sh", "-c", "id -u; hostname | wc -l"); out != "0\n1" {
			t.Errorf("a container printed %q", out)
		}
		// This container heeds no SIGTERM and must not survive the test.
		docker("run", "--detach", "--restart=always", "--stop-timeout=1", "--name=stubborn", Image, "sh", "-c", "trap '' TERM; sleep 1000")
		cgroups = d.cgroups()
		if len(cgroups) == 0 {
			t.Error("the daemon's containers have no cgroup of their own")
		}
		if err := errors.Join(d.Kill(), d.Restart(t.Context())); err != nil {
			t.Fatal(err)
		}
		if out := docker("ps", "--format={{.Names}}"); out != "stubborn" {
			t.Errorf("after the restart these containers run: %q", out)
		}
		if sockets = d.shimSockets(); len(sockets) == 0 {
			t.Error("no shim has a socket")
		}
		before := d.Pid()
		if err := d.Kill(); err != nil {
			t.Fatal(err)
		}
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
	for _, name := range append(cgroups, sockets...) {
		if _, err := os.Stat(name); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", name, err)
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

// requireEngine checks that the daemon and its containerd are the programs of that
// engine.
func requireEngine(t *testing.T, d *Daemon, e Engine) {
	t.Helper()
	if e.OfMachine() {
		return
	}
	programs := map[string]string{fmt.Sprint(d.Pid()): cmp.Or(e.program, e.usr+"/sbin/dockerd")}
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", d.Pid()))
	for _, name := range threads {
		children, _ := os.ReadFile(name)
		for child := range strings.FieldsSeq(string(children)) {
			programs[child] = e.usr + "/bin/containerd"
		}
	}
	for pid, want := range programs {
		is, err1 := os.Stat("/proc/" + pid + "/exe")
		wanted, err2 := os.Stat(want)
		if err1 != nil || err2 != nil || !os.SameFile(is, wanted) {
			t.Errorf("process %s is not %s: %v, %v", pid, want, err1, err2)
		}
	}
	if len(programs) < 2 {
		t.Error("dockerd has started no containerd")
	}
}

// TestCancel ends a start half-way: the daemon must not stay.
func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d, err := Start(ctx)
	var missing *MissingError
	if errors.As(err, &missing) {
		t.Skip(err)
	}
	if d != nil || !errors.Is(err, context.Canceled) {
		t.Fatalf("a start that was cancelled returned %v, %v", d, err)
	}
}

// TestIsolated proves that two daemons can listen at the port that Docker has by
// custom, whatever holds it on this machine, and each is reached in its own
// network namespace only, also when it was started again.
func TestIsolated(t *testing.T) {
	const address = "127.0.0.1:2375"
	// The port is taken, by this test if by no one else.
	if l, err := net.Listen("tcp", address); err == nil {
		defer l.Close()
	}
	root := func(d *Daemon) string {
		t.Helper()
		var out []byte
		err := d.Enter(func() (err error) {
			cmd := d.Command(t.Context(), "--host=tcp://"+address, "info", "--format={{.DockerRootDir}}")
			out, err = cmd.Output()
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	for range 2 {
		d, err := StartIsolated(t.Context(), "--host=tcp://"+address, "--tls=false")
		var missing *MissingError
		if errors.As(err, &missing) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
		if err := d.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, want := root(d), filepath.Join(d.Dir, "data"); got != want {
			t.Errorf("the daemon of %q answers, want that of %q", got, want)
		}
	}
}
