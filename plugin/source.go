// SPDX-License-Identifier: Apache-2.0

//go:build !extract

package main

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/falcosecurity/plugin-sdk-go/pkg/sdk"
	"github.com/falcosecurity/plugin-sdk-go/pkg/sdk/plugins/source"

	"github.com/containerapi/containerapi/plugin/history"
	"github.com/containerapi/containerapi/plugin/input"
	events "github.com/containerapi/containerapi/plugin/pipeline"
)

const (
	// pluginID is the id for development. It is to be replaced once, here, by
	// one from https://github.com/falcosecurity/plugins.
	pluginID      = 999
	pluginName    = "containerapi"
	eventSource   = "container_api"
	extractSource = "container_api"
	// stateFile is the name of the state in stateDir.
	stateFile = "profiles.db"
)

func register(p *Plugin) { source.Register(p) }

// parser is for the library without events of its own.
type parser struct{}

func (parser) close() {}

// Open implements source.Plugin.
func (p *Plugin) Open(params string) (source.Instance, error) {
	inputs, err := openInputs(params, p.config)
	if err != nil {
		return nil, err
	}
	// What a recording tells of is over, and not what a live capture goes on from.
	past := history.New(history.Options{LearnFor: p.config.Learning()})
	if slices.ContainsFunc(inputs, isLive) {
		if past, err = p.remember(); err != nil {
			for _, in := range inputs {
				err = errors.Join(err, in.Input.Close())
			}
			return nil, err
		}
	}
	return events.Open(inputs, events.Options{
		QueueSize:    p.config.QueueSize,
		MaxEventSize: p.config.MaxEventSize,
		History:      past,
		Shown:        p.config.Shown(),
		Log:          p.log,
	}), nil
}

// isLive reports whether an input's events take place now.
func isLive(in events.Input) bool {
	_, recorded := in.Input.(input.Progress)
	return !recorded
}

// String implements sdk.Stringer: evt.plugininfo is the event itself.
func (p *Plugin) String(e sdk.EventReader) (string, error) {
	b, err := io.ReadAll(e.Reader())
	if err != nil {
		return "", fmt.Errorf("read event: %w", err)
	}
	return string(b), nil
}
