// SPDX-License-Identifier: Apache-2.0

package field

import (
	"fmt"
	"testing"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/event/eventtest"
)

// unread are the parts of an event that no field shows, and why.
var unread = map[string]string{
	"Time":                        "evt.time is Falco's own field",
	"Replayed":                    "for the history, which must not count such an event again",
	"Docker.Request.Waiting":      "for api.act and api.outcome, which say that it is no act yet",
	"Kubernetes.Received":         "evt.time shows it",
	"Kubernetes.Staged":           "evt.time shows it where there is no other",
	"Kubernetes.Impersonated.UID": "kube.user.uid tells namesakes apart; an impersonated uid is whatever the client likes",
	"Kubernetes.APIVersion":       "the same resource in all versions of its group",
	"Kubernetes.Status":           "for api.outcome, and for api.credential, which is empty with Success",
	"Kubernetes.TokenPodUID":      "kube.token.pod names the pod",
}

// What an event knows rules can read. A value that is added to events and that
// no field shows makes this test fail, and so does a field for one of unread.
func TestAllRead(t *testing.T) {
	read := make(map[string]bool)
	for _, input := range []event.Input{event.KubernetesAudit, event.DockerAPI, event.DockerEvent} {
		// Some fields have a value for some events only.
		for _, reduce := range []func(*event.Event){
			func(e *event.Event) { e.Operation = "container.create" },
			func(e *event.Event) { e.Operation = "container.exec" },
			func(e *event.Event) { e.Docker.Container = event.Container{} },
		} {
			for i := range eventtest.Leaves(new(event.Event)) {
				e := &event.Event{Input: input}
				eventtest.Fill(e)
				reduce(e)
				before := values(e)
				leaf := eventtest.Leaves(e)[i]
				leaf.Change()
				read[leaf.Path] = read[leaf.Path] || values(e) != before
			}
		}
	}
	for path, isRead := range read {
		switch _, listed := unread[path]; {
		case !isRead && !listed:
			t.Errorf("no field shows %s of an event", path)
		case isRead && listed:
			t.Errorf("a field shows %s of an event, which is listed as unread", path)
		}
	}
	for path := range unread {
		if _, ok := read[path]; !ok {
			t.Errorf("unread: an event has no %s", path)
		}
	}
}

// values returns the values of all fields that the event has, as a text.
func values(e *event.Event) string {
	text := ""
	for _, f := range of(e.Input) {
		text += fmt.Sprintln(f.Name, value(f.Value, e))
	}
	return text
}

func of(input event.Input) []Field {
	if input == event.KubernetesAudit {
		return append(common[:len(common):len(common)], kube...)
	}
	return append(common[:len(common):len(common)], dockerAPI...)
}

func value(v Value, e *event.Event) any {
	switch f := v.(type) {
	case text:
		return f(e)
	case texts:
		return f(e)
	case addr:
		return f(e)
	case number:
		n, ok := f(e)
		return fmt.Sprint(n, ok)
	case flag:
		b, ok := f(e)
		return fmt.Sprint(b, ok)
	case joined:
		a, b, c := f(e)
		return fmt.Sprint(a, b, c)
	}
	panic(fmt.Sprintf("a field is a %T", v))
}
