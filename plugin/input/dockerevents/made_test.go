// SPDX-License-Identifier: Apache-2.0

package dockerevents

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerapi/containerapi/plugin/event"
)

// answers is an engine without a socket: what it answers to a GET, by the path
// without the version. What is missing it does not know; with nil it never answers.
type answers map[string]string

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	if a == nil && r.URL.Path != "/_ping" {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	body, ok := a[strings.TrimPrefix(r.URL.Path, "/v1.41")]
	status := http.StatusOK
	switch {
	case r.URL.Path == "/_ping":
		body = "OK"
	case !ok:
		status = http.StatusNotFound
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Api-Version": {"1.41"}}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

func (a answers) made(t *testing.T) *made {
	t.Helper()
	events, err := Open(&url.URL{Scheme: "docker", Path: "/nowhere"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	events.engine.client.Transport = a
	return newMade(events.engine, "")
}

func createdEvent(typ, action, id string) *event.Event {
	return &event.Event{Input: event.DockerEvent, Docker: event.Docker{Type: typ, Action: action, ActorID: id}}
}

const proc = `{"Config":{"Image":"i"},"HostConfig":{"Binds":["/proc:/p"]}}`

func TestMadeDescribes(t *testing.T) {
	m := answers{
		"/containers/a/json": proc,
		"/containers/b/json": `{"HostConfig":{"PidMode":"container:gone"}}`,
		"/containers/c/json": `{"HostConfig":{},"Mounts":[{"Type":"volume","Name":"v","Driver":"local","Source":"/var/lib/docker/volumes/v/_data"},{"Type":"volume","Name":"w","Driver":"sshfs"}]}`,
		"/volumes/v":         `{"Driver":"local","Options":{"type":"none","o":"bind","device":"/dev"}}`,
		"/containers/json":   `[{"Id":"c"}]`,
		"/services/s":        `{"PreviousSpec":{},"Spec":{"Name":"s","TaskTemplate":{"ContainerSpec":{"CapabilityAdd":["ALL"]}}}}`,
		"/plugins/p/json":    `{"Config":{"PidHost":true,"Linux":{"AllowAllDevices":true}},"Settings":{"Mounts":[{"Source":"/proc"}]}}`,
		"/containers/x/json": `{"HostConfig":`,
	}.made(t)
	for _, test := range []struct{ typ, action, id, want string }{
		{"container", "create", "a", "proc"},
		{"container", "create", "b", "container_pid"},
		{"container", "create", "c", "devices"},
		{"container", "create", "gone", ""},
		{"container", "create", "x", "unread"},
		{"container", "start", "a", ""},
		{"container", "start", "unknown", ""},
		{"volume", "create", "v", "devices"},
		{"service", "create", "s", "capabilities"},
		{"service", "update", "s", ""},
		{"plugin", "enable", "p", "proc devices host_pid"},
		{"plugin", "enable", "p", ""},
	} {
		e := createdEvent(test.typ, test.action, test.id)
		m.describe(t.Context(), e)
		got := strings.Join(e.Docker.Request.CreateExposes, " ")
		if e.Docker.Request.Unread {
			got = "unread"
		}
		if got != test.want {
			t.Errorf("%s %s %s exposes %q, want %q", test.typ, test.action, test.id, got, test.want)
		}
	}
}

// What the engine creates by itself for a service is told by the service's own
// event, and once where that was not seen. A client's container is not.
func TestMadeForService(t *testing.T) {
	const task = `{"Config":{"Labels":{"com.docker.swarm.service.id":"s"}},"HostConfig":{"Binds":["/proc:/p"]}}`
	m := answers{"/containers/1/json": task, "/containers/2/json": task, "/containers/3/json": task}.made(t)
	for _, test := range []struct {
		id       string
		pid      uint64
		repeated bool
	}{{"1", 0, false}, {"2", 0, true}, {"3", 7, false}} {
		e := createdEvent("container", "create", test.id)
		m.describe(t.Context(), e)
		e.Docker.Client.PID = test.pid
		m.attributed(e)
		if e.Repeated != test.repeated {
			t.Errorf("container %s by %d: repeated is %t", test.id, test.pid, e.Repeated)
		}
	}
}

// An engine that does not answer holds events up for half of the time at most, and
// they say that they lack something.
func TestMadeSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := answers(nil).made(t)
		describe := func(want time.Duration) {
			t.Helper()
			begin := time.Now()
			e := createdEvent("container", "create", "a")
			m.describe(t.Context(), e)
			if waited := time.Since(begin); waited != want || !e.Docker.Request.Unread {
				t.Errorf("waited %s, want %s; unread is %t", waited, want, e.Docker.Request.Unread)
			}
		}
		describe(madeLimit)
		describe(0)
		time.Sleep(madeLimit)
		describe(madeLimit)
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := answers(nil).made(t).container(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v after the end", err)
	}
}
