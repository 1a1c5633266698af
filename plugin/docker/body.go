// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/containerapi/containerapi/plugin/command"
	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/hostaccess"
)

// body is what is kept of the body of a request: the fields of its type, and
// nothing else of it.
type body interface {
	// read takes the text of the body, which may be cut.
	read(text []byte) error
	// describe writes what the body says into the event of the request.
	describe(e *event.Event)
}

// decode reads a body as dockerd does, with encoding/json: keys match whatever
// their case, the last of two counts, and the rest is skipped. dockerd can act
// before it has read all of the body: when the first value in it is complete.
func decode(text []byte, to any) error {
	return json.NewDecoder(bytes.NewReader(text)).Decode(to)
}

// execBody is of ExecCreateRequest in github.com/moby/moby/api/types/container.
type execBody struct {
	Privileged bool
	Cmd        stringList
}

func newExec() body { return new(execBody) }

func (b *execBody) read(text []byte) error { return decode(text, b) }

func (b *execBody) describe(e *event.Event) {
	// The engine's event has the command like this.
	e.Docker.Command = command.Mask(strings.TrimRight(strings.Join(b.Cmd, " "), " "))
	e.CommandReads = command.ReadsOf(b.Cmd)
	e.Docker.Request.ExecPrivileged = b.Privileged
}

// createBody is of CreateRequest in github.com/moby/moby/api/types/container.
// Up to Docker 24 the host configuration could also stand at the top level
// (ContainerConfigWrapper in runconfig/config_unix.go).
type createBody struct {
	Image   string
	Volumes map[string]struct{}
	Inner   *hostConfig `json:"HostConfig"`
	hostConfig
}

func newCreate() body { return new(createBody) }

func (b *createBody) read(text []byte) error { return decode(text, b) }

func (b *createBody) describe(e *event.Event) {
	h := &b.hostConfig
	if b.Inner != nil {
		h = b.Inner
	}
	asked := hostaccess.Request{
		Privileged: h.Privileged, PIDMode: h.PidMode, Capabilities: h.CapAdd, DeviceRules: h.DeviceCgroupRules,
	}
	asked.Paths, asked.Devices = h.reach()
	r := &e.Docker.Request
	r.CreateImage = b.Image
	r.CreatePrivileged = h.Privileged
	r.CreateMounts = append(h.mounts(), slices.Sorted(maps.Keys(b.Volumes))...)
	r.CreateExposes = asked.Exposes()
}

type hostConfig struct {
	Binds             []string
	Mounts            []mountPoint
	Devices           []device
	DeviceCgroupRules []string
	Privileged        bool
	PidMode           string
	CapAdd            stringList
}

type device struct{ PathOnHost string }

// volumeBody is of CreateRequest in github.com/moby/moby/api/types/volume.
type volumeBody struct {
	Name       string
	DriverOpts driverOptions
}

func newVolume() body { return new(volumeBody) }

func (b *volumeBody) read(text []byte) error { return decode(text, b) }

func (b *volumeBody) object() string { return b.Name }

func (b *volumeBody) describe(e *event.Event) {
	var asked hostaccess.Request
	b.DriverOpts.reach(&asked.Paths, &asked.Devices)
	r := &e.Docker.Request
	r.CreateExposes = asked.Exposes()
	for _, source := range slices.Concat(asked.Paths, asked.Devices) {
		r.CreateMounts = append(r.CreateMounts, source+":"+b.Name)
	}
}

type mountPoint struct {
	Source        string
	Target        string
	VolumeOptions *struct {
		DriverConfig *struct {
			Options driverOptions
		}
	}
}

// driverOptions keeps of a volume driver's options what they name of the host:
// others can hold credentials.
type driverOptions struct {
	Device string
	// bind says that the device is a directory or file that is mounted once
	// more, and layers are the directories that an overlay is made of.
	bind   bool
	layers []string
}

// UnmarshalJSON implements [json.Unmarshaler]: keys of a map match exactly.
func (o *driverOptions) UnmarshalJSON(text []byte) error {
	var all map[string]string
	err := json.Unmarshal(text, &all)
	*o = driverOptions{Device: all["device"]}
	// As mount(8) takes them.
	for option := range strings.SplitSeq(all["o"], ",") {
		name, value, _ := strings.Cut(option, "=")
		switch name {
		case "bind", "rbind":
			o.bind = true
		case "lowerdir":
			o.layers = append(o.layers, strings.Split(value, ":")...)
		}
	}
	return err
}

// reach adds what a volume with these options shows of the host.
func (o *driverOptions) reach(paths, devices *[]string) {
	*paths = append(*paths, o.layers...)
	switch {
	case o.Device == "":
	case o.bind:
		*paths = append(*paths, o.Device)
	case strings.HasPrefix(o.Device, "/") && !strings.HasPrefix(o.Device, "//"): // a share of another host
		*devices = append(*devices, o.Device)
	}
}

func (h *hostConfig) mounts() []string {
	list := h.Binds
	for _, m := range h.Mounts {
		source := m.Source
		if v := m.VolumeOptions; v != nil && v.DriverConfig != nil && v.DriverConfig.Options.Device != "" {
			source = v.DriverConfig.Options.Device
		}
		if source != "" {
			source += ":"
		}
		list = append(list, source+m.Target)
	}
	return list
}

// reach returns what of the host a container is to be shown.
func (h *hostConfig) reach() (paths, devices []string) {
	for _, b := range h.Binds {
		// What begins otherwise is the name of a volume, and a path alone is
		// one in the container.
		if source, _, ok := strings.Cut(b, ":"); ok && strings.HasPrefix(source, "/") {
			paths = append(paths, source)
		}
	}
	for _, m := range h.Mounts {
		if strings.HasPrefix(m.Source, "/") {
			paths = append(paths, m.Source)
		}
		if v := m.VolumeOptions; v != nil && v.DriverConfig != nil {
			v.DriverConfig.Options.reach(&paths, &devices)
		}
	}
	for _, d := range h.Devices {
		devices = append(devices, d.PathOnHost)
	}
	return paths, devices
}

// stringList is a list of strings, or one string in its place, as
// CapAdd can be.
type stringList []string

// UnmarshalJSON implements [json.Unmarshaler]. From StrSlice in
// github.com/docker/docker/api/types/strslice.
func (l *stringList) UnmarshalJSON(text []byte) error {
	var list []string
	if json.Unmarshal(text, &list) != nil {
		var one string
		if err := json.Unmarshal(text, &one); err != nil {
			return err
		}
		list = []string{one}
	}
	*l = list
	return nil
}
