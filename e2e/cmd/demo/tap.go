// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/containerapi/containerapi/e2e/engine"
)

// plainAddress is where the Docker API is by custom without TLS. The plugin sees
// the requests to this port. The scenario that uses it names it, too.
const plainAddress = "127.0.0.1:2375"

// tapLimit is how long the kernel may take to check the plugin's program.
const tapLimit = 30 * time.Second

// What the plugin logs of its tap.
const (
	tapSees   = "seeing every request to "
	tapFailed = "requests to the Docker API are not seen, only its events: "
)

// awaitTap waits until the plugin sees the requests to a Docker socket, and
// returns why it does not if it cannot.
func awaitTap(ctx context.Context, run *engine.Process, socket string) (why string, err error) {
	ctx, cancel := context.WithTimeout(ctx, tapLimit)
	defer cancel()
	for {
		for line := range strings.Lines(run.Stderr()) {
			if strings.Contains(line, tapSees+socket) {
				return "", nil
			}
			if _, why, failed := strings.Cut(line, tapFailed); failed {
				return strings.TrimSpace(why), nil
			}
		}
		select {
		case <-run.Ended():
			return "", fmt.Errorf("the engine ended: %v\n%s", run.Err(), run.Stderr())
		case <-ctx.Done():
			return "", fmt.Errorf("the plugin does not say whether it sees requests to Docker: %w\n%s", ctx.Err(), run.Stderr())
		case <-time.After(20 * time.Millisecond):
		}
	}
}
