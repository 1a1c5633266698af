// SPDX-License-Identifier: Apache-2.0

// Package correlate finds the request that caused an event of the same engine:
// who did what an event reports is known from the request, and an act that
// both tell of is one act.
package correlate

import (
	"context"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerapi/containerapi/plugin/docker"
	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/operation"
)

// AnswerTime is how long a request may wait for its answer before it is added
// without one.
const AnswerTime = time.Second

const (
	// rememberedRequests is how many requests are remembered, and eventWindow
	// for how long, in nanoseconds: a commit of a large container has its
	// event at its end.
	rememberedRequests = 4096
	eventWindow        = int64(15 * time.Minute)
	// clockSlack is how much earlier than its request an event may seem, in
	// nanoseconds: the two times come from different clocks.
	clockSlack = int64(50 * time.Millisecond)
	// requestWait is how long an event waits for its request, from the event's
	// own time on. A request without an answer is added after AnswerTime; the
	// rest is for the tap to be read.
	requestWait = AnswerTime + 500*time.Millisecond
	// shortWait is the same for an event that neither leaks a credential nor exposes
	// anything. If its
	// request comes later, the two count as two acts; no rule raises both, so
	// that is not worth holding up the events behind it.
	shortWait = 100 * time.Millisecond
	// maxID is how long what a request names can be for an event to be found:
	// a client can send a mebibyte.
	maxID = 1024
	// maxShown is how much is kept of a command that the words make another one
	// than the event shows, in bytes.
	maxShown = 1024
)

// Log holds the last requests that were seen, by which a Docker event finds
// the client that caused it. It is safe for use by several goroutines.
type Log struct {
	mu   sync.Mutex
	seed maphash.Seed
	ring [rememberedRequests]entry
	n    int
	// taps is how many taps add requests.
	taps int
	// news is closed and made anew with every request.
	news chan struct{}
}

// Request is what an event is matched with.
type Request struct {
	// Time is when the request was read, in nanoseconds since the Unix epoch.
	Time int64
	// Operation is what it does, in the words of package operation.
	Operation string
	// ID is what the request names: a container, an image, an exec, or "".
	ID string
	// Container is the id of the container that this is, if it is known.
	Container string
	// Image is what a container is created from.
	Image string
	// Command is that of an exec as the engine's event has it, masked; Shown as it
	// is shown where its words are known. Partial reports that the body was
	// not read to its end, so that the command, or what is to be exposed, is not known.
	Command, Shown string
	Partial        bool
	// Exposes is what of the host it asks for.
	Exposes []string
	// Client is who sent it.
	Client event.Client
}

// entry is a request that is remembered.
type entry struct {
	Request
	// command is a hash of the command, which is smaller.
	command uint64
	// reported and started say that its event came, and that of the exec's
	// start: a container that starts once more was started by the daemon.
	reported, started bool
}

// NewLog returns an empty log.
func NewLog() *Log {
	return &Log{seed: maphash.MakeSeed(), news: make(chan struct{})}
}

// TapStarted says that a tap begins to add requests. While there is none,
// events wait for nothing.
func (l *Log) TapStarted() { l.count(1) }

// TapStopped says that a tap adds no more requests.
func (l *Log) TapStopped() { l.count(-1) }

func (l *Log) count(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taps += n
	l.wake()
}

// Add remembers a request that was carried out, or is not answered yet.
func (l *Log) Add(r Request) {
	if len(r.ID) > maxID || len(r.Image) > maxID {
		return
	}
	// They are parts of what can be long.
	r.ID, r.Image = strings.Clone(r.ID), strings.Clone(r.Image)
	e := entry{Request: r, command: maphash.String(l.seed, r.Command)}
	if e.Shown == e.Command {
		e.Shown = ""
	} else if len(e.Shown) > maxShown {
		e.Shown = e.Shown[:maxShown]
	}
	e.Command, e.Shown = "", strings.Clone(e.Shown)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ring[l.n%rememberedRequests] = e
	l.n++
	l.wake()
}

func (l *Log) wake() {
	close(l.news)
	l.news = make(chan struct{})
}

