// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log"
	"os"

	"github.com/falcosecurity/plugin-sdk-go/pkg/sdk"
	"github.com/falcosecurity/plugin-sdk-go/pkg/sdk/plugins"

	"github.com/containerapi/containerapi/plugin/config"
	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/falco"
	"github.com/containerapi/containerapi/plugin/field"
	"github.com/containerapi/containerapi/plugin/kubernetes"
	"github.com/containerapi/containerapi/plugin/meaning"
)

// version is the plugin's and the rules' version.
const version = "0.1.0"

// Plugin is one initialized plugin: Falco makes one for each event source that
// it is used for.
type Plugin struct {
	plugins.BaseLastError
	plugins.BaseStringer
	plugins.BaseOpenParams

	config     config.Config
	log        *log.Logger
	extraction *falco.Extraction
	// decoder serves the extraction from events that this plugin did not make.
	decoder event.Decoder
	parser  parser
}

// Info implements plugins.Plugin.
func (p *Plugin) Info() *plugins.Info {
	return &plugins.Info{
		ID:          pluginID,
		Name:        pluginName,
		Description: "Credential access through container APIs: every request to the Docker API with the process behind it, Docker Engine events, Kubernetes audit events",
		EventSource: eventSource,
		Contact:     "github.com/containerapi/containerapi",
		Version:     version,
		// The oldest version with all that is used, so that every Falco from
		// 0.36 on loads the plugin.
		RequiredAPIVersion:  "3.0.0",
		ExtractEventSources: []string{extractSource},
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
	p.extraction = falco.NewExtraction()
	return nil
}

// Destroy implements sdk.Destroyer.
func (p *Plugin) Destroy() {
	p.parser.close()
	if p.extraction != nil {
		p.extraction.Free()
	}
}

// Extraction implements falco.Extractor.
func (p *Plugin) Extraction() *falco.Extraction { return p.extraction }

// Values implements falco.Extractor: it reads an event of a capture file, which says
// itself what was remembered when it was made.
func (p *Plugin) Values(payload []byte, to *falco.Block) {
	// An event holds one JSON object; what cannot be read has no fields.
	p.decoder.Reads = kubernetes.Reads
	_ = p.decoder.Decode(payload, func(e *event.Event, err error) {
		if err != nil {
			return
		}
		meaning.Classify(e)
		e.Clean(p.config.Shown())
		field.Fill(e, to)
	})
}
