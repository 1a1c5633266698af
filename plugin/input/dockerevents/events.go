// SPDX-License-Identifier: Apache-2.0

// Package dockerevents reads the events of a Docker Engine, its GET /events,
// from a unix socket or by TCP, and goes on where it was after the engine or
// the connection was gone.
package dockerevents

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"syscall"
	"time"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/input"
	"github.com/containerapi/containerapi/plugin/lines"
)

const (
	// firstWait and lastWait are the first and the longest wait before a
	// connection is tried again; in between it doubles.
	firstWait, lastWait = 250 * time.Millisecond, 10 * time.Second
	// absentWait is the wait where no local engine listens: such a try costs
	// microseconds, an engine that starts many containers at boot soon forgets
	// the first of them, and one that stops again forgets them all.
	absentWait = 50 * time.Millisecond
	// steady is how long a connection without any event must have lasted to
	// count as one that works.
	steady = 10 * time.Second
	// repeatAfter is how long the same trouble is not said again.
	repeatAfter = 10 * time.Minute
	// maxBatch is how many bytes of events are queued at once.
	maxBatch = 64 << 10
	// chunkSize is how many bytes of the stream are read at once, at first, and
	// maxMessage how long an event may be, in bytes. A usual one has some
	// hundreds; the labels of its object make it longer.
	chunkSize, maxMessage = 64 << 10, 1 << 20
)

var (
	// errLong is the error of an event above maxMessage, which is skipped.
	errLong = errors.New("a Docker event of more than 1 MiB is skipped")
	// errNoDockerEvent is the error of an event of another kind.
	errNoDockerEvent = errors.New("not a Docker event")
)

// Options are the settings of this input.
type Options struct {
	// TLSCA, TLSCert and TLSKey are the paths of PEM files for docker+tcp://:
	// the authority that signed the engine's certificate (the system's if it
	// is empty), and the client's certificate and key. If all are empty, the
	// connection is not encrypted.
	TLSCA, TLSCert, TLSKey string
	// Cause, if it is set, is called for each event but those of health
	// checks, to say which client's request caused it.
	Cause func(ctx context.Context, e *event.Event)
	// Namespace returns the inode of the mount namespace of a process of the host,
	// 0 if it cannot be seen. If not nil, each container that starts is asked for.
	Namespace func(pid int) uint32
}

// Events is an [input.Input] of the events of one Docker Engine, from its
// opening on.
type Events struct {
	endpoint *endpoint
	engine   *engine
	start    int64
	cause    func(context.Context, *event.Event)
	// inspections is kept up to date by the events.
	inspections *Inspections
}

var _ input.Input = (*Events)(nil)

// Open returns an input for docker:// (the socket /var/run/docker.sock),
// docker:///path/of.sock or docker+tcp://host:port. The engine need not run
// yet. An error says what is wrong with the URL or with a TLS file.
func Open(u *url.URL, o Options) (*Events, error) {
	p, err := parse(u, o)
	if err != nil {
		return nil, err
	}
	g := newEngine(p)
	return &Events{endpoint: p, engine: g, start: time.Now().UnixNano(), cause: o.Cause, inspections: newInspections(g, o.Namespace)}, nil
}

// Close does nothing: an input that does not run holds nothing.
func (e *Events) Close() error { return nil }

