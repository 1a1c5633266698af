// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"

	"github.com/containerapi/containerapi/e2e/field"
	"github.com/containerapi/containerapi/internal/generated"
)

// TestField holds the page of honest software and thieves to what is measured: what
// gets louder, or is no longer caught, is seen.
func TestField(t *testing.T) {
	all, err := field.Load()
	if err != nil {
		t.Fatal(err)
	}
	site, err := field.NewSite(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("engine: %s", site.Engine)
	honest, err := site.Honest(t.Context(), all)
	if err != nil {
		t.Fatal(err)
	}
	thieves, err := site.Thieves(t.Context(), all)
	if err != nil {
		t.Fatal(err)
	}
	generated.Compare(t, field.PageFile, []byte(field.Page(honest, thieves)))
	for _, h := range honest {
		for _, miss := range h.Misses() {
			t.Logf("%s: %s", h.Name, miss)
		}
	}
}
