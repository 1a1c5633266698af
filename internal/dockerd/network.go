// SPDX-License-Identifier: Apache-2.0

package dockerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// StartIsolated is [Start] with a network namespace for the daemon alone, in which
// it may listen at any port: 2375 and 2376 are free there, whatever runs on the
// machine. Only what [Daemon.Enter] calls reaches those ports.
func StartIsolated(ctx context.Context, flags ...string) (*Daemon, error) {
	return Engine{}.StartIsolated(ctx, flags...)
}

// StartIsolated is [StartIsolated] on this engine.
func (e Engine) StartIsolated(ctx context.Context, flags ...string) (*Daemon, error) {
	network, err := newNetwork()
	if err != nil {
		if errors.Is(err, os.ErrPermission) {
			return nil, &MissingError{"needs root to start a Docker Engine"}
		}
		return nil, err
	}
	d, err := e.start(ctx, network, flags)
	if err != nil {
		// Its second close, after that of a daemon that was started, does nothing.
		_ = network.Close()
	}
	return d, err
}

// Enter calls f on a thread in the daemon's network namespace, if it has one of
// its own: the connections that f makes and the processes that it starts are
// there. Neither may need that thread when f has returned.
func (d *Daemon) Enter(f func() error) error {
	return onThread(func() error {
		if err := d.enterNetwork(); err != nil {
			return err
		}
		return f()
	})
}

// newNetwork makes a network namespace with a loopback that is up.
func newNetwork() (*os.File, error) {
	var network *os.File
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		if err := RaiseLoopback(); err != nil {
			return fmt.Errorf("raise the loopback of a network namespace: %w", err)
		}
		var err error
		network, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	return network, err
}

// enterNetwork moves the calling thread, which must be locked for good, into the
// daemon's network namespace, if it has one of its own.
func (d *Daemon) enterNetwork() error {
	if d.network == nil {
		return nil
	}
	if err := unix.Setns(int(d.network.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the network namespace of the Docker Engine: %w", err)
	}
	return nil
}

// RaiseLoopback does what `ip link set lo up` does, in the network namespace of the
// calling thread.
func RaiseLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}

// onThread calls f on a thread that ends with it, so that no other goroutine ever
// runs in the namespaces that f moves it to.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		// Never unlocked: the runtime ends such a thread.
		runtime.LockOSThread()
		done <- f()
	}()
	return <-done
}
