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
		".ash_history", ".bash_history", ".boto", ".databrickscfg", ".dbshell", ".dockercfg", ".fetchmailrc",
		".git-credentials", ".google_authenticator", ".lftprc", ".mbsyncrc", ".mongorc.js", ".msmtprc", ".my.cnf",
		".mylogin.cnf", ".mysql_history", ".netrc", ".node_repl_history", ".npmrc", ".offlineimaprc", ".passwd-s3fs",
		".pgpass", ".pgpass.conf", ".psql_history", ".pypirc", ".python_history", ".rclone.conf",
		".rediscli_history", ".rhosts", ".s3cfg", ".sh_history", ".smbcredentials", ".sqlite_history",
		".terraformrc", ".vault-token", ".vault_pass", ".vault_pass.txt", ".yarnrc.yml", ".zhistory", ".zsh_history",
	}
	homeDirectories = []string{
		".acme.sh", ".aliyun", ".aws", ".azure", ".bluemix", ".chef", ".circleci", ".cloudflared",
		".config/1Password", ".config/Bitwarden", ".config/BraveSoftware", ".config/age", ".config/argocd",
		".config/borg", ".config/chromium", ".config/configstore", ".config/containers", ".config/doctl",
		".config/filezilla", ".config/flyctl", ".config/gcloud", ".config/gh", ".config/glab-cli",
		".config/google-chrome", ".config/hcloud", ".config/helm", ".config/heroku", ".config/hub",
		".config/linode-cli", ".config/microsoft-edge", ".config/netlify", ".config/ngrok", ".config/op",
		".config/pulumi", ".config/rclone", ".config/remmina", ".config/restic", ".config/scw", ".config/sops",
		".config/stripe", ".config/wireguard", ".docker", ".fly", ".gitlab-runner", ".gnome2/keyrings", ".gnupg",
		".helm", ".jenkins", ".kaggle", ".kube", ".local/share/keyrings", ".local/share/kwalletd",
		".local/share/remmina", ".mc", ".minikube", ".mozilla", ".ngrok2", ".oci", ".openvpn", ".password-store",
		".pki", ".pulumi", ".putty", ".railway", ".sigstore", ".snowsql", ".ssh", ".step", ".subversion", ".talos",
		".tccli", ".terraform.d", ".thunderbird", ".vnc",
	}
)

// anywhere are files that keep credentials wherever they are.
var anywhere = []string{
	".credentials_rsaparams", ".dockerconfigjson", ".htpasswd", "_netrc", "accessTokens.json", "access_tokens.db",
	"application_default_credentials.json", "credentials.tfrc.json", "id_dsa", "id_ecdsa", "id_ecdsa_sk",
	"id_ed25519", "id_ed25519_sk", "id_rsa", "key4.db", "kubeconfig", "logins.json", "msal_token_cache.json",
	"privkey.pem", "terraform.tfstate", "terraform.tfstate.backup",
}

// homeCached are files with credentials in directories of a home that are otherwise
// full of what programs have downloaded, and mounted for that.
var homeCached = []string{
	".bundle/config", ".cache/huggingface/token", ".cargo/credentials", ".cargo/credentials.toml",
	".composer/auth.json", ".config/composer/auth.json", ".config/fish/fish_history", ".config/git/credentials",
	".config/pip/pip.conf", ".gem/credentials", ".gradle/gradle.properties", ".ivy2/.credentials",
	".local/share/fish/fish_history", ".m2/settings-security.xml", ".m2/settings.xml", ".nuget/NuGet/NuGet.Config",
	".sbt/.credentials",
}

