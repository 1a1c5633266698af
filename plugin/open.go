// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/containerapi/containerapi/plugin/config"
	"github.com/containerapi/containerapi/plugin/input"
	"github.com/containerapi/containerapi/plugin/input/dockerevents"
	"github.com/containerapi/containerapi/plugin/input/k8saudit"
	"github.com/containerapi/containerapi/plugin/input/replay"
	"github.com/containerapi/containerapi/plugin/source"
)

// openInputs opens the inputs that open_params names: URLs separated by
// commas, or nothing for the local Docker Engine.
func openInputs(params string, c config.Config) ([]source.Named, error) {
	var inputs []source.Named
	for part := range strings.SplitSeq(params, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			part = "docker://"
		}
		in, err := openInput(part, c)
		if err != nil {
			for _, open := range inputs {
				err = errors.Join(err, open.Input.Close())
			}
			return nil, fmt.Errorf("open_params: %w", err)
		}
		inputs = append(inputs, in)
	}
	return inputs, nil
}

func openInput(part string, c config.Config) (source.Named, error) {
	u, err := url.Parse(part)
	if err != nil {
		return source.Named{}, err
	}
	var name string
	var in input.Input
	switch u.Scheme {
	case "":
		name = "replay"
		in, err = replay.Open(part, replay.Options{MaxLine: c.MaxLineSize})
	case "file":
		name = "file"
		in, err = k8saudit.FollowFile(u.Path, k8saudit.FileOptions{MaxLine: c.MaxLineSize})
	case "http", "https":
		name = "webhook"
		in, err = k8saudit.ListenWebhook(u, k8saudit.WebhookOptions{
			MaxBatchSize: c.WebhookMaxBatchSize,
			Deadline:     c.Deadline(),
			Certificate:  c.SSLCertificate,
			Key:          c.SSLKey,
			ClientCA:     c.SSLClientCA,
		})
	case "docker", "docker+tcp":
		name = "docker_events"
		in, err = dockerevents.Open(u, dockerevents.Options{
			TLSCA:   c.DockerTLSCA,
			TLSCert: c.DockerTLSCertificate,
			TLSKey:  c.DockerTLSKey,
		})
	default:
		return source.Named{}, fmt.Errorf("%s: there is no input %q; there are http, https, file, docker, docker+tcp and a path without a scheme", part, u.Scheme)
	}
	if err != nil {
		return source.Named{}, err
	}
	return source.Named{Name: name, Input: in}, nil
}
