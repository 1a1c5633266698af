// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"fmt"
	"io"

	"github.com/containerapi/containerapi/internal/debian"
)

// InstallSysdig makes sure that [Find] finds an engine: it does nothing where
// Falco is, or where it has been run before; else it installs sysdig in the system of
// [debian.Root], whose release has one new enough to load plugins. It needs root and
// debootstrap, and writes what those print to log.
func InstallSysdig(ctx context.Context, log io.Writer) error {
	if _, err := Find(ctx); err == nil {
		return nil
	}
	if err := debian.Install(ctx, log, "sysdig"); err != nil {
		return err
	}
	if _, err := Find(ctx); err != nil {
		return fmt.Errorf("sysdig was installed but does not run: %w", err)
	}
	return nil
}
