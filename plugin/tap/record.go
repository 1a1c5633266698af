// SPDX-License-Identifier: Apache-2.0

package tap

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Kind says what a record tells.
type Kind uint8

// Records of one connection come in the order of what they tell, but those of
// two ends can overtake each other: Accept can come before its Connect, and
// Request before the Sender that sent it if that is another process than the
// one that connected. A Connect always comes before the first Request of its
// connection.
const (
	// Connect: a process connected. Peer, Process, and on TCP Remote: the
	// connection only begins, and can go to another server than a watched one.
	Connect = Kind(tapKindKIND_CONNECT)
	// Established: a TCP connection of a Connect is made, and comes before its
	// Accept (with fast open it may come later). Peer, the addresses, Local
	// being the client's, and Sequence.
	Established = Kind(tapKindKIND_ESTABLISHED)
	// Sender: another process than the last, or the same one after an exec,
	// sent on an open connection: it inherited it or was handed it. The same
	// fields as Connect, and both addresses.
	Sender = Kind(tapKindKIND_SENDER)
	// Accept: a server took a connection. Conn, Peer, PID, Adopted, and the
	// addresses and Sequence on TCP, Local being the server's. On a unix socket Process
	// has at least PID and UID of who connected. If there was no Connect or
	// Sender, and the process still runs, it has all but Args.
	Accept = Kind(tapKindKIND_ACCEPT)
	// Request: a server read from a connection. Conn, Peer, PID, Position,
	// Total and Data, which is the beginning of Total.
	Request = Kind(tapKindKIND_REQUEST)
	// Response: a server began to write a response. Conn, Peer, PID, Position
	// (what it had read by then), Total and Data: at most 512 bytes of the
	// head and nothing behind its end.
	Response = Kind(tapKindKIND_RESPONSE)
	// Close: a server closed a connection. Conn and Position. It can be missing:
	// what it would have said follows from an Exit of the server.
	Close = Kind(tapKindKIND_CLOSE)
	// Exit: a process that used a watched socket ended. PID.
	Exit = Kind(tapKindKIND_EXIT)
)

func (k Kind) String() string {
	names := [...]string{Connect: "connect", Established: "established", Sender: "sender", Accept: "accept", Request: "request",
		Response: "response", Close: "close", Exit: "exit"}
	if int(k) >= len(names) || names[k] == "" {
		return fmt.Sprintf("kind %d", uint8(k))
	}
	return names[k]
}

// ConnKey is a server's end of a connection. None is used twice while the
// kernel runs on up to 256 processors; with more it takes two accepts within
// 256 ns, on processors whose numbers are 256 apart.
type ConnKey uint64

// PeerKey is a client's end of a connection. A server's end of a TCP connection
// does not know it, and has 0. It can be used again once the connection is
// closed at both ends; a new Connect says so.
type PeerKey uint64

// Record is what the kernel's side tells. Which fields are set depends on Kind.
type Record struct {
	Kind Kind
	// Time is when it happened, in nanoseconds since the Unix epoch.
	Time int64
	// PID is the process whose system call it was, in the kernel's own pid
	// namespace like all pids here.
	PID  uint32
	Conn ConnKey
	Peer PeerKey
	// Client is the pid of who connected, for a Request, a Response and a Close
	// of a unix connection.
	Client uint32
	// Adopted is a connection whose accept was not seen: it is older than the
	// tap, or was forgotten. Its first bytes can be the middle of a request.
	Adopted bool
	// Position is how many bytes were read from the connection before, and
	// Total how many this is about. A Position other than the last one's
	// Position + Total means that records were lost.
	Position uint64
	Total    int
	// Data is at most Total bytes. What is not in it was not copied: by wish
	// ([Tap.Skim]), because the read was too large (more than 2 MiB), or
	// because it could not be seen.
	Data          []byte
	Process       Process
	Local, Remote netip.AddrPort
	// NetNamespace is the inode of /proc/PID/ns/net, for a record with
	// addresses.
	NetNamespace uint32
	// Sequence is the number of the first byte that the server sends: with the
	// addresses it tells which Established belongs to which Accept, which
	// addresses alone do not, as every network namespace has its own. It is 0
	// if Adopted.
	Sequence uint32
}

