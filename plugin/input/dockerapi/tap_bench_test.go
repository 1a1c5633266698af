// SPDX-License-Identifier: Apache-2.0

package dockerapi

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// write answers every line, a number, with the nanoseconds of processor time
// that so many writes to /dev/null took.
func write([]string) error {
	fd, err := unix.Open("/dev/null", unix.O_WRONLY, 0)
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	lines := bufio.NewScanner(os.Stdin)
	one := []byte{0}
	for lines.Scan() {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			return err
		}
		begin := threadTime()
		for range n {
			_, _ = unix.Write(fd, one)
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
// do with Docker, at its worst: a loop of the cheapest of all writes. In turn
// it has nothing attached to the end of system calls, a program that does
// nothing, and the tap. What the second costs, Falco or any other tracer does.
//
//	go test -run '^$' -bench TapOthers -benchtime 60x
func BenchmarkTapOthers(b *testing.B) {
	tap := loadTest(b, TapOptions{})
	if err := tap.Watch([]Socket{{Port: 2375}}); err != nil {
		b.Fatal(err)
	}
	if err := tap.detach(); err != nil {
		b.Fatal(err)
	}
	empty, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.Tracing, AttachType: ebpf.AttachTraceRawTp, AttachTo: "sys_exit", License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		b.Fatal(err)
	}
	defer empty.Close()

	cmd := helper(b, "write")
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
	defer cmd.Wait()
	defer in.Close()
	answers := bufio.NewReader(out)
	const writes = 50_000
	measure := func() float64 {
		fmt.Fprintln(in, writes)
		line, err := answers.ReadString('\n')
		if err != nil {
			b.Fatal(err)
		}
		ns, err := strconv.ParseFloat(strings.TrimSpace(line), 64)
		if err != nil {
			b.Fatal(err)
		}
		return ns / writes
	}

	// What attaching left to do in the background is not the program's cost.
	settled := func() float64 {
		measure()
		return measure()
	}
	var nothing, bare, tapped []float64
	variants := []func(){
		func() { nothing = append(nothing, settled()) },
		func() {
			l, err := link.AttachTracing(link.TracingOptions{Program: empty, AttachType: ebpf.AttachTraceRawTp})
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			bare = append(bare, settled())
		},
		func() {
			if err := tap.attach(); err != nil {
				b.Fatal(err)
			}
			defer tap.detach()
			tapped = append(tapped, settled())
		},
	}
	round := 0
	for b.Loop() {
		for i := range variants {
			variants[(round+i)%len(variants)]()
		}
		round++
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(nothing), "ns/write-nothing")
	b.ReportMetric(median(bare), "ns/write-empty")
	b.ReportMetric(median(tapped), "ns/write-tap")
	b.ReportMetric(median(tapped)/median(bare), "tap/empty")
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}
