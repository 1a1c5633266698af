// SPDX-License-Identifier: Apache-2.0

package tap

import (
	"fmt"
	"net/netip"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// uring connects to a TCP address with io_uring, which no system call of connect
// tells of, and sends a request.
func uring(args []string) error {
	addr, err := netip.ParseAddrPort(args[0])
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	// struct io_uring_params and the parts of struct io_sqring_offsets that
	// are used, from include/uapi/linux/io_uring.h.
	var params [30]uint32
	ring, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params)), 0)
	if errno != 0 {
		return fmt.Errorf("io_uring_setup: %w", errno)
	}
	const head = 10 // where the offsets begin, in words
	tail, array := params[head+1], params[head+6]
	queue, err := unix.Mmap(int(ring), 0, int(array)+64, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map queue: %w", err)
	}
	entries, err := unix.Mmap(int(ring), 0x10000000, 64, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map entries: %w", err)
	}
	to := unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: addr.Addr().As4()}
	port := (*[2]byte)(unsafe.Pointer(&to.Port))
	port[0], port[1] = byte(addr.Port()>>8), byte(addr.Port())
	entry := unsafe.Pointer(&entries[0])
	*(*uint8)(entry) = 16 // IORING_OP_CONNECT
	*(*int32)(unsafe.Add(entry, 4)) = int32(fd)
	*(*uint64)(unsafe.Add(entry, 8)) = unix.SizeofSockaddrInet4
	*(*uint64)(unsafe.Add(entry, 16)) = uint64(uintptr(unsafe.Pointer(&to)))
	*(*uint32)(unsafe.Pointer(&queue[array])) = 0
	*(*uint32)(unsafe.Pointer(&queue[tail])) = 1
	const wait = 1 // IORING_ENTER_GETEVENTS
	if _, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, ring, 1, 1, wait, 0, 0); errno != 0 {
		return fmt.Errorf("io_uring_enter: %w", errno)
	}
	runtime.KeepAlive(&to)
	if _, err := unix.Write(fd, []byte("GET "+args[1]+" HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		return err
	}
	_, err = unix.Read(fd, make([]byte, 4096))
	return err
}
