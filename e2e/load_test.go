// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containerapi/containerapi/e2e/engine"
	"github.com/containerapi/containerapi/internal/dockerd"
	"github.com/containerapi/containerapi/internal/dockertest"
	"github.com/containerapi/containerapi/plugin/tap/taptest"
)

// How hard TestLoad tries. What is promised is measured with `make load`.
var (
	loadRequests = flag.Int("load-requests", 2_000, "how many requests TestLoad sends to Docker")
	loadJunk     = flag.Int("load-junk", 20, "how many MB a second TestLoad has others write meanwhile")
)

const (
	loadClients = 50
	// loadMemory is how much memory an engine with the plugin may ever have had, in
	// bytes.
	loadMemory = 150 << 20
)

// TestLoad has 50 clients send requests to Docker as fast as it answers, while
// processes that have nothing to do with Docker send each other junk on sockets of
// their own, also at Docker's ports in other network namespaces. Each request must
// be one event, with its client, at a bounded cost.
func TestLoad(t *testing.T) {
	d := startDocker(t)
	run := startEngine(t, plugin(t, "docker://"+d.Socket), "testdata/requests.yaml")
	until(t, 30*time.Second, "the plugin is ready", func() bool { return strings.Contains(run.Stderr(), "seeing every request") })
	others := startJunk(t, *loadJunk<<20)
	begin := time.Now()
	want := storm(t, d, *loadRequests/loadClients)
	took := time.Since(begin)
	awaitAlerts(run, len(want))
	memory, stop := peak(t, run.Pid()), time.Now()
	// With all that is still coming in.
	if err := run.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-run.Ended():
	case <-time.After(20 * time.Second):
	}
	stopped := time.Since(stop)
	rate := others() / time.Since(begin).Seconds() / (1 << 20)

	seen, foreign := 0, make(map[string]int)
	for _, a := range run.Alerts() {
		path, _ := a.Fields["docker.request.path"].(string)
		program, asked := want[path]
		switch is := a.Fields["docker.client.exepath"]; {
		case !asked:
			foreign[fmt.Sprint(a.Fields["docker.request.method"], " ", path, " unreadable: ", a.Fields["docker.request.unreadable"])]++
		case is != program:
			t.Errorf("%s is of %v, want %s", path, is, program)
		default:
			seen++
		}
		delete(want, path)
	}
	t.Logf("%d requests of %d clients within %s, beside %.0f MB/s of others: %d seen, %d MiB at most, stopped within %s",
		*loadRequests, loadClients, took.Round(time.Millisecond), rate, seen, memory>>20, stopped.Round(time.Millisecond))
	if len(want) > 0 {
		t.Errorf("%d of %d requests have no event", len(want), *loadRequests)
	}
	for _, what := range slices.Sorted(maps.Keys(foreign))[:min(10, len(foreign))] {
		t.Errorf("%d events of what nobody asked Docker: %s", foreign[what], what)
	}
	for _, line := range regexp.MustCompile(`[^\n]* were lost[^\n]*`).FindAllString(run.Stderr(), 5) {
		t.Error(line)
	}
	if memory > loadMemory {
		t.Errorf("the engine had %d MiB of memory, want %d at most", memory>>20, loadMemory>>20)
	}
	if stopped > stopLimit {
		t.Errorf("the engine ended after %s, want %s", stopped, stopLimit)
	}
}

// awaitAlerts waits for so many alerts, as long as there come some: an engine can be
// slower than what it waits for.
func awaitAlerts(run *engine.Process, n int) {
	seen := 0
	for limit := time.Now().Add(10 * time.Second); seen < n && time.Now().Before(limit); time.Sleep(20 * time.Millisecond) {
		if now := len(run.Alerts()); now > seen {
			seen, limit = now, time.Now().Add(10*time.Second)
		}
	}
}

// peak returns how many bytes of memory a process ever had.
func peak(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`VmHWM:\s*(\d+) kB`).FindSubmatch(status)
	if m == nil {
		t.Fatal("the process does not say how much memory it had")
	}
	n, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n << 10
}

