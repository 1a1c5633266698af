// SPDX-License-Identifier: Apache-2.0

package state

import (
	"slices"
	"sync"
	"time"
)

// How much may wait to be written, and how often it is.
const (
	maxWaiting      = 16384
	maxWaitingFacts = 1 << 20
	// batchSize is how many profiles one transaction changes: for each the kernel maps
	// 64 KiB of the file.
	batchSize     = 512
	flushInterval = time.Second
)

// behind is what was saved and is not written yet.
type behind struct {
	mu      sync.Mutex
	waiting map[key]*Changed
	// writing are those that are just being written: they can come back.
	writing map[key]*Changed
	facts   int // in waiting
	// more is told of when a batch is full.
	more chan struct{}
}

func newBehind() behind {
	return behind{waiting: make(map[key]*Changed), more: make(chan struct{}, 1)}
}

func (c *Changed) size() int { return len(c.Profile.Facts) + len(c.Facts) + len(c.Dropped) }

// add takes all of the changes, or none of them.
func (b *behind) add(changes []Changed) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	facts := 0
	for i := range changes {
		facts += changes[i].size()
	}
	if len(b.waiting) > 0 && (len(b.waiting)+len(changes) > maxWaiting || b.facts+facts > maxWaitingFacts) {
		return ErrFull
	}
	for i := range changes {
		b.put(&changes[i])
	}
	if len(b.waiting) >= batchSize {
		select {
		case b.more <- struct{}{}:
		default:
		}
	}
	return nil
}

func (b *behind) put(c *Changed) {
	k := key{c.Class, c.ID}
	old, ok := b.waiting[k]
	if ok {
		b.facts -= old.size()
		c = old.then(c)
	} else {
		c = c.clone()
	}
	b.facts += c.size()
	b.waiting[k] = c
}

// take returns up to a batch of what waits, ordered by key.
func (b *behind) take() []*Changed {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.writing = make(map[key]*Changed, min(len(b.waiting), batchSize))
	var batch []*Changed
	for k, c := range b.waiting {
		if len(batch) == batchSize {
			break
		}
		delete(b.waiting, k)
		b.facts -= c.size()
		b.writing[k] = c
		batch = append(batch, c)
	}
	slices.SortFunc(batch, func(a, b *Changed) int {
		return key{a.Class, a.ID}.compare(key{b.Class, b.ID})
	})
	return batch
}

// wrote ends what take began. What could not be written waits again.
func (b *behind) wrote(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		for k, c := range b.writing {
			if later, ok := b.waiting[k]; ok {
				b.facts -= later.size()
				c = c.then(later)
			}
			b.facts += c.size()
			b.waiting[k] = c
		}
	}
	b.writing = nil
}

// forget drops all.
func (b *behind) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting, b.facts = make(map[key]*Changed), 0
}

// empty reports that all is written.
func (b *behind) empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.waiting) == 0 && len(b.writing) == 0
}

// find returns what was saved of a profile and may not be written yet, or nil.
func (b *behind) find(k key) *Changed {
	b.mu.Lock()
	defer b.mu.Unlock()
	first, then := b.writing[k], b.waiting[k]
	switch {
	case first == nil && then == nil:
		return nil
	case first == nil:
		return then.clone()
	case then == nil:
		return first.clone()
	}
	return first.then(then)
}
