// SPDX-License-Identifier: Apache-2.0

// Package history remembers what identities did, so that an event can say
// whether it is the first of its kind, one of many, or the same act reported
// again. What it remembers is bounded: the least recently used is forgotten.
package history

import (
	"cmp"
	"crypto/rand"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/kubernetes"
	"github.com/containerapi/containerapi/plugin/operation"
	"github.com/containerapi/containerapi/plugin/state"
)

// How much is remembered.
const (
	maxBursts      = 8192
	maxCredentials = 8192
	maxReported    = 65536
	maxActs        = 64
	maxSources     = 16
)

// For how long an act and the use of a credential count, in nanoseconds of
// event time.
const (
	actWindow    = 60e9
	sourceWindow = 3600e9
)

// History is what is remembered. It is safe for use by several goroutines.
type History struct {
	mu sync.Mutex
	// seed is that of the hashes that are not kept.
	seed  maphash.Seed
	start int64 // time of the first act
	// learnFor is how many seconds an identity is learned.
	learnFor int64

	// store keeps profiles, nil if nothing does; isShared reports that other plugins
	// use it, too.
	store    state.Store
	isShared bool
	// key is that of the hashes that are kept.
	key    [16]byte
	buffer []byte
	// profiles are those in memory, facts how many facts they have. dirty are those
	// that are to be saved, saving those of them for which memory has no room.
	profiles map[state.Class]*profiles
	facts    int
	dirty    []*profile
	saving   map[state.ID]*profile

	credentials *simplelru.LRU[uint64, *credential]
	// Each of these is apart from the others, so that who can send events of one kind
	// in any number has nothing else forgotten: what came without a credential, what
	// was denied to someone with one, what was done as someone else, all the rest.
	strangers, denied, impersonated, others memory
}

// memory is what is remembered of one kind of events.
type memory struct {
	actors   *simplelru.LRU[uint64, *actor]
	bursts   *simplelru.LRU[uint64, *burst]
	reported *simplelru.LRU[uint64, struct{}]
}

func newMemory(actors, bursts, reported int) (m memory) {
	// The only error is a size that is not positive.
	m.actors, _ = simplelru.NewLRU[uint64, *actor](actors, nil)
	m.bursts, _ = simplelru.NewLRU[uint64, *burst](bursts, nil)
	m.reported, _ = simplelru.NewLRU[uint64, struct{}](reported, nil)
	return m
}

// actor is one identity that tried one operation in one namespace.
type actor struct {
	// told is when that was told of, in nanoseconds.
	told int64
}

// burst is what one identity did of one operation, in any namespace, within
// the window: what was denied apart from all else.
type burst struct {
	acts []act // oldest first, at most maxActs
}

type act struct {
	time   int64
	object uint64
	// process did it, 0 if that is not known.
	process uint64
	// again reports that a later act named the same object.
	again bool
}

// credential is what a token or certificate was used from.
type credential struct {
	uses [maxSources]use
}

type use struct {
	time int64 // 0: none
	peer uint64
}

// isStranger reports that a request to Kubernetes came without a valid credential.
func isStranger(k *event.Kubernetes) bool {
	return k.User.Name == "" || k.User.Name == "system:anonymous"
}

// memory returns where an event is remembered.
func (h *History) memory(e *event.Event) *memory {
	switch k := &e.Kubernetes; {
	case e.Input != event.KubernetesAudit:
		return &h.others
	case isStranger(k):
		return &h.strangers
	case e.Outcome == event.Denied:
		return &h.denied
	case k.Impersonated.Name != "":
		return &h.impersonated
	}
	return &h.others
}

// Options are what a History is made with. The zero value keeps nothing.
type Options struct {
	// Store keeps profiles over restarts, nil: they are forgotten.
	Store state.Store
	// LearnFor is for how long an identity is learned.
	LearnFor time.Duration
}

// New returns a history of what the store knows. Save and Close keep it.
func New(o Options) *History {
	h := &History{
		store:        o.Store,
		isShared:     o.Store != nil && state.Shared(o.Store),
		learnFor:     int64(o.LearnFor / time.Second),
		profiles:     map[state.Class]*profiles{},
		saving:       map[state.ID]*profile{},
		seed:         maphash.MakeSeed(),
		strangers:    newMemory(maxBursts, maxBursts, maxBursts),
		denied:       newMemory(maxBursts, maxBursts, maxBursts),
		impersonated: newMemory(maxBursts, maxBursts, maxBursts),
		others:       newMemory(maxBursts, maxBursts, maxReported),
	}
	h.credentials, _ = simplelru.NewLRU[uint64, *credential](maxCredentials, nil)
	for _, class := range []state.Class{state.Kubernetes, state.Impersonated, state.Docker, state.Bearer} {
		lru, _ := simplelru.NewLRU(maxProfiles, h.evicted)
		h.profiles[class] = &profiles{lru: lru}
	}
	// crypto/rand never fails.
	_, _ = rand.Read(h.key[:])
	if o.Store != nil {
		h.key = o.Store.Seed()
	}
	return h
}

