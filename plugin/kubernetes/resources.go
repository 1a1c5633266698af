// SPDX-License-Identifier: Apache-2.0

// Package kubernetes knows the Kubernetes API: what a request to each resource
// does and what its answer can give away, as audit events tell of it. Three
// tables hold that: resources, subresources, and what a kubelet answers.
package kubernetes

import (
	"strings"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/manifest"
	"github.com/containerapi/containerapi/plugin/operation"
)

// row is all that is known of one resource, or of one subresource of it. A
// resource of the same name in another API group is another resource: a custom
// resource named secrets is not a Secret.
type row struct {
	group, resource, subresource string
	verbs                        verbs
	more
}

// more is what only some resources have.
type more struct {
	// clusterScoped reports that the resource has no namespaces.
	clusterScoped bool
	// asks is what is wanted of the object of a request that creates or changes one.
	asks manifest.Kind
	// secretName reports that the name of an object can be a credential itself.
	secretName bool
	// kubectlCreates is the command of kubectl that creates one, where that is
	// not "create".
	kubectlCreates string
}

// Short names, so that a row fits on a line.
const (
	none        = operation.None
	configMap   = operation.ConfigMap
	environment = operation.Environment
	filesystem  = operation.Filesystem
	logs        = operation.Logs
	secret      = operation.Secret
	token       = operation.Token
)

var podDebug = operation.Operation{Name: "pod.debug", Credential: filesystem}

