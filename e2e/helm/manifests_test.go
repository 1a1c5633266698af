// SPDX-License-Identifier: Apache-2.0

package helm

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// manifests are the objects that Helm renders.
type manifests []map[string]any

// only returns the one object of a kind.
func (m manifests) only(t *testing.T, kind string) map[string]any {
	t.Helper()
	var found []map[string]any
	for _, object := range m {
		if object["kind"] == kind {
			found = append(found, object)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d objects of kind %s, want 1", len(found), kind)
	}
	return found[0]
}

// config returns what a ConfigMap has under a key.
func (m manifests) config(t *testing.T, key string) string {
	t.Helper()
	for _, object := range m {
		if data, ok := object["data"].(map[string]any); ok && object["kind"] == "ConfigMap" && data[key] != nil {
			return data[key].(string)
		}
	}
	t.Fatalf("no ConfigMap has %s", key)
	return ""
}

// falcoConfig is what of falco.yaml is looked at.
type falcoConfig struct {
	Plugins []plugin       `json:"plugins"`
	Load    []string       `json:"load_plugins"`
	Rules   []string       `json:"rules_files"`
	Engine  map[string]any `json:"engine"`
}

type plugin struct {
	Name    string         `json:"name"`
	Library string         `json:"library_path"`
	Init    map[string]any `json:"init_config"`
	Open    string         `json:"open_params"`
}

func (c falcoConfig) plugin(t *testing.T, name string) plugin {
	t.Helper()
	i := slices.IndexFunc(c.Plugins, func(p plugin) bool { return p.Name == name })
	if i < 0 || !slices.Contains(c.Load, name) {
		t.Fatalf("the plugin %s is not loaded: %q", name, c.Load)
	}
	return c.Plugins[i]
}

// falco returns the rendered falco.yaml.
func (m manifests) falco(t *testing.T) falcoConfig {
	t.Helper()
	var values any
	if err := yaml.Unmarshal([]byte(m.config(t, "falco.yaml")), &values); err != nil {
		t.Fatal(err)
	}
	var c falcoConfig
	decode(t, values, &c)
	return c
}

// installs fails the test if falcoctl is not to install these artifacts, or if
// it is to follow others than those.
func (m manifests) installs(t *testing.T, want ...string) {
	t.Helper()
	var c struct {
		Artifact struct{ Install, Follow struct{ Refs []string } }
	}
	if err := yaml.Unmarshal([]byte(m.config(t, "falcoctl.yaml")), &c); err != nil {
		t.Fatal(err)
	}
	// The chart adds its container plugin.
	got := slices.DeleteFunc(c.Artifact.Install.Refs, func(r string) bool { return strings.Contains(r, "/plugin/container:") })
	if !slices.Equal(got, want) {
		t.Errorf("installs %q, want %q", got, want)
	}
	for _, ref := range c.Artifact.Follow.Refs {
		if !slices.ContainsFunc(want, func(w string) bool { return strings.HasPrefix(w, ref) && strings.Contains(w, "rules") }) {
			t.Errorf("follows %s, which are no rules that it installs", ref)
		}
	}
}

// pod is what of a pod is looked at.
type pod struct {
	labels map[string]string

	Containers     []container `json:"containers"`
	InitContainers []container `json:"initContainers"`
	Volumes        []volume    `json:"volumes"`
	HostNetwork    bool        `json:"hostNetwork"`
	HostPID        bool        `json:"hostPID"`
	HostIPC        bool        `json:"hostIPC"`
}

type container struct {
	Name            string     `json:"name"`
	Image           string     `json:"image"`
	Env             []variable `json:"env"`
	VolumeMounts    []mount    `json:"volumeMounts"`
	SecurityContext struct {
		Privileged   bool  `json:"privileged"`
		Escalation   *bool `json:"allowPrivilegeEscalation"`
		Capabilities struct {
			Add  []string `json:"add"`
			Drop []string `json:"drop"`
		} `json:"capabilities"`
	} `json:"securityContext"`
}

type variable struct {
	Name      string `json:"name"`
	ValueFrom struct {
		Secret struct {
			Name string `json:"name"`
		} `json:"secretKeyRef"`
	} `json:"valueFrom"`
}

type mount struct {
	Name     string `json:"name"`
	Path     string `json:"mountPath"`
	ReadOnly bool   `json:"readOnly"`
}

type volume struct {
	Name     string `json:"name"`
	HostPath struct {
		Path string `json:"path"`
	} `json:"hostPath"`
	Secret struct {
		Name string `json:"secretName"`
	} `json:"secret"`
	Claim struct {
		Name string `json:"claimName"`
	} `json:"persistentVolumeClaim"`
}

// pod returns the pod that the one object of a kind makes.
func (m manifests) pod(t *testing.T, kind string) pod {
	t.Helper()
	var object struct {
		Spec struct {
			Template struct {
				Metadata struct{ Labels map[string]string }
				Spec     pod
			}
		}
	}
	decode(t, m.only(t, kind), &object)
	p := object.Spec.Template.Spec
	p.labels = object.Spec.Template.Metadata.Labels
	return p
}

func (p pod) container(t *testing.T, name string) container {
	t.Helper()
	i := slices.IndexFunc(p.Containers, func(c container) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("no container %s", name)
	}
	return p.Containers[i]
}

func (p pod) volume(t *testing.T, name string) volume {
	t.Helper()
	i := slices.IndexFunc(p.Volumes, func(v volume) bool { return v.Name == name })
	if i < 0 {
		t.Fatalf("no volume %s", name)
	}
	return p.Volumes[i]
}

func (c container) mount(t *testing.T, path string) mount {
	t.Helper()
	i := slices.IndexFunc(c.VolumeMounts, func(m mount) bool { return m.Path == path })
	if i < 0 {
		t.Fatalf("the container %s mounts nothing at %s", c.Name, path)
	}
	return c.VolumeMounts[i]
}

// modest fails the test if a container has more than the overlays give.
func (p pod) modest(t *testing.T) {
	t.Helper()
	if p.HostNetwork || p.HostPID || p.HostIPC {
		t.Errorf("the pod has namespaces of the host: %+v", p)
	}
	for _, c := range slices.Concat(p.Containers, p.InitContainers) {
		s := c.SecurityContext
		if s.Privileged || s.Escalation == nil || *s.Escalation || !slices.Equal(s.Capabilities.Drop, []string{"ALL"}) {
			t.Errorf("%s may too much: %+v", c.Name, s)
		}
		if c.Name != "falco" && len(s.Capabilities.Add) > 0 {
			t.Errorf("%s has capabilities: %q", c.Name, s.Capabilities.Add)
		}
		// A mount below one that is read-only needs its directory there
		// already, and that is the host's.
		for _, outer := range c.VolumeMounts {
			for _, inner := range c.VolumeMounts {
				if outer.ReadOnly && p.volume(t, outer.Name).HostPath.Path != "" && strings.HasPrefix(inner.Path, outer.Path+"/") {
					t.Errorf("%s mounts %s below %s, which is read-only", c.Name, inner.Path, outer.Path)
				}
			}
		}
	}
}

// nothingOfTheHost fails the test if the pod has a file or a capability of the
// host.
func (p pod) nothingOfTheHost(t *testing.T) {
	t.Helper()
	for _, v := range p.Volumes {
		if v.HostPath.Path != "" {
			t.Errorf("the pod mounts %s of the host", v.HostPath.Path)
		}
	}
	if add := p.container(t, "falco").SecurityContext.Capabilities.Add; len(add) > 0 {
		t.Errorf("capabilities %q", add)
	}
}

// settings returns what of falco.yaml the one file of an overlay sets, which
// needs no chart.
func settings(t *testing.T, o overlay) falcoConfig {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../helm", o.files[0]))
	if err != nil {
		t.Fatal(err)
	}
	var values map[string]any
	if err := yaml.Unmarshal(text, &values); err != nil {
		t.Fatal(err)
	}
	var c falcoConfig
	decode(t, values["falco"], &c)
	return c
}

// decode reads a value that was read from YAML.
func decode(t *testing.T, from, to any) {
	t.Helper()
	text, err := json.Marshal(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, to); err != nil {
		t.Fatal(err)
	}
}