// Observe sets the event's Repeated and Seen by what is remembered, and
// remembers the event. The event's meaning must be known. An event that is not
// answered yet is no act, and not remembered.
func (h *History) Observe(e *event.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stage(e)
	// A Docker event names no one who did it.
	if (e.Input == event.KubernetesAudit || e.Input == event.DockerAPI) && e.Outcome != event.Pending &&
		!e.Replayed && !e.Repeated && e.Time != 0 {
		h.see(e)
	}
}

// stage sets Repeated.
func (h *History) stage(e *event.Event) {
	if e.Input != event.KubernetesAudit || e.Replayed || e.Outcome == event.Pending {
		return
	}
	e.Repeated = h.repeated(e) || e.Repeated
}

// repeated reports whether an earlier event reported the same act, and
// remembers this one.
func (h *History) repeated(e *event.Event) bool {
	k := &e.Kubernetes
	if !kubernetes.LongRunning(k) {
		return false
	}
	// The audit id alone will not do: a client may send its own, and hide one
	// request behind another.
	id := h.hash(k.AuditID, k.Received, k.Verb, k.RequestURI, k.User.Name, k.Peer())
	reported := h.memory(e).reported
	if reported.Contains(id) {
		return true
	}
	reported.Add(id, struct{}{})
	return false
}

func (h *History) see(e *event.Event) {
	if h.start == 0 {
		h.start = e.Time
	}
	k := &e.Kubernetes
	named := operation.Named(e.Operation)
	if named {
		e.Seen = event.History{Known: true, Age: uint64(max(0, e.Time-h.start) / 1e9)}
	}
	// What was tried in vain does not make what is done later less new.
	// Nor does a look at what is not there.
	missing := e.Input == event.KubernetesAudit && k.Missing()
	done := (e.Outcome == event.Allowed || e.Outcome == event.Unanswered) && !missing
	switch {
	case e.Input == event.DockerAPI && named:
		s := h.dockerSubject(e, done)
		h.act(e, &s, h.compare(e, &s))
	case e.Input == event.KubernetesAudit && isStranger(k):
		if named {
			h.act(e, &subject{done: done}, nil)
		}
	case e.Input == event.KubernetesAudit:
		s := h.kubernetesSubject(e, done)
		p := h.compare(e, &s)
		if named {
			h.act(e, &s, p)
			e.Seen.Deployed = h.deployed(e, &s, p)
		}
	}
	// A credential that is stolen may have been used for anything before.
	if k.CredentialID == "" {
		return
	}
	id := h.hash(k.CredentialID)
	c, ok := h.credentials.Get(id)
	if !ok {
		c = new(credential)
		h.credentials.Add(id, c)
	}
	e.Seen.Sources = c.add(e.Time, h.hash(k.Peer()))
}

// looksFirst are the acts before which docker inspects the container by itself.
// Each has a rule of its own, so that nobody hides a look by one of them.
var looksFirst = []string{
	operation.ContainerAttach, operation.ContainerExec, "container.archive_read", "container.commit", "container.export", "container.logs",
}

// act counts an act with those before. The profile is nil for who has none.
func (h *History) act(e *event.Event, s *subject, p *profile) {
	k, d := &e.Kubernetes, &e.Docker
	outcome := ""
	switch {
	case e.Outcome == event.Denied:
		outcome = string(e.Outcome)
	case e.Input == event.KubernetesAudit && k.Missing():
		outcome = "missing"
	}
	var object, process, actorKey, burstKey uint64
	who := string(s.id[:])
	if e.Input == event.DockerAPI {
		// Not the process: each of many commands is another.
		burstKey = h.hash(who, e.Operation, outcome)
		actorKey = h.hash(who, e.Operation)
		object = h.hash(cmp.Or(d.Container.ID, d.Container.Name, d.Request.Path))
		process = d.Client.PID
	} else {
		if isStranger(k) {
			who = k.Peer() // all that tells one from another
		}
		object = h.hash(k.Namespace, k.Name)
		if k.ImpersonationDenied {
			// Anybody can ask to act as anybody: that is what is tried, not who tries.
			object = h.hash(k.Namespace, k.Name, k.Impersonated.Name)
		}
		burstKey = h.hash(who, e.Operation, outcome)
		actorKey = h.hash(who, e.Operation, k.Namespace, s.command)
	}
	m := h.memory(e)
	if s.done && process != 0 && slices.Contains(looksFirst, e.Operation) {
		if looks, ok := m.bursts.Peek(h.hash(who, operation.ContainerInspect, "")); ok {
			looks.take(object, process)
		}
	}
	if p == nil || !s.done {
		h.try(e, m, p, s, actorKey)
	} else {
		e.Seen.First = e.Seen.New&(event.NewScope|event.NewIdentity) != 0
	}
	b, ok := m.bursts.Get(burstKey)
	if !ok {
		b = new(burst)
		m.bursts.Add(burstKey, b)
	}
	e.Seen.Count, e.Seen.Objects, e.Seen.Repeats = b.add(act{time: e.Time, object: object, process: process})
}

