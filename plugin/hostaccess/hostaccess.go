// SPDX-License-Identifier: Apache-2.0

// Package hostaccess says what of its host a container gets. It judges
// what is mounted, not where: a mount of the host's root directory is that, under
// whatever name the container sees it.
package hostaccess

import (
	"path"
	"slices"
	"strings"
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

// hostPaths are paths of the host and what they are. A mount of a directory in
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

	{"/etc/shadow", credentials, false},
	{"/etc/gshadow", credentials, false},
	{"/etc/krb5.keytab", credentials, false},
	{"/etc/ssh/ssh_host_ed25519_key", credentials, false},
	{"/etc/ssh/ssh_host_ecdsa_key", credentials, false},
	{"/etc/ssh/ssh_host_rsa_key", credentials, false},
	{"/etc/docker", credentials, true},
	{"/etc/kubernetes", credentials, true},
	{"/etc/rancher", credentials, true},
	{"/var/lib/cloud", credentials, true},
	{"/var/lib/containerd", credentials, true},
	{"/var/lib/containers", credentials, true},
	{"/var/lib/docker", credentials, true},
	{"/var/lib/etcd", credentials, true},
	{"/var/lib/k0s", credentials, true},
	{"/var/lib/kubelet", credentials, true},
	{"/var/lib/rancher", credentials, true},
}

// homePaths are files and directories of a user's home that keep credentials. A
// project in a home is none.
var homePaths = []string{
	".aws", ".azure", ".boto", ".config/gcloud", ".config/gh", ".config/rclone", ".docker", ".dockercfg",
	".git-credentials", ".gnupg", ".kube", ".local/share/containers", ".local/share/docker", ".local/share/keyrings",
	".my.cnf", ".netrc", ".npmrc", ".oci", ".password-store", ".pgpass", ".pypirc", ".s3cfg", ".ssh", ".terraform.d",
	".vault-token",
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
	if homeCredentials(p) {
		found[credentials] = true
	}
	// Every process leads to the root directory as it sees it.
	if parts := strings.SplitN(p, "/", 5); len(parts) > 3 && parts[1] == "proc" && parts[3] == "root" {
		exposePath(found, "/"+strings.Join(parts[4:], ""))
	}
}

// homeCredentials reports whether a mount of a path shows credentials of a
// user: the home itself, or one of the places in it.
func homeCredentials(p string) bool {
	rest, ok := "", false
	if within(p, "/root") {
		rest, ok = strings.TrimPrefix(p[len("/root"):], "/"), true
	} else if within(p, "/home") {
		_, rest, _ = strings.Cut(strings.TrimPrefix(p[len("/home"):], "/"), "/")
		ok = true
	}
	if !ok {
		return false
	}
	switch base := path.Base(p); {
	case rest == "":
		return true
	case base == "known_hosts", base == "authorized_keys", strings.HasSuffix(base, ".pub"):
		return false
	}
	return slices.ContainsFunc(homePaths, func(h string) bool { return within(rest, h) || within(h, rest) })
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
