// SPDX-License-Identifier: Apache-2.0

package dockerevents

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/sync/singleflight"

	"github.com/containerapi/containerapi/plugin/command"
	"github.com/containerapi/containerapi/plugin/docker"
	"github.com/containerapi/containerapi/plugin/event"
)

const (
	// maxContainers and maxRefs are how many containers, and how many of the
	// references by which clients name them, are remembered.
	maxContainers, maxRefs = 4096, 4096
	// maxRef is how long a reference may be, in bytes, to be looked up: a client
	// can send a mebibyte.
	maxRef = 256
	// refLife is how long a reference is believed to be this container's: a name
	// can be given to another one, and the event of that may come late.
	refLife = 2 * time.Second
	// inspectLimit is how long the engine may take to answer. Requests and
	// events wait for it, in their order.
	inspectLimit = 500 * time.Millisecond
	// inspectPause is for how many times as long as a failed attempt took the
	// engine is not asked again: one that is in trouble costs a twentieth of
	// the time, however it fails. At first that is only for the container that it
	// did not answer about, which it may be busy with, and for all containers after
	// inTrouble attempts without an answer between them.
	inspectPause = 20
	inTrouble    = 3
)

// Inspections is what the engine says of its containers. Each is asked for
// once, and remembered until an event says that it changed. It is safe for use
// by several goroutines.
type Inspections struct {
	engine *engine
	seed   maphash.Seed
	// asking makes one request of those for the same container that come
	// together.
	asking singleflight.Group

	// mu is never held while the engine is asked.
	mu sync.Mutex
	// containers holds them by their id, refs finds the id. They are apart
	// because clients can make up any number of references, which must not
	// displace a container.
	containers *simplelru.LRU[string, inspection]
	refs       *simplelru.LRU[string, reference]
	// images holds images by their id or name.
	images *simplelru.LRU[string, pulled]
	// ran holds containers by their id as they were when they started: what they
	// do can be heard of when they are gone.
	ran *simplelru.LRU[string, started]
	// namespace is that of Options.
	namespace func(pid int) uint32
	// forgotten counts how often something was forgotten: an answer to what was
	// asked before that may be out of date.
	forgotten uint64
	// resume is when the engine may be asked again, and resumes when about what it
	// did not answer.
	resume  time.Time
	resumes *simplelru.LRU[string, time.Time]
	// failures counts the attempts without an answer since the last one.
	failures int
	// heard holds containers by their id as events tell of them, and names their ids:
	// that is what is known when the engine does not answer in time.
	heard *simplelru.LRU[string, event.Container]
	names *simplelru.LRU[string, string]
}

// inspection is a container, the zero value one that the engine does not know.
type inspection struct {
	event.Container
	// healthCheck is a hash of the masked command that checks the container's
	// health, 0 if it has none: a hash is small, and keeps no secret that the
	// command may hold.
	healthCheck uint64
	image       string // its id
	// pid is that of its first process, 0 if it did not run at a time; started is
	// when that began.
	pid         int
	started, at time.Time
}

// started is a container as it was when it started, when that was asked for, and
// when it ended.
type started struct {
	event.Running
	at, ended time.Time
}

// pulled is an image as it was at a time.
type pulled struct {
	image
	at time.Time
}

// reference is the id of the container that a client means, "" if there is none,
// and until when that is believed.
type reference struct {
	id    string
	until time.Time
}

func newInspections(g *engine, namespace func(pid int) uint32) *Inspections {
	i := &Inspections{engine: g, seed: maphash.MakeSeed(), namespace: namespace}
	// The only error is a size below one.
	i.containers, _ = simplelru.NewLRU[string, inspection](maxContainers, nil)
	i.refs, _ = simplelru.NewLRU[string, reference](maxRefs, nil)
	i.ran, _ = simplelru.NewLRU[string, started](maxContainers, nil)
	i.images, _ = simplelru.NewLRU[string, pulled](maxContainers, nil)
	i.resumes, _ = simplelru.NewLRU[string, time.Time](maxRefs, nil)
	i.heard, _ = simplelru.NewLRU[string, event.Container](maxContainers, nil)
	i.names, _ = simplelru.NewLRU[string, string](maxContainers, nil)
	return i
}

// Inspections returns what the engine whose events these are says of its
// containers. Run keeps it up to date; while it does not run, a container can be
// found by a name that it had before.
func (e *Events) Inspections() *Inspections { return e.inspections }

// Cached returns the container that is called by its id, the beginning of it,
// or its name, if that is known already. It does not wait for the engine.
func (i *Inspections) Cached(ref string) event.Container {
	i.mu.Lock()
	defer i.mu.Unlock()
	found, known := i.lookup(ref)
	if !known {
		return i.told(ref)
	}
	return found.Container
}

