// SPDX-License-Identifier: Apache-2.0

package operation

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gorilla/mux"
)

func TestDockerRequest(t *testing.T) {
	for _, tt := range []struct {
		method, path string
		want         Operation
	}{
		{"GET", "/containers/json", Operation{"container.list", None}},
		{"GET", "/v1.47/containers/json?all=1&filters=%7B%22id%22%7D", Operation{"container.list", None}},
		{"GET", "/containers/web/json", Operation{"container.inspect", Environment}},
		{"GET", "/v1.41/containers/web/json?size=1", Operation{"container.inspect", Environment}},
		// A container named json, and one named by a legacy link.
		{"GET", "/containers/json/json", Operation{"container.inspect", Environment}},
		{"GET", "/containers/web/db/json", Operation{"container.inspect", Environment}},
		{"GET", "/containers/web/logs?stdout=1", Operation{"container.logs", Logs}},
		{"GET", "/containers/web/top", Operation{"container.top", Environment}},
		{"GET", "/containers/web/export", Operation{"container.export", Filesystem}},
		{"GET", "/containers/web/archive?path=/run/secrets", Operation{"container.archive_read", Filesystem}},
		{"HEAD", "/containers/web/archive?path=/run/secrets", Operation{"container.archive_stat", None}},
		{"PUT", "/containers/web/archive?path=/", Operation{"container.archive_write", None}},
		{"POST", "/v1.23/containers/web/copy", Operation{"container.archive_read", Filesystem}},
		{"POST", "/containers/web/attach?logs=1", Operation{"container.attach", Filesystem}},
		{"GET", "/containers/web/attach/ws", Operation{"container.attach", Filesystem}},
		{"POST", "/containers/web/exec", Operation{"container.exec", Filesystem}},
		{"POST", "/exec/abc/start", Operation{"exec.start", None}},
		{"GET", "/exec/abc/json", Operation{"exec.inspect", None}},
		{"POST", "/containers/create?name=x", Operation{"container.create", None}},
		{"POST", "/containers/x/start", Operation{"container.start", None}},
		{"POST", "/commit?container=web", Operation{"container.commit", Filesystem}},
		{"DELETE", "/containers/web", Operation{"container.remove", None}},
		{"DELETE", "/containers/web/checkpoints/one", Operation{"checkpoint.remove", None}},
		{"GET", "/images/get?names=a&names=b", Operation{"image.save", Filesystem}},
		{"GET", "/images/ghcr.io/acme/app:1/get", Operation{"image.save", Filesystem}},
		{"GET", "/images/ghcr.io/acme/app:1/history", Operation{"image.history", Environment}},
		{"GET", "/images/ghcr.io/acme/app:1/json", Operation{"image.inspect", Environment}},
		{"GET", "/images/json", Operation{"image.list", None}},
		{"POST", "/images/create?fromImage=app", Operation{"image.pull", None}},
		{"GET", "/volumes", Operation{"volume.list", Environment}},
		{"GET", "/volumes/data", Operation{"volume.inspect", Environment}},
		{"GET", "/services", Operation{"service.list", Environment}},
		{"GET", "/services/api", Operation{"service.inspect", Environment}},
		{"GET", "/services/api/logs", Operation{"service.logs", Logs}},
		{"GET", "/tasks", Operation{"task.list", Environment}},
		{"GET", "/tasks/t1/logs", Operation{"task.logs", Logs}},
		{"GET", "/swarm", Operation{"swarm.inspect", Token}},
		{"GET", "/swarm/unlockkey", Operation{"swarm.unlockkey", Token}},
		{"GET", "/secrets", Operation{"swarm.secret", Secret}},
		{"GET", "/secrets/s1", Operation{"swarm.secret", Secret}},
		{"GET", "/configs", Operation{"swarm.config", ConfigMap}},
		{"GET", "/configs/c1", Operation{"swarm.config", ConfigMap}},
		{"GET", "/plugins/vieux/sshfs:latest/json", Operation{"plugin.inspect", Environment}},
		{"GET", "/plugins/privileges?remote=x", Operation{"plugin.privileges", None}},
		{"GET", "/networks/", Operation{"network.list", None}},
		{"GET", "/_ping", Operation{"system.ping", None}},
		{"HEAD", "/_ping", Operation{"system.ping", None}},
		{"GET", "/info", Operation{"system.info", None}},
		{"GET", "/events?since=1", Operation{"system.events", None}},
		{"POST", "/auth", Operation{"auth", None}},
		{"POST", "/session", Operation{"session", None}},
		{"POST", "/grpc", Operation{"grpc", None}},

		// Ways to write a request that dockerd serves.
		{"GET", "/%63ontainers/web/json", Operation{"container.inspect", Environment}},
		{"GET", "/containers%2fweb%2fjson", Operation{"container.inspect", Environment}},
		{"GET", "/%761.41/containers/web/json", Operation{"container.inspect", Environment}},
		{"GET", "http://docker/containers/web/json", Operation{"container.inspect", Environment}},
		{"GET", "http://docker/v1.47/containers/web/json?size=1", Operation{"container.inspect", Environment}},
		{"GET", "/v1/containers/json", Operation{"container.list", None}},
		{"GET", "/v.../containers/json", Operation{"container.list", None}},

		// Requests that it does not.
		{"GET", "//containers/web/json", Other},
		{"GET", "/containers/../containers/json", Other},
		{"GET", "/containers/json/", Other},
		{"GET", "/v1.47/v1.47/containers/json", Other},
		{"GET", "/v1.x/containers/json", Other},
		{"get", "/containers/json", Other},
		{"HEAD", "/containers/json", Other},
		{"POST", "/containers/web/json", Other},
		{"GET", "/containers/json#x", Other},
		{"GET", "/services/a/b", Other},
		{"GET", "/services/", Other},
		{"GET", "/containers/%zz/json", Other},
		{"GET", "/containers/a%0ab/json", Other},
		{"GET", "", Other},
		{"GET", "/", Other},
		{"OPTIONS", "*", Other},
		{"GET", "?/info", Other},
		{"GET", "/v1.47", Other},
	} {
		if got := DockerRequest(tt.method, tt.path); got != tt.want {
			t.Errorf("%s %s: got %v, want %v", tt.method, tt.path, got, tt.want)
		}
	}
}

