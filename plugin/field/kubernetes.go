// SPDX-License-Identifier: Apache-2.0

package field

import (
	"net/netip"
	"net/url"
	"strings"

	"github.com/containerapi/containerapi/plugin/event"
)

// serviceAccount splits the user name of a service account. See
// k8s.io/apiserver/pkg/authentication/serviceaccount.
func serviceAccount(user string) (namespace, name string) {
	rest, ok := strings.CutPrefix(user, "system:serviceaccount:")
	if !ok {
		return "", ""
	}
	namespace, name, ok = strings.Cut(rest, ":")
	if !ok {
		return "", ""
	}
	return namespace, name
}

// clientName returns the product that a User-Agent names first, which is what
// the client claims to be and no more.
func clientName(userAgent string) string {
	for i := range len(userAgent) {
		if c := userAgent[i]; c == '/' || c == ' ' {
			userAgent = userAgent[:i]
			break
		}
	}
	if userAgent == "Helm" {
		return "helm"
	}
	return userAgent
}

// address returns the IP address that a source names, or the zero Addr.
func address(s string) netip.Addr {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return a
}

// clusterScoped names the resources of the core API that have no namespace.
// Requests for these are never "all namespaces".
func clusterScoped(k *event.Kubernetes) bool {
	switch k.Resource {
	case "namespaces", "nodes", "persistentvolumes", "componentstatuses",
		"tokenreviews", "subjectaccessreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews",
		"clusterroles", "clusterrolebindings", "customresourcedefinitions", "apiservices", "certificatesigningrequests",
		"storageclasses", "csidrivers", "csinodes", "volumeattachments", "priorityclasses", "runtimeclasses", "ingressclasses",
		"mutatingwebhookconfigurations", "validatingwebhookconfigurations", "validatingadmissionpolicies",
		"validatingadmissionpolicybindings", "flowschemas", "prioritylevelconfigurations":
		return true
	}
	return false
}

// allNamespaces reports whether a request reads a namespaced resource of every
// namespace at once.
func allNamespaces(k *event.Kubernetes) bool {
	if k.Resource == "" || k.Namespace != "" || clusterScoped(k) {
		return false
	}
	switch k.Verb {
	case "list", "watch", "deletecollection":
		return true
	}
	return false
}

// object names what a request is about: "shop/db" for one object, "shop/*" for
// all of a namespace, "*" for all there are.
func object(k *event.Kubernetes) (namespace, separator, name string) {
	if k.Resource == "" {
		return "", "", k.Path()
	}
	name = k.Name
	if name == "" {
		name = "*"
	}
	if k.Namespace == "" {
		return "", "", name
	}
	return k.Namespace, "/", name
}

// kubectlVerb returns the subcommand of kubectl that makes such a request, or
// "" for another client. kubectl writes its subcommand into fieldManager when
// it changes something; the rest is told by what is asked for.
func kubectlVerb(k *event.Kubernetes) string {
	if !isKubectl(k) {
		return ""
	}
	switch k.Subresource {
	case "log":
		return "logs"
	case "exec":
		if strings.HasPrefix(k.Command, "tar cf - ") || strings.HasPrefix(k.Command, "tar xmf - ") || strings.HasPrefix(k.Command, "tar -xmf - ") {
			return "cp"
		}
		return "exec"
	case "attach":
		return "attach"
	case "portforward":
		return "port-forward"
	case "ephemeralcontainers":
		return "debug"
	case "eviction":
		return "drain"
	case "scale":
		return "scale"
	case "token":
		return "create token"
	}
	if verb, ok := strings.CutPrefix(query(k.RequestURI, "fieldManager"), "kubectl-"); ok {
		if strings.HasSuffix(verb, "-apply") {
			return "apply"
		}
		return verb
	}
	switch k.Verb {
	case "get", "list", "watch":
		switch {
		case k.Resource == "events" && strings.Contains(query(k.RequestURI, "fieldSelector"), "involvedObject."):
			return "describe"
		case k.APIGroup == "metrics.k8s.io":
			return "top"
		case k.Resource == "" && strings.HasPrefix(k.RequestURI, "/openapi"):
			return "explain"
		}
		return "get"
	case "create":
		switch k.Resource {
		case "selfsubjectaccessreviews", "selfsubjectrulesreviews":
			return "auth can-i"
		case "selfsubjectreviews":
			return "auth whoami"
		}
		return "create"
	case "update":
		return "replace"
	case "deletecollection":
		return "delete"
	}
	return k.Verb
}

func isKubectl(k *event.Kubernetes) bool {
	return strings.HasPrefix(k.UserAgent, "kubectl") && clientName(k.UserAgent) == "kubectl"
}

func kubectlResource(k *event.Kubernetes) string {
	if !isKubectl(k) {
		return ""
	}
	return k.Resource
}

// query returns the value of a query parameter as the API server reads it: the
// first one of that name, names and values unescaped, pairs with a semicolon
// or a broken escape left out. See net/url.ParseQuery.
func query(uri, name string) string {
	_, rest, _ := strings.Cut(uri, "?")
	if !strings.Contains(rest, name) && strings.IndexByte(rest, '%') < 0 && strings.IndexByte(rest, '+') < 0 {
		return ""
	}
	for rest != "" {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		if pair == "" || strings.Contains(pair, ";") {
			continue
		}
		key, value, _ := strings.Cut(pair, "=")
		if unescape(&key) && key == name && unescape(&value) {
			return value
		}
	}
	return ""
}

// unescape decodes s in place and reports whether that could be done. Most
// strings need no decoding, and then nothing is allocated.
func unescape(s *string) bool {
	if strings.IndexByte(*s, '%') < 0 && strings.IndexByte(*s, '+') < 0 {
		return true
	}
	decoded, err := url.QueryUnescape(*s)
	if err != nil {
		return false
	}
	*s = decoded
	return true
}
