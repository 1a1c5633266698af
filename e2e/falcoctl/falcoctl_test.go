// SPDX-License-Identifier: Apache-2.0

package falcoctl

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerapi/containerapi/e2e/engine"
	"github.com/containerapi/containerapi/e2e/engine/enginetest"
	"github.com/containerapi/containerapi/e2e/process"
)

// TestInstall does what a user does with falcoctl, word for word as in
// docs/packages.md: the rules are asked for by name, and bring their plugin.
// What is installed is what was built, and an engine runs it.
func TestInstall(t *testing.T) {
	registry := startRegistry(t)
	dist := filepath.Join(t.TempDir(), "dist")
	packaging := buildPackaging(t)
	run(t, nil, packaging, "-out", dist, "../..")
	run(t, nil, packaging, "-push", registry+"/containerapi", "-plain-http", "-out", dist, "../..")

	for _, test := range []struct {
		rules, file, plugin string
	}{
		{"containerapi-rules", "containerapi_rules.yaml", "libcontainerapi.so"},
		{"containerapi-k8s-audit-rules", "containerapi_k8s_audit_rules.yaml", "libcontainerapi-extract.so"},
		{"containerapi-syscall-rules", "containerapi_syscall_rules.yaml", ""},
	} {
		home := newHome(t)
		index := httptest.NewServer(http.FileServer(http.Dir(dist)))
		falcoctl(t, home, "index", "add", "containerapi", index.URL+"/index.yaml")
		index.Close()
		falcoctl(t, home, "artifact", "install", test.rules, "--plain-http",
			"--plugins-dir", filepath.Join(home, "plugins"), "--rulesfiles-dir", filepath.Join(home, "rules"))

		same(t, filepath.Join(home, "rules", test.file), filepath.Join("../../rules", test.file))
		plugins, err := os.ReadDir(filepath.Join(home, "plugins"))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, p := range plugins {
			names = append(names, p.Name())
		}
		if got := strings.Join(names, " "); got != test.plugin {
			t.Errorf("%s brought the plugins %q, want %q", test.rules, got, test.plugin)
		}
		if test.plugin != "" {
			same(t, filepath.Join(home, "plugins", test.plugin), filepath.Join("../..", test.plugin))
		}
		if test.rules == "containerapi-rules" {
			alert(t, filepath.Join(home, "plugins", test.plugin), filepath.Join(home, "rules", test.file))
		}
	}
}

// TestPublished proves what the artifacts say of themselves: versions,
// dependencies and requirements, at all of their tags.
func TestPublished(t *testing.T) {
	registry := startRegistry(t)
	dist := filepath.Join(t.TempDir(), "dist")
	packaging := buildPackaging(t)
	run(t, nil, packaging, "-out", dist, "../..")
	run(t, nil, packaging, "-push", registry+"/containerapi", "-plain-http", "-out", dist, "../..")
	home := newHome(t)
	for _, test := range []struct{ ref, says string }{
		{"plugins/containerapi:0.1.0", `{"name":"containerapi","version":"0.1.0","requirements":[{"name":"plugin_api_version","version":"3.0.0"}]}`},
		{"plugins/containerapi-extract:0.1", `{"name":"containerapi-extract","version":"0.1.0","requirements":[{"name":"plugin_api_version","version":"3.0.0"}]}`},
		{"rules/containerapi-rules:0", `{"name":"containerapi-rules","version":"0.1.0","dependencies":[{"name":"containerapi","version":"0.1.0"}],"requirements":[{"name":"engine_version_semver","version":"0.26.0"}]}`},
		{"rules/containerapi-k8s-audit-rules:latest", `{"name":"containerapi-k8s-audit-rules","version":"0.1.0","dependencies":[{"name":"containerapi-extract","version":"0.1.0"}],"requirements":[{"name":"engine_version_semver","version":"0.26.0"}]}`},
		{"rules/containerapi-syscall-rules:0.1.0", `{"name":"containerapi-syscall-rules","version":"0.1.0","requirements":[{"name":"engine_version_semver","version":"0.57.0"}]}`},
	} {
		got := falcoctl(t, home, "artifact", "config", registry+"/containerapi/"+test.ref, "--plain-http")
		if strings.TrimSpace(got) != test.says {
			t.Errorf("%s:\n got %s\nwant %s", test.ref, got, test.says)
		}
	}
}

// alert runs what was installed on a recorded attack.
func alert(t *testing.T, library, rules string) {
	t.Helper()
	e := enginetest.Find(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	alerts, err := engine.Replay(ctx, e, engine.Config{
		Plugins: []engine.Plugin{{Name: "containerapi", Library: library, Open: "../engine/testdata/list-secrets.jsonl"}},
		Source:  "container_api",
		Rules:   []string{rules},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(alerts) != 1 {
		t.Fatalf("%s: %d alerts with what was installed, want 1", e, len(alerts))
	}
	t.Logf("%s: %s", e, alerts[0].Rule)
}

// startRegistry starts a registry for the length of the test, and returns its
// address.
func startRegistry(t *testing.T) string {
	t.Helper()
	address, err := process.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "registry.yaml")
	text := fmt.Sprintf("version: 0.1\nlog: {accesslog: {disabled: true}, level: error}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %q}\n", t.TempDir(), address)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	log := new(process.Output)
	cmd := exec.Command(tool(t, "registry"), "serve", config)
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	cmd.Stdout, cmd.Stderr = log, log
	p, err := process.Start("registry", cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(syscall.SIGTERM, 5*time.Second); err != nil {
			t.Error(err)
		}
	})
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		response, err := http.Get("http://" + address + "/v2/")
		if err == nil {
			response.Body.Close()
			return address
		}
		if time.Now().After(deadline) {
			t.Fatalf("the registry does not answer: %v\n%s", err, log)
		}
	}
}

// buildPackaging builds the command that makes and publishes the release files.
func buildPackaging(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "packaging")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", name, "./packaging")
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build packaging: %v\n%s", err, out)
	}
	return name
}

// newHome returns a directory for falcoctl to install into and to keep its own
// files in, with no index known.
func newHome(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	for _, dir := range []string{"plugins", "rules", "state"} {
		if err := os.Mkdir(filepath.Join(home, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(home, "falcoctl.yaml"), []byte("indexes: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return home
}

// falcoctl runs falcoctl and returns what it prints.
func falcoctl(t *testing.T, home string, args ...string) string {
	t.Helper()
	if args[0] == "artifact" && args[1] == "install" {
		args = append(args, "--state-dir", filepath.Join(home, "state"))
	}
	args = append(args, "--config", filepath.Join(home, "falcoctl.yaml"), "--log-format", "json")
	return run(t, []string{"HOME=" + home, "XDG_CONFIG_HOME=" + home}, tool(t, "falcoctl"), args...)
}

// run runs a program, with the directory of the tools in front of the PATH.
func run(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(tool(t, "falcoctl"))+":"+os.Getenv("PATH"))
	cmd.Env = append(cmd.Env, env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", filepath.Base(name), strings.Join(args, " "), err, &stdout, &stderr)
	}
	return stdout.String()
}

func tool(t *testing.T, name string) string {
	t.Helper()
	dir, err := Directory()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// same fails the test if the files differ.
func same(t *testing.T, got, want string) {
	t.Helper()
	a, err := os.ReadFile(got)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(want)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Errorf("%s is not %s", got, want)
	}
}
