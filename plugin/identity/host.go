// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"bufio"
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/containerapi/containerapi/plugin/hostfs"
	"github.com/containerapi/containerapi/plugin/tap"
)

// maxMaps is how many bytes of the list of a process' mappings are read.
const maxMaps = 4 << 20

// Host is the machine as its own first process sees it, also from a container.
type Host struct {
	// proc is the path of the host's /proc, root that of its root directory and
	// mounts that of its mount table; "" if they cannot be seen.
	proc, root, mounts string
}

// FindHost returns the host whose /proc [hostfs.Proc] finds. A plugin in a container
// needs CAP_SYS_PTRACE to see the host's files there.
func FindHost() *Host {
	h := &Host{proc: hostfs.Proc()}
	h.find()
	return h
}

// find finds the root directory and the mount table of the host's first process.
// Not even root may look at that on some machines. Its mounts are those of the
// kernel's own threads, the first of which has pid 2, and of most other processes.
func (h *Host) find() {
	h.root, h.mounts = "", ""
	if h.proc == "" || h.see(1) {
		return
	}
	kernel, err := os.Readlink(h.process(2) + "/ns/mnt")
	if err != nil {
		return
	}
	if own, err := os.Readlink("/proc/self/ns/mnt"); err == nil && own == kernel {
		h.root, h.mounts = "/", "/proc/self/mountinfo"
		return
	}
	entries, err := os.ReadDir(h.proc)
	if err != nil {
		return
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		// Users may change the root of processes of their own.
		var owner unix.Stat_t
		if unix.Stat(h.process(pid), &owner) != nil || owner.Uid != 0 {
			continue
		}
		mounts, err := os.Readlink(h.process(pid) + "/ns/mnt")
		root, rootErr := os.Readlink(h.process(pid) + "/root")
		if err == nil && rootErr == nil && mounts == kernel && root == "/" && h.see(pid) {
			return
		}
	}
}

// see takes the root directory and the mount table of a process, and reports
// whether they can be seen.
func (h *Host) see(pid int) bool {
	dir := h.process(pid)
	// The root of a thread of the kernel can be an initramfs, which others left. It
	// has no executable.
	if _, err := os.Readlink(dir + "/exe"); err != nil {
		return false
	}
	if _, err := os.Stat(dir + "/root/."); err != nil {
		return false
	}
	h.root, h.mounts = dir+"/root", dir+"/mountinfo"
	return true
}

// process is the directory of a process.
func (h *Host) process(pid int) string { return h.proc + "/" + strconv.Itoa(pid) }

// Args returns the command line of a process, or nil if that has ended or cannot
// be seen.
func (h *Host) Args(p *tap.Process) []string {
	if h.proc == "" {
		return nil
	}
	dir := h.process(int(p.PID))
	args, err := os.ReadFile(dir + "/cmdline")
	if err != nil || len(args) == 0 {
		return nil
	}
	// The 22nd field is the start time in ticks, of which Linux shows 100 a
	// second everywhere: proc_pid_stat(5). The second, a name in parentheses,
	// can hold anything.
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return nil
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 || fields[19] != strconv.FormatUint(p.Start/1e7, 10) {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(args), "\x00"), "\x00")
}

// runsOthers reports whether code of a file that is not root's is in the memory of
// a process, as far as that can be seen.
func (h *Host) runsOthers(p *tap.Process) bool {
	if h.proc == "" {
		return false
	}
	dir := h.process(int(p.PID))
	maps, err := os.Open(dir + "/maps")
	if err != nil {
		return false
	}
	defer maps.Close()
	lines := bufio.NewScanner(io.LimitReader(maps, maxMaps))
	for lines.Scan() {
		// "from-to permissions offset device inode path": proc_pid_maps(5).
		fields := strings.Fields(lines.Text())
		if len(fields) < 6 || !strings.Contains(fields[1], "x") || fields[4] == "0" {
			continue
		}
		from, to, _ := strings.Cut(fields[0], "-")
		// The names there have no leading zeros.
		name := dir + "/map_files/" + strings.TrimLeft(from, "0") + "-" + strings.TrimLeft(to, "0")
		var stat unix.Stat_t
		if unix.Stat(name, &stat) == nil && (stat.Uid != 0 || stat.Mode&unix.S_IWOTH != 0) {
			return true
		}
	}
	return false
}

// MountNamespace returns the inode of the mount namespace that a process is in, 0
// if it has ended or cannot be seen.
func (h *Host) MountNamespace(pid int) uint32 {
	if h.proc == "" {
		return 0
	}
	link, err := os.Readlink(h.process(pid) + "/ns/mnt")
	if err != nil {
		return 0
	}
	var inode uint32
	if _, err := fmt.Sscanf(link, "mnt:[%d]", &inode); err != nil {
		return 0
	}
	return inode
}

// executable is a file of the host with what leads to it.
type executable struct {
	inode  uint64
	device uint32
	groups []uint32 // that may write to it or replace it
	anyone bool     // users other than root may
	// mount is the id of its mount in the table at the path mounts.
	mount, mounts string
}

