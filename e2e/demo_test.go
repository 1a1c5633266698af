// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// demoSummary is the demo's last word on attacks and benign acts.
var demoSummary = regexp.MustCompile(`(\d+) of (\d+) attacks caught.*; (\d+) of (\d+) benign acts silent`)

// TestDemo runs the demo on each of its roads, whatever was built here: which one
// it takes by itself depends on that.
func TestDemo(t *testing.T) {
	plugin(t, "")
	program := filepath.Join(t.TempDir(), "demo")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./cmd/demo").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for road, says := range map[string]string{
		"recorded": "a recorded audit log of kube-apiserver",
		"live":     "kube-apiserver",
	} {
		t.Run(road, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, program, "-kubernetes", road)
			// It ends what it started.
			cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
			cmd.WaitDelay = time.Minute
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			counts := demoSummary.FindStringSubmatch(strings.ReplaceAll(string(out), "\n", " "))
			if counts == nil || counts[1] != counts[2] || counts[3] != counts[4] || counts[1] == "0" || counts[3] == "0" {
				t.Errorf("it says %q", counts)
			}
			if !regexp.MustCompile(`Kubernetes +` + says).Match(out) {
				t.Errorf("it does not take the road %s", road)
			}
			if t.Failed() {
				t.Logf("%s", out)
			}
		})
	}
}
