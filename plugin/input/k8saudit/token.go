// SPDX-License-Identifier: Apache-2.0

package k8saudit

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"os"
	"strings"
	"sync"
)

// tokens are the bearer tokens that senders may show: the lines of a file, so that
// a new one can be let in before the old one goes. They are read again when the
// file changes.
type tokens struct {
	path string

	mu   sync.Mutex
	file os.FileInfo
	sums [][sha256.Size]byte
}

func newTokens(path string) (*tokens, error) {
	t := &tokens{path: path}
	var err error
	if t.file, err = os.Stat(path); err == nil {
		err = t.load()
	}
	if err != nil {
		return nil, fmt.Errorf("webhook token: %w", err)
	}
	return t, nil
}

func (t *tokens) load() error {
	text, err := os.ReadFile(t.path)
	if err != nil {
		return err
	}
	var sums [][sha256.Size]byte
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			sums = append(sums, sha256.Sum256(line))
		}
	}
	if len(sums) == 0 {
		return fmt.Errorf("%s is empty: it has to hold a token", t.path)
	}
	t.sums = sums
	return nil
}

// refresh reads the file again if it has changed. If it cannot be read, the last
// tokens stay, and the error is returned the first time.
func (t *tokens) refresh() (reloaded bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	file, err := os.Stat(t.path)
	if err == nil && t.file != nil && same([]os.FileInfo{file}, []os.FileInfo{t.file}) {
		return false, nil
	}
	missed := t.file == nil
	if err == nil {
		missed = false
		err = t.load()
	}
	t.file = file
	if err == nil || missed {
		return err == nil, nil
	}
	return false, err
}

// allow reports whether an Authorization header shows one of the tokens. It takes
// as long whatever the header holds.
func (t *tokens) allow(header string) bool {
	scheme, token, _ := strings.Cut(header, " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
	t.mu.Lock()
	defer t.mu.Unlock()
	found := 0
	for i := range t.sums {
		found |= subtle.ConstantTimeCompare(sum[:], t.sums[i][:])
	}
	return found == 1 && strings.EqualFold(scheme, "Bearer")
}
