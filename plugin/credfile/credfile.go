// SPDX-License-Identifier: Apache-2.0

// Package credfile knows the files that keep credentials, by their paths. It is
// the one list for what commands read, what containers mount and what the rules
// on system calls look for. It never looks at a file.
package credfile

import (
	"path"
	"slices"
	"strings"
)

// homeFiles and homeDirectories are what programs keep credentials in, in the
// home of a user. Everything in such a directory counts.
var (
	homeFiles = []string{
		".boto", ".dockercfg", ".git-credentials", ".my.cnf", ".netrc", ".npmrc", ".pgpass", ".pypirc", ".s3cfg", ".vault-token",
	}
	homeDirectories = []string{
		".aws", ".azure", ".config/gcloud", ".config/gh", ".config/rclone", ".docker", ".gnupg", ".kube",
		".local/share/keyrings", ".oci", ".password-store", ".ssh", ".terraform.d",
	}
)

// anywhere are files that keep credentials wherever they are.
var anywhere = []string{
	".dockerconfigjson", "_netrc", "application_default_credentials.json", "id_dsa", "id_ecdsa", "id_ed25519", "id_rsa", "kubeconfig",
}

// systemFiles and systemDirectories are places of a host or of a container that
// are there for credentials. Everything in such a directory counts.
var (
	systemFiles = []string{
		"/etc/gshadow", "/etc/gshadow-", "/etc/krb5.keytab", "/etc/shadow", "/etc/shadow-",
		"/etc/ssh/ssh_host_ecdsa_key", "/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_rsa_key",
	}
	systemDirectories = []string{"/etc/kubernetes", "/etc/rancher", "/var/lib/kubelet/pki", "/vault/secrets"}
)

// stores and homeStores are directories with the data of a host's own software,
// in which credentials lie among all else. A container that mounts one can read
// them; a command that names one mostly does something else, such as to make room.
var (
	stores = []string{
		"/etc/docker", "/var/lib/cloud", "/var/lib/containerd", "/var/lib/containers", "/var/lib/docker", "/var/lib/etcd",
		"/var/lib/k0s", "/var/lib/kubelet", "/var/lib/rancher",
	}
	homeStores = []string{".local/share/containers", ".local/share/docker"}
)

// public are files without a secret that lie beside those with one.
var public = []string{
	"authorized_keys", "ca-bundle.crt", "ca-bundle.pem", "ca.crt", "ca.pem", "cacert.pem", "cert.pem", "chain.pem",
	"fullchain.pem", "known_hosts",
}

// isPublic reports whether a file of this name holds nothing secret: a public key,
// a certificate, an example.
func isPublic(base string) bool {
	if slices.Contains(public, base) || strings.HasSuffix(base, ".pub") {
		return true
	}
	switch path.Ext(base) {
	case ".dist", ".example", ".sample", ".template":
		return strings.HasPrefix(base, ".env.")
	}
	return false
}

// isNamed reports whether a file of this name keeps credentials wherever it is.
func isNamed(base string) bool {
	return slices.Contains(anywhere, base) || strings.HasSuffix(base, ".kubeconfig")
}

// Is reports whether a command that reads this path reads credentials. The path
// is a clean one that begins with a slash; where its root and its homes are does not
// matter: "/etc/shadow", "/host/etc/shadow", "/~/.ssh/id_rsa", "/app/.npmrc". own
// says that a program is given the path as its own key or certificate.
func Is(p string, own bool) bool {
	directory, base := path.Split(p)
	switch {
	case isPublic(base):
		return false
	case isNamed(base), slices.Contains(homeFiles, base), base == ".env", strings.HasPrefix(base, ".env."):
		return true
	case own:
		return false
	}
	for _, f := range systemFiles {
		if strings.HasSuffix(p, f) {
			return true
		}
	}
	for _, d := range systemDirectories {
		if endsIn(p, d) {
			return true
		}
	}
	for _, d := range homeDirectories {
		if endsIn(p, "/"+d) {
			return true
		}
	}
	switch path.Ext(base) {
	case ".key":
		return true
	case ".pem":
		return !strings.Contains(directory, "/ssl/certs/") && !strings.Contains(directory, "/ca-certificates/") && !strings.Contains(directory, "/ca-trust/")
	}
	return false
}

// endsIn reports whether a path leads to a directory, or below it, wherever that is.
func endsIn(p, directory string) bool {
	return strings.HasSuffix(p, directory) || strings.Contains(p, directory+"/")
}

// Mounted reports whether a mount of this path of a host shows credentials: one
// of the files and directories itself, a directory in which one lies, or a home. The
// path is a clean and absolute one, without symbolic links.
func Mounted(p string) bool {
	return isMountedName(path.Base(p)) || isMountedSystem(p) || isMountedHome(p)
}

func isMountedName(base string) bool { return isNamed(base) && !isPublic(base) }

func isMountedSystem(p string) bool {
	for _, f := range systemFiles {
		if within(f, p) {
			return true
		}
	}
	for _, list := range [][]string{systemDirectories, stores} {
		if overlaps(p, list) {
			return true
		}
	}
	return false
}

// isMountedHome reports whether a path is a home or a place for credentials in
// one. A project in a home is none.
func isMountedHome(p string) bool {
	rest, ok := "", false
	if within(p, "/root") {
		rest, ok = strings.TrimPrefix(p[len("/root"):], "/"), true
	} else if within(p, "/home") {
		_, rest, _ = strings.Cut(strings.TrimPrefix(p[len("/home"):], "/"), "/")
		ok = true
	}
	switch {
	case !ok:
		return false
	case rest == "":
		return true
	case isPublic(path.Base(p)):
		return false
	}
	return overlaps(rest, homeFiles) || overlaps(rest, homeDirectories) || overlaps(rest, homeStores)
}

// overlaps reports whether a path is one of a list, lies in one, or has one in it.
func overlaps(p string, list []string) bool {
	return slices.ContainsFunc(list, func(other string) bool { return within(p, other) || within(other, p) })
}

// within reports whether a path is a directory or lies in it.
func within(p, directory string) bool {
	rest, ok := strings.CutPrefix(p, directory)
	return ok && (rest == "" || rest[0] == '/' || directory == "/")
}

// anything matches any text, also one of several lines: a dot alone matches no
// newline, and POSIX expressions have no flag that changes it.
const anything = `(.|\n)*`

// Expressions returns POSIX regular expressions in RE2's syntax, each of which matches
// the whole of a text that names some of the files and directories. They are for
// what sees a command line as text only, and are several because Falco takes none
// that is longer than 255 bytes.
func Expressions() []string {
	return []string{
		components(homeFiles),
		components(homeDirectories),
		components(anywhere),
		anything + "(" + alternatives(systemFiles) + ")" + anything,
		anything + "(" + alternatives(systemDirectories) + ")" + anything,
	}
}

// components returns an expression for paths that begin and end where a component of
// a longer path does.
func components(paths []string) string {
	const other = "[^A-Za-z0-9_.-]"
	return anything + other + "(" + alternatives(paths) + ")(" + other + anything + ")?"
}

func alternatives(paths []string) string {
	// In brackets, because rule files would have to escape a backslash.
	return strings.ReplaceAll(strings.Join(paths, "|"), ".", "[.]")
}
