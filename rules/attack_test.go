// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/containerapi/containerapi/internal/generated"
)

// The technique that all rules are about, and its tactic.
const (
	containerAPICredentials = "T1552.007"
	credentialAccess        = "mitre_credential_access"
)

var (
	ruleHead = regexp.MustCompile(`^- rule: (.+)$`)
	tagsLine = regexp.MustCompile(`^  tags: \[(.*)\]$`)
)

// TestTags makes the tags of rules that are of ATT&CK: the techniques that
// docs/reference.yaml names and their tactics. Those of the rules on k8s_audit come
// with the rest of them, from a test that runs later because its file's name is behind.
func TestTags(t *testing.T) {
	r := loadReference(t)
	for _, file := range []string{containerAPI, syscalls} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(text), "\n")
		rule := ""
		for i, line := range lines {
			if match := ruleHead.FindStringSubmatch(line); match != nil {
				rule = match[1]
			}
			if match := tagsLine.FindStringSubmatch(line); match != nil {
				lines[i] = "  tags: [" + strings.Join(r.tags(rule, strings.Split(match[1], ", ")), ", ") + "]"
			}
		}
		generated.Compare(t, file, []byte(strings.Join(lines, "\n")))
	}
}

// tags returns the tags of a rule: those that are not of ATT&CK, then tactics, then
// techniques, T1552.007 and its tactic first.
func (r reference) tags(rule string, old []string) []string {
	var tags []string
	for _, tag := range old {
		if !strings.HasPrefix(tag, "mitre_") && !technique.MatchString(tag) {
			tags = append(tags, tag)
		}
	}
	tactics, techniques := []string{credentialAccess}, []string{containerAPICredentials}
	for _, id := range slices.Sorted(slices.Values(r.Rules[rule].Also)) {
		techniques = append(techniques, id)
		for _, tactic := range r.Attack.Techniques[id].Tactics {
			if tag := "mitre_" + strings.ReplaceAll(tactic, "-", "_"); !slices.Contains(tactics, tag) {
				tactics = append(tactics, tag)
			}
		}
	}
	return slices.Concat(tags, tactics, techniques)
}
