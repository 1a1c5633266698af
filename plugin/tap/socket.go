// SPDX-License-Identifier: Apache-2.0

package tap

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Socket names a listening socket of a Docker API.
type Socket struct {
	// Path of a unix socket, by whatever name: what counts is the file that it
	// leads to.
	Path string
	// Port of a TCP socket, if Path is empty, on any address, where the process
	// that serves one of the other sockets' paths serves it, see [Tap.Watch].
	Port uint16
}

// fileOf returns what the kernel knows the file by: its inode number and the
// device of the filesystem it is mounted from. On btrfs and overlayfs the
// device in stat(2) is another one; the mount table has the right one.
func fileOf(path string) (tapFileKey, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_TYPE|unix.STATX_INO|unix.STATX_MNT_ID, &st); err != nil {
		return tapFileKey{}, fmt.Errorf("watch socket: %w", &os.PathError{Op: "statx", Path: path, Err: err})
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return tapFileKey{}, fmt.Errorf("watch socket: %s is no socket", path)
	}
	key := tapFileKey{Ino: st.Ino, Dev: kernelDevice(st.Dev_major, st.Dev_minor)}
	if st.Mask&unix.STATX_MNT_ID == 0 {
		return key, nil
	}
	mounts, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return tapFileKey{}, fmt.Errorf("watch socket %s: %w", path, err)
	}
	defer mounts.Close()
	id := strconv.FormatUint(st.Mnt_id, 10)
	lines := bufio.NewScanner(mounts)
	for lines.Scan() {
		// "mount id, parent id, major:minor, ...": proc_pid_mountinfo(5).
		fields := strings.Fields(lines.Text())
		if len(fields) < 3 || fields[0] != id {
			continue
		}
		var major, minor uint32
		if _, err := fmt.Sscanf(fields[2], "%d:%d", &major, &minor); err == nil {
			key.Dev = kernelDevice(major, minor)
		}
	}
	if err := lines.Err(); err != nil {
		return tapFileKey{}, fmt.Errorf("watch socket %s: read mounts: %w", path, err)
	}
	return key, nil
}

// kernelDevice is MKDEV of include/linux/kdev_t.h.
func kernelDevice(major, minor uint32) uint32 { return major<<20 | minor }
