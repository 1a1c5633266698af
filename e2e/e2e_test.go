// SPDX-License-Identifier: Apache-2.0

// Package e2e tries the plugin and its rules in a real engine, on a real
// kube-apiserver and a real Docker Engine.
package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerapi/containerapi/e2e/engine"
	"github.com/containerapi/containerapi/e2e/engine/enginetest"
	"github.com/containerapi/containerapi/e2e/kube"
	"github.com/containerapi/containerapi/e2e/process"
	"github.com/containerapi/containerapi/internal/dockerd"
	"github.com/containerapi/containerapi/internal/dockertest"
)

const source = "container_api"

// plugin returns the plugin that `make build` built.
func plugin(t *testing.T, open string) engine.Plugin {
	t.Helper()
	library, err := filepath.Abs("../libcontainerapi.so")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(library); err != nil {
		t.Fatalf("run make build: %v", err)
	}
	return engine.Plugin{Name: "containerapi", Library: library, Open: open}
}

// startEngine starts the engine with the plugin for the length of the test.
func startEngine(t *testing.T, p engine.Plugin, rules ...string) *engine.Process {
	t.Helper()
	return enginetest.Start(t, engine.Config{
		Plugins: []engine.Plugin{p},
		Source:  source,
		Rules:   rules,
	})
}

// startCluster starts a cluster for the length of the test.
func startCluster(t *testing.T, o kube.Options) *kube.Cluster {
	t.Helper()
	c, err := kube.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// shippedAudit returns options for a cluster whose API server is set up as
// docs/kubernetes-audit.md says, with the files that are shipped for it.
func shippedAudit(t *testing.T, webhook string) kube.Options {
	t.Helper()
	var files [2]string
	for i, name := range []string{"audit-policy.yaml", "webhook-kubeconfig.yaml"} {
		text, err := os.ReadFile(filepath.Join("../docs", name))
		if err != nil {
			t.Fatal(err)
		}
		files[i] = string(text)
	}
	const address = "server: http://127.0.0.1:9765/k8s-audit\n"
	if !strings.Contains(files[1], address) {
		t.Fatalf("the shipped webhook-kubeconfig.yaml has no %q", address)
	}
	return kube.Options{
		AuditPolicy:   files[0],
		Webhook:       webhook,
		WebhookConfig: strings.Replace(files[1], address, "server: "+webhook+"\n", 1),
	}
}

// shippedPolicy returns the audit policy of that name.
func shippedPolicy(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// startDocker starts a Docker Engine for the length of the test.
func startDocker(t *testing.T, flags ...string) *dockertest.Daemon {
	t.Helper()
	requireDocker(t)
	return dockertest.Start(t, flags...)
}

// requireDocker fails the test where one of the Docker Engines cannot be started: a
// test that is skipped for want of a part proves nothing here.
func requireDocker(t *testing.T) {
	t.Helper()
	all, err := dockerd.Engines()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if err := e.Check(); err != nil {
			t.Fatalf("run make setup as root: Docker Engine %q %v", e.Name, err)
		}
	}
}

// webhook returns a URL for the plugin's webhook, at a port that is free.
func webhook(t *testing.T) (url, address string) {
	t.Helper()
	address, err := process.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return "http://" + address + "/k8s-audit", address
}

// awaitListener waits until the engine's plugin listens, so that no event is
// sent before.
func awaitListener(t *testing.T, run *engine.Process, address string) {
	t.Helper()
	if err := run.AwaitListener(t.Context(), address); err != nil {
		t.Fatal(err)
	}
}

// until waits until a condition holds.
func until(t *testing.T, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for !condition() {
		select {
		case <-ctx.Done():
			t.Fatalf("within %s it did not come about that %s", limit, what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
