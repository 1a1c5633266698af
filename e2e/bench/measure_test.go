// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{3}, 3},
		{[]float64{9, 1, 2}, 2},
		{[]float64{4, 1, 2, 100}, 3},
	} {
		if got := median(c.values); got != c.want {
			t.Errorf("median of %v is %v, not %v", c.values, got, c.want)
		}
	}
}

// The ratio is that of the rounds, not that of two medians: here one round was
// slow for both.
func TestRatio(t *testing.T) {
	fast := contestant{rates: []float64{600, 60, 700}}
	slow := contestant{rates: []float64{100, 10, 100}}
	if got := fast.ratio(&slow); got != 6 {
		t.Errorf("the ratio is %v, not 6", got)
	}
}

func TestGoal(t *testing.T) {
	fast := contestant{name: "fast", rates: []float64{600}}
	slow := contestant{rates: []float64{100}}
	if err := goal(&fast, &slow, 6); err != nil {
		t.Errorf("6 times is not 6 times: %v", err)
	}
	if err := goal(&fast, &slow, 6.1); err == nil || !strings.Contains(err.Error(), "fast") {
		t.Errorf("6 times passes for 6.1 times: %v", err)
	}
}

func TestRoundIsFreeOfTheStart(t *testing.T) {
	c := contestant{smallCount: 50, largeCount: 500}
	// A start of 3 s, then 1 ms an event, half of it in the processor.
	small := result{wall: 3050 * time.Millisecond, cpu: 2025 * time.Millisecond, peak: 10, alerts: 1}
	large := result{wall: 3500 * time.Millisecond, cpu: 2250 * time.Millisecond, peak: 20, alerts: 10}
	if err := c.add(small, large); err != nil {
		t.Fatal(err)
	}
	if c.rates[0] != 1000 || c.costs[0] != 500e3 {
		t.Errorf("%v events/s at %v ns, not 1000 at 500000", c.rates[0], c.costs[0])
	}
	if c.peak != 20 || c.alerts != 10 {
		t.Errorf("peak %d and %d alerts, not those of the large run", c.peak, c.alerts)
	}
	if err := c.add(large, small); err == nil {
		t.Error("more events in less time pass")
	}
	large.alerts++
	if err := c.add(small, large); err == nil {
		t.Error("another number of alerts from the same events passes")
	}
}

// shell is an engine that runs a script with the open_params and the file of
// alerts.
type shell struct{ script string }

func (s shell) String() string { return "sh" }

func (s shell) command(ctx context.Context, l load, dir string, alerts *os.File) (*exec.Cmd, error) {
	return exec.CommandContext(ctx, "sh", "-c", s.script, "sh", l.open, alerts.Name()), nil
}

func TestRunMeasures(t *testing.T) {
	e := shell{`sleep 0.2; echo alert >>"$2"; echo alert >>"$2"`}
	r, err := run(t.Context(), e, load{}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if r.wall < 200*time.Millisecond {
		t.Errorf("a run of 0.2 s took %v", r.wall)
	}
	if r.alerts != 2 {
		t.Errorf("2 alerts are counted as %d", r.alerts)
	}
	if r.peak < 100<<10 || r.peak > 1<<30 {
		t.Errorf("a shell has %d bytes of memory", r.peak)
	}
}

func TestRunTellsWhatWentWrong(t *testing.T) {
	dir := t.TempDir()
	_, err := run(t.Context(), shell{"echo the reason >&2; exit 3"}, load{plugin: "p"}, dir)
	if err == nil || !strings.Contains(err.Error(), "the reason") {
		t.Errorf("the error does not say the reason: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("the run left %v", left)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := run(ctx, shell{"exec sleep 60"}, load{}, t.TempDir()); err == nil {
		t.Error("a run that was ended has no error")
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("the run went on for %v", took)
	}
}
