// SPDX-License-Identifier: Apache-2.0

// Package eventtest helps to test what handles events.
package eventtest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"
)

// Recorded returns the lines of all recordings that match a pattern of
// [filepath.Glob], such as "../../e2e/testdata/recordings/*/*.jsonl.gz". It fails
// the test if there are none.
func Recorded(t testing.TB, pattern string) [][]byte {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings at %s: %v", pattern, err)
	}
	var lines [][]byte
	for _, name := range files {
		lines = append(lines, unpack(t, name)...)
	}
	return lines
}

func unpack(t testing.TB, name string) (lines [][]byte) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	s := bufio.NewScanner(z)
	s.Buffer(nil, 16<<20)
	for s.Scan() {
		lines = append(lines, bytes.Clone(s.Bytes()))
	}
	if err := s.Err(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return lines
}
