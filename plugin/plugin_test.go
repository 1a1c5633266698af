// SPDX-License-Identifier: Apache-2.0

//go:build !extract

package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/falcosecurity/plugin-sdk-go/pkg/sdk"

	"github.com/containerapi/containerapi/plugin/event/eventtest"
	"github.com/containerapi/containerapi/plugin/falco"
	"github.com/containerapi/containerapi/plugin/falco/falcotest"
	"github.com/containerapi/containerapi/plugin/field"
	"github.com/containerapi/containerapi/plugin/input/inputtest"
	events "github.com/containerapi/containerapi/plugin/pipeline"
)

// recordings are real audit events of attacks and of benign software.
const recordings = "../e2e/testdata/recordings"

// recorded returns all recorded events, one a line.
func recorded(t testing.TB) [][]byte {
	t.Helper()
	return eventtest.Recorded(t, recordings+"/*/*.jsonl.gz")
}

// start returns an initialized plugin and an engine that asks it for fields.
func start(t testing.TB, config string) (*Plugin, *falcotest.Engine) {
	t.Helper()
	p := new(Plugin)
	if err := p.Init(config); err != nil {
		t.Fatal(err)
	}
	engine := falcotest.New(p, field.Entries())
	t.Cleanup(func() {
		p.Destroy()
		engine.Close()
	})
	return p, engine
}

// readAll runs a file or directory through the plugin to its end.
func readAll(t testing.TB, p *Plugin, engine *falcotest.Engine, path string, each func(falcotest.Event)) {
	t.Helper()
	instance, err := p.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	s := instance.(*events.Source)
	defer s.Close()
	for {
		n, err := s.NextBatch(p, s.Events())
		for _, e := range engine.Events(s.Events(), n) {
			each(e)
		}
		switch {
		case errors.Is(err, sdk.ErrEOF):
			return
		case err != nil && !errors.Is(err, sdk.ErrTimeout):
			t.Fatal(err)
		}
	}
}

