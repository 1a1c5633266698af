// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"net/url"
	"strings"
	"testing"
)

// A selector decides whether a rule stays silent, so it must be read as the
// API server reads it.
func TestQuery(t *testing.T) {
	for uri, want := range map[string]string{
		"/api/v1/secrets": "",
		"/api/v1/secrets?labelSelector=owner%3Dhelm":           "owner=helm",
		"/api/v1/secrets?limit=1&labelSelector=a%2Cb&x=y":      "a,b",
		"/api/v1/secrets?labelSelecto%72=&labelSelector=a":     "",
		"/api/v1/secrets?labelSelector=&labelSelector=a":       "",
		"/api/v1/secrets?x=labelSelector%3Da":                  "",
		"/api/v1/secrets?labelSelector=a;b&labelSelector=c":    "c",
		"/api/v1/secrets?labelSelector=%zz&labelSelector=good": "good",
		"/api/v1/secrets?labelSelector=a+b":                    "a b",
	} {
		if got := Query(uri, "labelSelector"); got != want {
			t.Errorf("%s: labelSelector is %q, want %q", uri, got, want)
		}
	}
}

func FuzzQuery(f *testing.F) {
	f.Add("/x?labelSelector=a%2Cb&limit=1", "labelSelector")
	f.Add("?&=0", "")
	f.Add("?+=0", " ")
	f.Fuzz(func(t *testing.T, uri, name string) {
		// The API server uses Go's own parser, and ignores its error.
		_, raw, _ := strings.Cut(uri, "?")
		values, _ := url.ParseQuery(raw)
		if got, want := Query(uri, name), values.Get(name); got != want {
			t.Errorf("Query(%q, %q) = %q, net/url says %q", uri, name, got, want)
		}
	})
}
