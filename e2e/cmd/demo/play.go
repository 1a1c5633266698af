// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/containerapi/containerapi/e2e/engine"
	"github.com/containerapi/containerapi/e2e/scenario"
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

// play does an act and returns what became of it. The error tells of the
// machinery, not of the act.
func play(ctx context.Context, runner *scenario.Runner, a act) (outcome, error) {
	o := outcome{act: a}
	result, err := runner.Run(ctx, a.Scenario)
	var script *scenario.ScriptError
	if errors.As(err, &script) && ctx.Err() == nil {
		o.failed = err
		return o, nil
	}
	for _, raised := range result.Alerts {
		// What is replayed happened long ago: it counts from when it was sent.
		since := result.Began
		if raised.Time.After(since) {
			since = raised.Time
		}
		o.alerts = append(o.alerts, alert{Alert: raised, latency: raised.Printed.Sub(since)})
	}
	return o, err
}

// judge sorts the alerts: those that were expected, in the act's order, and all
// others. It says what should have been otherwise, with an empty text if all is
// well.
func (o outcome) judge() (expected, others []alert, wrong string) {
	missing := slices.Clone(o.Expect)
	var raised []engine.Alert
	for _, a := range o.alerts {
		raised = append(raised, a.Alert)
		if i := slices.Index(missing, a.Rule); i >= 0 {
			expected = append(expected, a)
			missing = slices.Delete(missing, i, i+1)
		} else {
			others = append(others, a)
		}
	}
	slices.SortStableFunc(expected, func(a, b alert) int {
		return slices.Index(o.Expect, a.Rule) - slices.Index(o.Expect, b.Rule)
	})
	if o.failed != nil {
		return expected, others, "could not be done: " + o.failed.Error()
	}
	if o.benign {
		o.Allow = nil
	}
	// The first says enough, and its alert is shown by itself. On a busy machine
	// the plugin does without what it would ask the Docker Engine for.
	if all := o.CheckRules(raised); len(all) > 0 {
		wrong, _, _ = strings.Cut(all[0], ": ")
	}
	return expected, others, wrong
}
