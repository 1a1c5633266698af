// SPDX-License-Identifier: Apache-2.0

package k8saudit

// maxDelivered is how many events are remembered at least: some minutes of a busy
// API server, which sends a batch again after seconds.
const maxDelivered = 1 << 17

// delivered remembers the last events that were taken, by a hash of their whole
// text. An audit id alone does not identify an event, clients may choose it
// with the Audit-ID header.
type delivered struct {
	// When newer is full it becomes the older one.
	newer, older map[uint64]struct{}
}

func newDelivered() *delivered { return &delivered{newer: make(map[uint64]struct{})} }

func (d *delivered) has(hash uint64) bool {
	if _, ok := d.newer[hash]; ok {
		return true
	}
	_, ok := d.older[hash]
	return ok
}

func (d *delivered) add(hash uint64) {
	if len(d.newer) == maxDelivered {
		d.newer, d.older = make(map[uint64]struct{}), d.newer
	}
	d.newer[hash] = struct{}{}
}
