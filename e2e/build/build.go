// SPDX-License-Identifier: Apache-2.0

// Package build builds programs that the tests need from their Go modules, once,
// and keeps them in the user's cache directory.
package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// Programs are programs that are kept together.
type Programs struct {
	// Name is that of their directory in the cache, with their version, such as
	// "kubernetes-1.34.2".
	Name string
	// Modules are what they are built of.
	Modules []Module
}

// Module is a Go module with the programs to build of it, which are built
// together: they share most of their packages.
type Module struct {
	// Packages are the import paths of the programs.
	Packages []string
	// Version is the one to build where `go install` takes it.
	Version string
	// Directory is that of a module in e2e that requires the packages, where a
	// version is not enough: go.mod replaces modules. Empty with Version.
	Directory string
	// Requires are modules, as MODULE@VERSION, that a module made for the build
	// requires: of a module whose go.mod replaces others `go install` takes no version.
	Requires []string
	// LinkerFlags are those beside -s and -w.
	LinkerFlags string
}

// Directory returns the directory of the programs, for a PATH. It is an error, with
// [os.ErrNotExist], if one of them is not built.
func (p Programs) Directory() (string, error) {
	dir, err := p.directory()
	if err != nil {
		return "", err
	}
	for _, m := range p.Modules {
		if missing := m.missing(dir); len(missing) > 0 {
			return "", notBuilt(Name(missing[0]))
		}
	}
	return dir, nil
}

// Program returns the path of one of the programs. It is an error, with
// [os.ErrNotExist], if it is not built.
func (p Programs) Program(name string) (string, error) {
	dir, err := p.directory()
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, name)
	if _, err := os.Stat(file); err != nil {
		return "", notBuilt(name)
	}
	return file, nil
}

func notBuilt(name string) error {
	return fmt.Errorf("%s is not built yet, run make setup: %w", name, os.ErrNotExist)
}

func (p Programs) directory() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "containerapi", p.Name), nil
}

// majorVersion is the end of an import path that is no name.
var majorVersion = regexp.MustCompile(`/v[0-9]+$`)

// Name returns the name that the go command gives the program of a package.
func Name(pkg string) string { return path.Base(majorVersion.ReplaceAllString(pkg, "")) }

// missing returns the packages whose programs are not in a directory.
func (m Module) missing(dir string) []string {
	var packages []string
	for _, p := range m.Packages {
		if _, err := os.Stat(filepath.Join(dir, Name(p))); err != nil {
			packages = append(packages, p)
		}
	}
	return packages
}

// Build builds the programs that are missing. It writes what the go command prints
// to log.
func (p Programs) Build(ctx context.Context, log io.Writer) error {
	dir, err := p.directory()
	if err != nil {
		return err
	}
	for _, m := range p.Modules {
		if packages := m.missing(dir); len(packages) > 0 {
			if err := m.build(ctx, log, dir, packages); err != nil {
				return err
			}
		}
	}
	return nil
}

// build builds packages into a directory.
func (m Module) build(ctx context.Context, log io.Writer, dir string, packages []string) error {
	// A build that is interrupted leaves no half program under its name.
	building := filepath.Join(dir, "new")
	if err := os.MkdirAll(building, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(building)
	args := []string{"-trimpath", "-ldflags", strings.TrimSpace("-s -w " + m.LinkerFlags)}
	var cmd *exec.Cmd
	switch {
	case len(m.Requires) > 0:
		module, err := m.require(ctx, log)
		defer os.RemoveAll(module)
		if err != nil {
			return err
		}
		args = append([]string{"build", "-mod=mod", "-o", building + string(filepath.Separator)}, args...)
		cmd = exec.CommandContext(ctx, "go", append(args, packages...)...)
		cmd.Dir = module
	case m.Directory == "":
		args = append([]string{"install"}, args...)
		for _, p := range packages {
			args = append(args, p+"@v"+m.Version)
		}
		cmd = exec.CommandContext(ctx, "go", args...)
	default:
		module, err := moduleDirectory(ctx)
		if err != nil {
			return err
		}
		args = append([]string{"build", "-o", building + string(filepath.Separator)}, args...)
		cmd = exec.CommandContext(ctx, "go", append(args, packages...)...)
		cmd.Dir = filepath.Join(module, m.Directory)
	}
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOBIN="+building)
	if len(m.Requires) > 0 {
		cmd.Env = append(cmd.Env, "CGO_ENABLED=0")
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build %s: %w", strings.Join(packages, " "), err)
	}
	entries, err := os.ReadDir(building)
	for _, e := range entries {
		err = errors.Join(err, os.Rename(filepath.Join(building, e.Name()), filepath.Join(dir, e.Name())))
	}
	return err
}

// require makes a module that requires what m does, in a directory that is to be
// removed.
func (m Module) require(ctx context.Context, log io.Writer) (dir string, err error) {
	if dir, err = os.MkdirTemp("", "module"); err != nil {
		return "", err
	}
	for _, args := range [][]string{{"mod", "init", "programs"}, append([]string{"get"}, m.Requires...)} {
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOWORK=off")
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Run(); err != nil {
			return dir, fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
		}
	}
	return dir, nil
}

// moduleDirectory returns the directory of the module that this program runs in.
func moduleDirectory(ctx context.Context) (string, error) {
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(mod))), nil
}
