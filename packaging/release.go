// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The types of artifacts as falcoctl names them.
const (
	plugin    = "plugin"
	rulesfile = "rulesfile"
)

// artifact is one thing that falcoctl installs.
type artifact struct {
	// name is what others depend on. A plugin's is that in its Info.
	name string
	// kind is [plugin] or [rulesfile].
	kind string
	// source is the one file in it, below the directory of the repository.
	source string
	// dependencies and requirements are "name:version".
	dependencies, requirements []string
	description                string
}

// release is all artifacts of one version.
type release struct {
	version   string
	artifacts []artifact
}

// read returns what the repository in the directory root releases. Version and
// plugin API are those in the plugin's source; what rules need is what their
// files say.
func read(root string) (*release, error) {
	version, api, err := readPlugin(filepath.Join(root, "plugin", "plugin.go"))
	if err != nil {
		return nil, err
	}
	r := &release{version: version, artifacts: []artifact{
		{
			name: "containerapi", kind: plugin, source: "libcontainerapi.so",
			description: "Kubernetes audit events and Docker API requests, for rules on credential access",
		},
		{
			name: "containerapi-extract", kind: plugin, source: "libcontainerapi-extract.so",
			description: "The fields of containerapi for events of the k8saudit plugins",
		},
		{
			name: "containerapi-rules", kind: rulesfile, source: "rules/containerapi_rules.yaml",
			description: "Credential access through the APIs of Kubernetes and Docker, for the plugin containerapi",
		},
		{
			name: "containerapi-k8s-audit-rules", kind: rulesfile, source: "rules/containerapi_k8s_audit_rules.yaml",
			description: "Credential access through the API of Kubernetes, for the k8saudit plugins",
		},
		{
			name: "containerapi-syscall-rules", kind: rulesfile, source: "rules/containerapi_syscall_rules.yaml",
			description: "Credential access through container APIs as Falco's driver sees it",
		},
	}}
	for i := range r.artifacts {
		a := &r.artifacts[i]
		if a.kind == plugin {
			a.requirements = []string{"plugin_api_version:" + api}
			continue
		}
		if err := a.readRules(filepath.Join(root, a.source)); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// readPlugin returns the plugin's version and the plugin API that it requires.
func readPlugin(path string) (version, api string, err error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		return "", "", err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec:
			if n.Names[0].Name == "version" && len(n.Values) == 1 {
				version = text(n.Values[0])
			}
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok && key.Name == "RequiredAPIVersion" {
				api = text(n.Value)
			}
		}
		return true
	})
	if version == "" || api == "" {
		return "", "", fmt.Errorf("%s has no constant version, or no RequiredAPIVersion", path)
	}
	return version, api, nil
}

func text(e ast.Expr) string {
	literal, ok := e.(*ast.BasicLit)
	if !ok {
		return ""
	}
	s, _ := strconv.Unquote(literal.Value)
	return s
}

// readRules takes what a rule file says that it needs.
func (a *artifact) readRules(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var items []struct {
		Engine string                           `yaml:"required_engine_version"`
		Needs  []struct{ Name, Version string } `yaml:"required_plugin_versions"`
	}
	if err := yaml.Unmarshal(content, &items); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, item := range items {
		if item.Engine != "" {
			a.requirements = append(a.requirements, "engine_version_semver:"+item.Engine)
		}
		for _, need := range item.Needs {
			a.dependencies = append(a.dependencies, need.Name+":"+need.Version)
		}
	}
	if a.requirements == nil {
		return fmt.Errorf("%s names no required_engine_version", path)
	}
	return nil
}

// repository is where the artifact is published, below the registry and its
// namespace.
func (a *artifact) repository() string {
	if a.kind == plugin {
		return "plugins/" + a.name
	}
	return "rules/" + a.name
}

// file is the name of the artifact's release file.
func (a *artifact) file(version, arch string) string {
	if a.kind == plugin {
		return fmt.Sprintf("%s-%s-linux-%s.tar.gz", a.name, version, platforms[arch])
	}
	return fmt.Sprintf("%s-%s.tar.gz", a.name, version)
}

// entry is an artifact in an index of falcoctl, pkg/index/index/index.go there.
type entry struct {
	Name        string   `yaml:"name"`
	Type        string   `yaml:"type"`
	Registry    string   `yaml:"registry"`
	Repository  string   `yaml:"repository"`
	Description string   `yaml:"description"`
	Home        string   `yaml:"home"`
	License     string   `yaml:"license"`
	Sources     []string `yaml:"sources"`
}

// writeIndex writes the index of what is published under registry, a host and
// a namespace.
func (r *release) writeIndex(path, registry string) error {
	host, namespace, ok := strings.Cut(registry, "/")
	if !ok {
		return errors.New("name a registry and a namespace, such as ghcr.io/containerapi")
	}
	const home = "https://github.com/containerapi/containerapi"
	var entries []entry
	for _, a := range r.artifacts {
		entries = append(entries, entry{
			Name: a.name, Type: a.kind, Registry: host, Repository: namespace + "/" + a.repository(),
			Description: a.description, Home: home, License: "Apache-2.0", Sources: []string{home},
		})
	}
	var b bytes.Buffer
	b.WriteString("# SPDX-License-Identifier: Apache-2.0\n")
	if err := yaml.NewEncoder(&b).Encode(entries); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}
