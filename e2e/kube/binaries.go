// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Version is the release of Kubernetes that runs, the one in binaries/go.mod.
const Version = "1.34.2"

// folder returns the folder of the programs of this version.
func folder() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "containerapi", "kubernetes-"+Version), nil
}

// program returns the path of a program that [Build] built.
func program(name string) (string, error) {
	dir, err := folder()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is not built yet, run make setup: %w", name, err)
	}
	return path, nil
}

// Build builds kube-apiserver and kubectl from Kubernetes' Go module, which
// takes some five minutes on two cores, and keeps them in the user's cache
// folder. It returns at once if they are there. It writes what the go command
// prints to log.
func Build(ctx context.Context, log io.Writer) error {
	dir, err := folder()
	if err != nil {
		return err
	}
	// The programs have a module of their own, so that they are built of the
	// versions that their authors released them with.
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return fmt.Errorf("go env GOMOD: %w", err)
	}
	module := filepath.Join(filepath.Dir(strings.TrimSpace(string(mod))), "kube", "binaries")
	major, minor, _ := strings.Cut(strings.TrimSuffix(Version, Version[strings.LastIndexByte(Version, '.'):]), ".")
	const pkg = "k8s.io/component-base/version."
	flags := fmt.Sprintf("-s -w -X %[1]sgitVersion=v%[2]s -X %[1]sgitMajor=%[3]s -X %[1]sgitMinor=%[4]s", pkg, Version, major, minor)
	for _, name := range []string{"kube-apiserver", "kubectl"} {
		if _, err := program(name); err == nil {
			continue
		}
		path := filepath.Join(dir, name)
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", flags, "-o", path+".new", "k8s.io/kubernetes/cmd/"+name)
		cmd.Dir = module
		cmd.Env = append(os.Environ(), "GOWORK=off")
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("build %s: %w", name, err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			return err
		}
	}
	return nil
}
