// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"bytes"
	"container/list"
	"context"
	"hash/maphash"
	"sync"
	"time"

	"github.com/containerapi/containerapi/plugin/event"
)

const (
	// patience is for how long a request that was announced may have no outcome. Who
	// does not read the answer holds back the event that tells of it, for as long as
	// the connection lasts.
	patience = 30 * time.Second
	// maxAnnounced is how many requests may wait for their outcome at once, and of
	// how many it is remembered that they were reported without one. Of more, the
	// oldest is reported early.
	maxAnnounced = 8192
	// maxKept is how many bytes are kept of an announcement before it is shortened,
	// and maxKeptAll of all of them.
	maxKept, maxKeptAll = 4 << 10, 16 << 20
	// maxOverdue is how many requests wait to be reported without an outcome before
	// who brings more of them has to report them first.
	maxOverdue = 1024
)

// announced are the requests to a Kubernetes API server whose announcement came, the
// stage RequestReceived, and no outcome yet. It is safe for use by several
// goroutines.
type announced struct {
	mu      sync.Mutex
	seed    maphash.Seed
	waiting map[uint64]*list.Element
	order   *list.List // of *announcement, the oldest first
	bytes   int        // that are kept of them
	overdue []*announcement

	// told are requests that were reported without an outcome, and answered those
	// whose outcome came before an announcement: API servers deliver batches side by
	// side, and the later one can be first.
	told, answered generations
}

// generations is a set that forgets its oldest members: one of maxAnnounced is kept
// until as many came after it.
type generations struct{ young, old map[uint64]bool }

func (g *generations) add(id uint64) {
	if len(g.young) >= maxAnnounced {
		g.young, g.old = nil, g.young
	}
	if g.young == nil {
		g.young = make(map[uint64]bool)
	}
	g.young[id] = true
}

func (g *generations) has(id uint64) bool { return g.young[id] || g.old[id] }

type announcement struct {
	id   uint64
	sink *sink
	at   time.Time
	json []byte
}

func newAnnounced() *announced {
	return &announced{seed: maphash.MakeSeed(), waiting: make(map[uint64]*list.Element), order: list.New()}
}

// note takes an event's announcement, or the outcome of one that was announced. If
// that request was reported without its outcome, the event is marked as repeated.
func (a *announced) note(e *event.Event, s *sink, now time.Time) {
	// An answer may turn out to hold nothing, but it is one.
	if e.Input != event.KubernetesAudit || e.Replayed || e.Credential == "" && !e.Kubernetes.StatusOnly() && !e.Kubernetes.Missing() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	id := a.id(&e.Kubernetes)
	if e.Outcome == event.Pending {
		a.add(&announcement{id: id, sink: s, at: now, json: kept(e)})
		return
	}
	if element := a.waiting[id]; element != nil {
		a.forget(element)
	} else {
		a.answered.add(id)
	}
	if e.Outcome != event.Unanswered {
		e.Repeated = e.Repeated || a.told.has(id)
	}
}

func (a *announced) add(n *announcement) {
	if a.waiting[n.id] != nil || a.told.has(n.id) || a.answered.has(n.id) {
		return
	}
	a.waiting[n.id] = a.order.PushBack(n)
	a.bytes += len(n.json)
	for a.order.Len() > maxAnnounced || a.bytes > maxKeptAll {
		a.expire(a.order.Front())
	}
}

func (a *announced) forget(element *list.Element) *announcement {
	n := a.order.Remove(element).(*announcement)
	delete(a.waiting, n.id)
	a.bytes -= len(n.json)
	return n
}

func (a *announced) expire(element *list.Element) {
	n := a.forget(element)
	a.overdue = append(a.overdue, n)
	a.told.add(n.id)
}

// due returns the requests that are to be reported without an outcome.
func (a *announced) due(now time.Time) []*announcement {
	a.mu.Lock()
	defer a.mu.Unlock()
	for first := a.order.Front(); first != nil && now.Sub(first.Value.(*announcement).at) >= patience; first = a.order.Front() {
		a.expire(first)
	}
	due := a.overdue
	a.overdue = nil
	return due
}

// crowd returns the requests that are to be reported at once, because too many are.
func (a *announced) crowd() []*announcement {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.overdue) < maxOverdue {
		return nil
	}
	crowd := a.overdue
	a.overdue = nil
	return crowd
}

// id identifies a request. The audit id alone will not do, as a client may choose it.
func (a *announced) id(k *event.Kubernetes) uint64 {
	var hash maphash.Hash
	hash.SetSeed(a.seed)
	for _, part := range []string{k.AuditID, k.Received, k.Verb, k.RequestURI, k.User.Name, k.Peer()} {
		hash.WriteString(part)
		hash.WriteByte(0xff) // stands in no UTF-8 text
	}
	return hash.Sum64()
}

// kept is an announcement as it is kept, cut if it is long.
func kept(e *event.Event) []byte {
	b := e.AppendJSON(nil)
	if len(b) > maxKept {
		cut := *e
		cut.Kubernetes.User.Groups = append([]string(nil), e.Kubernetes.User.Groups...)
		cut.Kubernetes.Impersonated.Groups = append([]string(nil), e.Kubernetes.Impersonated.Groups...)
		cut.Kubernetes.SourceIPs = append([]string(nil), e.Kubernetes.SourceIPs...)
		cut.Shorten()
		b = cut.AppendJSON(nil)
	}
	return bytes.Clone(b)
}

// report reports requests without an outcome, until ctx ends.
func (a *announced) report(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var decoder event.Decoder
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for _, n := range a.due(now) {
				b := n.sink.Batch()
				n.unanswered(&decoder, b.Add)
				if b.Commit(ctx) != nil {
					return
				}
			}
		}
	}
}

// unanswered calls add with the event of a request that was not answered.
func (n *announcement) unanswered(decoder *event.Decoder, add func(*event.Event)) {
	// It is of our own making, and so there is no error.
	_ = decoder.Decode(n.json, func(e *event.Event, err error) {
		// Nor is it a recording: it counts for what is remembered.
		e.Replayed = false
		e.Outcome = event.Unanswered
		add(e)
	})
}

// recorded reports what an event of a recording shows to be overdue: there the time
// is that of the events.
func (a *announced) recorded(e *event.Event, decoder *event.Decoder, add func(*event.Event)) time.Time {
	now, err := time.Parse(time.RFC3339Nano, e.Kubernetes.Staged)
	if err != nil {
		now = time.Unix(0, e.Time)
	}
	for _, n := range a.due(now) {
		n.unanswered(decoder, add)
	}
	return now
}
