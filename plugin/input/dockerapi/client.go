// SPDX-License-Identifier: Apache-2.0

package dockerapi

import (
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/containerapi/containerapi/plugin/event"
)

// containerID finds a container's id in the path of a cgroup, where every
// runtime puts it: docker-<id>.scope, libpod-<id>.scope, cri-containerd-<id>,
// kubepods/…/<id>.
var containerID = regexp.MustCompile(`[0-9a-f]{64}`)

// initPIDNamespace is the inode of the first pid namespace, PROC_PID_INIT_INO
// of include/linux/proc_ns.h.
const initPIDNamespace = 0xEFFFFFFC

// client returns what is told of a process.
func client(p *Process) event.Client {
	c := event.Client{
		PID:        uint64(p.PID),
		PPID:       uint64(p.PPID),
		Name:       p.Comm,
		ParentName: p.ParentComm,
		Exe:        p.Exe,
		Cmdline:    event.MaskArgs(p.Args),
		UID:        int64(p.UID),
		LoginUID:   -1,
	}
	if p.Start == 0 {
		fromProc(&c)
		return c
	}
	if p.LoginUID != math.MaxUint32 {
		c.LoginUID = int64(p.LoginUID)
	}
	if ids := containerID.FindAllString(p.Cgroup, -1); len(ids) > 0 {
		c.Container.ID = ids[len(ids)-1]
	}
	c.InContainer = c.Container.ID != "" || p.PIDNamespace != 0 && p.PIDNamespace != initPIDNamespace
	return c
}

// fromProc fills in what /proc knows of a client that the kernel told little
// of. It may be gone, or not to be seen from where the plugin runs.
func fromProc(c *event.Client) {
	dir := "/proc/" + strconv.FormatUint(c.PID, 10) + "/"
	if name, err := os.ReadFile(dir + "comm"); err == nil {
		c.Name = strings.TrimSuffix(string(name), "\n")
	}
	if exe, err := os.Readlink(dir + "exe"); err == nil {
		c.Exe = exe
	}
	if args, err := os.ReadFile(dir + "cmdline"); err == nil {
		c.Cmdline = event.MaskArgs(strings.Split(strings.TrimSuffix(string(args), "\x00"), "\x00"))
	}
	if cgroup, err := os.ReadFile(dir + "cgroup"); err == nil {
		if ids := containerID.FindAllString(string(cgroup), -1); len(ids) > 0 {
			c.Container.ID, c.InContainer = ids[len(ids)-1], true
		}
	}
}
