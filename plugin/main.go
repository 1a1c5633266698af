// SPDX-License-Identifier: Apache-2.0

// Command plugin is libcontainerapi.so, built with -buildmode=c-shared: a
// plugin for Falco that catches credential theft through container APIs.
package main

import (
	"github.com/falcosecurity/plugin-sdk-go/pkg/sdk/plugins"
	"github.com/falcosecurity/plugin-sdk-go/pkg/sdk/plugins/source"
	"github.com/falcosecurity/plugin-sdk-go/pkg/sdk/symbols/fields"

	"github.com/containerapi/containerapi/plugin/field"
)

func init() {
	plugins.SetFactory(func() plugins.Plugin {
		p := new(Plugin)
		source.Register(p)
		return p
	})
	// Fields are extracted by package falco, not by the SDK.
	fields.SetFields(field.Entries())
}

func main() {}
