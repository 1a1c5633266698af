// SPDX-License-Identifier: Apache-2.0

package operation

import (
	"net/url"
	"path"
	"strings"
)

// dockerRoute is a route of the Docker Engine API.
type dockerRoute struct {
	method string

	// pattern is written as dockerd writes it. {name} is one segment of the
	// path, {name:.*} any number of them, since names of images, plugins and
	// linked containers can contain slashes.
	pattern string

	op Operation
}

// dockerRoutes are the routes of dockerd, from daemon/server/router in
// github.com/moby/moby/v2 v2.0.0-beta.24 (API 1.55), and those that only
// older daemons have. As in dockerd, the first route that matches counts.
var dockerRoutes = []dockerRoute{
	// A checkpoint writes the memory of a container to a directory.
	{"GET", "/containers/{name:.*}/checkpoints", Operation{"checkpoint.list", None}},
	{"POST", "/containers/{name:.*}/checkpoints", Operation{"checkpoint.create", Filesystem}},
	{"DELETE", "/containers/{name}/checkpoints/{checkpoint}", Operation{"checkpoint.remove", None}},

	{"HEAD", "/containers/{name:.*}/archive", Operation{"container.archive_stat", None}},
	{"GET", "/containers/json", Operation{"container.list", None}},
	{"GET", "/containers/{name:.*}/export", Operation{"container.export", Filesystem}},
	{"GET", "/containers/{name:.*}/changes", Operation{"container.changes", None}},
	{"GET", "/containers/{name:.*}/json", Operation{"container.inspect", Environment}},
	// The client chooses ps's arguments: command lines are what it asks for
	// by default, and "e" adds the environment.
	{"GET", "/containers/{name:.*}/top", Operation{"container.top", Environment}},
	{"GET", "/containers/{name:.*}/logs", Operation{"container.logs", Logs}},
	{"GET", "/containers/{name:.*}/stats", Operation{"container.stats", None}},
	{"GET", "/containers/{name:.*}/attach/ws", Operation{"container.attach", Filesystem}},
	{"GET", "/exec/{id:.*}/json", Operation{"exec.inspect", None}},
	{"GET", "/containers/{name:.*}/archive", Operation{"container.archive_read", Filesystem}},
	{"POST", "/containers/create", Operation{"container.create", None}},
	{"POST", "/containers/{name:.*}/kill", Operation{"container.kill", None}},
	{"POST", "/containers/{name:.*}/pause", Operation{"container.pause", None}},
	{"POST", "/containers/{name:.*}/unpause", Operation{"container.unpause", None}},
	{"POST", "/containers/{name:.*}/restart", Operation{"container.restart", None}},
	{"POST", "/containers/{name:.*}/start", Operation{"container.start", None}},
	{"POST", "/containers/{name:.*}/stop", Operation{"container.stop", None}},
	{"POST", "/containers/{name:.*}/wait", Operation{"container.wait", None}},
	{"POST", "/containers/{name:.*}/resize", Operation{"container.resize", None}},
	{"POST", "/containers/{name:.*}/attach", Operation{"container.attach", Filesystem}},
	{"POST", "/containers/{name:.*}/exec", Operation{"container.exec", Filesystem}},
	// The act is the request before, which says the command.
	{"POST", "/exec/{name:.*}/start", Operation{"exec.start", None}},
	{"POST", "/exec/{name:.*}/resize", Operation{"exec.resize", None}},
	{"POST", "/containers/{name:.*}/rename", Operation{"container.rename", None}},
	{"POST", "/containers/{name:.*}/update", Operation{"container.update", None}},
	{"POST", "/containers/prune", Operation{"container.prune", None}},
	{"POST", "/commit", Operation{"container.commit", Filesystem}},
	{"PUT", "/containers/{name:.*}/archive", Operation{"container.archive_write", None}},
	{"DELETE", "/containers/{name:.*}", Operation{"container.remove", None}},
	// Before API 1.24; still answered by Docker 20.10.
	{"POST", "/containers/{name:.*}/copy", Operation{"container.archive_read", Filesystem}},

	{"GET", "/images/json", Operation{"image.list", None}},
	{"GET", "/images/search", Operation{"image.search", None}},
	{"GET", "/images/get", Operation{"image.save", Filesystem}},
	{"GET", "/images/{name:.*}/get", Operation{"image.save", Filesystem}},
	// The history, the configuration and the provenance of an image hold
	// the build arguments and the environment set in its Dockerfile.
	{"GET", "/images/{name:.*}/history", Operation{"image.history", Environment}},
	{"GET", "/images/{name:.*}/json", Operation{"image.inspect", Environment}},
	{"GET", "/images/{name:.*}/attestations", Operation{"image.attestations", Environment}},
	{"POST", "/images/load", Operation{"image.load", None}},
	{"POST", "/images/create", Operation{"image.pull", None}},
	{"POST", "/images/{name:.*}/push", Operation{"image.push", None}},
	{"POST", "/images/{name:.*}/tag", Operation{"image.tag", None}},
	{"POST", "/images/prune", Operation{"image.prune", None}},
	{"DELETE", "/images/{name:.*}", Operation{"image.remove", None}},
	{"GET", "/distribution/{name:.*}/json", Operation{"distribution.inspect", None}},

	{"POST", "/build", Operation{"image.build", None}},
	{"POST", "/build/prune", Operation{"build.prune", None}},
	{"POST", "/build/cancel", Operation{"build.cancel", None}},
	{"POST", "/session", Operation{"session", None}},
	{"POST", "/grpc", Operation{"grpc", None}},

	{"GET", "/volumes", Operation{"volume.list", Environment}},
	{"GET", "/volumes/{name:.*}", Operation{"volume.inspect", Environment}},
	{"POST", "/volumes/create", Operation{"volume.create", None}},
	{"POST", "/volumes/prune", Operation{"volume.prune", None}},
	{"PUT", "/volumes/{name:.*}", Operation{"volume.update", None}},
	{"DELETE", "/volumes/{name:.*}", Operation{"volume.remove", None}},

	{"GET", "/networks", Operation{"network.list", None}},
	{"GET", "/networks/", Operation{"network.list", None}},
	{"GET", "/networks/{id:.+}", Operation{"network.inspect", None}},
	{"POST", "/networks/create", Operation{"network.create", None}},
	{"POST", "/networks/{id:.*}/connect", Operation{"network.connect", None}},
	{"POST", "/networks/{id:.*}/disconnect", Operation{"network.disconnect", None}},
	{"POST", "/networks/prune", Operation{"network.prune", None}},
	{"DELETE", "/networks/{id:.*}", Operation{"network.remove", None}},

	// A plugin is a container with an environment of its own, in both answers.
	{"GET", "/plugins", Operation{"plugin.list", Environment}},
	{"GET", "/plugins/{name:.*}/json", Operation{"plugin.inspect", Environment}},
	{"GET", "/plugins/privileges", Operation{"plugin.privileges", None}},
	{"DELETE", "/plugins/{name:.*}", Operation{"plugin.remove", None}},
	{"POST", "/plugins/{name:.*}/enable", Operation{"plugin.enable", None}},
	{"POST", "/plugins/{name:.*}/disable", Operation{"plugin.disable", None}},
	{"POST", "/plugins/pull", Operation{"plugin.pull", None}},
	{"POST", "/plugins/{name:.*}/push", Operation{"plugin.push", None}},
	{"POST", "/plugins/{name:.*}/upgrade", Operation{"plugin.upgrade", None}},
	{"POST", "/plugins/{name:.*}/set", Operation{"plugin.set", None}},
	{"POST", "/plugins/create", Operation{"plugin.create", None}},

	{"POST", "/swarm/init", Operation{"swarm.init", None}},
	{"POST", "/swarm/join", Operation{"swarm.join", None}},
	{"POST", "/swarm/leave", Operation{"swarm.leave", None}},
	// With the tokens that let a node join.
	{"GET", "/swarm", Operation{"swarm.inspect", Token}},
	{"GET", "/swarm/unlockkey", Operation{"swarm.unlockkey", Token}},
	{"POST", "/swarm/update", Operation{"swarm.update", None}},
	{"POST", "/swarm/unlock", Operation{"swarm.unlock", None}},

	{"GET", "/services", Operation{"service.list", Environment}},
	{"GET", "/services/{id}", Operation{"service.inspect", Environment}},
	{"POST", "/services/create", Operation{"service.create", None}},
	{"POST", "/services/{id}/update", Operation{"service.update", None}},
	{"DELETE", "/services/{id}", Operation{"service.remove", None}},
	{"GET", "/services/{id}/logs", Operation{"service.logs", Logs}},

	{"GET", "/nodes", Operation{"node.list", None}},
	{"GET", "/nodes/{id}", Operation{"node.inspect", None}},
	{"DELETE", "/nodes/{id}", Operation{"node.remove", None}},
	{"POST", "/nodes/{id}/update", Operation{"node.update", None}},

	{"GET", "/tasks", Operation{"task.list", Environment}},
	{"GET", "/tasks/{id}", Operation{"task.inspect", Environment}},
	{"GET", "/tasks/{id}/logs", Operation{"task.logs", Logs}},

	{"GET", "/secrets", Operation{"swarm.secret", Secret}},
	{"POST", "/secrets/create", Operation{"swarm.secret", Secret}},
	{"DELETE", "/secrets/{id}", Operation{"swarm.secret", Secret}},
	{"GET", "/secrets/{id}", Operation{"swarm.secret", Secret}},
	{"POST", "/secrets/{id}/update", Operation{"swarm.secret", Secret}},

	{"GET", "/configs", Operation{"swarm.config", ConfigMap}},
	{"POST", "/configs/create", Operation{"swarm.config", ConfigMap}},
	{"DELETE", "/configs/{id}", Operation{"swarm.config", ConfigMap}},
	{"GET", "/configs/{id}", Operation{"swarm.config", ConfigMap}},
	{"POST", "/configs/{id}/update", Operation{"swarm.config", ConfigMap}},

	{"GET", "/_ping", Operation{"system.ping", None}},
	{"HEAD", "/_ping", Operation{"system.ping", None}},
	{"GET", "/events", Operation{"system.events", None}},
	{"GET", "/info", Operation{"system.info", None}},
	{"GET", "/version", Operation{"system.version", None}},
	// With the volumes and their options.
	{"GET", "/system/df", Operation{"system.df", Environment}},
	{"POST", "/auth", Operation{"auth", None}},

	{"GET", "/debug/vars", Operation{"system.debug", None}},
	{"GET", "/debug/pprof/", Operation{"system.debug", None}},
	{"GET", "/debug/pprof/{name}", Operation{"system.debug", None}},
}

