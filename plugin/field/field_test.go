// SPDX-License-Identifier: Apache-2.0

package field

import (
	goflag "flag"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/falco"
	"github.com/containerapi/containerapi/plugin/falco/falcotest"
)

var update = goflag.Bool("update", false, "write the field table of README.md")

// The README's table is made from the fields; go test ./plugin/field -update
// writes it.
func TestReadme(t *testing.T) {
	const path, begin, end = "../../README.md", "<!-- fields -->\n", "<!-- /fields -->\n"
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(b), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no %s and %s", path, begin, end)
	}
	var table strings.Builder
	table.WriteString("| field | type | meaning |\n| --- | --- | --- |\n")
	for _, f := range All() {
		name, list := f.Value.Type()
		if list {
			name += " list"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", f.Name, name, f.Desc)
	}
	want := before + begin + table.String() + end + after
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(b) {
		t.Errorf("the field table of %s is not that of the fields: run go test ./plugin/field -update", path)
	}
}

func TestTable(t *testing.T) {
	name := regexp.MustCompile(`^(api|kube|kubectl|docker)(\.[a-z][a-z_]*)+$`)
	seen := map[string]bool{}
	for _, f := range All() {
		if !name.MatchString(f.Name) || seen[f.Name] {
			t.Errorf("%q is no good name for a field, or there twice", f.Name)
		}
		seen[f.Name] = true
		if !strings.HasSuffix(f.Desc, ".") {
			t.Errorf("%s: the description is no sentence", f.Name)
		}
	}
	Entries() // panics above falco.MaxFields
}

// audit returns an event with this request.
func audit(verb, resource, uri string) *event.Event {
	e := &event.Event{Input: event.KubernetesAudit}
	e.Kubernetes = event.Kubernetes{Stage: "ResponseComplete", Code: 200, Verb: verb, RequestURI: uri, UserAgent: "kubectl/v1.34.2 (linux/amd64)"}
	e.Kubernetes.Resource, e.Kubernetes.Subresource, _ = strings.Cut(resource, "/")
	return e
}

func TestKubectlVerb(t *testing.T) {
	for _, test := range []struct{ verb, resource, uri, command, want string }{
		{"list", "secrets", "/api/v1/secrets?limit=500", "", "get"},
		{"watch", "secrets", "/api/v1/secrets?watch=true", "", "get"},
		{"get", "pods/log", "/api/v1/namespaces/a/pods/b/log", "", "logs"},
		{"get", "pods/exec", "", "cat /etc/passwd", "exec"},
		{"create", "pods/exec", "", "tar cf - /etc", "cp"},
		{"create", "pods/exec", "", "tar xmf - -C /tmp", "cp"},
		{"create", "pods/attach", "", "", "attach"},
		{"create", "pods/portforward", "", "", "port-forward"},
		{"patch", "pods/ephemeralcontainers", "", "", "debug"},
		{"create", "serviceaccounts/token", "", "", "create token"},
		{"create", "selfsubjectaccessreviews", "", "", "auth can-i"},
		{"list", "events", "/api/v1/namespaces/a/events?fieldSelector=involvedObject.name%3Db", "", "describe"},
		{"patch", "deployments", "/apis/x?fieldManager=kubectl-client-side-apply", "", "apply"},
		{"patch", "deployments", "/apis/x?fieldManager=kubectl-rollout", "", "rollout"},
		{"create", "pods", "/api/v1/namespaces/a/pods?fieldManager=kubectl-run", "", "run"},
		{"delete", "pods", "", "", "delete"},
	} {
		e := audit(test.verb, test.resource, test.uri)
		e.Kubernetes.Command = test.command
		if got := kubectlVerb(&e.Kubernetes); got != test.want {
			t.Errorf("%s %s %s %q is kubectl %q, want %q", test.verb, test.resource, test.uri, test.command, got, test.want)
		}
		e.Kubernetes.UserAgent = "curl/8.0"
		if got := kubectlVerb(&e.Kubernetes); got != "" {
			t.Errorf("curl has kubectl.verb %q", got)
		}
	}
}

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
		if got := query(uri, "labelSelector"); got != want {
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
		if got, want := query(uri, name), values.Get(name); got != want {
			t.Errorf("query(%q, %q) = %q, net/url says %q", uri, name, got, want)
		}
	})
}

func TestOutcome(t *testing.T) {
	for code, want := range map[uint64]event.Outcome{
		0: event.Failed, 101: event.Allowed, 200: event.Allowed, 201: event.Allowed, 304: event.Allowed,
		401: event.Denied, 403: event.Denied, 404: event.Failed, 429: event.Failed, 500: event.Failed,
	} {
		e := audit("get", "secrets", "")
		e.Kubernetes.Code = code
		if Understand(e); e.Outcome != want || !IsAct(e) {
			t.Errorf("%d is %q, act: %t; want %q", code, e.Outcome, IsAct(e), want)
		}
	}
	e := audit("get", "secrets", "")
	e.Kubernetes.Stage, e.Kubernetes.Code = "RequestReceived", 0
	if Understand(e); e.Outcome != event.Pending || IsAct(e) {
		t.Errorf("an announced request is %q, act: %t", e.Outcome, IsAct(e))
	}
}

// state is a plugin whose events have these values.
type state struct {
	view *falco.Extraction
	fill func(*falco.Block)
}

func (s *state) Extraction() *falco.Extraction    { return s.view }
func (s *state) Values(_ []byte, to *falco.Block) { s.fill(to) }

// What is put into a block must come out at Falco's side, whatever it is.
func TestBlock(t *testing.T) {
	long := make([]string, 1000)
	for i := range long {
		long[i] = fmt.Sprint("group-", i)
	}
	id := map[string]int{}
	for i, f := range All() {
		id[f.Name] = i
	}
	s := &state{view: falco.NewExtraction()}
	defer s.view.Free()
	engine := falcotest.New(s, Entries())
	defer engine.Close()
	values := func(fill func(*falco.Block)) map[string]any {
		s.fill = fill
		e, free := engine.Foreign(nil)
		defer free()
		got, err := engine.Extract(e)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}

	got := values(func(b *falco.Block) {
		b.SetString(id["kube.verb"], "get\x00hidden")
		b.SetString(id["kube.uri"], "")
		b.SetJoined(id["api.object"], "shop", "/", "db")
		b.SetStrings(id["kube.user.groups"], long)
		b.SetStrings(id["kube.sourceips"], nil)
		b.SetAddr(id["kube.sourceip"], netip.MustParseAddr("::ffff:10.0.0.1"))
		b.SetUint64(id["kube.response.code"], 0)
		b.SetBool(id["api.act"], false)
	})
	groups := got["kube.user.groups"].([]string)
	if len(groups) != 128 || groups[127] != "group-127" {
		t.Errorf("%d groups", len(groups))
	}
	delete(got, "kube.user.groups")
	want := map[string]any{
		"kube.verb":          "get hidden", // all of it, not what stands before the NUL
		"api.object":         "shop/db",
		"kube.sourceip":      netip.MustParseAddr("10.0.0.1"),
		"kube.response.code": uint64(0),
		"api.act":            false,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v\nwant %v", got, want)
	}

	got = values(func(b *falco.Block) { b.SetAddr(id["kube.sourceip"], netip.MustParseAddr("2001:db8::1")) })
	if fmt.Sprint(got) != "map[kube.sourceip:2001:db8::1]" {
		t.Errorf("got %v", got)
	}
}
