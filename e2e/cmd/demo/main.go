// SPDX-License-Identifier: Apache-2.0

// Command demo steals credentials through the APIs of Docker and Kubernetes and
// shows each theft beside the alert that it raises. It starts all parts of its
// own, on loopback, and ends them: a Docker Engine, an engine for the rules and
// a kube-apiserver. Where kube-apiserver was never built it takes what one wrote
// into its audit log, and where the kernel lets no one see the requests to Docker
// it makes do with Docker's events.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"

	"github.com/containerapi/containerapi/e2e/engine"
	"github.com/containerapi/containerapi/e2e/kube"
	"github.com/containerapi/containerapi/e2e/process"
	"github.com/containerapi/containerapi/e2e/scenario"
	"github.com/containerapi/containerapi/internal/dockerd"
)

// What the demo uses, as seen from the directory e2e that it runs in.
const (
	library    = "../libcontainerapi.so"
	rulesFile  = "../rules/containerapi_rules.yaml"
	knownFile  = "../rules/examples/local_containerapi.yaml"
	recordings = "testdata/recordings"
)

// listenLimit is how long the engine may take until the plugin's webhook
// listens.
const listenLimit = 30 * time.Second

func main() {
	live := flag.Bool("live", false, "build kube-apiserver if it was never built, which takes some five minutes")
	recorded := flag.Bool("recorded", false, "use the recorded audit log even if kube-apiserver was built")
	flag.Parse()
	if *live && *recorded || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "usage: demo [-live | -recorded]")
		os.Exit(2)
	}
	if os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" || !term.IsTerminal(int(os.Stdout.Fd())) {
		text.DisableColors()
	} else {
		text.EnableColors()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	var started parts
	err := run(ctx, &started, *live, *recorded)
	if ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	if err = errors.Join(err, started.end()); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// parts are what has been started, as the functions that end it.
type parts []func() error

func (p *parts) add(end func() error) { *p = append(*p, end) }

// end ends all of them, the last one first.
func (p *parts) end() error {
	var all error
	for _, end := range slices.Backward(*p) {
		all = errors.Join(all, end())
	}
	return all
}

// run is the demo. It adds all that it starts to started, also if it fails.
func run(ctx context.Context, started *parts, live, recorded bool) error {
	if os.Getuid() != 0 {
		return errors.New("needs root, to start a Docker Engine")
	}
	for _, name := range []string{library, rulesFile, recordings} {
		if _, err := os.Stat(name); err != nil {
			return fmt.Errorf("run it with `make demo`: %w", err)
		}
	}
	rules, err := engine.LoadRules(rulesFile)
	if err != nil {
		return err
	}
	report := newReport(os.Stdout, rules)
	if live {
		if err := build(ctx, report); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp("", "demo")
	if err != nil {
		return err
	}
	started.add(func() error { return os.RemoveAll(dir) })
	// What is killed in the midst of its work cleans up nothing: let it leave
	// its files where they go with the rest.
	if err := os.Setenv("TMPDIR", dir); err != nil {
		return err
	}
	// Its length is a multiple of three, so that its base64 form is in that of
	// any text that begins with it.
	secret := "dummy-" + rand.Text()[:24]

	report.printf("%s\n\n", bold.Sprint("Credential theft through container APIs, and what sees it"))
	flags := plainFlags()
	daemon, err := dockerd.Start(ctx, flags...)
	if err != nil {
		return err
	}
	started.add(daemon.Close)
	version, err := daemon.Command(ctx, "version", "--format", "{{.Server.Version}}").Output()
	if err != nil {
		return fmt.Errorf("docker version: %w", err)
	}
	report.part("Docker", "Docker Engine "+strings.TrimSpace(string(version))+", started for this demo")
	if len(flags) == 0 {
		report.part("", "not over TCP: another program has "+plainAddress)
	}
	stages := map[string]stage{docker: &shellStage{
		dir:    dir,
		env:    func(string) []string { return append(daemon.Env(), "DB_PASSWORD="+secret) },
		secret: secret,
		marker: act{run: "docker volume create $MARK"},
	}}
	if err := stages[docker].perform(ctx, act{run: containers}); err != nil {
		return fmt.Errorf("start containers: %w", err)
	}

	rulesEngine, webhook, err := startEngine(ctx, report, dir, daemon)
	if err != nil {
		return err
	}
	started.add(rulesEngine.Stop)
	untapped, err := awaitTap(ctx, rulesEngine, daemon.Socket)
	if err != nil {
		return err
	}
	if untapped == "" {
		report.part("Requests", "all to the Docker API are seen, with the process that makes them")
	} else {
		report.part("Requests", "to the Docker API cannot be seen here, only Docker's events; attacks that leave none are")
		report.part("", "left out. The plugin says:")
		report.printf("%s\n", wrap(untapped, width))
	}
	report.part("Rules", fmt.Sprintf("%d in %s, tuned by %s", len(rules), filepath.Base(rulesFile), filepath.Base(knownFile)))

	secrets := []string{secret}
	cluster, why, err := startCluster(ctx, kube.Options{Webhook: webhook, Canary: secret}, live, recorded)
	if err != nil {
		return err
	}
	if cluster != nil {
		started.add(cluster.Stop)
		token, err := os.ReadFile(cluster.Token)
		if err != nil {
			return err
		}
		// The signature is what makes a token of it.
		secrets = append(secrets, string(token[bytes.LastIndexByte(token, '.')+1:]))
		report.part("Kubernetes", "kube-apiserver "+kube.Version+", started for this demo")
		stages[kubernetes] = &shellStage{dir: dir, env: cluster.Env, secret: secret, marker: act{
			as:  "admin",
			run: `kubectl get --raw "/healthz?mark=$MARK"`,
		}}
	} else {
		report.part("Kubernetes", "a recorded audit log of kube-apiserver "+kube.Version+why)
		stages[recordedKubernetes] = &recordedStage{dir: recordings, webhook: webhook}
	}
	leaked := func() error { return leaks(secrets, rulesEngine.Stdout(), rulesEngine.Stderr()) }
	var chosen []act
	for _, a := range acts {
		if a, ok := a.on(untapped == "", len(flags) > 0); ok && stages[a.api] != nil {
			chosen = append(chosen, a)
		}
	}
	return perform(ctx, report, newPlayer(ctx, rulesEngine, stages), chosen, since(untapped == "", cluster != nil), leaked)
}

// since says from when latency counts: the time of an event.
func since(tapped, live bool) string {
	from := "Docker took the request"
	if !tapped {
		from = "Docker told of the event"
	}
	if live {
		return from + ", or kube-apiserver took the request, which sends events every 100 ms"
	}
	return from + ", or the recorded events were sent"
}

// perform does acts and tells of them.
func perform(ctx context.Context, report *report, player *player, acts []act, since string, leaks func() error) error {
	for api := range player.stages {
		if err := player.ready(ctx, api); err != nil {
			return err
		}
	}
	var all []outcome
	tables := make(map[string][]outcome)
	const benign = "Benign work"
	for _, a := range acts {
		report.begin(a)
		o, err := player.play(ctx, a, report.heard)
		if err != nil {
			return err
		}
		report.end(o)
		all = append(all, o)
		title := a.api
		if len(a.expect) == 0 {
			title = benign
		}
		tables[title] = append(tables[title], o)
	}
	report.table("Attacks through the Docker API", tables[docker])
	report.table("Attacks through the Kubernetes API", tables[kubernetes])
	report.table("Attacks through the Kubernetes API, recorded", tables[recordedKubernetes])
	report.table(benign, tables[benign])
	err := report.summary(all)
	if leaked := leaks(); leaked != nil {
		return errors.Join(err, leaked)
	}
	report.printf("The planted secrets show in no alert and in no log of the plugin.\n")
	report.printf("%s\n", wrap("Latency counts from when "+since+".", width))
	return err
}

// startEngine starts the engine with the plugin, its rules and a webhook, and
// returns it and the webhook's URL when that listens.
func startEngine(ctx context.Context, report *report, dir string, daemon *dockerd.Daemon) (_ *engine.Process, url string, err error) {
	found, err := engine.Find(ctx)
	if err != nil {
		return nil, "", err
	}
	marker, err := scenario.WriteMarkerRule(dir)
	if err != nil {
		return nil, "", err
	}
	plugin, err := filepath.Abs(library)
	if err != nil {
		return nil, "", err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, "", err
	}
	url = "http://" + address + "/k8s-audit"
	run, err := engine.Start(found, engine.Config{
		Plugins: []engine.Plugin{{Name: "containerapi", Library: plugin, Open: url + ",docker://" + daemon.Socket}},
		Source:  "container_api",
		Rules:   []string{marker, rulesFile, knownFile},
	})
	if err != nil {
		return nil, "", err
	}
	if err := awaitListener(ctx, run, address); err != nil {
		return nil, "", errors.Join(err, run.Stop())
	}
	report.part("Engine", found.String()+" with "+filepath.Base(library))
	return run, url, nil
}

// freeAddress returns an address on loopback that nothing listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// awaitListener waits until the plugin's webhook listens.
func awaitListener(ctx context.Context, run *engine.Process, address string) error {
	ctx, cancel := context.WithTimeout(ctx, listenLimit)
	defer cancel()
	for {
		if conn, err := net.Dial("tcp", address); err == nil {
			return conn.Close()
		}
		select {
		case <-run.Ended():
			return fmt.Errorf("the engine ended: %v\n%s", run.Err(), run.Stderr())
		case <-ctx.Done():
			return fmt.Errorf("the plugin does not listen on %s: %w\n%s", address, ctx.Err(), run.Stderr())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// startCluster starts a cluster. It returns none, and says why, if recordings are
// to be used instead: as asked, or because kube-apiserver was never built.
func startCluster(ctx context.Context, o kube.Options, live, recorded bool) (_ *kube.Cluster, why string, err error) {
	if recorded {
		return nil, "", nil
	}
	cluster, err := kube.Start(ctx, o)
	if !live && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, exec.ErrNotFound)) {
		return nil, " (none was built here; make setup does)", nil
	}
	return cluster, "", err
}

// build builds kube-apiserver and kubectl, and says how it goes.
func build(ctx context.Context, report *report) error {
	log := new(process.Output)
	done := make(chan error, 1)
	go func() { done <- kube.Build(ctx, log) }()
	start := time.Now()
	// It is there already if it returns at once.
	next := time.After(time.Second)
	for {
		select {
		case err := <-done:
			if err != nil {
				return fmt.Errorf("%w\n%s", err, log)
			}
			return nil
		case <-next:
			report.printf("Building kube-apiserver and kubectl %s, which takes some five minutes, once: %s\n", kube.Version, time.Since(start).Round(time.Second))
			next = time.After(15 * time.Second)
		}
	}
}

// leaks returns an error if a secret is in one of the texts. The error does not
// show it.
func leaks(secrets []string, texts ...string) error {
	for _, secret := range secrets {
		for _, text := range texts {
			if strings.Contains(text, secret) || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(secret))) {
				return errors.New("a secret shows in what the engine printed")
			}
		}
	}
	return nil
}
