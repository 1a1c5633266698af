// SPDX-License-Identifier: Apache-2.0

package command

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestMask(t *testing.T) {
	for plain, want := range map[string]string{
		// A rule must still see what is read.
		"cat /run/secrets/kubernetes.io/serviceaccount/token":      "cat /run/secrets/kubernetes.io/serviceaccount/token",
		"cat /run/secrets/db-password /etc/passwd":                 "cat /run/secrets/db-password /etc/passwd",
		"dd if=/run/secrets/kubernetes.io/serviceaccount/token":    "dd if=/run/secrets/kubernetes.io/serviceaccount/token",
		"F=/etc/shadow; cat $F":                                    "F=/etc/shadow; cat $F",
		"sh -c env | grep PASS":                                    "sh -c env | grep PASS",
		"tar cf - /var/lib":                                        "tar cf - /var/lib",
		"sh -c 'ls\nCritical forged alert'":                        "sh -c 'ls Critical forged alert'",
		"ls -la --color=auto":                                      "ls -la --color=auto",
		"kubectl get secret db -o yaml":                            "kubectl get secret db -o yaml",
		"curl -s http://127.0.0.1:8080/healthz":                    "curl -s http://127.0.0.1:8080/healthz",
		"env DB_PASSWORD=hunter2 run":                              "env DB_PASSWORD=*** run",
		"env DB_PASSWORD='hunter two' run":                         "env DB_PASSWORD=*** run",
		"sh -c export CANARY=hunter2; ./run":                       "sh -c export CANARY=***; ./run",
		"docker run -e db=hunter2 --env=x=hunter2 busybox":         "docker run -e db=*** --env=x=*** busybox",
		"docker run --label note=hunter2 -l x=hunter2 busybox":     "docker run --label note=*** -l x=*** busybox",
		"docker build --build-arg key=hunter2 .":                   "docker build --build-arg key=*** .",
		"psql --password=hunter2":                                  "psql --password=***",
		"x --api-key=hunter2 --access-key=hunter2":                 "x --api-key=*** --access-key=***",
		"vault login --token hunter2":                              "vault login --token ***",
		"mysql -u root -phunter2 db":                               "mysql -u root -p*** db",
		"sshpass -p hunter2 ssh host":                              "sshpass -p *** ssh host",
		"redis-cli -h db -a hunter2 keys":                          "redis-cli -h db -a *** keys",
		"curl -u admin:hunter2 http://x":                           "curl -u admin:*** http://x",
		"curl -H 'Authorization: Bearer hunter2' http://x":         "curl -H 'Authorization: *** ***' http://x",
		"curl -H 'X: Bearer hunter2'":                              "curl -H 'X: Bearer ***'",
		"git clone https://me:hunter2@host/x":                      "git clone https://me:***@host/x",
		`curl -d {"password": "hunter2"} http://x`:                 `curl -d {"password": ***} http://x`,
		"echo eyJhbGciOiJSUzI1.eyJpc3MiOiJrdWJl.c2lnbmF0dXJl here": "echo *** here",
	} {
		if got := Mask(plain); strings.Contains(got, "hunter") || got != want {
			t.Errorf("Mask(%q) = %q, want %q", plain, got, want)
		}
	}
}

func TestMaskArgs(t *testing.T) {
	for want, args := range map[string][]string{
		"docker inspect victim":                                         {"docker", "inspect", "victim"},
		"docker ps --format={{.ID}} -q":                                 {"docker", "ps", "--format={{.ID}}", "-q"},
		"docker commit -c ENV a=*** -c LABEL b=*** -m *** one two":      {"docker", "commit", "-c", "ENV a=hunter2", "-c", "LABEL b=hunter2", "-m", "hunter2", "one", "two"},
		"docker run -e x=*** --label y=*** -v /:/host busybox":          {"docker", "run", "-e", "x=hunter2", "--label", "y=hunter2", "-v", "/:/host", "busybox"},
		"docker run --env=x=*** --label=y=*** busybox":                  {"docker", "run", "--env=x=hunter2", "--label=y=hunter2", "busybox"},
		`curl -d {"Cmd":["env"]} http://docker/containers/json?all=***`: {"curl", "-d", `{"Cmd":["env"]}`, "http://docker/containers/json?all=1"},
		"dd if=/run/secrets/token":                                      {"dd", "if=/run/secrets/token"},
	} {
		if got := MaskArgs(args); got != want {
			t.Errorf("MaskArgs(%q) = %q, want %q", args, got, want)
		}
	}
}

func FuzzMask(f *testing.F) {
	f.Add("mysql -u root -psecret --token x PASSWORD='a b' https://a:b@c")
	f.Fuzz(func(t *testing.T, command string) {
		Mask(command)
		// A secret of any form behind a known name is never shown.
		const canary = "C4N4RYc4n4ry"
		if got := Mask("run --password=" + canary + " " + command); strings.Contains(got, canary) {
			t.Errorf("Mask left the canary in %q", got)
		}
	})
}

// A long command costs what its beginning costs, whatever it is made of, and is
// cut between two characters.
func TestMaskLong(t *testing.T) {
	for _, piece := range []string{"pass-", "mysql ", "redis-cli ", "-e ", "A=", "://a:", "é", "\x00", "eyJaaaaaaaa.", "token=x "} {
		measure := func(n int) time.Duration {
			text := strings.Repeat(piece, n/len(piece))
			words := strings.SplitAfter(text, piece)
			best := time.Hour
			for range 2 {
				begin := time.Now()
				for _, got := range []string{Mask(text), MaskArgs(words)} {
					// A mask can be longer than what it stands for.
					if len(got) > 3*maxShown || !utf8.ValidString(got) {
						t.Errorf("%q: %d bytes are shown", piece, len(got))
					}
				}
				best = min(best, time.Since(begin))
			}
			return best
		}
		// 64 times as long; to find that out takes a moment.
		if short, long := measure(2*maxShown), measure(128*maxShown); long > 8*short+100*time.Millisecond {
			t.Errorf("%q: %d bytes take %v, %d bytes %v", piece, 2*maxShown, short, 128*maxShown, long)
		}
	}
}
