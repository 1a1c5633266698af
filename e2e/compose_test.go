// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/containerapi/containerapi/e2e/compose"
	"github.com/containerapi/containerapi/e2e/engine"
	"github.com/containerapi/containerapi/e2e/engine/enginetest"
	"github.com/containerapi/containerapi/e2e/scenario"
	"github.com/containerapi/containerapi/internal/dockertest"
)

const stackDirectory = "../docker-compose"

// stack is a compose file as `docker compose config` shows it.
type stack struct {
	Services map[string]struct {
		Image       string
		Build       *struct{ Dockerfile string }
		Privileged  bool
		CapDrop     []string `json:"cap_drop"`
		CapAdd      []string `json:"cap_add"`
		SecurityOpt []string `json:"security_opt"`
		PID         string
		NetworkMode string            `json:"network_mode"`
		Environment map[string]string `json:"environment"`
		Restart     string
		Healthcheck *struct{ Test []string }
		Ports       []struct {
			HostIP string `json:"host_ip"`
		}
		Volumes []struct {
			Source, Target string
			ReadOnly       bool `json:"read_only"`
		}
	}
}

// loadStack returns the demo stack as Compose reads it.
func loadStack(t *testing.T) stack {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "docker", "compose", "--project-directory", stackDirectory, "config", "--format", "json").Output()
	if err != nil {
		var exit *exec.ExitError
		errors.As(err, &exit)
		t.Fatalf("docker compose config: %v\n%s", err, exit.Stderr)
	}
	var s stack
	if err := json.Unmarshal(out, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// baseImages returns the images that the demo stack's Dockerfile begins from.
func baseImages(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(stackDirectory, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	var images []string
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "FROM" {
			images = append(images, fields[1])
		}
	}
	return images
}

// TestStackFile checks that the demo stack asks for no more than it needs.
func TestStackFile(t *testing.T) {
	s := loadStack(t)
	images := baseImages(t)
	if len(s.Services) != 6 || len(images) != 2 {
		t.Fatalf("%d services and %d base images", len(s.Services), len(images))
	}
	capabilities := map[string][]string{"falco": {"BPF", "PERFMON", "SYS_PTRACE"}}
	socket := []string{"attacker", "falco"}
	for name, service := range s.Services {
		if service.Build == nil {
			images = append(images, service.Image)
		}
		if service.Privileged || service.PID != "" || service.NetworkMode != "" && service.NetworkMode != "none" {
			t.Errorf("%s: runs with privileges or in a namespace of the host", name)
		}
		if !slices.Equal(service.CapDrop, []string{"ALL"}) || !slices.Equal(service.CapAdd, capabilities[name]) {
			t.Errorf("%s: drops the capabilities %q and adds %q", name, service.CapDrop, service.CapAdd)
		}
		if !slices.Equal(service.SecurityOpt, []string{"no-new-privileges:true"}) {
			t.Errorf("%s: has the security options %q", name, service.SecurityOpt)
		}
		if name == "attacker" && service.Restart != "no" || name != "attacker" && (service.Restart != "unless-stopped" || service.Healthcheck == nil) {
			t.Errorf("%s: is restarted %q, health check %v", name, service.Restart, service.Healthcheck)
		}
		for _, p := range service.Ports {
			if ip, err := netip.ParseAddr(p.HostIP); err != nil || !ip.IsLoopback() {
				t.Errorf("%s: has a port at %q", name, p.HostIP)
			}
		}
		for _, v := range service.Volumes {
			if v.Target == "/var/run/docker.sock" && slices.Contains(socket, name) {
				continue
			}
			if _, err := os.Stat(v.Source); err != nil || !v.ReadOnly {
				t.Errorf("%s: mounts %s, read-only %t: %v", name, v.Source, v.ReadOnly, err)
			}
		}
	}
	pinned := regexp.MustCompile(`:v?\d+\.\d+\.\d+(-[a-z0-9]+)?$`)
	for _, image := range images {
		if !pinned.MatchString(image) {
			t.Errorf("%s: does not name a version", image)
		}
	}
}

// announcement is the alert that a step of attack.sh announces.
var announcement = regexp.MustCompile(`(?m)^attack "[^"]*" \\\n\t"[^"]*" \\\n\t"([^"]*)" \\$`)

// announced returns the alerts that attack.sh announces, in its order. A scenario
// of the Docker API must raise each, so that the script has no data of its own.
func announced(t *testing.T) []string {
	t.Helper()
	script, err := os.ReadFile(filepath.Join(stackDirectory, "attack.sh"))
	if err != nil {
		t.Fatal(err)
	}
	attacks, err := scenario.Load("attack")
	if err != nil {
		t.Fatal(err)
	}
	var rules []string
	for _, match := range announcement.FindAllStringSubmatch(string(script), -1) {
		rule := match[1]
		if !slices.ContainsFunc(attacks, func(s scenario.Scenario) bool {
			return s.Live() && s.API == scenario.Docker && slices.Contains(s.Expect, rule)
		}) {
			t.Errorf("attack.sh announces %q, which no scenario raises", rule)
		}
		rules = append(rules, rule)
	}
	if steps := strings.Count(string(script), "\nattack \""); len(rules) != steps || steps == 0 {
		t.Errorf("%d of %d attacks in attack.sh announce an alert", len(rules), steps)
	}
	return rules
}

func TestStackAnnouncements(t *testing.T) { announced(t) }

// TestStack runs the demo stack with Compose as it is, but for the web page, on
// images of the same names that are made here. Each attack must raise the alert
// that it announces, with the names of both containers and without the secret,
// and the stack must leave nothing behind.
func TestStack(t *testing.T) {
	s := loadStack(t)
	daemon := startDocker(t, "--ip-forward=false")
	makeImages(t, daemon, s)
	t.Setenv("DOCKER_SOCKET", daemon.Socket)
	t.Setenv("PAUSE", "0")
	files := []string{"compose", "--file", stackDirectory + "/compose.yaml", "--file", "compose/override.yaml"}
	if out, err := daemon.Command("create", "--cap-add=BPF", dockertest.Image).CombinedOutput(); err != nil {
		t.Logf("Falco gets CAP_SYS_ADMIN, for this Docker Engine: %s", out)
		files = append(files, "--file", stackDirectory+"/sys-admin.yaml")
	}
	run := func(args ...string) string {
		t.Helper()
		return daemon.Docker(slices.Concat(files, args)...)
	}
	before := inventory(daemon)
	down := func() { t.Helper(); run("down", "--volumes", "--rmi", "local", "--timeout", "5") }
	defer func() {
		if t.Failed() {
			t.Log(run("ps", "--all"), run("logs", "--no-color"))
		}
		down()
	}()

	awaitTap := func(starts int) {
		t.Helper()
		until(t, time.Minute, "the tap is loaded", func() bool {
			return strings.Count(run("logs", "--no-log-prefix", "falco"), "seeing every request") == starts
		})
	}
	awaitAttacker := func() {
		t.Helper()
		if code := daemon.Docker("wait", "demo-attacker"); code != "0" {
			t.Fatalf("the attacker ended with %s", code)
		}
	}
	run("up", "--detach", "--wait", "falco")
	awaitTap(1)
	run("up", "--detach")
	awaitAttacker()

	told := run("logs", "--no-log-prefix", "attacker")
	var expected []string
	for line := range strings.Lines(told) {
		if rule, ok := strings.CutPrefix(strings.TrimSpace(line), "alert: "); ok {
			expected = append(expected, rule)
		}
	}
	if want := announced(t); !slices.Equal(expected, want) {
		t.Fatalf("the attacker announces %q, want %q:\n%s", expected, want, told)
	}
	var received string
	until(t, time.Minute, "all alerts arrive", func() bool {
		received = run("logs", "--no-log-prefix", "falcosidekick")
		return inOrder(alertsIn(t, received), expected)
	})
	// What else docker-compose/README.md invites to.
	run("restart", "falco")
	awaitTap(2)
	run("up", "--detach", "attacker")
	awaitAttacker()
	daemon.Docker("exec", "demo-victim", "env")
	until(t, time.Minute, "the alert of an exec from the host arrives", func() bool {
		received = run("logs", "--no-log-prefix", "falcosidekick")
		return slices.ContainsFunc(alertsIn(t, received), func(a stackAlert) bool {
			return a.Rule == "Docker Exec Reads Credentials" && a.Fields["docker.container.name"] == "demo-victim"
		})
	})

	for name, value := range s.Services["victim"].Environment {
		if !strings.Contains(value, "dummy") || !strings.Contains(told, value) {
			t.Errorf("the attacker did not get %s", name)
		}
		requireNoCanary(t, value, received, run("logs", "falco"))
	}
	requireNoCanary(t, "dummy-", received, run("logs", "falco"))

	programs := programsOf(t, daemon.Docker("inspect", "--format", "{{.State.Pid}}", run("ps", "--quiet", "falco")))
	if len(programs) < 4 {
		t.Fatalf("Falco's container holds %d BPF programs only", len(programs))
	}
	down()
	for what, old := range before {
		if now := inventory(daemon)[what]; now != old {
			t.Errorf("%s are left behind:\n%s\nwere there before:\n%s", what, now, old)
		}
	}
	until(t, 10*time.Second, "its BPF programs are gone", func() bool {
		return !slices.ContainsFunc(programs, func(id ebpf.ProgramID) bool {
			p, err := ebpf.NewProgramFromID(id)
			if err == nil {
				p.Close()
			}
			return !errors.Is(err, os.ErrNotExist)
		})
	})
}

// makeImages gives the daemon an image for each that the stack names: Falco, or
// sysdig where there is none, with the plugin as make build made it; docker of
// this machine; and one that shows what Falcosidekick gets.
func makeImages(t *testing.T, daemon *dockertest.Daemon, s stack) {
	t.Helper()
	ctx := t.Context()
	provide := func(name string, fill func(i *compose.Image) error, instructions ...string) {
		t.Helper()
		i, err := compose.New(ctx, daemon.Daemon, t.TempDir())
		if err == nil {
			err = errors.Join(fill(i), i.Import(ctx, name, instructions...))
		}
		if err != nil {
			t.Fatalf("image %s: %v", name, err)
		}
	}
	program := func(name string) string {
		t.Helper()
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatalf("run make setup: %v", err)
		}
		return path
	}
	base := baseImages(t)
	provide(base[0], func(i *compose.Image) error {
		return errors.Join(
			i.Write("bin/go", []byte("#!/bin/sh\n")),
			i.Write("bin/make", []byte("#!/bin/sh\ntest -d plugin && test -f Makefile && cp /built.so libcontainerapi.so\n")),
			i.Copy(plugin(t, "").Library, "built.so"),
		)
	}, "ENV PATH=/bin")
	e := enginetest.Find(t)
	provide(base[1], func(i *compose.Image) error {
		isFalco, err := engine.Pack(ctx, e, plugin(t, "").Library, i.Copy)
		if err == nil && !isFalco {
			err = i.Build(ctx, "./compose/falco", "usr/bin/falco")
		}
		return errors.Join(err, i.Program(ctx, program("curl"), "bin/curl"))
	}, "ENV PATH=/bin XDG_CACHE_HOME="+engine.Packed)
	provide(s.Services["falcosidekick"].Image, func(i *compose.Image) error {
		return i.Build(ctx, "./compose/falcosidekick", "bin/falcosidekick")
	}, `CMD ["/bin/falcosidekick"]`)
	provide(s.Services["attacker"].Image, func(i *compose.Image) error {
		return i.Program(ctx, program("docker"), "bin/docker")
	}, "ENV PATH=/bin")
	daemon.Docker("tag", dockertest.Image, s.Services["victim"].Image)
}

