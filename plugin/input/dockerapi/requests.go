// SPDX-License-Identifier: Apache-2.0

package dockerapi

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/operation"
)

const (
	// rememberedRequests is how many requests are remembered, and eventWindow
	// for how long, in nanoseconds: a commit of a large container has its
	// event at its end.
	rememberedRequests = 4096
	eventWindow        = int64(15 * time.Minute)
	// clockSlack is how much earlier than its request an event may seem, in
	// nanoseconds: the two times come from different clocks.
	clockSlack = int64(50 * time.Millisecond)
	// requestWait is how long an event waits for its request, which is told
	// of when it is answered: a moment after the event.
	requestWait = 200 * time.Millisecond
)

// Requests are the last requests that were seen, by which a Docker event finds
// the client that caused it. It is safe for use by several goroutines.
type Requests struct {
	mu   sync.Mutex
	ring [rememberedRequests]request
	n    int
	// running is how many taps add requests.
	running int
	// news is closed and made anew with every request.
	news chan struct{}
}

// request is what an event is matched with.
type request struct {
	time      int64
	operation string
	// id is what the path names: a container, an image, an exec.
	id        string
	container event.Container
	command   string
	client    event.Client
}

// NewRequests returns an empty memory of requests.
func NewRequests() *Requests { return &Requests{news: make(chan struct{})} }

// run says that a tap begins or ends to add requests.
func (q *Requests) run(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.running += n
	close(q.news)
	q.news = make(chan struct{})
}

func (q *Requests) add(r request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ring[q.n%rememberedRequests] = r
	q.n++
	close(q.news)
	q.news = make(chan struct{})
}

// Cause sets the client of a Docker event that a request caused, and Repeated
// if that request's own event tells of the same act. An event of an act that
// can leak a credential waits a moment for its request.
func (q *Requests) Cause(ctx context.Context, e *event.Event) {
	op := operation.DockerEvent(e.Docker.Type, e.Docker.Action)
	wait := op.Credential != operation.None
	deadline := time.NewTimer(requestWait)
	defer deadline.Stop()
	for {
		q.mu.Lock()
		found := q.find(e, op.Name)
		running, news := q.running, q.news
		q.mu.Unlock()
		if found || !wait || running == 0 {
			return
		}
		select {
		case <-news:
		case <-deadline.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (q *Requests) find(e *event.Event, operation string) bool {
	d := &e.Docker
	switch d.Action {
	case "exec_create", "exec_start":
		started := q.last(e, func(r *request) bool { return r.operation == "exec.start" && r.id == d.ExecID })
		created := q.last(e, func(r *request) bool {
			return r.operation == "container.exec" && r.names(d) && r.command == d.Command
		})
		switch {
		case created != nil:
			d.Client, e.Repeated = created.client, true
		case started != nil:
			// The exec was created before there was a tap: this event is the
			// only one that tells of it.
			d.Client = started.client
		default:
			return false
		}
		return true
	}
	r := q.last(e, func(r *request) bool { return r.operation == operation && r.names(d) })
	if r == nil {
		return false
	}
	d.Client, e.Repeated = r.client, true
	return true
}

// last returns the last request before an event that a function accepts.
func (q *Requests) last(e *event.Event, accept func(*request) bool) *request {
	for i := q.n - 1; i >= max(0, q.n-rememberedRequests); i-- {
		r := &q.ring[i%rememberedRequests]
		if r.time > e.Time+clockSlack {
			continue
		}
		if r.time < e.Time-eventWindow {
			return nil
		}
		if accept(r) {
			return r
		}
	}
	return nil
}

// names reports whether the request is about the object of an event. What the
// client called it decides before what the engine made of that a moment later:
// a name can be given to another container.
func (r *request) names(d *event.Docker) bool {
	switch {
	case r.id == "", r.id == d.ActorName, strings.HasPrefix(d.ActorID, r.id):
		// A request may name nothing in its path (GET /images/get), or the
		// beginning of an id.
		return true
	case r.container.ID != "" && r.container.ID == d.Container.ID:
		return true
	}
	if d.Type != "image" {
		return false
	}
	// An image with and without its tag. Where the event has an id only,
	// nothing tells whether the request's name is that of another image.
	return strings.HasPrefix(d.ActorName, "sha256:") || strings.HasPrefix(d.ActorName, r.id+":") || strings.HasPrefix(r.id, d.ActorName+":")
}
