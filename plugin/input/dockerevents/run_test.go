// SPDX-License-Identifier: Apache-2.0

package dockerevents

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/input/inputtest"
)

// running is an input that runs.
type running struct {
	*inputtest.Sink
	t testing.TB
	// tries is how many connections it tried to make.
	tries atomic.Int64
}

// got returns the events delivered.
func (r *running) got() []event.Docker {
	r.t.Helper()
	var all []event.Docker
	for _, e := range r.Decoded(r.t) {
		all = append(all, e.Docker)
	}
	return all
}

// count returns how many events are of this action, and how many of them are
// of different objects.
func (r *running) count(action string) (all, different int) {
	r.t.Helper()
	ids := map[string]bool{}
	for _, e := range r.Decoded(r.t) {
		if d := &e.Docker; d.Action == action {
			all++
			ids[d.ActorID+d.ExecID] = true
		}
	}
	return all, len(ids)
}

// logged reports whether a line with this text was logged.
func (r *running) logged(text string) bool { return strings.Contains(r.LogText(), text) }

// eventually waits until a condition holds.
func (r *running) eventually(what string, holds func() bool) {
	r.t.Helper()
	r.Eventually(r.t, what, holds)
}

// run opens an input and runs it until the test's end, or until stop is
// called, which fails the test if Run takes more than a second to return.
func run(t testing.TB, address string, o Options) (r *running, stop func()) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	e, err := Open(u, o)
	if err != nil {
		t.Fatal(err)
	}
	r = &running{Sink: new(inputtest.Sink), t: t}
	transport := e.engine.client.Transport.(*http.Transport)
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		r.tries.Add(1)
		return dial(ctx, network, address)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx, r) }()
	stop = sync.OnceFunc(func() {
		t.Helper()
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Run returned %v", err)
			}
		case <-time.After(time.Second): // what input.Input promises
			t.Error("Run did not return within a second")
		}
	})
	t.Cleanup(stop)
	return r, stop
}
