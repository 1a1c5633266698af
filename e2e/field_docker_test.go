// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"slices"
	"testing"

	"github.com/containerapi/containerapi/e2e/field"
)

// notQuiet is the software on a Docker Engine that raises more than one alert for a kind
// of act: what starts a program for each question is told of a few times on its first day,
// and what runs commands in containers of its own for each command and container.
var notQuiet = []string{"Netdata, which asks for names with curl", "testcontainers"}

// TestFieldDocker proves that software that works with Docker all day raises one alert
// for each kind of act, and no flood. What is polled in a measurement is not the same each
// time, so the page is not compared.
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
	t.Log(field.DockerTable(polled))
	for _, p := range polled {
		for _, miss := range p.Misses() {
			if !slices.Contains(notQuiet, p.Name) {
				t.Errorf("%s raised more than one alert of %s", p.Name, miss)
			}
		}
	}
}
