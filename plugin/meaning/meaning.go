// SPDX-License-Identifier: Apache-2.0

// Package meaning works out what an event means, whichever API it is of.
package meaning

import (
	"github.com/containerapi/containerapi/plugin/command"
	"github.com/containerapi/containerapi/plugin/docker"
	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/kubernetes"
	"github.com/containerapi/containerapi/plugin/operation"
)

// Classify works out what an event means from what it says: its operation, the
// credential that this can leak, and its outcome. What the input found already,
// it keeps.
func Classify(e *event.Event) {
	op := operation.Operation{Name: e.Operation, Credential: operation.Credential(e.Credential)}
	switch e.Input {
	case event.KubernetesAudit:
		if !e.Replayed {
			e.Kubernetes.Differs = kubernetes.Differs(&e.Kubernetes)
		}
		if !e.Replayed && e.Shortened && e.Kubernetes.Command != "" && !e.Kubernetes.Refused() {
			// What was cut off may be what counts.
			e.CommandReads |= command.Opaque
		}
		op = kubernetes.Operation(&e.Kubernetes)
		kubernetes.HideName(&e.Kubernetes)
		// An announcement that nothing came after stays one.
		if e.Outcome != event.Unanswered {
			e.Outcome = kubernetesOutcome(&e.Kubernetes)
		}
	case event.DockerAPI:
		r := &e.Docker.Request
		switch {
		case r.Unreadable != "":
			op = operation.Unreadable
		case op.Name == "":
			op = docker.Operation(r.Method, r.Path)
		}
		e.Outcome = requestOutcome(r)
	case event.DockerEvent:
		op = docker.EventOperation(e.Docker.Type, e.Docker.Action)
		// Docker reports only what was done.
		e.Outcome = event.Allowed
	default:
		op = operation.Other
	}
	e.Operation, e.Credential = op.Name, string(op.Credential)
}

// kubernetesOutcome says what became of a request. What was decided counts, not what was
// answered: authorization stands between everything that can turn a request away
// (authentication, impersonation, priority and fairness) and everything that can leak.
// Behind it, an error leaks as well as a success: what a kubelet's command wrote is in
// the text of a 500, the value that a validation refused in a 422. See
// DefaultBuildHandlerChain in k8s.io/apiserver/pkg/server/config.go.
//
// An event that has no decision, because what passed it on left out the annotations,
// or because the request did not get there, counts by its answer.
func kubernetesOutcome(k *event.Kubernetes) event.Outcome {
	if k.Stage == "RequestReceived" {
		return event.Pending
	}
	switch {
	case k.Refused():
		return event.Denied
	case k.Decision == "allow":
		return event.Allowed
	case k.Status == "Failure" || k.Stage == "Panic":
		return event.Failed
	case k.Code == 0 && k.Status == "":
		return event.Unanswered
	case k.Code == 0:
		return event.Allowed
	}
	return httpOutcome(k.Code)
}

func requestOutcome(r *event.Request) event.Outcome {
	switch {
	case r.Waiting:
		return event.Pending
	case r.Status == 0:
		return event.Unanswered
	}
	return httpOutcome(r.Status)
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
// the announcement of a request, nor a later stage of one that an earlier event reported.
func IsAct(e *event.Event) bool {
	return e.Outcome != event.Pending && !e.Repeated
}
