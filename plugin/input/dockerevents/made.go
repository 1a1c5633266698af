// SPDX-License-Identifier: Apache-2.0

package dockerevents

import (
	"context"
	"encoding/json"
	"errors"
	"hash/maphash"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/containerapi/containerapi/plugin/docker"
	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/hostfs"
)

const (
	// madeLimit is how long the engine may take to say what it made. Inspecting a
	// container waits for its start, and events wait meanwhile, in their order.
	madeLimit = 5 * time.Second
	// lookLimit is how long the host's file system may take to say what is at the
	// paths that a container mounts.
	lookLimit = time.Second
	// maxSeen is of how many objects it is remembered what they expose.
	maxSeen = 4096
	// maxSources is of how many of an object's paths each is remembered.
	maxSources = 64
	// maxVolumes and maxOthers are how many volumes of a container, and how many
	// other containers that it shares something with, the engine is asked for.
	maxVolumes, maxOthers = 64, 16
)

// errMany is the error of a container with more volumes, or that shares with more
// containers, than the engine is asked for.
var errMany = errors.New("too many volumes or containers to ask for")

// made says what the engine made, by asking it: what of the host a container, a
// volume, a service or an engine plugin shows. It is used by one goroutine.
type made struct {
	engine *engine
	// host is the file system that the engine's process pid sees.
	host *hostfs.Host
	pid  int32
	// sockets are the paths of the sockets of a local engine.
	sockets []string
	// seen holds what an object was last reported to expose.
	seen *simplelru.LRU[string, shown]
	seed maphash.Seed
	// resume is when the engine may be asked again.
	resume time.Time
	// owner is what the container of the event that was described last is one of.
	owner string
}

func newMade(g *engine, socket string) *made {
	m := &made{engine: g, seed: maphash.MakeSeed()}
	if socket != "" {
		m.sockets = []string{socket}
	}
	// The only error is a size below one.
	m.seen, _ = simplelru.NewLRU[string, shown](maxSeen, nil)
	return m
}

// waits reports whether describe asks the engine about an event.
func (m *made) waits(d *event.Docker) bool { return m.reader(d) != nil }

// reader returns what reads the engine's view of an event's object, nil if that
// does not matter.
func (m *made) reader(d *event.Docker) func(ctx context.Context, id string) (*docker.Made, error) {
	if d.ActorID == "" {
		return nil
	}
	switch d.Type + " " + d.Action {
	case "container create":
		return m.container
	case "container start":
		// What a link leads to can change before the mount. A container that was
		// there before is not new, whatever it shows.
		if m.seen.Contains(seenKey(d)) {
			return m.container
		}
	case "volume create":
		return m.volume
	case "service create", "service update":
		return m.service
	case "plugin create", "plugin pull", "plugin enable":
		return m.plugin
	}
	return nil
}

func seenKey(d *event.Docker) string { return d.Type + " " + d.ActorID }

// describe writes into an event what the engine made and what that exposes. An
// object that is changed or started exposes nothing if it did so before.
func (m *made) describe(ctx context.Context, e *event.Event) {
	d := &e.Docker
	read := m.reader(d)
	if read == nil {
		m.forget(d)
		return
	}
	begin := time.Now()
	if begin.Before(m.resume) {
		d.Request.Unread = d.Action != "start"
		return
	}
	limited, cancel := context.WithTimeout(ctx, madeLimit)
	defer cancel()
	found, err := read(limited, d.ActorID)
	var status *statusError
	switch {
	case errors.As(err, &status):
		// It is gone by now, or this node may not know. What the client asked for is
		// all there is.
		return
	case err != nil && limited.Err() != nil:
		// For as long as it took, events do not wait for it again.
		m.resume = time.Now().Add(time.Since(begin))
	}
	if found == nil {
		d.Request.Unread = d.Action != "start"
		return
	}
	d.Request.Unread = err != nil
	found.Describe(e)
	m.owner = found.Kind.Owner
	m.compare(d, found.Access.Sources())
}

// shown is what of its host an object exposes: by its name, and by hashes of the
// paths that do.
type shown struct {
	exposes []string
	sources []uint64
}

// compare takes back what is not new: the same, of no other path.
func (m *made) compare(d *event.Docker, sources []string) {
	r := &d.Request
	key := seenKey(d)
	before, known := m.seen.Get(key)
	now := shown{exposes: slices.Clone(r.CreateExposes), sources: m.hash(sources)}
	m.seen.Add(strings.Clone(key), now)
	if known && covers(before.exposes, now.exposes) && covers(before.sources, now.sources) {
		r.CreateExposes = r.CreateExposes[:0]
	}
}

// hash returns what is remembered of paths: of very many that they are these.
func (m *made) hash(paths []string) []uint64 {
	if len(paths) > maxSources {
		paths = []string{strings.Join(paths, "\x00")}
	}
	var list []uint64
	for _, p := range paths {
		list = append(list, maphash.String(m.seed, p))
	}
	return list
}

