// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"net/url"
	"slices"
	"strings"

	"github.com/containerapi/containerapi/plugin/command"
	"github.com/containerapi/containerapi/plugin/event"
)

// ServiceAccount returns the service account that made a request, or nothing for
// another user: also for one who has only the name of an account, by a client
// certificate or without the groups that the API server gives to every account. See
// k8s.io/apiserver/pkg/authentication/serviceaccount.
func ServiceAccount(k *event.Kubernetes) (namespace, name string) {
	namespace, name, ok := splitAccount(k.User.Name)
	if !ok || !byAccountToken.fits(k) || !areAccounts(k.User.Groups, namespace) {
		return "", ""
	}
	return namespace, name
}

// Client returns the product that a User-Agent names first, which is what
// the client claims to be and no more.
func Client(userAgent string) string {
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

// tools are what people and scripts use, and libraries what sends its own name for the
// program that is built on it.
var (
	tools = []string{
		"", "Go-http-client", "HTTPie", "Mozilla", "PostmanRuntime", "Python-urllib", "Wget", "curl", "k9s", "kubectl", "oc", "python-requests",
	}
	libraries = []string{
		"Apache-HttpClient", "GuzzleHttp", "Java", "Kubernetes", "OpenAPI-Generator", "Python", "Ruby", "Swagger-Codegen", "aiohttp", "axios",
		"fabric8-kubernetes-client", "kube-rs", "kubernetes-client", "node", "node-fetch", "okhttp", "python-httpx", "rest-client", "undici",
	}
)

// The kinds of clients by what they call themselves.
const (
	Tool    = "tool"    // what people and scripts use
	Library = "library" // a program that does not say which it is
	Named   = "named"   // a program with a name of its own
)

// ClientKind returns which kind of client has this product, as Client returns it.
func ClientKind(product string) string {
	if _, found := slices.BinarySearch(tools, product); found {
		return Tool
	}
	if _, found := slices.BinarySearch(libraries, product); found {
		return Library
	}
	return Named
}

// deployed are the objects that a deployment makes and that lead to credentials, by the
// first part of their operations' names.
var deployed = []string{"admission", "build", "certificatesigningrequest", "csidriver", "persistentvolume", "pod", "rbac", "secret", "workload"}

// Deploys reports whether an operation makes or changes such an object.
func Deploys(op string) bool {
	object, act, _ := strings.Cut(op, ".")
	_, found := slices.BinarySearch(deployed, object)
	return found && (act == "create" || act == "update" || act == "patch")
}

// Object names what a request is about: "shop/db" for one object, "shop/*" for
// all of a namespace, "*" for all there are.
func Object(k *event.Kubernetes) (namespace, separator, name string) {
	if k.Resource == "" {
		return "", "", ShownPath(k)
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

// ShownPath returns the path of a request that was cleaned, decoded. What was hidden
// by escapes is masked then.
func ShownPath(k *event.Kubernetes) string {
	path := k.Path()
	if strings.IndexByte(k.RequestURI, '%') < 0 {
		return path
	}
	return command.MaskText(path)
}

// HideName hides the name of an object that is a credential itself. OpenShift has
// called tokens by their hash since 4.6, "sha256~…", and by themselves before.
func HideName(k *event.Kubernetes) {
	r := index[key{k.APIGroup, k.Resource, ""}]
	if r == nil || !r.secretName || k.Name == "" || k.Name == hiddenName || strings.HasPrefix(k.Name, "sha256~") {
		return
	}
	path, query, asked := strings.Cut(k.RequestURI, "?")
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		path = path[:i+1] + hiddenName
	}
	if k.RequestURI = path; asked {
		// A selector can name it as well.
		k.RequestURI += "?" + strings.ReplaceAll(query, k.Name, hiddenName)
	}
	k.Name = hiddenName
}

// hiddenName stands for a name that is not shown.
const hiddenName = "***"

// Query returns the value of a query parameter as the API server reads it: the
// first one of that name, names and values unescaped, pairs with a semicolon
// or a broken escape left out. See net/url.ParseQuery.
func Query(uri, name string) string {
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
