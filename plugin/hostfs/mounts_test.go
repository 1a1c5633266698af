// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// What is mounted from elsewhere is known by where it belongs.
func TestOrigins(t *testing.T) {
	table := filepath.Join(t.TempDir(), "mountinfo")
	const lines = `22 1 8:1 / / rw - ext4 /dev/sda1 rw
23 22 0:21 / /proc rw - proc proc rw
24 22 8:2 /@home /home rw shared:3 - btrfs /dev/sdb rw
25 22 8:2 /@ /srv rw - btrfs /dev/sdb rw
30 22 8:1 /etc /tmp/etc rw - ext4 /dev/sda1 rw
31 22 8:1 / /mnt/again ro - ext4 /dev/sda1 rw
32 22 8:1 /root/.ssh /tmp/par/a\040b\134 rw - ext4 /dev/sda1 rw
33 22 0:21 / /tmp/numbers rw - proc proc rw
34 22 8:2 /@home/ann /tmp/ann rw - btrfs /dev/sdb rw
35 22 0:40 / /tmp/etc/hidden rw - tmpfs tmpfs rw
36 22 8:1 /srv/data /var/lib/docker/volumes/v/_data rw - ext4 /dev/sda1 rw
short line
`
	if err := os.WriteFile(table, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	mounts := readMounts(table)
	for p, want := range map[string][]string{
		"/tmp/etc":            {"/etc"},
		"/tmp/etc/ssh":        {"/etc/ssh"},
		"/tmp/etc/hidden":     nil,
		"/tmp/etcetera":       nil,
		"/mnt/again":          {"/"},
		"/mnt/again/root":     {"/root"},
		"/mnt":                {"/"},
		"/tmp/par":            {"/root/.ssh"},
		`/tmp/par/a b\/id`:    {"/root/.ssh/id"},
		"/tmp/numbers/1/root": {"/proc/1/root"},
		"/tmp/ann":            {"/home/ann"},
		"/":                   nil,
		"/etc":                nil,
		"/srv":                nil,
		"/home/ann":           nil,
		"/usr/share":          nil,
		// Where a volume leads to is no part of the engine's data.
		"/srv/data": nil,
	} {
		if got := origins(mounts, p); !slices.Equal(got, want) {
			t.Errorf("%s is %q, want %q", p, got, want)
		}
	}
	if got := origins(readMounts(filepath.Join(t.TempDir(), "none")), "/tmp/etc"); got != nil {
		t.Errorf("without a table it is %q", got)
	}
}

// The mounts are those of the engine's process.
func TestLookMounts(t *testing.T) {
	if mounts := readMounts("/proc/self/mountinfo"); len(mounts) == 0 || mounts[0].at == "" {
		t.Fatalf("the table of this process has %v", mounts)
	}
	if h := Of(os.Getpid()); h == nil || len(readMounts(h.mounts)) != len(readMounts("/proc/self/mountinfo")) {
		t.Errorf("the mounts of this process are not seen by its id: %+v", h)
	}
}
