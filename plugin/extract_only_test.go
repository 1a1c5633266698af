// SPDX-License-Identifier: Apache-2.0

//go:build extract

package main

import (
	"reflect"
	"testing"

	"github.com/falcosecurity/plugin-sdk-go/pkg/sdk/plugins/source"

	"github.com/containerapi/containerapi/plugin/falco/falcotest"
	"github.com/containerapi/containerapi/plugin/field"
)

// Falco loads the library beside k8saudit only if it has no events of its own.
func TestExtractOnly(t *testing.T) {
	p := new(Plugin)
	info := p.Info()
	if info.ID != 0 || info.EventSource != "" || !reflect.DeepEqual(info.ExtractEventSources, []string{"k8s_audit"}) {
		t.Errorf("info is %+v", info)
	}
	if _, opens := any(p).(source.Plugin); opens {
		t.Error("the plugin has events of its own")
	}
}

func TestExtractOnlyFields(t *testing.T) {
	p := new(Plugin)
	if err := p.Init(""); err != nil {
		t.Fatal(err)
	}
	engine := falcotest.New(p, field.Entries())
	defer engine.Close()
	defer p.Destroy()
	event, free := engine.Foreign([]byte(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"1","stage":"ResponseComplete",
		"verb":"list","requestURI":"/api/v1/secrets","user":{"username":"mallory"},"objectRef":{"resource":"secrets","apiVersion":"v1"},
		"responseStatus":{"code":200},"requestReceivedTimestamp":"2026-01-01T00:00:00.000000Z","stageTimestamp":"2026-01-01T00:00:00.000000Z"}`))
	defer free()
	values, err := engine.Extract(event)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{"api.operation": "secret.list", "kube.user.name": "mallory", "api.act": true} {
		if values[name] != want {
			t.Errorf("%s is %v, want %v", name, values[name], want)
		}
	}
}
