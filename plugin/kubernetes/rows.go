// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/manifest"
	"github.com/containerapi/containerapi/plugin/operation"
)

// verbNames are the names of the verbs, by verb.
var verbNames = [verbCount]string{
	verbGet: "get", verbList: "list", verbWatch: "watch", verbCreate: "create", verbUpdate: "update", verbPatch: "patch",
	verbDelete: "delete", verbDeleteCollection: "deletecollection",
}

// Rows returns what the table of resources says, in its order, for
// documentation. A subresource that means the same with any verb has one row.
func Rows() []operation.Row {
	var rows []operation.Row
	for i := range resources {
		r := &resources[i]
		name := r.resource
		if r.group != "" {
			name += "." + r.group
		}
		if r.subresource != "" {
			name += "/" + r.subresource
		}
		if any := r.verbs[verbUnknown]; any.Name != "" {
			rows = append(rows, operation.Row{Operation: any, Of: "any verb on " + name})
			continue
		}
		for v, op := range r.verbs {
			if op.Name != "" {
				rows = append(rows, operation.Row{Operation: op, Of: verbNames[v] + " " + name})
			}
		}
	}
	for _, proxied := range services {
		rows = append(rows, operation.Row{
			Operation: operation.Operation{Name: operation.ServiceProxy, Credential: proxied.credential}, Of: "any verb on services/proxy to " + proxied.name,
		})
	}
	for _, what := range []string{"proxy", "checkpoint", "log", "pods", "metrics"} {
		k := event.Kubernetes{User: event.User{Name: "system:node:n"}, Given: manifest.Given{ReviewResource: "nodes/" + what}}
		rows = append(rows, operation.Row{Operation: reviewed(&k, operation.Operation{}), Of: "nodes/" + what + " at a kubelet's own port"})
	}
	return append(rows,
		operation.Row{Operation: nonResource("/logs/"), Of: "get /logs/"},
		operation.Row{Operation: nonResource("/debug/"), Of: "any verb on /debug/"})
}
