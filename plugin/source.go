// SPDX-License-Identifier: Apache-2.0

//go:build !extract

package main

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"github.com/falcosecurity/plugin-sdk-go/pkg/sdk"
	"github.com/falcosecurity/plugin-sdk-go/pkg/sdk/plugins/source"

	"github.com/containerapi/containerapi/plugin/history"
	"github.com/containerapi/containerapi/plugin/input"
	events "github.com/containerapi/containerapi/plugin/pipeline"
	"github.com/containerapi/containerapi/plugin/state"
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
	o := history.Options{LearnFor: 24 * time.Hour}
	// What a recording tells of is over, and not what a live capture goes on from.
	if p.config.StateDir != "" && slices.ContainsFunc(inputs, func(in events.Input) bool {
		_, recorded := in.Input.(input.Progress)
		return !recorded
	}) {
		o.Store = state.OpenFile(filepath.Join(p.config.StateDir, "profiles.db"), p.log)
	}
	return events.Open(inputs, events.Options{
		QueueSize:    p.config.QueueSize,
		MaxEventSize: p.config.MaxEventSize,
		History:      history.New(o),
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
