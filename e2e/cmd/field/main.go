// SPDX-License-Identifier: Apache-2.0

// Command field measures what the rules raise on honest software and on thieves of its
// identities, and prints both as tables.
//
//	field [-v] [-write] [-docker=false]
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
	write := flag.Bool("write", false, "write the page docs/field.md")
	engine := flag.Bool("docker", true, "measure on a Docker Engine, too, which needs root")
	verbose := flag.Bool("v", false, "show an alert of each rule, too")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	if *record {
		err = makeRecordings(ctx, *out, flag.Args())
	} else {
		err = measure(ctx, *verbose, *write, *engine)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "field:", err)
		os.Exit(1)
	}
}

// measure prints the tables.
func measure(ctx context.Context, verbose, write, engine bool) error {
	if write && !engine {
		return errors.New("the page has what is measured on a Docker Engine: -write without -docker=false")
	}
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
	var polled []field.Polled
	if engine {
		if polled, err = site.Docker(ctx); err != nil {
			return err
		}
	}
	page := field.Page(honest, polled, thieves)
	if write {
		if err := os.WriteFile(field.PageFile, []byte(page), 0o644); err != nil {
			return err
		}
	}
	fmt.Print(page)
	if verbose {
		fmt.Println()
		field.Details(os.Stdout, honest, polled, thieves)
	}
	return nil
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
