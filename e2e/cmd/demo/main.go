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

func main() {
	road := flag.String("kubernetes", "", "`recorded`: take the recorded audit log; live: start kube-apiserver, and build it, which takes some\nfive minutes, if it was never built. The default is live if it was built, else recorded")
	flag.Parse()
	if flag.NArg() > 0 || !slices.Contains([]string{"", live, recorded}, *road) {
		fmt.Fprintln(os.Stderr, "usage: demo [-kubernetes live | -kubernetes recorded]")
		os.Exit(2)
	}
	if os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" || !term.IsTerminal(int(os.Stdout.Fd())) {
		text.DisableColors()
	} else {
		text.EnableColors()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	var d demo
	err := d.run(ctx, *road)
	if ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	if err = errors.Join(err, d.end()); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// The values of the flag -kubernetes.
const (
	live     = "live"
	recorded = "recorded"
)

// demo is the demo with all that it starts.
type demo struct {
	report *report
	runner *scenario.Runner
	// secrets must show nowhere.
	secrets []string
	// roads are those that acts can take.
	roads []road
	// ends are the functions that end what was started.
	ends []func() error
}

func (d *demo) atEnd(end func() error) { d.ends = append(d.ends, end) }

// end ends all that was started, the last one first.
func (d *demo) end() error {
	var all error
	for _, end := range slices.Backward(d.ends) {
		all = errors.Join(all, end())
	}
	return all
}

// run is the demo. What it starts is left to end, also if it fails.
func (d *demo) run(ctx context.Context, kubernetesRoad string) error {
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
	all, err := loadActs()
	if err != nil {
		return err
	}
	d.report = newReport(os.Stdout, rules)
	if kubernetesRoad == live {
		if err := build(ctx, d.report); err != nil {
			return err
		}
	}
	if err := d.prepare(); err != nil {
		return err
	}
	d.report.printf("%s\n\n", bold.Sprint("Credential theft through container APIs, and what sees it"))
	if err := d.startDocker(ctx); err != nil {
		return err
	}
	if err := d.startEngine(ctx); err != nil {
		return err
	}
	d.report.part("Rules", fmt.Sprintf("%d in %s, tuned by %s", len(rules), filepath.Base(rulesFile), filepath.Base(knownFile)))
	if err := d.startKubernetes(ctx, kubernetesRoad); err != nil {
		return err
	}
	return d.perform(ctx, all)
}

// prepare makes the directory of all that is written, and the secret that is
// planted.
func (d *demo) prepare() error {
	dir, err := os.MkdirTemp("", "demo")
	if err != nil {
		return err
	}
	d.atEnd(func() error { return os.RemoveAll(dir) })
	// What is killed in the midst of its work cleans up nothing: let it leave
	// its files where they go with the rest.
	if err := os.Setenv("TMPDIR", dir); err != nil {
		return err
	}
	// Its length is a multiple of three, so that its base64 form is in that of
	// any text that begins with it.
	secret := "dummy-" + rand.Text()[:24]
	d.secrets = []string{secret}
	d.runner = &scenario.Runner{Dir: dir, Secret: secret}
	return nil
}

// startDocker starts a Docker Engine that listens at its usual port as well, in a
// network namespace of its own.
func (d *demo) startDocker(ctx context.Context) error {
	daemon, err := dockerd.StartIsolated(ctx, "--host=tcp://"+plainAddress, "--tls=false")
	if err != nil {
		return err
	}
	d.atEnd(daemon.Close)
	d.runner.Docker = daemon
	d.roads = append(d.roads, docker)
	version, err := daemon.Command(ctx, "version", "--format", "{{.Server.Version}}").Output()
	if err != nil {
		return fmt.Errorf("docker version: %w", err)
	}
	d.report.part("Docker", "Docker Engine "+strings.TrimSpace(string(version))+", started for this demo")
	return nil
}

// startEngine starts the engine with the plugin, its rules and a webhook, and
// returns when that listens and requests to Docker are seen, if they can be.
func (d *demo) startEngine(ctx context.Context) error {
	found, err := engine.Find(ctx)
	if err != nil {
		return err
	}
	marker, err := scenario.WriteMarkerRule(d.runner.Dir)
	if err != nil {
		return err
	}
	plugin, err := filepath.Abs(library)
	if err != nil {
		return err
	}
	address, err := process.FreeAddress()
	if err != nil {
		return err
	}
	url := "http://" + address + "/k8s-audit"
	d.runner.Webhook = &scenario.Webhook{URL: url, Recordings: recordings}
	run, err := engine.Start(found, engine.Config{
		Plugins: []engine.Plugin{{Name: "containerapi", Library: plugin, Open: url + ",docker://" + d.runner.Docker.Socket}},
		Source:  "container_api",
		Rules:   []string{marker, rulesFile, knownFile},
	})
	if err != nil {
		return err
	}
	d.atEnd(run.Stop)
	d.runner.Engine = run
	if err := run.AwaitListener(ctx, address); err != nil {
		return err
	}
	d.report.part("Engine", found.String()+" with "+filepath.Base(library))
	untapped, err := awaitTap(ctx, run, d.runner.Docker.Socket)
	if err != nil {
		return err
	}
	if untapped == "" {
		d.report.part("Requests", "all to the Docker API are seen, with the process that makes them")
		return nil
	}
	d.runner.Untapped = true
	d.report.part("Requests", "to the Docker API cannot be seen here, only Docker's events; attacks that leave none are")
	d.report.part("", "left out. The plugin says:")
	d.report.printf("%s\n", wrap(untapped, width))
	return nil
}

// startKubernetes starts a cluster, or makes the recordings the road, as it was
// asked to or because kube-apiserver was never built.
func (d *demo) startKubernetes(ctx context.Context, kubernetesRoad string) error {
	why := ""
	if kubernetesRoad != recorded {
		cluster, err := kube.Start(ctx, kube.Options{Webhook: d.runner.Webhook.URL, Canary: d.runner.Secret})
		if err == nil {
			return d.useCluster(cluster)
		}
		if kubernetesRoad == live || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, exec.ErrNotFound) {
			return err
		}
		why = " (none was built here; make setup does)"
	}
	d.report.part("Kubernetes", "a recorded audit log of kube-apiserver "+kube.Version+why)
	d.roads = append(d.roads, recordedKubernetes)
	return nil
}

