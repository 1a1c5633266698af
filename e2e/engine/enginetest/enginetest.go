// SPDX-License-Identifier: Apache-2.0

// Package enginetest runs the engine for tests.
package enginetest

import (
	"testing"

	"github.com/containerapi/containerapi/e2e/engine"
)

// Find returns the engine that the tests use, and names it in the log.
func Find(t *testing.T) engine.Engine {
	t.Helper()
	e, err := engine.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("engine: %s", e)
	return e
}

// Start starts the engine for the length of the test. What it logged is shown
// if the test fails.
func Start(t *testing.T, c engine.Config) *engine.Process {
	t.Helper()
	run, err := engine.Start(Find(t), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := run.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the engine logged:\n%s", run.Stderr())
		}
	})
	return run
}
