// SPDX-License-Identifier: Apache-2.0

// Package hostaccess says what of its host a container gets. It judges
// what is mounted, not where: a mount of the host's root directory is that, under
// whatever name the container sees it.
package hostaccess

import (
	"encoding/json"
	"path"
	"slices"
	"strings"

	"github.com/containerapi/containerapi/plugin/credfile"
)

// What a container gets of the host and of other containers, in the order in which
// it is listed.
const (
	dockerSocket     = "docker_socket"
	runtimeSocket    = "runtime_socket"
	hostRoot         = "host_root"
	hostProc         = "proc"
	credentials      = "credentials"
	hostDevices      = "devices"
	systemBus        = "system_bus"
	privileged       = "privileged"
	hostPID          = "host_pid"
	hostIPC          = "host_ipc"
	hostUser         = "host_user"
	hostNetwork      = "host_network"
	capabilities     = "capabilities"
	unconfined       = "unconfined"
	containerPID     = "container_pid"
	containerVolumes = "container_volumes"
	containerIPC     = "container_ipc"
	containerNetwork = "container_network"
	sibling          = "sibling"
)

var exposures = []string{
	dockerSocket, runtimeSocket, hostRoot, hostProc, credentials, hostDevices, systemBus, privileged, hostPID, hostIPC,
	hostUser, hostNetwork, capabilities, unconfined, containerPID, containerVolumes, containerIPC, containerNetwork, sibling,
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
	// Whoever speaks to systemd has it run a command as root.
	{"/run/dbus/system_bus_socket", systemBus, false},
	{"/run/systemd/private", systemBus, false},
	{"/proc", hostProc, true},
	{"/dev/mem", hostDevices, false},
}

// sockets are the names of the sockets of container engines and runtimes,
// wherever they are.
var sockets = map[string]string{
	"docker.sock": dockerSocket, "podman.sock": dockerSocket, "docker.raw.sock": dockerSocket, "docker-cli.sock": dockerSocket,
	"containerd.sock": runtimeSocket, "containerd.sock.ttrpc": runtimeSocket, "cri-dockerd.sock": runtimeSocket,
	"crio.sock": runtimeSocket, "dockershim.sock": runtimeSocket, "buildkitd.sock": runtimeSocket, "kubelet.sock": runtimeSocket,
	"system_bus_socket": systemBus,
}

// blockDevices are the beginnings of the names of disks in /dev, and of the
// directories that name them in other ways.
var blockDevices = []string{
	"bcache", "block/", "bsg/", "dasd", "dax", "disk/", "dm-", "drbd", "hd", "mapper/", "md", "mmcblk", "mtd", "nbd", "ng", "nvme",
	"pmem", "rbd", "root", "sd", "ubi", "vd", "vfio/", "xvd", "zd", "zvol/",
}

// maxPath is how long a path can be that Linux takes, PATH_MAX of
// include/uapi/linux/limits.h.
const maxPath = 4096

// memoryDevices are what shows the memory of the host.
var memoryDevices = []string{"core", "crash", "kmem", "mem", "oldmem", "port"}

// strongCapabilities are the capabilities with which a process can leave its
// container, or read what the host keeps from it.
var strongCapabilities = []string{
	"ALL", "BPF", "DAC_READ_SEARCH", "PERFMON", "SYS_ADMIN", "SYS_BOOT", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO",
}

// Request is what the creation of a container, a volume or another object asks
// of the host, or what the engine says that it has.
type Request struct {
	Privileged bool
	// PIDMode, IPCMode, NetworkMode and UserMode are the namespaces that are asked
	// for: "host" for the host's, "container:NAME" for those of another container.
	PIDMode, IPCMode, NetworkMode, UserMode string
	// VolumesFrom are the containers whose volumes are mounted, and SharesVolumes
	// reports that a volume is mounted that another container has, too.
	VolumesFrom   []string
	SharesVolumes bool
	// Siblings reports that all of those other containers are of the same Compose
	// project, service of a swarm or pod, or made from the same image.
	Siblings bool
	// Capabilities are those that are added, in any case, with and without the
	// prefix CAP_, or ALL.
	Capabilities []string
	// SecurityOptions are as of docker run --security-opt. Unmasked reports that
	// nothing of /proc and /sys is hidden.
	SecurityOptions []string
	Unmasked        bool
	// Paths are the directories, files and sockets of the host that are
	// mounted; Devices the host's devices, and DeviceRules the rules of the
	// device cgroup ("b 8:* rwm"). AllDevices reports that there is no such rule.
	Paths       []string
	Devices     []string
	DeviceRules []string
	AllDevices  bool
	// Volumes are those that are mounted, by what they are made of.
	Volumes []Volume
	// Found is what package hostfs found at the paths.
	Found []File
	// Sockets are the paths of further sockets of the engine, Data those of
	// directories in which it keeps its data.
	Sockets, Data []string
}

// File is what is at a path of the host, with links followed.
type File struct {
	Path string
	// Disk reports that it is a disk or the host's memory, whatever it is called.
	Disk bool
	// Engine reports that it is the socket of the engine, whatever it is called.
	Engine bool
}

// HostPaths returns the paths of the host that are named, as they are written.
func (r *Request) HostPaths() []string {
	list := slices.Concat(r.Paths, r.Devices)
	for _, v := range r.Volumes {
		paths, device := v.reach()
		list = append(list, paths...)
		if device != "" {
			list = append(list, device)
		}
	}
	return list
}