// DockerRequest returns the meaning of a request to the Docker Engine API.
// It is [DockerRoute] for those who need the operation only.
func DockerRequest(method, path string) Operation {
	_, _, op := DockerRoute(method, path)
	return op
}

// DockerRoute finds the route that dockerd takes for a request.
//
// path is the request target as it was sent: with or without "/v1.47", a query
// and percent-encoding, also in absolute form ("http://host/info"). method is
// case-sensitive, as it is for dockerd.
//
// route is the route as dockerd registers it, without version, for example
// "/containers/{name:.*}/json", and id what stands in the place of its first
// variable, decoded: the container, exec, image, volume or other object named
// by the path, or "" if the path names none (of a commit, a build or a pull,
// only the query does).
//
// A request that dockerd answers with 404, 400, or with a redirect because its
// path is not clean ("//info"), has no route and is [Other].
func DockerRoute(method, path string) (route, id string, op Operation) {
	path, ok := dockerPath(path)
	if !ok {
		return "", "", Other
	}
	for _, r := range dockerIndex[routeKey{method, firstSegment(path)}] {
		if id, ok := match(r.pieces, path); ok {
			return r.pattern, id, r.op
		}
	}
	return "", "", Other
}

// dockerPath returns the path that dockerd's router sees, without the version,
// or false if the request does not come to a route.
func dockerPath(target string) (string, bool) {
	target, _, _ = strings.Cut(target, "?")
	p := target
	if !strings.HasPrefix(target, "/") || strings.Contains(target, "%") {
		// Rare, so net/http's own parser and its allocations are welcome.
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return "", false
		}
		p = u.Path
		// In dockerd's patterns, "." is any character but this one.
		if strings.Contains(p, "\n") {
			return "", false
		}
	}
	if !isClean(p) {
		return "", false
	}
	return trimVersion(p), true
}

