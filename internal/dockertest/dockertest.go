// SPDX-License-Identifier: Apache-2.0

// Package dockertest starts real Docker Engines for tests: Debian's dockerd
// with a socket, a data folder and a cgroup of its own, beside whatever Docker
// runs on the machine, and an [Image] to start containers from.
package dockertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// How long a daemon may take to answer after its start and to end after a
// SIGTERM, which stops its containers.
const (
	startLimit = 60 * time.Second
	stopLimit  = 30 * time.Second
)

// Daemon is a Docker Engine that ends with its test. It runs in a mount
// namespace of its own, so that no mount outlives it. It has no network but
// each container's loopback.
type Daemon struct {
	// Socket is the path of its unix socket, Host the same as an address:
	// "unix:///tmp/….sock".
	Socket, Host string
	// Dir holds all that the daemon writes.
	Dir string

	t      testing.TB
	binary string
	flags  []string
	cgroup string
	log    *os.File
	run    *process
}

// process is one life of the daemon.
type process struct {
	pid   int
	ended chan struct{}
}

// Start starts a daemon with further flags of dockerd, waits until it answers
// and imports [Image]. It skips the test, saying why, where no daemon can run:
// for want of root, dockerd, the docker command, a static busybox or cgroups.
func Start(t testing.TB, flags ...string) *Daemon {
	t.Helper()
	binary := require(t)
	dir, err := os.MkdirTemp("", "dockertest")
	if err != nil {
		t.Fatal(err)
	}
	d := &Daemon{
		Socket: filepath.Join(dir, "docker.sock"),
		Host:   "unix://" + filepath.Join(dir, "docker.sock"),
		Dir:    dir,
		t:      t,
		binary: binary,
		cgroup: filepath.Base(dir),
	}
	t.Cleanup(d.cleanup)
	config := filepath.Join(dir, "daemon.json")
	if err := os.WriteFile(config, []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if d.log, err = os.Create(filepath.Join(dir, "dockerd.log")); err != nil {
		t.Fatal(err)
	}
	d.flags = append([]string{
		"--host=" + d.Host,
		"--config-file=" + config,
		"--data-root=" + filepath.Join(dir, "data"),
		"--exec-root=" + filepath.Join(dir, "exec"),
		"--pidfile=" + filepath.Join(dir, "pid"),
		"--cgroup-parent=/" + d.cgroup,
		"--storage-driver=vfs",
		"--bridge=none",
		"--iptables=false",
	}, flags...)
	d.start()
	d.importImage()
	return d
}

// require returns the path of dockerd, or skips the test.
func require(t testing.TB) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root to start a Docker Engine")
	}
	binary, err := exec.LookPath("dockerd")
	if err != nil {
		t.Skip("needs dockerd: apt-get install docker.io")
	}
	if _, err := exec.LookPath("docker"); err != nil {
		t.Skip("needs the docker command: apt-get install docker.io")
	}
	if _, err := busybox(); err != nil {
		t.Skipf("needs a static busybox: apt-get install busybox-static: %v", err)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(mounts, []byte(" /sys/fs/cgroup")) {
		t.Skip("needs cgroups: mount -t cgroup2 none /sys/fs/cgroup")
	}
	return binary
}

// start starts dockerd and waits until it answers.
func (d *Daemon) start() {
	d.t.Helper()
	cmd := exec.Command(d.binary, d.flags...)
	cmd.Stdout, cmd.Stderr = d.log, d.log
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:      true,
		Unshareflags: syscall.CLONE_NEWNS,
		// A test that is killed has no cleanup: its daemon stops all the same.
		Pdeathsig: syscall.SIGTERM,
	}
	started := make(chan error)
	run := &process{ended: make(chan struct{})}
	go func() {
		// The parent of Pdeathsig is the thread that started the process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(run.ended)
	}()
	if err := <-started; err != nil {
		d.t.Fatalf("start dockerd: %v", err)
	}
	run.pid = cmd.Process.Pid
	d.run = run
	if err := d.await(); err != nil {
		d.t.Fatalf("dockerd does not answer: %v\n%s", err, d.logTail())
	}
}

