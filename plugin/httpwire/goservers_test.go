// SPDX-License-Identifier: Apache-2.0

package httpwire

import (
	"bufio"
	"encoding/gob"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/containerapi/containerapi/plugin/httpwire/internal/goserver"
)

var (
	goServers   = flag.String("goservers", "", "compare with net/http's servers of these Go toolchains, e.g. go1.19.13,go1.27.4, with a GODEBUG behind a slash if one is wanted")
	goServeTime = flag.Duration("goservetime", 10*time.Second, "how long to compare with each of -goservers")
	goServeSeed = flag.Uint64("goserveseed", 0, "what the connections are made from, to see a difference again; 0 is the time")
)

// TestGoServers compares with the servers of other versions of Go, which engines
// are built with, what they take for a request. The toolchains come from the Go
// module proxy:
//
//	go test ./plugin/httpwire -run TestGoServers -goservers go1.19.13,go1.21.13,go1.23.12/httplaxcontentlength=1,go1.27.4 -goservetime 1m -timeout 0 -v
func TestGoServers(t *testing.T) {
	if *goServers == "" {
		t.Skip("name toolchains with -goservers to compare with net/http's servers of theirs")
	}
	for _, version := range strings.Split(*goServers, ",") {
		t.Run(version, func(t *testing.T) {
			serve := startGoServer(t, version)
			seed := *goServeSeed
			if seed == 0 {
				seed = uint64(time.Now().UnixNano())
			}
			n := 0
			for until := time.Now().Add(*goServeTime); time.Now().Before(until); n++ {
				rnd := rand.New(rand.NewPCG(seed, uint64(n)))
				data := generate(rnd)
				if d, _ := compare(data, split(rnd, data), split(rnd, data), serve); d != "" {
					t.Errorf("seed %d, connection %d: %s\nof %q", seed, n, d, data)
				}
			}
			t.Logf("%d connections, seed %d", n, seed)
		})
	}
}

// TestGoHTTP2Servers is TestGoServers for HTTP/2, which servers speak without TLS
// since Go 1.24. A server waits a second before it closes the connection for a bad
// frame, so there are several at once.
func TestGoHTTP2Servers(t *testing.T) {
	if *goServers == "" {
		t.Skip("name toolchains with -goservers to compare with net/http's servers of theirs")
	}
	for _, version := range strings.Split(*goServers, ",") {
		t.Run(version, func(t *testing.T) {
			if minor, err := strconv.Atoi(strings.Split(version, ".")[1]); err != nil || minor < 24 {
				t.Skip("speaks no HTTP/2 without TLS")
			}
			seed := *goServeSeed
			if seed == 0 {
				seed = uint64(time.Now().UnixNano())
			}
			var group errgroup.Group
			var n atomic.Uint64
			until := time.Now().Add(*goServeTime)
			for range 16 {
				serve := startGoServer(t, version)
				group.Go(func() error {
					for time.Now().Before(until) {
						i := n.Add(1)
						rnd := rand.New(rand.NewPCG(seed, i))
						frames := generateFrames(rnd)
						if d := compareFrames(rnd, frames, false, serve); d != "" {
							t.Errorf("seed %d, connection %d: %s\nof %q", seed, i, d, frames)
						}
					}
					return nil
				})
			}
			_ = group.Wait()
			t.Logf("%d connections, seed %d", n.Load(), seed)
		})
	}
}

// startGoServer builds goserver with a toolchain and starts it. What it returns
// serves a connection there.
func startGoServer(t *testing.T, version string) func(goserver.Case) goserver.Result {
	t.Helper()
	dir := t.TempDir()
	version, debug, _ := strings.Cut(version, "/")
	const module = "github.com/containerapi/containerapi"
	write := func(name string, text []byte) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// A module of its own: the plugin's needs a newer Go. Its version of Go is what
	// GODEBUG settings depend on.
	minor := strings.Join(strings.SplitN(strings.TrimPrefix(version, "go"), ".", 3)[:2], ".")
	write("go.mod", []byte("module "+module+"\n\ngo "+minor+"\n"))
	for _, name := range []string{"goserver.go", "http2.go", "http2_old.go", "cmd/main.go"} {
		text, err := os.ReadFile(filepath.Join("internal/goserver", name))
		if err != nil {
			t.Fatal(err)
		}
		write(filepath.Join("plugin/httpwire/internal/goserver", name), text)
	}
	toolchain := append(os.Environ(), "GOTOOLCHAIN="+version, "GOFLAGS=", "GOWORK=off")
	probe := exec.Command("go", "version")
	probe.Dir, probe.Env = dir, toolchain
	if out, err := probe.CombinedOutput(); err != nil {
		t.Skipf("there is no toolchain %s: %v\n%s", version, err, out)
	}
	build := exec.Command("go", "build", "-o", "server", "./plugin/httpwire/internal/goserver/cmd")
	build.Dir, build.Env = dir, toolchain
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build with %s: %v\n%s", version, err, out)
	}

	server := exec.Command(filepath.Join(dir, "server"))
	server.Stderr = os.Stderr
	server.Env = append(os.Environ(), "GODEBUG="+debug)
	stdin, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		if err := server.Wait(); err != nil {
			t.Error(err)
		}
	})
	buffered := bufio.NewWriter(stdin)
	in, out := gob.NewEncoder(buffered), gob.NewDecoder(bufio.NewReader(stdout))
	return func(c goserver.Case) (result goserver.Result) {
		err := in.Encode(c)
		if err == nil {
			err = buffered.Flush()
		}
		if err == nil {
			err = out.Decode(&result)
		}
		if err != nil {
			panic(fmt.Sprintf("the server of %s: %v", version, err))
		}
		return result
	}
}
