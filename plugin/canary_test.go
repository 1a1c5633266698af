// SPDX-License-Identifier: Apache-2.0

//go:build !extract

package main

import (
	"testing"

	"github.com/containerapi/containerapi/plugin/event/eventtest"
	"github.com/containerapi/containerapi/plugin/falco/falcotest"
)

// No field of any event shows a secret, and neither does the event itself, live or
// read back.
func TestCanariesInFields(t *testing.T) {
	p, engine := start(t, "")
	for _, canary := range eventtest.Canaries() {
		lines := audits(t, canary.Text)
		count := 0
		readAll(t, p, engine, write(t, lines...), func(e falcotest.Event) {
			count++
			live, err := engine.Extract(e)
			if err != nil {
				t.Fatal(err)
			}
			shown(t, canary, "live", live)
			payload, _ := e.Payload()
			shown(t, canary, "event", map[string]any{"evt.plugininfo": string(payload)})
			copied, free := engine.Foreign(payload)
			defer free()
			again, err := engine.Extract(copied)
			if err != nil {
				t.Fatal(err)
			}
			shown(t, canary, "read back", again)
		})
		if count != len(lines) {
			t.Errorf("%d events of %d", count, len(lines))
		}
	}
}
