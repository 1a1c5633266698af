// SPDX-License-Identifier: Apache-2.0

//go:build !extract

package main

import (
	"fmt"
	"io"

	"github.com/falcosecurity/plugin-sdk-go/pkg/sdk"
	"github.com/falcosecurity/plugin-sdk-go/pkg/sdk/plugins/source"

	events "github.com/containerapi/containerapi/plugin/pipeline"
)

const (
	// pluginID is the id for development. It is to be replaced once, here, by
	// one from https://github.com/falcosecurity/plugins.
	pluginID      = 999
	pluginName    = "containerapi"
	eventSource   = "container_api"
	extractSource = "container_api"
)

func register(p *Plugin) { source.Register(p) }

// Open implements source.Plugin.
func (p *Plugin) Open(params string) (source.Instance, error) {
	inputs, err := openInputs(params, p.config)
	if err != nil {
		return nil, err
	}
	return events.Open(inputs, events.Options{
		QueueSize:    p.config.QueueSize,
		MaxEventSize: p.config.MaxEventSize,
		Shown:        p.config.Shown(),
		Log:          p.log,
	}), nil
}

// String implements sdk.Stringer: evt.plugininfo is the event itself.
func (p *Plugin) String(e sdk.EventReader) (string, error) {
	b, err := io.ReadAll(e.Reader())
	if err != nil {
		return "", fmt.Errorf("read event: %w", err)
	}
	return string(b), nil
}
