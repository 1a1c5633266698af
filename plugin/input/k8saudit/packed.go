// SPDX-License-Identifier: Apache-2.0

package k8saudit

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

const (
	packedSuffix = ".gz"
	// maxUnpacked is how much of a packed file is unpacked: ten times what an API
	// server writes into one file by default.
	maxUnpacked = 1 << 30
)

var errUnwanted = errors.New("nobody needs what is packed in it")

// openRotated opens a file that the log was rotated to. A packed one is unpacked into a
// file without a name, but only if one that begins with this head is wanted.
func openRotated(name string, wanted func(head string) bool) (*os.File, error) {
	file, err := open(name)
	if err != nil || !strings.HasSuffix(name, packedSuffix) {
		return file, err
	}
	defer file.Close()
	zipped, err := gzip.NewReader(bufio.NewReader(file))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	text := bufio.NewReaderSize(zipped, headSize)
	// An error means that it is shorter, or broken, which shows below.
	first, _ := text.Peek(headSize)
	if head, ok := headOf(first); !ok || !wanted(head) {
		return nil, errUnwanted
	}
	unpacked, err := os.CreateTemp("", "audit-log-")
	if err != nil {
		return nil, err
	}
	os.Remove(unpacked.Name())
	if _, err := io.Copy(unpacked, io.LimitReader(text, maxUnpacked)); err != nil {
		unpacked.Close()
		return nil, fmt.Errorf("unpacking %s: %w", name, err)
	}
	return unpacked, nil
}
