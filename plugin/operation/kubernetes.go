// SPDX-License-Identifier: Apache-2.0

package operation

import "strings"

// KubernetesRequest is what an audit event says of a request.
type KubernetesRequest struct {
	// Verb is "get", "list" and so on, in lower case as in audit events.
	Verb string

	// APIGroup, Resource, Subresource and Name are those of objectRef, empty
	// where it has none. APIGroup is "" for the core group.
	APIGroup, Resource, Subresource, Name string

	// Path is requestURI without its query. It is read only for requests
	// without resource, and for nodes/proxy.
	Path string
}

// verb is an index into verbs.
type verb int

const (
	verbUnknown verb = iota
	verbGet
	verbList
	verbWatch
	verbCreate
	verbUpdate
	verbPatch
	verbDelete
	verbDeleteCollection
	verbCount
)

func verbOf(name string) verb {
	switch name {
	case "get":
		return verbGet
	case "list":
		return verbList
	case "watch":
		return verbWatch
	case "create":
		return verbCreate
	case "update":
		return verbUpdate
	case "patch":
		return verbPatch
	case "delete":
		return verbDelete
	case "deletecollection":
		return verbDeleteCollection
	}
	return verbUnknown
}

// verbs holds an operation for each verb. An empty one is Other.
type verbs [verbCount]Operation

// object has an operation for each verb, all of which but create and update
// can leak c: the answers to a patch (also an empty one) and to a deletion (also
// a dry run) carry the object as it was stored.
func object(name string, c Credential) verbs {
	return verbs{
		verbGet:              {name + ".get", c},
		verbList:             {name + ".list", c},
		verbWatch:            {name + ".watch", c},
		verbCreate:           {name + ".create", None},
		verbUpdate:           {name + ".update", None},
		verbPatch:            {name + ".patch", c},
		verbDelete:           {name + ".delete", c},
		verbDeleteCollection: {name + ".delete", c},
	}
}

// part is a subresource that is answered with the whole object, so that
// reading or writing status leaks what reading the object does.
func part(name string, c Credential) verbs {
	return verbs{
		verbGet:    {name + ".get", c},
		verbUpdate: {name + ".update", c},
		verbPatch:  {name + ".patch", c},
	}
}

// always is a subresource whose verb means nothing: exec, attach and
// portforward are a get over WebSocket and a create over SPDY, and a proxy's
// verb is that of the request behind it.
func always(op Operation) verbs {
	var vs verbs
	for v := range vs {
		vs[v] = op
	}
	return vs
}

// only has an operation for create and no other verb.
func only(op Operation) verbs {
	return verbs{verbCreate: op}
}

var podDebug = Operation{"pod.debug", Filesystem}

// resourceKey names a resource. A resource of the same name in another API
// group is another resource: a CRD named secrets is not a Secret.
type resourceKey struct{ group, resource, subresource string }