// resources are the resources with a meaning here, and those of Kubernetes that
// have no namespaces. The verbs are those of the API server's RequestInfo
// (k8s.io/apiserver/pkg/endpoints/request).
var resources = []row{

	{"", "secrets", "", object("secret", secret), more{asks: manifest.Access}},
	{"", "configmaps", "", object("configmap", configMap), more{}},

	// A service account only names its secrets.
	{"", "serviceaccounts", "", object("serviceaccount", none), more{}},
	{"", "serviceaccounts", "token", only(operation.Operation{Name: "token.create", Credential: token}), more{}},
	{"authentication.k8s.io", "tokenreviews", "", only(operation.Operation{Name: "token.review", Credential: none}), more{clusterScoped: true}},
	{"authentication.k8s.io", "selfsubjectreviews", "", only(operation.Operation{Name: "access.review", Credential: none}), more{clusterScoped: true, kubectlCreates: "auth whoami"}},

	{"authorization.k8s.io", "selfsubjectaccessreviews", "", only(operation.Operation{Name: "access.review", Credential: none}), more{clusterScoped: true, kubectlCreates: "auth can-i"}},
	{"authorization.k8s.io", "selfsubjectrulesreviews", "", only(operation.Operation{Name: "access.review", Credential: none}), more{clusterScoped: true, kubectlCreates: "auth can-i"}},

	// What others may do. Kubelets ask whether those may who come to their own port.
	{"authorization.k8s.io", "subjectaccessreviews", "", only(operation.Operation{Name: operation.SubjectReview, Credential: none}), more{clusterScoped: true, asks: manifest.Review}},
	{"authorization.k8s.io", "localsubjectaccessreviews", "", only(operation.Operation{Name: operation.SubjectReview, Credential: none}), more{asks: manifest.Review}},

	{"", "pods", "", object("pod", environment), more{asks: manifest.Pod}},
	{"", "pods", "status", part("pod", environment), more{}},
	{"", "pods", "resize", part("pod", environment), more{asks: manifest.Pod}},
	{"", "pods", "log", always(operation.Operation{Name: "pod.logs", Credential: logs}), more{}},
	{"", "pods", "exec", always(operation.Operation{Name: "pod.exec", Credential: filesystem}), more{}},
	{"", "pods", "attach", always(operation.Operation{Name: "pod.attach", Credential: filesystem}), more{}},
	{"", "pods", "portforward", always(operation.Operation{Name: "pod.portforward", Credential: none}), more{}},
	{"", "pods", "proxy", always(operation.Operation{Name: operation.PodProxy, Credential: none}), more{}},
	{"", "services", "proxy", always(operation.Operation{Name: operation.ServiceProxy, Credential: none}), more{}},
	{"", "pods", "ephemeralcontainers", verbs{
		verbGet:    {Name: "pod.get", Credential: environment},
		verbUpdate: podDebug,
		verbPatch:  podDebug,
	}, more{asks: manifest.Pod}},

	{"", "nodes", "", object("node", none), more{clusterScoped: true}},
	{"", "nodes", "status", part("node", none), more{clusterScoped: true}},
	{"", "nodes", "proxy", always(operation.Operation{Name: "node.proxy", Credential: filesystem}), more{clusterScoped: true}},

	// Everything with a pod template, and so with an environment. A
	// ControllerRevision is a copy of one.
	{"", "podtemplates", "", object("workload", environment), more{asks: manifest.Pod}},
	{"", "replicationcontrollers", "", object("workload", environment), more{asks: manifest.Pod}},
	{"", "replicationcontrollers", "status", part("workload", environment), more{}},
	{"apps", "controllerrevisions", "", object("workload", environment), more{}},
	{"apps", "daemonsets", "", object("workload", environment), more{asks: manifest.Pod}},
	{"apps", "daemonsets", "status", part("workload", environment), more{}},
	{"apps", "deployments", "", object("workload", environment), more{asks: manifest.Pod}},
	{"apps", "deployments", "status", part("workload", environment), more{}},
	{"apps", "replicasets", "", object("workload", environment), more{asks: manifest.Pod}},
	{"apps", "replicasets", "status", part("workload", environment), more{}},
	{"apps", "statefulsets", "", object("workload", environment), more{asks: manifest.Pod}},
	{"apps", "statefulsets", "status", part("workload", environment), more{}},
	{"batch", "cronjobs", "", object("workload", environment), more{asks: manifest.Pod}},
	{"batch", "cronjobs", "status", part("workload", environment), more{}},
	{"batch", "jobs", "", object("workload", environment), more{asks: manifest.Pod}},
	{"batch", "jobs", "status", part("workload", environment), more{}},

	{"rbac.authorization.k8s.io", "clusterrolebindings", "", object("rbac", none), more{clusterScoped: true, asks: manifest.Access}},
	{"rbac.authorization.k8s.io", "clusterroles", "", object("rbac", none), more{clusterScoped: true, asks: manifest.Access}},
	{"rbac.authorization.k8s.io", "rolebindings", "", object("rbac", none), more{asks: manifest.Access}},
	{"rbac.authorization.k8s.io", "roles", "", object("rbac", none), more{asks: manifest.Access}},

	{"certificates.k8s.io", "certificatesigningrequests", "", object("certificatesigningrequest", none), more{clusterScoped: true, asks: manifest.Access}},
	{"certificates.k8s.io", "certificatesigningrequests", "status", part("certificatesigningrequest", none), more{clusterScoped: true}},
	{"certificates.k8s.io", "certificatesigningrequests", "approval", always(operation.Operation{Name: "certificatesigningrequest.approve", Credential: none}), more{clusterScoped: true, asks: manifest.Access}},

	// Who is asked by the API server, or shown what others write: a webhook for secrets
	// gets each of them, and so does an expression of a policy.
	{"admissionregistration.k8s.io", "mutatingadmissionpolicies", "", object("admission", none), more{clusterScoped: true, asks: manifest.Access}},
	{"admissionregistration.k8s.io", "mutatingadmissionpolicybindings", "", object("admission", none), more{clusterScoped: true, asks: manifest.Access}},
	{"admissionregistration.k8s.io", "mutatingwebhookconfigurations", "", object("admission", none), more{clusterScoped: true, asks: manifest.Access}},
	{"admissionregistration.k8s.io", "validatingadmissionpolicies", "", object("admission", none), more{clusterScoped: true, asks: manifest.Access}},
	{"admissionregistration.k8s.io", "validatingadmissionpolicies", "status", part("admission", none), more{clusterScoped: true}},
	{"admissionregistration.k8s.io", "validatingadmissionpolicybindings", "", object("admission", none), more{clusterScoped: true, asks: manifest.Access}},
	{"admissionregistration.k8s.io", "validatingwebhookconfigurations", "", object("admission", none), more{clusterScoped: true, asks: manifest.Access}},

	// A volume that is made by hand can be any directory of a node. A driver can ask
	// for the tokens of the pods that use it.
	{"", "persistentvolumes", "", object("persistentvolume", none), more{clusterScoped: true, asks: manifest.Pod}},
	{"", "persistentvolumes", "status", part("persistentvolume", none), more{clusterScoped: true}},
	{"storage.k8s.io", "csidrivers", "", object("csidriver", none), more{clusterScoped: true, asks: manifest.Access}},

	// Of OpenShift (github.com/openshift/api). Before 4.6 the name of a token was the
	// token. A route has the key of its certificate, an image stream the credentials
	// of its registries, a build the environment that it runs in.
	{"oauth.openshift.io", "oauthaccesstokens", "", object("oauthtoken", token), more{clusterScoped: true, secretName: true}},
	{"oauth.openshift.io", "oauthauthorizetokens", "", object("oauthtoken", token), more{clusterScoped: true, secretName: true}},
	{"oauth.openshift.io", "useroauthaccesstokens", "", object("oauthtoken", token), more{clusterScoped: true, secretName: true}},
	{"oauth.openshift.io", "oauthclients", "", object("oauthclient", secret), more{clusterScoped: true}},
	{"image.openshift.io", "imagestreams", "secrets", always(operation.Operation{Name: "imagestream.secrets", Credential: secret}), more{}},
	{"apps.openshift.io", "deploymentconfigs", "", object("workload", environment), more{asks: manifest.Pod}},
	{"apps.openshift.io", "deploymentconfigs", "log", always(operation.Operation{Name: "pod.logs", Credential: logs}), more{}},
	{"build.openshift.io", "builds", "", object("build", environment), more{asks: manifest.Pod}},
	{"build.openshift.io", "builds", "log", always(operation.Operation{Name: "pod.logs", Credential: logs}), more{}},
	{"build.openshift.io", "buildconfigs", "", object("build", environment), more{asks: manifest.Pod}},
	{"template.openshift.io", "templateinstances", "", object("workload", environment), more{}},
	{"route.openshift.io", "routes", "", object("route", environment), more{}},
	{"authorization.openshift.io", "clusterrolebindings", "", object("rbac", none), more{clusterScoped: true, asks: manifest.Access}},
	{"authorization.openshift.io", "clusterroles", "", object("rbac", none), more{clusterScoped: true, asks: manifest.Access}},
	{"authorization.openshift.io", "rolebindings", "", object("rbac", none), more{asks: manifest.Access}},
	{"authorization.openshift.io", "roles", "", object("rbac", none), more{asks: manifest.Access}},
	{"security.openshift.io", "securitycontextconstraints", "", object("rbac", none), more{clusterScoped: true}},

	// Resources that mean nothing here, and have no namespaces.
	{"", "namespaces", "", verbs{}, more{clusterScoped: true}},
	{"", "componentstatuses", "", verbs{}, more{clusterScoped: true}},
	{"apiextensions.k8s.io", "customresourcedefinitions", "", verbs{}, more{clusterScoped: true}},
	{"apiregistration.k8s.io", "apiservices", "", verbs{}, more{clusterScoped: true}},
	{"certificates.k8s.io", "clustertrustbundles", "", verbs{}, more{clusterScoped: true}},
	{"flowcontrol.apiserver.k8s.io", "flowschemas", "", verbs{}, more{clusterScoped: true}},
	{"flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations", "", verbs{}, more{clusterScoped: true}},
	{"internal.apiserver.k8s.io", "storageversions", "", verbs{}, more{clusterScoped: true}},
	{"metrics.k8s.io", "nodes", "", verbs{}, more{clusterScoped: true}},
	{"networking.k8s.io", "ingressclasses", "", verbs{}, more{clusterScoped: true}},
	{"networking.k8s.io", "ipaddresses", "", verbs{}, more{clusterScoped: true}},
	{"networking.k8s.io", "servicecidrs", "", verbs{}, more{clusterScoped: true}},
	{"node.k8s.io", "runtimeclasses", "", verbs{}, more{clusterScoped: true}},
	{"resource.k8s.io", "deviceclasses", "", verbs{}, more{clusterScoped: true}},
	{"resource.k8s.io", "resourceslices", "", verbs{}, more{clusterScoped: true}},
	{"scheduling.k8s.io", "priorityclasses", "", verbs{}, more{clusterScoped: true}},
	{"storage.k8s.io", "csinodes", "", verbs{}, more{clusterScoped: true}},
	{"storage.k8s.io", "storageclasses", "", verbs{}, more{clusterScoped: true}},
	{"storage.k8s.io", "volumeattachments", "", verbs{}, more{clusterScoped: true}},
	{"storage.k8s.io", "volumeattributesclasses", "", verbs{}, more{clusterScoped: true}},
	{"storagemigration.k8s.io", "storageversionmigrations", "", verbs{}, more{clusterScoped: true}},
}

