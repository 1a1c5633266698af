// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"strings"

	"github.com/containerapi/containerapi/plugin/event"
)

// KubectlVerb returns the subcommand of kubectl that makes such a request, or
// "" for another client. kubectl writes its subcommand into fieldManager when
// it changes something; all else is known by what is asked for.
func KubectlVerb(k *event.Kubernetes) string {
	if !isKubectl(k) {
		return ""
	}
	if verb := subresources[k.Subresource].kubectl; verb != "" {
		if k.Subresource == "exec" && copies(k.Command) {
			return "cp"
		}
		return verb
	}
	if verb, ok := strings.CutPrefix(Query(k.RequestURI, "fieldManager"), "kubectl-"); ok {
		if strings.HasSuffix(verb, "-apply") {
			return "apply"
		}
		return verb
	}
	switch k.Verb {
	case "get", "list", "watch":
		switch {
		case k.Resource == "events" && strings.Contains(Query(k.RequestURI, "fieldSelector"), "involvedObject."):
			return "describe"
		case k.APIGroup == "metrics.k8s.io":
			return "top"
		case k.Resource == "" && strings.HasPrefix(k.RequestURI, "/openapi"):
			return "explain"
		}
		return "get"
	case "create":
		if r := index[key{k.APIGroup, k.Resource, k.Subresource}]; r != nil && r.kubectlCreates != "" {
			return r.kubectlCreates
		}
		return "create"
	case "update":
		return "replace"
	case "deletecollection":
		return "delete"
	}
	return k.Verb
}

// copies reports whether the command of an exec is that of kubectl cp.
func copies(command string) bool {
	return strings.HasPrefix(command, "tar cf - ") || strings.HasPrefix(command, "tar xmf - ") || strings.HasPrefix(command, "tar -xmf - ")
}

func isKubectl(k *event.Kubernetes) bool {
	return strings.HasPrefix(k.UserAgent, "kubectl") && Client(k.UserAgent) == "kubectl"
}

// KubectlResource returns the resource that a command of kubectl is about, or
// "" for another client.
func KubectlResource(k *event.Kubernetes) string {
	if !isKubectl(k) {
		return ""
	}
	return k.Resource
}
