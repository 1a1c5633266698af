// SPDX-License-Identifier: Apache-2.0

package k8saudit

import (
	"hash/maphash"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// maxDelivered is how many events are remembered: some minutes of a busy API
// server, which sends a batch again after seconds.
const maxDelivered = 1 << 16

// delivered remembers the last events that were queued, by a hash of their whole
// text. An audit id alone does not identify an event, clients may choose it
// with the Audit-ID header.
type delivered struct {
	seed   maphash.Seed
	hashes *simplelru.LRU[uint64, struct{}]
}

func newDelivered() *delivered {
	// The only error is a size below one.
	hashes, _ := simplelru.NewLRU[uint64, struct{}](maxDelivered, nil)
	return &delivered{seed: maphash.MakeSeed(), hashes: hashes}
}

func (d *delivered) hash(text []byte) uint64 { return maphash.Bytes(d.seed, text) }

func (d *delivered) has(hash uint64) bool { return d.hashes.Contains(hash) }

func (d *delivered) add(hash uint64) { d.hashes.Add(hash, struct{}{}) }
