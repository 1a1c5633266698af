// SPDX-License-Identifier: Apache-2.0

package dockerapi

import (
	"context"
	"hash/maphash"
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
	// requestWait is for how long after it took place an event waits for its
	// request, which is told of when it is answered, or else after answerTime.
	requestWait = answerTime + 2*tick
	// shortWait is the same for an event of what can leak no credential: no
	// rule asks for it twice, and those after it are not to wait for long.
	shortWait = 100 * time.Millisecond
	// maxID is how long what a request names can be for an event to be found:
	// a client can send a mebibyte.
	maxID = 1024
)

// unrequested are the operations of events that no request of the same
// operation causes: nothing is to be waited for.
var unrequested = map[string]bool{
	"container.detach": true, "container.die": true, "container.health": true, "container.oom": true,
	"exec.detach": true, "volume.mount": true, "volume.unmount": true, "system.reload": true,
}

// Requests are the last requests that were seen, by which a Docker event finds
// the client that caused it. It is safe for use by several goroutines.
type Requests struct {
	mu   sync.Mutex
	seed maphash.Seed
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
	// id is what the request names: a container, an image, an exec, or "".
	id string
	// container is the id of the container that this is, if it is known.
	container string
	// image is what a container is created from.
	image string
	// command is that of an exec. Once the request is added only its hash is
	// kept, which is small. It is not known if the body was read partially.
	command string
	hash    uint64
	partial bool
	client  event.Client
	// told and started say that its event came, and that of the exec's start:
	// a container that starts once more was started by the daemon.
	told, started bool
}

// NewRequests returns an empty memory of requests.
func NewRequests() *Requests {
	return &Requests{seed: maphash.MakeSeed(), news: make(chan struct{})}
}

// run says that a tap begins or ends to add requests.
func (q *Requests) run(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.running += n
	q.wake()
}

// add remembers a request that was carried out, or is not answered yet.
func (q *Requests) add(r request) {
	if len(r.id) > maxID || len(r.image) > maxID {
		return
	}
	// They are parts of what can be long.
	r.id, r.image = strings.Clone(r.id), strings.Clone(r.image)
	r.hash, r.command = maphash.String(q.seed, r.command), ""
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ring[q.n%rememberedRequests] = r
	q.n++
	q.wake()
}

func (q *Requests) wake() {
	close(q.news)
	q.news = make(chan struct{})
}

// Cause sets the client of a Docker event that a request caused, and Repeated
// if that request's own event tells of the same act. An event waits a moment
// for its request.
func (q *Requests) Cause(ctx context.Context, e *event.Event) {
	meaning := operation.DockerEvent(e.Docker.Type, e.Docker.Action)
	op := meaning.Name
	if unrequested[op] || op == operation.Other.Name {
		return
	}
	wait := shortWait
	if meaning.Credential != operation.None {
		wait = requestWait
	}
	// Events that came together wait together.
	deadline := time.NewTimer(time.Until(time.Unix(0, e.Time).Add(wait)))
	defer deadline.Stop()
	for since := 0; ; {
		q.mu.Lock()
		found := q.find(e, op, since)
		since = q.n
		running, news := q.running, q.news
		q.mu.Unlock()
		if found || running == 0 {
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

// find looks for the request of an event among those since the n-th.
func (q *Requests) find(e *event.Event, op string, since int) bool {
	d := &e.Docker
	switch d.Action {
	case "exec_create", "exec_start", "exec_die":
		return q.findExec(e, since)
	}
	// A container has one event for each request, other objects can have
	// several.
	once := strings.HasPrefix(op, "container.")
	r := q.last(e, since, func(r *request) bool { return r.operation == op && !(once && r.told) && r.names(d) })
	if r == nil {
		return false
	}
	r.told = true
	d.Client, e.Repeated = r.client, true
	return true
}

// findExec is find for the events of an exec. Who starts it is who does it;
// that it was created is the act that was told of.
func (q *Requests) findExec(e *event.Event, since int) bool {
	d := &e.Docker
	start := q.last(e, 0, func(r *request) bool { return r.operation == "exec.start" && r.id == d.ExecID })
	if d.Action == "exec_die" {
		if start != nil {
			d.Client = start.client
		}
		return start != nil
	}
	hash := maphash.String(q.seed, d.Command)
	create := q.last(e, since, func(r *request) bool {
		return r.operation == "container.exec" && (r.hash == hash || r.partial) && r.names(d) &&
			!(d.Action == "exec_create" && r.told) && !(d.Action == "exec_start" && r.started)
	})
	switch {
	case create == nil && start == nil:
		return false
	case create == nil:
		// The exec was created before there was a tap: this event is the only
		// one that tells of it.
		d.Client = start.client
		return true
	case d.Action == "exec_create":
		create.told = true
	default:
		create.started = true
	}
	d.Client, e.Repeated = create.client, true
	if start != nil {
		d.Client = start.client
	}
	return true
}

// last returns the last request before an event that a function accepts, of
// those since the n-th. One that seems to be a little later will do.
func (q *Requests) last(e *event.Event, since int, accept func(*request) bool) *request {
	var later *request
	for i := q.n - 1; i >= max(since, q.n-rememberedRequests); i-- {
		r := &q.ring[i%rememberedRequests]
		switch {
		case r.time > e.Time+clockSlack:
		case r.time < e.Time-eventWindow:
			return later
		case !accept(r):
		case r.time <= e.Time:
			return r
		default:
			later = r
		}
	}
	return later
}

// names reports whether the request is about the object of an event. What the
// client called it decides before what the engine made of that a moment later:
// a name can be given to another container.
func (r *request) names(d *event.Docker) bool {
	switch {
	case r.id == "":
		// Nothing is named (GET /images/get), or a new container gets a name.
		return r.image == "" || r.image == d.Container.Image
	case r.id == d.ActorName, r.id == d.ActorID:
		return true
	case r.container != "":
		return r.container == d.Container.ID
	case strings.HasPrefix(d.ActorID, r.id):
		return true
	}
	if d.Type != "image" {
		return false
	}
	// An image with and without its tag. Where the event has an id only,
	// nothing tells whether the request's name is that of another image.
	return strings.HasPrefix(d.ActorName, "sha256:") || strings.HasPrefix(d.ActorName, r.id+":") || strings.HasPrefix(r.id, d.ActorName+":")
}
