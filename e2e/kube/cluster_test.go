// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCluster(t *testing.T) {
	const canary = "canary-in-a-cluster"
	c, err := Start(t.Context(), Options{Canary: canary})
	if err != nil {
		t.Fatal(err)
	}
	etcd, apiserver := c.etcd, c.apiserver
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(c.Dir); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", c.Dir, err)
		}
		for name, p := range map[string]interface{ Ended() <-chan struct{} }{"etcd": etcd, "kube-apiserver": apiserver} {
			select {
			case <-p.Ended():
			default:
				t.Errorf("%s still runs", name)
			}
		}
	})
	for _, test := range []struct {
		user, command, want string
		fails               bool
	}{
		{user: "admin", command: "get secrets -A", want: "database"},
		{user: "admin", command: "exec -n shop web -- cat /" + tokenPath, want: "eyJ"},
		{user: "admin", command: "exec -n shop web -- false", want: "exit code 1", fails: true},
		{user: "developer", command: "logs -n shop web", want: canary},
		{user: "developer", command: "get secrets -A", want: "Forbidden", fails: true},
		{user: "stranger", command: "get pods -n shop", want: "Forbidden", fails: true},
		{user: "node", command: "get secret database -n shop", want: "database"},
		{user: "controller", command: "get secrets -A", want: "database"},
		{user: "workload", command: "auth whoami", want: "system:serviceaccount:shop:web"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		out, err := c.Command(ctx, test.user, strings.Fields(test.command)...).CombinedOutput()
		cancel()
		if (err != nil) != test.fails || !strings.Contains(string(out), test.want) {
			t.Errorf("kubectl %s as %s: %v, want %q:\n%s", test.command, test.user, err, test.want, out)
		}
	}
	log, err := os.ReadFile(c.AuditLog)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(log), `"username":"system:serviceaccount:shop:web"`) {
		t.Error("the audit log lacks the workload's request")
	}
	target := filepath.Join(t.TempDir(), "token")
	if out, err := c.Command(t.Context(), "admin", "cp", "shop/web:"+tokenPath, target).CombinedOutput(); err != nil {
		t.Errorf("kubectl cp: %v: %s", err, out)
	}
	if text, _ := os.ReadFile(target); !strings.HasPrefix(string(text), "eyJ") {
		t.Error("kubectl cp did not bring the token")
	}
}
