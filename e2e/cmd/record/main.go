// SPDX-License-Identifier: Apache-2.0

// Command record makes the recordings of audit events again, with a kube-apiserver
// of its own and the clients that make setup built, and says in what their shape
// differs from those that are committed. With -captures it makes captures of system
// calls again, with the modern eBPF probe of the Falco that FALCO or the PATH names,
// and says whether they raise what their scenarios expect: see
// testdata/captures/README.md.
//
//	record [-captures] [-out DIRECTORY] [NAME ...]
//
// NAME is a recording as scenarios name it, such as attack/kubectl-create-token;
// without one all are made that can be. Those of clients that are not in the cache,
// such as Peirates, CDK and Stratus Red Team, are named and left as they are: see
// testdata/recordings/README.md. Nothing in testdata is touched unless -out names it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/containerapi/containerapi/e2e/kube"
	"github.com/containerapi/containerapi/e2e/scenario"
)

// What is committed, as seen from the directory e2e that this runs in.
const (
	recordings   = "testdata/recordings"
	chart        = "testdata/chart"
	captures     = "testdata/captures"
	syscallRules = "../rules/containerapi_syscall_rules.yaml"
)

func main() {
	capture := flag.Bool("captures", false, "make captures of system calls, not recordings of audit events")
	out := flag.String("out", "", "`directory` to write to; a new one if empty")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *capture, *out, flag.Args())
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, capture bool, out string, names []string) error {
	if os.Getuid() != 0 {
		return errors.New("needs root")
	}
	all, err := scenario.Load("attack", "benign")
	if err != nil {
		return err
	}
	if out == "" {
		if out, err = os.MkdirTemp("", "record"); err != nil {
			return err
		}
	}
	chosen := choose(all, capture, names)
	if len(chosen) == 0 {
		return fmt.Errorf("nothing of %q can be made again", names)
	}
	if capture {
		return makeCaptures(ctx, chosen, out)
	}
	return makeRecordings(ctx, chosen, out)
}

// choose returns the scenarios that are to be made again, and says which cannot.
func choose(all []scenario.Scenario, capture bool, names []string) []scenario.Scenario {
	var chosen []scenario.Scenario
	for _, s := range all {
		name := s.Recording
		if capture {
			name = s.Capture
		}
		if name == "" || len(names) > 0 && !slices.Contains(names, name) {
			continue
		}
		if s.Record == "" {
			fmt.Printf("%s: left as it is: its scenario has no script to record\n", name)
			continue
		}
		chosen = append(chosen, s)
	}
	return chosen
}

// makeRecordings records scenarios in one cluster.
func makeRecordings(ctx context.Context, chosen []scenario.Scenario, out string) error {
	runner, stop, err := startRunner(ctx)
	if err != nil {
		return err
	}
	var failed error
	for _, s := range chosen {
		if err := makeRecording(ctx, runner, s, out); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", s.Recording, err))
		}
	}
	fmt.Println("written to", out)
	return errors.Join(failed, stop())
}

// startRunner starts a cluster for recordings. What it has for secrets are dummies.
func startRunner(ctx context.Context) (_ *scenario.Runner, stop func() error, err error) {
	programs, err := kube.Directory()
	if err != nil {
		return nil, nil, err
	}
	chart, err := filepath.Abs(chart)
	if err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "record-scripts")
	if err != nil {
		return nil, nil, err
	}
	if err := errors.Join(
		os.Setenv("PATH", programs+string(os.PathListSeparator)+os.Getenv("PATH")),
		os.Setenv("CHART", chart), os.Setenv("POD_IMAGE", kube.PodImage),
		os.Setenv("HELM_CACHE_HOME", dir), os.Setenv("HELM_CONFIG_HOME", dir), os.Setenv("HELM_DATA_HOME", dir),
	); err != nil {
		return nil, nil, err
	}
	cluster, err := kube.Start(ctx, kube.Options{AuditPolicy: scenario.RecordPolicy, Canary: "dummy"})
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	stop = func() error { return errors.Join(cluster.Stop(), os.RemoveAll(dir)) }
	if err := cluster.AddUser("scheduler", "system:kube-scheduler"); err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	return &scenario.Runner{
		Kube:    cluster,
		Kubelet: func(ctx context.Context) (func() error, error) { return startKubelet(ctx, cluster, dir) },
		Dir:     dir,
		Secret:  "dummy",
	}, stop, nil
}

// makeRecording makes one recording, and says in what its shape differs.
func makeRecording(ctx context.Context, runner *scenario.Runner, s scenario.Scenario, out string) error {
	events, err := runner.Record(ctx, s)
	if err != nil {
		return err
	}
	old, err := scenario.ReadRecording(s.RecordingFile(recordings))
	if err != nil {
		return err
	}
	shape, err1 := scenario.Shape(events)
	oldShape, err2 := scenario.Shape(old)
	if err := errors.Join(err1, err2, scenario.WriteRecording(s.RecordingFile(out), events)); err != nil {
		return err
	}
	fmt.Printf("%s: %d events, %d kinds of requests\n", s.Recording, len(events), len(shape))
	difference(oldShape, shape, "only in the committed one")
	difference(shape, oldShape, "only in the new one")
	return nil
}

// difference prints what one shape has and the other has not.
func difference(has, lacks []string, what string) {
	missing := slices.DeleteFunc(slices.Clone(has), func(kind string) bool { return slices.Contains(lacks, kind) })
	if len(missing) > 0 {
		fmt.Printf("  %s: %s\n", what, strings.Join(missing, "; "))
	}
}
