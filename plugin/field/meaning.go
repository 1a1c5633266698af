// SPDX-License-Identifier: Apache-2.0

package field

import (
	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/operation"
)

// Understand works out what an event means from what it says: its operation,
// the credential that this can leak, and its outcome.
func Understand(e *event.Event) {
	op := operation.Other
	switch e.Input {
	case event.KubernetesAudit:
		op = operation.Kubernetes(operation.KubernetesRequest{
			Verb:        e.Kubernetes.Verb,
			APIGroup:    e.Kubernetes.APIGroup,
			Resource:    e.Kubernetes.Resource,
			Subresource: e.Kubernetes.Subresource,
			Name:        e.Kubernetes.Name,
			Path:        e.Kubernetes.Path(),
		})
		// A deletion is answered with the object only in the foreground, where
		// finalizers wait, or as a whole collection.
		if e.Kubernetes.StatusOnly {
			op.Credential = operation.None
		}
		e.Outcome = kubeOutcome(&e.Kubernetes)
	case event.DockerAPI:
		r := &e.Docker.Request
		if r.Unreadable != "" {
			op = operation.Operation{Name: "unreadable"}
		} else {
			op = operation.DockerRequest(r.Method, r.Path)
		}
		e.Outcome = httpOutcome(r.Status)
		if r.Status == 0 {
			e.Outcome = event.Unanswered
		}
	case event.DockerEvent:
		op = operation.DockerEvent(e.Docker.Type, e.Docker.Action)
		// Docker tells only of what was done.
		e.Outcome = event.Allowed
	}
	e.Operation, e.Credential = op.Name, string(op.Credential)
}

func kubeOutcome(k *event.Kubernetes) event.Outcome {
	if k.Stage == "RequestReceived" {
		return event.Pending
	}
	return httpOutcome(k.Code)
}

// httpOutcome says what an HTTP status means. 101 begins a stream.
func httpOutcome(status uint64) event.Outcome {
	switch {
	case status == 401 || status == 403:
		return event.Denied
	case status == 101 || status >= 200 && status < 400:
		return event.Allowed
	default:
		return event.Failed
	}
}

// IsAct reports whether the event is the one of its act that rules judge: not
// the announcement of a request, nor a later stage of one that was told of.
func IsAct(e *event.Event) bool {
	return e.Outcome != event.Pending && !e.Repeated
}