// Find returns the container that is called by its id, the beginning of it, or
// its name. If the engine does not say so within half a second, it is what events
// told of it, or empty.
func (i *Inspections) Find(ctx context.Context, ref string) event.Container {
	if found := i.find(ctx, ref); found.ID != "" {
		return found.Container
	}
	return i.Cached(ref)
}

// hear remembers what an event tells of a container.
func (i *Inspections) hear(d *event.Docker) {
	c := d.Container
	if d.Type != "container" || c.ID == "" {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if d.Action == "destroy" {
		// What it did may be told of after that, but its name is free.
		i.names.Remove(c.Name)
		return
	}
	before, known := i.heard.Get(c.ID)
	if known && before == c {
		return
	}
	if known && i.named(before.Name) == c.ID {
		i.names.Remove(before.Name)
	}
	c = event.Container{ID: strings.Clone(c.ID), Name: strings.Clone(c.Name), Image: strings.Clone(c.Image)}
	i.heard.Add(c.ID, c)
	i.names.Add(c.Name, c.ID)
}

// named returns the id of the container with a name, as far as events told. The
// caller holds mu.
func (i *Inspections) named(name string) string {
	id, _ := i.names.Get(name)
	return id
}

// told returns what events told of a container, by its id or name. The caller holds
// mu.
func (i *Inspections) told(ref string) event.Container {
	if found, ok := i.heard.Get(ref); ok {
		return found
	}
	found, _ := i.heard.Get(i.named(strings.TrimPrefix(ref, "/")))
	return found
}

// Running returns the container with this id, as it was at most two seconds ago,
// or when it started if it has ended; the zero value if the engine knows none, and
// whether the engine said so.
func (i *Inspections) Running(ctx context.Context, id string) (found event.Running, answered bool) {
	i.mu.Lock()
	// An engine that starts or removes the container answers when that is done.
	if ran, ok := i.ran.Get(id); ok && time.Since(ran.at) < refLife {
		defer i.mu.Unlock()
		ran.Ended = !ran.ended.IsZero()
		return ran.Running, true
	}
	if known, ok := i.containers.Peek(id); ok && time.Since(known.at) > refLife {
		i.containers.Remove(id)
		i.refs.Remove(id)
	}
	i.mu.Unlock()
	c := i.find(ctx, id)
	if c.ID == id && c.pid != 0 {
		found = event.Running{Container: c.Container, Image: i.Image(ctx, c.image, c.Image), PID: c.pid, Since: c.started}
		if i.namespace != nil {
			found.MountNamespace = i.namespace(c.pid)
		}
		return found, true
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if ran, ok := i.ran.Get(id); ok && (ran.ended.IsZero() || time.Since(ran.ended) < refLife) {
		ran.Ended = true
		return ran.Running, true
	}
	_, answered = i.lookup(id)
	return event.Running{Container: c.Container, Since: c.started}, answered
}

// start remembers a container that an event says was started.
func (i *Inspections) start(ctx context.Context, d *event.Docker) {
	if d.Type != "container" || d.Action != "start" || i.namespace == nil {
		return
	}
	i.mu.Lock()
	i.ran.Remove(d.ActorID)
	i.mu.Unlock()
	if found, _ := i.Running(ctx, d.ActorID); !found.Ended && found.MountNamespace != 0 {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.ran.Add(found.ID, started{Running: found, at: time.Now()})
	}
}

// Image returns what the image is that the engine has under an id or a name, and
// whether it is from the repository of the name that it is called by.
func (i *Inspections) Image(ctx context.Context, ref, name string) event.Image {
	found := i.findImage(ctx, ref)
	digest, verified := found.digests[docker.Repository(name)]
	return event.Image{ID: found.id, Digest: digest, Verified: verified}
}

// identify writes into an event of what was made what its image is.
func (i *Inspections) identify(ctx context.Context, d *event.Docker) {
	r := &d.Request
	if r.CreateImage == "" {
		return
	}
	ref := r.CreateImage
	if d.Type == "container" {
		ref = cmp.Or(i.find(ctx, d.ActorID).image, ref)
	}
	found := i.Image(ctx, ref, r.CreateImage)
	r.CreateImageID, r.CreateImageVerified = found.ID, found.Verified
}

func (i *Inspections) findImage(ctx context.Context, ref string) image {
	i.mu.Lock()
	known, ok := i.images.Get(ref)
	asks := !(ok && time.Since(known.at) < refLife) && i.mayAsk(ref)
	i.mu.Unlock()
	if !asks {
		return known.image
	}
	begin := time.Now()
	limited, cancel := context.WithTimeout(ctx, inspectLimit)
	defer cancel()
	found, err := i.engine.image(limited, ref)
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.troubled(ctx, ref, err, begin) {
		return image{}
	}
	i.images.Add(strings.Clone(ref), pulled{found, begin})
	return found
}

// troubled reports whether an attempt to ask about a container or an image, which
// began at a time, failed otherwise than by an answer, and notes when the engine may be asked again. The caller holds
// mu.
func (i *Inspections) troubled(ctx context.Context, ref string, err error, begin time.Time) bool {
	// A status is what the engine thinks of the ref; all else is trouble.
	var status *statusError
	if err == nil || errors.As(err, &status) {
		i.failures = 0
		i.resumes.Remove(ref)
		return false
	}
	if ctx.Err() == nil {
		now := time.Now()
		resume := now.Add(inspectPause * now.Sub(begin))
		i.resumes.Add(strings.Clone(ref), resume)
		if i.failures++; i.failures >= inTrouble {
			i.resume = resume
		}
	}
	return true
}

// isHealthCheck reports whether a masked command is the one that checks the
// health of the container with this id.
func (i *Inspections) isHealthCheck(ctx context.Context, id, command string) bool {
	check := i.find(ctx, id).healthCheck
	return check != 0 && check == i.hash(command)
}

// waits reports whether the engine has to be asked about a container.
func (i *Inspections) waits(ref string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	_, known := i.lookup(ref)
	return !known && i.mayAsk(ref)
}

// lookup returns what is known of a container. The caller holds mu.
func (i *Inspections) lookup(ref string) (found inspection, known bool) {
	if found, known = i.containers.Get(ref); known {
		return found, true
	}
	to, known := i.refs.Get(ref)
	if !known || !time.Now().Before(to.until) {
		return inspection{}, false
	}
	if to.id == "" {
		return inspection{}, true
	}
	return i.containers.Get(to.id)
}

// mayAsk reports whether the engine can be asked now. The caller holds mu.
func (i *Inspections) mayAsk(ref string) bool {
	if len(ref) > maxRef || time.Now().Before(i.resume) {
		return false
	}
	resume, _ := i.resumes.Peek(ref)
	return !time.Now().Before(resume)
}

func (i *Inspections) find(ctx context.Context, ref string) inspection {
	i.mu.Lock()
	found, known := i.lookup(ref)
	asks := !known && i.mayAsk(ref)
	i.mu.Unlock()
	if !asks {
		return found
	}
	ref = strings.Clone(ref) // it can be part of what is long
	// The context is that of who came first. If it ends, the inputs end.
	answer, _, _ := i.asking.Do(ref, func() (any, error) { return i.ask(ctx, ref), nil })
	return answer.(inspection)
}

// ask asks the engine about a container and remembers what it says.
func (i *Inspections) ask(ctx context.Context, ref string) inspection {
	i.mu.Lock()
	found, known := i.lookup(ref) // by who asked until now
	forgotten := i.forgotten
	i.mu.Unlock()
	if known {
		return found
	}
	begin := time.Now()
	limited, cancel := context.WithTimeout(ctx, inspectLimit)
	defer cancel()
	answer, err := i.engine.inspect(limited, ref)

	i.mu.Lock()
	defer i.mu.Unlock()
	if i.troubled(ctx, ref, err, begin) {
		return inspection{}
	}
	found = inspection{Container: answer.Container, image: answer.image, pid: answer.pid, started: answer.started, at: begin}
	if answer.healthCheck != "" {
		found.healthCheck = i.hash(command.Mask(answer.healthCheck))
	}
	if i.forgotten == forgotten {
		i.refs.Add(ref, reference{found.ID, time.Now().Add(refLife)})
		if found.ID != "" {
			i.containers.Add(found.ID, found)
		}
	}
	return found
}

// hash returns a hash of a command that is never 0.
func (i *Inspections) hash(command string) uint64 {
	return max(1, maphash.String(i.seed, command))
}

// forget forgets a container whose event says that it changed, and what is
// known of the name that it has now.
func (i *Inspections) forget(d *event.Docker) {
	if d.Type != "container" {
		return
	}
	switch d.Action {
	case "create", "destroy", "rename":
	case "start", "die":
		i.outdate(d.ActorID)
		return
	default:
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.forgotten++
	i.containers.Remove(d.ActorID)
	for _, ref := range []string{d.ActorID, d.ActorName} {
		i.refs.Remove(ref)
		// Who asks from now on does not get the answer to an older request.
		i.asking.Forget(ref)
	}
}

// outdate says that what is known of a container's processes is so no more.
func (i *Inspections) outdate(id string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.forgotten++
	if ran, ok := i.ran.Peek(id); ok && ran.ended.IsZero() {
		ran.ended = time.Now() // of this life: another begins with a new entry
		i.ran.Add(id, ran)
	}
	if known, ok := i.containers.Peek(id); ok {
		known.at = time.Time{}
		i.containers.Add(id, known)
	}
}
