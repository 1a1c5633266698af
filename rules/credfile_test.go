// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"os"
	"strings"
	"testing"

	"github.com/containerapi/containerapi/internal/generated"
	"github.com/containerapi/containerapi/plugin/credfile"
)

// maxValue is how long a value in a condition can be, in bytes: libsinsp keeps it
// in 256 with a zero behind it.
const maxValue = 255

// The rules on system calls look for the files that the plugin knows: their macro
// is made from the same list.
func TestCredentialFiles(t *testing.T) {
	const head = "\n- macro: containerapi_args_name_credential_file\n  condition: >\n"
	text, err := os.ReadFile(syscalls)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), head)
	_, after, ok2 := strings.Cut(rest, "\n\n")
	if !ok || !ok2 {
		t.Fatalf("%s has no %s", syscalls, head)
	}
	var terms []string
	for _, e := range credfile.Expressions() {
		e = `(.|\n)*(exec|debug) ` + e
		if len(e) > maxValue {
			t.Errorf("Falco takes values of %d bytes, not of %d: split the list in credfile: %s", maxValue, len(e), e)
		}
		terms = append(terms, `proc.args regex "`+e+`"`)
	}
	generated.Compare(t, syscalls, []byte(before+head+"    ("+strings.Join(terms, "\n     or ")+")\n\n"+after))
}
