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

	PidMode     string
	NetworkMode string
	CapAdd      []string
}

// wants is which facts a body holds.
type wants uint8

const (
	wantsNothing wants = iota
	wantsExec
	wantsCreate
)

// classify finds what is special about the route of a request.
func (r *Request) classify() {
	p := routePath(r.Path)
	switch {
	case r.Method != "POST":
	case p == "/containers/create":
		r.wants = wantsCreate
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
	if r.wants == wantsExec {
		var e execBody
		err := d.Decode(&e)
		r.Exec = Exec{e.Cmd, e.User, e.Privileged}
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
	}
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
	Binds       []string
	Mounts      []mountPoint
	Privileged  bool
	PidMode     string
	NetworkMode string
	CapAdd      stringList
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

// driverOptions keeps one of a volume driver's options: others can hold
// credentials.
type driverOptions struct{ Device string }

// UnmarshalJSON implements [json.Unmarshaler]: keys of a map match exactly.
func (o *driverOptions) UnmarshalJSON(text []byte) error {
	var all map[string]string
	err := json.Unmarshal(text, &all)
	o.Device = all["device"]
	return err
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
