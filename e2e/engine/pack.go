// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Packed is where [Pack] puts sysdig: with it as XDG_CACHE_HOME, [Find] finds it.
const Packed = "/var/cache"

// Pack copies the engine and all libraries that it and a plugin need, for an
// image: add is called with the path of a file and its path in the image. Falco
// becomes /usr/bin/falco; where the engine is another, Pack returns false and
// leaves that name free.
func Pack(ctx context.Context, e Engine, plugin string, add func(from, name string) error) (isFalco bool, err error) {
	switch e := e.(type) {
	case *falco:
		path, err := exec.LookPath(e.path)
		if err != nil {
			return true, err
		}
		if err := add(path, "/usr/bin/falco"); err != nil {
			return true, err
		}
		return true, copyLibraries(ctx, add, nil, "ldd", path, plugin)
	case *sysdig:
		cache := filepath.Dir(filepath.Dir(e.root))
		inCache := func(path string) string { return Packed + strings.TrimPrefix(path, cache) }
		if err := add(e.program(), inCache(e.program())); err != nil {
			return false, err
		}
		loader, args := e.argv()
		if err := add(loader, inCache(loader)); err != nil {
			return false, err
		}
		// All but the program itself.
		args = append(args[:len(args)-1:len(args)-1], "--list")
		for _, file := range []string{e.program(), plugin} {
			if err := copyLibraries(ctx, add, inCache, loader, append(args, file)...); err != nil {
				return false, err
			}
		}
		return false, nil
	}
	return false, fmt.Errorf("%s cannot be packed", e)
}

// copyLibraries copies the libraries in the list that a command prints in the
// way of ldd(1). Where name is nil they keep their paths.
func copyLibraries(ctx context.Context, add func(from, name string) error, name func(string) string, command string, args ...string) error {
	list, err := exec.CommandContext(ctx, command, args...).Output()
	if err != nil {
		return fmt.Errorf("%s %s: %w", command, strings.Join(args, " "), err)
	}
	for field := range strings.FieldsSeq(string(list)) {
		if !strings.HasPrefix(field, "/") || strings.HasSuffix(field, ":") {
			continue
		}
		if _, err := os.Stat(field); err != nil {
			return err
		}
		target := field
		if name != nil {
			target = name(field)
		}
		if err := add(field, target); err != nil {
			return err
		}
	}
	return nil
}
