// SPDX-License-Identifier: Apache-2.0

package k8saudit

import "hash/maphash"

// recentSize is how many events are remembered: some minutes of a busy API
// server, which sends a batch again after seconds.
const recentSize = 1 << 16

// recent remembers the last events that were queued, by a hash of their whole
// text. An audit id alone does not identify an event, clients may choose it
// with the Audit-ID header.
type recent struct {
	seed maphash.Seed
	set  map[uint64]struct{}
	ring []uint64
	next int
}

func newRecent() *recent {
	return &recent{seed: maphash.MakeSeed(), set: make(map[uint64]struct{})}
}

func (r *recent) hash(text []byte) uint64 { return maphash.Bytes(r.seed, text) }

func (r *recent) has(hash uint64) bool {
	_, ok := r.set[hash]
	return ok
}

func (r *recent) add(hash uint64) {
	if r.has(hash) {
		return
	}
	r.set[hash] = struct{}{}
	if len(r.ring) < recentSize {
		r.ring = append(r.ring, hash)
		return
	}
	delete(r.set, r.ring[r.next])
	r.ring[r.next] = hash
	r.next = (r.next + 1) % recentSize
}
