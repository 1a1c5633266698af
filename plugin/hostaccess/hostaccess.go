// SPDX-License-Identifier: Apache-2.0

// Package hostaccess says what of its host a container gets. It judges
// what is mounted, not where: a mount of the host's root directory is that, under
// whatever name the container sees it.
package hostaccess

import (
	"path"
	"slices"
	"strings"

	"github.com/containerapi/containerapi/plugin/credfile"
)

// What a container gets of the host, in the order in which it is listed.
const (
	dockerSocket  = "docker_socket"
	runtimeSocket = "runtime_socket"
	hostRoot      = "host_root"
	hostProc      = "proc"
	credentials   = "credentials"
	hostDevices   = "devices"
	privileged    = "privileged"
	hostPID       = "host_pid"
	capabilities  = "capabilities"
)

var exposures = []string{
	dockerSocket, runtimeSocket, hostRoot, hostProc, credentials, hostDevices, privileged, hostPID, capabilities,
}

// hostPaths are paths of the host and what they are, but for files that keep
// credentials, which package credfile knows. A mount of a directory in
// which one lies exposes it, too; a mount of something below one does where
// below says so.
var hostPaths = []struct {
	path, what string
	below      bool
}{
	{"/run/docker.sock", dockerSocket, false},
	{"/run/podman/podman.sock", dockerSocket, false},
	{"/run/containerd/containerd.sock", runtimeSocket, false},
	{"/run/crio/crio.sock", runtimeSocket, false},
	{"/run/docker/containerd/containerd.sock", runtimeSocket, false},
	{"/run/k3s/containerd/containerd.sock", runtimeSocket, false},
	{"/proc", hostProc, true},
	{"/dev/mem", hostDevices, false},
}

// sockets are the names of the sockets of container engines and runtimes,
// wherever they are.
var sockets = map[string]string{
	"docker.sock": dockerSocket, "podman.sock": dockerSocket,
	"containerd.sock": runtimeSocket, "containerd.sock.ttrpc": runtimeSocket, "cri-dockerd.sock": runtimeSocket,
	"crio.sock": runtimeSocket, "dockershim.sock": runtimeSocket,
}

// blockDevices are the beginnings of the names of disks in /dev, and of the
// directories that name them in other ways.
var blockDevices = []string{
	"bcache", "block/", "disk/", "dm-", "hd", "mapper/", "md", "mmcblk", "nbd", "nvme", "rbd", "root", "sd", "vd", "xvd", "zd",
}

// memoryDevices are what shows the memory of the host.
var memoryDevices = []string{"kmem", "mem", "port"}

// strongCapabilities are the capabilities with which a process can leave its
// container, or read what the host keeps from it.
var strongCapabilities = []string{"ALL", "DAC_READ_SEARCH", "SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE"}

// Request is what the creation of a container, a volume or another object asks
// of the host.
type Request struct {
	Privileged bool
	// PIDMode is the pid namespace that is asked for, "host" for the host's.
	PIDMode string
	// Capabilities are those that are added, in any case, with and without the
	// prefix CAP_, or ALL.
	Capabilities []string
	// Paths are the directories, files and sockets of the host that are
	// mounted; Devices the host's devices, and DeviceRules the rules of the
	// device cgroup ("b 8:* rwm").
	Paths       []string
	Devices     []string
	DeviceRules []string
}

// Exposes returns what of the host that shows, beyond what containers get
// anyway, each thing once.
func (r *Request) Exposes() []string {
	found := map[string]bool{
		privileged: r.Privileged,
		hostPID:    r.PIDMode == "host",
	}
	for _, p := range r.Paths {
		exposePath(found, p)
	}
	for _, d := range r.Devices {
		exposeDevice(found, d)
	}
	for _, rule := range r.DeviceRules {
		// All devices or block devices, which the container can make itself.
		if strings.HasPrefix(rule, "a") || strings.HasPrefix(rule, "b") {
			found[hostDevices] = true
		}
	}
	for _, name := range r.Capabilities {
		// As the engine takes it.
		if slices.Contains(strongCapabilities, strings.TrimPrefix(strings.ToUpper(name), "CAP_")) {
			found[capabilities] = true
		}
	}
	return listed(found)
}

func listed(found map[string]bool) []string {
	var list []string
	for _, what := range exposures {
		if found[what] {
			list = append(list, what)
		}
	}
	return list
}

// hostPath returns a path of the host without what Linux makes links of.
func hostPath(p string) string {
	p = path.Clean(p)
	for link, to := range map[string]string{"/var/run": "/run", "/var/home": "/home"} {
		if within(p, link) {
			return to + p[len(link):]
		}
	}
	return p
}

// within reports whether a path is a directory or lies in it.
func within(p, directory string) bool {
	rest, ok := strings.CutPrefix(p, directory)
	return ok && (rest == "" || rest[0] == '/' || directory == "/")
}

// exposePath adds what a mount of a path shows.
func exposePath(found map[string]bool, p string) {
	p = hostPath(p)
	if p == "/" {
		// And with it all else.
		found[hostRoot] = true
		return
	}
	if what := sockets[path.Base(p)]; what != "" {
		found[what] = true
	}
	for _, h := range hostPaths {
		if within(h.path, p) || h.below && within(p, h.path) {
			found[h.what] = true
		}
	}
	if isDisk(p) {
		found[hostDevices] = true
	}
	if credfile.Mounted(p) {
		found[credentials] = true
	}
	// Every process leads to the root directory as it sees it.
	if parts := strings.SplitN(p, "/", 5); len(parts) > 3 && parts[1] == "proc" && parts[3] == "root" {
		exposePath(found, "/"+strings.Join(parts[4:], ""))
	}
}

// exposeDevice adds what a device of the host shows.
func exposeDevice(found map[string]bool, p string) {
	if p = path.Clean(p); p == "/dev" || isDisk(p) {
		found[hostDevices] = true
	}
}

// isDisk reports whether a path is a device that holds the host's files or
// memory.
func isDisk(p string) bool {
	name, ok := strings.CutPrefix(p, "/dev/")
	if !ok {
		return false
	}
	return slices.Contains(memoryDevices, name) ||
		slices.ContainsFunc(blockDevices, func(begin string) bool { return strings.HasPrefix(name, begin) })
}