// Run delivers events until ctx ends. That the engine cannot be reached is
// said and tried again.
func (e *Events) Run(ctx context.Context, sink input.Sink) error {
	if e.endpoint.network == "tcp" && e.endpoint.tls == nil {
		sink.Info("warning: the connection to %s is not encrypted and anyone on the way can read and change it; set TLS files", e.endpoint)
	}
	r := &reader{
		Events: e,
		daemon: e.endpoint.String(),
		sink:   sink,
		batch:  sink.Batch(),
		resume: newResume(e.start),
		health: newHealthChecks(e.inspections),
		made:   newMade(e.engine, e.Socket()),
	}
	wait := firstWait
	for {
		delay, err := r.round(ctx, &wait)
		if ctx.Err() != nil || errors.Is(err, input.ErrClosed) {
			return nil
		}
		timer := time.NewTimer(delay)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// reader is a run of the input.
type reader struct {
	*Events
	daemon  string
	sink    input.Sink
	batch   input.Batch
	decoder event.Decoder
	resume  *resume
	health  *healthChecks
	made    *made
	// newest is the time of the newest event of this connection, 0 if it had
	// none yet.
	newest    int64
	listeners listeners
	// said is the last trouble that was said, at saidAt, or "".
	said   string
	saidAt time.Time
}

// round makes a connection, delivers its events until it is lost, and returns
// how long to wait for the next round. wait is the wait of the last round.
func (r *reader) round(ctx context.Context, wait *time.Duration) (time.Duration, error) {
	begin := time.Now()
	before := r.resume.n
	connected, err := r.follow(ctx)
	if ctx.Err() != nil || errors.Is(err, input.ErrClosed) {
		return 0, err
	}
	reason := r.endpoint.reason(err)
	if !connected {
		r.complain(reason)
		r.listeners.gone = r.listeners.gone || refuses(err)
		if absent(r.endpoint, err) {
			*wait = firstWait
			return absentWait, err
		}
	} else {
		r.sink.Reconnected(fmt.Errorf("lost %s: %w; connecting again", r.daemon, reason))
		if lasted := time.Since(begin); r.resume.n > before || lasted >= steady {
			*wait = firstWait
			// A connection that lasted is replaced at once: meanwhile the
			// engine remembers a few hundred events only.
			if lasted >= time.Second {
				return 0, err
			}
			return firstWait, err
		}
	}
	delay := *wait
	*wait = min(2*delay, lastWait)
	return delay, err
}

// absent reports whether an error of connecting is that no engine listens on
// a local socket.
func absent(p *endpoint, err error) bool {
	return p.network == "unix" && refuses(err)
}

// refuses reports whether an error of connecting is that nothing listens.
func refuses(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// complain says why the engine cannot be reached, unless it said so already.
func (r *reader) complain(reason error) {
	if text := reason.Error(); text != r.said || time.Since(r.saidAt) >= repeatAfter {
		r.said, r.saidAt = text, time.Now()
		r.sink.Info("cannot read %s: %v; trying again until it works", r.daemon, reason)
	}
}

// follow connects and delivers events until the connection ends. It reports
// whether there was a connection.
func (r *reader) follow(ctx context.Context) (connected bool, err error) {
	body, err := r.engine.events(ctx, r.resume.since())
	if err != nil {
		return false, err
	}
	stream := newReadahead(body)
	defer stream.Close()
	r.newest = 0
	end := r.checkListeners(ctx)
	defer func() { end(r.newest) }()
	if r.said != "" {
		r.said = ""
		r.sink.Info("reading %s", r.daemon)
	}
	reader := lines.NewReader(stream, chunkSize, maxMessage)
	for {
		if !reader.Buffered() || r.batch.Size() >= maxBatch {
			if err := r.commit(ctx); err != nil {
				return true, err
			}
		}
		// What follows the last newline of a stream is half an event, and left out.
		line, cut, err := reader.Next()
		if err != nil {
			return true, err
		}
		if cut {
			r.sink.Malformed(fmt.Errorf("%s: %w", r.daemon, errLong))
			continue
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			if err := r.add(ctx, line); err != nil {
				return true, err
			}
		}
	}
}

// add puts the event that a line holds into the batch.
func (r *reader) add(ctx context.Context, line []byte) (err error) {
	if line[0] != '{' {
		r.sink.Malformed(fmt.Errorf("%s: %w", r.daemon, errNoDockerEvent))
		return nil
	}
	malformed := r.decoder.Decode(line, func(e *event.Event, reason error) {
		switch {
		case err != nil:
		case reason != nil:
			r.sink.Malformed(fmt.Errorf("%s: %w", r.daemon, reason))
		case e.Input != event.DockerEvent || e.Replayed:
			r.sink.Malformed(fmt.Errorf("%s: %w", r.daemon, errNoDockerEvent))
		case r.resume.add(line, e.Time):
			e.Docker.Daemon = r.daemon
			r.newest = max(r.newest, e.Time)
			r.inspections.hear(&e.Docker)
			// Events before this one do not wait for the engine's answer.
			if r.health.waits(&e.Docker) || r.made.waits(&e.Docker) {
				err = r.commit(ctx)
			}
			r.health.mark(ctx, &e.Docker)
			r.inspections.forget(&e.Docker)
			r.made.describe(ctx, e)
			r.inspections.identify(ctx, &e.Docker)
			r.inspections.start(ctx, &e.Docker)
			if r.cause != nil && !e.Docker.HealthCheck {
				r.cause(ctx, e)
			}
			r.made.attributed(e)
			r.batch.Add(e)
		}
	})
	if malformed != nil {
		r.sink.Malformed(fmt.Errorf("%s: %w", r.daemon, malformed))
	}
	return err
}

func (r *reader) commit(ctx context.Context) error {
	if r.batch.Len() == 0 {
		return nil
	}
	return r.batch.Commit(ctx)
}
