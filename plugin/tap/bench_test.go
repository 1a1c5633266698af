// SPDX-License-Identifier: Apache-2.0

package tap

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/containerapi/containerapi/internal/dockertest"
	"github.com/containerapi/containerapi/plugin/tap/taptest"
)

// writeTargets are what the writes of others go to in the benchmark, each with
// how to open it and what to do once. All but the first are made as the ones
// that many programs spend their time in.
var writeTargets = map[string]func() (func(), error){
	"null": func() (func(), error) {
		fd, err := unix.Open("/dev/null", unix.O_WRONLY, 0)
		return func() { _, _ = unix.Write(fd, one) }, err
	},
	"file": func() (func(), error) {
		fd, err := unix.MemfdCreate("benchmark", 0)
		return func() {
			_, _ = unix.Write(fd, one)
			_, _ = unix.Seek(fd, 0, 0)
		}, err
	},
	"pipe": func() (func(), error) {
		var ends [2]int
		err := unix.Pipe(ends[:])
		return pass(ends[1], ends[0]), err
	},
	"unix": func() (func(), error) {
		ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		return pass(ends[1], ends[0]), err
	},
}

var one = []byte{0}

// pass sends a byte from one descriptor to another.
func pass(from, to int) func() {
	b := make([]byte, 1)
	return func() {
		_, _ = unix.Write(from, one)
		_, _ = unix.Read(to, b)
	}
}

// use sends a request to a unix socket, and leaves the connection open.
func use(path string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return err
	}
	if _, err := unix.Write(fd, []byte("GET /used HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		return err
	}
	_, err = unix.Read(fd, make([]byte, 4096))
	return err
}

// write answers every line, the name of a target and a number, with the
// nanoseconds of processor time that so many writes took. "use" and the path of a
// unix socket make it one of the socket's clients.
func write([]string) error {
	do := make(map[string]func())
	for name, open := range writeTargets {
		var err error
		if do[name], err = open(); err != nil {
			return err
		}
	}
	runtime.LockOSThread()
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		name, count, _ := strings.Cut(lines.Text(), " ")
		if name == "use" {
			if err := use(count); err != nil {
				return err
			}
			fmt.Println(0)
			continue
		}
		n, err := strconv.Atoi(count)
		if err != nil {
			return err
		}
		once := do[name]
		begin := threadTime()
		for range n {
			once()
		}
		fmt.Println(threadTime() - begin)
	}
	return lines.Err()
}

func threadTime() int64 {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now)
	return now.Nano()
}

// BenchmarkTapOthers measures what the tap costs a process that has nothing to
// do with Docker, in loops of writes, of which those to /dev/null are the
// cheapest of all. In turn it has nothing attached to the end of system calls,
// a program that does nothing, and the tap. What the second costs, Falco or any
// other tracer does.
//
//	go test -run '^$' -bench TapOthers -benchtime 60x
func BenchmarkTapOthers(b *testing.B) {
	for _, target := range slices.Sorted(maps.Keys(writeTargets)) {
		b.Run(target, func(b *testing.B) { benchmarkOthers(b, target) })
	}
}

func benchmarkOthers(b *testing.B, target string) {
	tap := loadTest(b, Options{})
	if err := tap.Watch([]Socket{{Port: 2375}}); err != nil {
		b.Fatal(err)
	}
	if err := tap.detach(); err != nil {
		b.Fatal(err)
	}

	w := startWriter(b)
	// What attaching left to do in the background is not the program's cost.
	settled := func() float64 {
		w.measure(target)
		return w.measure(target)
	}
	nothing, empty, tapped := inTurn(b, tap, settled)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(nothing, "ns/write-nothing")
	b.ReportMetric(empty, "ns/write-empty")
	b.ReportMetric(tapped, "ns/write-tap")
	b.ReportMetric(tapped/empty, "tap/empty")
}

// writer is a process that makes system calls when it is told to.
type writer struct {
	b       *testing.B
	in      io.Writer
	answers *bufio.Reader
}

func startWriter(b *testing.B) *writer {
	cmd := taptest.Helper(b, "write")
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	return &writer{b, in, bufio.NewReader(out)}
}

