// SPDX-License-Identifier: Apache-2.0

package dockerapi

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerapi/containerapi/internal/dockertest"
	"github.com/containerapi/containerapi/plugin/correlate"
	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/identity"
	"github.com/containerapi/containerapi/plugin/input/dockerevents"
	"github.com/containerapi/containerapi/plugin/meaning"
	"github.com/containerapi/containerapi/plugin/tap/taptest"
)

// startBoth runs this input and the one of events on a daemon, put together
// as the plugin does.
func startBoth(t *testing.T, d *dockertest.Daemon) *running {
	t.Helper()
	requests := correlate.NewLog()
	events, err := dockerevents.Open(&url.URL{Scheme: "docker", Path: d.Socket}, dockerevents.Options{Cause: requests.Attribute, Namespace: identity.FindHost().MountNamespace})
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, Options{Socket: d.Socket, Containers: events.Inspections(), Requests: requests})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = events.Run(ctx, r) }()
	t.Cleanup(func() { cancel(); <-ended })
	// The engine remembers events since the input was opened.
	r.settle(t, d, "first")
	return r
}

// settle waits until all that happened before is told of.
func (r *running) settle(t *testing.T, d *dockertest.Daemon, name string) {
	t.Helper()
	d.Docker("volume", "create", name)
	r.event(t, "event of volume "+name, func(e *event.Event) bool { return e.Docker.Type == "volume" && e.Docker.ActorID == name })
}

// Each of these is one act, with the process that did it, though both a
// request and one or more Docker events tell of it.
func TestDaemonActs(t *testing.T) { dockertest.Each(t, testDaemonActs) }

func testDaemonActs(t *testing.T, on dockertest.Engine) {
	d := on.Start(t)
	r := startBoth(t, d)
	dir := t.TempDir()
	for _, name := range []string{"web", "db"} {
		d.Docker("run", "--detach", "--init=false", "--stop-timeout=0", "--network=none", "--name="+name, dockertest.Image, "sleep", "1000")
	}
	id := d.Docker("inspect", "--format={{.Id}}", "web")
	r.settle(t, d, "before")
	for n, test := range []struct {
		operation string
		args      []string
		actions   []string // of the Docker events of it
	}{
		{"container.exec", []string{"exec", "web", "cat", "/etc/passwd"}, []string{"exec_create", "exec_start", "exec_die"}},
		{"container.exec", []string{"exec", "web", "sh", "-c", "true; A=b "}, []string{"exec_create", "exec_start"}},
		{"container.exec", []string{"exec", "--detach", id[:12], "id"}, []string{"exec_create", "exec_start"}},
		{"container.archive_read", []string{"cp", "web:/etc/passwd", filepath.Join(dir, "passwd")}, []string{"archive-path"}},
		{"container.archive_write", []string{"cp", dockerapiFile(t), "web:/tmp/"}, []string{"extract-to-dir"}},
		{"container.export", []string{"export", "--output=" + filepath.Join(dir, "web.tar"), id[:8]}, []string{"export"}},
		{"container.commit", []string{"commit", "web", "copy:1"}, []string{"commit"}},
		{"container.rename", []string{"rename", "web", "www"}, []string{"rename"}},
		{"container.rename", []string{"rename", "www", "web"}, []string{"rename"}},
		{"container.pause", []string{"pause", "web"}, []string{"pause"}},
		{"container.unpause", []string{"unpause", "web"}, []string{"unpause"}},
		{"container.remove", []string{"rm", "--force", "web"}, []string{"destroy"}},
		{"container.create", []string{"create", "--name=new", dockertest.Image}, []string{"create"}},
		{"image.save", []string{"save", "--output=" + filepath.Join(dir, "image.tar"), "copy:1"}, nil},
	} {
		before := len(r.events(t))
		cmd := d.Command(test.args...)
		pid, _ := taptest.Run(t, cmd)
		for _, action := range test.actions {
			r.Eventually(t, action, func() bool {
				for _, e := range r.events(t)[before:] {
					if e.Docker.Action == action {
						return true
					}
				}
				return false
			})
		}
		r.settle(t, d, "volume"+string(rune('a'+n)))
		acts := 0
		for _, e := range r.events(t)[before:] {
			if e.Operation == test.operation && meaning.IsAct(&e) {
				acts++
				// A busy engine can take longer to answer than a request waits.
				if e.Outcome != event.Allowed && e.Outcome != event.Unanswered {
					t.Errorf("%s is %s", test.args, e.Outcome)
				}
			}
			ours := e.Operation == test.operation
			for _, action := range test.actions {
				ours = ours || e.Docker.Action == action && e.Docker.Type == "container"
			}
			if c := &e.Docker.Client; ours && (c.PID != uint64(pid) || c.ExePath != taptest.Executable(t, d.CLI) || !strings.HasPrefix(c.Cmdline, "docker "+test.args[0])) {
				t.Errorf("%s: %s %s is of %+v, want %d", test.args, e.Operation, e.Docker.Action, c, pid)
			}
		}
		if acts != 1 {
			t.Errorf("%s: %d acts of %s", test.args, acts, test.operation)
			for _, e := range r.Events()[before:] {
				t.Log(e.JSON)
			}
		}
	}
	if n := r.tap.Drops(); n != 0 || r.MalformedCount() != 0 {
		t.Errorf("%d drops: %s", n, r.MalformedText())
	}
}

