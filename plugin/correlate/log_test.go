// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerapi/containerapi/plugin/event"
)

const (
	idA = "aaaa000000000000000000000000000000000000000000000000000000000001"
	idB = "aaaa000000000000000000000000000000000000000000000000000000000002"
)

// at is the base of all times here: an hour before the clock of a synctest
// bubble begins.
var at = time.Date(1999, time.December, 31, 23, 0, 0, 0, time.UTC).UnixNano()

func asked(op, id string, pid uint64) Request {
	return Request{Time: at, Operation: op, ID: id, Client: event.Client{PID: pid}}
}

func happened(typ, action, id, name string) *event.Event {
	return &event.Event{Input: event.DockerEvent, Time: at + 1e6, Docker: event.Docker{
		Type: typ, Action: action, ActorID: id, ActorName: name, Container: event.Container{ID: id, Name: name},
	}}
}

// attribute returns how long an event waited for its request.
func attribute(ctx context.Context, q *Log, e *event.Event) time.Duration {
	begin := time.Now()
	q.Attribute(ctx, e)
	return time.Since(begin)
}

func TestAttribute(t *testing.T) {
	with := func(r Request, change func(r *Request)) Request { change(&r); return r }
	when := func(e *event.Event, change func(e *event.Event)) *event.Event { change(e); return e }
	exec := func(action, id, command string) *event.Event {
		return when(happened("container", action, idA, "web"), func(e *event.Event) { e.Docker.ExecID, e.Docker.Command = id, command })
	}
	create := func(pid uint64, command string) Request {
		return with(asked("container.exec", "web", pid), func(r *Request) { r.Command = command })
	}
	for name, test := range map[string]struct {
		requests []Request
		event    *event.Event
		pid      uint64
		repeated bool
	}{
		"by name":          {[]Request{asked("container.export", "web", 1)}, happened("container", "export", idA, "web"), 1, true},
		"by id":            {[]Request{asked("container.export", idA, 1)}, happened("container", "export", idA, "web"), 1, true},
		"by prefix":        {[]Request{asked("container.export", "aaaa0", 1)}, happened("container", "export", idA, "web"), 1, true},
		"other name":       {[]Request{asked("container.export", "db", 1)}, happened("container", "export", idA, "web"), 0, false},
		"other id":         {[]Request{asked("container.export", idB, 1)}, happened("container", "export", idA, "web"), 0, false},
		"other operation":  {[]Request{asked("container.inspect", "web", 1)}, happened("container", "export", idA, "web"), 0, false},
		"part of the name": {[]Request{asked("container.export", "we", 1)}, happened("container", "export", idA, "web"), 0, false},
		"prefix of two, known which": {[]Request{with(asked("container.export", "aaaa", 1), func(r *Request) { r.Container = idB })},
			happened("container", "export", idA, "web"), 0, false},
		"name like the id of another": {[]Request{with(asked("container.export", "aaaa", 1), func(r *Request) { r.Container = idB })},
			happened("container", "export", idB, "aaaa"), 1, true},
		"name changed hands": {[]Request{with(asked("container.export", "web", 1), func(r *Request) { r.Container = idB })},
			happened("container", "export", idA, "web"), 1, true},
		"old name": {[]Request{with(asked("container.stop", "web", 1), func(r *Request) { r.Container = idA })},
			happened("container", "stop", idA, "renamed"), 1, true},
		"last of two": {[]Request{asked("container.export", "web", 1), asked("container.export", "web", 2)},
			happened("container", "export", idA, "web"), 2, true},
		"not one of later": {[]Request{asked("container.export", "web", 1),
			with(asked("container.export", "web", 2), func(r *Request) { r.Time += 10e6 })},
			happened("container", "export", idA, "web"), 1, true},
		"a little later": {[]Request{with(asked("container.export", "web", 1), func(r *Request) { r.Time += 10e6 })},
			happened("container", "export", idA, "web"), 1, true},
		"too late": {[]Request{with(asked("container.export", "web", 1), func(r *Request) { r.Time += clockSlack + 2e6 })},
			happened("container", "export", idA, "web"), 0, false},
		"long ago": {[]Request{with(asked("container.export", "web", 1), func(r *Request) { r.Time -= eventWindow })},
			happened("container", "export", idA, "web"), 0, false},

		"create by image": {[]Request{
			with(asked("container.create", "", 1), func(r *Request) { r.Image = "one" }),
			with(asked("container.create", "", 2), func(r *Request) { r.Image = "two" })},
			when(happened("container", "create", idA, "web"), func(e *event.Event) { e.Docker.Container.Image = "one" }), 1, true},
		"create by name": {[]Request{
			with(asked("container.create", "web", 1), func(r *Request) { r.Image = "one" }),
			with(asked("container.create", "db", 2), func(r *Request) { r.Image = "one" })},
			when(happened("container", "create", idA, "web"), func(e *event.Event) { e.Docker.Container.Image = "one" }), 1, true},

		"exec":               {[]Request{create(1, "id")}, exec("exec_create", "e1", "id"), 1, true},
		"exec other command": {[]Request{create(1, "ls")}, exec("exec_create", "e1", "id"), 0, false},
		"exec not read":      {[]Request{with(create(1, ""), func(r *Request) { r.Partial = true })}, exec("exec_create", "e1", "id"), 1, false},
		"create not read": {[]Request{with(asked("container.create", "web", 1), func(r *Request) { r.Partial = true })},
			happened("container", "create", idA, "web"), 1, false},
		"exec start": {[]Request{create(1, "id"), asked("exec.start", "e1", 2)}, exec("exec_start", "e1", "id"), 2, true},
		"exec of two": {[]Request{create(1, "id"), create(2, "id"), asked("exec.start", "e1", 1), asked("exec.start", "e2", 2)},
			exec("exec_start", "e1", "id"), 1, true},
		"exec start only": {[]Request{asked("exec.start", "e1", 2)}, exec("exec_start", "e1", "id"), 2, false},
		"exec end":        {[]Request{asked("exec.start", "e1", 2)}, exec("exec_die", "e1", ""), 2, false},

		"image with its tag":    {[]Request{asked("image.remove", "app:1", 1)}, happened("image", "untag", "sha256:1", "app:1"), 0, false},
		"image without its tag": {[]Request{asked("image.push", "app", 1)}, happened("image", "push", "app:1", "app:1"), 1, true},
		"image of another name": {[]Request{asked("image.push", "application", 1)}, happened("image", "push", "app:1", "app:1"), 0, false},
		"image by id":           {[]Request{asked("image.save", "app:1", 1)}, happened("image", "save", "sha256:12", "sha256:12"), 1, true},
		"volume":                {[]Request{asked("volume.create", "data1", 1)}, happened("volume", "create", "data1", "data1"), 1, true},
		"volume named like it":  {[]Request{asked("volume.remove", "data", 1)}, happened("volume", "destroy", "data1", "data1"), 0, false},
		"plugin without a tag":  {[]Request{asked("plugin.enable", "sshfs", 1)}, happened("plugin", "enable", idA, "sshfs:latest"), 1, true},
		"plugin with a tag":     {[]Request{asked("plugin.enable", "sshfs:1", 1)}, happened("plugin", "enable", idA, "sshfs:1"), 1, true},
		"plugin of another tag": {[]Request{asked("plugin.enable", "sshfs", 1)}, happened("plugin", "enable", idA, "sshfs:1"), 0, false},
		"images":                {[]Request{asked("image.save", "", 1)}, happened("image", "save", "app", "app"), 1, true},
		"daemon's own":          {[]Request{asked("container.die", "web", 1)}, happened("container", "die", idA, "web"), 0, false},
		"unknown":               {[]Request{asked("other", "web", 1)}, happened("container", "dance", idA, "web"), 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := NewLog()
				q.TapStarted()
				for _, r := range test.requests {
					q.Add(r)
				}
				if waited := attribute(t.Context(), q, test.event); waited != 0 {
					t.Errorf("an old event waited %v", waited)
				}
				if test.event.Docker.Client.PID != test.pid || test.event.Repeated != test.repeated {
					t.Errorf("got client %d, repeated %t; want %d, %t", test.event.Docker.Client.PID, test.event.Repeated, test.pid, test.repeated)
				}
			})
		})
	}
}

