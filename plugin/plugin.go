// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"log"
	"os"

	"github.com/falcosecurity/plugin-sdk-go/pkg/sdk"
	"github.com/falcosecurity/plugin-sdk-go/pkg/sdk/plugins"
	"github.com/falcosecurity/plugin-sdk-go/pkg/sdk/plugins/source"

	"github.com/containerapi/containerapi/plugin/config"
	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/falco"
	"github.com/containerapi/containerapi/plugin/field"
	"github.com/containerapi/containerapi/plugin/history"
	events "github.com/containerapi/containerapi/plugin/source"
)

const (
	// pluginID is the id for development. It is to be replaced once, here, by
	// one from https://github.com/falcosecurity/plugins.
	pluginID = 999
	// version is the plugin's and the rules' version.
	version = "0.1.0"
)

// Plugin is one initialized plugin: Falco makes one for each event source that
// it is used for.
type Plugin struct {
	plugins.BaseLastError
	plugins.BaseStringer
	plugins.BaseOpenParams

	config config.Config
	log    *log.Logger
	view   *falco.View
	// decoder and history serve the extraction from events that this plugin
	// did not make.
	decoder event.Decoder
	history *history.History
}

// Info implements plugins.Plugin.
func (p *Plugin) Info() *plugins.Info {
	return &plugins.Info{
		ID:          pluginID,
		Name:        "containerapi",
		Description: "Credential access through container APIs: Kubernetes audit events and Docker Engine events",
		EventSource: "container_api",
		Contact:     "github.com/containerapi/containerapi",
		Version:     version,
		// The oldest version with all that is used, so that every Falco from
		// 0.36 on loads the plugin.
		RequiredAPIVersion:  "3.0.0",
		ExtractEventSources: []string{"container_api", "k8s_audit"},
	}
}

// InitSchema implements sdk.InitSchema.
func (p *Plugin) InitSchema() *sdk.SchemaInfo {
	return &sdk.SchemaInfo{Schema: config.Schema()}
}

// Init implements plugins.Plugin.
func (p *Plugin) Init(text string) error {
	c, err := config.Parse(text)
	if err != nil {
		return err
	}
	p.config = c
	p.log = log.New(os.Stderr, "containerapi: ", log.LstdFlags|log.LUTC|log.Lmsgprefix)
	p.view = falco.NewView()
	p.history = history.New()
	return nil
}

// Destroy implements sdk.Destroyer.
func (p *Plugin) Destroy() {
	if p.view != nil {
		p.view.Free()
	}
}

// Open implements source.Plugin.
func (p *Plugin) Open(params string) (source.Instance, error) {
	inputs, err := openInputs(params, p.config)
	if err != nil {
		return nil, err
	}
	return events.Open(inputs, events.Options{
		QueueSize:    p.config.QueueSize,
		MaxEventSize: p.config.MaxEventSize,
		Log:          p.log,
	}), nil
}

// View implements falco.Extractor.
func (p *Plugin) View() *falco.View { return p.view }

// Facts implements falco.Extractor: it reads an event of a capture file, or
// one that a k8saudit plugin collected.
func (p *Plugin) Facts(payload []byte, to *falco.Block) {
	// An event holds one JSON object; what cannot be read has no fields.
	_ = p.decoder.Decode(payload, func(e *event.Event, err error) {
		if err != nil {
			return
		}
		field.Understand(e)
		p.history.TellStage(e)
		field.Fill(e, to)
	})
}

// String implements sdk.Stringer: evt.plugininfo is the event itself.
func (p *Plugin) String(e sdk.EventReader) (string, error) {
	b, err := io.ReadAll(e.Reader())
	if err != nil {
		return "", fmt.Errorf("read event: %w", err)
	}
	return string(b), nil
}
