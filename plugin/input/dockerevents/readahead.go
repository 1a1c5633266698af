// SPDX-License-Identifier: Apache-2.0

package dockerevents

import (
	"io"
	"sync"
)

// maxAhead is how many bytes are read ahead of a full queue.
const maxAhead = 16 << 20

// readahead reads a stream readahead of its reader into bounded memory.
//
// An engine does not wait for a slow reader: each event that a reader has no
// room for holds the engine up for a tenth of a second and is then left out
// ('pubsub.NewPublisher(100*time.Millisecond, …)' in daemon/events/events.go
// of moby/moby). The sockets and the engine have room for about a thousand.
type readahead struct {
	stream io.ReadCloser
	ended  chan struct{}

	mu      sync.Mutex
	changed sync.Cond
	// buf[read:] is what was read ahead; err is the stream's end.
	buf    []byte
	read   int
	err    error
	closed bool
}

func newReadahead(stream io.ReadCloser) *readahead {
	a := &readahead{stream: stream, ended: make(chan struct{})}
	a.changed.L = &a.mu
	go a.fill()
	return a
}

// fill reads the stream until it ends or a is closed.
func (a *readahead) fill() {
	defer close(a.ended)
	chunk := make([]byte, 32<<10)
	for {
		n, err := a.stream.Read(chunk)
		a.mu.Lock()
		for len(a.buf)-a.read >= maxAhead && !a.closed {
			a.changed.Wait()
		}
		a.buf = append(a.buf, chunk[:n]...)
		a.err = err
		stop := err != nil || a.closed
		a.changed.Signal()
		a.mu.Unlock()
		if stop {
			return
		}
	}
}

// Read waits for the stream's next bytes.
func (a *readahead) Read(b []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.read == len(a.buf) && a.err == nil {
		a.changed.Wait()
	}
	n := copy(b, a.buf[a.read:])
	a.read += n
	switch rest := len(a.buf) - a.read; {
	case rest == 0 && cap(a.buf) > maxAhead/16:
		a.buf, a.read = nil, 0
	case a.read >= rest:
		// Moving what is left to the front costs no more than it took to read.
		a.buf, a.read = append(a.buf[:0], a.buf[a.read:]...), 0
	}
	a.changed.Signal()
	if n == 0 {
		return 0, a.err
	}
	return n, nil
}

// Close closes the stream and waits until nothing reads it.
func (a *readahead) Close() error {
	err := a.stream.Close()
	a.mu.Lock()
	a.closed = true
	a.changed.Broadcast()
	a.mu.Unlock()
	<-a.ended
	return err
}
