// SPDX-License-Identifier: Apache-2.0

package event

import "strings"

// inferred ends the status that k8saudit-gke makes up: Google's audit log has none.
// No API server writes it, and no client can.
const inferred = " (inferred)"

// isGKE reports whether Falco's plugin k8saudit-gke made the event of an entry of
// Google's audit log.
func isGKE(k *Kubernetes) bool { return strings.HasSuffix(k.Status, inferred) }

// fromGKE turns what that plugin makes into what an API server writes. See
// plugins/k8saudit-gke/pkg/k8sauditgke/convert.go in falcosecurity/plugins:
//
//   - the status is 200, 201 or 101, whatever was answered. Only the decision, which
//     it takes from the entry's labels, is known;
//   - the path is the entry's name of the resource, "core/v1/namespaces/…", without
//     a query;
//   - the API group of the core is "core", and lists of the whole cluster have no
//     objectRef;
//   - users have no groups.
func fromGKE(k *Kubernetes) {
	k.Code, k.Status = 0, ""
	path := strings.TrimPrefix(k.RequestURI, "/")
	if group, rest, _ := strings.Cut(path, "/"); isVersion(rest) {
		if k.RequestURI = "/apis/" + path; group == "core" {
			k.RequestURI = "/api/" + rest
		}
		// The path says all of it.
		k.Resource, k.Subresource, k.Namespace, k.Name, k.APIGroup = "", "", "", "", ""
	}
	if k.Verb == "delete" {
		// Whether the answer had the object is not known, and it hardly ever has.
		k.Status = "Success"
	}
	if len(k.User.Groups) == 0 {
		k.User.Groups = append(k.User.Groups, groupsOf(k.User.Name)...)
	}
}

// isVersion reports whether a path begins with the version of an API.
func isVersion(path string) bool {
	return len(path) > 1 && path[0] == 'v' && path[1] >= '1' && path[1] <= '9'
}

// groupsOf returns the groups that an API server gives to every user of such a name,
// by k8s.io/apiserver/pkg/authentication. Nobody else can have one of these names:
// Google's own users are mail addresses.
func groupsOf(user string) []string {
	const authenticated = "system:authenticated"
	switch account, isAccount := strings.CutPrefix(user, "system:serviceaccount:"); {
	case isAccount:
		namespace, _, _ := strings.Cut(account, ":")
		return []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, authenticated}
	case strings.HasPrefix(user, "system:node:"):
		return []string{"system:nodes", authenticated}
	case user == "" || user == "system:anonymous":
		return []string{"system:unauthenticated"}
	}
	return []string{authenticated}
}