// await waits until the daemon answers.
func (d *Daemon) await() error {
	limit := time.After(startLimit)
	for {
		out, err := d.command(context.Background(), "version", "--format", "{{.Server.APIVersion}}").CombinedOutput()
		if err == nil {
			return nil
		}
		select {
		case <-d.run.ended:
			return errors.New("it ended")
		case <-limit:
			return fmt.Errorf("within %s: %s", startLimit, bytes.TrimSpace(out))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Stop ends the daemon as a service manager does: with SIGTERM, which stops
// its containers.
func (d *Daemon) Stop() {
	d.t.Helper()
	if err := d.end(syscall.SIGTERM); err != nil {
		d.t.Fatal(err)
	}
}

// Kill ends the daemon and its containerd as a crash does. The containers run
// on until [Daemon.Restart].
func (d *Daemon) Kill() {
	d.t.Helper()
	if err := d.end(syscall.SIGKILL); err != nil {
		d.t.Fatal(err)
	}
	d.kill("containerd.toml")
}

// Restart starts the daemon again, stopping it first if it runs, and waits
// until it answers. It has the same socket, images and containers.
func (d *Daemon) Restart() {
	d.t.Helper()
	d.Stop()
	// What is left behind by a kill. The pid of a dead containerd makes dockerd
	// wait for it in vain.
	for _, file := range []string{"pid", "docker.sock", "exec/containerd/containerd.pid"} {
		_ = os.Remove(filepath.Join(d.Dir, file))
	}
	d.start()
}

// Pid is the process id of the daemon, or 0 while it is stopped.
func (d *Daemon) Pid() int {
	if d.run == nil {
		return 0
	}
	return d.run.pid
}

func (d *Daemon) end(signal syscall.Signal) error {
	if d.run == nil {
		return nil
	}
	run := d.run
	d.run = nil
	_ = syscall.Kill(run.pid, signal)
	select {
	case <-run.ended:
		return nil
	case <-time.After(stopLimit):
		_ = syscall.Kill(run.pid, syscall.SIGKILL)
		<-run.ended
		return fmt.Errorf("dockerd did not end within %s of signal %v", stopLimit, signal)
	}
}

// Command returns a docker command against this daemon, ready to be run.
func (d *Daemon) Command(args ...string) *exec.Cmd {
	return d.command(d.t.Context(), args...)
}

func (d *Daemon) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "docker", append([]string{"--host", d.Host}, args...)...)
	// Neither the user's configuration nor the environment's daemon counts.
	cmd.Env = append(os.Environ(), "DOCKER_CONFIG="+filepath.Join(d.Dir, "cli"),
		"DOCKER_HOST=", "DOCKER_CONTEXT=", "DOCKER_API_VERSION=", "DOCKER_TLS_VERIFY=", "DOCKER_CERT_PATH=")
	return cmd
}

// Docker runs the docker command against this daemon and returns what it
// prints, trimmed. The test fails if the command does.
func (d *Daemon) Docker(args ...string) string {
	d.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := d.Command(args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		d.t.Fatalf("docker %s: %v\n%s%s", strings.Join(args, " "), err, &stdout, &stderr)
	}
	return strings.TrimSpace(stdout.String())
}

// logTail returns the last lines of the daemon's log.
func (d *Daemon) logTail() string {
	const size = 4096
	file, err := os.Open(d.log.Name())
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	if _, err := file.Seek(-size, io.SeekEnd); err != nil {
		_, _ = file.Seek(0, io.SeekStart)
	}
	tail, _ := io.ReadAll(file)
	return string(tail)
}

// cleanup ends the daemon, its containers and what they leave behind. Nothing
// of it is needed any more, so nothing is given time to end well.
func (d *Daemon) cleanup() {
	if err := d.end(syscall.SIGKILL); err != nil {
		d.t.Error(err)
	}
	d.kill("")
	d.killContainers()
	d.removeCgroups()
	if d.log != nil {
		_ = d.log.Close()
	}
	if err := removeAll(d.Dir); err != nil {
		d.t.Errorf("remove the daemon's folder: %v", err)
	}
}

// cgroups are the folders of this daemon's cgroup: one with cgroup v2, one for
// each controller with v1.
func (d *Daemon) cgroups() []string {
	var all []string
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
		found, _ := filepath.Glob(pattern + d.cgroup)
		all = append(all, found...)
	}
	return all
}

// killContainers ends every process of the daemon's containers.
func (d *Daemon) killContainers() {
	for _, cgroup := range d.cgroups() {
		lists, _ := filepath.Glob(cgroup + "/*/cgroup.procs")
		for _, list := range lists {
			text, _ := os.ReadFile(list)
			for _, field := range strings.Fields(string(text)) {
				if pid, err := strconv.Atoi(field); err == nil {
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			}
		}
	}
}

// kill ends containerd and its shims as far as their command lines, which name
// files in the daemon's folder, name this file.
func (d *Daemon) kill(file string) {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range lines {
		line, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(line, []byte(d.Dir+"/exec/containerd/"+file)) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// removeCgroups removes the daemon's cgroups, which the kernel allows as soon
// as their last process is gone.
func (d *Daemon) removeCgroups() {
	limit := time.Now().Add(5 * time.Second)
	for _, cgroup := range d.cgroups() {
		children, _ := filepath.Glob(cgroup + "/*")
		for _, dir := range append(children, cgroup) {
			for errors.Is(syscall.Rmdir(dir), syscall.EBUSY) && time.Now().Before(limit) {
				time.Sleep(10 * time.Millisecond)
			}
		}
	}
}

// removeAll removes a folder that dying processes may still write to.
func removeAll(dir string) error {
	limit := time.Now().Add(5 * time.Second)
	for {
		err := os.RemoveAll(dir)
		if err == nil || time.Now().After(limit) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}
