// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gorilla/mux"

	"github.com/containerapi/containerapi/plugin/operation"
)

func op(name string, c operation.Credential) operation.Operation {
	return operation.Operation{Name: name, Credential: c}
}

func TestOperation(t *testing.T) {
	for _, tt := range []struct {
		method, path string
		want         operation.Operation
	}{
		{"GET", "/containers/json", op("container.list", none)},
		{"GET", "/v1.47/containers/json?all=1&filters=%7B%22id%22%7D", op("container.list", none)},
		{"GET", "/containers/web/json", op("container.inspect", environment)},
		{"GET", "/v1.41/containers/web/json?size=1", op("container.inspect", environment)},
		// A container named json, and one named by a legacy link.
		{"GET", "/containers/json/json", op("container.inspect", environment)},
		{"GET", "/containers/web/db/json", op("container.inspect", environment)},
		{"GET", "/containers/web/logs?stdout=1", op("container.logs", logs)},
		{"GET", "/containers/web/top", op("container.top", environment)},
		{"GET", "/containers/web/export", op("container.export", filesystem)},
		{"GET", "/containers/web/archive?path=/run/secrets", op("container.archive_read", filesystem)},
		{"HEAD", "/containers/web/archive?path=/run/secrets", op("container.archive_stat", none)},
		{"PUT", "/containers/web/archive?path=/", op("container.archive_write", none)},
		{"POST", "/v1.23/containers/web/copy", op("container.archive_read", filesystem)},
		{"POST", "/containers/web/attach?logs=1", op("container.attach", filesystem)},
		{"GET", "/containers/web/attach/ws", op("container.attach", filesystem)},
		{"POST", "/containers/web/exec", op("container.exec", filesystem)},
		{"POST", "/exec/abc/start", op("exec.start", none)},
		{"GET", "/exec/abc/json", op("exec.inspect", none)},
		{"POST", "/containers/create?name=x", op("container.create", none)},
		{"POST", "/containers/x/start", op("container.start", none)},
		{"POST", "/commit?container=web", op("container.commit", filesystem)},
		{"DELETE", "/containers/web", op("container.remove", none)},
		{"DELETE", "/containers/web/checkpoints/one", op("checkpoint.remove", none)},
		{"GET", "/images/get?names=a&names=b", op("image.save", filesystem)},
		{"GET", "/images/ghcr.io/acme/app:1/get", op("image.save", filesystem)},
		{"GET", "/images/ghcr.io/acme/app:1/history", op("image.history", environment)},
		{"GET", "/images/ghcr.io/acme/app:1/json", op("image.inspect", environment)},
		{"GET", "/images/json", op("image.list", none)},
		{"POST", "/images/create?fromImage=app", op("image.pull", none)},
		{"GET", "/volumes", op("volume.list", environment)},
		{"GET", "/volumes/data", op("volume.inspect", environment)},
		{"GET", "/services", op("service.list", environment)},
		{"GET", "/services/api", op("service.inspect", environment)},
		{"GET", "/services/api/logs", op("service.logs", logs)},
		{"GET", "/tasks", op("task.list", environment)},
		{"GET", "/tasks/t1/logs", op("task.logs", logs)},
		{"GET", "/swarm", op("swarm.inspect", token)},
		{"GET", "/swarm/unlockkey", op("swarm.unlockkey", token)},
		{"GET", "/secrets", op("swarm.secret", secret)},
		{"GET", "/secrets/s1", op("swarm.secret", secret)},
		{"GET", "/configs", op("swarm.config", configMap)},
		{"GET", "/configs/c1", op("swarm.config", configMap)},
		{"GET", "/plugins/vieux/sshfs:latest/json", op("plugin.inspect", environment)},
		{"GET", "/plugins/privileges?remote=x", op("plugin.privileges", none)},
		{"GET", "/networks/", op("network.list", none)},
		{"GET", "/_ping", op("system.ping", none)},
		{"HEAD", "/_ping", op("system.ping", none)},
		{"GET", "/info", op("system.info", none)},
		{"GET", "/events?since=1", op("system.events", none)},
		{"POST", "/auth", op("auth", none)},
		{"POST", "/session", op("session", none)},
		{"POST", "/grpc", op("grpc", none)},

		// Ways to write a request that dockerd serves.
		{"GET", "/%63ontainers/web/json", op("container.inspect", environment)},
		{"GET", "/containers%2fweb%2fjson", op("container.inspect", environment)},
		{"GET", "/%761.41/containers/web/json", op("container.inspect", environment)},
		{"GET", "http://docker/containers/web/json", op("container.inspect", environment)},
		{"GET", "http://docker/v1.47/containers/web/json?size=1", op("container.inspect", environment)},
		{"GET", "/v1/containers/json", op("container.list", none)},
		{"GET", "/v.../containers/json", op("container.list", none)},

		// Requests that it does not.
		{"GET", "//containers/web/json", operation.Other},
		{"GET", "/containers/../containers/json", operation.Other},
		{"GET", "/containers/json/", operation.Other},
		{"GET", "/v1.47/v1.47/containers/json", operation.Other},
		{"GET", "/v1.x/containers/json", operation.Other},
		{"get", "/containers/json", operation.Other},
		{"HEAD", "/containers/json", operation.Other},
		{"POST", "/containers/web/json", operation.Other},
		{"GET", "/containers/json#x", operation.Other},
		{"GET", "/services/a/b", operation.Other},
		{"GET", "/services/", operation.Other},
		{"GET", "/containers/%zz/json", operation.Other},
		{"GET", "/containers/a%0ab/json", operation.Other},
		{"GET", "", operation.Other},
		{"GET", "/", operation.Other},
		{"OPTIONS", "*", operation.Other},
		{"GET", "?/info", operation.Other},
		{"GET", "/v1.47", operation.Other},
	} {
		if got := Operation(tt.method, tt.path); got != tt.want {
			t.Errorf("%s %s: got %v, want %v", tt.method, tt.path, got, tt.want)
		}
	}
}