// isClean says if the router takes a path as it is. From cleanPath in
// github.com/gorilla/mux: a trailing slash stays.
func isClean(p string) bool {
	if !strings.HasPrefix(p, "/") {
		return false
	}
	if p != "/" {
		p = strings.TrimSuffix(p, "/")
	}
	return path.Clean(p) == p
}

// trimVersion removes "/v{version:[0-9.]+}" from the beginning of a path.
func trimVersion(p string) string {
	version, ok := strings.CutPrefix(p, "/v")
	if !ok {
		return p
	}
	rest := strings.TrimLeft(version, "0123456789.")
	if len(rest) == len(version) || !strings.HasPrefix(rest, "/") {
		return p
	}
	return rest
}

// firstSegment returns "containers" of "/containers/json".
func firstSegment(p string) string {
	segment, _, _ := strings.Cut(strings.TrimPrefix(p, "/"), "/")
	return segment
}

// routeKey narrows the search for a route. Patterns never begin with a
// variable.
type routeKey struct{ method, segment string }

type indexedRoute struct {
	pattern string
	pieces  []piece
	op      Operation
}

// piece is a part of a pattern: literal text, then a variable or the end.
type piece struct {
	literal  string
	variable variable
}

type variable int

const (
	noVariable variable = iota // the end
	oneSegment                 // {name}: text without a slash, never empty
	anyText                    // {name:.*}
	someText                   // {name:.+}
)

