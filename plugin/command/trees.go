// SPDX-License-Identifier: Apache-2.0

package command

import (
	"path"
	"slices"
	"strings"

	"github.com/containerapi/containerapi/plugin/credfile"
)

// searchers look into all files below a directory.
var searchers = map[string]bool{"rgrep": true, "rg": true, "ag": true, "ack": true, "ack-grep": true, "ugrep": true, "trufflehog": true, "gitleaks": true}

// harmlessActions are what find may run on files without reading them.
var harmlessActions = map[string]bool{
	"basename": true, "chgrp": true, "chmod": true, "chown": true, "dirname": true, "du": true, "echo": true, "file": true, "ls": true,
	"mkdir": true, "printf": true, "readlink": true, "realpath": true, "rm": true, "rmdir": true, "stat": true, "test": true, "touch": true,
	"truncate": true, "unlink": true, "wc": true, "[": true, "true": true,
}

// readsTree says what lies below a directory that is read as a whole.
func readsTree(p, dir string) Reads {
	p = join(dir, p)
	if p == "" {
		return 0
	}
	if i := strings.LastIndex(p, "/root/"); strings.HasPrefix(p, "/proc/") && i > 0 {
		p = p[i+len("/root"):] // another process' root
	}
	if strings.HasPrefix(p, "/proc/") && path.Base(p) == "root" {
		p = "/"
	}
	for _, root := range []string{"/host", "/hostfs", "/rootfs", "/mnt/host", "/host-root", "/hostroot", "/chroot", "/noderoot"} {
		if rest, ok := strings.CutPrefix(p, root); ok && (rest == "" || rest[0] == '/') {
			p = "/" + strings.TrimPrefix(rest, "/")
			break
		}
	}
	if rest, ok := strings.CutPrefix(p, "/var/run"); ok {
		p = "/run" + rest
	}
	if strings.ContainsAny(p, "*?[") {
		var found Reads
		for _, root := range []string{"/etc", "/home", "/proc", "/root", "/run", "/var", "/etc/kubernetes", "/etc/ssl", "/home/user", "/var/lib", "/var/run"} {
			if ok, _ := path.Match(p, root); ok {
				found |= readsTree(root, "")
			}
		}
		return found
	}
	switch {
	case p == "/" || p == "/run" || p == "/var" || p == "/var/lib/kubelet" || p == "/var/lib" || p == "/var/lib/kubelet/pods":
		return ReadsToken | ReadsCredential
	case p == "/proc":
		return ReadsEnvironment
	case credfile.Holds(p):
		return ReadsCredential
	}
	return 0
}

// readsSearch says what a command reads that looks into the files below directories.
func readsSearch(name string, args []string, dir string) (found Reads) {
	recursive := searchers[name]
	pattern := true // the first operand is what is looked for
	var operands []string
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--recursive" || a == "--dereference-recursive" || a == "--directories=recurse":
			recursive = true
		case a == "-e" || a == "-f" || a == "--regexp" || a == "--file":
			pattern = false
			i++
		case len(a) > 1 && a[0] == '-':
			short := a[1] != '-'
			recursive = recursive || short && strings.ContainsAny(a, "rR")
			pattern = pattern && !(short && strings.Contains(a, "e"))
		default:
			operands = append(operands, a)
		}
	}
	if !recursive {
		return 0
	}
	if pattern && len(operands) > 0 {
		operands = operands[1:]
	}
	if len(operands) == 0 {
		operands = []string{"."}
	}
	for _, o := range operands {
		found |= readsTree(o, dir)
	}
	return found
}

// findTrees says what lies below the directories that find goes through.
func findTrees(args []string, dir string) (found Reads, rest []string) {
	for i, a := range args {
		if strings.HasPrefix(a, "-") && len(a) > 2 || a == "(" || a == "!" {
			return found, args[i:]
		}
		if !strings.HasPrefix(a, "-") {
			found |= readsTree(a, dir)
		}
	}
	return found, nil
}

// findAction returns what find runs on what it finds.
func findAction(args []string) []string {
	for i, a := range args {
		switch a {
		case "-exec", "-execdir", "-ok", "-okdir":
			action := args[i+1:]
			if end := slices.IndexFunc(action, func(a string) bool { return a == ";" || a == "+" }); end >= 0 {
				action = action[:end]
			}
			return action
		}
	}
	return nil
}

// devices are what file systems and memory can be read from.
func isDevice(p string) bool {
	if p == "/proc/kcore" || p == "/dev/mem" || p == "/dev/kmem" || p == "/dev/port" {
		return true
	}
	name, ok := strings.CutPrefix(p, "/dev/")
	if !ok {
		return false
	}
	for _, prefix := range []string{"sd", "vd", "xvd", "nvme", "dm-", "mapper/", "disk/", "hd", "mmcblk", "md", "nbd"} {
		if rest, ok := strings.CutPrefix(name, prefix); ok && rest != "" {
			return true
		}
	}
	return false
}

// deviceReaders show or mount what is on a disk.
var deviceReaders = map[string]bool{
	"base64": true, "cat": true, "cp": true, "dd": true, "debugfs": true, "dump": true, "grep": true, "head": true, "hexdump": true, "less": true, "mount": true,
	"nc": true, "od": true, "strings": true, "tail": true, "tar": true, "xxd": true, "xfs_db": true, "photorec": true,
}

// readsDevice says whether a command reads a disk or the memory of the host.
func readsDevice(name string, args []string) Reads {
	if !deviceReaders[name] {
		return 0
	}
	for _, a := range args {
		_, value, ok := strings.Cut(a, "=")
		if isDevice(a) || ok && !strings.HasPrefix(a, "of=") && isDevice(value) {
			return ReadsCredential
		}
	}
	return 0
}
