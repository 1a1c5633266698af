// SPDX-License-Identifier: Apache-2.0

package dockerevents

import (
	"context"
	"errors"
	"hash/maphash"
	"net/http"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/containerapi/containerapi/plugin/command"
	"github.com/containerapi/containerapi/plugin/event"
)

const (
	// maxInspect is how many bytes of an inspect response are read.
	maxInspect = 8 << 20
	// inspectLimit is how long an inspect may take; events wait for it.
	inspectLimit = 2 * time.Second
	// inspectPause is how long no inspect is tried after one that failed.
	inspectPause = 10 * time.Second
	// maxContainers and maxExecs are how many containers with execs and how
	// many running health checks are remembered.
	maxContainers, maxExecs = 4096, 4096
)

// healthChecks tells the execs of health checks from others, which Docker's
// events do not.
type healthChecks struct {
	engine *engine
	seed   maphash.Seed
	// commands holds a hash of each container's health check, 0 if it has
	// none: a hash is small, and keeps no secret that the command may hold.
	commands *lru.Cache[string, uint64]
	// execs holds the ids of health checks that run.
	execs *lru.Cache[string, struct{}]
	// resume is when the next inspect may be tried.
	resume time.Time
}

func newHealthChecks(g *engine) *healthChecks {
	// The only error is a size below one.
	commands, _ := lru.New[string, uint64](maxContainers)
	execs, _ := lru.New[string, struct{}](maxExecs)
	return &healthChecks{engine: g, seed: maphash.MakeSeed(), commands: commands, execs: execs}
}

// waits reports whether mark asks the engine about this event.
func (h *healthChecks) waits(d *event.Docker) bool {
	return d.Command != "" && d.Container.ID != "" && !h.commands.Contains(d.Container.ID) && !time.Now().Before(h.resume)
}

// mark sets HealthCheck in the events of an exec that is a health check.
func (h *healthChecks) mark(ctx context.Context, d *event.Docker) {
	if d.Type != "container" {
		return
	}
	switch d.Action {
	case "exec_create", "exec_start":
		if d.HealthCheck = h.is(ctx, d); d.HealthCheck {
			h.execs.Add(strings.Clone(d.ExecID), struct{}{})
		}
	case "exec_die":
		// This event does not say the command.
		d.HealthCheck = h.execs.Remove(d.ExecID)
	case "destroy":
		h.commands.Remove(d.Container.ID)
	}
}

// is reports whether an exec's command is the container's health check.
func (h *healthChecks) is(ctx context.Context, d *event.Docker) bool {
	if h.waits(d) {
		h.inspect(ctx, strings.Clone(d.Container.ID))
	}
	want, _ := h.commands.Get(d.Container.ID)
	return want != 0 && want == h.hash(d.Command)
}

// inspect learns a container's health check from the engine. A container that
// is gone has none; any other failure is tried again later.
func (h *healthChecks) inspect(ctx context.Context, container string) {
	ctx, cancel := context.WithTimeout(ctx, inspectLimit)
	defer cancel()
	check, err := h.engine.healthCheck(ctx, container)
	var status *statusError
	if errors.As(err, &status) && status.status == http.StatusNotFound {
		err = nil
	}
	switch {
	case err != nil:
		h.resume = time.Now().Add(inspectPause)
	case check == "":
		h.commands.Add(container, 0)
	default:
		h.commands.Add(container, h.hash(command.Mask(check)))
	}
}

// hash returns a hash of a masked command that is never 0.
func (h *healthChecks) hash(command string) uint64 {
	return max(1, maphash.String(h.seed, command))
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
