// SPDX-License-Identifier: Apache-2.0

package main

import (
	"path/filepath"

	"github.com/containerapi/containerapi/plugin/history"
	"github.com/containerapi/containerapi/plugin/state"
)

// remember opens the memory of what identities did. It is for when events are about to
// come, and not for Init: Falco tries a changed configuration with a second plugin beside
// the one that has the state open.
func (p *Plugin) remember() (*history.History, error) {
	path := ""
	if p.config.StateDir != "" {
		path = filepath.Join(p.config.StateDir, stateFile)
	}
	store, err := state.Open(p.config.State, path, p.log)
	if err != nil {
		return nil, err
	}
	return history.New(history.Options{Store: store, LearnFor: p.config.Learning()}), nil
}
