// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"cmp"
	"slices"
	"strings"

	"github.com/containerapi/containerapi/plugin/command"
	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/hostaccess"
	"github.com/containerapi/containerapi/plugin/jsonscan"
)

// body is what is kept of the body of a request: the members that its type
// names, and nothing else of it. It is read as dockerd does, with encoding/json,
// but that of a member that stands there twice all values count where they are
// a list: an honest client sends none.
type body interface {
	// root is what is wanted of the body.
	root() *jsonscan.Node
	// describe writes what the body says into the event of the request.
	describe(e *event.Event)
}

// text wants a string.
func text(to *string) *jsonscan.Node {
	return &jsonscan.Node{String: func(s string) { *to = s }, Null: func() {}}
}

// flag wants a boolean.
func flag(to *bool) *jsonscan.Node { return &jsonscan.Node{Bool: func(b bool) { *to = b }} }

// list wants the strings of a list.
func list(to *[]string) *jsonscan.Node {
	return &jsonscan.Node{Element: &jsonscan.Node{String: func(s string) { *to = append(*to, s) }}}
}

// listOrString wants a list of strings, or one string in its place; the last one
// counts. From StrSlice in github.com/docker/docker/api/types/strslice.
func listOrString(to *[]string) *jsonscan.Node {
	n := list(to)
	n.Begin = func(bool) { *to = nil }
	n.Null = func() { *to = nil }
	n.String = func(s string) { *to = []string{s} }
	return n
}

// object wants members.
func object(members map[string]*jsonscan.Node) *jsonscan.Node {
	return &jsonscan.Node{Members: members}
}

// execBody is of ExecCreateRequest in github.com/moby/moby/api/types/container.
type execBody struct {
	privileged bool
	command    []string
	stdin, tty bool
}

func newExec() body { return new(execBody) }

func (b *execBody) root() *jsonscan.Node {
	return object(map[string]*jsonscan.Node{
		"Privileged": flag(&b.privileged), "Cmd": listOrString(&b.command), "AttachStdin": flag(&b.stdin), "Tty": flag(&b.tty),
	})
}

func (b *execBody) describe(e *event.Event) {
	describeCommand(e, b.command, b.stdin, b.tty)
	e.Docker.Request.ExecPrivileged = b.privileged
}

// describeCommand writes what is run, and what it reads, into the event of a request
// that gives it input or a terminal.
func describeCommand(e *event.Event, words []string, stdin, tty bool) {
	e.Docker.Command = strings.TrimRight(command.MaskWords(words), " ")
	in := command.NoInput
	switch {
	case stdin && tty:
		in = command.Terminal
	case stdin:
		in = command.Fed
	}
	e.CommandReads = command.ReadsWith(words, in)
}

// eventCommand returns the command as the engine's event shows it, masked: its
// words are joined there.
func (b *execBody) eventCommand() string {
	return command.Mask(strings.TrimRight(strings.Join(b.command, " "), " "))
}

// createBody is of CreateRequest in github.com/moby/moby/api/types/container.
// Up to Docker 24 the host configuration could also stand at the top level
// (ContainerConfigWrapper in runconfig/config_unix.go).
type createBody struct {
	image      string
	entrypoint []string
	command    []string
	stdin, tty bool
	volumes    []string
	labels     labels
	outer      hostConfig
	inner      hostConfig
	isInner    bool // there is an inner one, which counts then
}

func newCreate() body { return new(createBody) }

func (b *createBody) root() *jsonscan.Node {
	inner := object(b.inner.members())
	inner.Begin = func(array bool) { b.isInner = !array }
	inner.Null = func() { b.isInner = false }
	members := b.outer.members()
	members["Image"] = text(&b.image)
	members["Entrypoint"] = listOrString(&b.entrypoint)
	members["Cmd"] = listOrString(&b.command)
	members["OpenStdin"] = flag(&b.stdin)
	members["Tty"] = flag(&b.tty)
	members["Volumes"] = &jsonscan.Node{Key: func(path string) { b.volumes = append(b.volumes, path) }}
	members["Labels"] = b.labels.root()
	members["HostConfig"] = inner
	return object(members)
}