// useCluster makes a cluster the road of Kubernetes.
func (d *demo) useCluster(cluster *kube.Cluster) error {
	d.atEnd(cluster.Stop)
	d.runner.Kube = cluster
	d.roads = append(d.roads, kubernetes)
	token, err := os.ReadFile(cluster.Token)
	if err != nil {
		return err
	}
	// The signature is what makes a token of it.
	d.secrets = append(d.secrets, string(token[bytes.LastIndexByte(token, '.')+1:]))
	d.report.part("Kubernetes", "kube-apiserver "+kube.Version+", started for this demo")
	return nil
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

// perform does the acts whose roads are there, and reports them.
func (d *demo) perform(ctx context.Context, acts []act) error {
	for _, api := range []string{scenario.Docker, scenario.Kubernetes} {
		if err := d.runner.Ready(ctx, api); err != nil {
			return err
		}
	}
	var all []outcome
	tables := make(map[road][]outcome)
	var benign []outcome
	for _, a := range acts {
		a, ok := a.on(!d.runner.Untapped)
		if !ok || !slices.Contains(d.roads, a.road()) {
			continue
		}
		d.report.begin(a)
		o, err := play(ctx, d.runner, a)
		if err != nil {
			return err
		}
		d.report.end(o)
		all = append(all, o)
		if a.benign {
			benign = append(benign, o)
		} else {
			tables[a.road()] = append(tables[a.road()], o)
		}
	}
	d.report.table("Attacks through the Docker API", tables[docker])
	d.report.table("Attacks through the Kubernetes API", tables[kubernetes])
	d.report.table("Attacks through the Kubernetes API, recorded", tables[recordedKubernetes])
	d.report.table("Benign work", benign)
	err := d.report.summary(all)
	if leaked := leaks(d.secrets, d.runner.Engine.Stdout(), d.runner.Engine.Stderr()); leaked != nil {
		return errors.Join(err, leaked)
	}
	d.report.printf("The planted secrets show in no alert and in no log of the plugin.\n")
	d.report.printf("%s\n", wrap("Latency counts from when "+since(!d.runner.Untapped, d.runner.Kube != nil)+".", width))
	return err
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
