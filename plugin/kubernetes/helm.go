// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"strings"

	"github.com/containerapi/containerapi/plugin/event"
)

// HelmRelease returns the release of Helm that a request is for and for nothing
// else: by the name of its secret or configmap, or by a label selector, whose terms
// have to be true all at once, in whatever order a version of Helm writes them. It
// returns "*" for all releases and "" for other requests. See pkg/storage/driver
// in helm/helm.
func HelmRelease(k *event.Kubernetes) string {
	if k.APIGroup != "" || k.Subresource != "" || k.Resource != "secrets" && k.Resource != "configmaps" {
		return ""
	}
	if k.Name != "" {
		// sh.helm.release.v1.NAME.vREVISION
		release, ok := strings.CutPrefix(k.Name, "sh.helm.release.v1.")
		if !ok {
			return ""
		}
		if i := strings.LastIndex(release, ".v"); i > 0 {
			release = release[:i]
		}
		return release
	}
	selector := Query(k.RequestURI, "labelSelector")
	if selector == "" || !asksFor(k.Verb) {
		return ""
	}
	owned, release := false, "*"
	for term := range strings.SplitSeq(selector, ",") {
		key, value := equality(term)
		switch key {
		case "owner":
			owned = owned || value == "helm"
		case "name":
			release = value
		}
	}
	if !owned {
		return ""
	}
	return release
}

// asksFor reports whether the API server takes a label selector with a verb.
func asksFor(verb string) bool {
	return verb == "list" || verb == "watch" || verb == "deletecollection"
}

// equality returns the sides of a term of a label selector that says key=value or
// key==value, and nothing for any other. See k8s.io/apimachinery/pkg/labels.
func equality(term string) (key, value string) {
	key, value, ok := strings.Cut(term, "=")
	if !ok || strings.HasSuffix(key, "!") {
		return "", ""
	}
	value = strings.TrimPrefix(value, "=")
	return strings.TrimSpace(key), strings.TrimSpace(value)
}