// A request has one event of its operation: the daemon starts a container
// again by itself.
func TestAttributeOnce(t *testing.T) {
	q := NewLog()
	q.TapStarted()
	q.Add(asked("container.start", "web", 1))
	for n := range 2 {
		e := happened("container", "start", idA, "web")
		q.Attribute(t.Context(), e)
		if e.Repeated != (n == 0) || (e.Docker.Client.PID == 1) != (n == 0) {
			t.Errorf("start %d is of %d, repeated %t", n, e.Docker.Client.PID, e.Repeated)
		}
	}
}

// now is an event that happens now.
func now(typ, action, id, name string) *event.Event {
	e := happened(typ, action, id, name)
	e.Time = time.Now().UnixNano()
	return e
}

func TestAttributeWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewLog()
		if waited := attribute(t.Context(), q, now("container", "export", idA, "web")); waited != 0 {
			t.Errorf("waited %v without a tap", waited)
		}
		q.TapStarted()

		// The request is added after its event came.
		e := now("container", "destroy", idA, "web")
		time.AfterFunc(20*time.Millisecond, func() {
			q.Add(asked("container.inspect", "web", 2))
			r := asked("container.remove", "web", 1)
			r.Time = e.Time - 1e6
			q.Add(r)
		})
		if waited := attribute(t.Context(), q, e); waited != 20*time.Millisecond || e.Docker.Client.PID != 1 || !e.Repeated {
			t.Errorf("after %v the request that came later is found as %+v, repeated %t", waited, e.Docker.Client, e.Repeated)
		}

		// Many that nothing caused wait at the same time, those of what leaks
		// nothing not for long.
		for action, wait := range map[string]time.Duration{"destroy": shortWait, "export": requestWait} {
			first := now("container", action, idB, "db")
			for n := range 20 {
				other := now("container", action, idB, "db")
				other.Time = first.Time
				want := time.Duration(0)
				if n == 0 {
					want = wait
				}
				if waited := attribute(t.Context(), q, other); waited != want || other.Docker.Client.PID != 0 {
					t.Errorf("event %d of %s waited %v, want %v, and is of %+v", n, action, waited, want, other.Docker.Client)
				}
			}
		}

		// The end of the input, and that of the tap, end the wait.
		ending, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if waited := attribute(ending, q, now("container", "export", idB, "db")); waited != 10*time.Millisecond {
			t.Errorf("waited %v, want it to end with its context after 10 ms", waited)
		}
		time.AfterFunc(10*time.Millisecond, q.TapStopped)
		if waited := attribute(t.Context(), q, now("container", "export", idB, "db")); waited != 10*time.Millisecond {
			t.Errorf("waited %v, want it to end with the tap after 10 ms", waited)
		}
	})
}

