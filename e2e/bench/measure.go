// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
)

// contestant is one line of the result.
type contestant struct {
	name string
	load load
	// small and large are the open_params of a source with few and with n
	// times as many events. The difference of the two runs is free of the
	// engine's start and end.
	small, large           string
	smallCount, largeCount int

	// Of each round: events per second, and the processor time of an event in
	// nanoseconds.
	rates, costs []float64
	peak         int64 // the highest of all rounds, in bytes
	alerts       int   // of the large source
}

// measure runs one round of a contestant.
func (c *contestant) measure(ctx context.Context, e runner, dir string) error {
	small, err := c.run(ctx, e, dir, c.small)
	if err != nil {
		return err
	}
	large, err := c.run(ctx, e, dir, c.large)
	if err != nil {
		return err
	}
	return c.add(small, large)
}

// add takes in the results of a round.
func (c *contestant) add(small, large result) error {
	took := large.wall - small.wall
	if took <= 0 {
		return fmt.Errorf("%s took %v for %d events and %v for %d: this machine is too busy, or -n too small",
			c.name, small.wall, c.smallCount, large.wall, c.largeCount)
	}
	if len(c.rates) > 0 && large.alerts != c.alerts {
		return fmt.Errorf("%s raised %d alerts, and %d from the same events in the round before", c.name, large.alerts, c.alerts)
	}
	n := float64(c.largeCount - c.smallCount)
	c.rates = append(c.rates, n/took.Seconds())
	c.costs = append(c.costs, float64(large.cpu-small.cpu)/n)
	c.peak = max(c.peak, large.peak)
	c.alerts = large.alerts
	return nil
}

func (c *contestant) run(ctx context.Context, e runner, dir, open string) (result, error) {
	l := c.load
	l.open = open
	return run(ctx, e, l, dir)
}

// ratio returns the median of how many times as fast as the other a contestant
// was in each round. What slows a machine down for a while slows both.
func (c *contestant) ratio(other *contestant) float64 {
	ratios := make([]float64, len(c.rates))
	for i := range ratios {
		ratios[i] = c.rates[i] / other.rates[i]
	}
	return median(ratios)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[half-1] + sorted[half]) / 2
	}
	return sorted[half]
}

// bounds returns the smallest and the largest value.
func bounds(values []float64) (lowest, highest float64) {
	return slices.Min(values), slices.Max(values)
}
