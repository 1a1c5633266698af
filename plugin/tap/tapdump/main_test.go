// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerapi/containerapi/plugin/tap"
	"github.com/containerapi/containerapi/plugin/tap/taptest"
)

func TestMain(m *testing.M) { taptest.Main(m, nil) }

// start runs the program, and returns the lines that it prints once it watches.
func start(t *testing.T, args ...string) *bufio.Scanner {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	read, write := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, args, write)
		write.CloseWithError(err)
		ended <- err
	}()
	lines := bufio.NewScanner(read)
	if !lines.Scan() {
		cancel()
		err := <-ended
		for _, missing := range []error{tap.ErrPrivilege, tap.ErrBTF, tap.ErrKernel, tap.ErrLockdown} {
			if errors.Is(err, missing) {
				t.Skipf("the tap cannot be loaded here: %v", err)
			}
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		go func() { _, _ = io.Copy(io.Discard, read) }()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return lines
}

func TestDump(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	taptest.StartServer(t, "unix", path)
	for _, data := range []bool{false, true} {
		args := []string{path}
		if data {
			args = []string{"-data", path}
		}
		lines := start(t, args...)
		taptest.Run(t, taptest.Helper(t, "get", path, "/dumped"))
		var text string
		for !strings.Contains(text, " request ") && lines.Scan() {
			text += lines.Text() + "\n"
		}
		if !strings.Contains(text, " connect ") || !strings.Contains(text, " request ") {
			t.Errorf("data %t: no request in\n%s", data, text)
		}
		if shown := strings.Contains(text, "/dumped"); shown != data {
			t.Errorf("data %t: shown %t in\n%s", data, shown, text)
		}
	}
}

func TestUsage(t *testing.T) {
	if err := run(t.Context(), nil, io.Discard); err == nil || !strings.Contains(err.Error(), "name a socket") {
		t.Errorf("without a socket: %v", err)
	}
}
