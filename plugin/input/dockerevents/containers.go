// SPDX-License-Identifier: Apache-2.0

package dockerevents

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/containerapi/containerapi/plugin/event"
)

const (
	// nameLimit is how long the engine may take to tell a container's name.
	nameLimit = 500 * time.Millisecond
	// nameLife is for how long it is believed, if no event says otherwise
	// before: a name can be given to another container.
	nameLife = 2 * time.Second
	// maxRef is the longest reference that is looked up: a client can send a
	// mebibyte.
	maxRef = 256
	// failurePause is for how many times as long as an attempt to ask took the
	// engine is not asked again after it failed.
	failurePause = 20
)

// Containers finds containers by what a client calls them: the id, the
// beginning of it, or the name. It is safe for use by several goroutines.
type Containers struct {
	engine *engine
	known  *lru.Cache[string, knownContainer]
	mu     sync.Mutex
	// resume is when the engine may be asked again.
	resume time.Time
}

type knownContainer struct {
	event.Container
	until time.Time
}

// Containers returns the containers of the engine whose events these are. It
// must be called before Run.
func (e *Events) Containers() *Containers {
	if e.containers == nil {
		// The only error is a size below one.
		known, _ := lru.New[string, knownContainer](maxContainers)
		e.containers = &Containers{engine: newEngine(e.endpoint), known: known}
	}
	return e.containers
}

// forget forgets a name that may now be another container's.
func (c *Containers) forget(d *event.Docker) {
	if c == nil || d.Type != "container" {
		return
	}
	switch d.Action {
	case "create", "destroy", "rename":
		c.known.Remove(d.ActorName)
		c.known.Remove(d.ActorID)
	}
}

// Find returns a container, or nothing if the engine does not know it or does
// not answer in time. With a context that has ended, the engine is not asked.
func (c *Containers) Find(ctx context.Context, ref string) event.Container {
	if found, ok := c.known.Get(ref); ok && (found.ID == ref || time.Now().Before(found.until)) {
		return found.Container
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	begin := time.Now()
	if len(ref) > maxRef || ctx.Err() != nil || begin.Before(c.resume) {
		return event.Container{}
	}
	limited, cancel := context.WithTimeout(ctx, nameLimit)
	defer cancel()
	found, err := c.engine.container(limited, ref)
	var status *statusError
	if err != nil && !errors.As(err, &status) {
		// Not the client's choice of a name: the engine is in trouble.
		if ctx.Err() == nil {
			now := time.Now()
			c.resume = now.Add(failurePause * now.Sub(begin))
		}
		return event.Container{}
	}
	c.known.Add(strings.Clone(ref), knownContainer{found, time.Now().Add(nameLife)})
	return found
}

// container asks the engine for a container's id, name and image.
func (g *engine) container(ctx context.Context, ref string) (event.Container, error) {
	if g.version == "" {
		if err := g.negotiate(ctx); err != nil {
			return event.Container{}, err
		}
	}
	var c struct {
		ID     string `json:"Id"`
		Name   string
		Config struct{ Image string }
	}
	if err := g.inspect(ctx, ref, &c); err != nil {
		return event.Container{}, err
	}
	return event.Container{ID: c.ID, Name: strings.TrimPrefix(c.Name, "/"), Image: c.Config.Image}, nil
}