func TestRoute(t *testing.T) {
	for _, tt := range []struct{ method, path, route, id string }{
		{"GET", "/v1.47/containers/web/json?size=1", "/containers/{name:.*}/json", "web"},
		{"GET", "/containers/json", "/containers/json", ""},
		{"POST", "/containers/create?name=web", "/containers/create", ""},
		{"GET", "/containers/a%2Db/attach/ws", "/containers/{name:.*}/attach/ws", "a-b"},
		{"DELETE", "/containers/web/checkpoints/one", "/containers/{name}/checkpoints/{checkpoint}", "web"},
		{"GET", "/images/ghcr.io/acme/app:1/get", "/images/{name:.*}/get", "ghcr.io/acme/app:1"},
		{"GET", "/volumes/data", "/volumes/{name:.*}", "data"},
		{"GET", "/services/api/logs", "/services/{id}/logs", "api"},
		{"POST", "/exec/abc/start", "/exec/{name:.*}/start", "abc"},
		{"DELETE", "/containers/", "/containers/{name:.*}", ""},
		{"GET", "/nothing", "", ""},
	} {
		route, id := find(tt.method, tt.path)
		if pattern(route) != tt.route || id != tt.id {
			t.Errorf("%s %s: got %q of %q, want %q of %q", tt.method, tt.path, id, pattern(route), tt.id, tt.route)
		}
	}
}

// pattern returns the pattern of a route, or "" if there is none.
func pattern(r *row) string {
	if r == nil {
		return ""
	}
	return r.pattern
}

func versioned(path string) bool {
	version, _ := cutVersion(path)
	return version != ""
}

// Every row must be reachable: a row hidden by one before it is a mistake.
func TestRoutesReachable(t *testing.T) {
	for _, r := range routes {
		path := r.pattern
		for strings.Contains(path, "{") {
			before, rest, _ := strings.Cut(path, "{")
			_, after, _ := strings.Cut(rest, "}")
			path = before + "x" + after
		}
		if route, _ := find(r.method, path); pattern(route) != r.pattern || route.operation == "" {
			t.Errorf("%s %s: got %s, want %s", r.method, path, pattern(route), r.pattern)
		}
	}
}

