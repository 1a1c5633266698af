// SPDX-License-Identifier: Apache-2.0

// Package tap sees what the processes that serve an API on a socket read from
// it, and which process sent that, without touching either of them, their
// configuration or the connection.
package tap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/bits"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
)

// Run by make generate, which says which clang it needs and where that comes
// from.
//
//go:generate go tool bpf2go -cc clang-$CLANG_MAJOR -strip llvm-strip-$CLANG_MAJOR -target amd64,arm64 -type header -type peer_event -type addresses -type data_event -type kind -type mode -type flag -type code tap tap.bpf.c -- -O2 -Wall -Wextra -Werror -Wno-unused-parameter

// What can be missing for the tap to load. The error that wraps one of these
// says what to do.
var (
	// ErrPrivilege: the process lacks a capability, or a container runtime's
	// seccomp profile refuses bpf(2).
	ErrPrivilege = errors.New("missing privilege")
	// ErrBTF: the kernel does not describe its types.
	ErrBTF = errors.New("missing kernel BTF")
	// ErrKernel: the kernel is older than Linux 5.8, or built without BPF.
	ErrKernel = errors.New("kernel not supported")
	// ErrLockdown: the kernel's lockdown mode forbids reading its memory.
	ErrLockdown = errors.New("kernel locked down")
)

// lull is how often the ring is looked at. The kernel's side wakes the reader
// only when the ring fills: a wake-up for each record would cost those that the
// records are about more than all else that the tap does.
const lull = 20 * time.Millisecond

var (
	// ErrClosed is returned by reads from a closed tap.
	ErrClosed = os.ErrClosed
	// ErrInterrupted is returned by a read that [Tap.Interrupt] ended.
	ErrInterrupted = errors.New("read of the request tap interrupted")
)

// Options are the tap's limits. The zero value has defaults for all of them.
//
// 16384 open connections are kept apart. Above that the ones unused for longest
// are forgotten: their next request comes on what looks like a connection older
// than the tap.
type Options struct {
	// RingSize is the size in bytes of the ring between the kernel and the
	// plugin, rounded up to a power of two and at least a page: 8 MiB if 0.
	RingSize int
}

// Tap is the loaded program. One goroutine reads; every other method is safe to
// call from any goroutine.
type Tap struct {
	objects tapObjects
	links   []link.Link
	holders *link.Iter
	reader  *ringbuf.Reader
	sample  ringbuf.Record
	// named are the unix sockets that are asked for.
	named    map[tapFileKey]bool
	watching sync.Mutex
}

// Load loads the tap and attaches it, watching nothing yet. The process that
// calls it is left out from what the tap sees.
//
// It needs Linux 5.8 with BTF and CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN,
// which includes both), and nothing else: not tracefs, not CAP_SYS_PTRACE, not
// the host's pid namespace. Before 5.11 the memory of BPF maps counts towards
// RLIMIT_MEMLOCK, and CAP_SYS_RESOURCE or a limit above RingSize + 16 MiB is
// needed as well.
//
// Errors wrap [ErrPrivilege], [ErrBTF], [ErrKernel] or [ErrLockdown] where one
// of them is the reason.
func Load(o Options) (*Tap, error) {
	if o.RingSize < 0 {
		return nil, fmt.Errorf("load request tap: ring of %d bytes: the size must not be negative", o.RingSize)
	}
	spec, err := loadTap()
	if err != nil {
		return nil, fmt.Errorf("load request tap: %w", err)
	}
	if o.RingSize > 0 {
		spec.Maps[tapMapRing].MaxEntries = ringSize(o.RingSize)
	}
	// From 5.11 on the limit does not count. Before, the load says whether it
	// was too low.
	_ = rlimit.RemoveMemlock()
	t := &Tap{}
	if err := t.load(spec); err != nil {
		t.Close()
		return nil, fmt.Errorf("load request tap: %w", explain(err))
	}
	return t, nil
}

func (t *Tap) load(spec *ebpf.CollectionSpec) error {
	if err := spec.LoadAndAssign(&t.objects, nil); err != nil {
		return err
	}
	var err error
	if t.reader, err = ringbuf.NewReader(t.objects.Ring); err != nil {
		return fmt.Errorf("open ring: %w", err)
	}
	t.reader.SetDeadline(time.Now().Add(lull))
	if t.holders, err = link.AttachIter(link.IterOptions{Program: t.objects.TapHolders}); err != nil {
		return fmt.Errorf("attach %s: %w", tapProgTapHolders, err)
	}
	// The first run marks this process as the one to leave out, before there
	// is anything to see.
	if err := t.markHolders(); err != nil {
		return err
	}
	return t.attach()
}

