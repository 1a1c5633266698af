// SPDX-License-Identifier: Apache-2.0

package dockerevents

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/containerapi/containerapi/plugin/input/inputtest"
)

func TestAhead(t *testing.T) {
	text := make([]byte, 3<<20)
	for i := range text {
		text[i] = byte(rand.Uint32())
	}
	a := newReadahead(io.NopCloser(iotest.HalfReader(bytes.NewReader(text))))
	got, err := io.ReadAll(iotest.HalfReader(a))
	if err != nil || !bytes.Equal(got, text) {
		t.Errorf("got %d bytes, %v, want %d, the same", len(got), err, len(text))
	}
	if _, err := a.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after the end: %v", err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

// endless counts what is read of it.
type endless struct{ n atomic.Int64 }

func (e *endless) Read(b []byte) (int, error) { e.n.Add(int64(len(b))); return len(b), nil }
func (e *endless) Close() error               { return nil }

// A reader that does not read costs maxAhead and no more, and can be closed.
func TestAheadBounded(t *testing.T) {
	check := inputtest.Leaks(t)
	e := &endless{}
	a := newReadahead(e)
	inputtest.Eventually(t, "filling the memory", func() bool { return e.n.Load() >= maxAhead })
	if _, err := io.ReadFull(a, make([]byte, 1<<20)); err != nil {
		t.Error(err)
	}
	if n := e.n.Load(); n > maxAhead+1<<20+64<<10 {
		t.Errorf("%d bytes were read ahead", n)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	check()
}

// Close ends a stream that sends nothing.
func TestAheadClose(t *testing.T) {
	check := inputtest.Leaks(t)
	here, there := net.Pipe()
	defer there.Close()
	if err := newReadahead(here).Close(); err != nil {
		t.Error(err)
	}
	check()
}