// Attribute sets the client of a Docker event that a request caused, and Repeated
// if that request's own event reports the same act. An event waits a moment
// for its request.
func (l *Log) Attribute(ctx context.Context, e *event.Event) {
	if !docker.EventRequested(e.Docker.Type, e.Docker.Action) {
		return
	}
	op := docker.EventOperation(e.Docker.Type, e.Docker.Action)
	wait := shortWait
	if op.Credential != operation.None || len(e.Docker.Request.CreateExposes) > 0 {
		wait = requestWait
	}
	// Events that came together wait together.
	deadline := time.NewTimer(time.Until(time.Unix(0, e.Time).Add(wait)))
	defer deadline.Stop()
	for since := 0; ; {
		l.mu.Lock()
		found := l.find(e, op.Name, since)
		since = l.n
		taps, news := l.taps, l.news
		l.mu.Unlock()
		if found || taps == 0 {
			return
		}
		select {
		case <-news:
		case <-deadline.C:
			// A volume that nobody asked for is a container's, whose own event
			// says what it shows.
			e.Repeated = op.Name == operation.VolumeCreate
			return
		case <-ctx.Done():
			return
		}
	}
}

// find looks for the request of an event among those since the n-th.
func (l *Log) find(e *event.Event, op string, since int) bool {
	d := &e.Docker
	switch d.Action {
	case "exec_create", "exec_start", "exec_die":
		return l.findExec(e, since)
	}
	// A container has one event for each request, other objects can have
	// several.
	once := strings.HasPrefix(op, "container.")
	r := l.last(e, since, func(r *entry) bool { return r.Operation == op && !(once && r.reported) && r.names(d) })
	if r == nil {
		return false
	}
	r.reported = true
	d.Client, e.Repeated = r.Client, r.says(&d.Request)
	return true
}

// says reports whether the request's own event says as much as the engine's. What
// could not be read in full does not, unless the engine says what it made.
func (r *entry) says(made *event.Request) bool {
	if made.Unread || r.Partial && len(made.CreateExposes) == 0 {
		return false
	}
	return !slices.ContainsFunc(made.CreateExposes, func(what string) bool { return !slices.Contains(r.Exposes, what) })
}

// findExec is find for the events of an exec. Who starts it is who does it;
// that it was created is the act that the request reported.
func (l *Log) findExec(e *event.Event, since int) bool {
	d := &e.Docker
	start := l.last(e, 0, func(r *entry) bool { return r.Operation == operation.ExecStart && r.ID == d.ExecID })
	if d.Action == "exec_die" {
		if start != nil {
			d.Client = start.Client
		}
		return start != nil
	}
	command := maphash.String(l.seed, d.Command)
	create := l.last(e, since, func(r *entry) bool {
		return r.Operation == operation.ContainerExec && (r.command == command || r.Partial) && r.names(d) &&
			!(d.Action == "exec_create" && r.reported) && !(d.Action == "exec_start" && r.started)
	})
	switch {
	case create == nil && start == nil:
		return false
	case create == nil:
		// The exec was created before there was a tap: this event is the only
		// one that reports it.
		d.Client = start.Client
		return true
	case d.Action == "exec_create":
		create.reported = true
	default:
		create.started = true
	}
	d.Client, e.Repeated = create.Client, !create.Partial
	if create.Shown != "" {
		// It knows more of what is secret.
		d.Command = create.Shown
	}
	if start != nil {
		d.Client = start.Client
	}
	return true
}

// last returns the last request before an event that a function accepts, of
// those since the n-th. One that seems to be a little later will do.
func (l *Log) last(e *event.Event, since int, accept func(*entry) bool) *entry {
	var later *entry
	for i := l.n - 1; i >= max(since, l.n-rememberedRequests); i-- {
		r := &l.ring[i%rememberedRequests]
		switch {
		case r.Time > e.Time+clockSlack:
		case r.Time < e.Time-eventWindow:
			return later
		case !accept(r):
		case r.Time <= e.Time:
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
func (r *entry) names(d *event.Docker) bool {
	switch {
	case r.ID == "":
		// Nothing is named (GET /images/get), or a new container gets a name.
		return r.Image == "" || r.Image == d.Container.Image
	case r.ID == d.ActorName, r.ID == d.ActorID:
		return true
	case r.Container != "":
		return r.Container == d.Container.ID
	// The id of a volume is its name, which nobody shortens.
	case d.Type != "volume" && strings.HasPrefix(d.ActorID, r.ID):
		return true
	case d.Type == "plugin":
		return d.ActorName == r.ID+":latest"
	case d.Type != "image":
		return false
	}
	// An image with and without its tag. Where the event has an id only,
	// nothing tells whether the request's name is that of another image.
	return strings.HasPrefix(d.ActorName, "sha256:") || strings.HasPrefix(d.ActorName, r.ID+":") || strings.HasPrefix(r.ID, d.ActorName+":")
}
