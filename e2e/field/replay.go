// SPDX-License-Identifier: Apache-2.0

package field

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/containerapi/containerapi/e2e/engine"
	"github.com/containerapi/containerapi/e2e/process"
	"github.com/containerapi/containerapi/e2e/scenario"
)

// Site is an engine with the rules, as a site has it.
type Site struct {
	Engine engine.Engine
	// Library is the plugin, Rules are the files of rules that it runs with.
	Library string
	Rules   []string
	// Recordings is the directory of the recordings.
	Recordings string
}

// The pages of the tables, as seen from the directory e2e.
const (
	PageFile       = "../docs/field.md"
	DockerPageFile = "../docs/field-docker.md"
)

// NewSite returns a site with the engine that is there and the rules as they are
// shipped. It is to be called in the directory e2e.
func NewSite(ctx context.Context) (Site, error) {
	e, err := engine.Find(ctx)
	if err != nil {
		return Site{}, err
	}
	library, err := filepath.Abs("../libcontainerapi.so")
	if err != nil {
		return Site{}, err
	}
	if _, err := os.Stat(library); err != nil {
		return Site{}, fmt.Errorf("run make build: %w", err)
	}
	return Site{Engine: e, Library: library, Rules: []string{"../rules/containerapi_rules.yaml"}, Recordings: "testdata/field"}, nil
}

// source is the event source of the rules.
const source = "container_api"

// replay gives recorded events to an engine that knows nothing yet, and returns what
// they raise.
func (s Site) replay(ctx context.Context, events []Event) ([]engine.Alert, error) {
	inOrder(events)
	text, err := marshal(events)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "field")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "events.jsonl")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	alerts, err := engine.Replay(ctx, s.Engine, engine.Config{
		Plugins: []engine.Plugin{{Name: "containerapi", Library: s.Library, Open: file}},
		Source:  source,
		Rules:   s.Rules,
	})
	return alerts, errors.Join(err, os.RemoveAll(dir))
}

// batch is how many events are sent at once, as an API server does.
const batch = 400

// send sends events to an engine as an API server does, and returns what they raise. What
// is learned is kept in the directory state, so that the next engine is a restarted one.
func (s Site) send(ctx context.Context, events []Event, state string) (_ []engine.Alert, err error) {
	inOrder(events)
	address, err := process.FreeAddress()
	if err != nil {
		return nil, err
	}
	marker, err := scenario.WriteMarkerRule(state)
	if err != nil {
		return nil, err
	}
	webhook := &scenario.Webhook{URL: "http://" + address + "/k8s-audit"}
	run, err := engine.Start(s.Engine, engine.Config{
		Plugins: []engine.Plugin{{Name: "containerapi", Library: s.Library, Open: webhook.URL, Init: map[string]any{"stateDir": state}}},
		Source:  source,
		Rules:   append([]string{marker}, s.Rules...),
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, run.Stop()) }()
	if err := run.AwaitListener(ctx, address); err != nil {
		return nil, err
	}
	for some := range slices.Chunk(events, batch) {
		var texts []json.RawMessage
		for _, e := range some {
			text, err := json.Marshal(e)
			if err != nil {
				return nil, err
			}
			texts = append(texts, text)
		}
		if err := webhook.Send(ctx, texts); err != nil {
			return nil, err
		}
	}
	// The mark comes last.
	if err := (&scenario.Runner{Engine: run, Webhook: webhook}).Ready(ctx, scenario.Kubernetes); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, run.Stderr())
	}
	return slices.DeleteFunc(slices.Clone(run.Alerts()), func(a engine.Alert) bool { return a.Rule == "Marker" }), nil
}

// Raised are alerts of one rule.
type Raised struct {
	Rule, Priority string
	Count          int
	// Example is what one of them says.
	Example string
}

// count counts alerts by rule, the loudest first.
func count(alerts []engine.Alert) []Raised {
	var all []Raised
	for _, a := range alerts {
		i := slices.IndexFunc(all, func(r Raised) bool { return r.Rule == a.Rule })
		if i < 0 {
			i = len(all)
			all = append(all, Raised{Rule: a.Rule, Priority: a.Priority, Example: a.Output})
		}
		all[i].Count++
	}
	slices.SortStableFunc(all, func(a, b Raised) int { return priority(a.Priority) - priority(b.Priority) })
	return all
}

var priorities = []string{"Critical", "Warning", "Notice", "Informational"}

func priority(name string) int {
	if i := slices.Index(priorities, name); i >= 0 {
		return i
	}
	return len(priorities)
}

// loud reports whether an alert of a priority is one that has to be looked at.
func loud(name string) bool { return priority(name) <= 1 }

// key is a subject in a phase.
type key struct{ subject, phase string }

// bySubject puts alerts to the subject and the phase that raised them.
func bySubject(alerts []engine.Alert) (map[key][]engine.Alert, error) {
	all := make(map[key][]engine.Alert)
	for _, a := range alerts {
		id, _ := a.Fields["kube.auditid"].(string)
		who, phase := ofEvent(id)
		if phase == "" {
			return nil, fmt.Errorf("an alert of %q is about no event of these: %s", a.Rule, a.Output)
		}
		all[key{who, phase}] = append(all[key{who, phase}], a)
	}
	return all, nil
}

// Honest is what one software raised.
type Honest struct {
	Name string
	// Version is what was run; empty for what is there by its form only.
	Version string
	// Raised is by phase, in the order of [Phases].
	Raised [4][]Raised
}

// Misses says in what the software is not as quiet as it must be.
func (h Honest) Misses() []string {
	var wrong []string
	for i, phase := range Phases {
		told := 0
		for _, r := range h.Raised[i] {
			if r.Priority == "Informational" {
				continue
			}
			told += r.Count
			if r.Priority == "Critical" {
				wrong = append(wrong, phase+": "+r.Rule+" is CRITICAL")
			}
		}
		if limit := map[bool]int{true: 1}[i == 0]; told > limit {
			wrong = append(wrong, fmt.Sprintf("%s: %d alerts", phase, told))
		}
	}
	return wrong
}

// Honest sends the days of all software at once and returns what each raised.
func (s Site) Honest(ctx context.Context, all []Software) ([]Honest, error) {
	state, err := os.MkdirTemp("", "state")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(state)
	result := make([]Honest, len(all))
	var first, last []Event
	for i, software := range all {
		r, err := software.read(s.Recordings)
		if err != nil {
			return nil, err
		}
		result[i].Name = software.Name
		if r.recorded {
			result[i].Version = software.Version
		}
		u := software.subject(r, software.Name)
		u.firstDays()
		first = append(first, u.events...)
		before := len(u.events)
		u.lastDay()
		last = append(last, u.events[before:]...)
	}
	var raised []engine.Alert
	for _, events := range [][]Event{first, last} {
		alerts, err := s.send(ctx, events, state)
		if err != nil {
			return nil, err
		}
		raised = append(raised, alerts...)
	}
	sorted, err := bySubject(raised)
	if err != nil {
		return nil, err
	}
	for i := range result {
		for n, phase := range Phases {
			result[i].Raised[n] = count(sorted[key{result[i].Name, phase}])
		}
	}
	return result, nil
}
