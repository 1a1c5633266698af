// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/containerapi/containerapi/internal/generated"
)

// reference is what docs/reference.yaml says of the rules.
type reference struct {
	Attack struct {
		Version    string
		Techniques map[string]struct {
			Name, Strategy string
			Tactics        []string
		}
		// Components holds the ids of data components by their names.
		Components  map[string]string
		Mitigations map[string]struct{ Name, How string }
	}
	Rules map[string]guidance
}

// guidance is what an analyst wants to know of a rule that its file does not
// say.
type guidance struct {
	// Raised is what raises the rule, Benign what benign software may raise
	// it, and Tune how to have that left out.
	Raised, Benign, Tune string
	// Also are techniques beside T1552.007. TestTags makes tags of them.
	Also                    []string
	Components, Mitigations []string
}

func loadReference(t *testing.T) reference {
	t.Helper()
	text, err := os.ReadFile("../docs/reference.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var r reference
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&r); err != nil {
		t.Fatalf("docs/reference.yaml: %v", err)
	}
	return r
}

// techniques returns the techniques of ATT&CK that a rule speaks to.
func (r reference) techniques(rule item) []string {
	return append([]string{containerAPICredentials}, r.Rules[rule.Rule].Also...)
}

var (
	technique = regexp.MustCompile(`^T\d{4}(\.\d{3})?$`)
	named     = regexp.MustCompile(`\b(?:user_known|kube|kubelet|docker)_\w+[a-z]`)
)

// Every rule has guidance, and these name nothing that does not exist.
func TestReference(t *testing.T) {
	r := loadReference(t)
	items := slices.Concat(load(t, containerAPI), load(t, syscalls))
	exists := make(map[string]bool)
	for _, i := range items {
		exists[i.name()] = true
	}
	usedTechniques, usedComponents, usedMitigations := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, rule := range items {
		if rule.Rule == "" {
			continue
		}
		f, ok := r.Rules[rule.Rule]
		if !ok {
			t.Errorf("docs/reference.yaml has no entry for the rule %q", rule.Rule)
			continue
		}
		if f.Raised == "" || f.Benign == "" || f.Tune == "" || len(f.Components) == 0 || len(f.Mitigations) == 0 {
			t.Errorf("%s: the entry in docs/reference.yaml is not complete", rule.Rule)
		}
		for _, id := range r.techniques(rule) {
			usedTechniques[id] = true
			if r.Attack.Techniques[id].Name == "" {
				t.Errorf("%s: docs/reference.yaml does not name the technique %s", rule.Rule, id)
			}
		}
		for _, name := range f.Components {
			usedComponents[name] = true
			if r.Attack.Components[name] == "" {
				t.Errorf("%s: docs/reference.yaml does not name the data component %q", rule.Rule, name)
			}
		}
		for _, id := range f.Mitigations {
			usedMitigations[id] = true
			if r.Attack.Mitigations[id].Name == "" {
				t.Errorf("%s: docs/reference.yaml does not name the mitigation %s", rule.Rule, id)
			}
		}
		for _, name := range named.FindAllString(f.Tune, -1) {
			if !exists[name] {
				t.Errorf("%s: %s, by which it is to be tuned, does not exist", rule.Rule, name)
			}
		}
	}
	for name := range r.Rules {
		if !exists[name] {
			t.Errorf("docs/reference.yaml has an entry for %q, which is no rule", name)
		}
	}
	unused(t, "technique", r.Attack.Techniques, usedTechniques)
	unused(t, "data component", r.Attack.Components, usedComponents)
	unused(t, "mitigation", r.Attack.Mitigations, usedMitigations)
}

func unused[V any](t *testing.T, what string, all map[string]V, used map[string]bool) {
	t.Helper()
	for name := range all {
		if !used[name] {
			t.Errorf("no rule speaks to the %s %s of docs/reference.yaml", what, name)
		}
	}
}

// TestReferencePage makes docs/rules.md.
func TestReferencePage(t *testing.T) {
	r := loadReference(t)
	kept := k8sAuditItems(load(t, containerAPI))
	var out strings.Builder
	fmt.Fprintf(&out, `# The rules

<!-- Made by make generate from the rule files and docs/reference.yaml: do not edit. -->

What each rule sees, what raises it, which benign software may raise it as well, and how to have that left out. How to
write overrides stands in the head of each rule file; which rules answer which part of the detection brief, in
[detection-brief.md](detection-brief.md).

| priority | what it asks of you |
| --- | --- |
| Critical | act now |
| Warning | unexpected: look at it |
| Notice | an act that can leak credentials, by someone who is on no list |
| Info | an audit trail |

Techniques, data components and mitigations are those of [MITRE ATT&CK](https://attack.mitre.org) %s, where detection
strategies and their analytics have taken the place of data sources. The strategy for T1552.007 is
[DET0198](https://attack.mitre.org/detectionstrategies/DET0198). [attack-navigator-layer.json](attack-navigator-layer.json)
shows the techniques in the [ATT&CK Navigator](https://mitre-attack.github.io/attack-navigator/).
`, r.Attack.Version)
	for _, file := range []struct{ name, intro string }{
		{containerAPI, "For events that the plugin containerapi collects. The rules on Kubernetes exist a second time, see [below](#" + anchor(k8sAudit) + ")."},
		{syscalls, "For the system calls that Falco's own driver sees. They use no field of the plugin and can be loaded without it."},
	} {
		rules := loadRules(t, file.name)
		fmt.Fprintf(&out, "\n## %s\n\n%s\n\n| rule | priority |\n| --- | --- |\n", file.name, file.intro)
		for _, rule := range rules {
			fmt.Fprintf(&out, "| [%s](#%s) | %s |\n", rule.Rule, anchor(rule.Rule), title(rule.Priority))
		}
		for _, rule := range rules {
			r.describe(&out, rule, kept[rule.Rule])
		}
	}
	fmt.Fprintf(&out, `
## %s

The rules on Kubernetes for events that a k8saudit plugin collects, on the source `+"`k8s_audit`"+`, with "%s" after their names.
Their priorities, lists and macros are those of the rules above, and what is first, new or one of many as well: the library
remembers the events that it is shown. It makes none of its own: a request that was announced and has no outcome after half a
minute is told of when it has one.
`, k8sAudit, strings.TrimSpace(k8sAuditSuffix))
	out.WriteString("\n## Mitigations\n\n| ATT&CK | what to do |\n| --- | --- |\n")
	for _, id := range slices.Sorted(maps.Keys(r.Attack.Mitigations)) {
		m := r.Attack.Mitigations[id]
		fmt.Fprintf(&out, "| %s %s | %s |\n", link("mitigations", id), m.Name, m.How)
	}
	generated.Compare(t, "../docs/rules.md", []byte(out.String()))
}

