// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/containerapi/containerapi/e2e/engine"
)

// How long a mark may take through an API, the plugin and the engine, and an
// API until its first event reaches the engine.
const (
	markLimit  = 30 * time.Second
	readyLimit = time.Minute
)

// alert is an alert that an act raised.
type alert struct {
	engine.Alert
	// latency is the time from the act to the alert.
	latency time.Duration
}

// outcome is what became of an act.
type outcome struct {
	act
	alerts []alert
	// failed says why the act could not be done, nil if it was.
	failed error
}

// judge sorts the alerts: those that were expected, in the act's order, and all
// others. It says what should have been otherwise, with an empty
// text if all is well.
func (o outcome) judge() (expected, others []alert, wrong string) {
	missing := slices.Clone(o.expect)
	for _, a := range o.alerts {
		i := slices.Index(missing, a.Rule)
		if i >= 0 {
			expected = append(expected, a)
			missing = slices.Delete(missing, i, i+1)
			continue
		}
		others = append(others, a)
		// An attack with Docker's own programs may begin with an inspection.
		if wrong == "" && (len(o.expect) == 0 || a.Rule != inspected) {
			wrong = fmt.Sprintf("raised %q, which it must not", a.Rule)
		}
	}
	slices.SortStableFunc(expected, func(a, b alert) int {
		return slices.Index(o.expect, a.Rule) - slices.Index(o.expect, b.Rule)
	})
	switch {
	case o.failed != nil:
		wrong = fmt.Sprintf("could not be done: %v", o.failed)
	case wrong == "" && len(missing) > 0:
		wrong = fmt.Sprintf("did not raise %q", missing[0])
	}
	return expected, others, wrong
}

// arrival is an alert at the time when the engine printed it, or why there will
// be no more.
type arrival struct {
	engine.Alert
	at  time.Time
	err error
}

// player does acts and collects the alerts that each raises.
type player struct {
	stages   map[string]stage
	arrivals <-chan arrival
	marks    int
}

// newPlayer returns a player for a running engine, until ctx ends.
func newPlayer(ctx context.Context, run *engine.Process, stages map[string]stage) *player {
	arrivals := make(chan arrival, 1024)
	go func() {
		for {
			alerts, err := run.Until(ctx, func(engine.Alert) bool { return true })
			now := time.Now()
			for _, a := range alerts {
				arrivals <- arrival{Alert: a, at: now}
			}
			if err != nil {
				arrivals <- arrival{err: err}
				return
			}
		}
	}()
	return &player{stages: stages, arrivals: arrivals}
}

// ready waits until events of an API reach the engine, and leaves behind what
// was raised before.
func (p *player) ready(ctx context.Context, api string) error {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	for {
		err := p.untilMark(ctx, api, time.Second, func(arrival) {})
		if err == nil || ctx.Err() != nil || !errors.Is(err, errNoMark) {
			return err
		}
	}
}

// play does an act and returns what became of it. It calls heard with each
// alert as it arrives. The error tells of the machinery, not of the act.
func (p *player) play(ctx context.Context, a act, heard func(alert)) (outcome, error) {
	o := outcome{act: a}
	began := time.Now()
	if o.failed = p.stages[a.api].perform(ctx, a); ctx.Err() != nil {
		return o, ctx.Err()
	}
	err := p.untilMark(ctx, a.api, markLimit, func(next arrival) {
		// What is replayed happened long ago: it counts from when it
		// was sent.
		since := began
		if next.Time.After(began) {
			since = next.Time
		}
		raised := alert{Alert: next.Alert, latency: next.at.Sub(since)}
		o.alerts = append(o.alerts, raised)
		heard(raised)
	})
	return o, err
}

var errNoMark = errors.New("no event of it reached the engine")

// untilMark sends a mark through an API and passes on what arrives before it.
func (p *player) untilMark(ctx context.Context, api string, limit time.Duration, each func(arrival)) error {
	p.marks++
	mark := fmt.Sprintf("containerapi-mark-%d", p.marks)
	if err := p.stages[api].mark(ctx, mark); err != nil {
		return fmt.Errorf("mark through %s: %w", api, err)
	}
	timeout := time.After(limit)
	for {
		select {
		case next := <-p.arrivals:
			switch {
			case next.err != nil:
				return next.err
			case next.Rule != "Marker":
				each(next)
			case next.Fields["kube.uri"] == "/healthz?mark="+mark || next.Fields["docker.object.id"] == mark:
				return nil
			}
		case <-timeout:
			return fmt.Errorf("%s: %w within %s", api, errNoMark, limit)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
