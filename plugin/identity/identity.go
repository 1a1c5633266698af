// SPDX-License-Identifier: Apache-2.0

// Package identity says whether a process is the program, or of the container,
// that it seems to be. A path and a name prove nothing: a user can mount
// what he likes over /usr/bin/docker in a namespace of his own, make the genuine
// program load his code, or name a cgroup after a container.
package identity

import (
	"slices"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/tap"
)

// Reason is why a process cannot be vouched for, the empty one that it can.
type Reason string

// What is wrong with a process, its executable or its container.
const (
	// Unseen: how the connection was made, or who is at its end, was not seen.
	Unseen Reason = "unseen"
	// HostHidden: the host's files and processes cannot be seen from here.
	HostHidden Reason = "host_hidden"
	// Owner: the executable is not root's.
	Owner Reason = "owner"
	// OtherFile: the executable is not the file that the host has at its path.
	OtherFile Reason = "other_file"
	// Deleted: the executable is at no path any more, and was not seen before.
	Deleted Reason = "deleted"
	// Writable: users other than root may write to the executable or replace it.
	Writable Reason = "writable"
	// Namespace: whoever started the process may have mounted other files where
	// the loader looks for libraries.
	Namespace Reason = "namespace"
	// Environment: a variable made the loader load other files, or the
	// environment could not be read.
	Environment Reason = "environment"
	// Library: it loaded code of a file that is not root's, whatever made it.
	Library Reason = "library"
	// Traced: another process controls it, or did.
	Traced Reason = "traced"
	// Memory: another process wrote into its memory.
	Memory Reason = "memory"
	// Renamed: it chose what its executable is said to be.
	Renamed Reason = "renamed"
	// Relay: it passes on what another program sends (docker system dial-stdio).
	Relay Reason = "relay"
	// Connection: another program made the connection, or sent on it as well.
	Connection Reason = "connection"
	// Engine: the engine did not say in time what it knows of the container.
	Engine Reason = "engine"
	// OtherContainer: the engine does not know the container, or the process is
	// not in its namespaces.
	OtherContainer Reason = "container"
)

const (
	// maxFiles is how many executables are remembered.
	maxFiles = 1024
	// fileLife is for how long what was seen of a path is believed.
	fileLife = 2 * time.Second
)

// Checker vouches for processes. It is not safe for use by several goroutines.
type Checker struct {
	host *Host
	now  func() time.Time
	// paths are the files of the host that were looked at last, by their path.
	paths *simplelru.LRU[string, *checked]
	// vouched are the paths of executables that were vouched for: when a package
	// is upgraded, programs that run have none any more.
	vouched *simplelru.LRU[tap.File, string]
}

// checked is what was found at a path of the host.
type checked struct {
	file  *executable
	err   Reason
	until time.Time
}

// NewChecker returns a Checker that looks at the files of the host.
func NewChecker(host *Host) *Checker {
	c := &Checker{host: host, now: time.Now}
	// The only error is a size that is not positive.
	c.paths, _ = simplelru.NewLRU[string, *checked](maxFiles, nil)
	c.vouched, _ = simplelru.NewLRU[tap.File, string](maxFiles, nil)
	return c
}

// Path returns the path of a process' executable: where it was if it was vouched
// for before it was deleted, as an upgrade of its package does.
func (c *Checker) Path(p *tap.Process) string {
	if path, ok := c.vouched.Get(p.Exe); ok && p.ExeDeleted && path+" (deleted)" == p.ExePath {
		return path
	}
	return p.ExePath
}

// Program says why a process on the host may be another program than the one at
// its executable's path, or one that does what others tell it to.
func (c *Checker) Program(p *tap.Process) Reason {
	switch {
	case p.Start == 0 || p.ExePath == "":
		return Unseen
	case p.Exe.UID != 0:
		return Owner
	case p.Code&tap.CodeRenamed != 0:
		return Renamed
	case p.Code&tap.CodeTraced != 0:
		return Traced
	case p.Code&tap.CodeWritten != 0:
		return Memory
	case p.Code&tap.CodeLoaded != 0, p.Code&tap.CodeKnown == 0 && c.host.runsOthers(p):
		return Library
	case p.UserNamespace:
		return Namespace
	}
	if p.ExeDeleted {
		if c.Path(p) == p.ExePath {
			return Deleted
		}
	} else if reason := c.file(p); reason != "" {
		return reason
	}
	return c.relays(p)
}

// file compares the executable with the host's file at its path.
func (c *Checker) file(p *tap.Process) Reason {
	found := c.at(p.ExePath)
	switch {
	case found.err != "":
		return found.err
	case !found.file.is(&p.Exe):
		return OtherFile
	case found.file.writable(p):
		return Writable
	case p.Code&(tap.CodePreloaded|tap.CodeUnread) != 0 && !c.host.static(p.ExePath):
		return Environment
	}
	c.vouched.Add(p.Exe, p.ExePath)
	return ""
}

// at looks at a path of the host, at most once in fileLife.
func (c *Checker) at(path string) *checked {
	now := c.now()
	if found, ok := c.paths.Get(path); ok && now.Before(found.until) {
		return found
	}
	file, err := c.host.executable(path)
	found := &checked{file: file, err: err, until: now.Add(fileLife)}
	c.paths.Add(path, found)
	return found
}

// relays says whether the process is one of the commands of docker, buildx and
// podman that connect what another program gives them to the engine.
func (c *Checker) relays(p *tap.Process) Reason {
	args := p.Args
	if p.ArgsCut || args == nil {
		if args = c.host.Args(p); args == nil {
			return Relay // it may be one
		}
	}
	if slices.Contains(args, "dial-stdio") {
		return Relay
	}
	return ""
}

// InContainer says why a process may not be in a container as its engine knows it.
func (c *Checker) InContainer(p *tap.Process, container *event.Running) Reason {
	if p.Start == 0 || p.MountNamespace == 0 {
		return Unseen
	}
	switch {
	case container.PID == 0 || p.HostMounts, container.Ended && p.UserNamespace:
		return OtherContainer
	case container.MountNamespace == 0:
		return HostHidden
	case container.MountNamespace != p.MountNamespace:
		return OtherContainer
	}
	return ""
}