// is reports whether it is the file of a process.
func (e *executable) is(f *tap.File) bool {
	if e.inode != f.Inode {
		return false
	}
	if e.device == f.Device {
		return true
	}
	// On btrfs and overlayfs stat(2) has another device than the kernel itself;
	// the mount table has that one.
	device, ok := deviceOf(e.mount, e.mounts)
	if ok {
		e.device = device
	}
	return ok && device == f.Device
}

// writable reports whether the user of the process, or anyone, may change what
// the executable is.
func (e *executable) writable(p *tap.Process) bool {
	if e.anyone {
		return true
	}
	if p.UID == 0 || len(e.groups) == 0 {
		return false
	}
	return p.GroupsCut || slices.ContainsFunc(e.groups, func(g uint32) bool { return g == p.GID || slices.Contains(p.Groups, g) })
}

// executable looks at a path of the host, whose every part must be what it is and
// no symbolic link, as in the path of an executable.
func (h *Host) executable(path string) (*executable, Reason) {
	if !strings.HasPrefix(path, "/") || path != filepath.Clean(path) {
		return nil, OtherFile
	}
	fd, err := h.openRoot()
	if err != nil {
		return nil, HostHidden
	}
	defer func() { unix.Close(fd) }()
	found := &executable{mounts: h.mounts}
	parts := strings.Split(path, "/") // the first one is the root itself
	sticky := false
	for i, part := range parts {
		if i > 0 {
			next, err := unix.Openat(fd, part, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
			if err != nil {
				return nil, OtherFile
			}
			unix.Close(fd)
			fd = next
		}
		var stat unix.Stat_t
		if err := unix.Fstat(fd, &stat); err != nil {
			return nil, OtherFile
		}
		last := i == len(parts)-1
		if kind := stat.Mode & unix.S_IFMT; last && kind != unix.S_IFREG || !last && kind != unix.S_IFDIR {
			return nil, OtherFile
		}
		found.anyone = found.anyone || sticky && stat.Uid != 0
		sticky = found.mayChange(fd, &stat)
		if last {
			found.inode = stat.Ino
			found.device = unixDevice(stat.Dev)
		}
	}
	found.identify(fd)
	return found, ""
}

// openRoot opens the host's root directory, as that of another process if the one
// that it was seen by has ended.
func (h *Host) openRoot() (fd int, err error) {
	const flags = unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC
	if fd, err = unix.Open(h.root, flags, 0); err != nil && h.proc != "" {
		h.find()
		fd, err = unix.Open(h.root, flags, 0)
	}
	return fd, err
}

// mayChange notes who besides root may write to a part of the path, and reports
// whether it is a directory where everyone may add files and nobody may replace
// those of others.
func (e *executable) mayChange(fd int, stat *unix.Stat_t) (sticky bool) {
	sticky = stat.Mode&unix.S_ISVTX != 0 && stat.Mode&unix.S_IFMT == unix.S_IFDIR && stat.Uid == 0
	switch {
	case stat.Uid != 0:
		e.anyone = true
	case sticky:
	case stat.Mode&0o002 != 0:
		e.anyone = true
	case stat.Mode&0o020 == 0:
	case hasACL(fd):
		// The bits of the group are the mask of what the list may grant.
		e.anyone = true
	case stat.Gid != 0:
		e.groups = append(e.groups, stat.Gid)
	}
	return sticky
}

func hasACL(fd int) bool {
	n, err := unix.Getxattr("/proc/self/fd/"+strconv.Itoa(fd), "system.posix_acl_access", nil)
	return err == nil && n > 0
}

// identify finds what the kernel itself calls the file, where that is another
// inode than in stat(2), and the mount that it is on. The former is there since
// Linux 5.14.
func (e *executable) identify(fd int) {
	info, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(fd))
	if err != nil {
		return
	}
	for line := range strings.Lines(string(info)) {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch name {
		case "mnt_id":
			e.mount = value
		case "ino":
			if inode, err := strconv.ParseUint(value, 10, 64); err == nil {
				e.inode = inode
			}
		}
	}
}

// deviceOf returns the device of a mount in a mount table, as the kernel itself
// has it.
func deviceOf(mount, mounts string) (uint32, bool) {
	table, err := os.Open(mounts)
	if err != nil {
		return 0, false
	}
	defer table.Close()
	lines := bufio.NewScanner(table)
	for lines.Scan() {
		// "mount id, parent id, major:minor, ...": proc_pid_mountinfo(5).
		fields := strings.Fields(lines.Text())
		if len(fields) < 3 || fields[0] != mount {
			continue
		}
		var major, minor uint32
		if _, err := fmt.Sscanf(fields[2], "%d:%d", &major, &minor); err != nil {
			return 0, false
		}
		return kernelDevice(major, minor), true
	}
	return 0, false
}

func unixDevice(dev uint64) uint32 { return kernelDevice(unix.Major(dev), unix.Minor(dev)) }

// kernelDevice is MKDEV of include/linux/kdev_t.h.
func kernelDevice(major, minor uint32) uint32 { return major<<20 | minor }

// static reports whether a program of the host is loaded by the kernel alone, so
// that the environment loads nothing.
func (h *Host) static(path string) bool {
	file, err := os.Open(h.root + path)
	if err != nil {
		return false
	}
	defer file.Close()
	program, err := elf.NewFile(io.NewSectionReader(file, 0, 1<<62))
	if err != nil {
		return false
	}
	return !slices.ContainsFunc(program.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
}