// Process is a client as the kernel knew it at that moment.
type Process struct {
	// PID is the process' id, PPID the parent's.
	PID, PPID uint32
	// UID is the effective one, as SO_PEERCRED has it. LoginUID is 4294967295
	// if unset.
	UID, LoginUID uint32
	// Start is when it began, in nanoseconds of CLOCK_BOOTTIME. It is 0 if only
	// PID and UID are known.
	Start uint64
	// Comm and ParentComm are the names of the main threads.
	Comm, ParentComm string
	// ExePath is the executable as /proc/PID/exe shows it to the host: the path
	// in the process' mount namespace, with " (deleted)" behind if it is none
	// any more. A path with too many parts begins with "...".
	ExePath string
	// Exe is the executable's file, and ExeDeleted says that no path leads to
	// it any more.
	Exe        File
	ExeDeleted bool
	// Code is how the code that runs came to be what it is.
	Code Code
	// Args is the command line, at most its first 4096 bytes, and ArgsCut says
	// that there can be more. It is nil if it could not be read:
	// /proc/PID/cmdline may have it.
	Args    []string
	ArgsCut bool
	// Cgroup is the path in the unified hierarchy, or with cgroup v1 in the one
	// of the pids or memory controller. It begins with "..." if it is too long.
	Cgroup string
	// PIDNamespace and MountNamespace are the inodes of /proc/PID/ns/pid and
	// /proc/PID/ns/mnt.
	PIDNamespace, MountNamespace uint32
	// HostMounts says that the mount namespace is that of the first process of
	// the host; UserNamespace that the process is in a user namespace other
	// than the host's, or its mounts belong to one: whoever made it may have
	// mounted what he likes where he likes.
	HostMounts, UserNamespace bool
	// GID is the group that files are accessed as, Groups are the others, of
	// which the first 32 are known; GroupsCut says that there are more.
	GID       uint32
	Groups    []uint32
	GroupsCut bool
}

// File is a file as the kernel itself knows it. On btrfs and overlayfs stat(2)
// has another device.
type File struct {
	// Inode is the number of the inode on Device (MKDEV of
	// include/linux/kdev_t.h); Generation tells it from an earlier one with
	// that number, on filesystems that count.
	Inode              uint64
	Device, Generation uint32
	// UID is the owner, Mode the type and permissions as in stat(2).
	UID, Mode uint32
}

// Code says how the code of a process came to be what it is. What is known of
// it is not much if it has not [CodeKnown]: the process is older than the tap.
type Code uint32

const (
	// CodeKnown: the process was seen when it began, so that what is not said
	// here did not happen.
	CodeKnown = Code(tapCodeCODE_KNOWN)
	// CodePreloaded: its environment has a variable by which the dynamic loader
	// loads other files than usual, such as LD_PRELOAD.
	CodePreloaded = Code(tapCodeCODE_PRELOADED)
	// CodeUnread: its environment could not be read to its end.
	CodeUnread = Code(tapCodeCODE_UNREAD)
	// CodeTraced: another process controls it by ptrace(2), or did.
	CodeTraced = Code(tapCodeCODE_TRACED)
	// CodeWritten: another process wrote into its memory, or opened it to do so.
	CodeWritten = Code(tapCodeCODE_WRITTEN)
	// CodeRenamed: it chose by prctl(2) what its executable is said to be.
	CodeRenamed = Code(tapCodeCODE_RENAMED)
	// CodeLoaded: it mapped code of a file that is not root's, or of one that
	// lies where others than root can have mounted files.
	CodeLoaded = Code(tapCodeCODE_LOADED)
)

// String says all on one line but what was read and command lines, which can
// hold secrets. What others chose is quoted: it cannot control a terminal.
func (r *Record) String() string {
	var b strings.Builder
	fmt.Fprint(&b, r.Kind)
	if r.Conn != 0 {
		fmt.Fprintf(&b, " conn=%x", uint64(r.Conn))
	}
	if r.Peer != 0 {
		fmt.Fprintf(&b, " peer=%x", uint64(r.Peer))
	}
	fmt.Fprintf(&b, " pid=%d", r.PID)
	switch r.Kind {
	case Request, Response:
		fmt.Fprintf(&b, " position=%d total=%d copied=%d", r.Position, r.Total, len(r.Data))
	case Connect, Established, Sender, Accept:
		if r.Adopted {
			b.WriteString(" adopted")
		}
		if r.Local.IsValid() {
			fmt.Fprintf(&b, " local=%s remote=%s", r.Local, r.Remote)
		}
		if r.Kind != Established {
			r.Process.describe(&b)
		}
	}
	return b.String()
}

// describe appends the process to a record's line.
func (p *Process) describe(b *strings.Builder) {
	fmt.Fprintf(b, " client=%d uid=%d", p.PID, p.UID)
	if p.Start != 0 {
		fmt.Fprintf(b, " exe=%q comm=%q ppid=%d parent=%q cgroup=%q", p.ExePath, p.Comm, p.PPID, p.ParentComm, p.Cgroup)
	}
}

// maxArgs is ARGS of record.bpf.h.
const maxArgs = 4096

// decode reads a record that the kernel's side wrote. Data refers to b.
func (r *Record) decode(b []byte) error {
	var h tapHeader
	if fill(&h, b) < int(unsafe.Sizeof(h)) {
		return fmt.Errorf("read request tap: record of %d bytes", len(b))
	}
	*r = Record{
		Kind: Kind(h.Kind),
		Time: int64(h.Time) + bootTime(),
		PID:  h.Pid,
		Conn: ConnKey(h.Conn),
		Peer: PeerKey(h.Peer),

		Client: h.Client,
	}
	switch r.Kind {
	case Connect, Sender, Accept:
		return r.decodePeer(b)
	case Established:
		return r.decodeEstablished(b)
	case Request, Response, Close:
		return r.decodeData(b)
	case Exit:
		return nil
	}
	return fmt.Errorf("read request tap: record of unknown %s", r.Kind)
}

