// SPDX-License-Identifier: Apache-2.0

package field

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/containerapi/containerapi/internal/generated"
	"github.com/containerapi/containerapi/plugin/falco"
	"github.com/containerapi/containerapi/plugin/falco/falcotest"
)

// fieldsPage returns docs/fields.md.
func fieldsPage() string {
	var page strings.Builder
	page.WriteString(`<!-- Made by make generate from plugin/field/table.go: do not edit. -->

# Fields

` + "`api.*`" + ` mean the same for both APIs, ` + "`kube.*` and `kubectl.*`" + ` are of Kubernetes audit events, ` + "`docker.*`" + ` of requests to a
Docker Engine and of its events. A field without a value for an event is what no comparison is true of. The values of
` + "`api.operation`" + ` are in [operations.md](operations.md).

| field | type | meaning |
| --- | --- | --- |
`)
	for _, f := range All() {
		name, list := f.Value.Type()
		if list {
			name += " list"
		}
		fmt.Fprintf(&page, "| `%s` | %s | %s |\n", f.Name, name, f.Desc)
	}
	return page.String()
}

// docs/fields.md is made from the fields; make generate writes it.
func TestFieldsPage(t *testing.T) {
	generated.Compare(t, "../../docs/fields.md", []byte(fieldsPage()))
}

func TestTable(t *testing.T) {
	name := regexp.MustCompile(`^(api|kube|kubectl|docker)(\.[a-z][a-z_]*)+$`)
	seen := map[string]bool{}
	for _, f := range All() {
		if !name.MatchString(f.Name) || seen[f.Name] {
			t.Errorf("%q is no good name for a field, or there twice", f.Name)
		}
		seen[f.Name] = true
		// Elasticsearch makes an object of a name with a dot behind it, and
		// drops what is a value at the same name.
		for _, other := range All() {
			if strings.HasPrefix(other.Name, f.Name+".") {
				t.Errorf("%s is the beginning of %s", f.Name, other.Name)
			}
		}
		if !strings.HasSuffix(f.Desc, ".") {
			t.Errorf("%s: the description is no sentence", f.Name)
		}
	}
	Entries() // panics above falco.MaxFields
}

// state is a plugin whose events have these values.
type state struct {
	extraction *falco.Extraction
	fill       func(*falco.Block)
}

func (s *state) Extraction() *falco.Extraction    { return s.extraction }
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
	s := &state{extraction: falco.NewExtraction()}
	defer s.extraction.Free()
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
		b.SetString(id["kube.verb"], "get\x00\nhid\u202eden")
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
		"kube.verb":          "get  hid den", // on one line, and all of it, not what stands before the NUL
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

// A list comes out as it went in also where storing its strings moves the block:
// a client chooses the lengths of much that stands before it.
func TestBlockGrows(t *testing.T) {
	before, list := -1, -1
	for i, f := range All() {
		switch f.Name {
		case "docker.client.cmdline":
			before = i
		case "docker.create.exposes":
			list = i
		}
	}
	length := 0
	s := &state{extraction: falco.NewExtraction(), fill: func(b *falco.Block) {
		b.SetString(before, strings.Repeat("x", length))
		b.SetStrings(list, []string{"docker_socket", "host_root"})
	}}
	defer s.extraction.Free()
	engine := falcotest.New(s, Entries())
	defer engine.Close()
	for ; length < 10000; length++ {
		e, free := engine.Foreign(nil)
		got, err := engine.Extract(e)
		free()
		if err != nil {
			t.Fatal(err)
		}
		if exposes := fmt.Sprint(got["docker.create.exposes"]); exposes != "[docker_socket host_root]" {
			t.Fatalf("behind %d bytes the list is %q", length, exposes)
		}
	}
}