// try says whether what no profile has, because it was done in vain or by no one in
// particular, is the first of its kind.
func (h *History) try(e *event.Event, m *memory, p *profile, s *subject, actorKey uint64) {
	tried := h.tried(actorKey) || p != nil && p.has(h.fact(scopeFact, s.operation, s.namespace, s.command))
	known, ok := m.actors.Get(actorKey)
	if !ok {
		known = new(actor)
		m.actors.Add(actorKey, known)
	}
	e.Seen.First = !tried
	e.Seen.Due = !ok || e.Time >= known.told+day*1e9
	if e.Seen.Due {
		known.told = e.Time
	}
}

// tried reports that an act of this key was tried, whatever came of it.
func (h *History) tried(actorKey uint64) bool {
	for _, m := range []*memory{&h.others, &h.denied, &h.impersonated, &h.strangers} {
		if m.actors.Contains(actorKey) {
			return true
		}
	}
	return false
}

// deployed reports whether who made a request for releases of Helm in a namespace
// wrote one there before, and remembers it if this is one that was written.
func (h *History) deployed(e *event.Event, s *subject, p *profile) bool {
	k := &e.Kubernetes
	if k.Namespace == "" || kubernetes.HelmRelease(k) == "" {
		return false
	}
	fact := h.fact(releaseFact, k.Namespace)
	before := p.has(fact)
	if s.done && (k.Verb == "create" || k.Verb == "update") {
		h.learn(p, releaseFact, fact, uint32(e.Time/1e9))
	}
	return before
}

// add remembers an act and returns how many there were within the window, of how many
// objects, and how many of them were of the same object.
func (b *burst) add(last act) (count, objects, repeats uint64) {
	now, object, old := last.time, last.object, 0
	for old < len(b.acts) && (b.acts[old].time < now-actWindow || len(b.acts)-old >= maxActs) {
		old++
	}
	b.acts = append(b.acts[:copy(b.acts, b.acts[old:])], last)
	for i := range b.acts {
		a := &b.acts[i]
		if i < len(b.acts)-1 && a.object == object {
			a.again = true
		}
		// They need not come in the order of their times.
		if a.time < now-actWindow {
			continue
		}
		count++
		if !a.again {
			objects++
		}
		if a.object == object {
			repeats++
		}
	}
	return count, objects, repeats
}

// take forgets what a process did to an object.
func (b *burst) take(object, process uint64) {
	b.acts = slices.DeleteFunc(b.acts, func(a act) bool { return a.object == object && a.process == process })
	// The last one of another process may be what stood for the object.
	for i := len(b.acts) - 1; i >= 0; i-- {
		if b.acts[i].object == object {
			b.acts[i].again = false
			break
		}
	}
}

// add remembers a use and returns from how many addresses there were within
// the window.
func (c *credential) add(now int64, peer uint64) (sources uint64) {
	oldest := &c.uses[0]
	known := false
	for i := range c.uses {
		u := &c.uses[i]
		if u.time < oldest.time {
			oldest = u
		}
		if u.time == 0 {
			continue
		}
		if u.peer == peer {
			known = true
			u.time = max(u.time, now)
		}
		if u.time >= now-sourceWindow {
			sources++
		}
	}
	if known {
		return sources
	}
	if oldest.time < now-sourceWindow {
		sources++
	}
	*oldest = use{time: now, peer: peer}
	return max(sources, 1)
}

// hash hashes strings under a seed that whoever chooses them does not know.
func (h *History) hash(parts ...string) uint64 {
	var hash maphash.Hash
	hash.SetSeed(h.seed)
	for _, p := range parts {
		hash.WriteString(p)
		hash.WriteByte(0xff) // stands in no UTF-8 text
	}
	return hash.Sum64()
}
