// SPDX-License-Identifier: Apache-2.0

// Package falcoctl tries what packaging releases: with real falcoctl, a real
// registry and a real engine.
package falcoctl

import (
	"context"
	"io"

	"github.com/containerapi/containerapi/e2e/build"
)

// Version is the release of falcoctl that runs, the one in binaries/go.mod and
// in the Falco chart that the overlays in helm/ are for.
const Version = "0.13.0"

// programs are falcoctl and the registry of distribution. They have a module of
// their own here: falcoctl's go.mod replaces a module.
var programs = build.Programs{
	Name: "falcoctl-" + Version,
	Modules: []build.Module{{
		Directory: "falcoctl/binaries",
		Packages:  []string{"github.com/falcosecurity/falcoctl", "github.com/distribution/distribution/v3/cmd/registry"},
	}},
}

// Directory returns the directory of falcoctl and registry, for a PATH. It is an
// error if they are not built.
func Directory() (string, error) { return programs.Directory() }

// Build builds falcoctl and the registry from their Go modules, which takes some
// four minutes on two cores, and keeps them in the user's cache directory. It
// returns at once if they are there. It writes what the go command prints to log.
func Build(ctx context.Context, log io.Writer) error { return programs.Build(ctx, log) }
