// SPDX-License-Identifier: Apache-2.0

// Package hostfs follows the links in paths of the host, as a program on the host
// would, wherever this one runs, and finds what is mounted there from elsewhere. It
// reads links, the mount table and what kind of file there is, and opens nothing else.
package hostfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	securejoin "github.com/cyphar/filepath-securejoin"
	"golang.org/x/sys/unix"

	"github.com/containerapi/containerapi/plugin/hostaccess"
)

const (
	// maxLooking is how many paths are looked at at once: one can be on a file
	// system that never answers.
	maxLooking = 4
	// InitPIDNamespace is the inode of the first pid namespace, PROC_PID_INIT_INO
	// of include/linux/proc_ns.h.
	InitPIDNamespace = 0xEFFFFFFC
)

// errHangs is the error while as many paths as can be do not answer.
var errHangs = errors.New("the host's file system does not answer")

// Host is the file system of the host. Its nil value finds nothing.
type Host struct {
	root string
	// mounts is the path of the mount table, "" if there is none.
	mounts string
	// looking has room for each goroutine that looks at a path.
	looking chan struct{}
}

// Of returns the file system that an engine mounts from, by the process that
// listens on its socket; 0 where that is not known. Where the process cannot be looked
// into, it is that of the host's first process, by [Proc]. It returns nil where
// none can be seen.
func Of(pid int) *Host {
	if pid > 0 {
		if h := seenBy(filepath.Join("/proc", strconv.Itoa(pid))); h != nil {
			return h
		}
	}
	if proc := Proc(); proc != "" {
		return seenBy(filepath.Join(proc, "1"))
	}
	return nil
}

// seenBy returns the file system as a process sees it, by its directory in /proc;
// nil if that cannot be looked into.
func seenBy(process string) *Host {
	root := filepath.Join(process, "root")
	if !isDirectory(root) {
		return nil
	}
	h := At(root)
	h.mounts = filepath.Join(process, "mountinfo")
	return h
}

// Proc returns the host's /proc: below the directory that the environment variable
// HOST_ROOT names, where Falco's images have it, or this program's own if it is the
// host's; "" if neither is.
func Proc() string {
	for _, proc := range []string{filepath.Join("/", os.Getenv("HOST_ROOT"), "proc"), "/proc"} {
		// Not even root may look at the first process of some machines. The second
		// one is the first of the kernel's own threads.
		for _, pid := range []string{"1", "2"} {
			namespace, err := os.Readlink(filepath.Join(proc, pid, "ns/pid"))
			if err != nil {
				continue
			}
			if namespace == fmt.Sprintf("pid:[%d]", InitPIDNamespace) {
				return proc
			}
			break
		}
	}
	return ""
}

// isDirectory reports whether the root of a process can be followed, which takes
// the rights of a debugger.
func isDirectory(root string) bool {
	info, err := os.Stat(root + "/.")
	return err == nil && info.IsDir()
}

// At returns the file system whose root is at a path, without what is mounted in it.
func At(root string) *Host {
	return &Host{root: root, looking: make(chan struct{}, maxLooking)}
}

// Look returns what is at paths of the host, which need not exist, and where that
// belongs if it is mounted there from elsewhere. The error says why
// not all of them could be looked at by the end of ctx; what was found until then is
// returned with it. sockets are the paths of the engine's own sockets.
func (h *Host) Look(ctx context.Context, paths, sockets []string) ([]hostaccess.File, error) {
	if h == nil || len(paths) == 0 {
		return nil, nil
	}
	select {
	case h.looking <- struct{}{}:
	default:
		return nil, errHangs
	}
	files := make(chan hostaccess.File)
	go func() {
		defer func() { <-h.looking }()
		defer close(files)
		engine, mounts := h.inodes(sockets), readMounts(h.mounts)
		for _, p := range paths {
			file, ok := h.look(p, engine)
			if !ok {
				continue
			}
			for _, known := range origins(mounts, file.Path) {
				select {
				case files <- hostaccess.File{Path: known}:
				case <-ctx.Done():
					return
				}
			}
			select {
			case files <- file:
			case <-ctx.Done():
				return
			}
		}
	}()
	var found []hostaccess.File
	for {
		select {
		case file, more := <-files:
			if !more {
				return found, ctx.Err()
			}
			found = append(found, file)
		case <-ctx.Done():
			return found, ctx.Err()
		}
	}
}

// inode names a file, whatever its path.
type inode struct{ device, number uint64 }

func (h *Host) inodes(paths []string) []inode {
	var list []inode
	for _, p := range paths {
		var stat unix.Stat_t
		if resolved, err := securejoin.SecureJoin(h.root, p); err == nil && unix.Lstat(resolved, &stat) == nil {
			list = append(list, inode{stat.Dev, stat.Ino})
		}
	}
	return list
}

// look returns what is at a path, and whether anything is known of it.
func (h *Host) look(p string, engine []inode) (hostaccess.File, bool) {
	resolved, err := securejoin.SecureJoin(h.root, p)
	if err != nil {
		// Too many links, or a name that is too long: the engine fails as well.
		return hostaccess.File{}, false
	}
	file := hostaccess.File{Path: filepath.Join("/", strings.TrimPrefix(resolved, h.root))}
	var stat unix.Stat_t
	if unix.Lstat(resolved, &stat) != nil {
		return file, true
	}
	switch stat.Mode & syscall.S_IFMT {
	case syscall.S_IFBLK:
		file.Disk = true
	case syscall.S_IFCHR:
		// /dev/mem, /dev/kmem and /dev/port: Documentation/admin-guide/devices.txt of
		// Linux.
		file.Disk = unix.Major(stat.Rdev) == 1 && slices.Contains([]uint32{1, 2, 4}, unix.Minor(stat.Rdev))
	case syscall.S_IFSOCK:
		file.Engine = slices.Contains(engine, inode{stat.Dev, stat.Ino})
	}
	return file, true
}
