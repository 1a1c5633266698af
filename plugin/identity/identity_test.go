// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/containerapi/containerapi/plugin/tap"
)

// program makes a file of root's, and returns what the kernel says of a process
// that runs it.
func program(t *testing.T, path string) *tap.Process {
	t.Helper()
	if err := os.WriteFile(path, []byte("#!"), 0o755); err != nil {
		t.Fatal(err)
	}
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		t.Fatal(err)
	}
	return &tap.Process{
		Start: 1, UID: 1000, GID: 1000, ExePath: path, Args: []string{"x"},
		Exe: tap.File{Inode: stat.Ino, Device: unixDevice(stat.Dev), UID: stat.Uid},
	}
}

func newChecker(t *testing.T) *Checker {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: a program that counts is root's")
	}
	c := NewChecker(&Host{proc: "/proc", root: "/", mounts: "/proc/self/mountinfo"})
	// Each look at a file is a new one.
	now := time.Now()
	c.now = func() time.Time { now = now.Add(fileLife); return now }
	return c
}

// Whoever can put another file at the path of a program decides what it is.
func TestWritable(t *testing.T) {
	for name, test := range map[string]struct {
		mode  os.FileMode // of the directory
		owner int
		group int
		file  os.FileMode
		want  Reason
	}{
		"root's":                  {0o755, 0, 0, 0o755, ""},
		"a user's":                {0o755, 1000, 0, 0o755, Writable},
		"everyone's":              {0o777, 0, 0, 0o755, Writable},
		"everyone's to add":       {0o777 | os.ModeSticky, 0, 0, 0o755, ""},
		"of root's group":         {0o775, 0, 0, 0o755, ""},
		"of the client's group":   {0o775, 0, 1000, 0o755, Writable},
		"of its other group":      {0o775, 0, 50, 0o755, Writable},
		"of another group":        {0o775, 0, 51, 0o755, ""},
		"readable for its group":  {0o755, 0, 1000, 0o755, ""},
		"a file for all to write": {0o755, 0, 0, 0o777, Writable},
	} {
		t.Run(name, func(t *testing.T) {
			c := newChecker(t)
			dir := filepath.Join(rooted(t), "bin")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			p := program(t, filepath.Join(dir, "program"))
			p.Groups = []uint32{50}
			if err := os.Chmod(p.ExePath, test.file); err != nil {
				t.Fatal(err)
			}
			if err := os.Chown(dir, test.owner, test.group); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(dir, test.mode); err != nil {
				t.Fatal(err)
			}
			if got := c.Program(p); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// rooted is a directory that only root can change the way to.
func rooted(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/root", "identity")
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// An upgrade of a package takes the file of a program that runs. What was vouched
// for before stays so, under the path that it had; nothing else does.
func TestUpgrade(t *testing.T) {
	c := newChecker(t)
	p := program(t, filepath.Join(rooted(t), "program"))
	path := p.ExePath
	if got := c.Program(p); got != "" {
		t.Fatalf("a program of root's: %q", got)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	newer := program(t, path)
	deleted := *p
	deleted.ExePath, deleted.ExeDeleted = path+" (deleted)", true
	if got := c.Program(&deleted); got != "" || c.Path(&deleted) != path {
		t.Errorf("after an upgrade: %q at %s", got, c.Path(&deleted))
	}
	unknown := deleted
	unknown.Exe.Generation++
	if got := c.Program(&unknown); got != Deleted || c.Path(&unknown) != unknown.ExePath {
		t.Errorf("a file that was not seen before: %q at %s", got, c.Path(&unknown))
	}
	if got := c.Program(newer); newer.Exe.Inode != p.Exe.Inode && got != "" {
		t.Errorf("the new file: %q", got)
	}
}

// A path that leads elsewhere on the host is not the one that a process runs.
func TestOtherFile(t *testing.T) {
	c := newChecker(t)
	dir := rooted(t)
	p := program(t, filepath.Join(dir, "program"))
	if err := os.Symlink("program", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	linked, inode, device, gone := *p, *p, *p, *p
	linked.ExePath = filepath.Join(dir, "link")
	inode.Exe.Inode++
	device.Exe.Device++
	gone.ExePath = filepath.Join(dir, "gone")
	for name, p := range map[string]*tap.Process{"a link": &linked, "another inode": &inode, "another device": &device, "no file": &gone} {
		if got := c.Program(p); got != OtherFile {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := NewChecker(&Host{}).Program(p); got != HostHidden {
		t.Errorf("a host that cannot be seen: %q", got)
	}
}
