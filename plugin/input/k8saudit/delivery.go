// SPDX-License-Identifier: Apache-2.0

package k8saudit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/input"
	"github.com/containerapi/containerapi/plugin/jsonstream"
)

// patience is for how much longer a request may wait for the queue.
type patience struct {
	ctx  context.Context
	left time.Duration
}

// wait calls a function that waits, with a context that ends when the patience does.
func (p *patience) wait(f func(context.Context) error) error {
	began := time.Now()
	ctx, cancel := context.WithTimeoutCause(p.ctx, p.left, errFull)
	defer cancel()
	err := f(ctx)
	p.left -= time.Since(began)
	if err != nil && err != input.ErrClosed && context.Cause(ctx) == errFull {
		return errFull
	}
	return err
}

// delivery is what becomes of the events of one request.
type delivery struct {
	webhook  *Webhook
	patience patience
	good     int   // events, also those that were delivered before
	bad      error // the first of what is no event
	took     bool  // an event that may not be queued yet
}

// lock takes the turn.
func (d *delivery) lock() error {
	select {
	case d.webhook.turn <- struct{}{}:
		return nil
	default:
	}
	return d.patience.wait(func(ctx context.Context) error {
		select {
		case d.webhook.turn <- struct{}{}:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

func (w *Webhook) unlock() { <-w.turn }

// take decodes an event that was not delivered before.
func (d *delivery) take(item jsonstream.Item) error {
	w := d.webhook
	if err := d.lock(); err != nil {
		return err
	}
	defer w.unlock()
	if w.batch.Size() >= batchSize {
		if err := d.patience.wait(w.batch.Commit); err != nil {
			return err
		}
	}
	d.took = true
	if item.Err == nil && w.delivered.has(item.Hash) {
		d.good++
		return nil
	}
	before := w.batch.Len()
	w.decoder.Item(item, func(e *event.Event, err error) {
		if err == jsonstream.ErrServerLog { // from a collector of logs
			return
		}
		if err != nil {
			d.malformed(err)
			return
		}
		d.good++
		w.batch.Add(e)
	})
	if w.batch.Len() > before {
		w.delivered.add(item.Hash)
	}
	return nil
}

// malformed reports what is no event, but for the first, with which the whole
// request may be refused.
func (d *delivery) malformed(err error) {
	if d.bad == nil {
		d.bad = err
		return
	}
	d.webhook.amongOthers(err)
}

func (w *Webhook) amongOthers(err error) {
	w.sink.Malformed(fmt.Errorf("webhook %s: an event among others: %w", w.url, err))
}

// finish queues what was decoded.
func (d *delivery) finish() error {
	if err := d.lock(); err != nil {
		return err
	}
	defer d.webhook.unlock()
	if err := d.patience.wait(d.webhook.batch.Commit); err != nil {
		return err
	}
	d.took = false
	return nil
}

// leave leaves what was decoded and not queued to [Webhook.flush].
func (d *delivery) leave() {
	if !d.took {
		return
	}
	select {
	case d.webhook.left <- struct{}{}:
	default:
	}
}

// flush queues what requests left that waited in vain or broke off, until ctx ends:
// it is known as delivered.
func (w *Webhook) flush(ctx context.Context) {
	for {
		select {
		case <-w.left:
		case <-ctx.Done():
			return
		}
		select {
		case w.turn <- struct{}{}:
		case <-ctx.Done():
			return
		}
		err := w.batch.Commit(ctx)
		w.unlock()
		if err != nil {
			return
		}
	}
}

// unqueued says why events were not queued.
func unqueued(err error) *refusal {
	if err == errFull {
		return &refusal{http.StatusTooManyRequests, errFull.Error()}
	}
	// Also if the client went away, which then does not read this.
	return &refusal{http.StatusServiceUnavailable, errStopped.Error()}
}

// unread says why a body could not be read to its end.
func unread(r *http.Request, err error) *refusal {
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout(): // which also ends the request's context
		return &refusal{http.StatusRequestTimeout, "the body did not come in time"}
	case context.Cause(r.Context()) != nil:
		return unqueued(err)
	}
	return &refusal{http.StatusBadRequest, "the body cannot be read: " + err.Error()}
}
