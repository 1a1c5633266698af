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
}

func newExec() body { return new(execBody) }

func (b *execBody) root() *jsonscan.Node {
	return object(map[string]*jsonscan.Node{"Privileged": flag(&b.privileged), "Cmd": listOrString(&b.command)})
}

func (b *execBody) describe(e *event.Event) {
	e.Docker.Command = strings.TrimRight(command.MaskWords(b.command), " ")
	e.CommandReads = command.ReadsOf(b.command)
	e.Docker.Request.ExecPrivileged = b.privileged
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
	image   string
	volumes []string
	outer   hostConfig
	inner   hostConfig
	isInner bool // there is an inner one, which counts then
}

func newCreate() body { return new(createBody) }

func (b *createBody) root() *jsonscan.Node {
	inner := object(b.inner.members())
	inner.Begin = func(array bool) { b.isInner = !array }
	inner.Null = func() { b.isInner = false }
	members := b.outer.members()
	members["Image"] = text(&b.image)
	members["Volumes"] = &jsonscan.Node{Key: func(path string) { b.volumes = append(b.volumes, path) }}
	members["HostConfig"] = inner
	return object(members)
}

func (b *createBody) describe(e *event.Event) {
	h := &b.outer
	if b.isInner {
		h = &b.inner
	}
	asked := hostaccess.Request{
		Privileged: h.privileged, PIDMode: h.pidMode, Capabilities: h.capAdd, DeviceRules: h.deviceRules,
	}
	asked.Paths, asked.Devices = h.reach()
	slices.Sort(b.volumes)
	r := &e.Docker.Request
	r.CreateImage = b.image
	r.CreatePrivileged = h.privileged
	r.CreateMounts = append(h.shownMounts(), slices.Compact(b.volumes)...)
	r.CreateExposes = asked.Exposes()
}

type hostConfig struct {
	binds       []string
	mounts      []mountPoint
	devices     []string // of the host
	deviceRules []string
	privileged  bool
	pidMode     string
	capAdd      []string
}

func (h *hostConfig) members() map[string]*jsonscan.Node {
	return map[string]*jsonscan.Node{
		"Binds":             list(&h.binds),
		"Mounts":            {Element: h.mountPoint()},
		"Devices":           {Element: object(map[string]*jsonscan.Node{"PathOnHost": {String: func(s string) { h.devices = append(h.devices, s) }}})},
		"DeviceCgroupRules": list(&h.deviceRules),
		"Privileged":        flag(&h.privileged),
		"PidMode":           text(&h.pidMode),
		"CapAdd":            listOrString(&h.capAdd),
	}
}

// mountPoint wants the next element of Mounts.
func (h *hostConfig) mountPoint() *jsonscan.Node {
	last := func() *mountPoint { return &h.mounts[len(h.mounts)-1] }
	options := driverOptionMembers(func() *driverOptions { return &last().options })
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
	options driverOptions
}

func newVolume() body { return new(volumeBody) }

func (b *volumeBody) root() *jsonscan.Node {
	options := driverOptionMembers(func() *driverOptions { return &b.options })
	return object(map[string]*jsonscan.Node{"Name": text(&b.name), "DriverOpts": object(options)})
}

func (b *volumeBody) object() string { return b.name }

func (b *volumeBody) describe(e *event.Event) {
	var asked hostaccess.Request
	b.options.reach(&asked.Paths, &asked.Devices)
	r := &e.Docker.Request
	r.CreateExposes = asked.Exposes()
	for _, source := range slices.Concat(asked.Paths, asked.Devices) {
		r.CreateMounts = append(r.CreateMounts, source+":"+b.name)
	}
}

type mountPoint struct {
	source, target string
	options        driverOptions
}

// driverOptions keeps of a volume driver's options what they name of the host:
// others can hold credentials.
type driverOptions struct {
	device string
	// bind says that the device is a directory or file that is mounted once
	// more, and layers are the directories that an overlay is made of.
	bind   bool
	layers []string
}

// driverOptionMembers wants the options that name something of the host.
func driverOptionMembers(of func() *driverOptions) map[string]*jsonscan.Node {
	return map[string]*jsonscan.Node{
		"device": {String: func(s string) { of().device = s }},
		"o":      {String: func(s string) { of().mount(s) }},
	}
}

// mount takes options as mount(8) does.
func (o *driverOptions) mount(options string) {
	for option := range strings.SplitSeq(options, ",") {
		name, value, _ := strings.Cut(option, "=")
		switch name {
		case "bind", "rbind":
			o.bind = true
		case "lowerdir":
			o.layers = append(o.layers, strings.Split(value, ":")...)
		}
	}
}

// reach adds what a volume with these options shows of the host.
func (o *driverOptions) reach(paths, devices *[]string) {
	*paths = append(*paths, o.layers...)
	switch {
	case o.device == "":
	case o.bind:
		*paths = append(*paths, o.device)
	case strings.HasPrefix(o.device, "/") && !strings.HasPrefix(o.device, "//"): // a share of another host
		*devices = append(*devices, o.device)
	}
}

// shownMounts returns the mounts as "source:target".
func (h *hostConfig) shownMounts() []string {
	list := h.binds
	for _, m := range h.mounts {
		source := cmp.Or(m.options.device, m.source)
		if source != "" {
			source += ":"
		}
		list = append(list, source+m.target)
	}
	return list
}

// reach returns what of the host a container is to be shown.
func (h *hostConfig) reach() (paths, devices []string) {
	for _, b := range h.binds {
		// What begins otherwise is the name of a volume, and a path alone is
		// one in the container.
		if source, _, ok := strings.Cut(b, ":"); ok && strings.HasPrefix(source, "/") {
			paths = append(paths, source)
		}
	}
	for _, m := range h.mounts {
		if strings.HasPrefix(m.source, "/") {
			paths = append(paths, m.source)
		}
		m.options.reach(&paths, &devices)
	}
	return paths, append(devices, h.devices...)
}
