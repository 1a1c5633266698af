// SPDX-License-Identifier: Apache-2.0

// Package process runs programs beside a test or a demonstration and ends them
// with it, also when it is killed.
package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Process is a running program in a process group of its own.
type Process struct {
	name  string
	pid   int
	ended chan struct{}
	err   error
}

// Start starts the command. Its group is killed when this program ends without
// calling [Process.Stop].
func Start(name string, cmd *exec.Cmd) (*Process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	// Its children may hold its output open.
	cmd.WaitDelay = time.Second
	p := &Process{name: name, ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The parent of Pdeathsig is the thread that started the process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		if p.err = cmd.Wait(); errors.Is(p.err, exec.ErrWaitDelay) {
			p.err = nil
		}
		close(p.ended)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p.pid = cmd.Process.Pid
	return p, nil
}

// Pid is the process id.
func (p *Process) Pid() int { return p.pid }

// Ended is closed when the process has ended and been waited for.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Err is how the process ended, nil for exit code 0. It must not be called
// before Ended is closed.
func (p *Process) Err() error { return p.err }

// Signal sends a signal to the process.
func (p *Process) Signal(signal syscall.Signal) error {
	select {
	case <-p.ended:
		return fmt.Errorf("%s has ended", p.name)
	default:
		return syscall.Kill(p.pid, signal)
	}
}

// Stop sends the signal to the process and waits until it has ended. Past the
// limit it kills it, which is an error. What is left of its group is killed.
func (p *Process) Stop(signal syscall.Signal, limit time.Duration) error {
	defer func() { _ = syscall.Kill(-p.pid, syscall.SIGKILL) }()
	if p.Signal(signal) != nil {
		return nil
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(limit):
		_ = syscall.Kill(-p.pid, syscall.SIGKILL)
		<-p.ended
		return fmt.Errorf("%s did not end within %s of signal %v", p.name, limit, signal)
	}
}

// listenLimit is how long a program may take until it listens.
const listenLimit = 30 * time.Second

// FreePorts returns ports of the loopback that nothing listens on, for programs
// that cannot choose one by themselves.
func FreePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// FreeAddress is [FreePorts] for one program, as "127.0.0.1:port".
func FreeAddress() (string, error) {
	ports, err := FreePorts(1)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("127.0.0.1:%d", ports[0]), nil
}

// AwaitListener waits until something listens at an address, as the process is to
// do. It is an error if the process ends before, or takes more than 30 seconds.
func (p *Process) AwaitListener(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, listenLimit)
	defer cancel()
	for {
		if conn, err := net.Dial("tcp", address); err == nil {
			return conn.Close()
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended before it listened on %s: %v", p.name, address, p.err)
		case <-ctx.Done():
			return fmt.Errorf("%s does not listen on %s: %w", p.name, address, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Output holds what a program prints. It is safe for use by several goroutines.
type Output struct {
	// Copy, if set, gets all of it as well.
	Copy io.Writer

	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.Copy != nil {
		if n, err := o.Copy.Write(b); err != nil {
			return n, err
		}
	}
	return o.text.Write(b)
}

// String returns what was printed until now.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
