// SPDX-License-Identifier: Apache-2.0

package tap

import (
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// encode is what the kernel's side does: the first bytes of v, and a text.
func encode[T any](v *T, size uintptr, text string) []byte {
	return append(slices.Clone(unsafe.Slice((*byte)(unsafe.Pointer(v)), size)), text...)
}

func peerRecord(cgroup, exe, args string, flags tapFlag) []byte {
	e := &tapPeerEvent{}
	e.H.Kind, e.H.Time, e.H.Peer = tapKindKIND_CONNECT, 1e9, 7
	e.P.Start, e.P.Pid, e.P.Flags = 5, 42, flags
	e.P.CgroupLen, e.P.ExeLen, e.P.ArgsLen = uint32(len(cgroup)), uint32(len(exe)), uint32(len(args))
	copy(e.P.Comm[:], "curl")
	return encode(e, unsafe.Offsetof(e.Text), cgroup+exe+args)
}

func TestRecordProcess(t *testing.T) {
	for name, test := range map[string]struct {
		cgroup, exe, args string
		flags             tapFlag
		want              Process
	}{
		"all": {"abc\x00docker\x00", "curl\x00bin\x00usr\x00", "curl\x00-s\x00\x00", 0,
			Process{Cgroup: "/docker/abc", ExePath: "/usr/bin/curl", Args: []string{"curl", "-s", ""}}},
		"root cgroup, kernel thread": {"", "", "", 0, Process{Cgroup: "/"}},
		"cut": {"c\x00b\x00", "y\x00x\x00", "sh\x00-c", tapFlagFLAG_CGROUP_CUT | tapFlagFLAG_EXE_CUT,
			Process{Cgroup: ".../b/c", ExePath: ".../x/y", Args: []string{"sh", "-c"}}},
		"deleted": {"", "memfd:x\x00", "", tapFlagFLAG_EXE_DELETED, Process{Cgroup: "/", ExePath: "/memfd:x (deleted)", ExeDeleted: true}},
	} {
		test.want.PID, test.want.Start, test.want.Comm = 42, 5, "curl"
		var r Record
		if err := r.decode(peerRecord(test.cgroup, test.exe, test.args, test.flags)); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if r.Kind != Connect || r.Peer != 7 || !reflect.DeepEqual(r.Process, test.want) {
			t.Errorf("%s: %v %+v, want %+v", name, r.Kind, r.Process, test.want)
		}
	}
}

func TestRecordBroken(t *testing.T) {
	header := tapHeader{Kind: 99}
	data := tapDataEvent{Total: 10, Length: 10}
	data.H.Kind = tapKindKIND_REQUEST
	whole := peerRecord("a\x00", "b\x00", "c\x00", 0)
	for name, b := range map[string][]byte{
		"empty":          nil,
		"short":          whole[:20],
		"no process":     whole[:60],
		"text cut":       whole[:len(whole)-1],
		"unknown kind":   encode(&header, unsafe.Sizeof(header), ""),
		"data cut":       encode(&data, unsafe.Offsetof(data.Bytes), "123456789"),
		"no data header": encode(&data, unsafe.Sizeof(data.H), ""),
	} {
		var r Record
		if err := r.decode(b); err == nil {
			t.Errorf("%s: decoded as %+v", name, r)
		}
	}
}

func TestRecordAddress(t *testing.T) {
	mapped := netip.MustParseAddr("::ffff:10.0.0.1").As16()
	for _, test := range []struct {
		family uint16
		ip     [16]byte
		want   netip.AddrPort
	}{
		{unix.AF_INET, [16]byte{10, 0, 0, 1}, netip.MustParseAddrPort("10.0.0.1:2375")},
		{unix.AF_INET6, mapped, netip.MustParseAddrPort("10.0.0.1:2375")},
		{unix.AF_INET6, netip.IPv6Loopback().As16(), netip.MustParseAddrPort("[::1]:2375")},
		{unix.AF_UNIX, [16]byte{}, netip.AddrPort{}},
	} {
		if got := address(test.family, test.ip, 2375); got != test.want {
			t.Errorf("family %d is %v, want %v", test.family, got, test.want)
		}
	}
}

func TestRingSize(t *testing.T) {
	for n, want := range map[int]uint32{1: 4096, 4096: 4096, 4097: 8192, 8 << 20: 8 << 20, 9 << 20: 16 << 20} {
		if got := ringSize(n); got != want && unix.Getpagesize() == 4096 {
			t.Errorf("ring of %d bytes is %d, want %d", n, got, want)
		}
	}
	if _, err := Load(Options{RingSize: -1}); err == nil || errors.Is(err, ErrPrivilege) {
		t.Errorf("loaded with a negative ring size: %v", err)
	}
}

func TestRecordString(t *testing.T) {
	client := Process{PID: 42, PPID: 41, UID: 1000, Start: 5, Comm: "c\x1b[2J", ParentComm: "sh", ExePath: "/bin/c", Cgroup: "/",
		Args: []string{"c", "canary"}}
	for want, r := range map[string]Record{
		`connect peer=ab pid=42 client=42 uid=1000 exe="/bin/c" comm="c\x1b[2J" ppid=41 parent="sh" cgroup="/"`: {
			Kind: Connect, Peer: 0xab, PID: 42, Process: client},
		`accept conn=cd pid=7 adopted local=10.0.0.1:2375 remote=10.0.0.2:40000 client=0 uid=0`: {
			Kind: Accept, Conn: 0xcd, PID: 7, Adopted: true,
			Local: netip.MustParseAddrPort("10.0.0.1:2375"), Remote: netip.MustParseAddrPort("10.0.0.2:40000")},
		`request conn=cd peer=ab pid=7 position=10 total=20 copied=6`: {
			Kind: Request, Conn: 0xcd, Peer: 0xab, PID: 7, Position: 10, Total: 20, Data: []byte("canary")},
		`exit pid=42`: {Kind: Exit, PID: 42},
	} {
		if got := r.String(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// FuzzRecord: whatever the ring holds, decoding neither panics nor refers to
// anything outside of it.
func FuzzRecord(f *testing.F) {
	data := tapDataEvent{Total: 10, Length: 5}
	data.H.Kind = tapKindKIND_RESPONSE
	f.Add(encode(&data, unsafe.Offsetof(data.Bytes), "HTTP/"))
	f.Add(peerRecord("a\x00", "b\x00", "c\x00", tapFlagFLAG_EXE_CUT))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Record
		if r.decode(b) == nil && len(r.Data) > len(b) {
			t.Errorf("%d bytes of data in a record of %d", len(r.Data), len(b))
		}
	})
}
