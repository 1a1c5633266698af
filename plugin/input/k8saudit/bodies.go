// SPDX-License-Identifier: Apache-2.0

package k8saudit

import (
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	// maxBodies is how many bodies are read at once.
	maxBodies = 64
	// bodyTimeout is how long a client may send nothing of a body.
	bodyTimeout = 10 * time.Second
	// fairRate is how many bytes a second are asked of a client at the least, where
	// others wait.
	fairRate = 64 << 10
)

// bodies are the bodies of requests that are read.
type bodies struct {
	mu   sync.Mutex
	open map[*body]bool
}

// body reads the body of a request.
type body struct {
	source  io.Reader
	control *http.ResponseController
	bodies  *bodies
	began   time.Time

	// Guarded by the mutex of bodies.
	read    int64
	waiting bool // for bytes
	ended   bool // to make room
}

// begin begins to read a body. Where there are too many, it ends the one that is
// the furthest behind what it should have sent by now, which no sender in a hurry
// is; nil is returned if all of them wait for something of ours.
func (b *bodies) begin(out http.ResponseWriter, r *http.Request) *body {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if len(b.open) >= maxBodies {
		var slowest *body
		for other := range b.open {
			if other.waiting && (slowest == nil || other.behind(now) > slowest.behind(now)) {
				slowest = other
			}
		}
		if slowest == nil {
			return nil
		}
		slowest.ended = true
		slowest.control.SetReadDeadline(now)
		delete(b.open, slowest)
	}
	added := &body{source: r.Body, control: http.NewResponseController(out), bodies: b, began: now}
	b.open[added] = true
	return added
}

// behind is for how much longer a body is read than its bytes explain.
func (b *body) behind(now time.Time) time.Duration {
	return now.Sub(b.began) - time.Duration(b.read)*time.Second/fairRate
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	b.bodies.mu.Lock()
	deadline := time.Now()
	if !b.ended {
		deadline = deadline.Add(bodyTimeout)
	}
	b.waiting = true
	// Where it is not supported, as in a test without a server, nothing is slow.
	_ = b.control.SetReadDeadline(deadline)
	b.bodies.mu.Unlock()

	n, err := b.source.Read(p)

	b.bodies.mu.Lock()
	b.waiting = false
	b.read += int64(n)
	if !b.ended {
		// It must not end the wait for the queue, too.
		_ = b.control.SetReadDeadline(time.Time{})
	}
	b.bodies.mu.Unlock()
	return n, err
}

func (b *body) end() {
	b.bodies.mu.Lock()
	defer b.bodies.mu.Unlock()
	delete(b.bodies.open, b)
}
