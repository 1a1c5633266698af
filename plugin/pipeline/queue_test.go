// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerapi/containerapi/plugin/falco"
	"github.com/containerapi/containerapi/plugin/falco/falcotest"
	"github.com/containerapi/containerapi/plugin/field"
	"github.com/containerapi/containerapi/plugin/input"
)

// record returns the record of an event that carries a number, n bytes large.
func record(number uint64, n int) []byte {
	payload := make([]byte, n)
	binary.LittleEndian.PutUint64(payload, number)
	var none falco.Block
	none.Reset(falco.All)
	return falcotest.Record(1, payload, &none)
}

// drain takes all that is in the queue and returns the numbers.
func drain(t *testing.T, q *queue) []uint64 {
	t.Helper()
	engine := falcotest.New(nil, field.Entries())
	defer engine.Close()
	list := falco.NewEvents(7)
	defer list.Free()
	var numbers []uint64
	for s := q.take(0); s != nil; s = q.take(0) {
		for !s.Done() {
			for _, e := range engine.Events(list, list.Take(s)) {
				payload, _ := e.Payload()
				numbers = append(numbers, binary.LittleEndian.Uint64(payload))
			}
		}
		q.release(s)
		q.reuse(s)
	}
	return numbers
}

func TestQueueOrder(t *testing.T) {
	q := newQueue(64 << 20)
	defer q.close()
	const n = 5000
	for i := range uint64(n) {
		if err := q.put(t.Context(), record(i, 100+int(i)%900)); err != nil {
			t.Fatal(err)
		}
	}
	numbers := drain(t, q)
	for i, got := range numbers {
		if got != uint64(i) {
			t.Fatalf("event %d is number %d", i, got)
		}
	}
	if len(numbers) != n || q.bytes() != 0 {
		t.Errorf("got %d events, want %d; %d bytes left", len(numbers), n, q.bytes())
	}
}

// A full queue makes an input wait, and has room again when Falco is done with
// events, not when it has been given them: their memory is still in use.
func TestQueueBound(t *testing.T) {
	const limit = 64 << 10
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(limit)
		defer q.close()
		event := record(0, 1000)
		for q.bytes()+len(event) <= limit {
			if err := q.put(t.Context(), event); err != nil {
				t.Fatal(err)
			}
		}
		hour, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := q.put(hour, event); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("put into a full queue: %v", err)
		}
		done := make(chan error, 1)
		go func() { done <- q.put(t.Context(), event) }()
		waits := func(when string) {
			t.Helper()
			synctest.Wait()
			select {
			case err := <-done:
				t.Fatalf("put %s: %v", when, err)
			default:
			}
		}
		waits("into a full queue")
		s := q.take(0)
		waits("while Falco holds the events")
		q.release(s)
		q.reuse(s)
		synctest.Wait()
		select {
		case err := <-done:
			if err != nil {
				t.Fatalf("put after a release: %v", err)
			}
		default:
			t.Fatal("put waits on after a release")
		}
		if n := len(drain(t, q)); n != 1 {
			t.Errorf("%d events, want the one that waited", n)
		}
	})
}

// Falco waits for an event for as long as it says, and no longer than one takes.
func TestQueueTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(64 << 10)
		defer q.close()
		begin := time.Now()
		if s := q.take(idle); s != nil || time.Since(begin) != idle {
			t.Errorf("took %v from an empty queue after %v, want nothing after %v", s, time.Since(begin), idle)
		}
		begin = time.Now()
		time.AfterFunc(idle/2, func() { _ = q.put(context.Background(), record(1, 10)) })
		s := q.take(idle)
		if s == nil || time.Since(begin) != idle/2 {
			t.Fatalf("took %v after %v, want the event after %v", s, time.Since(begin), idle/2)
		}
		q.release(s)
		q.reuse(s)
	})
}

// A batch larger than the whole queue must not wait for ever.
func TestQueueLargeBatch(t *testing.T) {
	q := newQueue(64 << 10)
	defer q.close()
	if err := q.put(t.Context(), record(1, 3<<20)); err != nil {
		t.Fatal(err)
	}
	if got := drain(t, q); len(got) != 1 || got[0] != 1 {
		t.Errorf("got %v", got)
	}
}

func TestQueueClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(64 << 10)
		if err := q.put(t.Context(), record(1, 60<<10)); err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() { done <- q.put(context.Background(), record(2, 60<<10)) }()
		synctest.Wait() // until put waits for room
		q.close()
		if err := <-done; !errors.Is(err, input.ErrClosed) {
			t.Errorf("a waiting put ended with %v", err)
		}
		if err := q.put(t.Context(), record(3, 10)); !errors.Is(err, input.ErrClosed) {
			t.Errorf("put into a closed queue: %v", err)
		}
	})
}

// Many inputs and a slow Falco: every event arrives, those of one input in
// their order, and the queue stays within its bound.
func TestQueueConcurrent(t *testing.T) {
	const inputs, each, limit = 8, 2000, 256 << 10
	q := newQueue(limit)
	defer q.close()
	var running sync.WaitGroup
	for i := range uint64(inputs) {
		running.Go(func() {
			for n := range uint64(each) {
				if err := q.put(context.Background(), record(i<<32|n, 200)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() { running.Wait(); close(ended) }()
	var next [inputs]uint64
	for count := 0; count < inputs*each; {
		if q.bytes() > limit {
			t.Fatalf("%d bytes in the queue, the limit is %d", q.bytes(), limit)
		}
		for _, number := range drain(t, q) {
			if i, n := number>>32, number&0xffffffff; next[i] != n {
				t.Fatalf("input %d: got event %d, want %d", i, n, next[i])
			} else {
				next[i]++
			}
			count++
		}
	}
	<-ended
}