func (t *Tap) attach() error {
	for _, p := range []*ebpf.Program{t.objects.TapExit, t.objects.TapExec, t.objects.TapFork, t.objects.TapTcpState, t.objects.TapSysExit} {
		l, err := link.AttachTracing(link.TracingOptions{Program: p, AttachType: ebpf.AttachTraceRawTp})
		if err != nil {
			return fmt.Errorf("attach %s: %w", p, err)
		}
		t.links = append(t.links, l)
	}
	return nil
}

func (t *Tap) detach() error {
	var errs []error
	for _, l := range t.links {
		errs = append(errs, l.Close())
	}
	t.links = nil
	return errors.Join(errs...)
}

// ringSize rounds up to what BPF_MAP_TYPE_RINGBUF takes.
func ringSize(n int) uint32 {
	return uint32(1) << bits.Len(uint(max(n, os.Getpagesize())-1))
}

// explain says which thing is missing when the kernel did not take the program.
func explain(err error) error {
	switch {
	case lockdown() == "confidentiality":
		return fmt.Errorf("%w: /sys/kernel/security/lockdown says confidentiality, under which no program may read kernel memory; boot with lockdown=integrity or none: %w", ErrLockdown, err)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES) && !privileged():
		return fmt.Errorf("%w: run with CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN (before Linux 5.11 also CAP_SYS_RESOURCE), and in a container with a seccomp profile that allows bpf(2): %w", ErrPrivilege, err)
	}
	if _, btfErr := btf.LoadKernelSpec(); btfErr != nil {
		return fmt.Errorf("%w: /sys/kernel/btf/vmlinux cannot be read; run a kernel built with CONFIG_DEBUG_INFO_BTF: %w", ErrBTF, btfErr)
	}
	if errors.Is(err, ebpf.ErrNotSupported) || errors.Is(features.HaveMapType(ebpf.RingBuf), ebpf.ErrNotSupported) {
		return fmt.Errorf("%w: Linux 5.8 or later with BPF is needed: %w", ErrKernel, err)
	}
	return err
}

// lockdown returns the chosen one of the modes in "none [integrity] confidentiality".
func lockdown() string {
	text, err := os.ReadFile("/sys/kernel/security/lockdown")
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(text), "[")
	mode, _, _ := strings.Cut(rest, "]")
	return mode
}

// privileged reports whether the thread has the capabilities of [Load].
func privileged() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&header, &data[0]) != nil {
		return false
	}
	effective := uint64(data[1].Effective)<<32 | uint64(data[0].Effective)
	has := func(c int) bool { return effective>>c&1 == 1 }
	return has(unix.CAP_SYS_ADMIN) || has(unix.CAP_BPF) && has(unix.CAP_PERFMON)
}

// markHolders has the kernel look at every open file for watched sockets.
func (t *Tap) markHolders() error {
	r, err := t.holders.Open()
	if err != nil {
		return fmt.Errorf("look for holders of watched sockets: %w", err)
	}
	defer r.Close()
	if _, err := io.Copy(io.Discard, r); err != nil {
		return fmt.Errorf("look for holders of watched sockets: %w", err)
	}
	return nil
}