// write writes lines to a file.
func write(t testing.TB, lines ...[]byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "events.jsonl")
	if err := os.WriteFile(path, append(bytes.Join(lines, []byte("\n")), '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// An event must have the same fields when it is live and when it is read from
// a capture file: one comes from the values behind it, the other is parsed.
func TestFieldsOfLiveAndReplayedEvents(t *testing.T) {
	p, engine := start(t, "")
	operations := map[string]int{}
	count := 0
	// The first event makes all fields known ones; from then on they stand
	// behind the events.
	readAll(t, p, engine, write(t, recorded(t)[0]), func(e falcotest.Event) {
		if _, err := engine.Extract(e); err != nil {
			t.Fatal(err)
		}
	})
	if asked := falco.Asked(); !asked.Has(0) || !asked.Has(len(field.All())-1) {
		t.Fatalf("fields that were asked for are not known: %x", asked)
	}
	readAll(t, p, engine, write(t, recorded(t)...), func(e falcotest.Event) {
		count++
		live, err := engine.Extract(e)
		if err != nil {
			t.Fatal(err)
		}
		payload, at := e.Payload()
		copied, free := engine.Foreign(payload)
		defer free()
		again, err := engine.Extract(copied)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(live, again) {
			t.Fatalf("live %v\nread back %v\nof %s", live, again, payload)
		}
		if at < 1.7e18 || at > 2e18 {
			t.Errorf("event time %d is not that of the act", at)
		}
		operations[live["api.operation"].(string)]++
	})
	if want := len(recorded(t)); count != want {
		t.Errorf("%d events came out of %d", count, want)
	}
	for _, op := range []string{"secret.list", "secret.get", "secret.watch", "token.create", "pod.exec", "pod.logs", "configmap.get"} {
		if operations[op] == 0 {
			t.Errorf("no %s among %v", op, operations)
		}
	}
}

func TestGarbageHasNoFields(t *testing.T) {
	_, engine := start(t, "")
	for _, text := range []string{"", "x", "{}", "[]", `{"input":"k8s_audit"}`, `{"kind":"EventList","items":[]}`} {
		e, free := engine.Foreign([]byte(text))
		defer free()
		if values, err := engine.Extract(e); err != nil || len(values) != 0 {
			t.Errorf("%q has fields %v, %v", text, values, err)
		}
	}
}

// The values of one event must not be taken for those of another at the same
// address.
func TestFactsFollowTheEvent(t *testing.T) {
	_, engine := start(t, "")
	for _, user := range []string{"alice", "bob"} {
		e, free := engine.Foreign([]byte(`{"auditID":"1","user":{"username":"` + user + `"}}`))
		values, err := engine.Extract(e)
		free()
		if err != nil || values["kube.user.name"] != user {
			t.Errorf("user is %v, want %s; %v", values["kube.user.name"], user, err)
		}
	}
}

func TestMetrics(t *testing.T) {
	p, engine := start(t, "")
	path := write(t, append(recorded(t)[:10:10], []byte("{broken"))...)
	var metrics map[string]uint64
	readAll(t, p, engine, path, func(falcotest.Event) {
		// The events may be here before their input has counted them.
		inputtest.Eventually(t, "the count", func() bool {
			metrics = engine.Metrics()
			return metrics["replay.received"] == 10
		})
	})
	if metrics["replay.received"] != 10 || metrics["replay.malformed"] != 1 || metrics["forwarded"] != 10 || metrics["queue_bytes"] == 0 {
		t.Errorf("got %v", metrics)
	}
	if after := engine.Metrics(); len(after) != 0 {
		t.Errorf("after Close: %v", after)
	}
}

func TestOpenErrors(t *testing.T) {
	p, _ := start(t, "")
	for params, want := range map[string]string{
		"/nowhere/audit.jsonl":                              "/nowhere/audit.jsonl",
		"ftp://host/file":                                   "ftp",
		"http://127.0.0.1/path":                             "port",
		"https://127.0.0.1:0/path":                          "/etc/falco/falco.pem",
		"docker+tcp://":                                     "docker+tcp",
		"http://127.0.0.1:0/a,nfs://host":                   "nfs",
		"file:///proc":                                      "/proc",
		"file:/proc":                                        "/proc",
		"file://proc/audit.log":                             "three slashes",
		"file:proc/audit.log":                               "three slashes",
		"docker://,":                                        "comma",
		",http://127.0.0.1:0/a":                             "comma",
		"docker://,docker:///":                              "twice",
		"docker://,docker:///var/run/docker.sock":           "twice",
		"file:///etc/os-release,file:///usr/lib/os-release": "twice", // a link to the other
		"file:///no/audit.log,file:/no/./audit.log":         "twice",
	} {
		instance, err := p.Open(params)
		if err == nil {
			instance.(*events.Source).Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "open_params") {
			t.Errorf("Open(%q) = %v; want an error that names %q", params, err, want)
		}
	}
}

// Falco opens and closes a source again and again when its configuration
// changes: nothing may be left behind.
func TestOpenAgain(t *testing.T) {
	dir := t.TempDir()
	p, _ := start(t, `{"stateDir":"`+filepath.Join(dir, "state")+`"}`)
	log := filepath.Join(dir, "audit.log")
	if err := os.WriteFile(log, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	params := "http://127.0.0.1:0/audit,file://" + log + ",docker://" + filepath.Join(dir, "no.sock")
	once := func() {
		instance, err := p.Open(params)
		if err != nil {
			t.Fatal(err)
		}
		s := instance.(*events.Source)
		if _, err := s.NextBatch(p, s.Events()); !errors.Is(err, sdk.ErrTimeout) {
			t.Fatalf("NextBatch of quiet inputs: %v", err)
		}
		began := time.Now()
		s.Close()
		s.Events().Free()
		if took := time.Since(began); took > time.Second { // what input.Input promises
			t.Errorf("Close took %v", took)
		}
	}
	once()
	check := inputtest.Leaks(t)
	for range 10 {
		once()
	}
	// Taps that were still being loaded are closed once they are there, which
	// takes the kernel a second each on a busy machine.
	check()
}

// BenchmarkFacts is the extraction of six fields from an event that another
// plugin collected, and that has to be parsed.
func BenchmarkFacts(b *testing.B) {
	_, engine := start(b, "")
	var list []falcotest.Event
	for _, line := range recorded(b) {
		if len(line) > 2000 {
			continue
		}
		e, free := engine.Foreign(line)
		defer free()
		list = append(list, e)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		engine.Touch(list[i%len(list)], 6)
	}
}

// BenchmarkExtract is the extraction of six fields from a live event.
func BenchmarkExtract(b *testing.B) {
	p, engine := start(b, "")
	var lines [][]byte
	for _, line := range recorded(b) {
		if len(line) < 2000 {
			lines = append(lines, line)
		}
	}
	// From the first event on these fields are known to be asked for.
	readAll(b, p, engine, write(b, lines[0]), func(e falcotest.Event) { engine.Touch(e, 6) })
	instance, err := p.Open(write(b, lines...))
	if err != nil {
		b.Fatal(err)
	}
	s := instance.(*events.Source)
	defer s.Close()
	var list []falcotest.Event
	for len(list) == 0 {
		n, err := s.NextBatch(p, s.Events())
		if err != nil && !errors.Is(err, sdk.ErrTimeout) {
			b.Fatal(err)
		}
		list = engine.Events(s.Events(), n)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		engine.Touch(list[i%len(list)], 6)
	}
}

// BenchmarkReplay is the whole way of an event from a file to Falco.
func BenchmarkReplay(b *testing.B) {
	p, engine := start(b, "")
	var lines [][]byte
	size := 0
	for _, line := range recorded(b) {
		if len(line) < 2500 && len(line) > 600 {
			lines = append(lines, line)
		}
	}
	for len(lines) < b.N {
		lines = append(lines, lines[:min(len(lines), b.N-len(lines))]...)
	}
	lines = lines[:b.N]
	for _, line := range lines {
		size += len(line)
	}
	path := write(b, lines...)
	b.SetBytes(int64(size / b.N))
	b.ReportAllocs()
	b.ResetTimer()
	readAll(b, p, engine, path, func(falcotest.Event) {})
}
