// SPDX-License-Identifier: Apache-2.0

// Package history remembers what identities did, so that an event can say
// whether it is the first of its kind, one of many, or the same act told
// again. What it remembers is bounded: the least recently used is forgotten.
package history

import (
	"hash/maphash"
	"strconv"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/containerapi/containerapi/plugin/event"
)

// How much is remembered.
const (
	maxDoers       = 8192
	maxCredentials = 8192
	maxTold        = 65536
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
	mu    sync.Mutex
	seed  maphash.Seed
	start int64 // time of the first act

	doers       *simplelru.LRU[uint64, *doer]
	credentials *simplelru.LRU[uint64, *credential]
	told        *simplelru.LRU[uint64, struct{}]
}

// doer is one identity that does one operation in one namespace.
type doer struct {
	// acts is a ring, next the place of the next one in it.
	acts [maxActs]act
	next int
}

type act struct {
	time   int64 // 0: none
	object uint64
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

// Mark is what Tell added to the history, to be taken back by Forget.
type Mark struct {
	doer, told uint64
	first      bool
	use        *use
}

// New returns an empty history.
func New() *History {
	h := &History{seed: maphash.MakeSeed()}
	// The only error is a size that is not positive.
	h.doers, _ = simplelru.NewLRU[uint64, *doer](maxDoers, nil)
	h.credentials, _ = simplelru.NewLRU[uint64, *credential](maxCredentials, nil)
	h.told, _ = simplelru.NewLRU[uint64, struct{}](maxTold, nil)
	return h
}

// Tell sets the event's Repeated and Seen by what is remembered, and
// remembers the event. The event's meaning must be known. An event that is not
// answered yet is no act, and not remembered.
func (h *History) Tell(e *event.Event) Mark {
	h.mu.Lock()
	defer h.mu.Unlock()
	var m Mark
	h.stage(e, &m)
	// A Docker event names no one who did it.
	if (e.Input == event.K8sAudit || e.Input == event.DockerAPI) && e.Outcome != event.Pending &&
		!e.Replayed && !e.Repeated && e.Credential != "" && e.Time != 0 {
		h.see(e, &m)
	}
	return m
}

// TellStage is Tell for an event that another plugin collected: it sets
// Repeated only.
func (h *History) TellStage(e *event.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stage(e, new(Mark))
}

// stage sets Repeated.
func (h *History) stage(e *event.Event, m *Mark) {
	if e.Input != event.K8sAudit || e.Replayed || e.Outcome == event.Pending {
		return
	}
	e.Repeated = h.repeated(&e.Kube, m)
}

// Forget takes back what an event added that was not delivered in the end, and
// will be told again.
func (h *History) Forget(m Mark) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m.told != 0 {
		h.told.Remove(m.told)
	}
	if m.use != nil {
		*m.use = use{}
	}
	switch d, ok := h.doers.Peek(m.doer); {
	case !ok:
	case m.first:
		h.doers.Remove(m.doer)
	default:
		d.next = (d.next + maxActs - 1) % maxActs
		d.acts[d.next] = act{}
	}
}

// repeated reports whether an earlier event told of the same act, and
// remembers this one.
func (h *History) repeated(k *event.Kube, m *Mark) bool {
	if !longRunning(k) {
		return false
	}
	// The audit id alone will not do: a client may send its own, and hide one
	// request behind another.
	id := h.key(k.AuditID, k.Received, k.Verb, k.RequestURI, k.User.Name, k.Peer())
	if h.told.Contains(id) {
		return true
	}
	h.told.Add(id, struct{}{})
	m.told = id
	return false
}

// longRunning reports whether a request may have several events with an
// outcome: ResponseStarted, and ResponseComplete when the stream ends. See
// BasicLongRunningRequestCheck in k8s.io/apiserver/pkg/endpoints/filters.
func longRunning(k *event.Kube) bool {
	if k.Stage == "ResponseStarted" || k.Verb == "watch" || k.Verb == "proxy" {
		return true
	}
	switch k.Subresource {
	case "attach", "exec", "log", "portforward", "proxy":
		return true
	}
	return false
}

func (h *History) see(e *event.Event, m *Mark) {
	k, d := &e.Kube, &e.Docker
	if h.start == 0 {
		h.start = e.Time
	}
	e.Seen = event.Seen{Known: true, Age: uint64(max(0, e.Time-h.start) / 1e9)}

	var object uint64
	if e.Input == event.DockerAPI {
		m.doer = h.key(d.Client.Exe, strconv.FormatInt(d.Client.UID, 10), d.Client.Container.ID, d.Client.Addr, e.Operation, d.Daemon)
		object = h.key(d.Container.ID, d.Request.Path)
	} else {
		m.doer = h.key(k.User.Name, k.Impersonated.Name, e.Operation, k.Namespace)
		object = h.key(k.Namespace, k.Name)
	}
	known, ok := h.doers.Get(m.doer)
	if !ok {
		known = new(doer)
		h.doers.Add(m.doer, known)
		m.first, e.Seen.First = true, true
	}
	e.Seen.Count, e.Seen.Objects = known.add(e.Time, object)

	if k.CredentialID == "" {
		return
	}
	id := h.key(k.CredentialID)
	c, ok := h.credentials.Get(id)
	if !ok {
		c = new(credential)
		h.credentials.Add(id, c)
	}
	e.Seen.Sources, m.use = c.add(e.Time, h.key(k.Peer()))
}

// add remembers an act and returns how many there were within the window, and
// of how many objects.
func (d *doer) add(now int64, object uint64) (count, objects uint64) {
	for i := range d.acts {
		a := &d.acts[i]
		if a.time == 0 || a.time < now-actWindow {
			continue
		}
		if a.object == object {
			a.again = true
		}
	}
	d.acts[d.next] = act{time: now, object: object}
	d.next = (d.next + 1) % maxActs
	for i := range d.acts {
		a := &d.acts[i]
		if a.time == 0 || a.time < now-actWindow {
			continue
		}
		count++
		if !a.again {
			objects++
		}
	}
	return count, objects
}

// add remembers a use and returns from how many addresses there were within
// the window, and the use if it is of a new address.
func (c *credential) add(now int64, peer uint64) (sources uint64, added *use) {
	oldest := &c.uses[0]
	var known *use
	for i := range c.uses {
		u := &c.uses[i]
		if u.time < oldest.time {
			oldest = u
		}
		if u.time == 0 {
			continue
		}
		if u.peer == peer {
			known = u
			u.time = max(u.time, now)
		}
		if u.time >= now-sourceWindow {
			sources++
		}
	}
	if known != nil {
		return sources, nil
	}
	if oldest.time < now-sourceWindow {
		sources++
	}
	*oldest = use{time: now, peer: peer}
	return max(sources, 1), oldest
}

// key hashes strings under a seed that whoever chooses them does not know.
func (h *History) key(parts ...string) uint64 {
	var hash maphash.Hash
	hash.SetSeed(h.seed)
	for _, p := range parts {
		hash.WriteString(p)
		hash.WriteByte(0xff) // stands in no UTF-8 text
	}
	return hash.Sum64()
}