// inventory lists what a daemon has.
func inventory(d *dockertest.Daemon) map[string]string {
	// Docker lists by time, and what is of the same second in any order.
	list := func(args ...string) string {
		return strings.Join(slices.Sorted(strings.Lines(d.Docker(args...)+"\n")), "")
	}
	return map[string]string{
		"containers": list("ps", "--all", "--quiet"),
		"images":     list("images", "--format", "{{.Repository}}:{{.Tag}}"),
		"volumes":    list("volume", "ls", "--quiet"),
		"networks":   list("network", "ls", "--quiet"),
	}
}

// stackAlert is what is checked of an alert.
type stackAlert struct {
	Rule   string
	Output string
	Fields map[string]any `json:"output_fields"`
}

// alertsIn returns the alerts that Falcosidekick got.
func alertsIn(t *testing.T, log string) []stackAlert {
	t.Helper()
	var all []stackAlert
	lines := bufio.NewScanner(strings.NewReader(log))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var a stackAlert
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			t.Fatalf("%v: %s", err, lines.Text())
		}
		all = append(all, a)
	}
	return all
}

// inOrder reports whether the attacker raised these alerts in this order, with
// any other between them. An attack on a container names it.
func inOrder(alerts []stackAlert, rules []string) bool {
	for _, a := range alerts {
		if len(rules) == 0 {
			break
		}
		if a.Rule != rules[0] || a.Fields["docker.client.container.name"] != "demo-attacker" {
			continue
		}
		if a.Rule == "Docker Credentials Read From Container" && a.Fields["api.object"] != "demo-victim" {
			continue
		}
		rules = rules[1:]
	}
	return len(rules) == 0
}

// programsOf returns the BPF programs that a process and its children hold open
// by their links.
func programsOf(t *testing.T, pid string) []ebpf.ProgramID {
	t.Helper()
	ids := map[ebpf.ProgramID]bool{}
	files, err := filepath.Glob("/proc/" + pid + "/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	pids := []string{pid}
	for _, file := range files {
		text, _ := os.ReadFile(file)
		pids = append(pids, strings.Fields(string(text))...)
	}
	for _, pid := range pids {
		infos, _ := filepath.Glob("/proc/" + pid + "/fdinfo/*")
		for _, name := range infos {
			text, _ := os.ReadFile(name)
			for line := range strings.Lines(string(text)) {
				if value, ok := strings.CutPrefix(line, "prog_id:"); ok {
					if id, err := strconv.Atoi(strings.TrimSpace(value)); err == nil {
						ids[ebpf.ProgramID(id)] = true
					}
				}
			}
		}
	}
	return slices.Collect(maps.Keys(ids))
}
