// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/hostaccess"
	"github.com/containerapi/containerapi/plugin/jsonscan"
	"github.com/containerapi/containerapi/plugin/oneline"
)

// errAnswer is the error of an answer of the engine that is not what it has to be.
var errAnswer = errors.New("the engine's answer cannot be read")

// Made is what the engine says that it made of a request: a container, a volume, a
// service or a plugin.
type Made struct {
	// Image is what it is made from.
	Image string
	// Mounts are shown as those of a request, "source:target".
	Mounts []string
	// Access is what it gets of the host.
	Access hostaccess.Request
	// Volumes are the names of the mounted volumes of the driver "local".
	Volumes []string
	// Others are the containers whose namespaces or volumes it shares, as they were
	// named.
	Others []string
	// Kind says what it is one of.
	Kind Kind
}

// Kind says what a container is one of.
type Kind struct {
	// Owner is a project of Compose, a service of a swarm or a pod, "" for none.
	Owner string
	// image is the name of its image without tag and digest, imageID its id.
	image, imageID string
}

// Like reports whether two containers belong together: of the same owner, or made
// from the same image, as a container and the newer one that replaces it.
func (k Kind) Like(other Kind) bool {
	return k.Owner != "" && k.Owner == other.Owner ||
		k.image != "" && k.image == other.image || k.imageID != "" && k.imageID == other.imageID
}

// Describe writes into an event what the engine made, and what of the host that
// shows.
func (m *Made) Describe(e *event.Event) {
	r := &e.Docker.Request
	r.CreateImage = oneline.Text(m.Image)
	r.CreatePrivileged = m.Access.Privileged
	r.CreateMounts = append(r.CreateMounts[:0], m.Mounts...)
	r.CreateExposes = append(r.CreateExposes[:0], m.Access.Exposes()...)
}

// read reads an answer as a node wants it.
func read(answer io.Reader, root *jsonscan.Node) error {
	s := jsonscan.New(root, jsonscan.DefaultLimit)
	if _, err := io.Copy(s, answer); err != nil {
		return errors.Join(errAnswer, err)
	}
	if err := s.Close(); err != nil {
		return errors.Join(errAnswer, err)
	}
	return nil
}

// ReadContainer reads the answer to GET /containers/{id}/json. It keeps nothing of
// the environment and the labels that stand in it.
func ReadContainer(answer io.Reader) (*Made, error) {
	var image, imageID string
	var l labels
	var h hostConfig
	var mounts []madeMount
	last := func() *madeMount { return &mounts[len(mounts)-1] }
	err := read(answer, object(map[string]*jsonscan.Node{
		"Image":      text(&imageID),
		"Config":     object(map[string]*jsonscan.Node{"Image": text(&image), "Labels": l.root()}),
		"HostConfig": object(h.members()),
		"Mounts": {Element: &jsonscan.Node{
			Begin: func(bool) { mounts = append(mounts, madeMount{}) },
			Members: map[string]*jsonscan.Node{
				"Type":   {String: func(s string) { last().kind = s }},
				"Name":   {String: func(s string) { last().name = s }},
				"Source": {String: func(s string) { last().source = s }},
				"Driver": {String: func(s string) { last().driver = s }},
			},
		}},
	}))
	if err != nil {
		return nil, err
	}
	m := &Made{
		Image: image, Mounts: h.shownMounts(), Access: h.request(),
		Kind: Kind{Owner: l.owner(), image: Repository(image), imageID: imageID},
	}
	for _, mount := range mounts {
		switch {
		case mount.kind == "bind":
			m.Access.Paths = append(m.Access.Paths, mount.source)
		case mount.kind == "volume" && mount.driver == "local":
			m.Volumes = append(m.Volumes, mount.name)
		}
	}
	for _, mode := range []string{h.pidMode, h.ipcMode, h.networkMode} {
		if name, ok := strings.CutPrefix(mode, "container:"); ok {
			m.Others = append(m.Others, name)
		}
	}
	for _, from := range h.volumesFrom {
		name, _, _ := strings.Cut(from, ":") // with a mode behind it
		m.Others = append(m.Others, name)
	}
	slices.Sort(m.Others)
	m.Others = slices.Compact(m.Others)
	return m, nil
}

// madeMount is of MountPoint in github.com/moby/moby/api/types/container.
type madeMount struct{ kind, name, source, driver string }

// ReadKinds reads the answer to GET /containers/json: what each of the containers but
// the one with an id is one of.
func ReadKinds(answer io.Reader, but string) ([]Kind, error) {
	type container struct {
		id, image, imageID string
		labels             labels
	}
	var c container
	var kinds []Kind
	err := read(answer, &jsonscan.Node{Element: &jsonscan.Node{
		Begin: func(bool) { c = container{} },
		Members: map[string]*jsonscan.Node{
			"Id": text(&c.id), "Image": text(&c.image), "ImageID": text(&c.imageID), "Labels": c.labels.root(),
		},
		End: func() {
			if c.id != but {
				kinds = append(kinds, Kind{Owner: c.labels.owner(), image: Repository(c.image), imageID: c.imageID})
			}
		},
	}})
	return kinds, err
}

// ReadVolume reads the answer to GET /volumes/{name}, of whose options it keeps what
// names something of the host.
func ReadVolume(answer io.Reader) (*Made, error) {
	var b volumeBody
	var driver string
	options := volumeOptions(func() *hostaccess.Volume { return &b.options })
	err := read(answer, object(map[string]*jsonscan.Node{
		"Name": text(&b.name), "Driver": text(&driver), "Options": object(options),
	}))
	if err != nil {
		return nil, err
	}
	if driver != "local" {
		return &Made{}, nil
	}
	asked := b.request()
	return &Made{Mounts: b.shownMounts(&asked), Access: asked}, nil
}

// ReadService reads the answer to GET /services/{id}.
func ReadService(answer io.Reader) (*Made, error) {
	var b serviceBody
	if err := read(answer, object(map[string]*jsonscan.Node{"Spec": b.root()})); err != nil {
		return nil, err
	}
	return &Made{Image: b.image, Mounts: b.shownMounts(), Access: b.request()}, nil
}

// ReadPlugin reads the answer to GET /plugins/{name}/json.
func ReadPlugin(answer io.Reader) (*Made, error) {
	var m Made
	a := &m.Access
	var network string
	var hostPID, hostIPC bool
	err := read(answer, object(map[string]*jsonscan.Node{
		"PluginReference": text(&m.Image),
		"Config": object(map[string]*jsonscan.Node{
			"Network": object(map[string]*jsonscan.Node{"Type": text(&network)}),
			"Linux": object(map[string]*jsonscan.Node{
				"Capabilities": list(&a.Capabilities), "AllowAllDevices": flag(&a.AllDevices),
			}),
			"PidHost": flag(&hostPID),
			"IpcHost": flag(&hostIPC),
		}),
		"Settings": object(map[string]*jsonscan.Node{
			"Mounts":  {Element: object(map[string]*jsonscan.Node{"Source": {String: func(s string) { a.Paths = append(a.Paths, s) }}})},
			"Devices": {Element: object(map[string]*jsonscan.Node{"Path": {String: func(s string) { a.Devices = append(a.Devices, s) }}})},
		}),
	}))
	if err != nil {
		return nil, err
	}
	a.PIDMode, a.IPCMode, a.NetworkMode = hostMode(hostPID), hostMode(hostIPC), network
	m.Mounts = slices.Clone(a.Paths)
	return &m, nil
}

// hostMode returns the mode of a namespace that is the host's, or is not.
func hostMode(host bool) string {
	if host {
		return "host"
	}
	return ""
}
