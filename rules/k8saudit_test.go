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

// The rules on Kubernetes, for events that a k8saudit plugin collects. Macros
// and lists stand in both files word by word, so that both can be loaded, in
// either order.
const k8sAuditHead = `# SPDX-License-Identifier: Apache-2.0
#
# Made from containerapi_rules.yaml by make generate: do not edit.
#
# The Kubernetes rules for the event source k8s_audit: for clusters whose audit
# events are collected by k8saudit, k8saudit-eks, k8saudit-gke or k8saudit-aks,
# with libcontainerapi-extract.so beside it. Lists and macros are those of
# containerapi_rules.yaml. Both files can be loaded; what overrides them is to
# be loaded after both.
#
# There is no history of such events: the fields api.seen.* have no value, and
# nothing tells the first time from every day. A service account that reads a
# single secret of its own namespace, or that looks around, is left out; one that
# lists or watches the secrets of its own namespace is not. Nothing counts as one
# of many within a minute. Rules that cannot do without are left out:
`

const k8sAuditSuffix = " (k8s_audit)"

func isKubernetes(rule string) bool { return strings.HasPrefix(rule, "Kubernetes ") }

// TestK8sAudit makes the rules on k8s_audit. It works on the text, not on the
// YAML nodes, so that comments and line breaks stay as they are.
func TestK8sAudit(t *testing.T) {
	text, err := os.ReadFile(containerAPI)
	if err != nil {
		t.Fatal(err)
	}
	kept, left := k8sAuditItems(load(t, containerAPI))
	generated.Compare(t, k8sAudit, []byte(k8sAuditText(t, string(text), kept, left)))
}

// k8sAuditItems returns the names of the items that the rules on k8s_audit
// consist of, and the Kubernetes rules that they lack.
func k8sAuditItems(items []item) (kept map[string]bool, left []string) {
	kept = make(map[string]bool)
	// What an item uses stands before it.
	for _, i := range slices.Backward(items) {
		switch {
		case i.Rule == "":
			kept[i.name()] = slices.ContainsFunc(items, func(user item) bool { return kept[user.name()] && user.uses(i.name()) })
		case isKubernetes(i.Rule) && needsHistory(i.Condition, items):
			left = append(left, i.Rule)
		default:
			kept[i.Rule] = isKubernetes(i.Rule)
		}
	}
	slices.Reverse(left)
	return kept, left
}

// k8sAuditText cuts a rule file into paragraphs and puts those of the kept
// items together again, with the headings above them.
func k8sAuditText(t *testing.T, text string, kept map[string]bool, left []string) string {
	var out strings.Builder
	out.WriteString(k8sAuditHead)
	for _, rule := range left {
		out.WriteString("#   " + rule + "\n")
	}
	var heading, comment string
	for i, paragraph := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if i == 0 {
			continue // the head of the file
		}
		paragraph = strings.Trim(paragraph, "\n")
		name, ok := itemName(paragraph)
		switch {
		case strings.HasPrefix(paragraph, "# ---"):
			heading, comment = paragraph+"\n\n", ""
		case !ok && isComment(paragraph):
			comment += paragraph + "\n\n"
		case strings.HasPrefix(paragraph, "- required_engine_version:"):
			out.WriteString("\n" + paragraph + "\n")
		case strings.HasPrefix(paragraph, "- required_plugin_versions:"):
			out.WriteString("\n" + strings.Replace(paragraph, "name: containerapi\n", "name: containerapi-extract\n", 1) + "\n")
		case !ok:
			t.Fatalf("%s: a blank line in an item, or an item of another kind:\n%s", containerAPI, paragraph)
		case kept[name]:
			out.WriteString("\n" + heading + comment + k8sAuditParagraph(paragraph, name) + "\n")
			heading, comment = "", ""
		default:
			comment = ""
		}
	}
	return out.String()
}

var (
	itemHead = regexp.MustCompile(`(?m)^- (?:rule|macro|list): *(.+?) *$`)
	seenPair = regexp.MustCompile(`[ \n]+[\w.]+=%api\.seen\.\w+`)
)

func itemName(paragraph string) (string, bool) {
	match := itemHead.FindStringSubmatch(paragraph)
	if match == nil {
		return "", false
	}
	return match[1], true
}

func isComment(paragraph string) bool {
	for line := range strings.SplitSeq(paragraph, "\n") {
		if !strings.HasPrefix(line, "#") {
			return false
		}
	}
	return true
}

func k8sAuditParagraph(paragraph, name string) string {
	paragraph = strings.Replace(paragraph, "- rule: "+name, "- rule: "+name+k8sAuditSuffix, 1)
	paragraph = strings.Replace(paragraph, "  source: container_api", "  source: k8s_audit", 1)
	head, output, ok := strings.Cut(paragraph, "\n  output: >\n")
	if !ok {
		return paragraph
	}
	output, tail, _ := strings.Cut(output, "\n  priority:")
	output = seenPair.ReplaceAllString(output, "")
	return head + "\n  output: >" + wrap(output) + "\n  priority:" + tail
}

// wrap breaks a folded text as the rule files do, each line with what goes
// before it.
func wrap(text string) string {
	const before, width = "\n   ", 120
	out, length := before, len(before)-1
	for _, word := range strings.Fields(text) {
		if length+1+len(word) > width {
			out, length = out+before, len(before)-1
		}
		out, length = out+" "+word, length+1+len(word)
	}
	return out
}

// needsHistory reports whether a condition is never true where the fields
// api.seen.* have no value.
func needsHistory(condition string, items []item) bool {
	for _, alternative := range split(condition, "or") {
		if !slices.ContainsFunc(split(alternative, "and"), func(term string) bool {
			if inner, ok := strings.CutPrefix(term, "("); ok {
				return needsHistory(strings.TrimSuffix(inner, ")"), items)
			}
			if i := slices.IndexFunc(items, func(i item) bool { return i.Macro == term }); i >= 0 {
				return needsHistory(items[i].Condition, items)
			}
			return strings.HasPrefix(term, "api.seen.")
		}) {
			return false
		}
	}
	return true
}

// split cuts a condition at the operator "and" or "or", where that stands
// outside of parentheses and strings.
func split(condition, operator string) []string {
	var parts []string
	depth, start, quote := 0, 0, byte(0)
	for i := 0; i < len(condition); i++ {
		switch c := condition[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '(':
			depth++
		case c == ')':
			depth--
		case depth == 0 && (c == ' ' || c == '\n') && strings.HasPrefix(condition[i+1:], operator+" "):
			parts = append(parts, strings.TrimSpace(condition[start:i]))
			start = i + 1 + len(operator)
		}
	}
	return append(parts, strings.TrimSpace(condition[start:]))
}

func TestNeedsHistory(t *testing.T) {
	items := []item{
		{Macro: "many", Condition: "(api.seen.count > 3 or (api.seen.objects > 1 and a = b))"},
		{Macro: "done", Condition: "(api.act = true)"},
	}
	for condition, want := range map[string]bool{
		"a = b and done":                            false,
		"done and many":                             true,
		"done and not many":                         false,
		"a = b and (c = d or many)":                 false,
		"many or api.seen.sources > 1":              true,
		`a = "x or y" and api.seen.sources > 1`:     true,
		"a in (x, y) and not api.seen.first = true": false,
	} {
		if got := needsHistory(condition, items); got != want {
			t.Errorf("%s: %t, want %t", condition, got, want)
		}
	}
}
