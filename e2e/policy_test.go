// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"slices"
	"testing"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/runtime"
	audit "k8s.io/apiserver/pkg/apis/audit/v1"
)

// TestPolicies holds the audit policies to what must not be in an event: a secret, a
// token, and the body of a patch, which need not be JSON. An API server cannot write an
// event with such a body, nor the list of a delivery that it is in.
func TestPolicies(t *testing.T) {
	list := audit.EventList{Items: []audit.Event{{AuditID: "theft"}, {
		AuditID: "patch", RequestObject: &runtime.Unknown{Raw: []byte("kind: Pod\n"), ContentType: runtime.ContentTypeJSON},
	}}}
	if _, err := json.Marshal(list); err == nil {
		t.Error("a list with the body of a patch in YAML can be written: the policies could record patches")
	}
	for _, name := range []string{"audit-policy.yaml", "audit-policy-requests.yaml"} {
		var policy struct {
			Rules []struct {
				Level     string
				Verbs     []string
				Resources []struct {
					Group     string
					Resources []string
				}
			}
		}
		if err := yaml.Unmarshal([]byte(shippedPolicy(t, name)), &policy); err != nil {
			t.Fatal(err)
		}
		objects := 0
		for _, r := range policy.Rules {
			if r.Level == "None" || r.Level == "Metadata" {
				continue
			}
			objects++
			if r.Level != "Request" || len(r.Verbs) == 0 || slices.Contains(r.Verbs, "patch") || len(r.Resources) == 0 {
				t.Errorf("%s: a rule of level %s for the verbs %q", name, r.Level, r.Verbs)
			}
			for _, group := range r.Resources {
				for _, resource := range group.Resources {
					switch resource {
					case "secrets", "configmaps", "tokenreviews", "serviceaccounts/token", "*":
						t.Errorf("%s records the objects of %s", name, resource)
					}
				}
				if len(group.Resources) == 0 {
					t.Errorf("%s records all objects of %q", name, group.Group)
				}
			}
		}
		if objects == 0 {
			t.Errorf("%s records no object", name)
		}
	}
}