// subresourceRow is what is known of a subresource, whatever the resource.
type subresourceRow struct {
	// streams reports that a request may have several events with an outcome:
	// ResponseStarted, and ResponseComplete when the stream ends. See
	// BasicLongRunningRequestCheck in k8s.io/apiserver/pkg/endpoints/filters
	// and its arguments in pkg/controlplane/apiserver.
	streams bool
	// kubectl is the command of kubectl that asks for it, with any verb.
	kubectl string
}

var subresources = map[string]subresourceRow{
	"attach":              {streams: true, kubectl: "attach"},
	"ephemeralcontainers": {kubectl: "debug"},
	"eviction":            {kubectl: "drain"},
	"exec":                {streams: true, kubectl: "exec"},
	"log":                 {streams: true, kubectl: "logs"},
	"portforward":         {streams: true, kubectl: "port-forward"},
	"proxy":               {streams: true},
	"scale":               {kubectl: "scale"},
	"token":               {kubectl: "create token"},
}

type key struct{ group, resource, subresource string }

// index holds pointers, so that a look-up does not copy all verbs.
var index = func() map[key]*row {
	index := make(map[key]*row, len(resources))
	for i := range resources {
		r := &resources[i]
		index[key{r.group, r.resource, r.subresource}] = r
	}
	return index
}()

