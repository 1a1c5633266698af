// SPDX-License-Identifier: Apache-2.0

package event

import (
	"net/url"
	"strings"
)

// Target is what the path of a request names.
type Target struct {
	APIGroup, Namespace, Resource, Name, Subresource string
	// Rest is what stands behind the subresource, without the slash before it: what
	// a proxy asks its backend for.
	Rest string
}

// Path returns the request's path without its query, decoded once, as the API
// server does before it looks at it. One that cannot be decoded is returned as it is.
func (k *Kubernetes) Path() string {
	path, _ := cutQuery(k.RequestURI)
	if strings.IndexByte(path, '%') < 0 {
		return path
	}
	if decoded, err := url.PathUnescape(path); err == nil {
		return decoded
	}
	return path
}

// PathTarget returns what the path names, and false for one that is for no resource.
// It reads the path as NewRequestInfo in k8s.io/apiserver/pkg/endpoints/request does:
// decoded first and split then, so that an escaped slash separates, too.
func (k *Kubernetes) PathTarget() (Target, bool) {
	var t Target
	path := strings.Trim(k.Path(), "/")
	prefix, path, _ := strings.Cut(path, "/")
	switch prefix {
	case "api":
	case "apis":
		t.APIGroup, path, _ = strings.Cut(path, "/")
	default:
		return Target{}, false
	}
	_, path, ok := strings.Cut(path, "/") // the version
	if !ok {
		return Target{}, false
	}
	if rest, ok := strings.CutPrefix(path, "watch/"); ok {
		path = rest
	} else if rest, ok := strings.CutPrefix(path, "proxy/"); ok {
		path = rest
	}
	if inner, ok := strings.CutPrefix(path, "namespaces/"); ok {
		name, inner, more := strings.Cut(inner, "/")
		t.Namespace = name
		// The namespace itself has these two subresources.
		if more && inner != "status" && inner != "finalize" && !strings.HasPrefix(inner, "status/") && !strings.HasPrefix(inner, "finalize/") {
			path = inner
		}
	}
	t.Resource, path, _ = strings.Cut(path, "/")
	t.Name, path, _ = strings.Cut(path, "/")
	t.Subresource, t.Rest, _ = strings.Cut(path, "/")
	return t, true
}
