// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerapi/containerapi/e2e/engine"
	"github.com/containerapi/containerapi/internal/dockertest"
	"github.com/containerapi/containerapi/plugin/tap/taptest"
)

// TestEngineLog holds the events to what Docker itself says: with --debug it logs
// each request that it handles. Each of them must be one event, with the program
// that sent it, and no event may be of anything else.
func TestEngineLog(t *testing.T) { dockertest.Each(t, testEngineLog) }

// acts is what one program does. The scripts have DOCKER_HOST and
// DOCKER_API_VERSION, and clients, the directory of testdata/clients.
type acts struct {
	// program is the path of the program that sends the requests.
	program string
	script  string
	// do is called in place of a script.
	do func(socket, version string) error
	// unrouted are requests, as method and path, that Docker has no route for: it
	// does not log them.
	unrouted []string
}

// mix is what honest programs do, and curl. HTTP/2 without TLS is in it if h2.
func mix(t *testing.T, d *dockertest.Daemon, h2 bool) []acts {
	const plugins = "/usr/libexec/docker/cli-plugins/"
	docker, python := taptest.Executable(t, d.CLI), taptest.Executable(t, "/usr/bin/python3")
	all := []acts{
		{program: docker, script: `
			docker run -d --name cli --network none --init=false -e A=b busybox sh -c 'echo ready; sleep 1000'
			docker run --rm --network none --name hello busybox echo hello
			echo cat | docker run -i --rm --network none --name cat busybox cat
			docker ps -a; docker inspect cli; docker logs cli; docker top cli; docker port cli; docker diff cli
			docker exec cli id; echo cat | docker exec -i cli cat; docker exec -d cli true
			docker cp cli:/etc/passwd passwd; docker cp passwd cli:/tmp/; docker export cli >cli.tar
			docker stats --no-stream cli
			docker commit cli copy:1; docker history copy:1; docker save copy:1 >copy.tar; docker rmi copy:1; docker load <copy.tar
			docker rename cli named; docker pause named; docker unpause named; docker restart -t 0 named
			docker update --restart=no named; docker kill named; docker wait named; docker rm -f named
			docker volume create data; docker volume ls; docker volume inspect data; docker volume rm data
			docker network ls; docker network inspect none; docker system df; docker info; docker version
			docker events --since 1 --until 2
			! docker inspect missing
			printf 'GET /v%s/info HTTP/1.1\r\nHost: x\r\n\r\nGET /v%s/containers/dial/json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' \
				$DOCKER_API_VERSION $DOCKER_API_VERSION | docker system dial-stdio >dial`},
		{program: docker, script: `
			printf 'FROM busybox\nCOPY file /\nRUN cat /file\n' >Dockerfile; echo text >file
			DOCKER_BUILDKIT=0 docker build --network none -t classic .`},
		{program: plugins + "docker-buildx", script: `
			printf 'FROM busybox\nCOPY file /\n' >Dockerfile; echo text >file
			` + plugins + `docker-buildx ls
			` + plugins + `docker-buildx build -t buildx .
			` + plugins + `docker-buildx du`},
		{program: plugins + "docker-compose", script: `
			printf 'services: {web: {image: busybox, network_mode: none, init: false, command: sh -c "echo up; sleep 1000"}}\n' >compose.yaml
			compose() { ` + plugins + `docker-compose --ansi never --progress plain -p oracle "$@"; }
			compose up -d; compose ps; compose logs; compose exec -T web id; compose top; compose images
			compose down -t 0`},
		{program: python, script: `/usr/bin/python3 $clients/client.py`},
		{program: python, script: `/usr/bin/python3 $clients/raw.py`},
		{program: taptest.Executable(t, "curl"), unrouted: []string{"GET /nothing", "POST /containers/json"}, script: `
			api=http://x/v$DOCKER_API_VERSION
			ask() { curl -sS --max-time 20 -o /dev/null --unix-socket ${DOCKER_HOST#unix://} "$@"; }
			ask $api/info $api/version $api/containers/json?all=1 $api/containers/curl/json $api/images/json
			ask -I http://x/_ping
			ask http://x/containers/unversioned/json
			ask -X POST -H 'Content-Type: application/json' -H 'Transfer-Encoding: chunked' \
				-d '{"Image":"busybox","HostConfig":{"NetworkMode":"none"}}' "$api/containers/create?name=chunked" --next \
				--unix-socket ${DOCKER_HOST#unix://} -o /dev/null -X DELETE $api/containers/chunked
			head -c 3000000 /dev/zero >zeros
			ask -X PUT -H 'Expect: 100-continue' -T zeros "$api/containers/none/archive?path=/"
			ask -X POST -T zeros -H 'Transfer-Encoding: chunked' "$api/images/load?quiet=1"
			ask -X POST -H 'Content-Type: application/json' -d '{"Detach":true}' $api/exec/none/start
			ask http://x/nothing
			ask -X POST $api/containers/json
			for i in 1 2 3 4; do ask $api/containers/at-once-$i/json $api/containers/at-once-$i/logs?stdout=1 & done; wait
			! ask --max-time 1 $api/events`},
	}
	if h2 {
		executable, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, acts{program: taptest.Executable(t, executable), do: streams}, acts{program: taptest.Executable(t, "curl"), script: `
			ask() { curl -sS --max-time 20 -o /dev/null --unix-socket ${DOCKER_HOST#unix://} "$@"; }
			ask --http2-prior-knowledge http://x/v$DOCKER_API_VERSION/info
			ask --http2 http://x/v$DOCKER_API_VERSION/containers/h2-upgraded/json`})
	}
	return all
}

