// SPDX-License-Identifier: Apache-2.0

// Package dockertest starts real Docker Engines for tests, which end with them.
package dockertest

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/containerapi/containerapi/internal/dockerd"
)

// Image is the image that every [Daemon] has, see [dockerd.Image].
const Image = dockerd.Image

// Daemon is a Docker Engine that ends with its test.
type Daemon struct {
	*dockerd.Daemon

	t testing.TB
}

// Start starts a daemon with further flags of dockerd, waits until it answers
// and imports [Image]. It skips the test, saying why, where no daemon can run.
func Start(t testing.TB, flags ...string) *Daemon {
	t.Helper()
	return Engine{}.Start(t, flags...)
}

// Engine is an installation of Docker, see [dockerd.Engine].
type Engine struct{ dockerd.Engine }

// Each runs a test on each of [dockerd.Engines], as a subtest.
func Each(t *testing.T, test func(t *testing.T, e Engine)) {
	t.Helper()
	all, err := dockerd.Engines()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		t.Run(e.Name, func(t *testing.T) { test(t, Engine{e}) })
	}
}

// Start is [Start] on this engine.
func (e Engine) Start(t testing.TB, flags ...string) *Daemon {
	t.Helper()
	return start(t, e.Engine.Start, flags)
}

// StartIsolated is [Start] in a network namespace of its own, see
// [dockerd.StartIsolated].
func StartIsolated(t testing.TB, flags ...string) *Daemon {
	t.Helper()
	return Engine{}.StartIsolated(t, flags...)
}

// StartIsolated is [StartIsolated] on this engine.
func (e Engine) StartIsolated(t testing.TB, flags ...string) *Daemon {
	t.Helper()
	return start(t, e.Engine.StartIsolated, flags)
}

func start(t testing.TB, how func(context.Context, ...string) (*dockerd.Daemon, error), flags []string) *Daemon {
	t.Helper()
	daemon, err := how(t.Context(), flags...)
	var missing *dockerd.MissingError
	if errors.As(err, &missing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := daemon.Close(); err != nil {
			t.Error(err)
		}
	})
	return &Daemon{Daemon: daemon, t: t}
}

// FreeAddress returns an address on the loopback, "127.0.0.1:port", that nothing
// listens on, for a daemon: dockerd takes no port 0.
func FreeAddress(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// Stop is [dockerd.Daemon.Stop].
func (d *Daemon) Stop() {
	d.t.Helper()
	d.require(d.Daemon.Stop())
}

// Kill is [dockerd.Daemon.Kill].
func (d *Daemon) Kill() {
	d.t.Helper()
	d.require(d.Daemon.Kill())
}

// Restart is [dockerd.Daemon.Restart].
func (d *Daemon) Restart() {
	d.t.Helper()
	d.require(d.Daemon.Restart(d.t.Context()))
}

func (d *Daemon) require(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// Command returns a docker command against this daemon, ready to be run.
func (d *Daemon) Command(args ...string) *exec.Cmd {
	return d.Daemon.Command(d.t.Context(), args...)
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