// attributed takes back what a service's own event told of the containers that the
// engine creates for it, once it is known that no client asked for this one.
func (m *made) attributed(e *event.Event) {
	d := &e.Docker
	owner := m.owner
	if m.owner = ""; !strings.HasPrefix(owner, "service ") || d.Client.PID != 0 || len(d.Request.CreateExposes) == 0 {
		return
	}
	// As seenKey of the service.
	before, known := m.seen.Get(owner)
	e.Repeated = known && covers(before.exposes, d.Request.CreateExposes)
	if !known {
		of, _ := m.seen.Get(seenKey(d))
		m.seen.Add(owner, of)
	}
}

// covers reports whether what is exposed now was exposed before.
func covers[T comparable](before, now []T) bool {
	return !slices.ContainsFunc(now, func(what T) bool { return !slices.Contains(before, what) })
}

// forget forgets an object that is gone.
func (m *made) forget(d *event.Docker) {
	switch d.Action {
	case "destroy", "remove":
		m.seen.Remove(seenKey(d))
	}
}

// container asks what a container is: its mounts with links followed, its volumes
// with what they mount, and whether it is a stranger to the containers that it shares
// something with. With an error, what was found until then is returned as well.
func (m *made) container(ctx context.Context, id string) (*docker.Made, error) {
	found, err := ask(ctx, m.engine, "/containers/"+url.PathEscape(id)+"/json", nil, docker.ReadContainer)
	if err != nil {
		return nil, err
	}
	return found, errors.Join(m.volumes(ctx, found), m.others(ctx, id, found), m.look(ctx, found))
}

// volumes adds what a container's volumes are made of.
func (m *made) volumes(ctx context.Context, found *docker.Made) error {
	for i, name := range found.Volumes {
		if i == maxVolumes {
			return errMany
		}
		volume, err := ask(ctx, m.engine, "/volumes/"+url.PathEscape(name), nil, docker.ReadVolume)
		if err := unlessGone(err); err != nil {
			return err
		}
		if volume != nil {
			found.Access.Volumes = append(found.Access.Volumes, volume.Access.Volumes...)
		}
	}
	return nil
}

// others finds out whose namespaces and volumes a container shares.
func (m *made) others(ctx context.Context, id string, found *docker.Made) error {
	var kinds []docker.Kind
	if len(found.Volumes) > 0 {
		filters, err := json.Marshal(map[string][]string{"volume": found.Volumes})
		if err != nil {
			return err
		}
		query := url.Values{"all": {"1"}, "filters": {string(filters)}}
		kinds, err = ask(ctx, m.engine, "/containers/json", query, func(answer io.Reader) ([]docker.Kind, error) {
			return docker.ReadKinds(answer, id)
		})
		if err != nil {
			return err
		}
		found.Access.SharesVolumes = len(kinds) > 0
	}
	for i, name := range found.Others {
		if i == maxOthers {
			return errMany
		}
		other, err := ask(ctx, m.engine, "/containers/"+url.PathEscape(name)+"/json", nil, docker.ReadContainer)
		switch {
		case unlessGone(err) != nil:
			return err
		case err != nil: // a stranger
			kinds = append(kinds, docker.Kind{})
		default:
			kinds = append(kinds, other.Kind)
		}
	}
	found.Access.Siblings = !slices.ContainsFunc(kinds, func(k docker.Kind) bool { return !k.Like(found.Kind) })
	return nil
}

// unlessGone returns an error unless it is what the engine answered.
func unlessGone(err error) error {
	var status *statusError
	if errors.As(err, &status) {
		return nil
	}
	return err
}

// look adds what is at the paths of the host.
func (m *made) look(ctx context.Context, found *docker.Made) error {
	limited, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	var err error
	if len(m.sockets) == 0 {
		return nil // the engine of another host
	}
	if pid := m.engine.pid.Load(); m.host == nil || pid != m.pid {
		m.host, m.pid = hostfs.Of(int(pid)), pid
	}
	found.Access.Sockets = m.sockets
	if data := m.engine.data.Load(); data != nil {
		found.Access.Data = []string{*data}
	}
	found.Access.Found, err = m.host.Look(limited, found.Access.HostPaths(), m.sockets)
	return err
}

func (m *made) volume(ctx context.Context, name string) (*docker.Made, error) {
	found, err := ask(ctx, m.engine, "/volumes/"+url.PathEscape(name), nil, docker.ReadVolume)
	if err != nil {
		return nil, err
	}
	return found, m.look(ctx, found)
}

func (m *made) service(ctx context.Context, id string) (*docker.Made, error) {
	found, err := ask(ctx, m.engine, "/services/"+url.PathEscape(id), nil, docker.ReadService)
	if err != nil {
		return nil, err
	}
	return found, m.look(ctx, found)
}

func (m *made) plugin(ctx context.Context, id string) (*docker.Made, error) {
	found, err := ask(ctx, m.engine, "/plugins/"+url.PathEscape(id)+"/json", nil, docker.ReadPlugin)
	if err != nil {
		return nil, err
	}
	return found, m.look(ctx, found)
}
