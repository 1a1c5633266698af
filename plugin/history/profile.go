// SPDX-License-Identifier: Apache-2.0

package history

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dchest/siphash"
	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/kubernetes"
	"github.com/containerapi/containerapi/plugin/operation"
	"github.com/containerapi/containerapi/plugin/state"
)

// How many profiles of a class are in memory at once, and how many facts all of them
// have. Others are in the state, if there is one.
const (
	maxProfiles = 16384
	maxFacts    = 1 << 18
)

// The kinds of facts in a profile.
const (
	operationFact  = 'o'
	scopeFact      = 's' // an operation in a namespace; its time is when it was told of
	reachFact      = 'r' // a credential, and how far
	namespaceFact  = 'n' // another namespace in which one gets at credentials
	objectFact     = 'b'
	ownFact        = 'w' // a secret of a service account's own namespace
	clientFact     = 'c'
	addressFact    = 'a' // of a bearer: the one; of others: the network
	elsewhereFact  = 'e' // an address that is not a bearer's own, and what was done from there
	credentialFact = 'k'
	releaseFact    = 'h' // a namespace in which one wrote a release of Helm
	introducedFact = 'i' // a service account did what one has to be told of
	processFact    = 'p' // a process did an operation
	toldFact       = 't' // another process did
)

// maxOf is how many facts of a kind a profile has. The least recently used is
// forgotten, and then is new again.
var maxOf = map[byte]int{
	operationFact: 256, scopeFact: 512, reachFact: 64, namespaceFact: 512, objectFact: 1024, ownFact: 1024,
	clientFact: 32, addressFact: 32, credentialFact: 32, releaseFact: 256, introducedFact: 8, elsewhereFact: 256, processFact: 64, toldFact: 128,
}

const (
	// day is after how many seconds an act is to be told of again.
	day = 24 * 3600
	// refresh is after how many seconds it is noted again that a fact is in use.
	refresh = 3600
	// busy is from how many acts on an identity is known enough to be surprised at what
	// nobody would learn, and fewWorkloads, fewNamespaces up to how many of these it
	// has few.
	busy          = 10
	fewWorkloads  = 2
	fewNamespaces = 2
	// fewProcesses is how many processes of a program of Docker's are told of on its
	// first day, for each operation.
	fewProcesses = 4
	// fewClients and fewNetworks are up to how many of these another one says something:
	// a pipeline on machines of the cloud comes from somewhere else each time.
	fewClients  = 16
	fewNetworks = 8
	// manyBearers is from how many on who has an address as the first it is that of a gate.
	manyBearers = 3
	// stale is for how long what another plugin wrote into a shared state may be
	// unknown.
	stale = 2 * time.Second
)

// profile is what is remembered of an identity, in memory.
type profile struct {
	state.Profile // its Facts in the order of their hashes
	class         state.Class
	id            state.ID
	// changed and dropped are the facts that are not in the state yet.
	changed, dropped []state.Fact
	dirty            bool
	loaded           time.Time
}

// profiles are those of one class.
type profiles struct {
	lru   *simplelru.LRU[state.ID, *profile]
	facts int // how many they have
}

// identity returns the identity that some strings name, under a key that whoever
// chooses them does not know.
func (h *History) identity(class state.Class, parts ...string) state.ID {
	var id state.ID
	k0, k1, b := h.keyed(byte(class), parts)
	low, high := siphash.Hash128(k0, k1, b)
	binary.LittleEndian.PutUint64(id[:], low)
	binary.LittleEndian.PutUint64(id[8:], high)
	return id
}

// keyed returns the key in its halves, and what is to be hashed under it.
func (h *History) keyed(kind byte, parts []string) (k0, k1 uint64, b []byte) {
	b = append(h.buffer[:0], kind)
	for _, p := range parts {
		b = append(append(b, p...), 0xff) // stands in no UTF-8 text
	}
	h.buffer = b
	return binary.LittleEndian.Uint64(h.key[:]), binary.LittleEndian.Uint64(h.key[8:]), b
}

// fact returns the hash of a fact.
func (h *History) fact(kind byte, parts ...string) uint64 {
	return siphash.Hash(h.keyed(kind, parts))
}

// profile returns what is remembered of an identity, an empty one if that is nothing.
func (h *History) profile(class state.Class, id state.ID) *profile {
	of := h.profiles[class]
	if p, ok := of.lru.Get(id); ok {
		return p
	}
	p, unsaved := h.saving[id]
	if !unsaved {
		p = &profile{class: class, id: id}
		p.load(h.store)
	}
	of.lru.Add(id, p)
	h.add(p, len(p.Facts))
	for h.facts > maxFacts {
		h.shrink()
	}
	return p
}

