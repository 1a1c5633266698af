// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// writeTar writes a gzipped tar of one file. Nothing in it tells when, where or
// by whom it was made, so the same content gives the same bytes.
func writeTar(name, source string) error {
	content, err := os.ReadFile(source)
	if err != nil {
		return fmt.Errorf("pack %s, which make build makes or the repository has: %w", filepath.Base(name), err)
	}
	var b bytes.Buffer
	// A zero ModTime is written as no time at all: RFC 1952.
	zipped, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(zipped)
	if err := archive.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg,
		Name:     filepath.Base(source),
		Size:     int64(len(content)),
		Mode:     0o644,
		ModTime:  time.Unix(0, 0),
		Format:   tar.FormatUSTAR,
	}); err != nil {
		return err
	}
	if _, err := archive.Write(content); err != nil {
		return err
	}
	if err := archive.Close(); err != nil {
		return err
	}
	if err := zipped.Close(); err != nil {
		return err
	}
	return os.WriteFile(name, b.Bytes(), 0o644)
}
