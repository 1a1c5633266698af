// SPDX-License-Identifier: Apache-2.0

package dockerevents

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/containerapi/containerapi/plugin/event"
)

const (
	// infoLimit is how long an engine may take to describe itself. Events do
	// not wait for it.
	infoLimit = 10 * time.Second
	// maxInfo is how many bytes of that are read, maxAddresses how many
	// addresses are reported.
	maxInfo, maxAddresses = 4 << 20, 16
)

// openAddress finds the address of a listener without TLS in a warning of GET
// /info, whose beginning differs between versions. From 'func (daemon *Daemon)
// fillAPIInfo' in daemon/info.go of moby/moby.
var openAddress = regexp.MustCompile(`API is accessible on http://([^\s/"]+) without encryption`)

// listeners is what is known of the addresses at which the engine listens without
// TLS. Each is reported once for each start of the engine.
type listeners struct {
	// reported are the addresses that were reported since the engine's last
	// start, as far as its starts are known.
	reported []string
	// last is the time of the newest event since that start, in nanoseconds
	// since the Unix epoch by the engine's clock, or 0.
	last int64
	// gone is set if no engine listened at a time since then.
	gone bool
	// failed is set once the log says that the engine gives no answer.
	failed bool
}

// checkListeners asks the engine where it listens, on a goroutine of its own, and
// delivers an event for each address without TLS that was not reported before.
//
// The caller calls end when the connection is lost, with the time of its newest
// event, or 0 if it had none. That ends the asking and waits for the goroutine.
func (r *reader) checkListeners(ctx context.Context) (end func(newest int64)) {
	asking, cancel := context.WithTimeout(ctx, infoLimit)
	fresh := false
	var asked sync.WaitGroup
	asked.Go(func() { fresh = r.reportListeners(ctx, asking) })
	return func(newest int64) {
		cancel()
		asked.Wait()
		if newest != 0 || fresh {
			r.listeners.last = newest
		}
	}
}

// reportListeners delivers the events, and returns whether the engine counts as
// started since it was last asked. It asks under the second context.
func (r *reader) reportListeners(ctx, asking context.Context) (fresh bool) {
	l := &r.listeners
	id, addresses, err := r.engine.openAddresses(asking)
	if asking.Err() != nil && !errors.Is(asking.Err(), context.DeadlineExceeded) {
		return false // the connection is lost, and the next one asks again
	}
	if err != nil && !l.failed {
		l.failed = true
		r.sink.Info("%s does not say whether it listens without TLS: %v", r.daemon, r.endpoint.reason(err))
	}
	if p := r.endpoint; len(addresses) == 0 && p.network == "tcp" && p.tls == nil {
		addresses = []string{r.daemon}
	}
	if err != nil && len(addresses) == 0 {
		return false
	}
	if len(l.reported) > 0 && r.restarted(asking) {
		l.reported, fresh = nil, true
	}
	l.gone = false
	batch := r.sink.Batch()
	for _, address := range addresses {
		if !slices.Contains(l.reported, address) {
			batch.Add(&event.Event{
				Input: event.DockerEvent,
				Time:  time.Now().UnixNano(),
				Docker: event.Docker{
					Daemon: r.daemon, Type: "daemon", Action: "insecure", ActorID: id, ActorName: address,
				},
			})
		}
	}
	if batch.Len() > 0 {
		if batch.Commit(ctx) != nil {
			return false
		}
		fresh = true
	}
	l.reported = addresses
	return fresh
}

// restarted reports whether the engine was started since it was last asked. An
// engine does not say when it started, but one that still remembers the last
// event that it sent was not. (One that had more than 256 since then does not.)
// Where there was none, one that was never gone was not.
func (r *reader) restarted(ctx context.Context) bool {
	l := &r.listeners
	if l.last == 0 {
		return l.gone
	}
	remembers, err := r.engine.remembers(ctx, l.last)
	if err != nil {
		return l.gone
	}
	return !remembers
}

// openAddresses notes where the engine keeps its data, and returns its id and the
// addresses at which it listens without TLS, such as "tcp://0.0.0.0:2375".
func (g *engine) openAddresses(ctx context.Context) (id string, addresses []string, err error) {
	prefix, err := g.prefix(ctx)
	if err != nil {
		return "", nil, err
	}
	body, header, err := g.get(ctx, prefix+"/info", "")
	if err != nil {
		return "", nil, err
	}
	defer body.Close()
	var info struct {
		ID            string
		DockerRootDir string
		Warnings      []string
	}
	if !isJSON(header) {
		return "", nil, errNotEngine
	}
	if err := json.NewDecoder(io.LimitReader(body, maxInfo)).Decode(&info); err != nil {
		return "", nil, errors.New("the info response cannot be read")
	}
	if info.DockerRootDir != "" {
		g.data.Store(&info.DockerRootDir)
	}
	for _, warning := range info.Warnings {
		found := openAddress.FindStringSubmatch(warning)
		if found == nil || len(addresses) == maxAddresses {
			continue
		}
		if address := "tcp://" + readable(found[1]); !slices.Contains(addresses, address) {
			addresses = append(addresses, address)
		}
	}
	return readable(info.ID), addresses, nil
}

// remembers reports whether the engine has events up to a time, in nanoseconds
// since the Unix epoch, that is past.
func (g *engine) remembers(ctx context.Context, until int64) (bool, error) {
	prefix, err := g.prefix(ctx)
	if err != nil {
		return false, err
	}
	query := url.Values{"since": {"1"}, "until": {fmt.Sprintf("%d.%09d", until/1e9, until%1e9)}}
	body, _, err := g.get(ctx, prefix+"/events", query.Encode())
	if err != nil {
		return false, err
	}
	defer body.Close()
	begin := make([]byte, 64)
	n, err := io.ReadFull(body, begin)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return bytes.IndexByte(begin[:n], '{') >= 0, err
}
