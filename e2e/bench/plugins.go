// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
)

// build builds the three plugins, as their users build them. It runs in the
// directory of the module.
func build(ctx context.Context, containerapi, k8saudit, nothing string) error {
	for _, b := range []struct {
		dir  string
		args []string
	}{
		{"..", []string{"go", "build", "-buildmode=c-shared", "-trimpath", "-ldflags", "-s -w", "-o", containerapi, "./plugin"}},
		{"bench/k8saudit", []string{"go", "build", "-buildmode=c-shared", "-trimpath", "-ldflags", "-s -w", "-o", k8saudit,
			"github.com/falcosecurity/plugins/plugins/k8saudit/plugin"}},
		{"bench/nothing", []string{"cc", "-O2", "-shared", "-fPIC", "-o", nothing, "nothing.c"}},
	} {
		cmd := exec.CommandContext(ctx, b.args[0], b.args[1:]...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = b.dir, os.Stderr, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("build %s: %w", b.args[len(b.args)-1], err)
		}
	}
	return nil
}
