// SPDX-License-Identifier: Apache-2.0

package event_test

import (
	"reflect"
	"testing"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/meaning"
)

// What ConvertLogEntry of k8saudit-gke returns, as JSON, for entries of Google's
// audit log.
func TestGKE(t *testing.T) {
	const (
		head = `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"1a2b","stage":"ResponseComplete",`
		ok   = `"responseStatus":{"metadata":{},"status":"OK (inferred)","message":"OK (inferred)","code":200},"requestReceivedTimestamp":"2026-11-22T11:17:24.811010Z","stageTimestamp":"2026-11-22T11:17:24.811010Z"`
		made = `"responseStatus":{"metadata":{},"status":"Created (inferred)","message":"Created (inferred)","code":201}`
		exec = `"responseStatus":{"metadata":{},"status":"Switching Protocols (inferred)","message":"Switching Protocols (inferred)","code":101}`
		may  = `,"annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"","cluster_name":"c","location":"europe-west1","project_id":"p"}}`
		not  = `,"annotations":{"authorization.k8s.io/decision":"forbid","cluster_name":"c"}}`
		ann  = `"user":{"username":"ann@example.com"},"sourceIPs":["203.0.113.9"],"userAgent":"kubectl/v1.34.2",`
		node = `"user":{"username":"system:node:gke-c-pool-1"},"sourceIPs":["10.0.0.7"],"userAgent":"kubelet/v1.34.2",`
	)
	for _, test := range []struct {
		text, operation, credential string
		outcome                     event.Outcome
		want                        event.Kubernetes // the target and groups
	}{
		{head + `"requestURI":"/core/v1/namespaces/shop/secrets/db","verb":"get",` + ann + `"objectRef":{"resource":"secrets","namespace":"shop","name":"db","apiGroup":"core","apiVersion":"v1"},` + ok + may,
			"secret.get", "secret", event.Allowed, event.Kubernetes{Resource: "secrets", Namespace: "shop", Name: "db", RequestURI: "/api/v1/namespaces/shop/secrets/db"}},
		{head + `"requestURI":"/core/v1/secrets","verb":"list",` + ann + ok + may,
			"secret.list", "secret", event.Allowed, event.Kubernetes{Resource: "secrets", RequestURI: "/api/v1/secrets"}},
		{head + `"requestURI":"/core/v1/secrets","verb":"list",` + ann + ok + not,
			"secret.list", "secret", event.Denied, event.Kubernetes{Resource: "secrets", RequestURI: "/api/v1/secrets"}},
		{head + `"requestURI":"/core/v1/secrets","verb":"list",` + ann + ok + "}",
			"secret.list", "secret", event.Unanswered, event.Kubernetes{Resource: "secrets", RequestURI: "/api/v1/secrets"}},
		{head + `"requestURI":"/core/v1/namespaces/shop/secrets/db","verb":"get",` + node + `"objectRef":{"resource":"secrets","namespace":"shop","name":"db","apiGroup":"core","apiVersion":"v1"},` + ok + may,
			"secret.get", "secret", event.Allowed, event.Kubernetes{Resource: "secrets", Namespace: "shop", Name: "db", RequestURI: "/api/v1/namespaces/shop/secrets/db",
				User: event.User{Groups: []string{"system:nodes", "system:authenticated"}}}},
		{head + `"requestURI":"/core/v1/namespaces/shop/secrets/db","verb":"delete",` + ann + `"objectRef":{"resource":"secrets","namespace":"shop","name":"db","apiGroup":"core","apiVersion":"v1"},` + ok + may,
			"secret.delete", "", event.Allowed, event.Kubernetes{Resource: "secrets", Namespace: "shop", Name: "db", RequestURI: "/api/v1/namespaces/shop/secrets/db"}},
		{head + `"requestURI":"/core/v1/namespaces/shop/pods/web/exec","verb":"create",` + ann + `"objectRef":{"resource":"pods","namespace":"shop","name":"web","apiGroup":"core","apiVersion":"v1","subresource":"exec"},` + exec + may,
			"pod.exec", "filesystem", event.Allowed, event.Kubernetes{Resource: "pods", Subresource: "exec", Namespace: "shop", Name: "web", RequestURI: "/api/v1/namespaces/shop/pods/web/exec"}},
		{head + `"requestURI":"/core/v1/nodes/n1/proxy/run/shop/web/c","verb":"create",` + ann + `"objectRef":{"resource":"nodes","name":"n1","apiGroup":"core","apiVersion":"v1","subresource":"proxy"},` + made + may,
			"node.proxy", "filesystem", event.Allowed, event.Kubernetes{Resource: "nodes", Subresource: "proxy", Name: "n1", RequestURI: "/api/v1/nodes/n1/proxy/run/shop/web/c"}},
		// One of the namespace itself is taken for another resource in it.
		{head + `"requestURI":"/core/v1/namespaces/shop/finalize","verb":"update",` + ann + `"objectRef":{"resource":"finalize","namespace":"shop","apiGroup":"core","apiVersion":"v1"},` + ok + may,
			"other", "", event.Allowed, event.Kubernetes{Resource: "namespaces", Subresource: "finalize", Namespace: "shop", Name: "shop", RequestURI: "/api/v1/namespaces/shop/finalize"}},
		{head + `"requestURI":"/rbac.authorization.k8s.io/v1/clusterrolebindings","verb":"list",` + ann + ok + may,
			"rbac.list", "", event.Allowed, event.Kubernetes{Resource: "clusterrolebindings", APIGroup: "rbac.authorization.k8s.io", RequestURI: "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"}},
		{head + `"requestURI":"/core/v1/namespaces/shop/serviceaccounts/web/token","verb":"create",` + ann + `"objectRef":{"resource":"serviceaccounts","namespace":"shop","name":"web","apiGroup":"core","apiVersion":"v1","subresource":"token"},` + made + may,
			"token.create", "token", event.Allowed, event.Kubernetes{Resource: "serviceaccounts", Subresource: "token", Namespace: "shop", Name: "web", RequestURI: "/api/v1/namespaces/shop/serviceaccounts/web/token"}},
		// An API server's own event of such a path is for no resource.
		{head + `"requestURI":"/core/v1/secrets","verb":"get",` + ann + `"responseStatus":{"metadata":{},"code":404}` + may,
			"other", "", event.Allowed, event.Kubernetes{RequestURI: "/core/v1/secrets", Code: 404}},
	} {
		e := readEvent(t, test.text)
		for range 2 {
			meaning.Classify(e)
			k := &e.Kubernetes
			if e.Operation != test.operation || e.Credential != test.credential || e.Outcome != test.outcome || k.Differs {
				t.Errorf("%s: %s %s %s, differs: %t, want %s %s %s", test.text, e.Operation, e.Credential, e.Outcome, k.Differs, test.operation, test.credential, test.outcome)
			}
			got := event.Kubernetes{Resource: k.Resource, Subresource: k.Subresource, Namespace: k.Namespace, Name: k.Name, APIGroup: k.APIGroup, RequestURI: k.RequestURI, Code: k.Code}
			if want := test.want; test.want.User.Groups != nil {
				if !reflect.DeepEqual(k.User.Groups, want.User.Groups) {
					t.Errorf("%s: groups %q, want %q", test.text, k.User.Groups, want.User.Groups)
				}
			}
			test.want.User = event.User{}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("%s: %+v, want %+v", test.text, got, test.want)
			}
			// The same again from a recording.
			e = readEvent(t, string(e.AppendJSON(nil)))
		}
	}
}

// An event that lacks its objectRef, as one that was cut does, is judged by its path.
func TestNoObjectRef(t *testing.T) {
	e := readEvent(t, `{"auditID":"1","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/sh%6Fp/secrets%2Fdb?x=y","verb":"get"}`)
	k := e.Kubernetes
	if k.Resource != "secrets" || k.Namespace != "shop" || k.Name != "db" {
		t.Errorf("%+v", k)
	}
}

func readEvent(t *testing.T, text string) *event.Event {
	t.Helper()
	var got *event.Event
	var d event.Decoder
	if err := d.Decode([]byte(text), func(e *event.Event, err error) {
		if err != nil {
			t.Fatal(err)
		}
		got = e
	}); err != nil {
		t.Fatal(err)
	}
	return got
}