// Operation returns the meaning of a request.
func Operation(k *event.Kubernetes) operation.Operation {
	op := named(k, event.Target{APIGroup: k.APIGroup, Resource: k.Resource, Subresource: k.Subresource})
	if k.Differs && op.Credential == operation.None {
		// One of them is wrong, and it may be the harmless one.
		if target, ok := k.PathTarget(); !ok || target.Resource != k.Resource || target.Subresource != k.Subresource {
			op = named(k, target)
		}
	}
	// A deletion is answered with the object only in the foreground, where
	// finalizers wait, or as a whole collection.
	if k.StatusOnly() || k.Missing() {
		op.Credential = operation.None
	}
	return op
}

// named returns the meaning of a request for what is named.
func named(k *event.Kubernetes, target event.Target) operation.Operation {
	if target.Resource == "" {
		return nonResource(k.Path())
	}
	r := index[key{target.APIGroup, target.Resource, target.Subresource}]
	if r == nil {
		return operation.Other
	}
	op := r.verbs[verbOf(k.Verb)]
	switch op.Name {
	case "":
		return operation.Other
	case operation.NodeProxy:
		op.Credential = kubelet(k)
	case operation.PodProxy, operation.ServiceProxy:
		op.Credential = ProxyOf(k).Credential
	case operation.SubjectReview:
		return reviewed(k, op)
	}
	return op
}

// Differs reports whether the path of a request names another object than the
// event does. No API server writes such an event: it takes the one from the other.
func Differs(k *event.Kubernetes) bool {
	path, ok := k.PathTarget()
	if !ok {
		return k.Resource != "" && isRooted(k.Path())
	}
	if path.APIGroup != k.APIGroup || path.Resource != k.Resource || path.Subresource != k.Subresource && path.Subresource != "" {
		return true
	}
	// What a path leaves open can be in the body of a creation, or in a selector.
	switch {
	case path.Namespace != "" && path.Namespace != k.Namespace:
		return true
	case path.Name != "":
		return path.Name != k.Name
	case k.Name != "" && (k.Verb == "list" || k.Verb == "watch"):
		return !strings.Contains(Query(k.RequestURI, "fieldSelector"), k.Name)
	}
	return false
}

