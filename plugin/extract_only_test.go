// SPDX-License-Identifier: Apache-2.0

//go:build extract

package main

import (
	"fmt"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/falcosecurity/plugin-sdk-go/pkg/sdk/plugins/source"

	"github.com/containerapi/containerapi/plugin/event/eventtest"
	"github.com/containerapi/containerapi/plugin/falco/falcotest"
	"github.com/containerapi/containerapi/plugin/field"
)

// Falco loads the library beside k8saudit only if it has no events of its own.
func TestExtractOnly(t *testing.T) {
	p := new(Plugin)
	info := p.Info()
	if info.ID != 0 || info.EventSource != "" || !reflect.DeepEqual(info.ExtractEventSources, []string{"k8s_audit"}) {
		t.Errorf("info is %+v", info)
	}
	if _, opens := any(p).(source.Plugin); opens {
		t.Error("the plugin has events of its own")
	}
}

// startExtract returns the initialized plugin and an engine that asks it for fields.
func startExtract(t testing.TB) (*Plugin, *falcotest.Engine) {
	t.Helper()
	p := new(Plugin)
	if err := p.Init(`{"stateDir":"` + t.TempDir() + `"}`); err != nil {
		t.Fatal(err)
	}
	engine := falcotest.New(p, field.Entries())
	t.Cleanup(func() {
		p.Destroy()
		engine.Close()
	})
	return p, engine
}

// audit is a request of mallory's for a secret, as a k8saudit plugin collects it.
func audit(id, stamp, verb, uri, name string) []byte {
	return fmt.Appendf(nil, `{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":%q,"stage":"ResponseComplete",
		"verb":%q,"requestURI":%q,"user":{"username":"mallory"},"objectRef":{"resource":"secrets","namespace":"shop","name":%q,"apiVersion":"v1"},
		"responseStatus":{"code":200},"requestReceivedTimestamp":%q,"stageTimestamp":%q}`, id, verb, uri, name, stamp, stamp)
}

func get(id, stamp, name string) []byte {
	return audit(id, stamp, "get", "/api/v1/namespaces/shop/secrets/"+name, name)
}

// parse shows the plugin an event and returns its fields.
func parse(t testing.TB, engine *falcotest.Engine, payload []byte) map[string]any {
	t.Helper()
	e, free := engine.Foreign(payload)
	defer free()
	if err := engine.Parse(e); err != nil {
		t.Fatal(err)
	}
	values, err := engine.Extract(e)
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// Without a source all events would have to be parsed, system calls among them.
func TestParseSources(t *testing.T) {
	if got := falcotest.ParseSources(); got != `["k8s_audit"]` {
		t.Errorf("events of %q are parsed", got)
	}
}

func TestExtractOnlyFields(t *testing.T) {
	_, engine := startExtract(t)
	values := parse(t, engine, audit("1", "2026-01-01T00:00:00.000000Z", "list", "/api/v1/namespaces/shop/secrets", ""))
	for name, want := range map[string]any{"api.operation": "secret.list", "kube.user.name": "mallory", "api.act": true, "api.seen.first": true} {
		if values[name] != want {
			t.Errorf("%s is %v, want %v", name, values[name], want)
		}
	}
}

// What an identity did before is remembered from one event to the next, and each
// event once, whether rules ask for its fields never, once or several times.
func TestMemoryOfForeignEvents(t *testing.T) {
	_, engine := startExtract(t)
	seen := func(values map[string]any) string {
		return fmt.Sprint(values["api.seen.first"], values["api.seen.count"], values["api.seen.objects"])
	}
	var last falcotest.Event
	for i, name := range []string{"a", "b", "b", "c"} {
		e, free := engine.Foreign(get(fmt.Sprint(i), fmt.Sprintf("2026-01-01T00:00:0%d.000000Z", i), name))
		defer free()
		if err := engine.Parse(e); err != nil {
			t.Fatal(err)
		}
		last = e
		if i == 1 {
			continue // no rule asks for any field
		}
		want := []string{"true 1 1", "", "false 3 2", "false 4 3"}[i]
		for range 3 {
			engine.Touch(e, 6) // one field after the other
			values, err := engine.Extract(e)
			if err != nil || seen(values) != want {
				t.Errorf("event %d was seen %s, want %s; %v", i, seen(values), want, err)
			}
		}
	}
	// Beside what was parsed last another event can be asked for, which has no memory.
	other, free := engine.Foreign(get("9", "2026-01-01T00:00:09.000000Z", "d"))
	defer free()
	for range 2 {
		values, err := engine.Extract(other)
		if err != nil || values["api.object"] != "shop/d" || values["api.seen.count"] != nil {
			t.Errorf("an event that was not parsed has %v; %v", values, err)
		}
		if values, err = engine.Extract(last); err != nil || values["api.object"] != "shop/c" || seen(values) != "false 4 3" {
			t.Errorf("beside another event the last one has %v; %v", values, err)
		}
	}
}

// Each of the sources of a Falco, and Falco after it read its rules anew, has a plugin
// that begins without a memory.
func TestMemoryIsOfOnePlugin(t *testing.T) {
	for range 2 {
		_, engine := startExtract(t)
		for i, first := range []bool{true, false} {
			values := parse(t, engine, get(fmt.Sprint(i), "2026-01-01T00:00:00.000000Z", "a"))
			if values["api.seen.first"] != first {
				t.Errorf("event %d: api.seen.first is %v", i, values["api.seen.first"])
			}
		}
	}
}

// What was remembered is known to the next plugin, after Falco read its configuration
// anew; the state lies beside that of the other library, and is not touched without events.
func TestMemoryLasts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	for i := range 3 {
		p := new(Plugin)
		if err := p.Init(fmt.Sprintf(`{"stateDir":%q}`, dir)); err != nil {
			t.Fatal(err)
		}
		engine := falcotest.New(p, field.Entries())
		files, _ := filepath.Glob(dir + "/*")
		switch i {
		case 0: // a plugin that is only made to look at the configuration
		case 1:
			if len(files) != 0 {
				t.Errorf("there is %v before the first event", files)
			}
			fallthrough
		default:
			values := parse(t, engine, get(fmt.Sprint(i), fmt.Sprintf("2026-01-01T00:00:%02d.000000Z", i), "a"))
			if first := i == 1; values["api.seen.first"] != first {
				t.Errorf("plugin %d: api.seen.first is %v", i, values["api.seen.first"])
			}
		}
		p.Destroy()
		engine.Close()
	}
	if files, _ := filepath.Glob(dir + "/*"); len(files) != 1 || filepath.Base(files[0]) != "profiles-k8s_audit.db" {
		t.Errorf("the state is in %v", files)
	}
}