// storm has each client send so many requests, and returns the path of each and the
// program that sent it.
func storm(t *testing.T, d *dockertest.Daemon, requests int) map[string]string {
	t.Helper()
	dir := t.TempDir()
	want := make(map[string]string)
	var group sync.WaitGroup
	for i := range loadClients {
		cmd := taptest.Helper(t, "keep", d.Socket, strconv.Itoa(i), strconv.Itoa(requests))
		program := filepath.Join(dir, fmt.Sprint("client-", i))
		if out, err := exec.Command("cp", "--reflink=auto", cmd.Path, program).CombinedOutput(); err != nil {
			t.Fatalf("copy the client: %v: %s", err, out)
		}
		cmd.Path = program
		for n := range requests {
			want[taptest.KeptPath(i, n)] = program
		}
		group.Go(func() {
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("client: %v: %s", err, out)
			}
		})
	}
	group.Wait()
	return want
}

// startJunk starts processes that write so many bytes a second together. What it
// returns ends them, and returns how many bytes there were.
func startJunk(t *testing.T, rate int) (stop func() float64) {
	t.Helper()
	free := dockertest.FreeAddress(t)
	var stops []func() float64
	places := []struct {
		network, address string
		isolated         bool
	}{
		{"unix", filepath.Join(t.TempDir(), "other.sock"), false},
		{"tcp", free, false},
		{"tcp", "127.0.0.1:2375", true},
		{"tcp", "127.0.0.1:2376", true},
	}
	for _, place := range places {
		cmd := taptest.Helper(t, "junk", place.network, place.address, strconv.Itoa(rate/len(places)), strconv.FormatBool(place.isolated))
		if place.isolated {
			cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET
		}
		cmd.Stderr = os.Stderr
		stdin, err1 := cmd.StdinPipe()
		stdout, err2 := cmd.StdoutPipe()
		if err := errors.Join(err1, err2, cmd.Start()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Wait() })
		t.Cleanup(func() { _ = stdin.Close() })
		stops = append(stops, func() float64 {
			_ = stdin.Close()
			var n float64
			if _, err := fmt.Fscan(stdout, &n); err != nil {
				t.Errorf("junk at %s: %v", place.address, err)
			}
			return n
		})
	}
	return func() (sum float64) {
		for _, stop := range stops {
			sum += stop()
		}
		return sum
	}
}

// junk serves at a network and an address, and sends to itself what looks like a
// request and what does not, so many bytes a second, until standard input ends. Then
// it prints how many bytes it sent.
func junk(args []string) error {
	rate, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	if args[3] == "true" {
		if err := dockerd.RaiseLoopback(); err != nil {
			return err
		}
	}
	listener, err := net.Listen(args[0], args[1])
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(io.Discard, conn)
			}()
		}
	}()
	ended := make(chan struct{})
	sent := make(chan int)
	for _, kind := range kinds {
		go func() { sent <- flood(args[0], args[1], kind, rate/len(kinds), ended) }()
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	close(ended)
	sum := 0
	for range kinds {
		sum += <-sent
	}
	fmt.Println(sum)
	return nil
}

// kinds are what connections begin with, and what follows again and again.
var kinds = [][2]string{
	{"", strings.Repeat("\x00\xff\x16\x03junk", 64<<10/8)},
	{"GET / HTTP/1.1\r\nHost: x\r\n", strings.Repeat("X-Padding: "+strings.Repeat("x", 50)+"\r\n", 64<<10/63)},
	{"", strings.Repeat("GET /containers/other/json HTTP/1.1\r\nHost: x\r\n\r\n", 64<<10/50)},
	{"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
		fmt.Sprintf("%x\r\n%s\r\n", 64<<10, strings.Repeat(`{"Image":"x"}`+"   ", 64<<10/16))},
}

// flood writes one kind, on connections that last for eight megabytes, and returns
// how many bytes.
func flood(network, address string, kind [2]string, rate int, ended <-chan struct{}) (sum int) {
	begin := time.Now()
	for {
		conn, err := net.Dial(network, address)
		if err != nil {
			fmt.Fprintln(os.Stderr, "junk:", err)
			return sum
		}
		n, _ := io.WriteString(conn, kind[0])
		for n < 8<<20 {
			select {
			case <-ended:
				conn.Close()
				return sum + n
			default:
			}
			written, err := io.WriteString(conn, kind[1])
			n += written
			if err != nil {
				fmt.Fprintln(os.Stderr, "junk:", err)
				break
			}
			time.Sleep(time.Until(begin.Add(time.Duration(sum+n) * time.Second / time.Duration(rate))))
		}
		conn.Close()
		sum += n
	}
}
