// SPDX-License-Identifier: Apache-2.0

package docker

import "github.com/containerapi/containerapi/plugin/operation"

// row is all that is known of one route of the Docker Engine API.
type row struct {
	method string

	// pattern is written as dockerd writes it. {name} is one segment of the
	// path, {name:.*} any number of them, since names of images, plugins and
	// linked containers can contain slashes.
	pattern string

	operation  string
	credential operation.Credential
	more
}

// more is what only some routes have.
type more struct {
	// shown are the parameters of the query that may be shown, separated by
	// spaces: those that name things or choose among them. All others can
	// hold secrets: build arguments, filters by label.
	shown string
	// archive reports that the parameter "path" is one inside a container.
	archive bool
	// body returns an empty body, whose fields are those that are read of it.
	body func() body
	// object finds what names the object, where that is not the first variable
	// of the pattern.
	object func(c *Call) string
	// gives is the parameter with the name that the object has afterwards, by
	// which the engine's event calls it.
	gives string
	// hijacks reports that the answer can be 200 and then a raw stream.
	hijacks bool
}

// Short names, so that a row fits on a line.
const (
	none        = operation.None
	configMap   = operation.ConfigMap
	environment = operation.Environment
	filesystem  = operation.Filesystem
	logs        = operation.Logs
	secret      = operation.Secret
	token       = operation.Token

	logParameters = "follow since stderr stdout tail timestamps until"
)