// An event without a time has that which Falco shows.
func TestTimeOfForeignEvents(t *testing.T) {
	_, engine := startExtract(t)
	values := parse(t, engine, get("1", "", "a"))
	if values["api.seen.first"] != true {
		t.Errorf("got %v", values)
	}
}

// The values of the fields that rules asked for before are worked out when an event is
// parsed; all others come from the same event when they are asked for, and what Falco
// got before stays where it is.
func TestFieldsAskedForLater(t *testing.T) {
	_, engine := startExtract(t)
	falcotest.ForgetAsked()
	for i := range 3 {
		e, free := engine.Foreign(get(fmt.Sprint(i), "2026-01-01T00:00:00.000000Z", "a"))
		defer free()
		if err := engine.Parse(e); err != nil {
			t.Fatal(err)
		}
		var held []func() string
		// The second field is new at the second event.
		for _, name := range []string{"api.object", "kube.user.name"}[:min(i+1, 2)] {
			read, err := engine.Hold(e, name)
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, read)
		}
		if i < 2 {
			continue
		}
		values, err := engine.Extract(e)
		if err != nil || values["api.seen.count"] != uint64(3) || values["kube.client"] != nil || values["kube.verb"] != "get" {
			t.Errorf("event %d has %v; %v", i, values, err)
		}
		if held[0]() != "shop/a" || held[1]() != "mallory" {
			t.Errorf("what was extracted first is now %q and %q", held[0](), held[1]())
		}
	}
}

// What was read of an event is not taken for what is in its place later, not even
// under its number, as when another capture is opened.
func TestForeignEventsAtOneAddress(t *testing.T) {
	_, engine := startExtract(t)
	e, free := engine.Foreign(get("1", "2026-01-01T00:00:00.000000Z", "a"))
	defer free()
	for i := range 2 {
		falcotest.ForgetAsked()
		if err := engine.Parse(e); err != nil {
			t.Fatal(err)
		}
		if values, err := engine.Extract(e); err != nil || values["api.seen.count"] != uint64(i+1) {
			t.Errorf("parse %d: %v; %v", i, values, err)
		}
	}
	later := e.Next()
	if values, err := engine.Extract(later); err != nil || values["kube.user.name"] != "mallory" || values["api.seen.count"] != nil {
		t.Errorf("an event that was not parsed, at the address of one that was, has %v; %v", values, err)
	}
}

// What cannot be read has no fields, not even those of the event before it.
func TestGarbageIsNotParsed(t *testing.T) {
	_, engine := startExtract(t)
	for _, text := range []string{"", "x", "{}", "[]", `{"kind":"EventList","items":[{}]}`} {
		parse(t, engine, get("1", "2026-01-01T00:00:00.000000Z", "a"))
		if values := parse(t, engine, []byte(text)); len(values) != 0 {
			t.Errorf("%q has fields %v", text, values)
		}
	}
}

// No field of another plugin's event shows a secret, whether it was parsed or not.
func TestCanariesInForeignFields(t *testing.T) {
	_, engine := startExtract(t)
	for _, canary := range eventtest.Canaries() {
		for _, line := range audits(t, canary.Text) {
			falcotest.ForgetAsked()
			shown(t, canary, "parsed before any field was asked for", parse(t, engine, line))
			shown(t, canary, "parsed", parse(t, engine, line))
			e, free := engine.Foreign(line)
			values, err := engine.Extract(e)
			free()
			if err != nil {
				t.Fatal(err)
			}
			shown(t, canary, "not parsed", values)
		}
	}
}

// The later events of one exec, a watch or a log that is followed are no acts.
func TestActsOfForeignEvents(t *testing.T) {
	_, engine := startExtract(t)
	acts, execs := 0, map[string]bool{} // by audit id
	for _, line := range eventtest.Recorded(t, "../e2e/testdata/recordings/*/*.jsonl.gz") {
		values := parse(t, engine, line)
		if values["api.operation"] == "pod.exec" {
			execs[values["kube.auditid"].(string)] = true
			if values["api.act"] == true {
				acts++
			}
		}
	}
	if acts != len(execs) || acts == 0 {
		t.Errorf("%d acts of exec, want %d", acts, len(execs))
	}
}

// BenchmarkParse is the parsing of an event and the extraction of six of its fields.
func BenchmarkParse(b *testing.B) {
	_, engine := startExtract(b)
	var list []falcotest.Event
	for _, line := range eventtest.Recorded(b, "../e2e/testdata/recordings/*/*.jsonl.gz") {
		if len(line) > 2000 {
			continue
		}
		e, free := engine.Foreign(line)
		defer free()
		list = append(list, e)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		e := list[i%len(list)]
		if err := engine.Parse(e); err != nil {
			b.Fatal(err)
		}
		engine.Touch(e, 6)
	}
}