// The memory is a ring of a size of its own, whatever clients send.
func TestRequestsBounded(t *testing.T) {
	q := NewLog()
	q.TapStarted()
	q.Add(asked("container.export", "web", 1))
	long := strings.Repeat("x", 1<<20)
	q.Add(asked("container.export", long, 1))
	r := asked("container.exec", long[:10], 1)
	r.Command = long
	q.Add(r)
	if q.n != 2 || q.ring[1].Command != "" {
		t.Errorf("%d requests, the last with %d bytes of command", q.n, len(q.ring[1].Command))
	}
	for n := range rememberedRequests {
		q.Add(asked("container.top", fmt.Sprint("c", n), uint64(n)))
	}
	e := happened("container", "export", idA, "web")
	if q.Attribute(t.Context(), e); e.Docker.Client.PID != 0 {
		t.Error("found a request that is overwritten")
	}
	for _, n := range []int{0, rememberedRequests - 1} {
		e := happened("container", "top", idA, fmt.Sprint("c", n))
		if q.Attribute(t.Context(), e); !e.Repeated || e.Docker.Client.PID != uint64(n) {
			t.Errorf("request %d is found as %+v", n, e.Docker.Client)
		}
	}
}

// An event that says what the engine made is an act of its own if that is more than
// what the request asked for.
func TestAttributeExposes(t *testing.T) {
	for name, test := range map[string]struct {
		request Request
		made    event.Request
		want    bool // repeated
	}{
		"the same":              {Request{Exposes: []string{"devices", "proc"}}, event.Request{CreateExposes: []string{"proc"}}, true},
		"nothing":               {Request{}, event.Request{}, true},
		"more":                  {Request{Exposes: []string{"proc"}}, event.Request{CreateExposes: []string{"devices", "proc"}}, false},
		"hidden":                {Request{}, event.Request{CreateExposes: []string{"host_root"}}, false},
		"read in part, as said": {Request{Partial: true, Exposes: []string{"proc"}}, event.Request{CreateExposes: []string{"proc"}}, true},
		"read in part":          {Request{Partial: true, Exposes: []string{"proc"}}, event.Request{CreateExposes: []string{"devices"}}, false},
		"the engine is silent":  {Request{Exposes: []string{"proc"}}, event.Request{Unread: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := NewLog()
			r := test.request
			r.Time, r.Operation, r.ID, r.Client = at, "container.create", "web", event.Client{PID: 1}
			l.Add(r)
			e := happened("container", "create", idA, "web")
			e.Docker.Request = test.made
			l.Attribute(t.Context(), e)
			if e.Repeated != test.want || e.Docker.Client.PID != 1 {
				t.Errorf("repeated is %t by %d, want %t", e.Repeated, e.Docker.Client.PID, test.want)
			}
		})
	}
}

// A volume that no request asked for came with a container, whose event says what it
// shows. Where requests are not seen, nothing is known of that.
func TestAttributeVolume(t *testing.T) {
	for _, taps := range []int{0, 1} {
		l := NewLog()
		for range taps {
			l.TapStarted()
		}
		e := happened("volume", "create", "data", "data")
		e.Docker.Request.CreateExposes = []string{"host_root"}
		l.Attribute(t.Context(), e)
		if e.Repeated != (taps > 0) {
			t.Errorf("with %d taps repeated is %t", taps, e.Repeated)
		}
	}
}