func (b *createBody) describe(e *event.Event) {
	h := &b.outer
	if b.isInner {
		h = &b.inner
	}
	asked := h.request()
	// Who asks for a container of a project gets what is the project's own: whether
	// it is, the engine knows.
	asked.Siblings = b.labels.owner() != ""
	slices.Sort(b.volumes)
	r := &e.Docker.Request
	r.CreateImage = b.image
	r.CreatePrivileged = h.privileged
	r.CreateMounts = append(h.shownMounts(), slices.Compact(b.volumes)...)
	r.CreateExposes = asked.Exposes()
	// What the request does not say is the image's: without an entrypoint here, the
	// command can be words for one there.
	describeCommand(e, slices.Concat(b.entrypoint, b.command), b.stdin, b.tty)
}

// hostConfig is of HostConfig in github.com/moby/moby/api/types/container.
type hostConfig struct {
	binds       []string
	mounts      []mountPoint
	devices     []string // of the host
	deviceRules []string
	privileged  bool
	pidMode     string
	ipcMode     string
	networkMode string
	userMode    string
	capAdd      []string
	security    []string
	volumesFrom []string
	masked      hidden
	readonly    hidden
}

func (h *hostConfig) members() map[string]*jsonscan.Node {
	return map[string]*jsonscan.Node{
		"Binds":             list(&h.binds),
		"Mounts":            {Element: h.mountPoint()},
		"Devices":           {Element: object(map[string]*jsonscan.Node{"PathOnHost": {String: func(s string) { h.devices = append(h.devices, s) }}})},
		"DeviceCgroupRules": list(&h.deviceRules),
		"Privileged":        flag(&h.privileged),
		"PidMode":           text(&h.pidMode),
		"IpcMode":           text(&h.ipcMode),
		"NetworkMode":       text(&h.networkMode),
		"UsernsMode":        text(&h.userMode),
		"CapAdd":            listOrString(&h.capAdd),
		"SecurityOpt":       list(&h.security),
		"VolumesFrom":       list(&h.volumesFrom),
		"MaskedPaths":       h.masked.root(),
		"ReadonlyPaths":     h.readonly.root(),
	}
}

// request returns what is asked of the host.
func (h *hostConfig) request() hostaccess.Request {
	r := hostaccess.Request{
		Privileged: h.privileged, PIDMode: h.pidMode, IPCMode: h.ipcMode, NetworkMode: h.networkMode, UserMode: h.userMode,
		Capabilities: h.capAdd, SecurityOptions: h.security, Unmasked: h.masked.nothing || h.readonly.nothing,
		VolumesFrom: h.volumesFrom, Devices: h.devices, DeviceRules: h.deviceRules,
	}
	for _, b := range h.binds {
		// What begins otherwise is the name of a volume, and a path alone is
		// one in the container.
		if source, _, ok := strings.Cut(b, ":"); ok && strings.HasPrefix(source, "/") {
			r.Paths = append(r.Paths, source)
		}
	}
	for _, m := range h.mounts {
		if strings.HasPrefix(m.source, "/") {
			r.Paths = append(r.Paths, m.source)
		}
		r.Volumes = append(r.Volumes, m.options)
	}
	return r
}

// hidden is a list of the paths that a container does not get to see. Without one,
// the engine takes its own.
type hidden struct{ nothing bool }

func (h *hidden) root() *jsonscan.Node {
	return &jsonscan.Node{
		Begin:   func(array bool) { h.nothing = array },
		Null:    func() { h.nothing = false },
		Element: &jsonscan.Node{String: func(string) { h.nothing = false }},
	}
}

// labels keeps which of those that go together an object is one of: a project of
// Compose, a service of a swarm, a pod of Kubernetes.
type labels struct {
	project, service, pod string
}