func (r *Record) decodeData(b []byte) error {
	var e struct {
		H        tapHeader
		Position uint64
		Total    uint32
		Length   uint32
	}
	n := fill(&e, b)
	if n < int(unsafe.Sizeof(e)) || int(e.Length) > len(b)-n {
		return fmt.Errorf("read request tap: %s of %d bytes", r.Kind, len(b))
	}
	r.Position, r.Total = e.Position, int(e.Total)
	r.Data = b[n : n+int(e.Length) : n+int(e.Length)]
	return nil
}

func (r *Record) decodeEstablished(b []byte) error {
	var e struct {
		H tapHeader
		A tapAddresses
	}
	if fill(&e, b) < int(unsafe.Sizeof(e)) {
		return fmt.Errorf("read request tap: %s of %d bytes", r.Kind, len(b))
	}
	r.setAddresses(&e.A)
	return nil
}

func (r *Record) setAddresses(a *tapAddresses) {
	r.Local = address(a.Family, a.Local, a.LocalPort)
	r.Remote = address(a.Family, a.Remote, a.RemotePort)
	r.NetNamespace, r.Sequence = a.Netns, a.Seq
}

func (r *Record) decodePeer(b []byte) error {
	var e tapPeerEvent
	head := int(unsafe.Offsetof(e.Text))
	p := &e.P
	if fill(&e, b) < head || uint64(p.CgroupLen)+uint64(p.ExeLen)+uint64(p.ArgsLen) > uint64(len(b)-head) {
		return fmt.Errorf("read request tap: %s of %d bytes", r.Kind, len(b))
	}
	text := b[head:]
	cgroup, text := text[:p.CgroupLen], text[p.CgroupLen:]
	exe, args := text[:p.ExeLen], text[p.ExeLen:p.ExeLen+p.ArgsLen]
	has := func(f tapFlag) bool { return p.Flags&f != 0 }

	r.Adopted = has(tapFlagFLAG_ADOPTED)
	r.setAddresses(&e.A)
	r.Process = Process{
		PID: p.Pid, PPID: p.Ppid,
		UID: p.Uid, LoginUID: p.Loginuid,
		Start: p.Start,
		Comm:  cString(p.Comm[:]), ParentComm: cString(p.ParentComm[:]),
		PIDNamespace: p.PidNs, MountNamespace: p.MntNs,
		HostMounts: has(tapFlagFLAG_HOST_MOUNTS), UserNamespace: has(tapFlagFLAG_USER_NAMESPACE),
		Exe:        File{Inode: p.ExeIno, Device: p.ExeDev, Generation: p.ExeGeneration, UID: p.ExeUid, Mode: p.ExeMode},
		ExeDeleted: has(tapFlagFLAG_EXE_DELETED),
		Code:       Code(p.Code),
		GID:        p.Gid,
		GroupsCut:  has(tapFlagFLAG_GROUPS_CUT),
	}
	if n := min(int(p.GroupCount), len(p.Groups)); n > 0 {
		r.Process.Groups = slices.Clone(p.Groups[:n])
	}
	if p.Start == 0 {
		return nil
	}
	r.Process.Cgroup = path(cgroup, has(tapFlagFLAG_CGROUP_CUT))
	if len(exe) > 0 {
		r.Process.ExePath = path(exe, has(tapFlagFLAG_EXE_CUT))
		if has(tapFlagFLAG_EXE_DELETED) {
			r.Process.ExePath += " (deleted)"
		}
	}
	if len(args) > 0 {
		r.Process.Args = strings.Split(strings.TrimSuffix(string(args), "\x00"), "\x00")
		r.Process.ArgsCut = len(args) == maxArgs
	}
	return nil
}

// fill copies what fits of b to the memory of v and returns how much it was.
func fill[T any](v *T, b []byte) int {
	return copy(unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v)), b)
}

func cString(b []byte) string {
	s, _, _ := bytes.Cut(b, []byte{0})
	return string(s)
}

// path joins parts that end in NUL each and come last part first.
func path(parts []byte, cut bool) string {
	names := strings.Split(strings.TrimSuffix(string(parts), "\x00"), "\x00")
	slices.Reverse(names)
	prefix := "/"
	if cut {
		prefix = ".../"
	}
	return prefix + strings.Join(names, "/")
}

func address(family uint16, ip [16]byte, port uint16) netip.AddrPort {
	switch family {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[:4])), port)
	case unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16(ip).Unmap(), port)
	}
	return netip.AddrPort{}
}

// bootTime is what CLOCK_REALTIME is ahead of CLOCK_BOOTTIME, in nanoseconds.
// It is asked for each time: the clock may be set.
func bootTime() int64 {
	var real, boot unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_REALTIME, &real)
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot)
	return real.Nano() - boot.Nano()
}
