// SPDX-License-Identifier: Apache-2.0

package httpwire

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// Exec is what is kept of the body of POST /containers/{name}/exec.
type Exec struct {
	Command    []string
	User       string
	Privileged bool
}

// Create is what is kept of the body of POST /containers/create.
type Create struct {
	Image      string
	Privileged bool

	// Mounts are HostConfig.Binds as they were sent, "source:target" or
	// "source:target:options"; HostConfig.Mounts as "source:target"; and the
	// targets of Volumes. The source of a volume with a device of its own is
	// the device.
	Mounts []string

	// Paths are the directories, files and sockets of the host among the sources
	// of the mounts, as they were sent; Devices the host's devices, and
	// DeviceRules the rules of the device cgroup ("b 8:* rwm").
	Paths       []string
	Devices     []string
	DeviceRules []string

	PidMode     string
	NetworkMode string
	CapAdd      []string
}

// Volume is what is kept of the body of POST /volumes/create.
type Volume struct {
	Name string

	// Paths and Devices are what the volume shows of the host, as in [Create].
	Paths   []string
	Devices []string
}

// wants is which facts a body holds.
type wants uint8

const (
	wantsNothing wants = iota
	wantsExec
	wantsCreate
	wantsVolume
)

// classify finds what is special about the route of a request.
func (r *Request) classify() {
	p := routePath(r.Path)
	switch {
	case r.Method != "POST":
	case p == "/containers/create":
		r.wants = wantsCreate
	case p == "/volumes/create":
		r.wants = wantsVolume
	case strings.HasPrefix(p, "/containers/") && strings.HasSuffix(p, "/exec"):
		r.wants = wantsExec
	case strings.HasPrefix(p, "/containers/") && strings.HasSuffix(p, "/attach"),
		strings.HasPrefix(p, "/exec/") && strings.HasSuffix(p, "/start"):
		r.stream = true
	}
}

// routePath returns a path without its version, "/v1.47", and without the
// prefix of Podman's own API, whose exec and attach are like Docker's.
func routePath(p string) string {
	if rest, ok := strings.CutPrefix(p, "/v"); ok {
		if i := strings.IndexByte(rest, '/'); i > 0 && strings.Trim(rest[:i], "0123456789.") == "" {
			p = rest[i:]
		}
	}
	if rest, ok := strings.CutPrefix(p, "/libpod/"); ok && rest != "containers/create" {
		return "/" + rest
	}
	return p
}

// facts reads body, which may be cut, and says if that was possible. dockerd
// decodes with encoding/json, so the same is done here: keys match whatever
// their case, the last of two counts, and the rest is skipped. dockerd can act
// before it has read all of the body: when the first value in it is complete.
func (r *Request) facts(body []byte) bool {
	d := json.NewDecoder(bytes.NewReader(body))
	switch r.wants {
	case wantsExec:
		var e execBody
		err := d.Decode(&e)
		r.Exec = Exec{e.Cmd, e.User, e.Privileged}
		return err == nil
	case wantsVolume:
		var v volumeBody
		err := d.Decode(&v)
		r.Volume = Volume{Name: v.Name}
		v.DriverOpts.reach(&r.Volume.Paths, &r.Volume.Devices)
		return err == nil
	}
	var c createBody
	err := d.Decode(&c)
	h := &c.hostConfig
	if c.Inner != nil {
		h = c.Inner
	}
	r.Create = Create{
		Image:       c.Image,
		Privileged:  h.Privileged,
		Mounts:      append(h.mounts(), slices.Sorted(maps.Keys(c.Volumes))...),
		PidMode:     h.PidMode,
		NetworkMode: h.NetworkMode,
		CapAdd:      h.CapAdd,
		DeviceRules: h.DeviceCgroupRules,
	}
	r.Create.Paths, r.Create.Devices = h.reach()
	return err == nil
}

// execBody is of ExecCreateRequest in github.com/moby/moby/api/types/container.
type execBody struct {
	User       string
	Privileged bool
	Cmd        stringList
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

type hostConfig struct {
	Binds             []string
	Mounts            []mountPoint
	Devices           []device
	DeviceCgroupRules []string
	Privileged        bool
	PidMode           string
	NetworkMode       string
	CapAdd            stringList
}

type device struct{ PathOnHost string }

// volumeBody is of CreateRequest in github.com/moby/moby/api/types/volume.
type volumeBody struct {
	Name       string
	DriverOpts driverOptions
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
