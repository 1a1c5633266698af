// SPDX-License-Identifier: Apache-2.0

// Command packaging makes the release files of the plugin and its rules, as
// falcosecurity/plugins makes its own, and publishes them as OCI artifacts for
// falcoctl:
//
//	packaging [-out directory] [-arch amd64] [directory of the repository]
//	packaging -push ghcr.io/containerapi [-plain-http] [-out directory] [directory of the repository]
//
// The first form packs the libraries that `make build` left there and the rule
// files; the same files give the same bytes. The second publishes what the
// first made, for every architecture there is, and needs falcoctl in the PATH.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "packaging:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("packaging", flag.ContinueOnError)
	out := flags.String("out", "dist", "the directory of the release files")
	arch := flags.String("arch", runtime.GOARCH, "what the libraries were built for: amd64 or arm64")
	registry := flags.String("push", "", "publish the release files under this registry and namespace")
	plain := flags.Bool("plain-http", false, "publish to a registry without TLS")
	if err := flags.Parse(args); err != nil {
		return err
	}
	root := "."
	switch flags.NArg() {
	case 0:
	case 1:
		root = flags.Arg(0)
	default:
		return fmt.Errorf("one directory of the repository, not %q", flags.Args())
	}
	release, err := read(root)
	if err != nil {
		return err
	}
	if *registry == "" {
		return release.pack(root, *out, *arch)
	}
	return release.push(ctx, *out, *registry, *plain)
}

// platforms are the architectures that there are libraries for: by the names of
// Go and OCI, and as release files are named.
var platforms = map[string]string{"amd64": "x86_64", "arm64": "aarch64"}

// pack writes the release files of one architecture.
func (r *release) pack(root, out, arch string) error {
	if platforms[arch] == "" {
		return fmt.Errorf("there are no libraries for %q, only for amd64 and arm64", arch)
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for _, a := range r.artifacts {
		name := filepath.Join(out, a.file(r.version, arch))
		if err := writeTar(name, filepath.Join(root, a.source)); err != nil {
			return err
		}
		fmt.Println(name)
	}
	return nil
}

// push publishes the release files in the directory out with falcoctl, and writes
// the index that has falcoctl find them there by name.
func (r *release) push(ctx context.Context, out, registry string, plain bool) error {
	for _, a := range r.artifacts {
		args := []string{"registry", "push", registry + "/" + a.repository() + ":" + r.version,
			"--type", a.kind, "--name", a.name, "--version", r.version,
			"--add-floating-tags", "--tag", "latest",
			"--annotation-source", "https://github.com/containerapi/containerapi",
		}
		if plain {
			args = append(args, "--plain-http")
		}
		for _, d := range a.dependencies {
			args = append(args, "--depends-on", d)
		}
		for _, r := range a.requirements {
			args = append(args, "--requires", r)
		}
		files, err := a.files(out, r.version)
		if err != nil {
			return err
		}
		args = append(args, files...)
		cmd := exec.CommandContext(ctx, "falcoctl", args...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("falcoctl %s: %w", strings.Join(args, " "), err)
		}
	}
	return r.writeIndex(filepath.Join(out, "index.yaml"), registry)
}

// files returns the arguments that name the artifact's release files.
func (a *artifact) files(out, version string) ([]string, error) {
	var args []string
	if a.kind == rulesfile {
		args = []string{filepath.Join(out, a.file(version, ""))}
	} else {
		for _, arch := range []string{"amd64", "arm64"} {
			name := filepath.Join(out, a.file(version, arch))
			if _, err := os.Stat(name); err == nil {
				args = append(args, name, "--platform", "linux/"+arch)
			}
		}
	}
	if len(args) == 0 {
		return nil, fmt.Errorf("%s has no release file of %s %s: run packaging without -push first", out, a.name, version)
	}
	return args, nil
}
