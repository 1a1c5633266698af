// SPDX-License-Identifier: Apache-2.0

package dockerapi

import (
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/containerapi/containerapi/plugin/event"
)

const (
	// again is after how long a client counts as new: what repeats is worth an
	// alert once a day.
	again = 24 * time.Hour
	// maxKnown is how many clients are remembered, of the socket and again of
	// the ports.
	maxKnown = 4096
)

// caller is what of a client stays the same while it does its work, and how it
// reached the engine. The parent is one of it: a script that polls runs the same
// program again and again, and someone who begins anew is another one.
type caller struct {
	exe, container, addr, daemon string
	unverified                   string
	ppid                         uint64
	uid                          int64
	insecure, inContainer        bool
}

// known is which clients used the engine before. The zero value knows none.
type known struct {
	socket, ports *simplelru.LRU[caller, int64]
}

// first reports whether the client of a request did not use the engine within
// the last day, at a time in nanoseconds since the Unix epoch. From then on it
// did, if use is set.
func (k *known) first(d *event.Docker, now int64, use bool) bool {
	if k.socket == nil {
		// The only error is a size below one.
		k.socket, _ = simplelru.NewLRU[caller, int64](maxKnown, nil)
		k.ports, _ = simplelru.NewLRU[caller, int64](maxKnown, nil)
	}
	c := &d.Client
	clients := k.socket
	if c.Addr != "" {
		clients = k.ports
	}
	id := caller{
		exe: c.ExePath, container: c.Container.ID, addr: c.Addr, daemon: d.Daemon, ppid: c.PPID,
		uid: c.UID, insecure: d.Insecure, inContainer: c.InContainer, unverified: c.UnverifiedReason,
	}
	if last, ok := clients.Get(id); ok && now-last < int64(again) {
		return false
	}
	if use {
		clients.Add(id, now)
	}
	return true
}