// isRooted reports whether a path is one of an API server's own, and not that of
// another one behind an aggregator, nor masked.
func isRooted(path string) bool {
	return strings.HasPrefix(path, "/api/") || strings.HasPrefix(path, "/apis/") || strings.HasPrefix(path, "/logs/")
}

// Reads says what is wanted of the object of a request.
func Reads(k *event.Kubernetes) manifest.Kind {
	switch k.Verb {
	case "create", "update", "patch":
		if r := index[key{k.APIGroup, k.Resource, k.Subresource}]; r != nil {
			return r.asks
		}
	}
	return manifest.Nothing
}

// reviewed is the meaning of a question for the rights of others. A kubelet asks it for
// each client that comes to its own port, so that it tells of what no audit event
// tells: what a client wanted there.
func reviewed(k *event.Kubernetes, op operation.Operation) operation.Operation {
	subresource, ok := strings.CutPrefix(k.Given.ReviewResource, "nodes")
	if !ok || !strings.HasPrefix(k.User.Name, "system:node:") {
		return op
	}
	op.Name = operation.KubeletAccess
	// See pkg/kubelet/server/auth.go in Kubernetes, and KEP-2862.
	switch subresource {
	case "/proxy", "/checkpoint":
		op.Credential = filesystem
	case "/log":
		op.Credential = logs
	case "/pods":
		op.Credential = environment
	}
	return op
}

// LongRunning reports whether a request may have several events with an
// outcome.
func LongRunning(k *event.Kubernetes) bool {
	return k.Stage == "ResponseStarted" || k.Verb == "watch" || k.Verb == "proxy" ||
		k.Subresource != "" && subresources[k.Subresource].streams
}

// AllNamespaces reports whether a request reads a namespaced resource of every
// namespace at once. A resource that is not in the table, such as a custom one,
// counts as namespaced.
func AllNamespaces(k *event.Kubernetes) bool {
	if k.Resource == "" || k.Namespace != "" {
		return false
	}
	switch k.Verb {
	case "list", "watch", "deletecollection":
		r := index[key{k.APIGroup, k.Resource, ""}]
		return r == nil || !r.clusterScoped
	}
	return false
}

// nonResource returns the meaning of a request that is not for a resource.
// /logs/ is the directory /var/log of the API server's host.
func nonResource(path string) operation.Operation {
	// Whoever raises the verbosity of its log finds secrets there.
	if strings.HasPrefix(path, "/debug/") {
		return operation.Operation{Name: "apiserver.debug", Credential: none}
	}
	if path == "/logs" || strings.HasPrefix(path, "/logs/") {
		return operation.Operation{Name: "apiserver.logs", Credential: logs}
	}
	return operation.Other
}

// kubelet says what the kubelet's answer to a request through nodes/proxy can
// leak. Monitoring reads its metrics and statistics that way all day; these are
// known by their exact path, and everything else counts as what the kubelet can
// give at worst, a command run in a container.
//
// The path is decoded once, as the API server hands it on: what is an escape after
// that is one for the kubelet.
func kubelet(k *event.Kubernetes) operation.Credential {
	target, ok := k.PathTarget()
	if !ok || target.Resource != "nodes" || target.Subresource != "proxy" {
		return filesystem
	}
	switch path := target.Rest; path {
	case "metrics", "metrics/cadvisor", "metrics/probes", "metrics/resource", "metrics/slis", "stats/summary",
		"healthz", "healthz/log", "healthz/ping", "healthz/syncloop", "configz", "statusz", "flagz":
		return none
	case "pods", "runningpods":
		return environment
	default:
		// Dots and escapes could lead out of the directory again.
		if strings.HasPrefix(path, "containerLogs/") && !strings.Contains(path, "..") && !strings.Contains(path, "%") {
			return logs
		}
	}
	return filesystem
}
