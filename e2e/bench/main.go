// SPDX-License-Identifier: Apache-2.0

// Command bench measures how many Kubernetes audit events a second an engine
// gets through with this plugin, with the k8saudit plugin, and with a source
// that does nothing, and fails if this plugin is not as many times faster than
// k8saudit as it has to be. It is run in its own directory.
//
// Events per second depend on the machine and on what else it does; the ratios
// much less, because the contestants run in turn.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// The conditions read six fields of an event each, and match the same events.
// An engine reads a field only if it needs it: what comes first matches nearly
// every event, so that the last field is read as well, and the last one rarely
// does, so that the events are measured and not the alerts.
const (
	k8sauditCondition = `ka.stage != RequestReceived and not ka.verb in (proxy, deletecollection) and not ka.target.resource in (events, bindings) ` +
		`and not ka.response.code in (503, 504) and not ka.useragent startswith kube-probe and ka.user.name = "system:serviceaccount:shop:web"`
	containerapiCondition = `kube.stage != RequestReceived and not kube.verb in (proxy, deletecollection) and not kube.target.resource in (events, bindings) ` +
		`and not kube.response.code in (503, 504) and not kube.useragent startswith kube-probe and kube.user.name = "system:serviceaccount:shop:web"`
	nothingCondition = `nothing.a != none and not nothing.b in (none, never) and not nothing.c in (none, never) ` +
		`and not nothing.d in (none, never) and not nothing.e startswith none and nothing.f = none`
)

const (
	// part is how many times more events the large source has.
	part = 10
	// nothingTimes is how many times more events a source that does nothing
	// gets, to run for about as long.
	nothingTimes = 10
	// growth is by how many bytes more events may make the memory grow: the
	// queue and the history fill up, and both are bounded.
	growth = 64 << 20
)

type options struct {
	n, rounds, long   int
	minSix, minRules  float64
	recordings, rules string
}

