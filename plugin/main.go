// SPDX-License-Identifier: Apache-2.0

// Command plugin is libcontainerapi.so, built with -buildmode=c-shared: a
// plugin for Falco that catches credential theft through container APIs. With
// the build tag extract it is libcontainerapi-extract.so.
package main

import (
	"github.com/falcosecurity/plugin-sdk-go/pkg/sdk/plugins"
	"github.com/falcosecurity/plugin-sdk-go/pkg/sdk/symbols/fields"
	_ "github.com/falcosecurity/plugin-sdk-go/pkg/sdk/symbols/lasterr"

	"github.com/containerapi/containerapi/plugin/field"
)

func init() {
	plugins.SetFactory(func() plugins.Plugin {
		p := new(Plugin)
		register(p)
		return p
	})
	// Fields are extracted by package falco, not by the SDK.
	fields.SetFields(field.Entries())
}

func main() {}
