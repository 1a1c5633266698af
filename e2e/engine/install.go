// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// suite is the Debian release that has a sysdig new enough to load plugins.
const suite = "forky"

// sysdigRoot is the directory of the system that sysdig is installed in.
func sysdigRoot() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "containerapi", "debian-"+suite), nil
}

// InstallSysdig makes sure that [Find] finds an engine: it does nothing where
// Falco is, or where it has been run before; else it makes a minimal Debian
// with sysdig in a directory of its own. It needs root and debootstrap, and writes
// what those print to log.
func InstallSysdig(ctx context.Context, log io.Writer) error {
	if _, err := Find(ctx); err == nil {
		return nil
	}
	root, err := sysdigRoot()
	if err != nil {
		return err
	}
	// Debootstrap cannot go on where it was interrupted.
	building := root + ".new"
	if err := os.RemoveAll(building); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(root), 0o755); err != nil {
		return err
	}
	run := func(name string, args ...string) error {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Stdout, cmd.Stderr = log, log
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
		}
		return nil
	}
	// All Debian releases share one script; an older debootstrap does not
	// know the name of a newer release.
	const script = "/usr/share/debootstrap/scripts/sid"
	if err := run("debootstrap", "--variant=minbase", suite, building, Mirror(), script); err != nil {
		return err
	}
	// Debootstrap's --include cannot configure sysdig.
	if err := run("chroot", building, "apt-get", "install", "-y", "-q", "--no-install-recommends", "sysdig"); err != nil {
		return err
	}
	_ = os.RemoveAll(filepath.Join(building, "var/cache/apt/archives"))
	if err := os.Rename(building, root); err != nil {
		return err
	}
	if _, err := Find(ctx); err != nil {
		return fmt.Errorf("sysdig was installed but does not run: %w", err)
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