func TestDockerRoute(t *testing.T) {
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
		route, id, _ := DockerRoute(tt.method, tt.path)
		if route != tt.route || id != tt.id {
			t.Errorf("%s %s: got %q of %q, want %q of %q", tt.method, tt.path, id, route, tt.id, tt.route)
		}
	}
}

// Every row must be reachable: a row hidden by one before it is a mistake.
func TestDockerRoutesReachable(t *testing.T) {
	for _, r := range dockerRoutes {
		path := r.pattern
		for strings.Contains(path, "{") {
			before, rest, _ := strings.Cut(path, "{")
			_, after, _ := strings.Cut(rest, "}")
			path = before + "x" + after
		}
		route, _, op := DockerRoute(r.method, path)
		if route != r.pattern || op != r.op || op.Name == "" {
			t.Errorf("%s %s: got %v of %s, want %v of %s", r.method, path, op, route, r.op, r.pattern)
		}
	}
}

func TestDockerRouteAllocs(t *testing.T) {
	for _, path := range []string{"/v1.47/containers/web/archive?path=/%2f", "/images/ghcr.io/acme/app:1/get", "/nothing"} {
		if n := testing.AllocsPerRun(100, func() { DockerRoute("GET", path) }); n != 0 {
			t.Errorf("%s: %v allocations, want none", path, n)
		}
	}
}

// dockerd returns the router that dockerd builds for the same routes, from
// Server.CreateMux in daemon/server/server.go in github.com/moby/moby/v2. It
// answers with the route and the variables that it chose.
func dockerd(answer func(route string, vars map[string]string)) http.Handler {
	m := mux.NewRouter()
	for _, r := range dockerRoutes {
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

// FuzzDockerRoute compares with the router that dockerd uses: an attacker who
// finds a difference has a request that goes unseen.
func FuzzDockerRoute(f *testing.F) {
	for _, r := range dockerRoutes {
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
		gotRoute, gotID, gotOp := DockerRoute(method, target)

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
		if (gotRoute == "") != (gotOp == Other) {
			t.Fatalf("%q %q: operation %v of route %q", method, target, gotOp, gotRoute)
		}

		path, _, _ := strings.Cut(target, "?")
		if op := DockerRequest(method, path+"?a=/containers/json&b=%zz"); op != gotOp {
			t.Fatalf("%q %q: %v, with another query %v", method, target, gotOp, op)
		}
		decoded, _ := url.PathUnescape(path)
		if strings.HasPrefix(path, "/") && trimVersion(path) == path && trimVersion(decoded) == decoded {
			if op := DockerRequest(method, "/v1.47"+target); op != gotOp {
				t.Fatalf("%q %q: %v, with a version %v", method, target, gotOp, op)
			}
		}
	})
}

func BenchmarkDockerRoute(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		DockerRoute("POST", "/v1.47/containers/4f5ce2a1b0d9/exec")
	}
}