// streams sends requests in HTTP/2, on one connection at once.
func streams(socket, version string) error {
	transport := &http.Transport{Protocols: new(http.Protocols), DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	transport.Protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: transport}
	const n = 40
	errs := make(chan error, n)
	for i := range n {
		go func() { errs <- stream(client, version, i) }()
	}
	var err error
	for range n {
		err = errors.Join(err, <-errs)
	}
	return err
}

// stream asks for a container to be made, and then for what it is.
func stream(client *http.Client, version string, i int) error {
	response, err := client.Post(fmt.Sprintf("http://x/v%s/containers/create?name=h2-%d", version, i), "application/json",
		strings.NewReader(`{"Image":"missing","Labels":{"l":"`+strings.Repeat("x", i*1000)+`"}}`))
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.ProtoMajor != 2 {
		return fmt.Errorf("Docker answers in %s", response.Proto)
	}
	response, err = client.Get(fmt.Sprintf("http://x/v%s/containers/h2-%d/json", version, i))
	if err == nil {
		response.Body.Close()
	}
	return err
}

func testEngineLog(t *testing.T, on dockertest.Engine) {
	requireDocker(t)
	d := on.Start(t, "--debug")
	run := startEngine(t, plugin(t, "docker://"+d.Socket), "testdata/requests.yaml")
	o := &oracle{t: t, daemon: d, run: run}
	all := mix(t, d, o.speaksH2())
	o.ready()
	// One after the other it is known whose each request is.
	for _, a := range all {
		o.requireSame(o.perform(a))
	}
	// And what takes least time at once.
	o.requireSame(o.perform(all[3:]...))
}

// oracle compares what Docker logs with the alerts.
type oracle struct {
	t      *testing.T
	daemon *dockertest.Daemon
	run    *engine.Process
	// version is the version of the API that the acts ask for: not the one that the
	// plugin does, so that its own requests, which are no events, can be told from
	// theirs.
	version string
	// read is how much of the log was compared, in bytes; alerts how many alerts.
	read, alerts int
	// marks counts the calls of mark.
	marks int
	// programs are those of the acts that are compared.
	programs []string
}

// handled is the line of a request in the log of Docker 20.10, and of newer ones.
var (
	handled = regexp.MustCompile(`^Calling ([A-Z]+) (.*)$`)
	pair    = regexp.MustCompile(`([a-zA-Z-]+)=("(?:[^"\\]|\\.)*"|\S*)`)
	inPath  = regexp.MustCompile(`^(?:http://[^/]*)?(/v[0-9.]+)?(/[^?]*)`)
)

// logged is a request in Docker's log.
type logged struct{ method, version, path string }

// log returns the requests of the log from an offset on, and its new length.
func (o *oracle) log(offset int) ([]logged, int) {
	o.t.Helper()
	text, err := os.ReadFile(o.daemon.LogFile())
	if err != nil {
		o.t.Fatal(err)
	}
	end := strings.LastIndexByte(string(text), '\n') + 1
	var all []logged
	for line := range strings.Lines(string(text[offset:end])) {
		values := make(map[string]string)
		for _, m := range pair.FindAllStringSubmatch(line, -1) {
			values[m[1]] = m[2]
			if plain, err := strconv.Unquote(m[2]); err == nil {
				values[m[1]] = plain
			}
		}
		method, target := values["method"], values["request-url"]
		if m := handled.FindStringSubmatch(values["msg"]); m != nil {
			method, target = m[1], m[2]
		} else if values["msg"] != "handling "+method+" request" {
			continue
		}
		m := inPath.FindStringSubmatch(target)
		if m == nil {
			o.t.Fatalf("Docker logged the request %q", target)
		}
		all = append(all, logged{method, strings.TrimPrefix(m[1], "/v"), m[2]})
	}
	return all, end
}

// ready waits until the plugin sees requests and has made its own first ones.
func (o *oracle) ready() {
	o.t.Helper()
	until(o.t, 30*time.Second, "the plugin is ready", func() bool {
		lines, _ := o.log(0)
		i := slices.IndexFunc(lines, func(l logged) bool { return l.path == "/events" })
		if i < 0 || !strings.Contains(o.run.Stderr(), "seeing every request") {
			return false
		}
		var minor int
		if _, err := fmt.Sscanf(lines[i].version, "1.%d", &minor); err != nil {
			o.t.Fatalf("the plugin asks for version %q", lines[i].version)
		}
		o.version = fmt.Sprint("1.", minor-1)
		return true
	})
	// What was asked before is not compared.
	o.mark()
	_, o.read = o.log(0)
	o.alerts = len(o.run.Alerts())
}

