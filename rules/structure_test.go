// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/containerapi/containerapi/plugin/docker"
	"github.com/containerapi/containerapi/plugin/field"
	"github.com/containerapi/containerapi/plugin/kubernetes"
	"github.com/containerapi/containerapi/plugin/operation"
)

var files = []string{containerAPI, k8sAudit, syscalls}

// Every rule says what an analyst needs, in the form that Falco's own rules
// have.
func TestRules(t *testing.T) {
	priorities := []string{"CRITICAL", "WARNING", "NOTICE", "INFO"}
	sources := map[string]string{containerAPI: "container_api", k8sAudit: "k8s_audit", syscalls: "syscall"}
	seen := make(map[string]bool)
	for _, file := range files {
		for _, r := range loadRules(t, file) {
			if seen[r.Rule] {
				t.Errorf("%s: there are two rules %q", file, r.Rule)
			}
			seen[r.Rule] = true
			if desc := strings.TrimSpace(r.Desc); len(desc) < 40 || !strings.HasSuffix(desc, ".") {
				t.Errorf("%s: the desc is too short or no sentence: %q", r.Rule, desc)
			}
			if !slices.Contains(priorities, r.Priority) {
				t.Errorf("%s: the priority is %q, want one of %s", r.Rule, r.Priority, priorities)
			}
			if r.Source != sources[file] {
				t.Errorf("%s: the source is %q, want %q", r.Rule, r.Source, sources[file])
			}
			if !slices.ContainsFunc(r.Tags, func(tag string) bool { return slices.Contains([]string{"container", "k8s", "host"}, tag) }) ||
				!slices.Contains(r.Tags, "mitre_credential_access") || !slices.Contains(r.Tags, "T1552.007") {
				t.Errorf("%s: the tags are %q: they lack what is watched (container, k8s, host), mitre_credential_access or T1552.007", r.Rule, r.Tags)
			}
			if maturity := slices.ContainsFunc(r.Tags, func(tag string) bool { return strings.HasPrefix(tag, "maturity_") }); maturity != (r.Source == "syscall") {
				t.Errorf("%s: a tag maturity_* is for the rules on syscall, and there for all", r.Rule)
			}
			if !sentence.MatchString(strings.TrimSpace(r.Output)) {
				t.Errorf("%s: the output is not a sentence, then \" | \", then key=%%field pairs: %s", r.Rule, r.Output)
			}
		}
	}
}

var sentence = regexp.MustCompile(`^(kubectl|[A-Z])[^|%]* \| \S+=%`)

// An alert says who did what to what, and what came of it. One of the fields of
// each line has to be there.
func TestOutputs(t *testing.T) {
	kubernetes := [][]string{
		{"kube.user.name"}, {"kube.impersonated.user"}, {"kube.sourceip"}, {"kube.client"},
		{"api.operation"}, {"api.object"}, {"api.outcome"}, {"kube.auth.reason"}, {"kube.auditid"},
	}
	docker := [][]string{
		{"docker.client.exepath"}, {"docker.client.cmdline"}, {"docker.client.pid"}, {"docker.client.uid"}, {"docker.client.loginuid"},
		{"docker.client.container.name"}, {"docker.client.container.image.name"}, {"docker.client.addr"},
		{"api.operation"}, {"docker.container.name", "api.object", "docker.request.path", "docker.request.unreadable"},
		{"api.outcome"}, {"docker.daemon"},
	}
	// The engine itself is the one who did it.
	daemon := [][]string{{"api.operation"}, {"docker.daemon"}, {"api.object"}}
	// What was done stands in the sentence or the command line. A container
	// is told by Falco itself, if its plugin for that is loaded.
	syscall := [][]string{{"user.name"}, {"user.loginuid", "fd.cip"}, {"proc.exepath"}, {"proc.cmdline"}, {"proc.pid"}}
	for _, r := range loadRules(t, files...) {
		want := docker
		switch {
		case r.Source == "syscall":
			want = syscall
		case isKubernetes(r.Rule):
			want = kubernetes
		case strings.HasPrefix(r.Rule, "Docker Daemon "):
			want = daemon
		}
		shown := fields(r.Output)
		for _, oneOf := range want {
			if !slices.ContainsFunc(oneOf, func(name string) bool { return slices.Contains(shown, name) }) {
				t.Errorf("%s: the output shows none of %q", r.Rule, oneOf)
			}
		}
		for i, name := range shown {
			if slices.Contains(shown[:i], name) {
				t.Errorf("%s: the output shows %s twice", r.Rule, name)
			}
		}
	}
}

// What no rule uses would only be read by people, and tuned in vain.
func TestUsed(t *testing.T) {
	for _, file := range files {
		items := load(t, file)
		for i, x := range items {
			if x.Rule != "" || x.name() == "" {
				continue
			}
			user := slices.IndexFunc(items, func(other item) bool { return other.uses(x.name()) })
			if user < 0 {
				t.Errorf("%s: nothing uses %s", file, x.name())
			} else if user < i {
				t.Errorf("%s: %s stands after %s, which uses it", file, x.name(), items[user].name())
			}
			if slices.ContainsFunc(items[:i], func(other item) bool { return other.name() == x.name() }) {
				t.Errorf("%s: there are two of %s", file, x.name())
			}
			if strings.HasPrefix(x.name(), "user_known_") && !documented(t, file, x.name()) {
				t.Errorf("%s: no comment says what %s is for", file, x.name())
			}
		}
	}
}

