// SPDX-License-Identifier: Apache-2.0

//go:build !extract

package main

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"strings"

	"github.com/containerapi/containerapi/plugin/config"
	"github.com/containerapi/containerapi/plugin/correlate"
	"github.com/containerapi/containerapi/plugin/identity"
	"github.com/containerapi/containerapi/plugin/input"
	"github.com/containerapi/containerapi/plugin/input/dockerapi"
	"github.com/containerapi/containerapi/plugin/input/dockerevents"
	"github.com/containerapi/containerapi/plugin/input/k8saudit"
	"github.com/containerapi/containerapi/plugin/input/replay"
	"github.com/containerapi/containerapi/plugin/pipeline"
)

// dockerPorts are the ports that the Docker API is usually served at over TCP:
// without TLS and with it.
var dockerPorts = []uint16{2375, 2376}

// openInputs opens the inputs that open_params names: URLs separated by
// commas, or nothing for the local Docker Engine.
func openInputs(params string, c config.Config) ([]pipeline.Input, error) {
	var inputs []pipeline.Input
	if strings.TrimSpace(params) == "" {
		params = "docker://"
	}
	named := make(map[string]bool)
	for part := range strings.SplitSeq(params, ",") {
		part = strings.TrimSpace(part)
		u, err := url.Parse(part)
		if err == nil {
			err = nameOnce(part, u, named)
		}
		var opened []pipeline.Input
		switch {
		case err != nil:
		case u.Scheme == "docker", u.Scheme == "docker+tcp":
			opened, err = openDocker(u, c)
		default:
			opened, err = openInput(part, u, c)
		}
		if err != nil {
			for _, open := range inputs {
				err = errors.Join(err, open.Input.Close())
			}
			return nil, fmt.Errorf("open_params: %w", err)
		}
		inputs = append(inputs, opened...)
	}
	return inputs, nil
}

// nameOnce notes what an input is called, and refuses one that is there already: each of
// its acts would raise two alerts.
func nameOnce(part string, u *url.URL, named map[string]bool) error {
	if part == "" {
		return errors.New("there is no input on one side of a comma; the Docker Engine of this host is docker://")
	}
	name := path.Join("/", u.Path)
	switch {
	case u.Scheme == "":
		name = path.Clean(part) // a name in which each sign stands for itself
	case u.Scheme == "docker" && name == "/":
		name = dockerevents.DefaultSocket
	}
	if target, err := filepath.EvalSymlinks(name); err == nil && u.Host == "" {
		name = target
	}
	name = u.Scheme + "://" + u.Host + name
	if named[name] {
		return fmt.Errorf("%s stands there twice", part)
	}
	named[name] = true
	return nil
}

// openInput opens an input that is no Docker Engine.
func openInput(part string, u *url.URL, c config.Config) ([]pipeline.Input, error) {
	var name string
	var in input.Input
	var err error
	switch u.Scheme {
	case "":
		name = "replay"
		in, err = replay.Open(part, replay.Options{MaxLine: c.MaxLineSize})
	case "file":
		name = "file"
		if u.Host != "" || u.Path == "" {
			return nil, fmt.Errorf("%s: a file has three slashes and its path, as file:///var/log/kubernetes/audit.log", part)
		}
		in, err = k8saudit.FollowFile(u.Path, k8saudit.FileOptions{MaxLine: c.MaxLineSize, StateDir: c.StateDir})
	case "http", "https":
		name = "webhook"
		in, err = k8saudit.ListenWebhook(u, k8saudit.WebhookOptions{
			Deadline:    c.Deadline(),
			Certificate: c.SSLCertificate,
			Key:         c.SSLKey,
			ClientCA:    c.SSLClientCA,
			TokenFile:   c.WebhookTokenFile,
		})
	default:
		return nil, fmt.Errorf("%s: there is no input %q; there are http, https, file, docker, docker+tcp and a path without a scheme", part, u.Scheme)
	}
	if err != nil {
		return nil, err
	}
	return []pipeline.Input{{Name: name, Input: in}}, nil
}

// openDocker opens the events of a Docker Engine and, if it is on this host,
// the requests to its API, at its socket and at its TCP ports. An event finds
// the request that caused it in a log that both inputs get.
func openDocker(u *url.URL, c config.Config) ([]pipeline.Input, error) {
	requests := correlate.NewLog()
	events, err := dockerevents.Open(u, dockerevents.Options{
		TLSCA:   c.DockerTLSCA,
		TLSCert: c.DockerTLSCertificate,
		TLSKey:  c.DockerTLSKey,
		Cause:   requests.Attribute,

		Namespace: identity.FindHost().MountNamespace,
	})
	if err != nil {
		return nil, err
	}
	inputs := []pipeline.Input{{Name: "docker_event", Input: events}}
	if socket := events.Socket(); socket != "" {
		inputs = append(inputs, pipeline.Input{Name: "docker_api", Input: dockerapi.Open(dockerapi.Options{
			Socket:     socket,
			Ports:      dockerPorts,
			Containers: events.Inspections(),
			Requests:   requests,
		})})
	}
	return inputs, nil
}
