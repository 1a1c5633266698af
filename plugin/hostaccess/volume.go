// SPDX-License-Identifier: Apache-2.0

package hostaccess

import (
	"net"
	"net/netip"
	"strings"
)

// Volume is what a volume of Docker's driver "local" is made of: what mount(2)
// gets. Of the options it keeps only what names something of the host, since others
// can hold a password.
type Volume struct {
	// Device is what is mounted, as the client wrote it.
	Device string

	fsType string
	// bind says that the device is a directory or file that is mounted once
	// more, and layers are the directories that an overlay is made of.
	bind   bool
	layers []string
	// local says that a share comes from this host itself.
	local bool
}

// SetOption takes an option of the driver: "type", "o" or "device".
func (v *Volume) SetOption(name, value string) {
	switch name {
	case "type":
		v.fsType = value
	case "device":
		v.Device = value
	case "o":
		v.mount(value)
	}
}

// mount takes options as mount(8) does.
func (v *Volume) mount(options string) {
	for option := range strings.SplitSeq(options, ",") {
		name, value, _ := strings.Cut(option, "=")
		switch strings.TrimSuffix(name, "+") {
		case "bind", "rbind":
			v.bind = true
		case "lowerdir", "upperdir", "datadir":
			for layer := range strings.SplitSeq(value, ":") {
				if layer != "" {
					v.layers = append(v.layers, absolute(layer))
				}
			}
		case "addr":
			v.local = v.local || isLocal(value)
		}
	}
}

// absolute returns a path as the engine takes it, whose working directory is the
// root.
func absolute(p string) string {
	if strings.HasPrefix(p, "/") {
		return p
	}
	return "/" + p
}

// reach returns the paths of the host that a volume shows, and the device whose
// file system it shows.
func (v *Volume) reach() (paths []string, device string) {
	paths = v.layers
	switch {
	case v.Device == "":
	case v.bind:
		paths = append(paths, absolute(v.Device))
	case v.isShare():
		// Of another host, mostly.
		host, export, ok := strings.Cut(v.Device, ":/")
		if ok && (v.local || isLocal(host)) {
			paths = append(paths, "/"+export)
		}
	case !v.hasNoDevice():
		device = absolute(v.Device)
	}
	return paths, device
}

// isShare reports whether a volume is a directory of a host that the device names.
func (v *Volume) isShare() bool {
	switch v.fsType {
	case "nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "glusterfs", "9p", "afs", "lustre", "beegfs":
		return true
	case "": // not named, so that only its form tells
		return strings.HasPrefix(v.Device, "//") || strings.Contains(v.Device, ":/")
	}
	return false
}

// hasNoDevice reports whether the file system is one of those for which the device
// is just a word.
func (v *Volume) hasNoDevice() bool {
	switch v.fsType {
	case "tmpfs", "ramfs", "overlay", "overlayfs", "aufs", "proc", "sysfs", "devtmpfs", "devpts", "mqueue", "hugetlbfs", "cgroup",
		"cgroup2", "debugfs", "tracefs", "securityfs", "configfs", "bpf", "efivarfs", "pstore":
		return true
	}
	return false
}

// exposeVolume adds what a volume shows.
func (r *Request) exposeVolume(found map[string]bool, v *Volume) {
	paths, device := v.reach()
	for _, p := range paths {
		r.exposePath(found, p)
	}
	switch v.fsType {
	case "proc":
		found[hostProc] = true
	case "devtmpfs":
		found[hostDevices] = true
	}
	// Whatever its name: it holds a file system.
	found[hostDevices] = found[hostDevices] || device != ""
}

// isLocal reports whether a host is this one.
func isLocal(host string) bool {
	if host == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if err != nil {
		return false
	}
	if address.IsLoopback() || address.IsUnspecified() {
		return true
	}
	own, _ := net.InterfaceAddrs()
	for _, a := range own {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr().Unmap() == address.Unmap() {
			return true
		}
	}
	return false
}