// Watch replaces the watched sockets. A unix socket is the file that the path
// leads to now: call Watch again when it was re-created. Paths that do not
// exist are an error wrapping [os.ErrNotExist], and the others are watched all
// the same. Connections that are open already are seen from now on. A unix socket
// that was watched stays so while a process serves it, wherever it was moved.
//
// A port counts only where an engine serves it: a process that accepts what
// comes to one of the paths. If none of the paths exists, that is a process of
// root named dockerd in the network namespace of the host's first process.
func (t *Tap) Watch(sockets []Socket) error {
	files := make(map[tapFileKey]bool)
	ports := make(map[uint16]bool)
	var only uint32
	var errs []error
	for _, s := range sockets {
		if s.Path == "" {
			ports[s.Port] = true
			continue
		}
		key, err := fileOf(s.Path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		files[key] = true
	}
	t.watching.Lock()
	defer t.watching.Unlock()
	t.named = files
	watched, err := t.watchFiles()
	if err != nil {
		return err
	}
	if watched == 0 {
		only = 1
	}
	if err := t.objects.OnlyPorts.Set(only); err != nil {
		return fmt.Errorf("watch ports: %w", err)
	}
	if err := replaceKeys(t.objects.Ports, ports); err != nil {
		return fmt.Errorf("watch ports: %w", err)
	}
	if err := t.findEngines(); err != nil {
		return err
	}
	return errors.Join(errs...)
}

// watchFiles makes the watched unix sockets those that were asked for and those that
// were watched before and are served still, and returns how many that are.
func (t *Tap) watchFiles() (int, error) {
	files, err := t.stillServed()
	if err != nil {
		return 0, err
	}
	maps.Copy(files, t.named)
	if err := replaceKeys(t.objects.Files, files); err != nil {
		return 0, fmt.Errorf("watch sockets: %w", err)
	}
	return len(files), nil
}

// stillServed returns the watched unix sockets that a process has.
func (t *Tap) stillServed() (map[tapFileKey]bool, error) {
	var key tapFileKey
	var watched []tapFileKey
	var served uint8
	entries := t.objects.Files.Iterate()
	for entries.Next(&key, &served) {
		watched = append(watched, key)
	}
	if err := entries.Err(); err != nil {
		return nil, fmt.Errorf("watch sockets: %w", err)
	}
	for _, key := range watched {
		if err := t.objects.Files.Update(key, uint8(0), ebpf.UpdateExist); err != nil {
			return nil, fmt.Errorf("watch sockets: %w", err)
		}
	}
	if err := t.markHolders(); err != nil {
		return nil, err
	}
	files := make(map[tapFileKey]bool)
	for _, key := range watched {
		if err := t.objects.Files.Lookup(key, &served); err != nil {
			return nil, fmt.Errorf("watch sockets: %w", err)
		}
		if served == 1 {
			files[key] = true
		}
	}
	return files, nil
}

// Refresh looks for the ports of engines again if one began or ended since.
// Until then every client of a watched port is told of, whoever serves it.
func (t *Tap) Refresh() error {
	var changes, checked uint32
	if err := errors.Join(t.objects.EngineChanges.Get(&changes), t.objects.PortsChecked.Get(&checked)); err != nil {
		return fmt.Errorf("look for engines: %w", err)
	}
	if changes == checked {
		return nil
	}
	t.watching.Lock()
	defer t.watching.Unlock()
	if _, err := t.watchFiles(); err != nil {
		return err
	}
	return t.findEngines()
}

// findEngines marks the engines by their unix sockets, and then finds the ports
// that they serve.
func (t *Tap) findEngines() error {
	if err := t.objects.EnginesSeen.Set(uint32(0)); err != nil {
		return fmt.Errorf("look for engines: %w", err)
	}
	if err := t.markHolders(); err != nil {
		return err
	}
	var changes, seen uint32
	if err := t.objects.EngineChanges.Get(&changes); err != nil {
		return fmt.Errorf("look for engines: %w", err)
	}
	if err := t.markHolders(); err != nil {
		return err
	}
	if err := t.objects.EnginesSeen.Get(&seen); err != nil {
		return fmt.Errorf("look for engines: %w", err)
	}
	if seen == 0 {
		return nil // there is none, or none that can be seen from here
	}
	if err := t.objects.PortsChecked.Set(changes); err != nil {
		return fmt.Errorf("look for engines: %w", err)
	}
	return nil
}

// replaceKeys makes the keys of m the wanted ones, so that those in both are
// there all the time, with what the kernel's side noted of them.
func replaceKeys[K comparable](m *ebpf.Map, wanted map[K]bool) error {
	for key := range wanted {
		if err := m.Update(key, uint8(0), ebpf.UpdateNoExist); err != nil && !errors.Is(err, ebpf.ErrKeyExist) {
			return err
		}
	}
	var key K
	var value uint8
	var gone []K
	entries := m.Iterate()
	for entries.Next(&key, &value) {
		if !wanted[key] {
			gone = append(gone, key)
		}
	}
	if err := entries.Err(); err != nil {
		return err
	}
	for _, key := range gone {
		if err := m.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return err
		}
	}
	return nil
}

// Pending returns how many bytes of records wait to be read.
func (t *Tap) Pending() int { return t.reader.AvailableBytes() }

