// SPDX-License-Identifier: Apache-2.0

package dockerapi

import (
	"fmt"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/httpwire"
	"github.com/containerapi/containerapi/plugin/tap"
)

const (
	// quiet is how long nothing more is said of a client whose records are
	// lost: who floods does not choose how many alerts there are.
	quiet = time.Minute
	// maxLosers is how many such clients are remembered.
	maxLosers = 4096
)

// loser is a client whose records were lost: a process, or an address.
type loser struct {
	pid  uint32
	addr string
}

// lossKey is the client of a connection.
func lossKey(c *conn) loser {
	if c.tcp {
		return loser{addr: c.link.client.Addr().String()}
	}
	return loser{pid: c.peer.process.PID}
}

// losses is what was said of lost records.
type losses struct {
	drops   uint64            // all that were counted
	records map[uint64]uint64 // by [tap.Loss.Key]
	said    *simplelru.LRU[loser, int64]
}

// due reports whether the loss of a client is to be said, which it counts as
// then.
func (l *losses) due(who loser, now int64) bool {
	if l.said == nil {
		// The only error is a size below one.
		l.said, _ = simplelru.NewLRU[loser, int64](maxLosers, nil)
	}
	if last, ok := l.said.Get(who); ok && now-last < int64(quiet) {
		return false
	}
	l.said.Add(who, now)
	return true
}

// lost reports records that the kernel had no room for, in an event of its own
// for each client whose they were: what was lost may have been an attack.
func (r *reader) lost() {
	n := r.tap.Drops()
	if n <= r.losses.drops {
		return
	}
	r.sink.Malformed(fmt.Errorf("%d records of requests were lost: the ring to the plugin was full", n-r.losses.drops))
	all, err := r.tap.Losses()
	if err != nil {
		r.sink.Info("%v", err)
	}
	before := r.losses.records
	r.losses.records = make(map[uint64]uint64, len(all))
	named := false
	for _, l := range all {
		r.losses.records[l.Key] = l.Records
		if l.Records > before[l.Key] {
			named = true
			r.reportLoss(l)
		}
	}
	if !named && r.losses.due(loser{}, time.Now().UnixNano()) {
		r.addLoss(event.Client{}, "unix://"+r.Socket)
	}
	r.losses.drops = n
}

// reportLoss adds the event of a client's loss.
func (r *reader) reportLoss(l tap.Loss) {
	now := time.Now().UnixNano()
	if l.PID != 0 {
		if r.losses.due(loser{pid: l.PID}, now) {
			p := r.remembered(tap.Process{PID: l.PID})
			r.addLoss(r.complete(client(&p, r.host)), "unix://"+r.Socket)
		}
		return
	}
	who, daemon := event.Client{}, "unix://"+r.Socket
	for _, c := range r.conns {
		if c.tcp && l.Of(c.link.client.Addr()) {
			who, daemon = r.clientOf(c), c.daemon
			break
		}
	}
	if r.losses.due(loser{addr: who.Addr}, now) {
		r.addLoss(who, daemon)
	}
}

func (r *reader) addLoss(who event.Client, daemon string) {
	e := &r.event
	e.Reset()
	e.Input, e.Time = event.DockerAPI, time.Now().UnixNano()
	e.Docker.Daemon = daemon
	e.Docker.Client = who
	e.Docker.Request.Unreadable = httpwire.Lost
	r.batch.Add(e)
}