// shrink forgets the least recently used profile of the class with the most facts.
func (h *History) shrink() {
	var most *profiles
	for _, of := range h.profiles {
		if most == nil || of.facts > most.facts {
			most = of
		}
	}
	most.lru.RemoveOldest()
}

// add counts facts of a profile.
func (h *History) add(p *profile, n int) {
	h.facts += n
	h.profiles[p.class].facts += n
}

// evicted is told of a profile that memory has no room for.
func (h *History) evicted(id state.ID, p *profile) {
	h.add(p, -len(p.Facts))
	if p.dirty && len(h.saving) < maxProfiles {
		h.saving[id] = p
	}
}

// load adds what the state knows of an identity.
func (p *profile) load(s state.Store) {
	p.loaded = time.Now()
	if s == nil {
		return
	}
	// What the state cannot tell is learned again; it says itself why.
	kept, ok, err := s.Load(p.class, p.id)
	if err != nil || !ok {
		return
	}
	if p.First == 0 || kept.First < p.First {
		p.First = kept.First
	}
	p.Last, p.Acts, p.Days = max(p.Last, kept.Last), max(p.Acts, kept.Acts), max(p.Days, kept.Days)
	for _, f := range kept.Facts {
		if i, known := p.find(f.Hash); !known {
			p.Facts = slices.Insert(p.Facts, i, f)
		} else if p.Facts[i].Time < f.Time {
			p.Facts[i].Time = f.Time
		}
	}
}

func (p *profile) find(hash uint64) (int, bool) {
	return slices.BinarySearchFunc(p.Facts, hash, func(f state.Fact, hash uint64) int { return cmp.Compare(f.Hash, hash) })
}

// count returns how many facts of a kind there are.
func (p *profile) count(kind byte) (n int) {
	for i := range p.Facts {
		if p.Facts[i].Kind == kind {
			n++
		}
	}
	return n
}

// has reports whether a fact is known.
func (p *profile) has(hash uint64) bool {
	_, known := p.find(hash)
	return known
}

// learn adds a fact and reports whether it was new. The time of one that is known is that
// of its last use, more or less, but for a scope.
func (h *History) learn(p *profile, kind byte, hash uint64, now uint32) (isNew bool) {
	i, known := p.find(hash)
	if !known && h.isShared && time.Since(p.loaded) > stale {
		// Another plugin may have seen it.
		before := len(p.Facts)
		p.load(h.store)
		h.add(p, len(p.Facts)-before)
		i, known = p.find(hash)
	}
	if known {
		if f := &p.Facts[i]; kind != scopeFact && now > f.Time+refresh {
			f.Time = now
			h.changed(p, *f)
		}
		return false
	}
	f := state.Fact{Kind: kind, Hash: hash, Time: now}
	p.Facts = slices.Insert(p.Facts, i, f)
	h.add(p, 1)
	h.changed(p, f)
	if p.count(kind) > maxOf[kind] {
		h.drop(p, kind)
	}
	return true
}

// drop forgets the least recently used fact of a kind.
func (h *History) drop(p *profile, kind byte) {
	oldest := -1
	for i, f := range p.Facts {
		if f.Kind == kind && (oldest < 0 || f.Time < p.Facts[oldest].Time) {
			oldest = i
		}
	}
	if h.store != nil {
		p.dropped = append(p.dropped, p.Facts[oldest])
	}
	p.Facts = slices.Delete(p.Facts, oldest, oldest+1)
	h.add(p, -1)
}

// due reports whether a scope that is known was told of a day ago, and notes that it is
// told of now.
func (h *History) due(p *profile, hash uint64, now uint32) bool {
	i, known := p.find(hash)
	if !known || now < p.Facts[i].Time+day {
		return false
	}
	p.Facts[i].Time = now
	h.changed(p, p.Facts[i])
	return true
}

// changed notes that a fact is to be saved.
func (h *History) changed(p *profile, f state.Fact) {
	if h.store == nil {
		return
	}
	p.changed = append(p.changed, f)
	h.touch(p)
}

// touch notes that a profile is to be saved.
func (h *History) touch(p *profile) {
	// A store that fails for long costs what does not fit.
	if h.store != nil && !p.dirty && len(h.dirty) < 2*maxProfiles {
		p.dirty = true
		h.dirty = append(h.dirty, p)
	}
}

