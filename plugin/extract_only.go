// SPDX-License-Identifier: Apache-2.0

//go:build extract

package main

import (
	"context"
	"sync"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/falco"
	"github.com/containerapi/containerapi/plugin/falco/parsing"
	"github.com/containerapi/containerapi/plugin/field"
	"github.com/containerapi/containerapi/plugin/history"
	"github.com/containerapi/containerapi/plugin/kubernetes"
	"github.com/containerapi/containerapi/plugin/meaning"
)

// With the build tag extract the library has no events of its own, and gives
// its fields to those that a k8saudit plugin collects, with a memory of its own. Falco
// does not take both from one library: a plugin with events of its own may not extract
// from those of another ("Illegal sources setup in live inspector").
const (
	pluginID      = 0
	pluginName    = "containerapi-extract"
	eventSource   = ""
	extractSource = "k8s_audit"
	// stateFile is the name of the state in stateDir: another than that of the library
	// with events of its own, which the same Falco may have, as one at a time has it open.
	stateFile = "profiles-k8s_audit.db"
)

func register(p *Plugin) { parsing.Register(p, extractSource) }

// parser reads the events that Falco shows the library before rules ask for their
// fields.
type parser struct {
	decoder event.Decoder
	// history is opened with the first event, nil until then.
	history *history.History
	// end ends what keeps the history and closes it.
	end func()
	// last is the event parsed last, nil if it could not be read.
	last *event.Event
}

// open opens the history. What cannot be opened is said, and events go on without.
func (p *Plugin) open() {
	past, err := p.remember()
	if err != nil {
		p.log.Printf("%v: what identities do is forgotten at the end", err)
		past = history.New(history.Options{LearnFor: p.config.Learning()})
	}
	ctx, cancel := context.WithCancel(context.Background())
	var keeping sync.WaitGroup
	keeping.Go(func() { past.Keep(ctx) })
	p.parser.history = past
	p.parser.end = func() {
		cancel()
		keeping.Wait()
		if err := past.Close(); err != nil {
			p.log.Printf("what identities did lately may be forgotten: %v", err)
		}
	}
}

func (p *parser) close() {
	if p.end != nil {
		p.end()
	}
}

// Parse implements falco.Parser. An event is decoded, compared with what was done before
// and remembered as the pipeline does it with those that this plugin collects. Only a
// request without an outcome is told of nowhere: that would be an event more.
func (p *Plugin) Parse(payload []byte, at int64, to *falco.Block) {
	if p.parser.history == nil {
		p.open()
	}
	p.parser.last = nil
	p.parser.decoder.Reads = kubernetes.Reads
	// An event holds one JSON object; what cannot be read has no fields.
	_ = p.parser.decoder.Decode(payload, func(e *event.Event, err error) {
		if err != nil {
			return
		}
		if e.Time <= 0 {
			e.Time = max(0, at)
		}
		meaning.Classify(e)
		p.parser.history.Observe(e)
		p.parser.last = e
	})
	// Cleaning takes nearly half of the time, and without rules on it no event leaves.
	if falco.Asked() != (falco.Set{}) {
		p.Parsed(to)
	}
}

// Parsed implements falco.Parser.
func (p *Plugin) Parsed(to *falco.Block) {
	if e := p.parser.last; e != nil {
		e.Clean(p.config.Shown())
		field.Fill(e, to)
	}
}