func (l *labels) root() *jsonscan.Node {
	return object(map[string]*jsonscan.Node{
		"com.docker.compose.project":  text(&l.project),
		"com.docker.swarm.service.id": text(&l.service),
		"io.kubernetes.pod.uid":       text(&l.pod),
	})
}

// owner names what the object is one of, "" if it is none.
func (l *labels) owner() string {
	switch {
	case l.project != "":
		return "project " + l.project
	case l.service != "":
		return "service " + l.service
	case l.pod != "":
		return "pod " + l.pod
	}
	return ""
}

// startBody is what an engine before Docker 24 takes at the start of a container, by
// an API before 1.24: "postContainersStart" in
// api/server/router/container/container_routes.go of moby/moby. All others send none.
type startBody struct{ host hostConfig }

func newStart() body { return new(startBody) }

func (b *startBody) root() *jsonscan.Node { return object(b.host.members()) }

func (b *startBody) describe(e *event.Event) {
	asked := b.host.request()
	r := &e.Docker.Request
	r.CreatePrivileged, r.CreateMounts, r.CreateExposes = b.host.privileged, b.host.shownMounts(), asked.Exposes()
}

// mountPoint wants the next element of Mounts.
func (h *hostConfig) mountPoint() *jsonscan.Node {
	last := func() *mountPoint { return &h.mounts[len(h.mounts)-1] }
	options := volumeOptions(func() *hostaccess.Volume { return &last().options })
	return &jsonscan.Node{
		Begin: func(bool) { h.mounts = append(h.mounts, mountPoint{}) },
		Members: map[string]*jsonscan.Node{
			"Source": {String: func(s string) { last().source = s }},
			"Target": {String: func(s string) { last().target = s }},
			"VolumeOptions": object(map[string]*jsonscan.Node{
				"DriverConfig": object(map[string]*jsonscan.Node{"Options": object(options)}),
			}),
		},
	}
}

// volumeBody is of CreateRequest in github.com/moby/moby/api/types/volume.
type volumeBody struct {
	name    string
	options hostaccess.Volume
}

func newVolume() body { return new(volumeBody) }

func (b *volumeBody) root() *jsonscan.Node {
	options := volumeOptions(func() *hostaccess.Volume { return &b.options })
	return object(map[string]*jsonscan.Node{"Name": text(&b.name), "DriverOpts": object(options)})
}

func (b *volumeBody) object() string { return b.name }

func (b *volumeBody) request() hostaccess.Request {
	return hostaccess.Request{Volumes: []hostaccess.Volume{b.options}}
}

// shownMounts returns what of the host is asked for, as "source:volume".
func (b *volumeBody) shownMounts(asked *hostaccess.Request) []string {
	var list []string
	for _, source := range asked.HostPaths() {
		list = append(list, source+":"+b.name)
	}
	return list
}

func (b *volumeBody) describe(e *event.Event) {
	asked := b.request()
	r := &e.Docker.Request
	r.CreateMounts, r.CreateExposes = b.shownMounts(&asked), asked.Exposes()
}

type mountPoint struct {
	source, target string
	options        hostaccess.Volume
}

// volumeOptions wants the options of a volume's driver that name something of the
// host: others can hold credentials.
func volumeOptions(of func() *hostaccess.Volume) map[string]*jsonscan.Node {
	members := make(map[string]*jsonscan.Node)
	for _, name := range []string{"type", "device", "o"} {
		members[name] = &jsonscan.Node{String: func(s string) { of().SetOption(name, s) }}
	}
	return members
}

// shownMounts returns the mounts as "source:target".
func (h *hostConfig) shownMounts() []string {
	list := h.binds
	for _, m := range h.mounts {
		source := cmp.Or(m.options.Device, m.source)
		if source != "" {
			source += ":"
		}
		list = append(list, source+m.target)
	}
	return list
}
