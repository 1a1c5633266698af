// SPDX-License-Identifier: Apache-2.0

// Package scenario has the attacks and the benign work that the rules are held to,
// and runs those that are live against real container APIs.
//
// They are files of one schema, [Scenario]: those in attack must raise alerts,
// those in benign come close to an attack, and those in benign/software are
// programs that use the APIs all day.
package scenario

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
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
// must raise. It is run live, or was recorded, or was captured: exactly one of
// Run, Recording and Capture is set.
type Scenario struct {
	// Name says what is done, in a few words.
	Name string `yaml:"name"`
	// Why says why it must or must not raise an alert, where that is not
	// obvious.
	Why string `yaml:"why"`
	// API is the API it goes through. A capture has none: it shows programs, as
	// the kernel sees them.
	API string `yaml:"api"`
	// As is the user of the cluster who does it; for Kubernetes only.
	As string `yaml:"as"`
	// Before, Run and After are scripts of sh that end at the first command
	// that fails, which is an error. What Before and After raise does not
	// count. PASSWORD in their environment is what containers may have as a
	// secret.
	Before string `yaml:"before"`
	Run    string `yaml:"run"`
	After  string `yaml:"after"`
	// Recording is a file of events, as a path in testdata/recordings without
	// .jsonl.gz.
	Recording string `yaml:"recording"`
	// Record is the script that Recording or Capture is made again with, as As,
	// after Before and before After. Empty where the client cannot be had.
	Record string `yaml:"record"`
	// Kubelet says that a kubelet starts before Record, as the node node-2, and is
	// recorded as well. POD_IMAGE is an image that it has.
	Kubelet bool `yaml:"kubelet"`
	// Engine says that a Docker Engine runs beside the Record of a capture, for
	// docker. SOCKET is the path of its socket. It has a container web; RUN is a
	// docker run, without its image and command, of one that has docker, kubectl
	// and app.
	Engine bool `yaml:"engine"`
	// Machine says that it needs Debian's engine of the machine, and not a newer one:
	// what it does is gone there, or uses the machine's programs in a container.
	Machine bool `yaml:"machine"`
	// Capture is a file of system calls, by its name in testdata/captures
	// without .scap.
	Capture string `yaml:"capture"`
	// Expect names the rule of each alert that it must raise, in the order of a
	// recording and in any order else; a rule that must raise two alerts is
	// named twice. No other alert may be raised.
	Expect []string `yaml:"expect"`
	// Untapped is the same where the requests to the Docker API cannot be seen,
	// only its events. It is for the attacks that the demo shows.
	Untapped []string `yaml:"untapped"`
	// Allow names rules below the priority WARNING that may be raised as well,
	// any number of times.
	Allow []string `yaml:"allow"`
	// Near names the rules that it comes close to and must not raise.
	Near []string `yaml:"near"`
}

//go:embed attack/*.yaml benign/*.yaml benign/software/*.yaml
var files embed.FS

// Load returns the scenarios of directories: attack, benign or benign/software,
// each by file name.
func Load(directories ...string) ([]Scenario, error) { return load(files, directories...) }

func load(fsys fs.FS, directories ...string) ([]Scenario, error) {
	var all []Scenario
	for _, dir := range directories {
		names, err := fs.Glob(fsys, path.Join(dir, "*.yaml"))
		if err != nil {
			return nil, err
		}
		before := len(all)
		for _, name := range names {
			scenarios, err := read(fsys, name)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			all = append(all, scenarios...)
		}
		if len(all) == before {
			return nil, fmt.Errorf("no scenarios in %s", dir)
		}
	}
	names := make(map[string]bool)
	for _, s := range all {
		if names[s.Name] {
			return nil, fmt.Errorf("there are two scenarios %q", s.Name)
		}
		names[s.Name] = true
	}
	return all, nil
}

// read returns the scenarios of a file.
func read(fsys fs.FS, name string) ([]Scenario, error) {
	text, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	var scenarios []Scenario
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&scenarios); err != nil {
		return nil, err
	}
	for _, s := range scenarios {
		if err := s.validate(); err != nil {
			return nil, fmt.Errorf("scenario %q: %w", s.Name, err)
		}
	}
	return scenarios, nil
}

