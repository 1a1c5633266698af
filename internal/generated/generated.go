// SPDX-License-Identifier: Apache-2.0

// Package generated holds committed files to what they are made from. With the
// flag -update, which it adds to the tests that use it, they are written; make
// pages runs all of these tests so.
package generated

import (
	"bytes"
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write the files that are made from others")

// Compare fails the test if a file is not what it has to be, or writes it.
func Compare(t testing.TB, file string, want []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v: run make pages", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what it is made from: run make pages", file)
	}
}
