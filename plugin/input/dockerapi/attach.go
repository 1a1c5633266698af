// SPDX-License-Identifier: Apache-2.0

package dockerapi

import (
	"cmp"
	"time"

	"github.com/containerapi/containerapi/plugin/docker"
	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/httpwire"
	"github.com/containerapi/containerapi/plugin/operation"
)

const (
	// startTime is how long after an attach the start of the container may come
	// for the two to be one act of docker run or docker start --attach.
	startTime = 3 * time.Second
	// slowStart is how long an engine may take to start it.
	slowStart = 10 * time.Second
	// maxAttaches is how many attaches wait for that.
	maxAttaches = 1024
)

// attach is an attach to a container whose event waits for the container's start.
type attach struct {
	event event.Event
	start uint64 // of the process
	until int64
	// asked reports that the process asked to start the container, and that the
	// engine had not answered in time.
	asked bool
}

// waitsForStart reports whether the event of a request is not to be told yet,
// because the same process may start the container now: then it attached to what
// it runs itself.
func (r *reader) waitsForStart(e *event.Event, call *docker.Call, q *httpwire.Request) bool {
	return e.Operation == operation.ContainerAttach && (q.Status == 101 || q.Status == 200) && q.Unreadable == "" &&
		!call.ReadsPast() && e.Docker.Client.PID != 0 && len(r.attaches) < maxAttaches
}

// holdAttach keeps the event of an attach.
func (r *reader) holdAttach(e *event.Event, start uint64) {
	a := attach{event: *e, start: start, until: time.Now().Add(startTime).UnixNano()}
	a.event.Docker.Request.CreateMounts, a.event.Docker.Request.CreateExposes = nil, nil
	a.event.Kubernetes = event.Kubernetes{}
	r.attaches = append(r.attaches, a)
}

// tellStarted tells of the attaches of a process to the container that it asked
// to start, by which it began, or which it found running: 304.
func (r *reader) tellStarted(e *event.Event, start uint64) {
	if e.Operation != operation.ContainerStart || e.Docker.Request.Unreadable != "" {
		return
	}
	status := e.Docker.Request.Status
	r.tellAttaches(func(a *attach) (tell, own bool) {
		of := &a.event.Docker
		if a.start != start || of.Client.PID != e.Docker.Client.PID || object(of) != object(&e.Docker) {
			return false, false
		}
		if status == 0 && !a.asked {
			a.asked, a.until = true, a.until+int64(slowStart)
		}
		return status != 0, status == 204
	})
}

// tellLate tells of the attaches that no start followed.
func (r *reader) tellLate(now int64) {
	r.tellAttaches(func(a *attach) (tell, own bool) {
		if a.until > now {
			return false, false
		}
		if a.asked {
			found, _ := r.Containers.Running(r.ctx, a.event.Docker.Container.ID)
			own = found.Since.UnixNano() > a.event.Time
		}
		return true, own
	})
}

// tellAttaches tells of the attaches that a function chooses.
func (r *reader) tellAttaches(choose func(*attach) (tell, own bool)) {
	waiting := r.attaches[:0]
	for i := range r.attaches {
		a := &r.attaches[i]
		if tell, own := choose(a); tell {
			a.event.Docker.Request.AttachOwn = own
			r.batch.Add(&a.event)
		} else {
			waiting = append(waiting, *a)
		}
	}
	clear(r.attaches[len(waiting):])
	r.attaches = waiting
}

// object returns what tells a container from others.
func object(d *event.Docker) string { return cmp.Or(d.Container.ID, d.Container.Name) }
