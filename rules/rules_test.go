// SPDX-License-Identifier: Apache-2.0

// Package rules has the rule files, and no code but the tests that hold them
// to their conventions and make from them what can be made.
package rules

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// The rule files. The second is made from the first.
const (
	containerAPI = "containerapi_rules.yaml"
	k8sAudit     = "containerapi_k8s_audit_rules.yaml"
	syscalls     = "containerapi_syscall_rules.yaml"
)

// item is one entry of a rule file.
type item struct {
	Rule, Macro, List               string
	Desc, Condition, Output, Source string
	Priority                        string
	Items, Tags                     []string
}

func (i *item) name() string { return i.Rule + i.Macro + i.List }

// uses reports whether a condition or list names a macro or list.
func (i *item) uses(name string) bool {
	return slices.Contains(i.Items, name) || slices.Contains(words(i.Condition), name)
}

var (
	quoted = regexp.MustCompile(`"(\\.|[^"\\])*"|'(\\.|[^'\\])*'`)
	word   = regexp.MustCompile(`[A-Za-z_][\w.-]*`)
)

// words returns the words of a condition that stand outside of strings: fields,
// operators, macros, lists and bare values.
func words(condition string) []string {
	return word.FindAllString(quoted.ReplaceAllString(condition, " "), -1)
}

var outputField = regexp.MustCompile(`%([a-z][\w.]*)`)

// fields returns the fields that an output shows.
func fields(output string) []string {
	var names []string
	for _, match := range outputField.FindAllStringSubmatch(output, -1) {
		names = append(names, strings.TrimSuffix(match[1], "."))
	}
	return names
}

// load reads a rule file.
func load(t *testing.T, file string) []item {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, file, text)
}

func parse(t *testing.T, file string, text []byte) []item {
	t.Helper()
	var items []item
	if err := yaml.Unmarshal(text, &items); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return items
}

// loadRules returns the rules alone of some files.
func loadRules(t *testing.T, files ...string) []item {
	t.Helper()
	var rules []item
	for _, file := range files {
		for _, i := range load(t, file) {
			if i.Rule != "" {
				rules = append(rules, i)
			}
		}
	}
	return rules
}

// A rule file that these tests do not know would be held to nothing.
func TestFiles(t *testing.T) {
	found, err := filepath.Glob("*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{containerAPI, k8sAudit, syscalls}
	slices.Sort(want)
	if !slices.Equal(found, want) {
		t.Errorf("the rule files are %q, want %q", found, want)
	}
}