// systemFiles and systemDirectories are places of a host or of a container that
// are there for credentials. Everything in such a directory counts.
var (
	systemFiles = []string{
		"/etc/apt/auth.conf", "/etc/boto.cfg", "/etc/crypttab", "/etc/davfs2/secrets", "/etc/exim4/passwd.client",
		"/etc/gshadow", "/etc/gshadow-", "/etc/ipsec.secrets", "/etc/krb5.keytab", "/etc/ldap.secret",
		"/etc/libnss-ldap.secret", "/etc/master.passwd", "/etc/msmtprc", "/etc/mysql/debian.cnf",
		"/etc/pam_ldap.secret", "/etc/passwd-s3fs", "/etc/postfix/sasl_passwd", "/etc/ppp/chap-secrets",
		"/etc/ppp/pap-secrets", "/etc/rndc.key", "/etc/security/opasswd", "/etc/shadow", "/etc/shadow-",
		"/etc/snmp/snmpd.conf", "/etc/ssh/ssh_host_dsa_key", "/etc/ssh/ssh_host_ecdsa_key",
		"/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_rsa_key", "/etc/sudoers",
		"/run/cloud-init/instance-data-sensitive.json", "/var/lib/systemd/credential.secret",
	}
	systemDirectories = []string{
		"/etc/NetworkManager/system-connections", "/etc/ansible", "/etc/apt/auth.conf.d", "/etc/borgmatic",
		"/etc/chef", "/etc/cloudflared", "/etc/consul.d", "/etc/credstore", "/etc/credstore.encrypted",
		"/etc/dovecot/private", "/etc/gitlab", "/etc/gitlab-runner", "/etc/ipsec.d/private", "/etc/k0s",
		"/etc/kubernetes", "/etc/letsencrypt", "/etc/luks-keys", "/etc/nomad.d", "/etc/openvpn",
		"/etc/pki/entitlement", "/etc/pki/nssdb", "/etc/pki/private", "/etc/pki/tls/private", "/etc/puppetlabs",
		"/etc/pve/priv", "/etc/rancher", "/etc/restic", "/etc/salt/pki", "/etc/ssl/private", "/etc/sssd",
		"/etc/strongswan/ipsec.d/private", "/etc/strongswan/swanctl/private", "/etc/sudoers.d",
		"/etc/swanctl/private", "/etc/vault.d", "/etc/wireguard", "/etc/wpa_supplicant", "/run/containers",
		"/run/credentials", "/run/credstore", "/var/lib/acme", "/var/lib/iwd", "/var/lib/jenkins/secrets",
		"/var/lib/krb5kdc", "/var/lib/kubelet/pki", "/var/lib/samba/private", "/var/lib/sss/db",
		"/var/lib/sss/secrets", "/var/lib/tailscale", "/var/lib/zerotier-one", "/var/snap/microk8s",
		"/vault/secrets",
	}
)

// ofClusters are places in pods and on the nodes of clusters, of k3s, RKE2, k0s, Talos
// and OpenShift among others. Everything in such a directory counts for who reads it; who
// mounts one on a host without a cluster gets nothing.
var ofClusters = []string{
	"/bank-vaults", "/etc/origin/master", "/etc/secret-volume", "/etc/secrets", "/mnt/secrets", "/mnt/secrets-store",
	"/openbao/secrets", "/system/secrets", "/system/state", "/var/lib/etcd/member", "/var/lib/k0s/etcd", "/var/lib/k0s/pki",
	"/var/lib/kubelet/config.json", "/var/lib/rancher/k3s/server", "/var/lib/rancher/rke2/server", "/vault/data",
	"/vault/file",
}

