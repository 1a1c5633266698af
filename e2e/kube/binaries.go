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

// directory returns the directory of the programs of this version.
func directory() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "containerapi", "kubernetes-"+Version), nil
}

// Directory returns the directory of the programs that [Build] builds, for a PATH.
func Directory() (string, error) {
	dir, err := directory()
	if err != nil {
		return "", err
	}
	for _, b := range binaries {
		if _, err := program(b.name); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// program returns the path of a program that [Build] built.
func program(name string) (string, error) {
	dir, err := directory()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is not built yet, run make setup: %w", name, err)
	}
	return path, nil
}

// helmVersion is the release of Helm that runs.
const helmVersion = "3.22.0"

// binaries are the programs that [Build] builds. Those of one module are built
// together: they share most of their packages.
var binaries = []struct{ name, module string }{
	{"kube-apiserver", kubernetesModule},
	{"kubectl", kubernetesModule},
	{"kube-controller-manager", kubernetesModule},
	{"kube-scheduler", kubernetesModule},
	{"kubelet", kubernetesModule},
	{"helm", helmModule},
}

const (
	kubernetesModule = "k8s.io/kubernetes"
	helmModule       = "helm.sh/helm/v3"
)

// Build builds the programs of Kubernetes and Helm from their Go modules, which
// takes some seven minutes on two cores, and keeps them in the user's cache directory. It returns at once if they are there. It
// writes what the go command prints to log.
func Build(ctx context.Context, log io.Writer) error {
	dir, err := directory()
	if err != nil {
		return err
	}
	missing := make(map[string][]string)
	for _, b := range binaries {
		if _, err := program(b.name); err != nil {
			missing[b.module] = append(missing[b.module], b.module+"/cmd/"+b.name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	// A build that is interrupted leaves no half program under its name.
	building := filepath.Join(dir, "new")
	if err := os.MkdirAll(building, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(building)
	if packages := missing[kubernetesModule]; packages != nil {
		if err := buildKubernetes(ctx, log, building, packages); err != nil {
			return err
		}
	}
	if missing[helmModule] != nil {
		cmd := exec.CommandContext(ctx, "go", "install", "-trimpath", "-ldflags", "-s -w", helmModule+"/cmd/helm@v"+helmVersion)
		cmd.Env = append(os.Environ(), "GOWORK=off", "GOBIN="+building)
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("build helm: %w", err)
		}
	}
	entries, err := os.ReadDir(building)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.Rename(filepath.Join(building, e.Name()), filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// buildKubernetes builds programs of Kubernetes into the directory dir.
func buildKubernetes(ctx context.Context, log io.Writer, dir string, packages []string) error {
	// The programs have a module of their own, so that they are built of the
	// versions that their authors released them with.
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return fmt.Errorf("go env GOMOD: %w", err)
	}
	major, minor, _ := strings.Cut(strings.TrimSuffix(Version, Version[strings.LastIndexByte(Version, '.'):]), ".")
	const pkg = "k8s.io/component-base/version."
	flags := fmt.Sprintf("-s -w -X %[1]sgitVersion=v%[2]s -X %[1]sgitMajor=%[3]s -X %[1]sgitMinor=%[4]s", pkg, Version, major, minor)
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-trimpath", "-ldflags", flags, "-o", dir + string(filepath.Separator)}, packages...)...)
	cmd.Dir = filepath.Join(filepath.Dir(strings.TrimSpace(string(mod))), "kube", "binaries")
	cmd.Env = append(os.Environ(), "GOWORK=off")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build %s: %w", packages, err)
	}
	return nil
}
