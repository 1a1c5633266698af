// SPDX-License-Identifier: Apache-2.0

package dockerapi

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerapi/containerapi/internal/dockertest"
	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/meaning"
	"github.com/containerapi/containerapi/plugin/tap/taptest"
)

// What the engine made is told, whatever the client wrote, by one act with the
// process that did it.
func TestDaemonMade(t *testing.T) {
	dir, mounts := t.TempDir(), t.TempDir()
	// The engine has mounts of its own, with those that were there before.
	bound, parent := filepath.Join(mounts, "bound"), filepath.Join(mounts, "parent")
	for at, from := range map[string]string{bound: "/", filepath.Join(parent, "below"): "/etc"} {
		taptest.Run(t, exec.Command("sh", "-c", "mkdir -p "+at+" && mount --bind "+from+" "+at))
		t.Cleanup(func() { taptest.Run(t, exec.Command("umount", at)) })
	}
	d := dockertest.Start(t)
	r := startBoth(t, d)
	link := func(name, to string) string {
		p := filepath.Join(dir, name)
		if err := os.Symlink(to, p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	etc, root, relative := link("etc", "/etc"), link("root", "/"), link("relative", strings.Repeat("../", 20)+"etc/ssh")
	socket := filepath.Join(dir, "app.sock")
	if err := os.Link(d.Socket, socket); err != nil {
		t.Fatal(err)
	}
	project := func(name string) string { return "--label=com.docker.compose.project=" + name }
	d.Docker("volume", "create", "--opt=type=none", "--opt=o=bind", "--opt=device=/etc", "theirs")
	d.Docker("run", "--detach", "--stop-timeout=0", "--network=none", "--name=web", "--volume=data:/d", project("shop"), dockertest.Image, "sleep", "1000")
	// Another image, with nothing of the first one's definition.
	d.Docker("export", "--output="+filepath.Join(dir, "files.tar"), "web")
	d.Docker("import", "--change=CMD true", filepath.Join(dir, "files.tar"), "other")
	r.settle(t, d, "before")
	data := d.Docker("info", "--format={{.DockerRootDir}}")
	const image = "other"
	for n, test := range []struct {
		want string // of each act that exposes something
		args []string
	}{
		{"credentials", []string{"create", "--volume=" + etc + ":/x", image}},
		{"credentials", []string{"create", "--mount=type=bind,target=/x,source=" + etc + "/../etc//ssh", image}},
		{"host_root", []string{"create", "--volume=" + root + ":/x", image}},
		{"credentials", []string{"create", "--volume=" + relative + ":/x", image}},
		{"docker_socket", []string{"create", "--volume=" + socket + ":/x", image}},
		{"host_root", []string{"create", "--volume=" + bound + ":/x", image}},
		{"credentials", []string{"create", "--volume=" + bound + "/etc/ssh:/x", image}},
		{"credentials", []string{"create", "--volume=" + parent + ":/x", image}},
		{"credentials", []string{"create", "--volume=" + data + "/volumes:/x", image}},
		{"docker_socket credentials", []string{"create", "--volume=" + d.Dir + ":/x", image}},
		{"credentials", []string{"create", "--volume=theirs:/x", image}},
		{"credentials", []string{"create", "--mount=type=volume,target=/x,volume-driver=local,volume-opt=type=none,volume-opt=o=bind,volume-opt=device=" + etc, image}},
		{"credentials", []string{"volume", "create", "--opt=type=none", "--opt=o=rbind", "--opt=device=" + etc}},
		{"proc", []string{"volume", "create", "--opt=type=proc", "--opt=device=x"}},
		{"container_pid", []string{"create", "--pid=container:web", image}},
		{"container_network", []string{"create", "--network=container:web", image}},
		{"container_volumes", []string{"create", "--volumes-from=web:ro", image}},
		{"container_volumes", []string{"create", "--volume=data:/x", image}},
		{"container_volumes", []string{"create", "--volume=data:/x", project("other"), image}},
		// A label that promises what is not so.
		{"container_pid, sibling", []string{"create", "--pid=container:web", project("other"), image}},
		{"sibling", []string{"create", "--volume=data:/x", project("shop"), image}},
		{"sibling", []string{"create", "--pid=container:web", project("shop"), image}},
		{"sibling", []string{"create", "--volume=data:/x", dockertest.Image}},
		// The request says as much as the engine.
		{"docker_socket", []string{"create", "--volume=" + d.Socket + ":/x", image}},
		{"privileged", []string{"create", "--privileged", image}},
		{"host_root privileged", []string{"create", "--privileged", "--volume=/:/x", image}},
		{"unconfined", []string{"create", "--security-opt=seccomp=unconfined", image}},
		{"unconfined", []string{"create", "--security-opt=systempaths=unconfined", image}},
		{"host_pid", []string{"create", "--pid=host", image}},
		{"host_ipc", []string{"create", "--ipc=host", image}},
		{"credentials", []string{"run", "--rm", "--network=none", "--volume=" + etc + ":/x", image, "true"}},
		{"", []string{"create", "--volume=own:/x", "--volume=/y", image}},
		{"", []string{"create", "--volume=" + dir + ":/x", "--volume=/etc/localtime:/etc/localtime:ro", "--tmpfs=/t", image}},
	} {
		before := len(r.events(t))
		id := d.Docker(test.args...)
		r.settle(t, d, "after-"+string(rune('a'+n%26))+string(rune('a'+n/26)))
		var got []string
		for _, e := range r.events(t)[before:] {
			meaning.Classify(&e)
			if len(e.Docker.Request.CreateExposes) > 0 && meaning.IsAct(&e) {
				got = append(got, strings.Join(e.Docker.Request.CreateExposes, " "))
				if !strings.HasPrefix(e.Docker.Client.Cmdline, "docker ") {
					t.Errorf("docker %v: an act of %+v", test.args, e.Docker.Client)
				}
			}
		}
		if test.args[0] == "create" {
			d.Docker("rm", id)
		}
		// What is hidden can show a second time what the client admits, and either
		// can be told of first.
		slices.Sort(got)
		if strings.Join(slices.Compact(got), ", ") != test.want {
			t.Errorf("docker %v: exposes %q, want %q", test.args, got, test.want)
		}
	}
}

// A link that leads elsewhere by the time of the start is followed once more, and a
// start that shows nothing new says nothing.
func TestDaemonMadeAtStart(t *testing.T) {
	d := dockertest.Start(t)
	r := startBoth(t, d)
	p := filepath.Join(t.TempDir(), "link")
	point := func(to string) {
		_ = os.Remove(p)
		if err := os.Symlink(to, p); err != nil {
			t.Fatal(err)
		}
	}
	point("/srv")
	id := d.Docker("create", "--network=none", "--volume="+p+":/x", dockertest.Image, "true")
	// Else the creation's event can be looked at when the link leads to /etc already.
	r.event(t, "the creation", func(e *event.Event) bool { return e.Docker.Action == "create" && e.Docker.ActorID == id })
	point("/etc")
	started := func() (exposes []string, n int) {
		for _, e := range r.events(t) {
			if e.Docker.Action == "start" && e.Docker.ActorID == id {
				meaning.Classify(&e)
				n++
				if meaning.IsAct(&e) {
					exposes = append(exposes, e.Docker.Request.CreateExposes...)
				}
			}
		}
		return exposes, n
	}
	for n := 1; n <= 4; n++ {
		if n == 3 {
			point("/root")
		}
		d.Docker("start", id)
		r.event(t, "the start", func(*event.Event) bool { _, got := started(); return got == n })
		d.Docker("wait", id)
	}
	if exposes, _ := started(); !slices.Equal(exposes, []string{"credentials", "credentials"}) {
		t.Errorf("two starts with a link to /etc and two to /root say that %q is exposed, want it once each", exposes)
	}
}
