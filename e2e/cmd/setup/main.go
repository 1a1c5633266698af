// SPDX-License-Identifier: Apache-2.0

// Command setup prepares a Debian machine with Go for the end-to-end tests: it
// installs the packages and builds the programs that are missing. It may be run
// again at any time. With -demo it leaves out what only the tests need:
// kube-apiserver takes some five minutes to build.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/containerapi/containerapi/e2e/engine"
	"github.com/containerapi/containerapi/e2e/kube"
	"github.com/containerapi/containerapi/e2e/process"
)

// debian is a Debian package, with a program or file of it.
type debian struct{ name, program string }

// The packages that are needed: always, for the tests, and to install an engine.
var (
	packages = []debian{
		{"gcc", "gcc"},
		{"libc6-dev", "/usr/include/stdlib.h"},
		{"curl", "curl"},
		{"ca-certificates", "/etc/ssl/certs/ca-certificates.crt"},
		{"procps", "ps"},
		{"docker.io", "dockerd"},
		{"busybox-static", "busybox"},
	}
	testPackages = []debian{
		{"etcd-server", "etcd"},
		{"clang", "clang"},
		{"llvm", "llvm-strip"},
		{"libbpf-dev", "/usr/include/bpf/bpf_helpers.h"},
		{"python3-docker", "/usr/lib/python3/dist-packages/docker/__init__.py"},
	}
	enginePackages = []debian{
		{"debootstrap", "debootstrap"},
	}
)

func main() {
	demo := flag.Bool("demo", false, "prepare for the demo only, without kube-apiserver, kubectl and etcd")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "usage: setup [-demo]")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *demo)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "setup:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, demo bool) error {
	needed := slices.Clone(packages)
	if !demo {
		needed = append(needed, testPackages...)
	}
	if _, err := engine.Find(ctx); err != nil {
		needed = append(needed, enginePackages...)
	}
	if err := install(ctx, needed); err != nil {
		return err
	}
	if err := cgroups(); err != nil {
		return err
	}
	if !demo {
		if err := step("kube-apiserver and kubectl "+kube.Version, func(log *process.Output) error { return kube.Build(ctx, log) }); err != nil {
			return err
		}
	}
	if err := step("engine", func(log *process.Output) error { return engine.InstallSysdig(ctx, log) }); err != nil {
		return err
	}
	e, err := engine.Find(ctx)
	if err != nil {
		return err
	}
	fmt.Println("setup: rules run in", e)
	return nil
}

// step does one thing, says that it does if that takes time, and shows what
// was logged if it fails.
func step(name string, do func(log *process.Output) error) error {
	log := new(process.Output)
	start := time.Now()
	done := make(chan error, 1)
	go func() { done <- do(log) }()
	next := time.After(time.Second)
	for {
		select {
		case err := <-done:
			if err != nil {
				return fmt.Errorf("%s: %w\n%s", name, err, log)
			}
			fmt.Printf("setup: %s: ready after %s\n", name, time.Since(start).Round(time.Second/10))
			return nil
		case <-next:
			fmt.Printf("setup: %s: in preparation for %s\n", name, time.Since(start).Round(time.Second))
			next = time.After(15 * time.Second)
		}
	}
}

// install installs those of the packages that are missing.
func install(ctx context.Context, needed []debian) error {
	var missing []string
	for _, p := range needed {
		if _, err := exec.LookPath(p.program); err != nil {
			if _, err := os.Stat(p.program); err != nil {
				missing = append(missing, p.name)
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if os.Getuid() != 0 {
		return fmt.Errorf("needs root to install the packages %q", missing)
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("this is no Debian: install %q yourself", missing)
	}
	return step(fmt.Sprintf("packages %q", missing), func(log *process.Output) error {
		for _, args := range [][]string{
			{"update", "-q"},
			append([]string{"install", "-y", "-q", "--no-install-recommends"}, missing...),
		} {
			cmd := exec.CommandContext(ctx, "apt-get", args...)
			// Runlevel 1 keeps packages from starting the services
			// that they bring.
			cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
			cmd.Stdout, cmd.Stderr = log, log
			if err := cmd.Run(); err != nil {
				return fmt.Errorf("apt-get %v: %w", args, err)
			}
		}
		// Tests start an etcd of their own.
		if systemctl, err := exec.LookPath("systemctl"); err == nil {
			for _, name := range missing {
				if name == "etcd-server" {
					_ = exec.CommandContext(ctx, systemctl, "disable", "--now", "etcd").Run()
				}
			}
		}
		return nil
	})
}

// cgroups makes sure that containers can be started.
func cgroups() error {
	const dir = "/sys/fs/cgroup"
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return nil
	}
	if err := syscall.Mount("cgroup2", dir, "cgroup2", 0, ""); err != nil && !errors.Is(err, syscall.EBUSY) {
		return fmt.Errorf("mount %s: %w", dir, err)
	}
	fmt.Println("setup: mounted", dir)
	return nil
}
