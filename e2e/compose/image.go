// SPDX-License-Identifier: Apache-2.0

// Package compose makes the images of the demo stack that no registry gives on a
// closed machine.
package compose

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/containerapi/containerapi/internal/dockerd"
)

// Image is a root directory in the making. It begins as [dockerd.Image].
type Image struct {
	dir    string
	daemon *dockerd.Daemon
}

// New begins an image for a daemon in an empty directory.
func New(ctx context.Context, d *dockerd.Daemon, dir string) (*Image, error) {
	i := &Image{dir: dir, daemon: d}
	const name = "image-root"
	err := i.run(d.Command(ctx, "create", "--name", name, dockerd.Image))
	if err != nil {
		return nil, err
	}
	archive := filepath.Join(dir, "root.tar")
	err = errors.Join(
		i.run(d.Command(ctx, "export", "-o", archive, name)),
		i.run(d.Command(ctx, "rm", name)),
		i.run(exec.CommandContext(ctx, "tar", "-x", "-f", archive, "-C", dir)),
		os.Remove(archive),
	)
	return i, err
}

func (i *Image) run(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return nil
}

// Write adds a file.
func (i *Image) Write(name string, data []byte) error {
	path := filepath.Join(i.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	// What is there can be a link to busybox.
	_ = os.Remove(path)
	return os.WriteFile(path, data, 0o755)
}

// Copy adds a file of this machine.
func (i *Image) Copy(from, name string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return i.Write(name, data)
}

// Program adds a program of this machine, and the libraries that it needs by
// their own paths.
func (i *Image) Program(ctx context.Context, from, name string) error {
	if err := i.Copy(from, name); err != nil {
		return err
	}
	// An error means that it is linked statically.
	list, _ := exec.CommandContext(ctx, "ldd", from).Output()
	for field := range strings.FieldsSeq(string(list)) {
		if strings.HasPrefix(field, "/") {
			if err := i.Copy(field, field); err != nil {
				return err
			}
		}
	}
	return nil
}

// Build adds a program of this module, linked statically.
func (i *Image) Build(ctx context.Context, pkg, name string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", filepath.Join(i.dir, name), pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	return i.run(cmd)
}

// Import gives the image to the daemon under a name, with further instructions
// of a Dockerfile.
func (i *Image) Import(ctx context.Context, name string, instructions ...string) error {
	archive := i.dir + ".tar"
	defer os.Remove(archive)
	if err := i.run(exec.CommandContext(ctx, "tar", "-c", "-f", archive, "-C", i.dir, ".")); err != nil {
		return err
	}
	args := []string{"import"}
	for _, instruction := range instructions {
		args = append(args, "--change", instruction)
	}
	return i.run(i.daemon.Command(ctx, append(args, archive, name)...))
}
