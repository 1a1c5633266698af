// SPDX-License-Identifier: Apache-2.0

package dockerapi

import (
	"math"
	"regexp"
	"slices"

	"github.com/containerapi/containerapi/plugin/command"
	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/hostfs"
	"github.com/containerapi/containerapi/plugin/identity"
	"github.com/containerapi/containerapi/plugin/oneline"
	"github.com/containerapi/containerapi/plugin/tap"
)

// containerID finds a container's id in the path of a cgroup, where every
// runtime puts it: docker-<id>.scope, libpod-<id>.scope, cri-containerd-<id>,
// kubepods/…/<id>.
var containerID = regexp.MustCompile(`[0-9a-f]{64}`)

// wholeID is a container's id and nothing else.
var wholeID = regexp.MustCompile(`^[0-9a-f]{64}$`)

// client returns what an event says of a process.
func client(p *tap.Process, host *identity.Host) event.Client {
	c := event.Client{
		PID:        uint64(p.PID),
		PPID:       uint64(p.PPID),
		Name:       oneline.Text(p.Comm),
		ParentName: oneline.Text(p.ParentComm),
		ExePath:    oneline.Text(p.ExePath),
		Cmdline:    command.MaskArgs(p.Args),
		UID:        int64(p.UID),
		LoginUID:   -1,
	}
	// Of a process that was gone when its connection was taken, /proc can
	// only tell what is another's by now.
	if p.Start == 0 {
		return c
	}
	if p.Args == nil {
		c.Cmdline = command.MaskArgs(host.Args(p))
	}
	if p.LoginUID != math.MaxUint32 {
		c.LoginUID = int64(p.LoginUID)
	}
	// A cgroup's name is only a name: what has the host's mounts and pids is in no
	// container.
	apart := p.PIDNamespace != 0 && p.PIDNamespace != hostfs.InitPIDNamespace
	if ids := containerID.FindAllString(p.Cgroup, -1); len(ids) > 0 && (apart || !p.HostMounts) {
		c.Container.ID = ids[len(ids)-1]
	}
	c.InContainer = c.Container.ID != "" || apart
	return c
}

// containersOf returns the ids of the containers that the path of a process' cgroup
// names, the innermost first.
func containersOf(p *tap.Process) []string {
	ids := containerID.FindAllString(p.Cgroup, -1)
	slices.Reverse(ids)
	return slices.Compact(ids)
}

// peer is who is at a client's end of a connection: the process that connected,
// or that sent last.
type peer struct {
	process tap.Process
	// connected is the pid of the process that connected, 0 if that was not
	// seen.
	connected uint32
	// foreign is why what is sent on the connection may not be the process'
	// own, because of others that connected or sent before. It stays.
	foreign identity.Reason
	// client is what an event says of the process, worked out once: a command line
	// takes long to mask.
	client event.Client
	// checked says that the client's container has been looked for.
	checked bool
}

// sentBy makes another process the one that sends on the connection.
func (s *peer) sentBy(p *tap.Process, checker *identity.Checker) {
	switch {
	case s.foreign != "":
	case s.process.MountNamespace != p.MountNamespace:
		s.foreign = identity.Connection
	case !p.HostMounts && len(containersOf(p)) > 0:
		// Of the same container, whichever program it is.
	case s.process.Exe != p.Exe || s.process.UID != p.UID:
		s.foreign = identity.Connection
	default:
		s.foreign = checker.Program(&s.process)
	}
	s.process, s.client, s.checked = *p, event.Client{}, false
}

// clientOf returns the process that sent last on a connection.
func (r *reader) clientOf(c *conn) event.Client {
	if c.peer == nil || c.tcp && c.peer.process.PID == 0 {
		r.bind(c)
	}
	s := c.peer
	if s.process.PID != 0 && s.client.PID == 0 {
		s.client = client(&s.process, r.host)
		if !s.client.InContainer {
			s.client.ExePath = oneline.Text(r.checker.Path(&s.process))
		}
	}
	if s.process.PID != 0 && !s.checked {
		r.check(c, s)
	}
	who := s.client
	if c.tcp {
		who.Addr = c.link.client.Addr().String()
	}
	return who
}

// check finds out whether the client is what it seems to be.
func (r *reader) check(c *conn, s *peer) {
	var reason identity.Reason
	s.checked = true
	if s.client.InContainer {
		reason = r.inContainer(s)
	} else {
		reason = r.checker.Program(&s.process)
	}
	if s.foreign != "" {
		reason = s.foreign
	}
	if !r.sawConnect(c, s) {
		reason = identity.Unseen
	}
	s.client.Verified, s.client.UnverifiedReason = reason == "", string(reason)
}

// sawConnect reports whether it is known who made the connection. Of one that is
// older than the tap it is enough that a process as old as that sends on it.
func (r *reader) sawConnect(c *conn, s *peer) bool {
	if s.connected != 0 {
		return true
	}
	return c.adopted && s.process.Start < r.started && (c.tcp || c.acceptedFrom.PID == s.process.PID)
}

// inContainer finds the client's container, and says why it may be in none. While
// much waits to be read, the engine, which can take its time, is not asked.
func (r *reader) inContainer(s *peer) identity.Reason {
	if r.tap.Busy() {
		s.checked = false
		if found := r.Containers.Cached(s.client.Container.ID); found.ID != "" {
			s.client.Container = found
		}
		return identity.Engine
	}
	for _, id := range containersOf(&s.process) {
		found, answered := r.Containers.Running(r.ctx, id)
		if !answered {
			s.checked = false
			return identity.Engine
		}
		if found.ID == "" {
			continue
		}
		s.client.Container, s.client.Image = found.Container, found.Image
		return r.checker.InContainer(&s.process, &found)
	}
	return identity.OtherContainer
}
