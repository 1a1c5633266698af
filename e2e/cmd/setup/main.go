// SPDX-License-Identifier: Apache-2.0

// Command setup prepares a Debian machine with Go for the end-to-end tests: it
// installs the packages and builds the programs that are missing. It may be run
// again at any time. With -demo it leaves out what only the tests need: the
// programs of Kubernetes take minutes to build.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/containerapi/containerapi/e2e/engine"
	"github.com/containerapi/containerapi/e2e/falcoctl"
	"github.com/containerapi/containerapi/e2e/kube"
	"github.com/containerapi/containerapi/e2e/process"
	"github.com/containerapi/containerapi/internal/debian"
)

// deb is a Debian package, with a program or file of it.
type deb struct{ name, program string }

// The packages that are needed: always, for the tests, and to install programs of a
// newer release in a directory of their own.
var (
	basePackages = []deb{
		{"gcc", "gcc"},
		{"libc6-dev", "/usr/include/stdlib.h"},
		{"curl", "curl"},
		{"ca-certificates", "/etc/ssl/certs/ca-certificates.crt"},
		{"procps", "ps"},
		{"docker.io", "dockerd"},
		{"busybox-static", "busybox"},
	}
	testPackages = []deb{
		{"etcd-server", "etcd"},
		{"jq", "jq"},
		{"redis-server", "redis-server"},
		// The Makefile's CLANG_MAJOR.
		{"clang-19", "clang-19"},
		{"llvm-19", "llvm-strip-19"},
		{"libbpf-dev", "/usr/include/bpf/bpf_helpers.h"},
		{"python3-docker", "/usr/lib/python3/dist-packages/docker/__init__.py"},
	}
	rootPackages = []deb{
		{"debootstrap", "debootstrap"},
	}
	// Programs for the tests that only other releases of Debian have: what
	// they need of it the oldest supported release has as well.
	foreignPackages = map[string][]deb{
		"bullseye": {
			{"cadvisor", "cadvisor"},
		},
		"forky": {
			{"docker-buildx", "/usr/libexec/docker/cli-plugins/docker-buildx"},
			{"docker-compose", "/usr/libexec/docker/cli-plugins/docker-compose"},
			// Debian's Prometheus knows Kubernetes since it came in two
			// packages.
			{"prometheus", "/usr/share/doc/promtool"},
			{"promtool", "/usr/share/doc/promtool"},
		},
	}
)