// dockerapiFile is a file to copy.
func dockerapiFile(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("client.go")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// What the daemon does by itself has no client.
func TestDaemonItself(t *testing.T) { dockertest.Each(t, testDaemonItself) }

func testDaemonItself(t *testing.T, on dockertest.Engine) {
	d := on.Start(t)
	r := startBoth(t, d)
	d.Docker("run", "--detach", "--restart=always", "--network=none", "--name=again", dockertest.Image, "sleep", "0.3")
	d.Docker("run", "--detach", "--init=false", "--stop-timeout=0", "--network=none", "--name=health",
		"--health-cmd=true", "--health-interval=1s", dockertest.Image, "sleep", "1000")
	starts := func() (all []event.Event) {
		for _, e := range r.events(t) {
			if e.Docker.Action == "start" && e.Docker.ActorName == "again" {
				all = append(all, e)
			}
		}
		return all
	}
	r.Eventually(t, "restarts", func() bool { return len(starts()) >= 3 })
	for n, e := range starts() {
		if (e.Docker.Client.PID != 0) != (n == 0) || meaning.IsAct(&e) != (n > 0) {
			t.Errorf("start %d is %+v, act: %t", n, e.Docker, meaning.IsAct(&e))
		}
	}
	check := r.event(t, "health check", func(e *event.Event) bool { return e.Docker.HealthCheck && e.Docker.Action == "exec_start" })
	if check.Docker.Client.PID != 0 || check.Docker.Client.Name != "" {
		t.Errorf("health check is of %+v", check.Docker.Client)
	}
	for _, e := range r.events(t) {
		if e.Docker.Action == "die" && e.Docker.Client.PID != 0 {
			t.Errorf("end of %s is of %+v", e.Docker.ActorName, e.Docker.Client)
		}
	}
}

// No secret that a client sends, or is sent, is in an event or in the log.
func TestDaemonCanaries(t *testing.T) { dockertest.Each(t, testDaemonCanaries) }

func testDaemonCanaries(t *testing.T, on dockertest.Engine) {
	taptest.Need(t, "curl")
	d := on.Start(t)
	r := startBoth(t, d)
	try := func(cmd *exec.Cmd) { _ = cmd.Run() } // some of it fails, as it should
	d.Docker("run", "--detach", "--init=false", "--stop-timeout=0", "--network=none", "--name=web", "--env=A=canary1", "-e", "B_TOKEN=canary2",
		"--label=secret=canary3", dockertest.Image, "sh", "-c", "echo canar''y4; sleep 1000")
	d.Docker("exec", "--env", "C=canary5", "-e", "D=canary6", "web", "true")
	d.Docker("volume", "create", "--opt=type=tmpfs", "--opt=device=tmpfs", "--opt=o=size=1m", "--label=x=canary7", "plain")
	d.Docker("inspect", "web")
	r.Eventually(t, "log line", func() bool { return strings.Contains(d.Docker("logs", "web"), "canary4") })
	d.Docker("commit", "--change=ENV E=canary8", "web", "copy")
	curls := 0
	curl := func(args ...string) {
		curls++
		try(exec.Command("curl", append([]string{"-s", "-o", "/dev/null", "--max-time", "5", "--unix-socket", d.Socket}, args...)...))
	}
	// By a file, so that the command line, which is shown, has none.
	body := func(text string) string {
		path := filepath.Join(t.TempDir(), "body")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return "@" + path
	}
	config := func(text string) string { return strings.TrimPrefix(body(text), "@") }
	const json = "Content-Type: application/json"
	curl("-K", config("url = \"http://x/v1.41/build?buildargs=%7B%22X%22%3A%22canary10%22%7D&t=a;X=canary11&remote=http://u:canary12@127.0.0.1:1/x\"\nrequest = POST\n"))
	curl("-K", config("header = \"X-Registry-Auth: canary13\"\nheader = \"X-Registry-Config: canary14\"\nheader = \"Authorization: Basic canary15\"\n"),
		"-X", "POST", "http://x/v1.41/images/create?fromImage=127.0.0.1:1/app&tag=1")
	curl("-H", json, "-d", body(`{"username":"u","password":"canary16","serveraddress":"127.0.0.1:1"}`), "http://x/v1.41/auth")
	curl("-H", json, "-d", body(`{"Name":"opts","Driver":"local","DriverOpts":{"type":"cifs","device":"//h/s","o":"username=u,password=canary17"}}`),
		"http://x/v1.41/volumes/create")
	d.Docker("volume", "create", "--opt=type=none", "--opt=o=bind", "--opt=device=/root/.ssh", "keys")
	_ = d.Command("exec", "--privileged", "web", "env").Run() // not every machine lets containers have all privileges
	curl("-H", json, "-d", body(`{"Image":"busybox","Env":["F=canary18"],"Labels":{"l":"canary19"},"HostConfig":{"Binds":["/etc:/host:ro"],
		"LogConfig":{"Type":"json-file","Config":{"tag":"canary20"}},"Mounts":[{"Type":"volume","Target":"/x","VolumeOptions":{"DriverConfig":{"Name":"local","Options":{"o":"password=canary21"}}}}]}}`),
		"http://x/v1.41/containers/create?name=body")
	curl("-H", json, "-d", body(`{"Cmd":["sh","-c","DB_PASSWORD=canary22 true"],"Env":["G=canary23"]}`), "http://x/v1.41/containers/web/exec")
	curl("-G", "--data-urlencode", "filters="+body(`{"label":["secret=canary24"]}`), "http://x/v1.41/containers/json")
	curl("-K", config("url = \"http://x/v1.41/containers/json?filters=%7B%22label%22%3A%5B%22canary25%22%5D%7D\"\n"))

	r.settle(t, d, "last")
	r.request(t, "/build")
	r.request(t, "/auth")
	e := r.event(t, "create", func(e *event.Event) bool { return strings.Contains(e.Docker.Request.Query, "name=body") })
	if got := e.Docker.Request; got.CreateImage != "busybox" || len(got.CreateMounts) == 0 || got.CreateMounts[0] != "/etc:/host:ro" ||
		!slices.Equal(got.CreateExposes, []string{"credentials"}) {
		t.Errorf("create is %+v", got)
	}
	e = r.event(t, "volume create", func(e *event.Event) bool { return e.Docker.ActorName == "keys" && e.Input == event.DockerAPI })
	if got := e.Docker.Request; !slices.Equal(got.CreateMounts, []string{"/root/.ssh:keys"}) || !slices.Equal(got.CreateExposes, []string{"credentials"}) {
		t.Errorf("volume create is %+v", got)
	}
	e = r.event(t, "exec", func(e *event.Event) bool { return e.Docker.Request.ExecPrivileged })
	if got := e.CommandReads.Names(); !slices.Equal(got, []string{"environment"}) {
		t.Errorf("exec reads %q", got)
	}
	// Those that no answer came to as well.
	r.Eventually(t, "the requests of all clients", func() bool {
		n := 0
		for _, e := range r.events(t) {
			if e.Docker.Client.Name == "curl" {
				n++
			}
		}
		return n >= curls
	})
	if n := len(r.Events()); n < 20 {
		t.Errorf("%d events only", n)
	}
	for _, e := range r.Events() {
		if strings.Contains(e.JSON, "canary") {
			t.Errorf("a secret shows: %s", e.JSON)
		}
	}
	if log := r.InfoText() + r.MalformedText() + r.ReconnectedText(); strings.Contains(log, "canary") {
		t.Errorf("a secret shows in the log: %s", log)
	}
}