// documented reports whether a comment stands above the definition of a list or
// macro.
func documented(t *testing.T, file, name string) bool {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`(?m)^#.*\n- (list|macro): ` + name + `$`).Match(text)
}

var regexValue = regexp.MustCompile(`regex\s+"((?:\\.|[^"\\])*)"`)

// A regular expression in a condition has to match the whole value, and a dot in it
// matches no newline: with a bare dot, one newline in an argument would hide a command.
func TestExpressions(t *testing.T) {
	bracket := regexp.MustCompile(`\[[^]]*\]`)
	found := 0
	for _, file := range files {
		for _, i := range load(t, file) {
			for _, match := range regexValue.FindAllStringSubmatch(i.Condition, -1) {
				found++
				expression := match[1]
				if len(expression) > maxValue {
					t.Errorf("%s: %s: Falco takes values of %d bytes, not of %d: %s", file, i.name(), maxValue, len(expression), expression)
				}
				rest := strings.ReplaceAll(expression, `(.|\n)`, "")
				if strings.Contains(bracket.ReplaceAllString(rest, ""), ".") {
					t.Errorf(`%s: %s: a dot matches no newline, write (.|\n): %s`, file, i.name(), expression)
				}
			}
		}
	}
	if found < 20 {
		t.Errorf("found only %d regular expressions in the rules", found)
	}
}

// investigation are the fields that no rule reads or shows, and what they are
// there for: rules of one's own, overrides, and a closer look at an event.
var investigation = map[string]string{
	"api.shortened":           "why an event lacks something",
	"api.seen.age":            "what a first time means soon after a start",
	"kube.component.name":     "which part of Kubernetes it is; outputs show kube.user.name",
	"kube.stage":              "to find the further events of a stream",
	"kube.level":              "to check the audit policy",
	"kube.path":               "overrides; outputs show kube.uri",
	"kube.user.uid":           "to tell an account from its namesake before it",
	"kube.sourceips":          "what the client claims; outputs show kube.sourceip",
	"kube.target.subresource": "rules on what api.operation has no name for",
	"kube.target.group":       "rules on what api.operation has no name for",
	"kube.label_selector":     "overrides; outputs show kube.uri",
	"kube.field_selector":     "overrides; outputs show kube.uri",
	"kube.exec.command":       "the command of one API; outputs show api.command",
	"kube.response.reason":    "the API's word; outputs show api.outcome",
	"kube.auth.decision":      "the authorizer's word; outputs show api.outcome",
	"kubectl.resource":        "the command typed; outputs show api.object",
	"docker.client.ppid":      "to find the parent",
	"docker.client.name":      "which a process can choose; outputs show its executable",
	"docker.request.version":  "to tell clients apart",

	"docker.client.container.image.tag":    "to find the version; lists match repositories",
	"docker.client.container.image.digest": "to find the version; lists match repositories",
	"docker.create.image.tag":              "to find the version; lists match repositories",
	"docker.container.image.repository":    "overrides for all versions of an image",
	"docker.container.image.tag":           "to find the version",
	"docker.request.status":                "the answer; outputs show api.outcome",
	"docker.event.type":                    "rules on what api.operation has no name for",
	"docker.event.action":                  "rules on what api.operation has no name for",
	"docker.object.id":                     "rules on what api.operation has no name for",
	"docker.exec.command":                  "the command of one API; outputs show api.command",
	"docker.exec.id":                       "to find the end of an exec",
	"docker.exit_code":                     "to find how an exec ended",
}

var (
	operationValue = regexp.MustCompile(`api\.operation\s*(?:=|!=)\s*([a-z_.]+)`)
	operationList  = regexp.MustCompile(`api\.operation\s+in\s+\(([^)]*)\)`)
)

// An operation that no table has is never true, and nobody would notice.
func TestOperations(t *testing.T) {
	known := map[string]bool{operation.Other.Name: true, operation.Unreadable.Name: true}
	for _, row := range slices.Concat(docker.Rows(), kubernetes.Rows()) {
		known[row.Name] = true
	}
	found := 0
	for _, file := range []string{containerAPI, k8sAudit} {
		for _, i := range load(t, file) {
			var names []string
			for _, match := range operationValue.FindAllStringSubmatch(i.Condition, -1) {
				names = append(names, match[1])
			}
			for _, match := range operationList.FindAllStringSubmatch(i.Condition, -1) {
				names = append(names, strings.FieldsFunc(match[1], func(r rune) bool { return strings.ContainsRune(" ,\n", r) })...)
			}
			for _, name := range names {
				found++
				if !known[name] {
					t.Errorf("%s: %s names the operation %s, which no table has", file, i.name(), name)
				}
			}
		}
	}
	if found < 50 {
		t.Errorf("found only %d operations in the rules", found)
	}
}

// A field that nothing uses is one that nobody tries.
func TestFields(t *testing.T) {
	used := make(map[string]bool)
	for _, i := range load(t, containerAPI) {
		for _, name := range slices.Concat(words(i.Condition), fields(i.Output)) {
			used[name] = true
		}
	}
	for _, f := range field.All() {
		switch _, listed := investigation[f.Name]; {
		case !used[f.Name] && !listed:
			t.Errorf("no rule uses the field %s: use it, or say in investigation what it is for", f.Name)
		case used[f.Name] && listed:
			t.Errorf("a rule uses the field %s: it is not for investigation only", f.Name)
		}
	}
	for name := range investigation {
		if !slices.ContainsFunc(field.All(), func(f field.Field) bool { return f.Name == name }) {
			t.Errorf("there is no field %s", name)
		}
	}
}