// kubernetesResources are the resources with a meaning here. The verbs are
// those of the API server's RequestInfo (k8s.io/apiserver/pkg/endpoints/request).
var kubernetesResources = map[resourceKey]verbs{
	{"", "secrets", ""}:    object("secret", Secret),
	{"", "configmaps", ""}: object("configmap", ConfigMap),

	// A service account only names its secrets.
	{"", "serviceaccounts", ""}:                         object("serviceaccount", None),
	{"", "serviceaccounts", "token"}:                    only(Operation{"token.create", Token}),
	{"authentication.k8s.io", "tokenreviews", ""}:       only(Operation{"token.review", None}),
	{"authentication.k8s.io", "selfsubjectreviews", ""}: only(Operation{"access.review", None}),

	{"authorization.k8s.io", "selfsubjectaccessreviews", ""}: only(Operation{"access.review", None}),
	{"authorization.k8s.io", "selfsubjectrulesreviews", ""}:  only(Operation{"access.review", None}),

	{"", "pods", ""}:            object("pod", Environment),
	{"", "pods", "status"}:      part("pod", Environment),
	{"", "pods", "resize"}:      part("pod", Environment),
	{"", "pods", "log"}:         always(Operation{"pod.logs", Logs}),
	{"", "pods", "exec"}:        always(Operation{"pod.exec", Filesystem}),
	{"", "pods", "attach"}:      always(Operation{"pod.attach", Filesystem}),
	{"", "pods", "portforward"}: always(Operation{"pod.portforward", None}),
	{"", "pods", "proxy"}:       always(Operation{"pod.proxy", None}),
	{"", "services", "proxy"}:   always(Operation{"service.proxy", None}),
	{"", "pods", "ephemeralcontainers"}: {
		verbGet:    {"pod.get", Environment},
		verbUpdate: podDebug,
		verbPatch:  podDebug,
	},

	{"", "nodes", ""}:       object("node", None),
	{"", "nodes", "status"}: part("node", None),
	{"", "nodes", "proxy"}:  always(Operation{"node.proxy", Filesystem}),

	// Everything with a pod template, and so with an environment. A
	// ControllerRevision is a copy of one.
	{"", "podtemplates", ""}:                 object("workload", Environment),
	{"", "replicationcontrollers", ""}:       object("workload", Environment),
	{"", "replicationcontrollers", "status"}: part("workload", Environment),
	{"apps", "controllerrevisions", ""}:      object("workload", Environment),
	{"apps", "daemonsets", ""}:               object("workload", Environment),
	{"apps", "daemonsets", "status"}:         part("workload", Environment),
	{"apps", "deployments", ""}:              object("workload", Environment),
	{"apps", "deployments", "status"}:        part("workload", Environment),
	{"apps", "replicasets", ""}:              object("workload", Environment),
	{"apps", "replicasets", "status"}:        part("workload", Environment),
	{"apps", "statefulsets", ""}:             object("workload", Environment),
	{"apps", "statefulsets", "status"}:       part("workload", Environment),
	{"batch", "cronjobs", ""}:                object("workload", Environment),
	{"batch", "cronjobs", "status"}:          part("workload", Environment),
	{"batch", "jobs", ""}:                    object("workload", Environment),
	{"batch", "jobs", "status"}:              part("workload", Environment),

	{"rbac.authorization.k8s.io", "clusterrolebindings", ""}: object("rbac", None),
	{"rbac.authorization.k8s.io", "clusterroles", ""}:        object("rbac", None),
	{"rbac.authorization.k8s.io", "rolebindings", ""}:        object("rbac", None),
	{"rbac.authorization.k8s.io", "roles", ""}:               object("rbac", None),

	{"certificates.k8s.io", "certificatesigningrequests", ""}:         object("certificatesigningrequest", None),
	{"certificates.k8s.io", "certificatesigningrequests", "status"}:   part("certificatesigningrequest", None),
	{"certificates.k8s.io", "certificatesigningrequests", "approval"}: always(Operation{"certificatesigningrequest.approve", None}),
}

// kubernetesIndex holds pointers, so that a look-up does not copy all verbs.
var kubernetesIndex = func() map[resourceKey]*verbs {
	index := make(map[resourceKey]*verbs, len(kubernetesResources))
	for key, vs := range kubernetesResources {
		index[key] = &vs
	}
	return index
}()

// Kubernetes returns the meaning of a request to the Kubernetes API.
func Kubernetes(r KubernetesRequest) Operation {
	if r.Resource == "" {
		return nonResource(r.Path)
	}
	vs, ok := kubernetesIndex[resourceKey{r.APIGroup, r.Resource, r.Subresource}]
	if !ok {
		return Other
	}
	op := vs[verbOf(r.Verb)]
	switch op.Name {
	case "":
		return Other
	case "node.proxy":
		op.Credential = kubelet(r.Path)
	}
	return op
}

// nonResource returns the meaning of a request that is not for a resource.
// /logs/ is the directory /var/log of the API server's host.
func nonResource(path string) Operation {
	if path == "/logs" || strings.HasPrefix(path, "/logs/") {
		return Operation{"apiserver.logs", Logs}
	}
	return Other
}

// kubelet says what the kubelet's answer to a request through nodes/proxy can
// leak. Monitoring reads its metrics and statistics that way all day; these are
// known by their exact path, and everything else counts as what the kubelet can
// give at worst, a command run in a container.
func kubelet(path string) Credential {
	path, ok := strings.CutPrefix(path, "/api/v1/nodes/")
	if !ok {
		return Filesystem
	}
	_, path, _ = strings.Cut(path, "/")
	switch path {
	case "proxy/metrics", "proxy/metrics/cadvisor", "proxy/metrics/probes",
		"proxy/metrics/resource", "proxy/metrics/slis",
		"proxy/stats/summary", "proxy/healthz":
		return None
	case "proxy/pods", "proxy/pods/", "proxy/runningpods", "proxy/runningpods/":
		return Environment
	}
	// Dots and escapes could lead out of the directory again.
	if strings.HasPrefix(path, "proxy/containerLogs/") && !strings.Contains(path, "..") && !strings.Contains(path, "%") {
		return Logs
	}
	return Filesystem
}