// marks begins the path of a request that nothing else sends.
const marks = "/containers/mark-"

// mark sends a request and waits for its alert: what was answered before has its own
// by then.
func (o *oracle) mark() {
	o.t.Helper()
	o.marks++
	path := marks + strconv.Itoa(o.marks) + "/json"
	if out, err := exec.CommandContext(o.t.Context(), "curl", "-sS", "-o", "/dev/null", "--max-time", "20",
		"--unix-socket", o.daemon.Socket, "http://x/v"+o.version+path).CombinedOutput(); err != nil {
		o.t.Fatalf("curl: %v\n%s", err, out)
	}
	until(o.t, 20*time.Second, "the event of "+path+" comes", func() bool {
		return slices.ContainsFunc(o.run.Alerts()[o.alerts:], func(a engine.Alert) bool { return a.Fields["docker.request.path"] == path })
	})
}

// speaksH2 reports whether the daemon speaks HTTP/2 without TLS.
func (o *oracle) speaksH2() bool {
	return exec.CommandContext(o.t.Context(), "curl", "-s", "-o", "/dev/null", "--max-time", "20", "--unix-socket", o.daemon.Socket,
		"--http2-prior-knowledge", "http://x/_ping").Run() == nil
}

// perform runs scripts at once, and returns the requests that must be there of
// them, counted. Each is by the program, if that is only one.
func (o *oracle) perform(all ...acts) map[string]int {
	o.t.Helper()
	start := time.Now()
	var group sync.WaitGroup
	for _, a := range all {
		group.Go(func() { o.script(a) })
	}
	group.Wait()
	lines, end := o.log(o.read)
	o.read = end
	o.programs = nil
	for _, a := range all {
		o.programs = append(o.programs, a.program)
	}
	want := make(map[string]int)
	for _, a := range all {
		for _, request := range a.unrouted {
			want[request+o.by(a.program)]++
		}
	}
	own := 0
	for _, l := range lines {
		// The plugin asks for the newest version, and nobody else.
		if l.version != "" && l.version != o.version {
			own++
			continue
		}
		if strings.HasPrefix(l.path, marks) {
			continue
		}
		want[l.method+" "+l.path+o.by(all[0].program)]++
	}
	o.t.Logf("%d requests within %s, and %d of the plugin's own, by %q", len(lines)-own, time.Since(start).Round(time.Millisecond), own, o.programs)
	return want
}

// by is how a program is named with its request: as one of many, if there are, for
// Docker does not log whose a request is.
func (o *oracle) by(program string) string {
	if len(o.programs) > 1 && slices.Contains(o.programs, program) {
		return " by one of them"
	}
	return " by " + program
}

// script runs what one program does.
func (o *oracle) script(a acts) {
	if a.do != nil {
		if err := a.do(o.daemon.Socket, o.version); err != nil {
			o.t.Errorf("%s: %v", a.program, err)
		}
		return
	}
	clients, err := filepath.Abs("testdata/clients")
	if err != nil {
		o.t.Error(err)
		return
	}
	cmd := exec.CommandContext(o.t.Context(), "sh", "-exc", a.script)
	cmd.Dir = o.t.TempDir()
	cmd.Env = append(append(os.Environ(), o.daemon.Env()...), "DOCKER_API_VERSION="+o.version, "clients="+clients)
	if out, err := cmd.CombinedOutput(); err != nil {
		o.t.Errorf("%s: %v\n%s", a.program, err, out)
	}
}

// requireSame waits for the alerts that must be there, and says which are missing
// or too many.
func (o *oracle) requireSame(want map[string]int) {
	o.t.Helper()
	total := 0
	for _, n := range want {
		total += n
	}
	if total == 0 {
		o.t.Error("Docker logged no request")
	}
	for limit := time.Now().Add(10 * time.Second); len(o.run.Alerts())-o.alerts < total && time.Now().Before(limit); {
		time.Sleep(20 * time.Millisecond)
	}
	// One too many may be still to come.
	o.mark()
	alerts := o.run.Alerts()[o.alerts:]
	o.alerts += len(alerts)
	left := make(map[string]int)
	for key, n := range want {
		left[key] = n
	}
	for _, a := range alerts {
		field := func(name string) string {
			if value := a.Fields[name]; value != nil {
				return fmt.Sprint(value)
			}
			return ""
		}
		if strings.HasPrefix(field("docker.request.path"), marks) {
			continue
		}
		key := field("docker.request.method") + " " + field("docker.request.path") + o.by(field("docker.client.exepath"))
		if why := field("docker.request.unreadable"); why != "" {
			key += ", unreadable: " + why
		}
		left[key]--
	}
	for key, n := range left {
		switch {
		case n > 0:
			o.t.Errorf("%d of %d events are missing: %s", n, want[key], key)
		case n < 0:
			o.t.Errorf("%d events too many, Docker logged %d: %s", -n, want[key], key)
		}
	}
}
