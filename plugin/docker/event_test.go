// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"testing"

	"github.com/containerapi/containerapi/plugin/operation"
)

func TestEventOperation(t *testing.T) {
	for _, tt := range []struct {
		typ, action string
		want        operation.Operation
	}{
		{"container", "exec_create: sh -c env", operation.Operation{Name: "exec.create", Credential: operation.None}},
		{"container", "exec_start: curl http://x:80/", operation.Operation{Name: "container.exec", Credential: operation.Filesystem}},
		{"container", "exec_die", operation.Operation{Name: "exec.die", Credential: operation.None}},
		{"container", "health_status: healthy", operation.Operation{Name: "container.health", Credential: operation.None}},
		{"container", "archive-path", operation.Operation{Name: "container.archive_read", Credential: operation.Filesystem}},
		{"container", "extract-to-dir", operation.Operation{Name: "container.archive_write", Credential: operation.None}},
		{"container", "export", operation.Operation{Name: "container.export", Credential: operation.Filesystem}},
		{"container", "commit", operation.Operation{Name: "container.commit", Credential: operation.Filesystem}},
		{"container", "attach", operation.Operation{Name: "container.attach", Credential: operation.Filesystem}},
		{"container", "top", operation.Operation{Name: "container.top", Credential: operation.Environment}},
		{"container", "destroy", operation.Operation{Name: "container.remove", Credential: operation.None}},
		{"image", "save", operation.Operation{Name: "image.save", Credential: operation.Filesystem}},
		{"image", "delete", operation.Operation{Name: "image.remove", Credential: operation.None}},
		{"volume", "mount", operation.Operation{Name: "volume.mount", Credential: operation.None}},
		{"secret", "create", operation.Operation{Name: "swarm.secret", Credential: operation.Secret}},
		{"config", "update", operation.Operation{Name: "swarm.config", Credential: operation.ConfigMap}},
		{"network", "destroy", operation.Operation{Name: "network.remove", Credential: operation.None}},
		{"daemon", "insecure", operation.Operation{Name: "daemon.insecure", Credential: operation.None}},
		{"daemon", "reload", operation.Operation{Name: "system.reload", Credential: operation.None}},
		{"image", "exec_create: sh", operation.Other},
		{"container", "exec_created", operation.Other},
		{"container", ": sh", operation.Other},
		{"", "", operation.Other},
	} {
		if got := EventOperation(tt.typ, tt.action); got != tt.want {
			t.Errorf("%s %s: got %v, want %v", tt.typ, tt.action, got, tt.want)
		}
	}
}

// An event and the request that causes it are one act, so an operation of the
// same name must have the same credential in both tables.
func TestEventAgreesWithRoutes(t *testing.T) {
	credentials := make(map[string]operation.Credential)
	for _, r := range routes {
		if c, ok := credentials[r.operation]; ok && c != r.credential {
			t.Errorf("routes: %s has credential %q and %q", r.operation, c, r.credential)
		}
		credentials[r.operation] = r.credential
	}
	for key, r := range events {
		if c, ok := credentials[r.operation]; ok && c != r.credential {
			t.Errorf("event %v: %s has credential %q, its route %q", key, r.operation, r.credential, c)
		}
	}
}

func TestEventAllocs(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { EventOperation("container", "exec_create: sh -c env") }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