// Busy reports that more than an eighth of the ring waits to be read, so that
// the reader should do nothing that can wait.
func (t *Tap) Busy() bool { return t.reader.AvailableBytes() > t.reader.BufferSize()/8 }

// Interrupt ends a pending [Tap.ReadInto] with [ErrInterrupted].
func (t *Tap) Interrupt() error { return t.reader.Flush() }

// ReadInto waits for the next record. What rec refers to is overwritten by the
// next call. After [Tap.Close] it returns [ErrClosed].
func (t *Tap) ReadInto(rec *Record) error {
	for {
		err := t.reader.ReadInto(&t.sample)
		switch {
		case err == nil:
			return rec.decode(t.sample.RawSample)
		case errors.Is(err, os.ErrDeadlineExceeded):
			t.reader.SetDeadline(time.Now().Add(lull))
		case errors.Is(err, ringbuf.ErrFlushed):
			return ErrInterrupted
		default:
			return fmt.Errorf("read request tap: %w", err)
		}
	}
}

// Skim is for the time of a large body: reads of more than 4096 bytes from the
// connection are counted and not copied. Go's HTTP server never reads across
// the end of a body in a larger read.
func (t *Tap) Skim(conn ConnKey) error { return t.setMode(conn, tapModeMODE_SKIM) }

// Ignore is for a stream that is no HTTP any more: nothing but its close is
// seen of the connection.
func (t *Tap) Ignore(conn ConnKey) error { return t.setMode(conn, tapModeMODE_IGNORE) }

// Resume ends what [Tap.Skim] or [Tap.Ignore] began.
func (t *Tap) Resume(conn ConnKey) error {
	if err := t.objects.Modes.Delete(uint64(conn)); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("reset mode of a tapped connection: %w", err)
	}
	return nil
}

func (t *Tap) setMode(conn ConnKey, mode tapMode) error {
	if err := t.objects.Modes.Put(uint64(conn), mode); err != nil {
		return fmt.Errorf("set mode of a tapped connection: %w", err)
	}
	return nil
}

// Loss is how many records of a client were lost so far.
type Loss struct {
	// Key is the client's, as long as it is remembered.
	Key uint64
	// PID is the process, 0 for a client of a port, whose address [Loss.Of]
	// compares.
	PID     uint32
	Records uint64
}

// ofAddress is in the keys of clients by address.
const ofAddress = 1 << 63

// Of reports whether the loss is that of clients at an address. Two IPv6
// addresses can be taken for each other.
func (l Loss) Of(a netip.Addr) bool {
	if l.PID != 0 {
		return false
	}
	short := [16]byte{}
	copy(short[:], a.Unmap().AsSlice())
	return l.Key == addressKey(short) || l.Key == addressKey(a.As16())
}

// addressKey is share_of_address in process.bpf.h.
func addressKey(b [16]byte) uint64 {
	return binary.NativeEndian.Uint64(b[:8]) ^ binary.NativeEndian.Uint64(b[8:]) | ofAddress
}

// Losses returns the clients whose records were lost because their share of the
// ring was full, of at most 4096 that had records last.
func (t *Tap) Losses() ([]Loss, error) {
	var losses []Loss
	var key uint64
	var share tapShare
	entries := t.objects.Shares.Iterate()
	for entries.Next(&key, &share) {
		if share.Lost == 0 {
			continue
		}
		l := Loss{Key: key, Records: share.Lost}
		if key&ofAddress == 0 {
			l.PID = uint32(key)
		}
		losses = append(losses, l)
	}
	// The kernel's side changes the map meanwhile: what is missed is found next time.
	if err := entries.Err(); err != nil && !errors.Is(err, ebpf.ErrIterationAborted) {
		return losses, fmt.Errorf("look for losses of the request tap: %w", err)
	}
	return losses, nil
}

// Drops is how many records were lost so far because the ring was full.
func (t *Tap) Drops() uint64 {
	var sum uint64
	var each []uint64
	if err := t.objects.Drops.Lookup(uint32(0), &each); err != nil {
		return 0
	}
	for _, n := range each {
		sum += n
	}
	return sum
}

// Close detaches the program and ends a pending read.
func (t *Tap) Close() error {
	errs := []error{t.detach()}
	if t.holders != nil {
		errs = append(errs, t.holders.Close())
	}
	if t.reader != nil {
		errs = append(errs, t.reader.Close())
	}
	errs = append(errs, t.objects.Close())
	return errors.Join(errs...)
}
