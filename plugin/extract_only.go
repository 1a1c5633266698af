// SPDX-License-Identifier: Apache-2.0

//go:build extract

package main

// With the build tag extract the library has no events of its own, and gives
// its fields to those that a k8saudit plugin collects. Falco does not take both
// from one library: a plugin with events of its own may not extract from those
// of another ("Illegal sources setup in live inspector").
const (
	pluginID      = 0
	pluginName    = "containerapi-extract"
	eventSource   = ""
	extractSource = "k8s_audit"
)

func register(*Plugin) {}