// Exposes returns what of the host and of other containers that shows, beyond
// what containers get anyway, each thing once.
func (r *Request) Exposes() []string {
	found := map[string]bool{
		privileged:  r.Privileged,
		hostPID:     r.PIDMode == "host",
		hostIPC:     r.IPCMode == "host",
		hostUser:    r.UserMode == "host",
		hostNetwork: r.NetworkMode == "host",
		hostDevices: r.AllDevices || slices.ContainsFunc(r.DeviceRules, isDiskRule),
		unconfined:  r.isUnconfined(),
	}
	r.exposeContainers(found)
	for _, p := range r.Paths {
		r.exposePath(found, p)
	}
	for _, d := range r.Devices {
		exposeDevice(found, d)
	}
	for _, v := range r.Volumes {
		r.exposeVolume(found, &v)
	}
	for _, f := range r.Found {
		r.exposePath(found, f.Path)
		found[hostDevices] = found[hostDevices] || f.Disk
		found[dockerSocket] = found[dockerSocket] || f.Engine
	}
	for _, name := range r.Capabilities {
		// As the engine takes it.
		if slices.Contains(strongCapabilities, strings.TrimPrefix(strings.ToUpper(name), "CAP_")) {
			found[capabilities] = true
		}
	}
	return listed(found)
}

// Sources returns the paths of the host that show what containers do not get anyway,
// as they are written and as they were found, each once and in order.
func (r *Request) Sources() []string {
	var list []string
	for _, p := range r.HostPaths() {
		if one := (&Request{Paths: []string{p}, Sockets: r.Sockets, Data: r.Data}); len(one.Exposes()) > 0 {
			list = append(list, hostPath(p))
		}
	}
	for _, f := range r.Found {
		if one := (&Request{Found: []File{f}, Sockets: r.Sockets, Data: r.Data}); len(one.Exposes()) > 0 {
			list = append(list, hostPath(f.Path))
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// exposeContainers adds what is shown of other containers.
func (r *Request) exposeContainers(found map[string]bool) {
	of := map[string]bool{
		containerPID:     strings.HasPrefix(r.PIDMode, "container:"),
		containerIPC:     strings.HasPrefix(r.IPCMode, "container:"),
		containerNetwork: strings.HasPrefix(r.NetworkMode, "container:"),
		containerVolumes: r.SharesVolumes || len(r.VolumesFrom) > 0,
	}
	for what, shown := range of {
		switch {
		case !shown:
		case r.Siblings:
			found[sibling] = true
		default:
			found[what] = true
		}
	}
}

// isUnconfined reports whether something that keeps a container in is switched
// off. Where the container gets so much that it makes no difference, the engine does
// so by itself.
func (r *Request) isUnconfined() bool {
	if r.Privileged || r.PIDMode == "host" || r.IPCMode == "host" {
		return false
	}
	return r.Unmasked || slices.ContainsFunc(r.SecurityOptions, func(option string) bool {
		// Engines take both "=" and the older ":".
		name, value, ok := strings.Cut(option, "=")
		if !ok {
			name, value, _ = strings.Cut(option, ":")
		}
		switch name {
		case "seccomp":
			return value == "unconfined" || allowsAll(value)
		case "apparmor", "systempaths":
			return value == "unconfined"
		case "label":
			return value == "disable" || value == "type:spc_t" || value == "type:unconfined_t"
		}
		return false
	})
}

// allowsAll reports whether a seccomp profile, of which clients send the text, lets
// through what it does not name. One that names nothing is none: setupSeccomp in
// profiles/seccomp of moby/moby.
func allowsAll(profile string) bool {
	var p struct {
		DefaultAction string
		Syscalls      []json.RawMessage
	}
	if json.Unmarshal([]byte(profile), &p) != nil {
		return false
	}
	switch p.DefaultAction {
	case "SCMP_ACT_ALLOW", "SCMP_ACT_LOG":
		return true
	}
	return p.DefaultAction == "" && len(p.Syscalls) == 0
}

// isDiskRule reports whether a rule of the device cgroup lets a container make
// and use a disk or the host's memory.
func isDiskRule(rule string) bool {
	kind, rest, _ := strings.Cut(strings.TrimSpace(rule), " ")
	if kind == "a" || kind == "b" {
		return true
	}
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	switch major, minor, _ := strings.Cut(number, ":"); major {
	case "*", "21": // all, or SCSI by its generic name
		return true
	case "1": // Documentation/admin-guide/devices.txt of Linux
		return minor == "*" || minor == "1" || minor == "2" || minor == "4"
	}
	return false
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
func (r *Request) exposePath(found map[string]bool, p string) {
	p = hostPath(p)
	if len(p) > maxPath {
		return
	}
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
	for _, socket := range r.Sockets {
		if within(hostPath(socket), p) {
			found[dockerSocket] = true
		}
	}
	if slices.ContainsFunc(r.Data, func(data string) bool { return within(p, data) || within(data, p) }) {
		found[credentials] = true
	}
	if isDisk(p) {
		found[hostDevices] = true
	}
	if credfile.Mounted(p) {
		found[credentials] = true
	}
	// Every process leads to the root directory as it sees it, and a daemon's working
	// directory is that one.
	if parts := strings.SplitN(p, "/", 5); len(parts) > 3 && parts[1] == "proc" && (parts[3] == "root" || parts[3] == "cwd") {
		r.exposePath(found, "/"+strings.Join(parts[4:], ""))
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
	for _, numbered := range []string{"loop", "sg"} {
		if digits, ok := strings.CutPrefix(name, numbered); ok && digits != "" && strings.Trim(digits, "0123456789p") == "" {
			return true
		}
	}
	return slices.Contains(memoryDevices, name) ||
		slices.ContainsFunc(blockDevices, func(begin string) bool { return strings.HasPrefix(name, begin) })
}
