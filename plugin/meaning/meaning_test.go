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
		0: event.Unanswered, 101: event.Allowed, 200: event.Allowed, 201: event.Allowed, 304: event.Allowed,
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

// What was decided counts, whatever was answered after that.
func TestOutcomeIsTheDecision(t *testing.T) {
	for _, test := range []struct {
		name string
		k    event.Kubernetes
		want event.Outcome
	}{
		{"a kubelet's error with what a command wrote", event.Kubernetes{Decision: "allow", Code: 500}, event.Allowed},
		{"a validation that shows the value", event.Kubernetes{Decision: "allow", Code: 422, Status: "Failure", Reason: "Invalid"}, event.Allowed},
		{"an admission, or a kubelet, that refuses", event.Kubernetes{Decision: "allow", Code: 403, Status: "Failure", Reason: "Forbidden"}, event.Allowed},
		{"a kubelet that knows no credential", event.Kubernetes{Decision: "allow", Code: 401}, event.Allowed},
		{"a conflict", event.Kubernetes{Decision: "allow", Code: 409, Reason: "Conflict"}, event.Allowed},
		{"nothing there", event.Kubernetes{Decision: "allow", Code: 404, Reason: "NotFound"}, event.Allowed},
		{"a stream", event.Kubernetes{Decision: "allow", Code: 101, Stage: "ResponseStarted"}, event.Allowed},
		{"no status", event.Kubernetes{Decision: "allow"}, event.Allowed},
		{"a panic behind it", event.Kubernetes{Decision: "allow", Code: 500, Stage: "Panic", Status: "Failure", Reason: "InternalError"}, event.Allowed},
		{"forbidden", event.Kubernetes{Decision: "forbid", Code: 403, Reason: "Forbidden"}, event.Denied},
		{"forbidden with a code that was guessed", event.Kubernetes{Decision: "forbid", Code: 200}, event.Denied},
		{"forbidden, and a panic", event.Kubernetes{Decision: "forbid", Code: 500, Stage: "Panic"}, event.Denied},
		{"no valid credential", event.Kubernetes{Code: 401, Reason: "Unauthorized"}, event.Denied},
		{"an impersonation that was refused", event.Kubernetes{Code: 403, Reason: "Forbidden"}, event.Denied},
		{"a refusal without a code", event.Kubernetes{Status: "Failure", Reason: "Forbidden"}, event.Denied},
		{"priority and fairness", event.Kubernetes{Code: 429}, event.Failed},
		{"an authorizer that fails", event.Kubernetes{Code: 500, Status: "Failure", Reason: "InternalError", DecisionReason: "internal error"}, event.Failed},
		{"a panic before it", event.Kubernetes{Code: 500, Stage: "Panic", Status: "Failure", Reason: "InternalError"}, event.Failed},
		{"a failure without a code", event.Kubernetes{Status: "Failure"}, event.Failed},
		{"a success without a code", event.Kubernetes{Status: "Success"}, event.Allowed},
		{"neither an answer nor a decision", event.Kubernetes{}, event.Unanswered},
	} {
		e := &event.Event{Input: event.KubernetesAudit, Kubernetes: test.k}
		if e.Kubernetes.Stage == "" {
			e.Kubernetes.Stage = "ResponseComplete"
		}
		if Classify(e); e.Outcome != test.want || !IsAct(e) {
			t.Errorf("%s: %q, act: %t, want %q", test.name, e.Outcome, IsAct(e), test.want)
		}
	}
}
