// SPDX-License-Identifier: Apache-2.0

package command

import (
	"encoding/json"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/containerapi/containerapi/plugin/oneline"
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
		"env DB_PASSWORD='hunter two' run":                         "env DB_PASSWORD='***' run",
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
		"curl -H 'Authorization: Bearer hunter2' http://x":         "curl -H 'Authorization: Bearer ***' http://x",
		"curl -H 'X: Bearer hunter2'":                              "curl -H 'X: Bearer ***'",
		"git clone https://me:hunter2@host/x":                      "git clone https://me:***@host/x",
		`curl -d {"password": "hunter2"} http://x`:                 `curl -d {"password": "***"} http://x`,
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
		`docker exec c sh -c "su -c \"***\" app"`:                       {"docker", "exec", "c", `sh -c "su -c \"sh -c 'mysql -phunter2 x'\" app"`},
	} {
		if got := MaskArgs(args); got != want {
			t.Errorf("MaskArgs(%q) = %q, want %q", args, got, want)
		}
	}
}

// nasty are texts that cost the most, each in another way.
var nasty = []string{
	"token=x ", "pass-", "mysql ", "redis-cli ", "-e ", "A=", "://a:", "http://a:b@", "http://a:x/", "@", "é", "\x00", "eyJaaaaaaaa.", "\"", "'", "\\", "\\\"", "$(", "`",
	"echo a|b ", "{\"password\":", "[", "secret=[", "password: ", "Authorization: Bearer ", "bearer ", "-----BEGIN ", "-----BEGIN PRIVATE KEY", "x/x+", "a.b.", "sk-", "ghp_", "<<A\n", "<<<", "identified by ",
	"sh -c \"", "a 'b ", "?a=b&", "%3D", "password(", "a:b@", "aA1", "a?", "$", "{", "\u2028", ";", "'a\"b' ", "-u ", "cookie: a; ", "secret ", "x=y,", "docker login ", "key=", "\n", "\t", "  ", "k:v@sha256:",
}

// cpu returns how much of a processor this thread took until now.
func cpu(t *testing.T) time.Duration {
	var used unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Nano())
}

// What a text costs depends on its length, and is a bounded number of times what
// encoding/json takes to look through as much: ten at most where the machine does
// nothing else, and sixteen for commands in commands.
func TestMaskCost(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const size, times, tries, limit = 16 << 10, 8, 20, 32
	took := func(f func()) time.Duration {
		begin := cpu(t)
		for range times {
			f()
		}
		return cpu(t) - begin
	}
	for _, piece := range nasty {
		text := strings.Repeat(piece, size/len(piece))
		value, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		value = value[:min(len(value), size)]
		for name, mask := range map[string]func(){
			"line":  func() { Mask(text) },
			"words": func() { MaskWords([]string{"sh", "-c", text}) },
			"text":  func() { MaskText(text) },
		} {
			least := math.Inf(1)
			for try := 0; try < tries && least > limit; try++ {
				// Measured in turn, so that both share what else the machine does.
				json := took(func() { json.Valid(value) })
				least = min(least, float64(took(mask))/float64(json))
			}
			if least > limit {
				t.Errorf("%s, %q: %.1f times encoding/json", name, piece, least)
			}
		}
	}
}

// A long command costs what its beginning costs, and is cut between characters.
func TestMaskLong(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, piece := range nasty {
		text := strings.Repeat(piece, 1<<20/len(piece))
		words := strings.SplitAfter(text[:1<<18], piece)
		begin := cpu(t)
		for _, got := range []string{Mask(text), MaskArgs(words), MaskWords([]string{"x", text, text})} {
			// A mask can be longer than what it stands for.
			if len(got) > 6*maxShown || !utf8.ValidString(got) {
				t.Errorf("%q: %d bytes are shown", piece, len(got))
			}
		}
		if took := cpu(t) - begin; took > 100*time.Millisecond {
			t.Errorf("%q: %v", piece, took)
		}
	}
}

// Where a command is cut no secret is, and no part of one.
func TestMaskCut(t *testing.T) {
	for line := range strings.Lines(strings.TrimSpace(secretCommands)) {
		line, secret := unmarked(strings.TrimSuffix(line, "\n"), "hunter2")
		for offset := range len(line) + 1 {
			long := strings.Repeat("x", maxShown-offset-2) + "; " + line + strings.Repeat(" y", 1000)
			if got := Mask(long); strings.Contains(got, secret) || len(secret) > 12 && strings.Contains(got, secret[:12]) {
				t.Fatalf("%q, cut at %d, ends in %q", line, offset, got[len(got)-100:])
			}
		}
	}
}

func FuzzMask(f *testing.F) {
	for line := range strings.Lines(strings.TrimSpace(secretCommands)) {
		f.Add(line)
	}
	for _, piece := range nasty {
		f.Add(strings.Repeat(piece, 3))
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, got := range []string{Mask(text), MaskWords([]string{"docker", "run", text, "x"})} {
			if again := Mask(got); again != got {
				t.Errorf("%q became %q, and that %q", text, got, again)
			}
			if got != oneline.Text(got) {
				t.Errorf("%q became %q", text, got)
			}
		}
		if got := MaskText(text); MaskText(got) != got {
			t.Errorf("%q became %q, and that %q", text, got, MaskText(got))
		}
	})
}

// FuzzCanary looks for what may stand around a secret so that it is shown.
func FuzzCanary(f *testing.F) {
	for _, separator := range []string{" ", "; ", "|", "&&", "\n", "\t", "\"", "'", "(", ")", "$(", ",", "=", "a=b "} {
		f.Add(separator, separator)
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		// Only what separates: letters may make another word of it.
		separators := func(s string) string {
			return strings.Map(func(r rune) rune {
				if strings.ContainsRune(" \t\n;|&(),<>{}[]\"'", r) {
					return r
				}
				return -1
			}, s)
		}
		before, after = separators(before), separators(after)
		if len(before)+len(after) > maxShown/2 {
			return
		}
		for _, canary := range []string{"ghp_16C7e42F292c6912E7710c838347Ae178B4a", "AKIAIOSFODNN7EXAMPLE", "xoxb-123456789012-abcdefABCDEF"} {
			for _, got := range []string{Mask("x " + before + canary + after), MaskText(before + canary + after), MaskWords([]string{"x", before + canary + after})} {
				if strings.Contains(got, canary) {
					t.Errorf("%q, %q: %q", before, after, got)
				}
			}
		}
		for _, secret := range []string{"--password=C4N4RYc4n4ry", "API_TOKEN=C4N4RYc4n4ry"} {
			if got := Mask("run " + secret + " " + before + after); strings.Contains(got, "C4N4RY") {
				t.Errorf("%q, %q: %q", before, after, got)
			}
		}
	})
}

func BenchmarkMask(b *testing.B) {
	for name, line := range map[string]string{
		"plain":  "kubectl exec -it web-0 -n shop -- cat /run/secrets/kubernetes.io/serviceaccount/token",
		"secret": "docker run -e DB_PASSWORD=hunter2 -v /:/host --network=host registry.example.com/team/app:1.2 sh -c 'mysql -phunter2'",
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(line)))
			for b.Loop() {
				Mask(line)
			}
		})
	}
}
