// SPDX-License-Identifier: Apache-2.0

// Package dockerd runs real Docker Engines beside a test or a demonstration:
// Debian's dockerd with a socket, a data directory and a cgroup of its own, beside
// whatever Docker runs on the machine, and an [Image] to start containers from.
package dockerd

import (
	"bytes"
	"context"
	"encoding/json"
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
	"time"
)

// How long a daemon may take to answer after its start and to end after a
// SIGTERM, which stops its containers.
const (
	startLimit = 60 * time.Second
	stopLimit  = 30 * time.Second
)

// Daemon is a Docker Engine. It runs in a mount namespace of its own, so that no
// mount outlives it. It has no network but each container's loopback.
type Daemon struct {
	// Socket is the path of its unix socket, Host the same as an address:
	// "unix:///tmp/….sock".
	Socket, Host string
	// Dir holds all that the daemon writes.
	Dir string
	// CLI is the path of the docker command that belongs to the daemon.
	CLI string

	engine Engine
	flags  []string
	cgroup string
	log    *os.File
	run    *process
	// network is the daemon's network namespace, nil for that of this program.
	network *os.File
}

// process is one life of the daemon.
type process struct {
	pid   int
	ended chan struct{}
}

// MissingError tells what a machine lacks to run a daemon, and how to get it.
type MissingError struct{ text string }

// Error implements error.
func (e *MissingError) Error() string { return e.text }

// Start starts a daemon with further flags of dockerd, waits until it answers
// and imports [Image]. The daemon has to be ended with [Daemon.Close]. The
// error is a [MissingError] where no daemon can run: for want of root, dockerd,
// the docker command, a static busybox or cgroups.
func Start(ctx context.Context, flags ...string) (*Daemon, error) {
	return Engine{}.Start(ctx, flags...)
}

// start is [Engine.Start] in a network namespace; nil for that of this program.
func (e Engine) start(ctx context.Context, network *os.File, flags []string) (*Daemon, error) {
	cli, err := e.require()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "dockerd")
	if err != nil {
		return nil, err
	}
	d := &Daemon{
		Socket:  filepath.Join(dir, "docker.sock"),
		Host:    "unix://" + filepath.Join(dir, "docker.sock"),
		Dir:     dir,
		engine:  e,
		CLI:     cli,
		cgroup:  filepath.Base(dir),
		network: network,
	}
	if err := d.open(ctx, flags); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *Daemon) open(ctx context.Context, flags []string) error {
	config := filepath.Join(d.Dir, "daemon.json")
	if err := os.WriteFile(config, []byte("{}\n"), 0o600); err != nil {
		return err
	}
	if err := d.linkCLI(); err != nil {
		return err
	}
	var err error
	if d.log, err = os.Create(filepath.Join(d.Dir, "dockerd.log")); err != nil {
		return err
	}
	d.flags = append([]string{
		"--host=" + d.Host,
		"--config-file=" + config,
		"--data-root=" + filepath.Join(d.Dir, "data"),
		"--exec-root=" + filepath.Join(d.Dir, "exec"),
		"--pidfile=" + filepath.Join(d.Dir, "pid"),
		"--cgroup-parent=/" + d.cgroup,
		"--bridge=none",
		"--iptables=false",
		"--ip6tables=false",
	}, append(d.engine.storage(), flags...)...)
	if err := d.start(ctx); err != nil {
		return err
	}
	return d.importImage(ctx)
}

// Check returns a [MissingError] if the machine lacks something to run the engine.
func (e Engine) Check() error {
	_, err := e.require()
	return err
}

// require returns the path of the docker command, if all is here to run a daemon.
func (e Engine) require() (cli string, err error) {
	if os.Getuid() != 0 {
		return "", &MissingError{"needs root to start a Docker Engine"}
	}
	if cli, err = e.find(); err != nil {
		return "", err
	}
	if _, err := busybox(); err != nil {
		return "", &MissingError{fmt.Sprintf("needs a static busybox: apt-get install busybox-static: %v", err)}
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "", err
	}
	if !bytes.Contains(mounts, []byte(" /sys/fs/cgroup")) {
		return "", &MissingError{"needs cgroups: mount -t cgroup2 none /sys/fs/cgroup"}
	}
	return cli, nil
}

// start starts dockerd and waits until it answers.
func (d *Daemon) start(ctx context.Context) error {
	cmd := d.engine.command(d.flags)
	cmd.Stdout, cmd.Stderr = d.log, d.log
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:      true,
		Unshareflags: syscall.CLONE_NEWNS,
		// A program that is killed closes nothing: its daemon stops all the same.
		Pdeathsig: syscall.SIGTERM,
	}
	started := make(chan error)
	run := &process{ended: make(chan struct{})}
	go func() {
		// The parent of Pdeathsig is the thread that started the process. It is
		// never unlocked, since it may be in another network namespace: it ends
		// with the daemon.
		runtime.LockOSThread()
		err := d.enterNetwork()
		if err == nil {
			err = cmd.Start()
		}
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(run.ended)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start dockerd: %w", err)
	}
	run.pid = cmd.Process.Pid
	d.run = run
	if err := d.await(ctx); err != nil {
		return fmt.Errorf("dockerd does not answer: %w\n%s", err, d.logTail())
	}
	return nil
}

