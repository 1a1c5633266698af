// SPDX-License-Identifier: Apache-2.0

package meaning

import (
	"strings"
	"testing"

	"github.com/containerapi/containerapi/plugin/event"
)

// audit returns an event with this request.
func audit(verb, resource, uri string) *event.Event {
	e := &event.Event{Input: event.KubernetesAudit}
	e.Kubernetes = event.Kubernetes{Stage: "ResponseComplete", Code: 200, Verb: verb, RequestURI: uri, UserAgent: "kubectl/v1.34.2 (linux/amd64)"}
	e.Kubernetes.Resource, e.Kubernetes.Subresource, _ = strings.Cut(resource, "/")
	return e
}

func TestOutcome(t *testing.T) {
	for code, want := range map[uint64]event.Outcome{
		0: event.Failed, 101: event.Allowed, 200: event.Allowed, 201: event.Allowed, 304: event.Allowed,
		401: event.Denied, 403: event.Denied, 404: event.Failed, 429: event.Failed, 500: event.Failed,
	} {
		e := audit("get", "secrets", "")
		e.Kubernetes.Code = code
		if Classify(e); e.Outcome != want || !IsAct(e) {
			t.Errorf("%d is %q, act: %t; want %q", code, e.Outcome, IsAct(e), want)
		}
	}
	e := audit("get", "secrets", "")
	e.Kubernetes.Stage, e.Kubernetes.Code = "RequestReceived", 0
	if Classify(e); e.Outcome != event.Pending || IsAct(e) {
		t.Errorf("an announced request is %q, act: %t", e.Outcome, IsAct(e))
	}
}