// stores and homeStores are directories with the data of a host's own software,
// in which credentials lie among all else, or from which the host runs programs as
// root. A container that mounts one can get them; a command that names one mostly does
// something else, such as to make room.
var (
	stores = []string{
		"/boot", "/etc/NetworkManager", "/etc/anacrontab", "/etc/cloud", "/etc/cni", "/etc/containerd",
		"/etc/containers", "/etc/cron.d", "/etc/cron.daily", "/etc/cron.hourly", "/etc/cron.monthly",
		"/etc/cron.weekly", "/etc/crontab", "/etc/docker", "/etc/init.d", "/etc/ipsec.d", "/etc/ld.so.preload",
		"/etc/netplan", "/etc/pam.d", "/etc/ppp", "/etc/profile.d", "/etc/pve", "/etc/rc.local", "/etc/samba",
		"/etc/security", "/etc/strongswan", "/etc/swanctl", "/etc/systemd", "/etc/udev/rules.d", "/opt/rke",
		"/run/libvirt", "/run/systemd/generator", "/run/systemd/transient", "/var/backups", "/var/kerberos",
		"/var/lib/amazon", "/var/lib/buildkit", "/var/lib/buildkite-agent", "/var/lib/cloud", "/var/lib/containerd",
		"/var/lib/containers", "/var/lib/crio", "/var/lib/docker", "/var/lib/etcd", "/var/lib/google",
		"/var/lib/incus", "/var/lib/jenkins", "/var/lib/k0s", "/var/lib/kubelet", "/var/lib/libvirt", "/var/lib/lxc",
		"/var/lib/lxd", "/var/lib/private", "/var/lib/rancher", "/var/lib/sss", "/var/lib/systemd",
		"/var/lib/waagent", "/var/snap/docker", "/var/snap/lxd", "/var/spool/at", "/var/spool/cron",
	}
	homeStores = []string{".config/systemd", ".local/share/containers", ".local/share/docker"}
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
	switch ext := path.Ext(base); ext {
	case ".pem":
		// As Certbot numbers them: fullchain1.pem.
		return slices.Contains(public, strings.TrimRight(strings.TrimSuffix(base, ext), "0123456789")+ext)
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
	if places.has(p) {
		return true
	}
	switch path.Ext(base) {
	case ".jks", ".kdbx", ".key", ".keystore", ".keytab", ".ovpn", ".p12", ".pfx", ".ppk", ".tfstate":
		return true
	case ".pem":
		return !strings.Contains(directory, "/ssl/certs/") && !strings.Contains(directory, "/ca-certificates/") && !strings.Contains(directory, "/ca-trust/")
	}
	return false
}

// Holds reports whether credentials lie below a directory, in a file or directory that
// is there for them: what a command reads that goes through all of it. The path is a
// clean and absolute one.
func Holds(directory string) bool {
	below := func(p string) bool { return within("/"+strings.TrimPrefix(p, "/"), directory) }
	if slices.ContainsFunc(systemFiles, below) || slices.ContainsFunc(systemDirectories, below) || slices.ContainsFunc(ofClusters, below) {
		return true
	}
	home, ok := "", false
	if rest, isRoot := strings.CutPrefix(directory, "/root"); isRoot {
		home, ok = rest, true
	} else if rest, isHome := strings.CutPrefix(directory, "/home"); isHome {
		_, home, _ = strings.Cut(strings.TrimPrefix(rest, "/"), "/")
		ok = true
	}
	if !ok || strings.Trim(home, "/") == "" {
		return ok && (home == "" || home[0] == '/')
	}
	return Is(directory, false)
}

// places are all that count wherever their root is, by their components: a command
// can name a thousand paths, and looking for each place in each of them takes long.
var places = newTree()

// tree holds paths: each component leads to those that can follow it.
type tree struct {
	next map[string]*tree
	// file and directory report that a path ends here that counts by itself, or
	// with all in it.
	file, directory bool
}

func newTree() *tree {
	root := new(tree)
	for _, list := range [][]string{systemFiles, homeCached} {
		for _, p := range list {
			root.add(p).file = true
		}
	}
	for _, list := range [][]string{systemDirectories, homeDirectories, ofClusters} {
		for _, p := range list {
			root.add(p).directory = true
		}
	}
	return root
}

// add returns the end of a path, which it adds.
func (t *tree) add(p string) *tree {
	for part := range strings.SplitSeq(strings.TrimPrefix(p, "/"), "/") {
		if t.next[part] == nil {
			if t.next == nil {
				t.next = make(map[string]*tree)
			}
			t.next[part] = new(tree)
		}
		t = t.next[part]
	}
	return t
}

// has reports whether a path leads to one of the files, or to or into one of the
// directories, from wherever in it.
func (t *tree) has(p string) bool {
	for p != "" {
		p = strings.TrimPrefix(p, "/")
		if t.begins(p) {
			return true
		}
		i := strings.IndexByte(p, '/')
		if i < 0 {
			return false
		}
		p = p[i:]
	}
	return false
}

// begins reports whether one of the places stands at the beginning of a path.
func (t *tree) begins(p string) bool {
	for more := true; more; {
		var part string
		part, p, more = strings.Cut(p, "/")
		if t = t.next[part]; t == nil {
			return false
		}
		if t.directory || t.file && !more {
			return true
		}
	}
	return false
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
	return overlaps(p, stores) || overlaps(p, systemDirectories) && !isPublic(path.Base(p))
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
	return overlaps(rest, homeFiles) || overlaps(rest, homeDirectories) || overlaps(rest, homeStores) ||
		slices.Contains(homeCached, rest)
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

// maxExpression is how long an expression may be, in bytes: libsinsp keeps a value of
// a condition in 256 with a zero behind it, and rules put some of their own in front.
const maxExpression = 230

// Expressions returns POSIX regular expressions in RE2's syntax, each of which matches
// the whole of a text that names some of the files and directories. They are for
// what sees a command line as text only, and are several because Falco takes none
// that is longer than 255 bytes.
func Expressions() []string {
	// What is in a home, or has a name of its own, begins and ends where a component of
	// a longer path does.
	const other = "[^A-Za-z0-9_.-]"
	list := expressions(anything+other+"(", ")("+other+anything+")?", homeFiles, homeDirectories, anywhere, homeCached)
	return append(list, expressions(anything+"(", ")"+anything, systemFiles, systemDirectories, ofClusters)...)
}

// expressions returns expressions for alternatives between a beginning and an end.
func expressions(begin, end string, lists ...[]string) []string {
	var all []string
	for _, list := range lists {
		text := ""
		for _, p := range list {
			// In brackets, because rule files would have to escape a backslash.
			p = strings.ReplaceAll(p, ".", "[.]")
			if text != "" && len(begin)+len(text)+len("|")+len(p)+len(end) > maxExpression {
				all, text = append(all, begin+text+end), ""
			}
			if text != "" {
				text += "|"
			}
			text += p
		}
		all = append(all, begin+text+end)
	}
	return all
}
