// SPDX-License-Identifier: Apache-2.0

package operation

import "testing"

func TestDockerEvent(t *testing.T) {
	for _, tt := range []struct {
		typ, action string
		want        Operation
	}{
		{"container", "exec_create: sh -c env", Operation{"exec.create", None}},
		{"container", "exec_start: curl http://x:80/", Operation{"container.exec", Filesystem}},
		{"container", "exec_die", Operation{"exec.die", None}},
		{"container", "health_status: healthy", Operation{"container.health", None}},
		{"container", "archive-path", Operation{"container.archive_read", Filesystem}},
		{"container", "extract-to-dir", Operation{"container.archive_write", None}},
		{"container", "export", Operation{"container.export", Filesystem}},
		{"container", "commit", Operation{"container.commit", Filesystem}},
		{"container", "attach", Operation{"container.attach", Filesystem}},
		{"container", "top", Operation{"container.top", Environment}},
		{"container", "destroy", Operation{"container.remove", None}},
		{"image", "save", Operation{"image.save", Filesystem}},
		{"image", "delete", Operation{"image.remove", None}},
		{"volume", "mount", Operation{"volume.mount", None}},
		{"secret", "create", Operation{"swarm.secret", Secret}},
		{"config", "update", Operation{"swarm.config", ConfigMap}},
		{"network", "destroy", Operation{"network.remove", None}},
		{"daemon", "insecure", Operation{"daemon.insecure", None}},
		{"daemon", "reload", Operation{"system.reload", None}},
		{"image", "exec_create: sh", Other},
		{"container", "exec_created", Other},
		{"container", ": sh", Other},
		{"", "", Other},
	} {
		if got := DockerEvent(tt.typ, tt.action); got != tt.want {
			t.Errorf("%s %s: got %v, want %v", tt.typ, tt.action, got, tt.want)
		}
	}
}

// An event and the request that causes it are one act, so an operation of the
// same name must have the same credential in both tables.
func TestDockerEventAgreesWithRoutes(t *testing.T) {
	routes := make(map[string]Credential)
	for _, r := range dockerRoutes {
		if c, ok := routes[r.op.Name]; ok && c != r.op.Credential {
			t.Errorf("routes: %s has credential %q and %q", r.op.Name, c, r.op.Credential)
		}
		routes[r.op.Name] = r.op.Credential
	}
	for key, op := range dockerEvents {
		if c, ok := routes[op.Name]; ok && c != op.Credential {
			t.Errorf("event %v: %s has credential %q, its route %q", key, op.Name, op.Credential, c)
		}
	}
}

func TestDockerEventAllocs(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { DockerEvent("container", "exec_create: sh -c env") }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
