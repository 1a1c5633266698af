// SPDX-License-Identifier: Apache-2.0

// Package field measures the rules as a site would: what honest software raises on its
// first days, and what raises that its credentials are used by somebody else.
//
// Controllers were run against a real kube-apiserver, and what they sent is kept in
// testdata/field. Their days are made of that: the same requests with later times, as
// watches end and begin again, tokens are renewed and pods are replaced.
package field

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"path"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/containerapi/containerapi/e2e/build"
)

// Account is the name of the service account of all software here: one that no list
// of the rules has.
const Account = "robot"

// Software is a program that works with the Kubernetes API all day.
type Software struct {
	// Name is what people call it.
	Name string `yaml:"name"`
	// Module, Version and Package are what it is built of, where it was run.
	Module  string `yaml:"module"`
	Version string `yaml:"version"`
	Package string `yaml:"package"`
	// Shared says that it is built with the modules of all that is: they take the same
	// versions of Kubernetes' modules then, which are compiled once. With are further
	// modules that the build takes, as MODULE@VERSION.
	Shared bool     `yaml:"shared"`
	With   []string `yaml:"with"`
	// Args and Env are what its deployment gives it. NAMESPACE, POD and ADDRESS stand
	// for those of its pod; /var/certs has tls.crt and tls.key, for those that serve
	// webhooks.
	Args []string          `yaml:"args"`
	Env  map[string]string `yaml:"env"`
	// CRDs are files, or directories of files, of the module with definitions of
	// resources.
	CRDs []string `yaml:"crds"`
	// Roles are files of the module with the ClusterRoles and Roles that it is given.
	// Cluster and Own are rules beside them, for all namespaces and for its own.
	Roles   []string `yaml:"roles"`
	Cluster []any    `yaml:"cluster"`
	Own     []any    `yaml:"own"`
	// Objects are there before it starts.
	Objects string `yaml:"objects"`
	// Acts is a script that the cluster's admin runs while it works.
	Acts string `yaml:"acts"`
	// Agent and Requests are its form, for what was not run: what its source and its
	// public roles say that it sends.
	Agent    string    `yaml:"agent"`
	Requests []Request `yaml:"requests"`
	// Expected is the account of the default installation, which the rules list.
	Expected string `yaml:"expected"`
}

// Request is one kind of request of software that was not run.
type Request struct {
	Verbs    []string `yaml:"verbs"`
	Group    string   `yaml:"group"`
	Resource string   `yaml:"resource"`
	// Namespace is empty for all, "own" for that of the pod.
	Namespace string `yaml:"namespace"`
	// Object is the name, where it asks for one.
	Object string `yaml:"object"`
	// Again says that it asks for it again and again.
	Again bool `yaml:"again"`
}

//go:embed software/*.yaml
var files embed.FS

// Load returns all software.
func Load() ([]Software, error) {
	names, err := files.ReadDir("software")
	if err != nil {
		return nil, err
	}
	var all []Software
	for _, n := range names {
		text, err := files.ReadFile(path.Join("software", n.Name()))
		if err != nil {
			return nil, err
		}
		var some []Software
		decoder := yaml.NewDecoder(bytes.NewReader(text))
		decoder.KnownFields(true)
		if err := decoder.Decode(&some); err != nil {
			return nil, fmt.Errorf("%s: %w", n.Name(), err)
		}
		all = append(all, some...)
	}
	for i, s := range all {
		if err := s.validate(); err != nil {
			return nil, fmt.Errorf("software %q: %w", s.Name, err)
		}
		if slices.ContainsFunc(all[:i], func(o Software) bool { return o.Name == s.Name }) {
			return nil, fmt.Errorf("software %q is there twice", s.Name)
		}
	}
	return all, nil
}

func (s Software) validate() error {
	switch {
	case s.Name == "":
		return errors.New("needs a name")
	case s.Module == "" && len(s.Requests) == 0:
		return errors.New("needs a module or requests")
	case s.Module != "" && (s.Version == "" || s.Package == ""):
		return errors.New("needs a version and a package")
	case len(s.Requests) > 0 && s.Agent == "":
		return errors.New("needs an agent")
	}
	return nil
}

// Namespace is where the software runs: a name that no list of the rules has.
func (s Software) Namespace() string { return "unit-" + s.Name }

// Programs are the software's program; all is [Load]'s.
func (s Software) Programs(all []Software) build.Programs {
	m := build.Module{Packages: []string{s.Package}, Requires: append([]string{s.Module + "@" + s.Version}, s.With...)}
	for _, o := range all {
		if s.Shared && o.Shared && o.Name != s.Name {
			m.Requires = append(m.Requires, o.Module+"@"+o.Version)
		}
	}
	return build.Programs{Name: "field/" + s.Name + "-" + s.Version, Modules: []build.Module{m}}
}