func (s Scenario) validate() error {
	ways := 0
	for _, way := range []string{s.Run, s.Recording, s.Capture} {
		if way != "" {
			ways++
		}
	}
	switch {
	case s.Name == "":
		return errors.New("needs a name")
	case ways != 1:
		return errors.New("needs one of run, recording and capture")
	case s.Run != "" && s.Record != "":
		return errors.New("what is run is not recorded: record")
	case s.Run == "" && s.Record == "" && (s.Before != "" || s.After != "" || s.As != ""):
		return errors.New("only what is run or recorded again has before, after and as")
	case s.Engine && (s.Capture == "" || s.Record == ""):
		return errors.New("an engine is for the record of a capture")
	case s.Machine && (s.Run == "" || s.API != Docker):
		return errors.New("the machine's engine is for what is run, with docker")
	case s.Capture != "" && s.API != "":
		return errors.New("a capture goes through no api")
	case s.Capture == "" && s.API != Kubernetes && s.API != Docker:
		return fmt.Errorf("api is %q, but must be %s or %s", s.API, Kubernetes, Docker)
	case (s.Run != "" || s.Record != "") && s.API == Kubernetes && s.As == "":
		return errors.New("needs a user: as")
	case s.API == Docker && s.As != "":
		return errors.New("docker knows no users: as")
	}
	for _, rule := range s.Near {
		if slices.Contains(s.Expect, rule) || slices.Contains(s.Allow, rule) {
			return fmt.Errorf("comes near %q, but may raise it", rule)
		}
	}
	return nil
}

// Live reports whether the scenario is run.
func (s Scenario) Live() bool { return s.Run != "" }

// essential are the fields without which nobody can act on an alert.
var essential = []string{
	"api.operation", "api.outcome", "api.object",
	"kube.user.name", "kube.sourceip", "kube.auditid",
	"docker.container.name", "docker.container.id", "docker.container.image.name", "docker.daemon",
}

// aboutContainer reports whether a Docker operation is on one container.
func aboutContainer(operation string) bool {
	switch operation {
	case "container.list", "container.create", "container.prune":
		return false
	}
	return strings.HasPrefix(operation, "container.")
}

// Check compares the alerts that a scenario raised with those that it must
// raise, and returns what is wrong, with them and with what they say.
func (s Scenario) Check(alerts []engine.Alert) []string {
	wrong := s.CheckRules(alerts)
	for _, a := range alerts {
		for _, name := range lacks(a) {
			wrong = append(wrong, fmt.Sprintf("the alert of %q has no %s: %s", a.Rule, name, a.Output))
		}
	}
	return wrong
}

// CheckRules is [Scenario.Check] of nothing but the rules that raised the alerts.
func (s Scenario) CheckRules(alerts []engine.Alert) []string {
	var wrong []string
	missing := slices.Clone(s.Expect)
	for _, a := range alerts {
		if i := slices.Index(missing, a.Rule); i >= 0 {
			missing = slices.Delete(missing, i, i+1)
		} else if !slices.Contains(s.Allow, a.Rule) || a.Loud() {
			wrong = append(wrong, fmt.Sprintf("raised %q, which it must not: %s", a.Rule, a.Output))
		}
	}
	for _, rule := range missing {
		wrong = append(wrong, fmt.Sprintf("did not raise %q", rule))
	}
	return wrong
}

// lacks returns the essential fields that an alert has no value of.
func lacks(a engine.Alert) []string {
	operation, _ := a.Fields["api.operation"].(string)
	names := slices.Clone(essential)
	if strings.HasSuffix(operation, ".exec") {
		names = append(names, "api.command")
	}
	return slices.DeleteFunc(names, func(name string) bool {
		// Not every request is about one object.
		if a.Fields["docker.daemon"] != nil && (name == "api.object" || strings.HasPrefix(name, "docker.container.")) && !aboutContainer(operation) {
			return true
		}
		// Who sends a credential that is not valid is nobody.
		if name == "kube.user.name" && fmt.Sprint(a.Fields["kube.response.code"]) == "401" {
			return true
		}
		value, ok := a.Fields[name]
		return !ok || value != nil && value != "" && value != "<NA>"
	})
}
