// SPDX-License-Identifier: Apache-2.0

// Package debian keeps a small system of a newer Debian release in a directory of its
// own, for programs that the tests need newer than this machine has them.
package debian

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Newest is the newest release of Debian that packages are taken from.
const Newest = "forky"

// Root returns the directory of the system that [Install] installs packages in. It
// need not be there yet.
func Root() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "containerapi", "debian-"+Newest), nil
}

// Install installs packages of [Newest] in [Root], those that are not installed there
// yet, and makes that system first where it is missing. It needs root and
// debootstrap, and writes what those print to log.
func Install(ctx context.Context, log io.Writer, packages ...string) error {
	root, err := Root()
	if err != nil {
		return err
	}
	if err := makeRoot(ctx, log, root); err != nil {
		return err
	}
	missing := slices.DeleteFunc(slices.Clone(packages), func(name string) bool { return installed(ctx, root, name) })
	if len(missing) == 0 {
		return nil
	}
	// What was interrupted is gone on with. The lists of packages grow old, and some
	// mirrors are behind by more than a list says it is valid for.
	for _, args := range [][]string{
		{"dpkg", "--configure", "-a"},
		{"apt-get", "-o", "Acquire::Check-Valid-Until=false", "update", "-q"},
		append([]string{"apt-get", "install", "-y", "-q", "--no-install-recommends"}, missing...),
		{"apt-get", "clean"},
	} {
		if err := run(ctx, log, "chroot", append([]string{root}, args...)...); err != nil {
			return err
		}
	}
	return nil
}

// makeRoot makes a system without any further packages, unless it is there.
func makeRoot(ctx context.Context, log io.Writer, root string) error {
	if _, err := os.Stat(root); err == nil {
		return nil
	}
	// Debootstrap cannot go on where it was interrupted.
	building := root + ".new"
	if err := os.RemoveAll(building); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(root), 0o755); err != nil {
		return err
	}
	// All Debian releases share one script; an older debootstrap does not
	// know the name of a newer release.
	const script = "/usr/share/debootstrap/scripts/sid"
	if err := run(ctx, log, "debootstrap", "--variant=minbase", Newest, building, Mirror(), script); err != nil {
		return err
	}
	// Packages start no service there: invoke-rc.d(8).
	policy := filepath.Join(building, "usr/sbin/policy-rc.d")
	if err := os.WriteFile(policy, []byte("#!/bin/sh\nexit 101\n"), 0o755); err != nil {
		return err
	}
	return os.Rename(building, root)
}

// installed reports whether a package is installed in a system, with all its files.
func installed(ctx context.Context, root, name string) bool {
	cmd := exec.CommandContext(ctx, "dpkg-query", "--admindir="+filepath.Join(root, "var/lib/dpkg"), "-W", "-f=${db:Status-Status}", name)
	status, err := cmd.Output()
	return err == nil && string(status) == "installed"
}

func run(ctx context.Context, log io.Writer, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = log, log
	// Runlevel 1 is for systems that were made before they had a policy.
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C", "RUNLEVEL=1")
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return nil
}

// Mirror returns the Debian mirror that this machine uses.
func Mirror() string {
	files, _ := filepath.Glob("/etc/apt/sources.list.d/*")
	for _, name := range append([]string{"/etc/apt/sources.list"}, files...) {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if len(fields) == 0 || fields[0] != "deb" && fields[0] != "URIs:" {
				continue
			}
			for _, field := range fields[1:] {
				if strings.Contains(field, "://") && strings.HasSuffix(strings.TrimRight(field, "/"), "/debian") {
					return field
				}
			}
		}
	}
	return "http://deb.debian.org/debian"
}