// await waits until the daemon answers.
func (d *Daemon) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		out, err := d.Command(ctx, "version", "--format", "{{.Server.APIVersion}}").CombinedOutput()
		if err == nil {
			return nil
		}
		select {
		case <-d.run.ended:
			return errors.New("it ended")
		case <-ctx.Done():
			return fmt.Errorf("within %s: %w: %s", startLimit, ctx.Err(), bytes.TrimSpace(out))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Stop ends the daemon as a service manager does: with SIGTERM, which stops
// its containers.
func (d *Daemon) Stop() error { return d.end(syscall.SIGTERM) }

// Kill ends the daemon and its containerd as a crash does. The containers run
// on until [Daemon.Restart].
func (d *Daemon) Kill() error {
	err := d.end(syscall.SIGKILL)
	d.kill("containerd.toml")
	return err
}

// Restart starts the daemon again, stopping it first if it runs, and waits
// until it answers. It has the same socket, images and containers.
func (d *Daemon) Restart(ctx context.Context) error {
	if err := d.Stop(); err != nil {
		return err
	}
	// What is left behind by a kill. The pid of a dead containerd makes dockerd
	// wait for it in vain.
	for _, file := range []string{"pid", "docker.sock", "exec/containerd/containerd.pid"} {
		_ = os.Remove(filepath.Join(d.Dir, file))
	}
	return d.start(ctx)
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
func (d *Daemon) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, d.CLI, args...)
	cmd.Args[0] = "docker"
	cmd.Env = append(os.Environ(), d.Env()...)
	return cmd
}

// Env returns the environment of a shell whose docker command is [Daemon.CLI] and
// works on this daemon, whatever the user's configuration and environment name.
func (d *Daemon) Env() []string {
	return []string{"PATH=" + d.bin() + ":" + os.Getenv("PATH"),
		"DOCKER_HOST=" + d.Host, "DOCKER_CONFIG=" + filepath.Join(d.Dir, "cli"),
		"DOCKER_CONTEXT=", "DOCKER_API_VERSION=", "DOCKER_TLS_VERIFY=", "DOCKER_CERT_PATH="}
}

// bin is a directory with the docker command and nothing else: other programs beside
// it can be for another release.
func (d *Daemon) bin() string { return filepath.Join(d.Dir, "bin") }

// linkCLI makes what bin has.
func (d *Daemon) linkCLI() error {
	if err := os.Mkdir(d.bin(), 0o755); err != nil {
		return err
	}
	return os.Symlink(d.CLI, filepath.Join(d.bin(), "docker"))
}

// LogFile returns the path of the file that dockerd logs to.
func (d *Daemon) LogFile() string { return d.log.Name() }

// logTail returns the last lines of the daemon's log.
func (d *Daemon) logTail() string {
	const size = 4096
	file, err := os.Open(d.LogFile())
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

// Close ends the daemon, its containers and what they leave behind. Nothing of
// it is needed any more, so nothing is given time to end well.
func (d *Daemon) Close() error {
	err := d.end(syscall.SIGKILL)
	d.kill("")
	d.killContainers()
	d.removeCgroups()
	d.removeSockets()
	if d.log != nil {
		_ = d.log.Close()
	}
	if d.network != nil {
		_ = d.network.Close()
	}
	if failed := removeAll(d.Dir); failed != nil {
		err = errors.Join(err, fmt.Errorf("remove the daemon's directory: %w", failed))
	}
	return err
}

// cgroups are the directories of this daemon's cgroup: one with cgroup v2, one for
// each controller with v1.
func (d *Daemon) cgroups() []string {
	var all []string
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
		found, _ := filepath.Glob(pattern + d.cgroup)
		all = append(all, found...)
	}
	return all
}

// killContainers ends every process of the daemon's containers. Those that a runc
// froze for a moment, and was killed in that moment, are thawed to die.
func (d *Daemon) killContainers() {
	for _, cgroup := range d.cgroups() {
		for file, thawed := range map[string]string{"freezer.state": "THAWED", "cgroup.freeze": "0"} {
			frozen, _ := filepath.Glob(cgroup + "/*/" + file)
			for _, name := range frozen {
				_ = os.WriteFile(name, []byte(thawed), 0)
			}
		}
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
// files in the daemon's directory, name this file.
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

// removeSockets removes the sockets of the containers' shims, which are in a
// directory of containerd's for all daemons.
func (d *Daemon) removeSockets() {
	for _, path := range d.shimSockets() {
		_ = os.Remove(path)
	}
}

// shimSockets returns the paths of the sockets of the containers' shims: a file
// beside each container names them, of one form since containerd 2 and of another
// before.
func (d *Daemon) shimSockets() []string {
	var paths []string
	shims := d.Dir + "/exec/containerd/daemon/io.containerd.runtime.v2.task/moby/*/"
	for _, name := range []string{"address", "bootstrap.json"} {
		found, _ := filepath.Glob(shims + name)
		for _, file := range found {
			text, _ := os.ReadFile(file)
			var bootstrap struct{ Address string }
			if json.Unmarshal(text, &bootstrap) != nil {
				bootstrap.Address = string(text)
			}
			if path, ok := strings.CutPrefix(bootstrap.Address, "unix://"); ok {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

// removeAll removes a directory that dying processes may still write to.
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
