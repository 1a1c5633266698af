// SPDX-License-Identifier: Apache-2.0

// Command field measures what the rules raise on honest software and on thieves of its
// identities, and prints both as tables.
//
//	field [-docker] [-v] [-write]
//	field -record [-out DIRECTORY] [NAME ...]
//
// With -record it builds software of its Go modules, which takes minutes each, runs it
// against a kube-apiserver of its own and writes what it sent. Nothing in testdata is
// touched unless -out names it. NAME is software as field/software names it; without
// one it is all that has a module.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/containerapi/containerapi/e2e/field"
	"github.com/containerapi/containerapi/e2e/kube"
)

func main() {
	record := flag.Bool("record", false, "run the software and record what it sends")
	out := flag.String("out", "", "`directory` to write recordings to; a new one if empty")
	write := flag.Bool("write", false, "write the page, docs/field.md or docs/field-docker.md")
	docker := flag.Bool("docker", false, "measure software on a Docker Engine, which needs root")
	verbose := flag.Bool("v", false, "show an alert of each rule, too")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	switch {
	case *record:
		err = makeRecordings(ctx, *out, flag.Args())
	case *docker:
		err = measureDocker(ctx, *verbose, *write)
	default:
		err = measure(ctx, *verbose, *write)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "field:", err)
		os.Exit(1)
	}
}

// measure prints the tables.
func measure(ctx context.Context, verbose, write bool) error {
	site, err := field.NewSite(ctx)
	if err != nil {
		return err
	}
	all, err := field.Load()
	if err != nil {
		return err
	}
	honest, err := site.Honest(ctx, all)
	if err != nil {
		return err
	}
	thieves, err := site.Thieves(ctx, all)
	if err != nil {
		return err
	}
	if err := show(field.PageFile, field.Page(honest, thieves), write); err != nil {
		return err
	}
	if verbose {
		field.Details(os.Stdout, honest, thieves)
	}
	return nil
}

// measureDocker prints the table of software on a Docker Engine.
func measureDocker(ctx context.Context, verbose, write bool) error {
	site, err := field.NewSite(ctx)
	if err != nil {
		return err
	}
	polled, err := site.Docker(ctx)
	if err != nil {
		return err
	}
	if err := show(field.DockerPageFile, field.DockerPage(polled), write); err != nil {
		return err
	}
	if verbose {
		field.DockerDetails(os.Stdout, polled)
	}
	return nil
}

// show prints a page, and writes it if it is to be written.
func show(file, page string, write bool) error {
	fmt.Println(page)
	if !write {
		return nil
	}
	return os.WriteFile(file, []byte(page), 0o644)
}

// makeRecordings builds and runs software and records what it sends.
func makeRecordings(ctx context.Context, out string, names []string) error {
	if os.Getuid() != 0 {
		return errors.New("needs root")
	}
	all, err := field.Load()
	if err != nil {
		return err
	}
	chosen := slices.DeleteFunc(slices.Clone(all), func(s field.Software) bool {
		return s.Module == "" || len(names) > 0 && !slices.Contains(names, s.Name)
	})
	var failed error
	built := slices.DeleteFunc(chosen, func(s field.Software) bool {
		fmt.Printf("build %s %s\n", s.Name, s.Version)
		err := s.Programs(all).Build(ctx, os.Stderr)
		failed = errors.Join(failed, err)
		return err != nil
	})
	if out == "" {
		if out, err = os.MkdirTemp("", "field"); err != nil {
			return err
		}
	}
	// The shipped policy is what a site's events come of. Pods reach the server at
	// addresses of their own networks.
	policy, err := os.ReadFile("../docs/audit-policy-requests.yaml")
	if err != nil {
		return err
	}
	cluster, err := kube.Start(ctx, kube.Options{AuditPolicy: string(policy), Canary: "dummy", Flags: []string{"--bind-address=0.0.0.0"}})
	if err != nil {
		return err
	}
	err = field.Record(ctx, cluster, built, out, os.Stdout)
	fmt.Println("written to", out)
	return errors.Join(failed, err, cluster.Stop())
}
