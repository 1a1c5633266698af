// SPDX-License-Identifier: Apache-2.0

package dockerapi

import (
	"bytes"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/containerapi/containerapi/plugin/command"
	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/oneline"
	"github.com/containerapi/containerapi/plugin/tap"
)

// containerID finds a container's id in the path of a cgroup, where every
// runtime puts it: docker-<id>.scope, libpod-<id>.scope, cri-containerd-<id>,
// kubepods/…/<id>.
var containerID = regexp.MustCompile(`[0-9a-f]{64}`)

// wholeID is a container's id and nothing else.
var wholeID = regexp.MustCompile(`^[0-9a-f]{64}$`)

// initPIDNamespace is the inode of the first pid namespace, PROC_PID_INIT_INO
// of include/linux/proc_ns.h.
const initPIDNamespace = 0xEFFFFFFC

// client returns what an event says of a process.
func client(p *tap.Process) event.Client {
	c := event.Client{
		PID:        uint64(p.PID),
		PPID:       uint64(p.PPID),
		Name:       oneline.Text(p.Comm),
		ParentName: oneline.Text(p.ParentComm),
		ExePath:    oneline.Text(p.ExePath),
		Cmdline:    command.MaskArgs(p.Args),
		UID:        int64(p.UID),
		LoginUID:   -1,
	}
	// Of a process that was gone when its connection was taken, /proc can
	// only tell what is another's by now.
	if p.Start == 0 {
		return c
	}
	if p.Args == nil {
		c.Cmdline = commandLine(p)
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

// commandLine returns what /proc says is the command line of a process, if it
// is that process: it may be gone, and the plugin's pids may be others.
func commandLine(p *tap.Process) string {
	dir := "/proc/" + strconv.FormatUint(uint64(p.PID), 10) + "/"
	args, err := os.ReadFile(dir + "cmdline")
	if err != nil {
		return ""
	}
	// The 22nd field is the start time in ticks, of which Linux shows 100 a
	// second everywhere: proc_pid_stat(5). The second, a name in parentheses,
	// can hold anything.
	stat, err := os.ReadFile(dir + "stat")
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 || fields[19] != strconv.FormatUint(p.Start/1e7, 10) {
		return ""
	}
	return command.Mask(strings.TrimSuffix(strings.ReplaceAll(string(args), "\x00", " "), " "))
}
