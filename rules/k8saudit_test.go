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
# They say the same of each act, also what is first, new or one of many: the library
# remembers what it is shown. Only a request that is announced and has no outcome
# after half a minute is no event here.
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
	generated.Compare(t, k8sAudit, []byte(k8sAuditText(t, string(text), k8sAuditItems(load(t, containerAPI)))))
}

// k8sAuditItems returns the names of the items that the rules on k8s_audit
// consist of.
func k8sAuditItems(items []item) map[string]bool {
	kept := make(map[string]bool)
	// What an item uses stands before it.
	for _, i := range slices.Backward(items) {
		if i.Rule != "" {
			kept[i.Rule] = isKubernetes(i.Rule)
		} else {
			kept[i.name()] = slices.ContainsFunc(items, func(user item) bool { return kept[user.name()] && user.uses(i.name()) })
		}
	}
	return kept
}

// k8sAuditText cuts a rule file into paragraphs and puts those of the kept
// items together again, with the headings above them.
func k8sAuditText(t *testing.T, text string, kept map[string]bool) string {
	var out strings.Builder
	out.WriteString(k8sAuditHead)
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

var itemHead = regexp.MustCompile(`(?m)^- (?:rule|macro|list): *(.+?) *$`)

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
	return strings.Replace(paragraph, "  source: container_api", "  source: k8s_audit", 1)
}
