// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"

	"github.com/containerapi/containerapi/e2e/field"
	"github.com/containerapi/containerapi/internal/generated"
)

// TestFieldDocker holds the page of software on a Docker Engine to what is measured.
func TestFieldDocker(t *testing.T) {
	requireDocker(t)
	site, err := field.NewSite(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	polled, err := site.Docker(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	generated.Compare(t, field.DockerPageFile, []byte(field.DockerPage(polled)))
	for _, p := range polled {
		for _, miss := range p.Misses() {
			t.Logf("%s: more than one alert of %s", p.Name, miss)
		}
	}
}
