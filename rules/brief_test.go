// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// docs/detection-brief.md names every rule, and no rule, list or macro that
// does not exist.
func TestDetectionBrief(t *testing.T) {
	const page = "../docs/detection-brief.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	exists := make(map[string]bool)
	mustName := make(map[string]bool)
	for _, file := range []string{containerAPI, syscalls} {
		for _, i := range load(t, file) {
			exists[i.name()] = true
			mustName[i.name()] = i.Rule != "" || strings.HasPrefix(i.name(), "user_known_")
		}
	}
	link := regexp.MustCompile(`\[([^\]]+)\]\(rules\.md#([^)]*)\)`)
	override := regexp.MustCompile("`(user_\\w+)`")
	for _, match := range link.FindAllStringSubmatch(string(text), -1) {
		if !exists[match[1]] {
			t.Errorf("%s: there is no rule %q", page, match[1])
		}
		if match[2] != anchor(match[1]) {
			t.Errorf("%s: the link of %q leads to %q", page, match[1], match[2])
		}
		delete(mustName, match[1])
	}
	for _, match := range override.FindAllStringSubmatch(string(text), -1) {
		if !exists[match[1]] {
			t.Errorf("%s: there is no list or macro %q", page, match[1])
		}
		delete(mustName, match[1])
	}
	for name, must := range mustName {
		if must {
			t.Errorf("%s does not name %q", page, name)
		}
	}
}
