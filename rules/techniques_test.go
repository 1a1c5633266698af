// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// The tags of a rule, docs/reference.yaml and the layer for the ATT&CK Navigator
// agree, also for the rules on k8s_audit.
func TestTechniques(t *testing.T) {
	r := loadReference(t)
	layer, err := os.ReadFile("../docs/attack-navigator-layer.json")
	if err != nil {
		t.Fatal(err)
	}
	inLayer := make(map[string]map[string]bool)
	for _, entry := range layerEntries(t, layer) {
		of := make(map[string]bool)
		for name := range strings.SplitSeq(entry.Comment, "\n") {
			of[name] = true
		}
		inLayer[entry.TechniqueID] = of
	}
	for _, rule := range loadRules(t, files...) {
		name := strings.TrimSuffix(rule.Rule, k8sAuditSuffix)
		want := append([]string{containerAPICredentials}, r.Rules[name].Also...)
		var got []string
		for _, tag := range rule.Tags {
			if technique.MatchString(tag) {
				got = append(got, tag)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s has the techniques %q in its tags, %q in docs/reference.yaml", rule.Rule, got, want)
		}
		for _, id := range got {
			if !inLayer[id][name] {
				t.Errorf("%s is not with %s in docs/attack-navigator-layer.json", name, id)
			}
			for _, tactic := range r.Attack.Techniques[id].Tactics {
				if tag := "mitre_" + strings.ReplaceAll(tactic, "-", "_"); !slices.Contains(rule.Tags, tag) {
					t.Errorf("%s has %s and lacks the tag of its tactic %s", rule.Rule, id, tag)
				}
			}
		}
	}
}