// tell has a line of it answered with a number.
func (w *writer) tell(words ...any) float64 {
	fmt.Fprintln(w.in, words...)
	line, err := w.answers.ReadString('\n')
	if err != nil {
		w.b.Fatal(err)
	}
	ns, err := strconv.ParseFloat(strings.TrimSpace(line), 64)
	if err != nil {
		w.b.Fatal(err)
	}
	return ns
}

// measure returns the nanoseconds of a write to a target.
func (w *writer) measure(target string) float64 {
	const writes = 50_000
	return w.tell(target, writes) / writes
}

// BenchmarkTapUsers measures what the tap costs a process that used the socket,
// and still holds its connection, beside one that never did, in turn.
//
//	go test -run '^$' -bench TapUsers -benchtime 60x
func BenchmarkTapUsers(b *testing.B) {
	path := filepath.Join(b.TempDir(), "s.sock")
	taptest.StartServer(b, "unix", path)
	tap := loadTest(b, Options{})
	if err := tap.Watch([]Socket{{Path: path}}); err != nil {
		b.Fatal(err)
	}
	stranger, user := startWriter(b), startWriter(b)
	user.tell("use", path)
	for _, target := range slices.Sorted(maps.Keys(writeTargets)) {
		b.Run(target, func(b *testing.B) {
			stranger.b, user.b = b, b
			var each [2][]float64
			for round := 0; b.Loop(); round++ {
				for i := range 2 {
					if (round+i)%2 == 0 {
						each[0] = append(each[0], stranger.measure(target))
					} else {
						each[1] = append(each[1], user.measure(target))
					}
				}
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(each[0]), "ns/write-stranger")
			b.ReportMetric(median(each[1]), "ns/write-user")
			b.ReportMetric(median(each[1])/median(each[0]), "user/stranger")
		})
	}
}

// inTurn measures with nothing attached to the end of system calls, with a
// program that does nothing, and with the tap, in another order each round, and
// returns the medians. The tap must be detached.
func inTurn(b *testing.B, tap *Tap, measure func() float64) (nothing, empty, tapped float64) {
	attachEmpty := emptyTracepoint(b)
	var measured [3][]float64
	variants := []func(){
		func() { measured[0] = append(measured[0], measure()) },
		func() {
			defer attachEmpty()()
			measured[1] = append(measured[1], measure())
		},
		func() {
			if err := tap.attach(); err != nil {
				b.Fatal(err)
			}
			defer tap.detach()
			measured[2] = append(measured[2], measure())
		},
	}
	round := 0
	for b.Loop() {
		for i := range variants {
			variants[(round+i)%len(variants)]()
		}
		round++
	}
	return median(measured[0]), median(measured[1]), median(measured[2])
}

// emptyTracepoint loads a program that does nothing and returns what attaches
// it to the end of system calls, which returns what detaches it.
func emptyTracepoint(b *testing.B) func() func() {
	empty, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.Tracing, AttachType: ebpf.AttachTraceRawTp, AttachTo: "sys_exit", License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { empty.Close() })
	return func() func() {
		l, err := link.AttachTracing(link.TracingOptions{Program: empty, AttachType: ebpf.AttachTraceRawTp})
		if err != nil {
			b.Fatal(err)
		}
		return func() { l.Close() }
	}
}

// BenchmarkTapDockerPS measures what the tap costs those that it watches: the
// time of docker ps, with and without it in turn.
//
//	go test -run '^$' -bench TapDockerPS -benchtime 100x
func BenchmarkTapDockerPS(b *testing.B) {
	daemon := dockertest.Start(b)
	tap := loadTest(b, Options{})
	if err := tap.Watch([]Socket{{Path: daemon.Socket}}); err != nil {
		b.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		var rec Record
		for tap.ReadInto(&rec) == nil {
		}
	}()
	if err := tap.detach(); err != nil {
		b.Fatal(err)
	}
	// What attaching left to do in the background is not the program's cost.
	ps := func() float64 {
		daemon.Docker("ps")
		begin := time.Now()
		daemon.Docker("ps")
		return float64(time.Since(begin))
	}
	without, empty, with := inTurn(b, tap, ps)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(without/1e6, "ms/ps-without")
	b.ReportMetric(with/1e6, "ms/ps-with")
	b.ReportMetric(empty/without, "empty/without")
	b.ReportMetric(with/without, "with/without")
	if err := tap.Close(); err != nil {
		b.Fatal(err)
	}
	<-ended
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}
