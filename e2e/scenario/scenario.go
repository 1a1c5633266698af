// SPDX-License-Identifier: Apache-2.0

// Package scenario runs attacks and benign work against real container APIs and
// says which alerts they raised.
package scenario

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerapi/containerapi/e2e/engine"
	"go.yaml.in/yaml/v3"
)

// The APIs of scenarios.
const (
	Kubernetes = "kubernetes"
	Docker     = "docker"
)

// Scenario is something that a person or program does, and the alerts that it
// must raise.
type Scenario struct {
	// Name says what is done, in a few words.
	Name string `yaml:"name"`
	// Why says why it must or must not raise an alert, where that is not
	// obvious.
	Why string `yaml:"why"`
	// API is the API it goes through.
	API string `yaml:"api"`
	// As is the user of the cluster who does it; for Kubernetes only.
	As string `yaml:"as"`
	// Before, Run and After are scripts of sh that end at the first command
	// that fails, which is an error. What Before and After raise does not
	// count.
	Before string `yaml:"before"`
	Run    string `yaml:"run"`
	After  string `yaml:"after"`
	// Expect names the rule of each alert that Run must raise, in any
	// order; a rule that must raise two alerts is named twice. No other
	// alert may be raised.
	Expect []string `yaml:"expect"`
	// Allow names rules below the priority WARNING that Run may raise as
	// well, any number of times.
	Allow []string `yaml:"allow"`
	// Near names the rules that Run comes close to and must not raise.
	Near []string `yaml:"near"`
}

// Load reads the scenarios of all YAML files in a directory, by file name.
func Load(dir string) ([]Scenario, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	var all []Scenario
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var scenarios []Scenario
		decoder := yaml.NewDecoder(bytes.NewReader(text))
		decoder.KnownFields(true)
		if err := decoder.Decode(&scenarios); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, s := range scenarios {
			if err := s.validate(); err != nil {
				return nil, fmt.Errorf("%s: scenario %q: %w", name, s.Name, err)
			}
			if slices.ContainsFunc(all, func(other Scenario) bool { return other.Name == s.Name }) {
				return nil, fmt.Errorf("%s: there are two scenarios %q", name, s.Name)
			}
			all = append(all, s)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no scenarios in %s", dir)
	}
	return all, nil
}

func (s Scenario) validate() error {
	switch {
	case s.Name == "" || s.Run == "":
		return errors.New("needs a name and something to run")
	case s.API == Kubernetes && s.As == "":
		return errors.New("needs a user: as")
	case s.API == Docker && s.As != "":
		return errors.New("docker knows no users: as")
	case s.API != Kubernetes && s.API != Docker:
		return fmt.Errorf("api is %q, but must be %s or %s", s.API, Kubernetes, Docker)
	}
	for _, rule := range s.Near {
		if slices.Contains(s.Expect, rule) || slices.Contains(s.Allow, rule) {
			return fmt.Errorf("comes near %q, but may raise it", rule)
		}
	}
	return nil
}

// essential are the fields without which nobody can act on an alert.
var essential = []string{
	"api.operation", "api.outcome", "api.object",
	"kube.user.name", "kube.sourceip", "kube.auditid",
	"docker.container.name", "docker.container.id", "docker.container.image", "docker.daemon",
}

// aboutContainer reports whether a Docker operation is on one container.
func aboutContainer(operation string) bool {
	switch operation {
	case "container.list", "container.create", "container.prune":
		return false
	}
	return strings.HasPrefix(operation, "container.")
}

// loud reports whether an alert is of priority WARNING or above.
func loud(a engine.Alert) bool {
	switch strings.ToLower(a.Priority) {
	case "notice", "info", "informational", "debug":
		return false
	}
	return true
}

// Check compares the alerts that a scenario raised with those that it must
// raise, and returns what is wrong.
func (s Scenario) Check(alerts []engine.Alert) []string {
	var wrong []string
	missing := slices.Clone(s.Expect)
	for _, a := range alerts {
		if i := slices.Index(missing, a.Rule); i >= 0 {
			missing = slices.Delete(missing, i, i+1)
		} else if !slices.Contains(s.Allow, a.Rule) || loud(a) {
			wrong = append(wrong, fmt.Sprintf("raised %q, which it must not: %s", a.Rule, a.Output))
		}
		operation, _ := a.Fields["api.operation"].(string)
		names := slices.Clone(essential)
		if strings.HasSuffix(operation, ".exec") {
			names = append(names, "api.command")
		}
		for _, name := range names {
			// Not every request is about one object.
			if a.Fields["docker.daemon"] != nil && (name == "api.object" || strings.HasPrefix(name, "docker.container.")) && !aboutContainer(operation) {
				continue
			}
			// Who sends a credential that is not valid is nobody.
			if name == "kube.user.name" && fmt.Sprint(a.Fields["kube.response.code"]) == "401" {
				continue
			}
			if value, ok := a.Fields[name]; ok && (value == nil || value == "" || value == "<NA>") {
				wrong = append(wrong, fmt.Sprintf("the alert of %q has no %s: %s", a.Rule, name, a.Output))
			}
		}
	}
	for _, rule := range missing {
		wrong = append(wrong, fmt.Sprintf("did not raise %q", rule))
	}
	return wrong
}
