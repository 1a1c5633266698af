// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"net/url"
	"testing"
)

// A request for releases of Helm gets nothing else, so that it has a rule of its own.
func TestHelmRelease(t *testing.T) {
	for _, test := range []struct{ verb, resource, name, selector, want string }{
		{"list", "secrets", "", "owner=helm", "*"},
		{"list", "secrets", "", "name=web,owner=helm", "web"},
		{"list", "secrets", "", "name=web,owner=helm,status=deployed", "web"},
		{"list", "secrets", "", "owner=helm,status in (deployed,failed)", "*"},
		{"list", "secrets", "", "status!=superseded, owner==helm , name = web", "web"},
		{"watch", "configmaps", "", "owner=helm,name=web", "web"},
		{"get", "secrets", "sh.helm.release.v1.web.v12", "", "web"},
		{"get", "configmaps", "sh.helm.release.v1.my.app.v1", "", "my.app"},
		{"delete", "secrets", "sh.helm.release.v1.web.v1", "", "web"},

		{"list", "secrets", "", "", ""},
		{"list", "secrets", "", "owner!=helm", ""},
		{"list", "secrets", "", "owner!==helm", ""},
		{"list", "secrets", "", "owner in (helm,other)", ""},
		{"list", "secrets", "", "owner notin (x,owner=helm)", ""},
		{"list", "secrets", "", "myowner=helm", ""},
		{"get", "secrets", "database", "owner=helm", ""},
		{"get", "secrets", "my-sh.helm.release.v1.web.v1", "", ""},
		{"list", "pods", "", "owner=helm", ""},
		{"list", "apps:secrets", "", "owner=helm", ""},
	} {
		e := audit(test.verb, test.resource, "/x?limit=500&labelSelector="+url.QueryEscape(test.selector))
		e.Kubernetes.Name = test.name
		if got := HelmRelease(&e.Kubernetes); got != test.want {
			t.Errorf("%s %s %s %q is about the release %q, want %q", test.verb, test.resource, test.name, test.selector, got, test.want)
		}
	}
}
