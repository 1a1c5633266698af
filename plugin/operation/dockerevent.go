// SPDX-License-Identifier: Apache-2.0

package operation

import "strings"

// eventKey is the type of a Docker event, and its action up to the colon.
type eventKey struct{ typ, action string }

// dockerEvents are the events of GET /events, from daemon/events.go and
// api/types/events in github.com/moby/moby/v2 v2.0.0-beta.24. An event that a
// request causes has that request's operation. An exec is one act and several
// events, of which exec_start is the one that says that it is carried out.
var dockerEvents = map[eventKey]Operation{
	{"container", "archive-path"}:   {"container.archive_read", Filesystem},
	{"container", "attach"}:         {"container.attach", Filesystem},
	{"container", "checkpoint"}:     {"checkpoint.create", Filesystem},
	{"container", "commit"}:         {"container.commit", Filesystem},
	{"container", "copy"}:           {"container.archive_read", Filesystem},
	{"container", "create"}:         {"container.create", None},
	{"container", "destroy"}:        {"container.remove", None},
	{"container", "detach"}:         {"container.detach", None},
	{"container", "die"}:            {"container.die", None},
	{"container", "exec_create"}:    {"exec.create", None},
	{"container", "exec_detach"}:    {"exec.detach", None},
	{"container", "exec_die"}:       {"exec.die", None},
	{"container", "exec_start"}:     {"container.exec", Filesystem},
	{"container", "export"}:         {"container.export", Filesystem},
	{"container", "extract-to-dir"}: {"container.archive_write", None},
	{"container", "health_status"}:  {"container.health", None},
	{"container", "kill"}:           {"container.kill", None},
	{"container", "oom"}:            {"container.oom", None},
	{"container", "pause"}:          {"container.pause", None},
	{"container", "prune"}:          {"container.prune", None},
	{"container", "rename"}:         {"container.rename", None},
	{"container", "resize"}:         {"container.resize", None},
	{"container", "restart"}:        {"container.restart", None},
	{"container", "start"}:          {"container.start", None},
	{"container", "stop"}:           {"container.stop", None},
	{"container", "top"}:            {"container.top", Environment},
	{"container", "unpause"}:        {"container.unpause", None},
	{"container", "update"}:         {"container.update", None},

	{"image", "create"}: {"image.create", None},
	{"image", "delete"}: {"image.remove", None},
	{"image", "import"}: {"image.import", None},
	{"image", "load"}:   {"image.load", None},
	{"image", "prune"}:  {"image.prune", None},
	{"image", "pull"}:   {"image.pull", None},
	{"image", "push"}:   {"image.push", None},
	{"image", "save"}:   {"image.save", Filesystem},
	{"image", "tag"}:    {"image.tag", None},
	{"image", "untag"}:  {"image.untag", None},

	{"builder", "prune"}: {"build.prune", None},

	{"volume", "create"}:  {"volume.create", None},
	{"volume", "destroy"}: {"volume.remove", None},
	{"volume", "mount"}:   {"volume.mount", None},
	{"volume", "prune"}:   {"volume.prune", None},
	{"volume", "unmount"}: {"volume.unmount", None},
	{"volume", "update"}:  {"volume.update", None},

	// A network of a swarm is removed, one of a single daemon destroyed.
	{"network", "connect"}:    {"network.connect", None},
	{"network", "create"}:     {"network.create", None},
	{"network", "destroy"}:    {"network.remove", None},
	{"network", "disconnect"}: {"network.disconnect", None},
	{"network", "prune"}:      {"network.prune", None},
	{"network", "remove"}:     {"network.remove", None},
	{"network", "update"}:     {"network.update", None},

	{"plugin", "create"}:  {"plugin.create", None},
	{"plugin", "disable"}: {"plugin.disable", None},
	{"plugin", "enable"}:  {"plugin.enable", None},
	{"plugin", "pull"}:    {"plugin.pull", None},
	{"plugin", "push"}:    {"plugin.push", None},
	{"plugin", "remove"}:  {"plugin.remove", None},

	{"service", "create"}: {"service.create", None},
	{"service", "remove"}: {"service.remove", None},
	{"service", "update"}: {"service.update", None},

	{"node", "create"}: {"node.create", None},
	{"node", "remove"}: {"node.remove", None},
	{"node", "update"}: {"node.update", None},

	{"secret", "create"}: {"swarm.secret", Secret},
	{"secret", "remove"}: {"swarm.secret", Secret},
	{"secret", "update"}: {"swarm.secret", Secret},

	{"config", "create"}: {"swarm.config", ConfigMap},
	{"config", "remove"}: {"swarm.config", ConfigMap},
	{"config", "update"}: {"swarm.config", ConfigMap},

	{"daemon", "reload"}: {"system.reload", None},
	// No event of dockerd: the plugin's own, of a daemon that listens on TCP
	// without TLS.
	{"daemon", "insecure"}: {"daemon.insecure", None},
}

// DockerEvent returns the meaning of an event by its Type and Action, for
// example "container" and "exec_create: sh -c env". A health check raises the
// same exec_create and exec_start as a user.
func DockerEvent(typ, action string) Operation {
	action, _, _ = strings.Cut(action, ":")
	if op, ok := dockerEvents[eventKey{typ, action}]; ok {
		return op
	}
	return Other
}
