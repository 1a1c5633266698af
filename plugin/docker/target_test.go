// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestSplitTarget(t *testing.T) {
	for _, tt := range []struct{ target, path, version string }{
		{"/info", "/info", ""},
		{"/v1.41/info?x=y", "/info", "1.41"},
		{"/v1/containers/json", "/containers/json", "1"},
		{"/v.../info", "/info", "..."},
		{"/v1.x/info", "/v1.x/info", ""},
		{"/v1.41", "/v1.41", ""},
		{"/v/info", "/v/info", ""},
		{"/version", "/version", ""},
		{"/volumes/v1.41/x", "/volumes/v1.41/x", ""},
		{"http://docker/v1.47/containers/web/json?size=1", "/containers/web/json", "1.47"},
		{"http://docker", "", ""},
		{"/containers/a%2Fb/json", "/containers/a%2Fb/json", ""},
		{"*", "*", ""},
		{"", "", ""},
		// dockerd takes off one version only.
		{"/v1.41/v1.41/info", "/v1.41/v1.41/info", ""},
		{"/v1.41/%761.41/info", "/v1.41/%761.41/info", ""},
		{"/v1.41/v1.41%2Finfo", "/v1.41/v1.41%2Finfo", ""},
		{"http://h/containers/json#x", "/containers/json%23x", ""},
		// Neither a path nor a URL.
		{"http://user:canary%zz@x/", "", ""},
		{"canary", "", ""},
	} {
		if path, version := splitTarget(tt.target); path != tt.path || version != tt.version {
			t.Errorf("%s: got %q of version %q, want %q of %q", tt.target, path, version, tt.path, tt.version)
		}
	}
}

// What a query shows is for its route to say: a parameter that names something
// for one route can hold a secret for another.
func TestShownQuery(t *testing.T) {
	for _, tt := range []struct{ method, target, want string }{
		{"GET", "/info", ""},
		{"GET", "/containers/json?all=1&size=1&filters=canary", "all=1&size=1"},
		{"POST", "/containers/create?name=web&platform=canary", "name=web"},
		{"GET", "/images/get?names=a&names=b", "names=a&names=b"},
		{"POST", `/build?buildargs={"X":"canary"}&t=canary&name=canary`, ""},
		{"DELETE", "/containers/web?filters=label%3Dcanary&force=true", "force=true"},
		{"POST", "/commit?container=web&changes=ENV+A=canary&comment=canary&repo=r", "container=web&repo=r"},
		{"POST", "/images/create?fromSrc=http://u:canary@h/&fromImage=app&remote=canary", "fromImage=app"},
		{"POST", "/containers/create?name=a;buildargs=canary", "name=a"},
		{"POST", "/containers/create?%6eame=canary", ""},
		{"GET", "/containers/web/logs?stdout=1&tail=5&name=canary", "stdout=1&tail=5"},
		{"GET", "/nothing?name=canary", ""},
	} {
		if got := NewCall(tt.method, tt.target).shownQuery(); got != tt.want {
			t.Errorf("%s %s: got %q, want %q", tt.method, tt.target, got, tt.want)
		}
	}
}

// What is shown of a target must mean what the target means to the engine, and
// show nothing that can hold a secret.
func FuzzTarget(f *testing.F) {
	for _, target := range []string{
		"/v1.41/containers/json?all=1&filters=x", "/v1.41/v1.41/info", "/v1.41/%761.41/info", "http://h/v1/info#x?name=y",
		"/build?buildargs=%7B%22X%22%3A%22canary%22%7D&t=x;name=z", "http://u:p@h/info", "//info", "*", "x:/info", "/v1.41%2finfo",
	} {
		f.Add("GET", target)
	}
	f.Fuzz(func(t *testing.T, method, target string) {
		path, version := splitTarget(target)
		if got, want := Operation(method, path), Operation(method, target); got != want {
			t.Errorf("%q is %v, its path %q is %v", target, want, path, got)
		}
		if strings.Contains(path, "?") || strings.Trim(version, "0123456789.") != "" {
			t.Errorf("%q: path %q, version %q", target, path, version)
		}
		_, query, _ := strings.Cut(target, "?")
		c := NewCall(method, target)
		kept := c.shownQuery()
		if len(kept) > len(query) {
			t.Errorf("%q became %q", query, kept)
		}
		// Engines read it as one of these.
		for _, q := range []string{kept, strings.ReplaceAll(kept, ";", "&")} {
			values, _ := url.ParseQuery(q)
			for name := range values {
				if !slices.Contains(strings.Fields(c.route.shown), name) {
					t.Errorf("%q shows %s: %q", query, name, kept)
				}
			}
		}
	})
}
