// SPDX-License-Identifier: Apache-2.0

package operation

import "testing"

func TestKubernetes(t *testing.T) {
	for _, tt := range []struct {
		verb, group, resource, subresource string
		want                               Operation
	}{
		{"list", "", "secrets", "", Operation{"secret.list", Secret}},
		{"get", "", "secrets", "", Operation{"secret.get", Secret}},
		{"watch", "", "secrets", "", Operation{"secret.watch", Secret}},
		{"create", "", "secrets", "", Operation{"secret.create", None}},
		{"update", "", "secrets", "", Operation{"secret.update", None}},
		{"patch", "", "secrets", "", Operation{"secret.patch", Secret}},
		{"delete", "", "secrets", "", Operation{"secret.delete", Secret}},
		{"deletecollection", "", "secrets", "", Operation{"secret.delete", Secret}},
		{"list", "", "configmaps", "", Operation{"configmap.list", ConfigMap}},
		{"get", "", "serviceaccounts", "", Operation{"serviceaccount.get", None}},
		{"create", "", "serviceaccounts", "token", Operation{"token.create", Token}},
		{"create", "authentication.k8s.io", "tokenreviews", "", Operation{"token.review", None}},
		{"create", "authorization.k8s.io", "selfsubjectaccessreviews", "", Operation{"access.review", None}},
		{"create", "authorization.k8s.io", "selfsubjectrulesreviews", "", Operation{"access.review", None}},

		{"list", "", "pods", "", Operation{"pod.list", Environment}},
		{"create", "", "pods", "", Operation{"pod.create", None}},
		{"get", "", "pods", "status", Operation{"pod.get", Environment}},
		{"get", "", "pods", "log", Operation{"pod.logs", Logs}},
		// Over WebSocket and over SPDY.
		{"get", "", "pods", "exec", Operation{"pod.exec", Filesystem}},
		{"create", "", "pods", "exec", Operation{"pod.exec", Filesystem}},
		{"get", "", "pods", "attach", Operation{"pod.attach", Filesystem}},
		{"create", "", "pods", "attach", Operation{"pod.attach", Filesystem}},
		{"create", "", "pods", "portforward", Operation{"pod.portforward", None}},
		{"patch", "", "pods", "ephemeralcontainers", Operation{"pod.debug", Filesystem}},
		{"update", "", "pods", "ephemeralcontainers", Operation{"pod.debug", Filesystem}},
		{"get", "", "pods", "ephemeralcontainers", Operation{"pod.get", Environment}},
		{"delete", "", "pods", "proxy", Operation{"pod.proxy", None}},
		{"get", "", "services", "proxy", Operation{"service.proxy", None}},
		{"create", "", "nodes", "proxy", Operation{"node.proxy", Filesystem}},
		{"", "", "nodes", "proxy", Operation{"node.proxy", Filesystem}},
		{"patch", "", "nodes", "status", Operation{"node.patch", None}},

		{"get", "apps", "deployments", "", Operation{"workload.get", Environment}},
		{"update", "apps", "deployments", "status", Operation{"workload.update", Environment}},
		{"list", "apps", "controllerrevisions", "", Operation{"workload.list", Environment}},
		{"watch", "batch", "cronjobs", "", Operation{"workload.watch", Environment}},
		{"list", "", "podtemplates", "", Operation{"workload.list", Environment}},
		{"create", "apps", "deployments", "", Operation{"workload.create", None}},

		{"create", "rbac.authorization.k8s.io", "clusterrolebindings", "", Operation{"rbac.create", None}},
		{"create", "certificates.k8s.io", "certificatesigningrequests", "", Operation{"certificatesigningrequest.create", None}},
		{"update", "certificates.k8s.io", "certificatesigningrequests", "approval", Operation{"certificatesigningrequest.approve", None}},

		// Another group's resource of the same name is another resource.
		{"list", "example.com", "secrets", "", Other},
		{"list", "metrics.k8s.io", "pods", "", Other},
		{"list", "", "deployments", "", Other},
		{"update", "coordination.k8s.io", "leases", "", Other},
		{"list", "", "events", "", Other},
		{"get", "apps", "deployments", "scale", Other},
		{"GET", "", "secrets", "", Other},
		{"list", "", "serviceaccounts", "token", Other},
		{"create", "", "pods", "status", Other},
	} {
		r := KubernetesRequest{Verb: tt.verb, APIGroup: tt.group, Resource: tt.resource, Subresource: tt.subresource}
		if got := Kubernetes(r); got != tt.want {
			t.Errorf("%s %s/%s/%s: got %v, want %v", tt.verb, tt.group, tt.resource, tt.subresource, got, tt.want)
		}
	}
}

