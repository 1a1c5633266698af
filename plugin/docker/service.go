// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"encoding/base64"
	"strings"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/hostaccess"
	"github.com/containerapi/containerapi/plugin/jsonscan"
)

// serviceBody is of ServiceSpec in github.com/moby/moby/api/types/swarm.
type serviceBody struct {
	name, image string
	host        hostConfig
	seccomp     string
	profile     string // of seccomp, base64
	appArmor    string
	noSELinux   bool
	plugin      privileges
}

func newService() body { return new(serviceBody) }

func (b *serviceBody) root() *jsonscan.Node {
	return object(map[string]*jsonscan.Node{
		"Name": text(&b.name),
		"TaskTemplate": object(map[string]*jsonscan.Node{
			"ContainerSpec": object(map[string]*jsonscan.Node{
				"Image":         text(&b.image),
				"Mounts":        {Element: b.host.mountPoint()},
				"CapabilityAdd": list(&b.host.capAdd),
				"Privileges": object(map[string]*jsonscan.Node{
					"SELinuxContext": object(map[string]*jsonscan.Node{"Disable": flag(&b.noSELinux)}),
					"Seccomp":        object(map[string]*jsonscan.Node{"Mode": text(&b.seccomp), "Profile": text(&b.profile)}),
					"AppArmor":       object(map[string]*jsonscan.Node{"Mode": text(&b.appArmor)}),
				}),
			}),
			// A task can be an engine plugin instead.
			"PluginSpec": object(map[string]*jsonscan.Node{"Remote": text(&b.image), "Privileges": b.plugin.root()}),
		}),
	})
}

func (b *serviceBody) object() string { return b.name }

func (b *serviceBody) request() hostaccess.Request {
	r := b.host.request()
	b.plugin.add(&r)
	if b.seccomp == "unconfined" {
		r.SecurityOptions = append(r.SecurityOptions, "seccomp=unconfined")
	}
	if profile, err := base64.StdEncoding.DecodeString(b.profile); err == nil && b.seccomp == "custom" {
		r.SecurityOptions = append(r.SecurityOptions, "seccomp="+string(profile))
	}
	if b.appArmor == "disabled" {
		r.SecurityOptions = append(r.SecurityOptions, "apparmor=unconfined")
	}
	if b.noSELinux {
		r.SecurityOptions = append(r.SecurityOptions, "label=disable")
	}
	return r
}

func (b *serviceBody) shownMounts() []string {
	return append(b.host.shownMounts(), b.plugin.values["mount"]...)
}

func (b *serviceBody) describe(e *event.Event) {
	asked := b.request()
	r := &e.Docker.Request
	r.CreateImage, r.CreateMounts, r.CreateExposes = b.image, b.shownMounts(), asked.Exposes()
}

// privileges are those that an engine plugin is granted, a list of PluginPrivilege in
// github.com/moby/moby/api/types/plugin. Their names are from computePrivileges in
// plugin/v2/plugin.go of moby/moby.
type privileges struct {
	name   string
	now    []string
	values map[string][]string
}

func newPrivileges() body { return new(privileges) }

func (p *privileges) root() *jsonscan.Node {
	return &jsonscan.Node{Element: &jsonscan.Node{
		Begin:   func(bool) { p.name, p.now = "", nil },
		Members: map[string]*jsonscan.Node{"Name": text(&p.name), "Value": list(&p.now)},
		End: func() {
			if p.values == nil {
				p.values = make(map[string][]string)
			}
			p.values[p.name] = append(p.values[p.name], p.now...)
		},
	}}
}

// add adds what a plugin gets of the host.
func (p *privileges) add(r *hostaccess.Request) {
	has := func(name string) bool { return len(p.values[name]) > 0 && p.values[name][0] == "true" }
	r.Paths = append(r.Paths, p.values["mount"]...)
	r.Devices = append(r.Devices, p.values["device"]...)
	r.Capabilities = append(r.Capabilities, p.values["capabilities"]...)
	r.AllDevices = r.AllDevices || has("allow-all-devices")
	for _, network := range p.values["network"] {
		r.NetworkMode = network
	}
	if has("host pid namespace") {
		r.PIDMode = "host"
	}
	if has("host ipc namespace") {
		r.IPCMode = "host"
	}
}

func (p *privileges) describe(e *event.Event) {
	var asked hostaccess.Request
	p.add(&asked)
	r := &e.Docker.Request
	r.CreateMounts, r.CreateExposes = p.values["mount"], asked.Exposes()
}

// settings are those of an engine plugin that are changed, as "NAME=value",
// "MOUNT.source=path" or "DEVICE.path=path". From Set in plugin/v2/plugin.go of
// moby/moby.
//
// Only the last two are kept: the first can hold a credential.
type settings struct{ paths, devices []string }

func newSettings() body { return new(settings) }

func (s *settings) root() *jsonscan.Node {
	return &jsonscan.Node{Element: &jsonscan.Node{String: func(setting string) {
		switch name, value, _ := strings.Cut(setting, "="); {
		case strings.HasSuffix(name, ".source"):
			s.paths = append(s.paths, value)
		case strings.HasSuffix(name, ".path"):
			s.devices = append(s.devices, value)
		}
	}}}
}

func (s *settings) describe(e *event.Event) {
	asked := hostaccess.Request{Paths: s.paths, Devices: s.devices}
	r := &e.Docker.Request
	r.CreateMounts, r.CreateExposes = asked.HostPaths(), asked.Exposes()
}