func main() {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	cache = filepath.Join(cache, "containerapi")

	var o options
	flag.IntVar(&o.n, "n", 200_000, "how many audit events there are")
	flag.IntVar(&o.rounds, "rounds", 5, "how often each contestant runs")
	flag.IntVar(&o.long, "long", 1_000_000, "how many events the memory has to stay flat over; 0 leaves this out")
	flag.Float64Var(&o.minSix, "min-six", 6, "how many times k8saudit's events/s there must be with a rule of six fields")
	flag.Float64Var(&o.minRules, "min-rules", 4, "how many times k8saudit's events/s there must be with all rules")
	flag.StringVar(&o.recordings, "recordings", "testdata/recordings", "directory of the recorded events")
	flag.StringVar(&o.rules, "rules", "../rules/containerapi_rules.yaml", "pattern of the rule files")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := bench(ctx, o, cache, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// bench measures and prints the result. An error says what went wrong, or which
// goals were missed.
func bench(ctx context.Context, o options, cache string, out io.Writer) error {
	if o.n < 1000 || o.rounds < 1 {
		return fmt.Errorf("-n must be at least 1000 and -rounds at least 1, not %d and %d", o.n, o.rounds)
	}
	e, err := findRunner(ctx)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(cache, "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	in := func(name string) string { return filepath.Join(dir, name) }

	say("build the plugins")
	if err := build(ctx, in("libcontainerapi.so"), in("libk8saudit.so"), in("libnothing.so")); err != nil {
		return err
	}
	events, err := readRecordings(o.recordings)
	if err != nil {
		return err
	}
	say("write %d events of %d bytes on average, from %d recorded ones", o.n, meanLength(events), len(events))
	for name, n := range map[string]int{"small": o.n / part, "large": o.n} {
		if err := writeEvents(in(name), events, n); err != nil {
			return err
		}
	}

	plugin := load{plugin: "containerapi", source: "container_api", library: in("libcontainerapi.so"), condition: containerapiCondition}
	allRules := plugin
	if allRules.rules, err = absolute(o.rules); err != nil {
		return err
	}
	replay := func(name string, l load) *contestant {
		return &contestant{name: name, load: l, small: in("small"), smallCount: o.n / part, large: in("large"), largeCount: o.n}
	}
	k8saudit := replay("k8saudit, six fields", load{
		plugin: "k8saudit", source: "k8s_audit", library: in("libk8saudit.so"), condition: k8sauditCondition,
		// Its asynchronous mode, the default, is slower where there are few cores.
		init: `{"useAsync":false}`,
	})
	six := replay("containerapi, six fields", plugin)
	rules := replay("containerapi, all rules", allRules)
	nothing := &contestant{
		name:       "a source that does nothing",
		load:       load{plugin: "nothing", source: "nothing", library: in("libnothing.so"), condition: nothingCondition},
		smallCount: nothingTimes * o.n / part,
		largeCount: nothingTimes * o.n,
	}
	nothing.small, nothing.large = strconv.Itoa(nothing.smallCount), strconv.Itoa(nothing.largeCount)

	contestants := []*contestant{k8saudit, six, rules, nothing}
	for round := range o.rounds {
		for _, c := range contestants {
			if err := c.measure(ctx, e, dir); err != nil {
				return err
			}
			say("round %d of %d: %-26s %9.0f events/s", round+1, o.rounds, c.name, c.rates[round])
		}
	}

	fmt.Fprintf(out, "\n%d recorded audit events of %d bytes on average, %d rounds, %s, %d cores\n\n", o.n, meanLength(events), o.rounds, e, runtime.NumCPU())
	table(out, contestants, k8saudit)

	var missed []error
	fmt.Fprintf(out, "\nalerts of the rule of six fields: k8saudit %d, containerapi %d\n", k8saudit.alerts, six.alerts)
	if six.alerts != k8saudit.alerts || six.alerts == 0 {
		missed = append(missed, fmt.Errorf("k8saudit raised %d alerts and containerapi %d from the same events; both must raise the same, and some", k8saudit.alerts, six.alerts))
	}
	missed = append(missed, goal(six, k8saudit, o.minSix), goal(rules, k8saudit, o.minRules))
	if o.long > 0 {
		missed = append(missed, flat(ctx, out, e, dir, plugin, events, o.long))
	}
	return errors.Join(missed...)
}

// goal returns an error if c was not at least as many times as fast as the
// other.
func goal(c, other *contestant, least float64) error {
	if ratio := c.ratio(other); ratio < least {
		return fmt.Errorf("%s: %.2f times the events/s of k8saudit, the goal is %g", c.name, ratio, least)
	}
	return nil
}

// flat measures whether ten times as many events need more memory.
func flat(ctx context.Context, out io.Writer, e runner, dir string, l load, events []recorded, n int) error {
	say("memory over %d events", n)
	var peaks [2]int64
	for i, count := range []int{n / part, n} {
		l.open = filepath.Join(dir, "long")
		if err := writeEvents(l.open, events, count); err != nil {
			return err
		}
		r, err := run(ctx, e, l, dir)
		if err != nil {
			return err
		}
		peaks[i] = r.peak
	}
	fmt.Fprintf(out, "peak memory of containerapi: %d MiB over %d events, %d MiB over %d\n", peaks[0]>>20, n/part, peaks[1]>>20, n)
	if peaks[1]-peaks[0] > growth {
		return fmt.Errorf("memory grew by %d MiB over %d events; %d MiB are allowed", (peaks[1]-peaks[0])>>20, n, growth>>20)
	}
	return nil
}

func table(out io.Writer, contestants []*contestant, base *contestant) {
	fmt.Fprintf(out, "%-28s %10s %22s %11s %10s %12s %8s\n", "", "events/s", "(lowest to highest)", "x k8saudit", "CPU/event", "peak memory", "alerts")
	for _, c := range contestants {
		lowest, highest := bounds(c.rates)
		fmt.Fprintf(out, "%-28s %10.0f %22s %11.2f %7.2f µs %8d MiB %8d\n", c.name, median(c.rates),
			fmt.Sprintf("(%.0f to %.0f)", lowest, highest), c.ratio(base), median(c.costs)/1000, c.peak>>20, c.alerts)
	}
}

// absolute returns the paths of the files that match a pattern. It is an error
// if there are none.
func absolute(pattern string) ([]string, error) {
	pattern, err := filepath.Abs(pattern)
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(pattern)
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("no rule files at %s", pattern)
	}
	return files, err
}

var began = time.Now()

// say prints a line about the progress.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%4.0f s  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
}