// describe writes the section of a rule.
func (r reference) describe(out *strings.Builder, rule item, twin bool) {
	f := r.Rules[rule.Rule]
	fmt.Fprintf(out, "\n### %s\n\n%s\n\n", rule.Rule, strings.TrimSpace(rule.Desc))
	sources := "`" + rule.Source + "`"
	if twin {
		sources += ", `k8s_audit`"
	}
	var techniques, components, mitigations []string
	for _, id := range r.techniques(rule) {
		techniques = append(techniques, link("techniques", id)+" "+r.Attack.Techniques[id].Name)
	}
	for _, name := range f.Components {
		components = append(components, name+" ("+r.Attack.Components[name]+")")
	}
	for _, id := range f.Mitigations {
		mitigations = append(mitigations, link("mitigations", id)+" "+r.Attack.Mitigations[id].Name)
	}
	for _, row := range [][2]string{
		{"Priority", title(rule.Priority)},
		{"Source", sources},
		{"Tags", "`" + strings.Join(rule.Tags, "`, `") + "`"},
		{"Raised by", f.Raised},
		{"Benign software", f.Benign},
		{"Tuning", f.Tune},
		{"ATT&CK techniques", strings.Join(techniques, "; ")},
		{"Data components", strings.Join(components, ", ")},
		{"Mitigations", strings.Join(mitigations, "; ")},
	} {
		fmt.Fprintf(out, "- **%s:** %s\n", row[0], row[1])
	}
	fmt.Fprintf(out, "\n```\n%s\n```\n", strings.TrimSpace(rule.Condition))
}

// link returns a link to a page of ATT&CK.
func link(kind, id string) string {
	return fmt.Sprintf("[%s](https://attack.mitre.org/%s/%s)", id, kind, strings.ReplaceAll(id, ".", "/"))
}

// anchor returns the name that a heading has in a link, as GitHub makes it.
func anchor(heading string) string {
	return strings.ReplaceAll(strings.ReplaceAll(strings.ToLower(heading), " ", "-"), ".", "")
}

func title(priority string) string { return priority[:1] + strings.ToLower(priority[1:]) }

// layerEntry is what a layer for the ATT&CK Navigator has of one technique.
type layerEntry struct {
	TechniqueID       string `json:"techniqueID"`
	Tactic            string `json:"tactic"`
	Score             int    `json:"score"`
	Comment           string `json:"comment"`
	Enabled           bool   `json:"enabled"`
	ShowSubtechniques bool   `json:"showSubtechniques"`
}

// layerEntries reads a layer.
func layerEntries(t *testing.T, text []byte) []layerEntry {
	t.Helper()
	var layer struct{ Techniques []layerEntry }
	if err := json.Unmarshal(text, &layer); err != nil {
		t.Fatal(err)
	}
	return layer.Techniques
}

// TestNavigatorLayer makes docs/attack-navigator-layer.json, in version 4.5 of
// the format of https://github.com/mitre-attack/attack-navigator.
func TestNavigatorLayer(t *testing.T) {
	r := loadReference(t)
	rules := make(map[string][]string)
	most := 0
	for _, rule := range loadRules(t, containerAPI, syscalls) {
		for _, id := range r.techniques(rule) {
			rules[id] = append(rules[id], rule.Rule)
			most = max(most, len(rules[id]))
		}
	}
	var entries []layerEntry
	for _, id := range slices.Sorted(maps.Keys(rules)) {
		for _, tactic := range r.Attack.Techniques[id].Tactics {
			entries = append(entries, layerEntry{id, tactic, len(rules[id]), strings.Join(rules[id], "\n"), true, true})
		}
	}
	major, _, _ := strings.Cut(r.Attack.Version, ".")
	layer, err := json.MarshalIndent(map[string]any{
		"name":         "containerapi",
		"description":  "Techniques that the rules of containerapi detect. The score is how many rules speak to a technique; the comment names them.",
		"domain":       "enterprise-attack",
		"versions":     map[string]string{"attack": major, "navigator": "5.2.0", "layer": "4.5"},
		"filters":      map[string]any{"platforms": []string{"Containers"}},
		"sorting":      3,
		"layout":       map[string]any{"layout": "side", "showID": true, "showName": true, "expandedSubtechniques": "annotated"},
		"hideDisabled": false,
		"techniques":   entries,
		"gradient":     map[string]any{"colors": []string{"#ffffff", "#66b1ff"}, "minValue": 0, "maxValue": most},
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	generated.Compare(t, "../docs/attack-navigator-layer.json", append(layer, '\n'))
}
