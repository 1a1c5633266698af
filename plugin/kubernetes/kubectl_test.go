// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"strings"
	"testing"

	"github.com/containerapi/containerapi/plugin/event"
)

// audit returns an event with this request.
func audit(verb, resource, uri string) *event.Event {
	e := &event.Event{Input: event.KubernetesAudit}
	e.Kubernetes = event.Kubernetes{Stage: "ResponseComplete", Code: 200, Verb: verb, RequestURI: uri, UserAgent: "kubectl/v1.34.2 (linux/amd64)"}
	k := &e.Kubernetes
	if group, rest, ok := strings.Cut(resource, ":"); ok {
		k.APIGroup, resource = group, rest
	}
	k.Resource, k.Subresource, _ = strings.Cut(resource, "/")
	return e
}

func TestKubectlVerb(t *testing.T) {
	for _, test := range []struct{ verb, resource, uri, command, want string }{
		{"list", "secrets", "/api/v1/secrets?limit=500", "", "get"},
		{"watch", "secrets", "/api/v1/secrets?watch=true", "", "get"},
		{"get", "pods/log", "/api/v1/namespaces/a/pods/b/log", "", "logs"},
		{"get", "pods/exec", "", "cat /etc/passwd", "exec"},
		{"create", "pods/exec", "", "tar cf - /etc", "cp"},
		{"create", "pods/exec", "", "tar xmf - -C /tmp", "cp"},
		{"create", "pods/attach", "", "", "attach"},
		{"create", "pods/portforward", "", "", "port-forward"},
		{"patch", "pods/ephemeralcontainers", "", "", "debug"},
		{"create", "serviceaccounts/token", "", "", "create token"},
		{"create", "authorization.k8s.io:selfsubjectaccessreviews", "", "", "auth can-i"},
		{"create", "authentication.k8s.io:selfsubjectreviews", "", "", "auth whoami"},
		{"create", "example.com:selfsubjectreviews", "", "", "create"},
		{"list", "events", "/api/v1/namespaces/a/events?fieldSelector=involvedObject.name%3Db", "", "describe"},
		{"patch", "deployments", "/apis/x?fieldManager=kubectl-client-side-apply", "", "apply"},
		{"patch", "deployments", "/apis/x?fieldManager=kubectl-rollout", "", "rollout"},
		{"create", "pods", "/api/v1/namespaces/a/pods?fieldManager=kubectl-run", "", "run"},
		{"delete", "pods", "", "", "delete"},
	} {
		e := audit(test.verb, test.resource, test.uri)
		e.Kubernetes.Command = test.command
		if got := KubectlVerb(&e.Kubernetes); got != test.want {
			t.Errorf("%s %s %s %q is kubectl %q, want %q", test.verb, test.resource, test.uri, test.command, got, test.want)
		}
		e.Kubernetes.UserAgent = "curl/8.0"
		if got := KubectlVerb(&e.Kubernetes); got != "" {
			t.Errorf("curl has kubectl.verb %q", got)
		}
	}
}

// A custom resource may have the name of one of Kubernetes' own.
func TestAllNamespaces(t *testing.T) {
	for _, test := range []struct {
		verb, group, resource, namespace string
		want                             bool
	}{
		{"list", "", "secrets", "", true},
		{"watch", "", "pods", "", true},
		{"deletecollection", "apps", "deployments", "", true},
		{"list", "", "secrets", "shop", false},
		{"get", "", "secrets", "", false},
		{"list", "", "nodes", "", false},
		{"list", "metrics.k8s.io", "nodes", "", false},
		{"list", "example.com", "nodes", "", true},
		{"list", "rbac.authorization.k8s.io", "clusterroles", "", false},
		{"list", "rbac.authorization.k8s.io", "roles", "", true},
		{"list", "storage.k8s.io", "csinodes", "", false},
		{"list", "", "", "", false},
	} {
		k := event.Kubernetes{Verb: test.verb, APIGroup: test.group, Resource: test.resource, Namespace: test.namespace}
		if got := AllNamespaces(&k); got != test.want {
			t.Errorf("%+v: %t", test, got)
		}
	}
}

// Every row is one of its own, with operations or without namespaces.
func TestRows(t *testing.T) {
	if len(index) != len(resources) {
		t.Errorf("%d rows, of which %d are different", len(resources), len(index))
	}
	for _, r := range resources {
		if r.verbs == (verbs{}) && !r.clusterScoped {
			t.Errorf("the row of %s/%s/%s says nothing", r.group, r.resource, r.subresource)
		}
	}
}
