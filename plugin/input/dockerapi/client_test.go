// SPDX-License-Identifier: Apache-2.0

package dockerapi

import (
	"math"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/hostfs"
	"github.com/containerapi/containerapi/plugin/identity"
	"github.com/containerapi/containerapi/plugin/input/inputtest"
	"github.com/containerapi/containerapi/plugin/tap"
	"github.com/containerapi/containerapi/plugin/tap/taptest"
)

// host is the machine that the tests run on.
var host = identity.FindHost()

func TestClientContainer(t *testing.T) {
	outer, inner := strings.Repeat("0a", 32), strings.Repeat("f9", 32)
	for cgroup, want := range map[string]string{
		"/": "",
		"/user.slice/user-0.slice/session-1.scope":                                            "",
		"/system.slice/docker.service":                                                        "",
		"/docker/" + inner:                                                                    inner,
		"/docker/" + inner + "/init.scope":                                                    inner,
		"/system.slice/docker-" + inner + ".scope":                                            inner,
		"/machine.slice/libpod-" + inner + ".scope/container":                                 inner,
		"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + inner + ".scope": inner,
		"/kubepods/besteffort/pod4f2b8f3e-8a06-4f9c-a8a0-2d51b11ac8c5/" + inner:               inner,
		"/kubepods.slice/kubepods-pod4f2b8f3e_8a06_4f9c_a8a0_2d51b11ac8c5.slice/cri-containerd-" + inner + ".scope": inner,
		"/kubepods.slice/kubepods-burstable.slice/crio-" + inner + ".scope":                                         inner,
		"/docker/" + outer + "/docker/" + inner:                                                                     inner,
		"/docker/" + outer + "/kubelet/kubepods/pod1/" + inner:                                                      inner,
		".../" + inner + "/x":   inner,
		"/docker/" + inner[:63]: "",
	} {
		c := client(&tap.Process{PID: 1 << 30, Start: 1, Cgroup: cgroup, PIDNamespace: hostfs.InitPIDNamespace}, host)
		if c.Container.ID != want || c.InContainer != (want != "") {
			t.Errorf("%s: got container %q, %t", cgroup, c.Container.ID, c.InContainer)
		}
	}
}

func TestClientNamespace(t *testing.T) {
	for namespace, want := range map[uint32]bool{0: false, hostfs.InitPIDNamespace: false, 4026532000: true} {
		if c := client(&tap.Process{PID: 1 << 30, Start: 1, PIDNamespace: namespace}, host); c.InContainer != want {
			t.Errorf("pid namespace %d: in a container: %t", namespace, c.InContainer)
		}
	}
}

func TestClient(t *testing.T) {
	got := client(&tap.Process{
		PID: 7, PPID: 6, UID: 1000, LoginUID: 1001, Start: 5, Comm: "docker", ParentComm: "sh", ExePath: "/usr/bin/docker",
		Args: []string{"docker", "run", "-e", "PASSWORD=canary", "-e", "A=canary", "busybox"}, Cgroup: "/",
	}, host)
	want := event.Client{PID: 7, PPID: 6, Name: "docker", ParentName: "sh", ExePath: "/usr/bin/docker", UID: 1000, LoginUID: 1001,
		Cmdline: "docker run -e PASSWORD=*** -e A=*** busybox"}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if c := client(&tap.Process{PID: 7, Start: 5, LoginUID: math.MaxUint32, Args: []string{"x"}}, host); c.LoginUID != -1 {
		t.Errorf("no login is %d", c.LoginUID)
	}
}

// A command line that the kernel's side did not give is read from /proc, from
// the same process only.
func TestClientCommandLine(t *testing.T) {
	taptest.Need(t, "sleep")
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/stat")
	if err != nil {
		t.Skip(err)
	}
	ticks, err := strconv.ParseUint(strings.Fields(string(stat))[21], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	p := tap.Process{PID: uint32(cmd.Process.Pid), Start: ticks*1e7 + 123}
	// Right after the fork it still has its parent's.
	inputtest.Eventually(t, "command line", func() bool { return client(&p, host).Cmdline == "sleep 1000" })
	for what, other := range map[string]tap.Process{
		"a process of another time": {PID: p.PID, Start: p.Start + 1e7},
		"a process that was gone":   {PID: p.PID},
		"no process":                {PID: 1 << 30, Start: p.Start},
	} {
		if c := client(&other, host); c.Cmdline != "" || c.Name != "" || c.ExePath != "" {
			t.Errorf("%s is %+v", what, c)
		}
	}
}
