// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// Falco reads rules.d in the order of names, and takes no file that appends to a list
// which it has not read: what users are told to write there must come last.
func TestOverridesAreReadLast(t *testing.T) {
	written := regexp.MustCompile(`(?:>|such as ` + "`" + `)([a-z_]+\.yaml)`)
	for _, page := range []string{"../README.md", "examples/expected.jq"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		names := written.FindAllStringSubmatch(string(text), -1)
		if len(names) == 0 {
			t.Errorf("%s names no file to write overrides into", page)
		}
		for _, name := range names {
			for _, rules := range []string{containerAPI, k8sAudit, syscalls} {
				if name[1] <= rules {
					t.Errorf("%s: in rules.d %s is read before %s", page, name[1], rules)
				}
			}
		}
	}
}

// README says that the example has one of each list and macro of its table.
func TestExampleOfEach(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("examples/local_containerapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `(user_known_\\w+)` \\|").FindAllStringSubmatch(string(readme), -1)
	if len(rows) == 0 {
		t.Error("README has no table of lists")
	}
	for _, row := range rows {
		if !strings.Contains(string(example), ": "+row[1]+"\n") {
			t.Errorf("local_containerapi.yaml has no example of %s", row[1])
		}
	}
}
