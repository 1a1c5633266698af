// SPDX-License-Identifier: Apache-2.0

package dockerevents

import (
	"context"
	"strings"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/containerapi/containerapi/plugin/event"
)

// maxExecs is how many running health checks are remembered.
const maxExecs = 4096

// healthChecks tells the execs of health checks from others, which Docker's
// events do not.
type healthChecks struct {
	containers *Inspections
	// execs holds the ids of health checks that run.
	execs *simplelru.LRU[string, struct{}]
}

func newHealthChecks(containers *Inspections) *healthChecks {
	// The only error is a size below one.
	execs, _ := simplelru.NewLRU[string, struct{}](maxExecs, nil)
	return &healthChecks{containers: containers, execs: execs}
}

// waits reports whether mark asks the engine about this event.
func (h *healthChecks) waits(d *event.Docker) bool {
	return startsExec(d) && h.containers.waits(d.Container.ID)
}

// mark sets HealthCheck in the events of an exec that is a health check.
func (h *healthChecks) mark(ctx context.Context, d *event.Docker) {
	switch {
	case startsExec(d):
		if d.HealthCheck = h.containers.isHealthCheck(ctx, d.Container.ID, d.Command); d.HealthCheck {
			h.execs.Add(strings.Clone(d.ExecID), struct{}{})
		}
	case d.Type == "container" && d.Action == "exec_die":
		// This event does not say the command.
		d.HealthCheck = h.execs.Remove(d.ExecID)
	}
}

// startsExec reports whether an event is one of those at the start of an exec,
// which say its command.
func startsExec(d *event.Docker) bool {
	return d.Type == "container" && (d.Action == "exec_create" || d.Action == "exec_start") && d.Command != "" && d.Container.ID != ""
}

// healthCommand returns a health check's command in the form that an exec's
// event has, as in 'func (p *cmdProbe) run' of daemon/health.go in moby/moby.
func healthCommand(test, shell []string) string {
	if len(test) < 2 {
		return ""
	}
	words := test[1:]
	switch test[0] {
	case "CMD":
	case "CMD-SHELL":
		if len(shell) == 0 {
			shell = []string{"/bin/sh", "-c"}
		}
		words = append(shell[:len(shell):len(shell)], words...)
	default:
		return ""
	}
	return strings.TrimRight(strings.Join(words, " "), " ")
}
