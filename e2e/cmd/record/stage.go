// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/containerapi/containerapi/e2e/kube"
	"github.com/containerapi/containerapi/internal/dockerd"
)

// entryScript is a container's first process, which starts a program and then
// becomes another one.
const entryScript = `#!/bin/sh
app token "$1"
exec sleep 1
`

// stage is what the scripts of captures find: the program app, kubectl, and with a
// Docker Engine a container web.
type stage struct {
	env []string
	// cgroup is the path of the cgroup that the engine's containers are in, or
	// one that is none.
	cgroup string

	dir    string
	daemon *dockerd.Daemon
}

// newStage returns a stage, with a Docker Engine or without. It has to be closed.
func newStage(ctx context.Context, withEngine bool) (*stage, error) {
	dir, err := os.MkdirTemp("", "stage")
	if err != nil {
		return nil, err
	}
	s := &stage{dir: dir, cgroup: dir}
	if err := s.open(ctx, withEngine); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *stage) close() error {
	var err error
	if s.daemon != nil {
		err = s.daemon.Close()
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

func (s *stage) open(ctx context.Context, withEngine bool) error {
	kubectl, err := kube.Directory()
	if err != nil {
		return err
	}
	// Those in bin are in the PATH of scripts; programs are mounted in containers.
	bin, programs := filepath.Join(s.dir, "bin"), filepath.Join(s.dir, "programs")
	if err := errors.Join(os.Mkdir(bin, 0o755), os.Mkdir(programs, 0o755)); err != nil {
		return err
	}
	if err := copyProgram(bin, filepath.Join(kubectl, "kubectl")); err != nil {
		return err
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(bin, "app"), "./cmd/record/app")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build app: %w\n%s", err, out)
	}
	// A capture has the paths of programs and their environment: nothing of the
	// user's is in it.
	s.env = []string{"PATH=" + bin + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + s.dir, "KUBECONFIG=/dev/null"}
	if !withEngine {
		return nil
	}
	docker, err := exec.LookPath("docker")
	if err != nil {
		return err
	}
	if err := errors.Join(
		copyProgram(programs, filepath.Join(bin, "app")),
		copyProgram(programs, filepath.Join(kubectl, "kubectl")),
		copyProgram(programs, docker),
		os.WriteFile(filepath.Join(programs, "entry.sh"), []byte(entryScript), 0o755),
	); err != nil {
		return err
	}
	if s.daemon, err = dockerd.Start(ctx); err != nil {
		return err
	}
	s.cgroup = "/" + filepath.Base(s.daemon.Dir) + "/"
	// The docker command is linked to the libraries of the machine.
	s.env = append(append(s.env, s.daemon.Env()...), "SOCKET="+s.daemon.Socket,
		"RUN=docker run --rm --network none -v "+programs+":/usr/local/bin:ro -v /lib:/lib:ro -v /lib64:/lib64:ro")
	web := s.daemon.Command(ctx, "run", "--detach", "--name=web", "--network=none", "--env=PASSWORD=dummy", dockerd.Image, "sleep", "100000")
	if out, err := web.CombinedOutput(); err != nil {
		return fmt.Errorf("docker run: %w\n%s", err, out)
	}
	return nil
}

// copyProgram copies a program to a directory.
func copyProgram(dir, program string) error {
	in, err := os.Open(program)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(filepath.Join(dir, filepath.Base(program)), os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
