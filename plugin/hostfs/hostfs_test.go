// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/containerapi/containerapi/plugin/hostaccess"
)

// A link leads where it leads on the host, and never out of it.
func TestLook(t *testing.T) {
	root := t.TempDir()
	link := func(to, at string) {
		t.Helper()
		at = filepath.Join(root, at)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(root, "etc/ssh"), 0o755); err != nil {
		t.Fatal(err)
	}
	link("/etc", "tmp/absolute")
	link("../etc", "tmp/relative")
	link("../../../../../..", "tmp/out")
	link("/tmp/absolute/ssh", "srv/chain")
	link("/tmp/loop", "tmp/loop")
	link("/", "srv/a/root")
	listener, err := net.Listen("unix", filepath.Join(root, "srv/engine.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if err := os.Link(filepath.Join(root, "srv/engine.sock"), filepath.Join(root, "tmp/app.sock")); err != nil {
		t.Fatal(err)
	}
	for p, want := range map[string]hostaccess.File{
		"/etc":                     {Path: "/etc"},
		"/tmp/absolute":            {Path: "/etc"},
		"/tmp/absolute/shadow":     {Path: "/etc/shadow"},
		"/tmp//./relative/":        {Path: "/etc"},
		"/tmp/out":                 {Path: "/"},
		"/tmp/out/etc":             {Path: "/etc"},
		"/srv/chain":               {Path: "/etc/ssh"},
		"/srv/chain/..":            {Path: "/etc"},
		"/srv/a/root/tmp/absolute": {Path: "/etc"},
		"tmp/absolute":             {Path: "/etc"},
		"/nowhere/at/all":          {Path: "/nowhere/at/all"},
		"/srv/engine.sock":         {Path: "/srv/engine.sock", Engine: true},
		"/tmp/app.sock":            {Path: "/tmp/app.sock", Engine: true},
	} {
		got, err := At(root).Look(t.Context(), []string{p, "/tmp/loop"}, []string{"/srv/engine.sock"})
		if err != nil || !slices.Equal(got, []hostaccess.File{want}) {
			t.Errorf("at %s is %+v, %v, want %+v", p, got, err, want)
		}
	}
}

// A disk is one under any name.
func TestLookDevice(t *testing.T) {
	root := t.TempDir()
	for name, mode := range map[string]uint32{"block": unix.S_IFBLK, "memory": unix.S_IFCHR, "null": unix.S_IFCHR} {
		device := unix.Mkdev(1, 1)
		if name == "null" {
			device = unix.Mkdev(1, 3)
		}
		if err := unix.Mknod(filepath.Join(root, name), mode|0o600, int(device)); err != nil {
			t.Skipf("needs the right to make devices: %v", err)
		}
	}
	got, err := At(root).Look(t.Context(), []string{"/block", "/memory", "/null"}, nil)
	want := []hostaccess.File{{Path: "/block", Disk: true}, {Path: "/memory", Disk: true}, {Path: "/null"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

// A file system that does not answer holds up nobody for longer than they want, and
// no more goroutines than there may be.
func TestLookHangs(t *testing.T) {
	h := At(t.TempDir())
	for range maxLooking {
		h.looking <- struct{}{}
	}
	if _, err := h.Look(t.Context(), []string{"/"}, nil); !errors.Is(err, errHangs) {
		t.Errorf("got %v while all hang", err)
	}
	<-h.looking
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	paths := slices.Repeat([]string{"/a/b/c/d/e/f"}, 1_000_000)
	begin := time.Now()
	if _, err := h.Look(ctx, paths, nil); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > time.Second {
		t.Errorf("got %v after %s", err, time.Since(begin))
	}
}

// What is seen is what the engine's process sees, and the host's where that is not
// known.
func TestOf(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "marker")
	if err := os.Symlink("/etc/shadow", marker); err != nil {
		t.Fatal(err)
	}
	sees := func(h *Host) bool {
		got, _ := h.Look(t.Context(), []string{marker}, nil)
		return slices.Equal(got, []hostaccess.File{{Path: "/etc/shadow"}})
	}
	if !sees(Of(os.Getpid())) {
		t.Error("what this program sees is not seen by its id")
	}
	first := Of(0)
	if first == nil {
		t.Skip("the host's first process cannot be looked into")
	}
	t.Setenv("HOST_ROOT", t.TempDir())
	if again := Of(0); again == nil || again.root != first.root {
		t.Errorf("with a HOST_ROOT that has no /proc: %+v", again)
	}
}