func TestKubernetesNodeProxy(t *testing.T) {
	for path, want := range map[string]Credential{
		"/api/v1/nodes/n1/proxy/metrics":                        None,
		"/api/v1/nodes/n1:10250/proxy/metrics/cadvisor":         None,
		"/api/v1/nodes/n1/proxy/stats/summary":                  None,
		"/api/v1/nodes/n1/proxy/pods":                           Environment,
		"/api/v1/nodes/n1/proxy/containerLogs/ns/p/c":           Logs,
		"/api/v1/nodes/n1/proxy/run/ns/p/c":                     Filesystem,
		"/api/v1/nodes/n1/proxy/exec/ns/p/c":                    Filesystem,
		"/api/v1/nodes/n1/proxy":                                Filesystem,
		"/api/v1/nodes/n1:2375/proxy/containers/x/json":         Filesystem,
		"/api/v1/nodes/n1/proxy/metrics/../pods":                Filesystem,
		"/api/v1/nodes/n1/proxy/metrics/%2e%2e/pods":            Filesystem,
		"/api/v1/nodes/n1/proxy/containerLogs/../run/ns/p/c":    Filesystem,
		"/api/v1/nodes/n1/proxy/containerLogs/%2e%2e/run/n/p/c": Filesystem,
		"/x/proxy/metrics":                                      Filesystem,
		"":                                                      Filesystem,
	} {
		got := Kubernetes(KubernetesRequest{Verb: "get", Resource: "nodes", Subresource: "proxy", Name: "n1", Path: path})
		if want := (Operation{"node.proxy", want}); got != want {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
}

func TestKubernetesNonResource(t *testing.T) {
	for path, want := range map[string]Operation{
		"/logs":                     {"apiserver.logs", Logs},
		"/logs/pods/":               {"apiserver.logs", Logs},
		"/logsx":                    Other,
		"/healthz":                  Other,
		"/openid/v1/jwks":           Other,
		"/api/v1/nodes/n/proxy/run": Other,
		"":                          Other,
	} {
		if got := Kubernetes(KubernetesRequest{Verb: "get", Path: path}); got != want {
			t.Errorf("%q: got %v, want %v", path, got, want)
		}
	}
}

func TestKubernetesAllocs(t *testing.T) {
	for _, r := range []KubernetesRequest{
		{Verb: "list", Resource: "secrets"},
		{Verb: "get", Resource: "nodes", Subresource: "proxy", Path: "/api/v1/nodes/n1/proxy/metrics"},
		{Verb: "update", APIGroup: "coordination.k8s.io", Resource: "leases"},
		{Verb: "get", Path: "/logs/"},
	} {
		if n := testing.AllocsPerRun(100, func() { Kubernetes(r) }); n != 0 {
			t.Errorf("%v: %v allocations, want none", r, n)
		}
	}
}

// FuzzKubernetes checks that every request has a name, and that a path, which
// the client writes, changes nothing where objectRef tells what was done.
func FuzzKubernetes(f *testing.F) {
	f.Add("get", "", "nodes", "proxy", "/api/v1/nodes/n1/proxy/metrics")
	f.Add("list", "", "secrets", "", "/api/v1/secrets")
	f.Add("get", "", "", "", "/logs/")
	f.Fuzz(func(t *testing.T, verb, group, resource, subresource, path string) {
		r := KubernetesRequest{Verb: verb, APIGroup: group, Resource: resource, Subresource: subresource, Path: path}
		got := Kubernetes(r)
		if got.Name == "" {
			t.Fatalf("%+v: no name", r)
		}
		if resource == "" || got.Name == "node.proxy" {
			return
		}
		r.Path = ""
		if without := Kubernetes(r); without != got {
			t.Fatalf("%+v: %v, without the path %v", r, got, without)
		}
	})
}

func BenchmarkKubernetes(b *testing.B) {
	r := KubernetesRequest{Verb: "list", Resource: "secrets"}
	b.ReportAllocs()
	for b.Loop() {
		Kubernetes(r)
	}
}
