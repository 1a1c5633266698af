// SPDX-License-Identifier: Apache-2.0

package k8saudit

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	maxConnections = 512
	// maxUnproven is how many connections of one address there may be that have not
	// shown yet that they may send events.
	maxUnproven = 128
	// silence is for how long a new connection may say nothing before it counts
	// for less than one that does.
	silence = time.Second
)

// listener accepts every connection at once, so that nobody waits behind those who
// say nothing, and closes another one where there are too many: see
// [connection.worth].
type listener struct {
	net.Listener
	mu   sync.Mutex
	open map[*connection]bool
}

// connection is one that is open. Its fields below are guarded by the listener's
// mutex.
type connection struct {
	net.Conn
	listener *listener
	address  string

	// spoke reports that it sent a byte, proven that it sent a request that was
	// allowed to.
	spoke, proven bool
	active        bool      // in the midst of a request
	requests      int       // that are handled
	served        int       // requests that were allowed
	since         time.Time // it does what it does
}

func listen(l net.Listener) *listener {
	return &listener{Listener: l, open: make(map[*connection]bool)}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	address, _, err := net.SplitHostPort(c.RemoteAddr().String())
	if err != nil {
		address = c.RemoteAddr().String()
	}
	added := &connection{Conn: c, listener: l, address: address, since: time.Now()}
	if dropped := l.add(added); dropped != nil {
		dropped.Conn.Close()
	}
	return added, nil
}

// add adds a connection, and returns one that has to go for it, or nil. That is
// another one if it can be: of all that come while those that are open have shown
// what they may, each then makes room for the next.
func (l *listener) add(added *connection) *connection {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[added] = true
	unproven := make(map[string]int)
	for c := range l.open {
		if !c.proven {
			unproven[c.address]++
		}
	}
	if len(l.open) <= maxConnections && unproven[added.address] <= maxUnproven {
		return nil
	}
	all := len(l.open) > maxConnections
	worst := added
	for c := range l.open {
		if c == added || c.requests > 0 || !all && (c.proven || c.address != added.address) {
			continue
		}
		if worst == added || c.before(worst, unproven) {
			worst = c
		}
	}
	delete(l.open, worst)
	return worst
}

// worth is what a connection counts for: one that has not shown that it may send
// events gives way to all that have, and one that is idle to one that is not.
func (c *connection) worth() int {
	switch {
	case c.proven && c.active:
		return 3
	case c.proven:
		return 2
	case c.spoke || time.Since(c.since) < silence:
		return 1
	}
	return 0
}

// before reports that c has to go before another connection: of those that have
// shown nothing, first those of the address that has the most of them; of the others,
// those that sent the least.
func (c *connection) before(other *connection, unproven map[string]int) bool {
	order := 0
	if !c.proven && !other.proven {
		order = cmp.Compare(unproven[other.address], unproven[c.address])
	}
	return cmp.Or(order, cmp.Compare(c.worth(), other.worth()), cmp.Compare(c.served, other.served), c.since.Compare(other.since)) < 0
}

func (c *connection) change(f func()) {
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	f()
}

// Read implements net.Conn. Who reads is one goroutine, so that spoke can be looked
// at without the mutex.
func (c *connection) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.spoke {
		c.change(func() { c.spoke = true })
	}
	return n, err
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.change(func() { delete(c.listener.open, c) })
	return c.Conn.Close()
}

// connectionOf returns the connection under a connection of the HTTP server.
func connectionOf(c net.Conn) *connection {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	found, _ := c.(*connection)
	return found
}

// state follows what a connection does, as http.Server.ConnState.
func (l *listener) state(conn net.Conn, state http.ConnState) {
	if c := connectionOf(conn); c != nil {
		c.change(func() { c.active, c.since = state == http.StateActive, time.Now() })
	}
}

type connectionKey struct{}

// context gives a request its connection, as http.Server.ConnContext.
func (l *listener) context(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, connectionOf(conn))
}

// handled notes that a request is handled, until the returned function is called.
func handled(r *http.Request) (done func()) {
	c, _ := r.Context().Value(connectionKey{}).(*connection)
	if c == nil {
		return func() {}
	}
	c.change(func() { c.requests++ })
	return func() { c.change(func() { c.requests-- }) }
}

// proven notes that a request's client may send events.
func proven(r *http.Request) {
	if c, _ := r.Context().Value(connectionKey{}).(*connection); c != nil {
		c.change(func() { c.proven, c.served = true, c.served+1 })
	}
}