// routes are the routes of dockerd, from daemon/server/router in
// github.com/moby/moby/v2 v2.0.0-beta.24 (API 1.55), and those that only
// older daemons have. As in dockerd, the first route that matches counts.
var routes = []row{
	// A checkpoint writes the memory of a container to a directory.
	{"GET", "/containers/{name:.*}/checkpoints", "checkpoint.list", none, more{}},
	{"POST", "/containers/{name:.*}/checkpoints", "checkpoint.create", filesystem, more{}},
	{"DELETE", "/containers/{name}/checkpoints/{checkpoint}", "checkpoint.remove", none, more{}},

	{"HEAD", "/containers/{name:.*}/archive", "container.archive_stat", none, more{shown: "path", archive: true}},
	{"GET", "/containers/json", "container.list", none, more{shown: "all size"}},
	{"GET", "/containers/{name:.*}/export", "container.export", filesystem, more{}},
	{"GET", "/containers/{name:.*}/changes", "container.changes", none, more{}},
	{"GET", "/containers/{name:.*}/json", operation.ContainerInspect, environment, more{shown: "size"}},
	// The client chooses ps's arguments: command lines are what it asks for
	// by default, and "e" adds the environment.
	{"GET", "/containers/{name:.*}/top", "container.top", environment, more{shown: "ps_args"}},
	{"GET", "/containers/{name:.*}/logs", "container.logs", logs, more{shown: logParameters}},
	{"GET", "/containers/{name:.*}/stats", "container.stats", none, more{shown: "stream"}},
	{"GET", "/containers/{name:.*}/attach/ws", operation.ContainerAttach, filesystem, more{shown: "stderr stdout stream"}},
	{"GET", "/exec/{id:.*}/json", "exec.inspect", none, more{}},
	{"GET", "/containers/{name:.*}/archive", "container.archive_read", filesystem, more{shown: "path", archive: true}},
	{"POST", "/containers/create", operation.ContainerCreate, none, more{shown: "name", body: newCreate, gives: "name"}},
	{"POST", "/containers/{name:.*}/kill", "container.kill", none, more{shown: "signal"}},
	{"POST", "/containers/{name:.*}/pause", "container.pause", none, more{}},
	{"POST", "/containers/{name:.*}/unpause", "container.unpause", none, more{}},
	{"POST", "/containers/{name:.*}/restart", "container.restart", none, more{}},
	{"POST", "/containers/{name:.*}/start", operation.ContainerStart, none, more{body: newStart}},
	{"POST", "/containers/{name:.*}/stop", "container.stop", none, more{}},
	{"POST", "/containers/{name:.*}/wait", "container.wait", none, more{shown: "condition"}},
	{"POST", "/containers/{name:.*}/resize", "container.resize", none, more{}},
	{"POST", "/containers/{name:.*}/attach", operation.ContainerAttach, filesystem, more{shown: "stderr stdout stream", hijacks: true}},
	{"POST", "/containers/{name:.*}/exec", operation.ContainerExec, filesystem, more{body: newExec}},
	// The act is the request before, which says the command.
	{"POST", "/exec/{name:.*}/start", operation.ExecStart, none, more{hijacks: true}},
	{"POST", "/exec/{name:.*}/resize", "exec.resize", none, more{}},
	{"POST", "/containers/{name:.*}/rename", "container.rename", none, more{shown: "name", gives: "name"}},
	{"POST", "/containers/{name:.*}/update", "container.update", none, more{}},
	{"POST", "/containers/prune", "container.prune", none, more{}},
	{"POST", "/commit", "container.commit", filesystem, more{shown: "container repo tag", object: parameter("container")}},
	{"PUT", "/containers/{name:.*}/archive", "container.archive_write", none, more{shown: "path", archive: true}},
	{"DELETE", "/containers/{name:.*}", "container.remove", none, more{shown: "force link v"}},
	// Before API 1.24; still answered by Docker 20.10.
	{"POST", "/containers/{name:.*}/copy", "container.archive_read", filesystem, more{}},

	{"GET", "/images/json", "image.list", none, more{shown: "all"}},
	{"GET", "/images/search", "image.search", none, more{}},
	{"GET", "/images/get", "image.save", filesystem, more{shown: "names", object: parameterList("names")}},
	{"GET", "/images/{name:.*}/get", "image.save", filesystem, more{}},
	// The history, the configuration and the provenance of an image hold
	// the build arguments and the environment set in its Dockerfile.
	{"GET", "/images/{name:.*}/history", "image.history", environment, more{}},
	{"GET", "/images/{name:.*}/json", "image.inspect", environment, more{}},
	{"GET", "/images/{name:.*}/attestations", "image.attestations", environment, more{}},
	{"POST", "/images/load", "image.load", none, more{}},
	{"POST", "/images/create", "image.pull", none, more{shown: "fromImage repo tag"}},
	{"POST", "/images/{name:.*}/push", "image.push", none, more{shown: "tag"}},
	{"POST", "/images/{name:.*}/tag", "image.tag", none, more{shown: "force repo tag"}},
	{"POST", "/images/prune", "image.prune", none, more{}},
	{"DELETE", "/images/{name:.*}", "image.remove", none, more{shown: "force"}},
	{"GET", "/distribution/{name:.*}/json", "distribution.inspect", none, more{}},

	{"POST", "/build", "image.build", none, more{}},
	{"POST", "/build/prune", "build.prune", none, more{shown: "all"}},
	{"POST", "/build/cancel", "build.cancel", none, more{}},
	{"POST", "/session", "session", none, more{}},
	{"POST", "/grpc", "grpc", none, more{}},

	{"GET", "/volumes", "volume.list", environment, more{}},
	{"GET", "/volumes/{name:.*}", "volume.inspect", environment, more{}},
	{"POST", "/volumes/create", operation.VolumeCreate, none, more{body: newVolume}},
	{"POST", "/volumes/prune", "volume.prune", none, more{}},
	{"PUT", "/volumes/{name:.*}", "volume.update", none, more{}},
	{"DELETE", "/volumes/{name:.*}", "volume.remove", none, more{shown: "force"}},

	{"GET", "/networks", "network.list", none, more{}},
	{"GET", "/networks/", "network.list", none, more{}},
	{"GET", "/networks/{id:.+}", "network.inspect", none, more{}},
	{"POST", "/networks/create", "network.create", none, more{}},
	{"POST", "/networks/{id:.*}/connect", "network.connect", none, more{}},
	{"POST", "/networks/{id:.*}/disconnect", "network.disconnect", none, more{}},
	{"POST", "/networks/prune", "network.prune", none, more{}},
	{"DELETE", "/networks/{id:.*}", "network.remove", none, more{}},

	// A plugin is a container with an environment of its own, in both answers.
	{"GET", "/plugins", "plugin.list", environment, more{}},
	{"GET", "/plugins/{name:.*}/json", "plugin.inspect", environment, more{}},
	{"GET", "/plugins/privileges", "plugin.privileges", none, more{}},
	{"DELETE", "/plugins/{name:.*}", "plugin.remove", none, more{shown: "force"}},
	{"POST", "/plugins/{name:.*}/enable", "plugin.enable", none, more{}},
	{"POST", "/plugins/{name:.*}/disable", "plugin.disable", none, more{shown: "force"}},
	{"POST", "/plugins/pull", "plugin.pull", none, more{shown: "name remote", body: newPrivileges, object: parameter("name")}},
	{"POST", "/plugins/{name:.*}/push", "plugin.push", none, more{}},
	{"POST", "/plugins/{name:.*}/upgrade", "plugin.upgrade", none, more{shown: "remote", body: newPrivileges}},
	{"POST", "/plugins/{name:.*}/set", "plugin.set", none, more{body: newSettings}},
	{"POST", "/plugins/create", "plugin.create", none, more{shown: "name", object: parameter("name")}},

	{"POST", "/swarm/init", "swarm.init", none, more{}},
	{"POST", "/swarm/join", "swarm.join", none, more{}},
	{"POST", "/swarm/leave", "swarm.leave", none, more{shown: "force"}},
	// With the tokens that let a node join.
	{"GET", "/swarm", "swarm.inspect", token, more{}},
	{"GET", "/swarm/unlockkey", "swarm.unlockkey", token, more{}},
	{"POST", "/swarm/update", "swarm.update", none, more{}},
	{"POST", "/swarm/unlock", "swarm.unlock", none, more{}},

	{"GET", "/services", "service.list", environment, more{}},
	{"GET", "/services/{id}", "service.inspect", environment, more{}},
	{"POST", "/services/create", "service.create", none, more{body: newService}},
	{"POST", "/services/{id}/update", "service.update", none, more{}},
	{"DELETE", "/services/{id}", "service.remove", none, more{}},
	{"GET", "/services/{id}/logs", "service.logs", logs, more{shown: logParameters}},

	{"GET", "/nodes", "node.list", none, more{}},
	{"GET", "/nodes/{id}", "node.inspect", none, more{}},
	{"DELETE", "/nodes/{id}", "node.remove", none, more{shown: "force"}},
	{"POST", "/nodes/{id}/update", "node.update", none, more{}},

	{"GET", "/tasks", "task.list", environment, more{}},
	{"GET", "/tasks/{id}", "task.inspect", environment, more{}},
	{"GET", "/tasks/{id}/logs", "task.logs", logs, more{shown: logParameters}},

	{"GET", "/secrets", "swarm.secret", secret, more{}},
	{"POST", "/secrets/create", "swarm.secret", secret, more{}},
	{"DELETE", "/secrets/{id}", "swarm.secret", secret, more{}},
	{"GET", "/secrets/{id}", "swarm.secret", secret, more{}},
	{"POST", "/secrets/{id}/update", "swarm.secret", secret, more{}},

	{"GET", "/configs", "swarm.config", configMap, more{}},
	{"POST", "/configs/create", "swarm.config", configMap, more{}},
	{"DELETE", "/configs/{id}", "swarm.config", configMap, more{}},
	{"GET", "/configs/{id}", "swarm.config", configMap, more{}},
	{"POST", "/configs/{id}/update", "swarm.config", configMap, more{}},

	{"GET", "/_ping", "system.ping", none, more{}},
	{"HEAD", "/_ping", "system.ping", none, more{}},
	{"GET", "/events", "system.events", none, more{shown: "since until"}},
	{"GET", "/info", "system.info", none, more{}},
	{"GET", "/version", "system.version", none, more{}},
	// With the volumes and their options.
	{"GET", "/system/df", "system.df", environment, more{}},
	{"POST", "/auth", "auth", none, more{}},

	{"GET", "/debug/vars", "system.debug", none, more{}},
	{"GET", "/debug/pprof/", "system.debug", none, more{}},
	{"GET", "/debug/pprof/{name}", "system.debug", none, more{}},
}
