// SPDX-License-Identifier: Apache-2.0

package falco_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestLayout holds abi.h to Falco's own declarations, as plugin-sdk-go has them:
// what layout.h says of the first has to be true of the second.
func TestLayout(t *testing.T) {
	sdk := output(t, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/falcosecurity/plugin-sdk-go")
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	compiler := strings.Fields(output(t, "go", "env", "CC"))
	cmd := exec.Command(compiler[0], append(compiler[1:], "-fsyntax-only", "-xc", "-I"+filepath.Join(sdk, "pkg", "sdk"), "-I"+here, "-")...)
	cmd.Stdin = strings.NewReader("#include <plugin_api.h>\n#include <layout.h>\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("abi.h is not what Falco declares: %v\n%s", err, out)
	}
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		t.Fatalf("%s %q: %v", name, args, err)
	}
	return strings.TrimSpace(string(out))
}
