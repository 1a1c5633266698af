// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"bufio"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
)

// maxMounts is how many bytes of a mount table are read: that of a hundred thousand
// mounts.
const maxMounts = 16 << 20

// mount is a line of a mount table: proc_pid_mountinfo(5).
type mount struct {
	device string // "8:1"
	// root is what of the file system is mounted, at is where.
	root, at string
}

// readMounts returns the mounts of a process, in the order in which they were made;
// none if they cannot be seen.
func readMounts(table string) []mount {
	file, err := os.Open(table)
	if err != nil {
		return nil
	}
	defer file.Close()
	var list []mount
	lines := bufio.NewScanner(io.LimitReader(file, maxMounts))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 5 {
			continue
		}
		list = append(list, mount{fields[2], unescape(fields[3]), unescape(fields[4])})
	}
	return list
}

// unescape undoes how the kernel writes the white space and backslashes of a path.
func unescape(p string) string {
	if !strings.Contains(p, `\`) {
		return p
	}
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		if p[i] == '\\' && i+3 < len(p) {
			if c, err := strconv.ParseUint(p[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(p[i])
	}
	return b.String()
}

// below returns the rest of a path in a directory, and whether it lies in it or is it.
func below(p, directory string) (string, bool) {
	rest, ok := strings.CutPrefix(p, strings.TrimSuffix(directory, "/"))
	return rest, ok && (rest == "" || rest[0] == '/')
}

// origins returns the other paths by which what a mount of a path shows is known:
// a directory that is mounted there, or in which it lies, and those that are mounted
// below, which a container gets with it.
func origins(mounts []mount, p string) []string {
	if p == "/" {
		return nil // that is all there is
	}
	var list []string
	add := func(m *mount, rest string) {
		if known := origin(mounts, m.device, path.Join(m.root, rest)); known != path.Join(m.at, rest) {
			list = append(list, known)
		}
	}
	var on *mount
	for i := range mounts {
		m := &mounts[i]
		if _, ok := below(p, m.at); ok && (on == nil || len(m.at) >= len(on.at)) {
			on = m // a later one hides the one before it
		}
		if rest, ok := below(m.at, p); ok && rest != "" {
			add(m, "")
		}
	}
	if on != nil {
		rest, _ := below(p, on.at)
		add(on, rest)
	}
	return list
}

// origin returns where a path in a file system belongs: in the first mount of the
// largest part of it.
func origin(mounts []mount, device, p string) string {
	var best *mount
	for i := range mounts {
		m := &mounts[i]
		if _, ok := below(p, m.root); ok && m.device == device && (best == nil || len(m.root) < len(best.root)) {
			best = m
		}
	}
	rest, _ := below(p, best.root)
	return path.Join(best.at, rest)
}
