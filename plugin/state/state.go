// SPDX-License-Identifier: Apache-2.0

// Package state is the lasting memory of profiles: what identities did, kept from one
// start to the next. It lies in a file of this host's own, or in a Redis or Valkey that
// several Falcos share. A state that cannot be reached or read costs what was learned,
// never an event.
package state

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"errors"
	"slices"
)

// ID names an identity: a keyed 128-bit hash, under the key that [Store] has as Seed.
type ID [16]byte

// Class keeps kinds of identities apart. Each has a bound of its own, so that one kind
// that an attacker can make many of displaces no other.
type Class byte

// The classes.
const (
	Kubernetes   Class = 'k' // users of Kubernetes
	Impersonated Class = 'i' // users of Kubernetes whom others act as
	Docker       Class = 'd' // clients of Docker
	Bearer       Class = 'b' // what a credential is bound to, and has one address: a pod, a node
)

// Fact is one thing that an identity did.
type Fact struct {
	// Kind is what of: an operation, scope, object, client, address, credential.
	Kind byte
	// Hash is a keyed hash of what it was.
	Hash uint64
	// Time is when it was last told or used, in Unix seconds of event time.
	Time uint32
}

// Profile is what is remembered of an identity.
type Profile struct {
	// First and Last are when it was first and last seen, in Unix seconds of event time.
	First, Last uint32
	// Acts is how many acts were seen.
	Acts uint32
	// Days is on how many days it was seen.
	Days  uint16
	Facts []Fact
}

// Changed is a profile, with what changed since it was last saved.
type Changed struct {
	Class Class
	ID    ID
	// Profile is all that the caller knows of the identity.
	Profile Profile
	// Facts are those of the profile that are new or have a new time.
	Facts []Fact
	// Dropped are facts that were forgotten, for want of room.
	Dropped []Fact
}

// Store keeps profiles. It is safe for use by several goroutines.
type Store interface {
	// Seed returns the key of the hashes: 16 random bytes made when the state began,
	// the same for all who share it. It is cheap to ask for, and to be asked for each
	// time: a state that cannot be reached when it is opened has a seed of its own
	// until it is, and what was hashed under that then means nothing any more.
	Seed() [16]byte
	// Load returns what is known of an identity, or false if that is nothing. It
	// returns within a tenth of a second, or with an error at once while it is known
	// that the state does not answer. An error means that it is not known whether
	// there is something.
	//
	// A profile can have more facts than one caller ever saved: those of others, and
	// of times when it could not be loaded. There are at most [MaxFacts].
	Load(Class, ID) (Profile, bool, error)
	// Save keeps profiles. It copies what it is given, writes behind within seconds, and
	// merges with what is there: the earlier First, the greater Last, Acts and Days, the later
	// time of each fact. After an error it has taken none of them, and they are to be
	// offered again.
	Save([]Changed) error
	// Close writes what is still to be written, for at most two seconds, and lets go of the state.
	Close() error
}

// MaxFacts is how many facts of a profile are kept: the latest.
const MaxFacts = 4096

// Errors of Load and Save.
var (
	// ErrUnavailable means that the state does not answer, for the reason that was logged.
	ErrUnavailable = errors.New("the state is not available")
	// ErrFull means that as much waits to be written as may.
	ErrFull = errors.New("too much waits to be written to the state")
)

// Shared reports whether others save to the same state. Then a profile that was loaded
// may lack what they saw since: before something is told as new of it, it is to be loaded again.
func Shared(s Store) bool {
	_, ok := s.(interface{ shared() })
	return ok
}

// Memory is a Store that keeps nothing: what is remembered is what its user has.
type Memory struct{ seed [16]byte }

// NewMemory returns a Memory with a seed of its own.
func NewMemory() *Memory { return &Memory{seed: newSeed()} }

// Seed implements Store.
func (m *Memory) Seed() [16]byte { return m.seed }

// Load implements Store: nothing is known.
func (m *Memory) Load(Class, ID) (Profile, bool, error) { return Profile{}, false, nil }

// Save implements Store.
func (m *Memory) Save([]Changed) error { return nil }

// Close implements Store.
func (m *Memory) Close() error { return nil }

func newSeed() (seed [16]byte) {
	_, _ = rand.Read(seed[:]) // never fails
	return seed
}

// key names a profile.
type key struct {
	class Class
	id    ID
}

// bytes returns the key as it is written.
func (k key) bytes() []byte { return append([]byte{byte(k.class)}, k.id[:]...) }

func (k key) compare(other key) int {
	return cmp.Or(cmp.Compare(k.class, other.class), bytes.Compare(k.id[:], other.id[:]))
}

// same orders facts by what they are.
func same(a, b Fact) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Hash, b.Hash)) }

// union returns the facts of both, each with its later time, ordered by what they are.
func union(a, b []Fact) []Fact {
	all := slices.Concat(a, b)
	slices.SortFunc(all, func(a, b Fact) int { return cmp.Or(same(a, b), cmp.Compare(b.Time, a.Time)) })
	return slices.CompactFunc(all, func(a, b Fact) bool { return same(a, b) == 0 })
}

// without returns those of the facts that were not dropped, or were used later than what was.
func without(facts, dropped []Fact) []Fact {
	if len(dropped) == 0 {
		return facts
	}
	return slices.DeleteFunc(slices.Clone(facts), func(f Fact) bool {
		return slices.ContainsFunc(dropped, func(d Fact) bool { return same(f, d) == 0 && f.Time <= d.Time })
	})
}

// latest returns at most n of the facts: those that were used last.
func latest(facts []Fact, n int) []Fact {
	if len(facts) <= n {
		return facts
	}
	slices.SortFunc(facts, func(a, b Fact) int { return cmp.Or(cmp.Compare(b.Time, a.Time), same(a, b)) })
	return facts[:n]
}

// onto returns what is known after the change of a profile that was there, which may be an empty one.
func (c *Changed) onto(old Profile) Profile {
	p := numbers(old, c.Profile)
	p.Facts = latest(union(without(old.Facts, c.Dropped), c.Profile.Facts), MaxFacts)
	return p
}

// numbers merges all but the facts.
func numbers(a, b Profile) Profile {
	first := min(a.First, b.First)
	if first == 0 {
		first = max(a.First, b.First)
	}
	return Profile{First: first, Last: max(a.Last, b.Last), Acts: max(a.Acts, b.Acts), Days: max(a.Days, b.Days)}
}

// clone returns a copy that shares no memory.
func (c *Changed) clone() *Changed {
	d := *c
	d.Profile.Facts = slices.Clone(c.Profile.Facts)
	d.Facts = slices.Clone(c.Facts)
	d.Dropped = slices.Clone(c.Dropped)
	return &d
}

// then adds a later change of the same profile.
func (c *Changed) then(later *Changed) *Changed {
	return &Changed{
		Class: c.Class, ID: c.ID,
		Profile: later.onto(c.Profile),
		Facts:   latest(union(without(c.Facts, later.Dropped), later.Facts), MaxFacts),
		// What was used again since is no longer dropped.
		Dropped: latest(union(without(c.Dropped, later.Facts), later.Dropped), MaxFacts),
	}
}
