// SPDX-License-Identifier: Apache-2.0

package history

import (
	"context"
	"slices"
	"time"

	"github.com/containerapi/containerapi/plugin/state"
)

const (
	// keepEvery is how often what changed is written to the store: what is lost at most
	// when Falco is killed.
	keepEvery = time.Second
	// keepBatch is how many profiles are written at once.
	keepBatch = 1024
	// maxUnsaved is how many facts of a profile wait for a store that fails.
	maxUnsaved = 4096
)

// Keep writes what changes to the store until the context ends. Without a store it
// returns at once.
func (h *History) Keep(ctx context.Context) {
	if h.store == nil {
		return
	}
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			for h.keep() {
			}
		case <-ctx.Done():
			return
		}
	}
}

// Close writes what is left to the store and closes it. It is called when Keep has
// returned, and all has been observed.
func (h *History) Close() error {
	if h.store == nil {
		return nil
	}
	for h.keep() {
	}
	return h.store.Close()
}

// keep writes some of what changed, and reports whether there is more to write now.
func (h *History) keep() (more bool) {
	h.mu.Lock()
	if key := h.store.Seed(); key != h.key {
		h.rekey(key)
	}
	n := min(len(h.dirty), keepBatch)
	saved := slices.Clone(h.dirty[:n])
	batch := make([]state.Changed, n)
	for i, p := range saved {
		batch[i] = state.Changed{Class: p.class, ID: p.id, Profile: p.Profile, Facts: p.changed, Dropped: p.dropped}
		batch[i].Profile.Facts = slices.Clone(p.Facts)
		p.changed, p.dropped, p.dirty = nil, nil, false
		// Whoever asks meanwhile finds it here, should memory have no room for it.
		h.saving[p.id] = p
	}
	h.dirty = slices.Delete(h.dirty, 0, n)
	h.mu.Unlock()
	if n == 0 {
		return false
	}
	err := h.store.Save(batch)
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, p := range saved {
		if err != nil {
			// Some of what a shared store misses it is told of with the next use.
			if len(p.changed)+len(p.dropped) < maxUnsaved {
				p.changed, p.dropped = append(batch[i].Facts, p.changed...), append(batch[i].Dropped, p.dropped...)
			}
			h.touch(p)
		}
		if !p.dirty || len(h.saving) > maxProfiles {
			delete(h.saving, p.id)
		}
	}
	return err == nil && n == keepBatch
}

// rekey forgets what was hashed under a key of its own: the store could not be reached
// until now. The caller holds mu.
func (h *History) rekey(key [16]byte) {
	h.key, h.dirty = key, nil
	for _, of := range h.profiles {
		of.lru.Purge()
		of.facts = 0
	}
	clear(h.saving) // what was purged unsaved
	h.facts = 0
}