// compare says what of an act is new for its identity, and what of that does not fit,
// and remembers the act. It returns the profile.
func (h *History) compare(e *event.Event, s *subject) *profile {
	now := uint32(max(1, e.Time/1e9))
	p := h.profile(s.class, s.id)
	isNew := p.First == 0
	since := now
	if !isNew {
		since = min(p.First, now)
	}
	// By its last act, too: clocks can be set back.
	known := !isNew && (int64(now-since) >= h.learnFor || int64(p.Last)-int64(p.First) >= h.learnFor)
	some := p.Acts >= busy

	var news, odd event.News
	named := operation.Named(e.Operation)
	scope := h.fact(scopeFact, s.operation, s.namespace, s.command)
	if s.done && named {
		if h.learn(p, operationFact, h.fact(operationFact, s.operation), now) {
			news |= event.NewOperation
		}
		if h.learn(p, scopeFact, scope, now) {
			news |= event.NewScope
			e.Seen.Due = true
			if s.process != 0 {
				h.anotherProcess(p, s, now, true, 0) // the first
			}
		} else {
			e.Seen.Due = h.due(p, scope, now)
		}
		// Whatever else it does, its own secrets are remembered.
		kind := byte(objectFact)
		if s.isOwnSecret() {
			kind = ownFact
		}
		if s.object != "" && h.learn(p, kind, h.fact(kind, s.resource, s.namespace, s.object), now) {
			news |= event.NewObject
		}
		farther := s.credential != "" && h.reaches(p, s, now)
		if known && s.credential != "" && s.software {
			switch {
			case news&event.NewOperation != 0:
				odd = event.NewOperation
			case farther:
				odd = event.NewScope
			// Who reads more than are remembered reads what seems new all the time.
			case news&event.NewObject != 0 && s.isOwnSecret() && p.count(ownFact) < maxOf[ownFact] && !h.lists(p, s):
				odd = event.NewObject
			}
		}
		h.introduce(e, p, s, now)
		if s.process != 0 && !e.Seen.Due {
			e.Seen.Due = h.anotherProcess(p, s, now, known, news)
		}
	}
	if s.class != state.Docker {
		n, o := h.source(p, s, now, known, some)
		news, odd = news|n, odd|o
	}
	if isNew {
		news, odd = event.NewIdentity, 0
	}
	e.Seen.New, e.Seen.Deviations = news, odd
	e.Seen.KnownFor = uint64(now - since)
	h.count(p, now)
	e.Seen.Days = uint64(p.Days)
	return p
}

// count notes an act.
func (h *History) count(p *profile, now uint32) {
	if p.First == 0 || now/day != p.Last/day && now > p.Last {
		p.Days++
		h.touch(p)
	}
	switch {
	case p.First == 0:
		p.First = now
	case now < p.First && int64(p.Last-p.First) < h.learnFor:
		// It was seen first while a clock was wrong: it is learned from now on.
		p.First, p.Last = now, now
	}
	p.Last, p.Acts = max(p.Last, now), p.Acts+1
	if p.Acts == busy {
		h.touch(p)
	}
}

// reaches notes how far an act that gets at credentials goes, and reports whether that
// is farther than before: all namespaces where it was some, others where it was its own,
// another one where it was few.
func (h *History) reaches(p *profile, s *subject, now uint32) bool {
	if s.reach == own {
		return false
	}
	everything := h.fact(reachFact, s.credential, "all")
	if s.reach == all {
		return h.learn(p, reachFact, everything, now)
	}
	isNew := h.learn(p, namespaceFact, h.fact(namespaceFact, s.credential, s.namespace), now)
	if !isNew {
		return false
	}
	// In how many namespaces it gets at these credentials, not at others.
	for n := range fewNamespaces + 1 {
		if h.learn(p, reachFact, h.fact(reachFact, s.credential, strconv.Itoa(n)), now) {
			return !p.has(everything)
		}
	}
	return false
}

// anotherProcess reports whether an act is to be told of because it is that of a process
// which did not do such a thing yet, where another of the same program did: a few times
// while the program is new, and when it gets at something that it did not before. What
// polls by one process is told of once, what starts a process for it a few times.
func (h *History) anotherProcess(p *profile, s *subject, now uint32, known bool, news event.News) bool {
	if !h.learn(p, processFact, h.fact(processFact, s.operation, strconv.FormatUint(s.process, 10)), now) {
		return false
	}
	if news&event.NewObject != 0 {
		return true
	}
	for i := range fewProcesses {
		if !known && h.learn(p, toldFact, h.fact(toldFact, s.operation, strconv.Itoa(i)), now) {
			return true
		}
	}
	return false
}

// lists reports whether an identity listed or watched the objects of this kind in the
// namespace, or in all: it has seen them all.
func (h *History) lists(p *profile, s *subject) bool {
	kind, _, _ := strings.Cut(s.operation, ".")
	for _, verb := range []string{".list", ".watch"} {
		for _, namespace := range []string{"", s.namespace} {
			if p.has(h.fact(scopeFact, kind+verb, namespace, "")) {
				return true
			}
		}
	}
	return false
}

