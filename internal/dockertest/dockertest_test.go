// SPDX-License-Identifier: Apache-2.0

package dockertest

import (
	"os"
	"testing"
)

func TestDaemon(t *testing.T) {
	var dir string
	t.Run("lives", func(t *testing.T) {
		d := Start(t)
		dir = d.Dir
		if out := d.Docker("run", "--rm", Image, "id", "-u"); out != "0" {
			t.Errorf("a container printed %q", out)
		}
		d.Stop()
		if pid := d.Pid(); pid != 0 {
			t.Errorf("after Stop the pid is %d", pid)
		}
		d.Restart()
		if out := d.Docker("images", "--format={{.Repository}}"); out != Image {
			t.Errorf("after Restart the images are %q", out)
		}
	})
	if dir == "" {
		t.Skip("no daemon")
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is still there after its test: %v", dir, err)
	}
}
