// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"strings"
	"testing"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/operation"
)

func op(name string, c operation.Credential) operation.Operation {
	return operation.Operation{Name: name, Credential: c}
}

func TestOperation(t *testing.T) {
	for _, tt := range []struct {
		verb, group, resource, subresource string
		want                               operation.Operation
	}{
		{"list", "", "secrets", "", op("secret.list", secret)},
		{"get", "", "secrets", "", op("secret.get", secret)},
		{"watch", "", "secrets", "", op("secret.watch", secret)},
		{"create", "", "secrets", "", op("secret.create", none)},
		{"update", "", "secrets", "", op("secret.update", none)},
		{"patch", "", "secrets", "", op("secret.patch", secret)},
		{"delete", "", "secrets", "", op("secret.delete", secret)},
		{"deletecollection", "", "secrets", "", op("secret.delete", secret)},
		{"list", "", "configmaps", "", op("configmap.list", configMap)},
		{"get", "", "serviceaccounts", "", op("serviceaccount.get", none)},
		{"create", "", "serviceaccounts", "token", op("token.create", token)},
		{"create", "authentication.k8s.io", "tokenreviews", "", op("token.review", none)},
		{"create", "authorization.k8s.io", "selfsubjectaccessreviews", "", op("access.review", none)},
		{"create", "authorization.k8s.io", "selfsubjectrulesreviews", "", op("access.review", none)},

		{"list", "", "pods", "", op("pod.list", environment)},
		{"create", "", "pods", "", op("pod.create", none)},
		{"get", "", "pods", "status", op("pod.get", environment)},
		{"get", "", "pods", "log", op("pod.logs", logs)},
		// Over WebSocket and over SPDY.
		{"get", "", "pods", "exec", op("pod.exec", filesystem)},
		{"create", "", "pods", "exec", op("pod.exec", filesystem)},
		{"get", "", "pods", "attach", op("pod.attach", filesystem)},
		{"create", "", "pods", "attach", op("pod.attach", filesystem)},
		{"create", "", "pods", "portforward", op("pod.portforward", none)},
		{"patch", "", "pods", "ephemeralcontainers", op("pod.debug", filesystem)},
		{"update", "", "pods", "ephemeralcontainers", op("pod.debug", filesystem)},
		{"get", "", "pods", "ephemeralcontainers", op("pod.get", environment)},
		{"delete", "", "pods", "proxy", op("pod.proxy", none)},
		{"get", "", "services", "proxy", op("service.proxy", none)},
		{"create", "", "nodes", "proxy", op("node.proxy", filesystem)},
		{"", "", "nodes", "proxy", op("node.proxy", filesystem)},
		{"patch", "", "nodes", "status", op("node.patch", none)},

		{"get", "apps", "deployments", "", op("workload.get", environment)},
		{"update", "apps", "deployments", "status", op("workload.update", environment)},
		{"list", "apps", "controllerrevisions", "", op("workload.list", environment)},
		{"watch", "batch", "cronjobs", "", op("workload.watch", environment)},
		{"list", "", "podtemplates", "", op("workload.list", environment)},
		{"create", "apps", "deployments", "", op("workload.create", none)},

		{"create", "rbac.authorization.k8s.io", "clusterrolebindings", "", op("rbac.create", none)},
		{"create", "certificates.k8s.io", "certificatesigningrequests", "", op("certificatesigningrequest.create", none)},
		{"update", "certificates.k8s.io", "certificatesigningrequests", "approval", op("certificatesigningrequest.approve", none)},

		{"create", "", "persistentvolumes", "", op("persistentvolume.create", none)},
		{"create", "storage.k8s.io", "csidrivers", "", op("csidriver.create", none)},
		{"patch", "admissionregistration.k8s.io", "validatingwebhookconfigurations", "", op("admission.patch", none)},
		{"create", "admissionregistration.k8s.io", "mutatingadmissionpolicybindings", "", op("admission.create", none)},
		{"create", "authorization.k8s.io", "subjectaccessreviews", "", op("subjectaccess.review", none)},
		{"list", "oauth.openshift.io", "oauthaccesstokens", "", op("oauthtoken.list", token)},
		{"get", "oauth.openshift.io", "oauthauthorizetokens", "", op("oauthtoken.get", token)},
		{"get", "oauth.openshift.io", "oauthclients", "", op("oauthclient.get", secret)},
		{"get", "image.openshift.io", "imagestreams", "secrets", op("imagestream.secrets", secret)},
		{"get", "build.openshift.io", "builds", "", op("build.get", environment)},
		{"list", "route.openshift.io", "routes", "", op("route.list", environment)},
		{"create", "apps.openshift.io", "deploymentconfigs", "", op("workload.create", none)},

		// Another group's resource of the same name is another resource.
		{"list", "example.com", "secrets", "", operation.Other},
		{"list", "metrics.k8s.io", "pods", "", operation.Other},
		{"list", "", "deployments", "", operation.Other},
		{"update", "coordination.k8s.io", "leases", "", operation.Other},
		{"list", "", "events", "", operation.Other},
		{"get", "apps", "deployments", "scale", operation.Other},
		{"GET", "", "secrets", "", operation.Other},
		{"list", "", "serviceaccounts", "token", operation.Other},
		{"create", "", "pods", "status", operation.Other},
	} {
		r := event.Kubernetes{Verb: tt.verb, APIGroup: tt.group, Resource: tt.resource, Subresource: tt.subresource}
		if got := Operation(&r); got != tt.want {
			t.Errorf("%s %s/%s/%s: got %v, want %v", tt.verb, tt.group, tt.resource, tt.subresource, got, tt.want)
		}
	}
}

