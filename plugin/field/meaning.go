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
	case event.K8sAudit:
		op = operation.Kubernetes(operation.KubernetesRequest{
			Verb:        e.Kube.Verb,
			APIGroup:    e.Kube.APIGroup,
			Resource:    e.Kube.Resource,
			Subresource: e.Kube.Subresource,
			Name:        e.Kube.Name,
			Path:        e.Kube.Path(),
		})
		e.Outcome = kubeOutcome(&e.Kube)
	case event.DockerEvent:
		op = operation.DockerEvent(e.Docker.Type, e.Docker.Action)
		// Docker tells only of what was done.
		e.Outcome = event.Allowed
	}
	e.Operation, e.Credential = op.Name, string(op.Credential)
}

func kubeOutcome(k *event.Kube) event.Outcome {
	switch code := k.Code; {
	case k.Stage == "RequestReceived":
		return event.Pending
	case code == 401 || code == 403:
		return event.Denied
	case code == 101 || code >= 200 && code < 400:
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