func TestRouteAllocs(t *testing.T) {
	for _, path := range []string{"/v1.47/containers/web/archive?path=/%2f", "/images/ghcr.io/acme/app:1/get", "/nothing"} {
		if n := testing.AllocsPerRun(100, func() { find("GET", path) }); n != 0 {
			t.Errorf("%s: %v allocations, want none", path, n)
		}
	}
}

// dockerd returns the router that dockerd builds for the same routes, from
// Server.CreateMux in daemon/server/server.go in github.com/moby/moby/v2. It
// answers with the route and the variables that it chose.
func dockerd(answer func(route string, vars map[string]string)) http.Handler {
	m := mux.NewRouter()
	for _, r := range routes {
		f := func(w http.ResponseWriter, req *http.Request) { answer(r.pattern, mux.Vars(req)) }
		m.Path("/v{version:[0-9.]+}" + r.pattern).Methods(r.method).HandlerFunc(f)
		m.Path(r.pattern).Methods(r.method).HandlerFunc(f)
	}
	return m
}

// firstVariable returns the name of a pattern's first variable.
func firstVariable(pattern string) string {
	_, rest, _ := strings.Cut(pattern, "{")
	name, _, _ := strings.Cut(rest, "}")
	name, _, _ = strings.Cut(name, ":")
	return name
}

// FuzzRoute compares with the router that dockerd uses: an attacker who
// finds a difference has a request that goes unseen.
func FuzzRoute(f *testing.F) {
	for _, r := range routes {
		f.Add(r.method, r.pattern)
		f.Add(r.method, strings.ReplaceAll(r.pattern, "{name:.*}", "a/b"))
		f.Add(r.method, strings.ReplaceAll(r.pattern, "{id}", "a"))
	}
	for _, path := range []string{
		"/v1.47/containers/json?all=1", "//info", "/%69nfo", "http://h/info", "x:/info", "x:info", "*", "/v.../info",
		"/a/../info", "/info/.", "/containers//json", "/containers/%0a/json", "/networks//", "/containers/%2e%2e/json",
		"/v1/v1/info", "/v/info", "/info#", "///info", "/volumes/", "/plugins/privileges/json", "http://h", "",
	} {
		f.Add("GET", path)
	}
	var route string
	var vars map[string]string
	handler := dockerd(func(r string, v map[string]string) { route, vars = r, v })

	f.Fuzz(func(t *testing.T, method, target string) {
		found, gotID := find(method, target)
		gotRoute, gotOp := pattern(found), found.meaning()

		// A control character cannot stand in a request's first line.
		if u, err := url.ParseRequestURI(target); err == nil {
			route, vars = "", nil
			handler.ServeHTTP(httptest.NewRecorder(), &http.Request{Method: method, URL: u, RequestURI: target})
			if gotRoute != route {
				t.Fatalf("%q %q: got route %q, dockerd takes %q", method, target, gotRoute, route)
			}
			if want := vars[firstVariable(route)]; gotID != want {
				t.Fatalf("%q %q: got id %q, dockerd sees %q", method, target, gotID, want)
			}
		}
		if (gotRoute == "") != (gotOp == operation.Other) {
			t.Fatalf("%q %q: operation %v of route %q", method, target, gotOp, gotRoute)
		}

		path, _, _ := strings.Cut(target, "?")
		if op := Operation(method, path+"?a=/containers/json&b=%zz"); op != gotOp {
			t.Fatalf("%q %q: %v, with another query %v", method, target, gotOp, op)
		}
		decoded, _ := url.PathUnescape(path)
		if strings.HasPrefix(path, "/") && !versioned(path) && !versioned(decoded) {
			if op := Operation(method, "/v1.47"+target); op != gotOp {
				t.Fatalf("%q %q: %v, with a version %v", method, target, gotOp, op)
			}
		}
	})
}

func BenchmarkRoute(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		find("POST", "/v1.47/containers/4f5ce2a1b0d9/exec")
	}
}
