// SPDX-License-Identifier: Apache-2.0

// Package parsing serves the part of Falco's plugin API, the event parsing
// capability, by which a plugin is shown every event of some sources, also of
// another plugin's. A library that has this package linked in has the capability.
//
// Falco parses an event once, when it takes it from its source and before any rule
// or output asks for a field of it, on the thread that does all of that
// (sinsp::next in userspace/libsinsp/sinsp.cpp of falcosecurity/libs, since plugin
// API 3.0.0). It has one plugin state for each event source, and shows it the events
// of a capture file as well.
package parsing

/*
#include "../abi.h"
*/
import "C"

import (
	"encoding/json"
	"unsafe"

	"github.com/falcosecurity/plugin-sdk-go/pkg/cgo"
	"github.com/falcosecurity/plugin-sdk-go/pkg/ptr"

	"github.com/containerapi/containerapi/plugin/falco"
)

// sources is the list of sources as the API has it, a JSON text.
var sources ptr.StringBuffer

// Register names the sources whose events the plugin is shown: without a name they
// would be those of all, system calls among them. It is for the plugin's factory; the
// plugin must implement [falco.Parser].
func Register(plugin falco.Parser, source ...string) {
	text, err := json.Marshal(source)
	if err != nil {
		panic(err) // a list of strings has JSON
	}
	sources.Write(string(text))
}

//export plugin_get_parse_event_sources
func plugin_get_parse_event_sources() *C.char { return (*C.char)(sources.CharPtr()) }

// plugin_parse_event implements the API's function of this name. The tables that it
// is given are not used. There is no failure to tell of: the engine looks at none, and
// what cannot be read has no fields.
//
//export plugin_parse_event
func plugin_parse_event(state C.uintptr_t, in *C.ss_plugin_event_input, _ unsafe.Pointer) C.int32_t {
	falco.Parse(cgo.Handle(state), unsafe.Pointer(in.evt), uint64(in.evtnum))
	return 0
}