func TestNodeProxy(t *testing.T) {
	for path, want := range map[string]operation.Credential{
		"/api/v1/nodes/n1/proxy/metrics":                        none,
		"/api/v1/nodes/n1:10250/proxy/metrics/cadvisor":         none,
		"/api/v1/nodes/n1/proxy/stats/summary":                  none,
		"/api/v1/nodes/n1/proxy/pods":                           environment,
		"/api/v1/nodes/n1/proxy/containerLogs/ns/p/c":           logs,
		"/api/v1/nodes/n1/proxy/run/ns/p/c":                     filesystem,
		"/api/v1/nodes/n1/proxy/exec/ns/p/c":                    filesystem,
		"/api/v1/nodes/n1/proxy":                                filesystem,
		"/api/v1/nodes/n1:2375/proxy/containers/x/json":         filesystem,
		"/api/v1/nodes/n1/proxy/metrics/../pods":                filesystem,
		"/api/v1/nodes/n1/proxy/metrics/%2e%2e/pods":            filesystem,
		"/api/v1/nodes/n1/proxy/containerLogs/../run/ns/p/c":    filesystem,
		"/api/v1/nodes/n1/proxy/containerLogs/%2e%2e/run/n/p/c": filesystem,
		"/x/proxy/metrics":                                      filesystem,
		"/api/v1/nodes/n1/proxy/configz":                        none,
		"/api/v1/nodes/n1/proxy/healthz/syncloop":               none,
		"/api/v1/nodes/n1/proxy/pods/":                          environment,
		"/api/v1/nodes/n1/proxy/checkpoint/ns/p/c":              filesystem,
		"/api/v1/nodes/n1/proxy/logs/":                          filesystem,
		// A slash in the name of a node is one that separates: this is a command.
		"/api/v1/nodes/n1%2Fproxy%2Frun%2Fns%2Fp%2Fc/proxy/metrics":     filesystem,
		"/api/v1/nodes/n1%2fproxy%2fexec%2fns%2fp%2fc%2f/proxy/healthz": filesystem,
		"/api/v1/nodes/n1%2Fproxy%2Fmetrics":                            none,
		"/%61pi/v1/%6eodes/n1/pro%78y/metrics":                          none,
		"/api/v1/nodes/n1/proxy/met%72ics":                              none,
		"/api/v1/nodes/n1/proxy/%6detrics%2F..%2Frun/ns/p/c":            filesystem,
		"/api/v1/nodes/n1/proxy/containerLogs/%252e%252e/run/n/p/c":     filesystem,
		"/api/v1/nodes/n1/proxy//run/ns/p/c":                            filesystem,
		"/api/v1/nodes/n1/proxy/metrics%zz":                             filesystem,
		"/api/v1/proxy/nodes/n1/metrics":                                filesystem,
		"":                                                              filesystem,
	} {
		got := Operation(&event.Kubernetes{Verb: "get", Resource: "nodes", Subresource: "proxy", Name: "n1", RequestURI: path})
		if want := op("node.proxy", want); got != want {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
}

// A kubelet asks about those who come to its own port, and others ask as well.
func TestKubeletAccess(t *testing.T) {
	for _, tt := range []struct {
		user, resource string
		want           operation.Operation
	}{
		{"system:node:n1", "nodes/proxy", op("kubelet.access", filesystem)},
		{"system:node:n1", "nodes/checkpoint", op("kubelet.access", filesystem)},
		{"system:node:n1", "nodes/log", op("kubelet.access", logs)},
		{"system:node:n1", "nodes/pods", op("kubelet.access", environment)},
		{"system:node:n1", "nodes/metrics", op("kubelet.access", none)},
		{"system:node:n1", "nodes/configz", op("kubelet.access", none)},
		{"system:node:n1", "", op("subjectaccess.review", none)},
		{"system:serviceaccount:shop:web", "nodes/proxy", op("subjectaccess.review", none)},
	} {
		k := event.Kubernetes{Verb: "create", APIGroup: "authorization.k8s.io", Resource: "subjectaccessreviews", User: event.User{Name: tt.user}}
		k.Given.ReviewResource = tt.resource
		if got := Operation(&k); got != tt.want {
			t.Errorf("%s asks for %q: %v, want %v", tt.user, tt.resource, got, tt.want)
		}
	}
}

func TestProxyOf(t *testing.T) {
	for _, tt := range []struct {
		name, path string
		want       Proxied
	}{
		{"web", "/", Proxied{}},
		{"web:8080", "/index.html", Proxied{Port: "8080"}},
		{"https:web:", "/", Proxied{}},
		{"vault:8200", "/v1/secret/data/db", Proxied{"8200", "vault", secret}},
		{"x:8200", "/anything", Proxied{"8200", "vault", secret}},
		{"https:vault:8200", "/v1/sys/health", Proxied{"8200", "vault", none}},
		{"http:openbao-0:http", "/v1/kv/x", Proxied{"http", "vault", secret}},
		{"renamed:80", "/v1/auth/token/lookup-self", Proxied{"80", "vault", secret}},
		{"etcd-0:2379", "/v3/kv/range", Proxied{"2379", "etcd", secret}},
		{"etcd-0:2379", "/health", Proxied{"2379", "etcd", none}},
		{"renamed:80", "/v2/keys/registry/secrets", Proxied{"80", "etcd", secret}},
		{"n:10250", "/run/shop/web/web", Proxied{"10250", "kubelet", filesystem}},
		{"n:10250", "/metrics/cadvisor", Proxied{"10250", "kubelet", none}},
		{"n:10250", "/metrics/../run/shop/web/web", Proxied{"10250", "kubelet", filesystem}},
		{"n:10255", "/pods", Proxied{"10255", "kubelet", filesystem}},
		{"dind:2375", "/containers/json", Proxied{"2375", "docker", filesystem}},
		{"https:kubernetes-dashboard:", "/", Proxied{"", "dashboard", environment}},
		{"web:8080", "/actuator/env", Proxied{"8080", "debug", environment}},
		{"web:8080", "/%61ctuator/env", Proxied{"8080", "debug", environment}},
		{"web:80", "/latest/meta-data/iam", Proxied{"80", "metadata", token}},
	} {
		for _, resource := range []string{"pods", "services"} {
			k := event.Kubernetes{Verb: "get", Resource: resource, Subresource: "proxy", Namespace: "shop", Name: tt.name,
				RequestURI: "/api/v1/namespaces/shop/" + resource + "/" + tt.name + "/proxy" + tt.path}
			if got := ProxyOf(&k); got != tt.want {
				t.Errorf("%s%s: %+v, want %+v", tt.name, tt.path, got, tt.want)
			}
			if got := Operation(&k).Credential; got != tt.want.Credential {
				t.Errorf("%s%s leaks %q, want %q", tt.name, tt.path, got, tt.want.Credential)
			}
		}
	}
}

// The name of a token of OpenShift before 4.6 is the token.
func TestHideName(t *testing.T) {
	for _, tt := range []struct{ group, resource, name, uri, wantName, wantURI string }{
		{"oauth.openshift.io", "oauthaccesstokens", "aBc-dEf", "/apis/oauth.openshift.io/v1/oauthaccesstokens/aBc-dEf?x=aBc-dEf", "***", "/apis/oauth.openshift.io/v1/oauthaccesstokens/***?x=***"},
		{"oauth.openshift.io", "oauthaccesstokens", "sha256~x", "/apis/oauth.openshift.io/v1/oauthaccesstokens/sha256~x", "sha256~x", "/apis/oauth.openshift.io/v1/oauthaccesstokens/sha256~x"},
		{"oauth.openshift.io", "oauthaccesstokens", "", "/apis/oauth.openshift.io/v1/oauthaccesstokens", "", "/apis/oauth.openshift.io/v1/oauthaccesstokens"},
		{"", "secrets", "database", "/api/v1/namespaces/shop/secrets/database", "database", "/api/v1/namespaces/shop/secrets/database"},
	} {
		k := event.Kubernetes{APIGroup: tt.group, Resource: tt.resource, Name: tt.name, RequestURI: tt.uri}
		for range 2 {
			HideName(&k)
		}
		if k.Name != tt.wantName || k.RequestURI != tt.wantURI {
			t.Errorf("%s: %s %s", tt.uri, k.Name, k.RequestURI)
		}
	}
}

func TestNonResource(t *testing.T) {
	for path, want := range map[string]operation.Operation{
		"/logs":                     op("apiserver.logs", logs),
		"/logs/pods/":               op("apiserver.logs", logs),
		"/%6cogs/":                  op("apiserver.logs", logs),
		"/%6C%6F%67%73%2Fpods":      op("apiserver.logs", logs),
		"/logsx":                    operation.Other,
		"/debug/flags/v":            op("apiserver.debug", none),
		"/healthz":                  operation.Other,
		"/openid/v1/jwks":           operation.Other,
		"/api/v1/nodes/n/proxy/run": operation.Other,
		"":                          operation.Other,
	} {
		if got := Operation(&event.Kubernetes{Verb: "get", RequestURI: path}); got != want {
			t.Errorf("%q: got %v, want %v", path, got, want)
		}
	}
}

// An API server takes what an event is about from the path, so that the two can
// differ in no event of its own.
func TestDiffers(t *testing.T) {
	secretDB := event.Kubernetes{Verb: "get", Resource: "secrets", Namespace: "shop", Name: "db"}
	for _, test := range []struct {
		uri  string
		k    event.Kubernetes
		want bool
	}{
		{"/api/v1/namespaces/shop/secrets/db", secretDB, false},
		{"/api/v1/namespaces/sh%6fp/secrets%2Fdb?x=/y", secretDB, false},
		{"/api/v1/watch/namespaces/shop/secrets/db", secretDB, false},
		{"/api/v1/namespaces/shop/secrets/other", secretDB, true},
		{"/api/v1/namespaces/prod/secrets/db", secretDB, true},
		{"/api/v1/namespaces/shop/configmaps/db", secretDB, true},
		{"/apis/example.com/v1/namespaces/shop/secrets/db", secretDB, true},
		{"/api/v1/namespaces/shop/secrets/db/status", secretDB, true},
		{"/logs/", secretDB, true},
		{"", secretDB, false},
		{"/api/v1/namespaces/shop/secrets", event.Kubernetes{Verb: "create", Resource: "secrets", Namespace: "shop", Name: "db"}, false},
		{"/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", event.Kubernetes{Verb: "create", APIGroup: "authorization.k8s.io", Resource: "selfsubjectaccessreviews", Namespace: "x"}, false},
		{"/api/v1/namespaces/shop/secrets?fieldSelector=metadata.name%3Ddb", event.Kubernetes{Verb: "list", Resource: "secrets", Namespace: "shop", Name: "db"}, false},
		{"/api/v1/namespaces/shop/secrets", event.Kubernetes{Verb: "list", Resource: "secrets", Namespace: "shop", Name: "db"}, true},
		{"/api/v1/secrets", event.Kubernetes{Verb: "list", Resource: "secrets"}, false},
		{"/api/v1/namespaces/shop", event.Kubernetes{Verb: "get", Resource: "namespaces", Namespace: "shop", Name: "shop"}, false},
		{"/api/v1/namespaces/shop/finalize", event.Kubernetes{Verb: "update", Resource: "namespaces", Subresource: "finalize", Namespace: "shop", Name: "shop"}, false},
		{"/api/v1/namespaces/shop/pods/web/exec?command=a/b", event.Kubernetes{Verb: "get", Resource: "pods", Subresource: "exec", Namespace: "shop", Name: "web"}, false},
		{"/api/v1/namespaces/shop/services/http:grafana:80/proxy/api/x", event.Kubernetes{Verb: "get", Resource: "services", Subresource: "proxy", Namespace: "shop", Name: "http:grafana:80"}, false},
		{"/api/v1/nodes/n1/proxy/metrics", event.Kubernetes{Verb: "get", Resource: "nodes", Subresource: "proxy", Name: "n2"}, true},
		{"/oapi/v1/namespaces/shop/builds/b", event.Kubernetes{Verb: "get", Resource: "builds", Namespace: "shop", Name: "b"}, false},
		{"/healthz", event.Kubernetes{Verb: "get"}, false},
	} {
		test.k.RequestURI = test.uri
		if got := Differs(&test.k); got != test.want {
			t.Errorf("%s: %t, want %t", test.uri, got, test.want)
		}
	}
	// What can leak more counts.
	k := event.Kubernetes{Verb: "get", Resource: "events", Name: "db", Namespace: "shop", RequestURI: "/api/v1/namespaces/shop/secrets/db", Differs: true}
	if got := Operation(&k); got != op("secret.get", secret) {
		t.Errorf("a path to a secret means %v", got)
	}
}

// The API server says that it found nothing, and nothing else.
func TestMissing(t *testing.T) {
	k := event.Kubernetes{Verb: "get", Resource: "secrets", Name: "db", Decision: "allow", Code: 404, Reason: "NotFound"}
	if got := Operation(&k); got != op("secret.get", none) {
		t.Errorf("a secret that is not there: %v", got)
	}
	k = event.Kubernetes{Verb: "list", Resource: "secrets", Decision: "allow", Code: 404, RequestURI: "//api/v1/secrets"}
	if got := Operation(&k); got != op("secret.list", none) {
		t.Errorf("a path that leads nowhere: %v", got)
	}
	k = event.Kubernetes{Verb: "create", Resource: "nodes", Subresource: "proxy", Name: "n1", Decision: "allow", Code: 404, RequestURI: "/api/v1/nodes/n1/proxy/run/a/b/c"}
	if got := Operation(&k); got != op("node.proxy", filesystem) {
		t.Errorf("a kubelet's 404: %v", got)
	}
}

func TestOperationAllocs(t *testing.T) {
	for _, r := range []event.Kubernetes{
		{Verb: "list", Resource: "secrets"},
		{Verb: "get", Resource: "nodes", Subresource: "proxy", RequestURI: "/api/v1/nodes/n1/proxy/metrics"},
		{Verb: "update", APIGroup: "coordination.k8s.io", Resource: "leases"},
		{Verb: "get", RequestURI: "/logs/"},
	} {
		if n := testing.AllocsPerRun(100, func() { Operation(&r) }); n != 0 {
			t.Errorf("%v: %v allocations, want none", r, n)
		}
	}
}

// FuzzOperation checks that every request has a name, and that a path, which
// the client writes, changes nothing where objectRef tells what was done.
func FuzzOperation(f *testing.F) {
	f.Add("get", "", "nodes", "proxy", "/api/v1/nodes/n1/proxy/metrics")
	f.Add("list", "", "secrets", "", "/api/v1/secrets")
	f.Add("get", "", "", "", "/logs/")
	f.Fuzz(func(t *testing.T, verb, group, resource, subresource, path string) {
		r := event.Kubernetes{Verb: verb, APIGroup: group, Resource: resource, Subresource: subresource, RequestURI: path}
		got := Operation(&r)
		if got.Name == "" {
			t.Fatalf("%+v: no name", r)
		}
		if resource == "" || strings.HasSuffix(got.Name, ".proxy") {
			return
		}
		r.RequestURI = ""
		if without := Operation(&r); without != got {
			t.Fatalf("%+v: %v, without the path %v", r, got, without)
		}
	})
}

func BenchmarkOperation(b *testing.B) {
	r := event.Kubernetes{Verb: "list", Resource: "secrets"}
	b.ReportAllocs()
	for b.Loop() {
		Operation(&r)
	}
}