var dockerIndex = indexRoutes(dockerRoutes)

func indexRoutes(routes []dockerRoute) map[routeKey][]indexedRoute {
	index := make(map[routeKey][]indexedRoute)
	for _, r := range routes {
		key := routeKey{r.method, firstSegment(r.pattern)}
		index[key] = append(index[key], indexedRoute{r.pattern, pieces(r.pattern), r.op})
	}
	return index
}

// pieces takes a pattern apart. The last piece has no variable.
func pieces(pattern string) []piece {
	var ps []piece
	for {
		literal, rest, found := strings.Cut(pattern, "{")
		if !found {
			return append(ps, piece{literal, noVariable})
		}
		name, rest, _ := strings.Cut(rest, "}")
		kind := oneSegment
		switch {
		case strings.HasSuffix(name, ":.*"):
			kind = anyText
		case strings.HasSuffix(name, ":.+"):
			kind = someText
		}
		ps = append(ps, piece{literal, kind})
		pattern = rest
	}
}

// match says if a path has the form of a pattern, and returns the value of its
// first variable. A variable that can hold slashes is the last one of its
// pattern.
func match(ps []piece, path string) (id string, ok bool) {
	for i, p := range ps {
		path, ok = strings.CutPrefix(path, p.literal)
		if !ok {
			return "", false
		}
		var value string
		switch p.variable {
		case noVariable:
			return id, path == ""
		case oneSegment:
			n := strings.IndexByte(path, '/')
			if n < 0 {
				n = len(path)
			}
			value, path = path[:n], path[n:]
			if value == "" {
				return "", false
			}
		case anyText, someText:
			suffix := ps[i+1].literal
			value, ok = strings.CutSuffix(path, suffix)
			if !ok || p.variable == someText && value == "" {
				return "", false
			}
			path = suffix
		}
		if i == 0 {
			id = value
		}
	}
	return "", false
}
