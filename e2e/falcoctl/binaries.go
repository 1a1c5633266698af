// SPDX-License-Identifier: Apache-2.0

// Package falcoctl tries what packaging releases: with real falcoctl, a real
// registry and a real engine.
package falcoctl

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Version is the release of falcoctl that runs, the one in binaries/go.mod and
// in the Falco chart that the overlays in helm/ are for.
const Version = "0.13.0"

// tools are the programs that [Build] builds.
var tools = []string{"github.com/falcosecurity/falcoctl", "github.com/distribution/distribution/v3/cmd/registry"}

// Directory returns the directory of falcoctl and registry, for a PATH. It is an
// error if they are not built.
func Directory() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "containerapi", "falcoctl-"+Version)
	for _, tool := range tools {
		name := filepath.Base(tool)
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return dir, fmt.Errorf("%s is not built yet, run make setup: %w", name, err)
		}
	}
	return dir, nil
}

// Build builds falcoctl and the registry of distribution from their Go modules,
// which takes some four minutes on two cores, and keeps them in the user's cache
// directory. It returns at once if they are there. It writes what the go command
// prints to log.
func Build(ctx context.Context, log io.Writer) error {
	dir, err := Directory()
	if err == nil || dir == "" {
		return err
	}
	// falcoctl has a module of its own here: its go.mod replaces a module, and
	// go install with a version does not take that.
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return fmt.Errorf("go env GOMOD: %w", err)
	}
	// A build that is interrupted leaves no half program under its name.
	building := dir + ".new"
	defer os.RemoveAll(building)
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-trimpath", "-ldflags", "-s -w", "-o", building + string(filepath.Separator)}, tools...)...)
	cmd.Dir = filepath.Join(filepath.Dir(strings.TrimSpace(string(mod))), "falcoctl", "binaries")
	cmd.Env = append(os.Environ(), "GOWORK=off")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build %s: %w", tools, err)
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Rename(building, dir)
}
