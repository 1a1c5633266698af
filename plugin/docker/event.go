// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"strings"

	"github.com/containerapi/containerapi/plugin/operation"
)

// eventKey is the type of a Docker event, and its action up to the colon.
type eventKey struct{ typ, action string }

// eventRow is all that is known of one kind of event.
type eventRow struct {
	operation  string
	credential operation.Credential
	cause      cause
}

// cause says what an event comes from.
type cause bool

const (
	// requested: a request of the same operation.
	requested cause = true
	// itself: the engine or the container by itself, or another operation.
	itself cause = false
)

// events are the events of GET /events, from daemon/events.go and
// api/types/events in github.com/moby/moby/v2 v2.0.0-beta.24. An event that a
// request causes has that request's operation. An exec is one act and several
// events, of which exec_start is the one that says that it is carried out.
var events = map[eventKey]eventRow{
	{"container", "archive-path"}:   {"container.archive_read", filesystem, requested},
	{"container", "attach"}:         {"container.attach", filesystem, requested},
	{"container", "checkpoint"}:     {"checkpoint.create", filesystem, requested},
	{"container", "commit"}:         {"container.commit", filesystem, requested},
	{"container", "copy"}:           {"container.archive_read", filesystem, requested},
	{"container", "create"}:         {"container.create", none, requested},
	{"container", "destroy"}:        {"container.remove", none, requested},
	{"container", "detach"}:         {"container.detach", none, itself},
	{"container", "die"}:            {"container.die", none, itself},
	{"container", "exec_create"}:    {"exec.create", none, requested},
	{"container", "exec_detach"}:    {"exec.detach", none, itself},
	{"container", "exec_die"}:       {"exec.die", none, requested},
	{"container", "exec_start"}:     {"container.exec", filesystem, requested},
	{"container", "export"}:         {"container.export", filesystem, requested},
	{"container", "extract-to-dir"}: {"container.archive_write", none, requested},
	{"container", "health_status"}:  {"container.health", none, itself},
	{"container", "kill"}:           {"container.kill", none, requested},
	{"container", "oom"}:            {"container.oom", none, itself},
	{"container", "pause"}:          {"container.pause", none, requested},
	{"container", "prune"}:          {"container.prune", none, requested},
	{"container", "rename"}:         {"container.rename", none, requested},
	{"container", "resize"}:         {"container.resize", none, requested},
	{"container", "restart"}:        {"container.restart", none, requested},
	{"container", "start"}:          {"container.start", none, requested},
	{"container", "stop"}:           {"container.stop", none, requested},
	{"container", "top"}:            {"container.top", environment, requested},
	{"container", "unpause"}:        {"container.unpause", none, requested},
	{"container", "update"}:         {"container.update", none, requested},

	{"image", "create"}: {"image.create", none, requested},
	{"image", "delete"}: {"image.remove", none, requested},
	{"image", "import"}: {"image.import", none, requested},
	{"image", "load"}:   {"image.load", none, requested},
	{"image", "prune"}:  {"image.prune", none, requested},
	{"image", "pull"}:   {"image.pull", none, requested},
	{"image", "push"}:   {"image.push", none, requested},
	{"image", "save"}:   {"image.save", filesystem, requested},
	{"image", "tag"}:    {"image.tag", none, requested},
	{"image", "untag"}:  {"image.untag", none, requested},

	{"builder", "prune"}: {"build.prune", none, requested},

	{"volume", "create"}:  {operation.VolumeCreate, none, requested},
	{"volume", "destroy"}: {"volume.remove", none, requested},
	{"volume", "mount"}:   {"volume.mount", none, itself},
	{"volume", "prune"}:   {"volume.prune", none, requested},
	{"volume", "unmount"}: {"volume.unmount", none, itself},
	{"volume", "update"}:  {"volume.update", none, requested},

	// A network of a swarm is removed, one of a single daemon destroyed.
	{"network", "connect"}:    {"network.connect", none, requested},
	{"network", "create"}:     {"network.create", none, requested},
	{"network", "destroy"}:    {"network.remove", none, requested},
	{"network", "disconnect"}: {"network.disconnect", none, requested},
	{"network", "prune"}:      {"network.prune", none, requested},
	{"network", "remove"}:     {"network.remove", none, requested},
	{"network", "update"}:     {"network.update", none, requested},

	{"plugin", "create"}:  {"plugin.create", none, requested},
	{"plugin", "disable"}: {"plugin.disable", none, requested},
	{"plugin", "enable"}:  {"plugin.enable", none, requested},
	{"plugin", "pull"}:    {"plugin.pull", none, requested},
	{"plugin", "push"}:    {"plugin.push", none, requested},
	{"plugin", "remove"}:  {"plugin.remove", none, requested},

	{"service", "create"}: {"service.create", none, requested},
	{"service", "remove"}: {"service.remove", none, requested},
	{"service", "update"}: {"service.update", none, requested},

	{"node", "create"}: {"node.create", none, requested},
	{"node", "remove"}: {"node.remove", none, requested},
	{"node", "update"}: {"node.update", none, requested},

	{"secret", "create"}: {"swarm.secret", secret, requested},
	{"secret", "remove"}: {"swarm.secret", secret, requested},
	{"secret", "update"}: {"swarm.secret", secret, requested},

	{"config", "create"}: {"swarm.config", configMap, requested},
	{"config", "remove"}: {"swarm.config", configMap, requested},
	{"config", "update"}: {"swarm.config", configMap, requested},

	{"daemon", "reload"}: {"system.reload", none, itself},
	// No event of dockerd: the plugin's own, of a daemon that listens on TCP
	// without TLS.
	{"daemon", "insecure"}: {operation.DaemonInsecure, none, itself},
}

// EventOperation returns the meaning of an event by its Type and Action, for
// example "container" and "exec_create: sh -c env". A health check raises the
// same exec_create and exec_start as a user.
func EventOperation(typ, action string) operation.Operation {
	r, ok := eventOf(typ, action)
	if !ok {
		return operation.Other
	}
	return operation.Operation{Name: r.operation, Credential: r.credential}
}

// EventRequested reports whether an event comes from a request of the same
// operation, so that it is worth looking for that.
func EventRequested(typ, action string) bool {
	r, ok := eventOf(typ, action)
	return ok && r.cause == requested
}

func eventOf(typ, action string) (eventRow, bool) {
	action, _, _ = strings.Cut(action, ":")
	r, ok := events[eventKey{typ, action}]
	return r, ok
}