func main() {
	demo := flag.Bool("demo", false, "prepare for the demo only, without Kubernetes, Helm and Prometheus")
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
	needed := slices.Clone(basePackages)
	if !demo {
		needed = append(needed, testPackages...)
	}
	if _, err := engine.Find(ctx); err != nil || !demo {
		needed = append(needed, rootPackages...)
	}
	if err := install(ctx, needed); err != nil {
		return err
	}
	if err := cgroups(); err != nil {
		return err
	}
	if !demo {
		for _, suite := range slices.Sorted(maps.Keys(foreignPackages)) {
			if err := installForeign(ctx, suite, foreignPackages[suite]); err != nil {
				return err
			}
		}
		if err := step("programs of Kubernetes "+kube.Version+" and Helm", func(log *process.Output) error { return kube.Build(ctx, log) }); err != nil {
			return err
		}
		if err := step("falcoctl "+falcoctl.Version+" and a registry", func(log *process.Output) error { return falcoctl.Build(ctx, log) }); err != nil {
			return err
		}
	}
	if !demo {
		// It brings its own docker command, containerd and runc. It asks ps for
		// the processes of a container. curl is for containers that have its /usr.
		if err := step("Docker Engine of Debian "+debian.Newest, func(log *process.Output) error {
			return debian.Install(ctx, log, "docker.io", "docker-cli", "procps", "curl")
		}); err != nil {
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

// services are those that packages bring and tests start for themselves.
var services = map[string]string{"etcd-server": "etcd", "redis-server": "redis-server", "prometheus": "prometheus", "cadvisor": "cadvisor"}

// missing returns the names of those of the packages that are missing. It is an
// error if they cannot be installed.
func missing(needed []deb) ([]string, error) {
	var names []string
	for _, p := range needed {
		if _, err := exec.LookPath(p.program); err != nil {
			if _, err := os.Stat(p.program); err != nil {
				names = append(names, p.name)
			}
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	if os.Getuid() != 0 {
		return nil, fmt.Errorf("needs root to install the packages %q", names)
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return nil, fmt.Errorf("this is no Debian: install %q yourself", names)
	}
	return names, nil
}

// install installs those of the packages that are missing.
func install(ctx context.Context, needed []deb) error {
	names, err := missing(needed)
	if err != nil || names == nil {
		return err
	}
	return step(fmt.Sprintf("packages %q", names), func(log *process.Output) error {
		if err := apt(ctx, log, "update", "-q"); err != nil {
			return err
		}
		if err := apt(ctx, log, append([]string{"install", "-y", "-q", "--no-install-recommends"}, names...)...); err != nil {
			return err
		}
		disable(ctx, names)
		return nil
	})
}

// installForeign installs those of the packages that are missing from another
// release of Debian, and nothing else from there: the machine's own sources stay
// as they are.
func installForeign(ctx context.Context, suite string, needed []deb) error {
	names, err := missing(needed)
	if err != nil || names == nil {
		return err
	}
	return step(fmt.Sprintf("packages %q of Debian %s", names, suite), func(log *process.Output) error {
		dir, err := os.MkdirTemp("", "setup")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		sources := filepath.Join(dir, "sources.list")
		if err := errors.Join(
			os.WriteFile(sources, []byte("deb "+debian.Mirror()+" "+suite+" main\n"), 0o644),
			os.MkdirAll(filepath.Join(dir, "lists", "partial"), 0o755),
			os.MkdirAll(filepath.Join(dir, "cache", "archives", "partial"), 0o755),
		); err != nil {
			return err
		}
		options := []string{"-q",
			"-o", "Dir::Etc::SourceList=" + sources,
			"-o", "Dir::Etc::SourceParts=/dev/null",
			"-o", "Dir::State::lists=" + filepath.Join(dir, "lists"),
			"-o", "Dir::Cache=" + filepath.Join(dir, "cache"),
		}
		if err := apt(ctx, log, append(options, "update")...); err != nil {
			return err
		}
		// What else the packages depend on has to be here: downloaded this
		// way they come alone.
		cmd := exec.CommandContext(ctx, "apt-get", append(options, append([]string{"download"}, names...)...)...)
		cmd.Dir = dir
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("download %q: %w", names, err)
		}
		files, err := filepath.Glob(filepath.Join(dir, "*.deb"))
		if err != nil {
			return err
		}
		if err := apt(ctx, log, append([]string{"install", "-y", "-q", "--no-install-recommends"}, files...)...); err != nil {
			return err
		}
		disable(ctx, names)
		return nil
	})
}

// aptLimit is for how many seconds another apt-get is waited for: a new machine may
// just be upgrading itself.
const aptLimit = 300

// apt runs apt-get.
func apt(ctx context.Context, log *process.Output, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-o", fmt.Sprint("DPkg::Lock::Timeout=", aptLimit)}, args...)...)
	// Runlevel 1 keeps packages from starting the services that they bring.
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("apt-get %v: %w", args, err)
	}
	return nil
}

// disable keeps the services of packages from running, now and later.
func disable(ctx context.Context, names []string) {
	systemctl, err := exec.LookPath("systemctl")
	if err != nil {
		return
	}
	for _, name := range names {
		if service := services[name]; service != "" {
			_ = exec.CommandContext(ctx, systemctl, "disable", "--now", service).Run()
		}
	}
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