// introduce says whether a service account did before what one has to be told of, and
// notes what it does now.
func (h *History) introduce(e *event.Event, p *profile, s *subject, now uint32) {
	if !s.account {
		return
	}
	secrets, anything := h.fact(introducedFact, "secrets"), h.fact(introducedFact, "anything")
	e.Seen.ReadsSecrets, e.Seen.Introduced = p.has(secrets), p.has(anything)
	elsewhere := s.reach != own
	if s.credential == "secret" && elsewhere {
		h.learn(p, introducedFact, secrets, now)
	}
	switch s.credential {
	case "secret", "token", "filesystem", "logs":
	default:
		elsewhere = elsewhere && kubernetes.Deploys(s.operation)
	}
	if elsewhere {
		h.learn(p, introducedFact, anything, now)
	}
}

// source compares where an act came from, and with what.
func (h *History) source(p *profile, s *subject, now uint32, known, some bool) (news, odd event.News) {
	// Pipelines use Helm, and kubectl beside it.
	tool := kubernetes.ClientKind(s.client) == kubernetes.Tool || s.client == "helm"
	toolFact := h.fact(clientFact, "", "tool")
	usedTool := p.has(toolFact)
	if tool {
		h.learn(p, clientFact, toolFact, now)
	}
	if h.learn(p, clientFact, h.fact(clientFact, s.client), now) {
		news |= event.NewClient
		// A person's script is called anything.
		if s.software && (known && p.count(clientFact) <= fewClients || some && tool && !usedTool) {
			odd |= event.NewClient
		}
	}
	if s.address.IsValid() {
		n, o := h.comesFrom(p, s, now, known, some, news)
		news, odd = news|n, odd|o
	}
	before := p.count(credentialFact)
	if h.learn(p, credentialFact, h.fact(credentialFact, s.kind), now) {
		news |= event.NewCredential
		if s.account && before > 0 && before <= fewWorkloads && (known || some && !s.isBound) {
			odd |= event.NewCredential
		}
	}
	return news, odd
}

// isGate reports whether an address is that of a gateway to the Internet which pods share,
// or of a load balancer before the API server which kubelets do: such have several, and a
// bearer comes from each of them. It notes whose first address it is. What pods have within
// a cluster does not count: those of a node's own network share that node's address.
func (h *History) isGate(s *subject, isFirst bool, now uint32) bool {
	kind, who := "pods", s.bound
	if !s.account {
		kind, who = "nodes", s.id // of whatever certificate
	} else if !isPublic(s.address) {
		return false
	}
	gate := h.profile(state.Bearer, h.identity(state.Bearer, kind, s.address.String()))
	if isFirst {
		h.learn(gate, credentialFact, h.fact(credentialFact, string(who[:])), now)
		h.count(gate, now)
	}
	return gate.count(credentialFact) >= manyBearers
}

// comesFrom compares the address that an act came from.
func (h *History) comesFrom(p *profile, s *subject, now uint32, known, some bool, so event.News) (news, odd event.News) {
	// What never came from the Internet has no reason to.
	publicFact := h.fact(addressFact, "", "public")
	escapes := s.software && some && isPublic(s.address) && !p.has(publicFact)
	if isPublic(s.address) {
		h.learn(p, addressFact, publicFact, now)
	}
	if s.isBound {
		holder := h.profile(state.Bearer, s.bound)
		family := h.fact(credentialFact, "4")
		if !s.address.Is4() {
			family = h.fact(credentialFact, "6")
		}
		// A pod and a node can have an address of each family.
		other := !h.learn(holder, credentialFact, family, now) || escapes
		isNew := h.learn(holder, addressFact, h.fact(addressFact, s.address.String()), now)
		h.count(holder, now)
		elsewhere := h.fact(elsewhereFact, s.address.String())
		switch isGate := h.isGate(s, isNew && !other, now); {
		case isGate:
		case isNew && other:
			h.learn(holder, elsewhereFact, elsewhere, now)
			odd = event.NewAddress
		case !isNew && holder.has(elsewhere):
			// It does not become the right one by being used: each kind of act counts.
			if h.learn(holder, elsewhereFact, h.fact(elsewhereFact, s.address.String(), s.operation, s.namespace), now) {
				odd = event.NewAddress
			}
		}
		if isNew {
			news = event.NewAddress
			h.learn(holder, elsewhereFact, h.fact(elsewhereFact, s.address.String(), s.operation, s.namespace), now)
		}
	}
	if !h.learn(p, addressFact, h.fact(addressFact, network(s.address).String()), now) || s.isBound {
		return news, odd
	}
	switch news = event.NewAddress; {
	case s.software && (known && p.count(addressFact) <= fewNetworks || escapes):
		odd = event.NewAddress
	case known && so&event.NewClient != 0:
		odd = event.NewAddress
	}
	return news, odd
}
