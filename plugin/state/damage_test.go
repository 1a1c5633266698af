// SPDX-License-Identifier: Apache-2.0

package state

import (
	"bytes"
	"errors"
	"hash/crc32"
	"log"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// whole returns the bytes of a file that has some profiles, and those.
func whole(t testing.TB, n int) ([]byte, map[ID]Profile) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "profiles.db")
	var said lines
	f := OpenFile(path, said.logger())
	r := random()
	profiles := make(map[ID]Profile)
	for i := range n {
		p := profile(r, 12)
		profiles[id(i)] = p
		if err := f.Save([]Changed{{Class: Kubernetes, ID: id(i), Profile: p, Facts: p.Facts}}); err != nil {
			t.Fatal(err)
		}
		if i%(n/4+1) == n/4 {
			written(t, f) // a transaction more: there are free pages then
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || len(said.all()) > 0 {
		t.Fatal(err, said.all())
	}
	return text, profiles
}

// opensDamaged opens a file with this content. Whatever it is, a profile is what was saved
// or not there, what is new is kept, and what is said is one line if it was set aside.
func opensDamaged(t *testing.T, text []byte, profiles map[ID]Profile) (aside bool, lost int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "profiles.db")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	var said lines
	f := OpenFile(path, said.logger())
	for i, want := range profiles {
		p, ok, err := f.Load(Kubernetes, i)
		if err != nil || ok && !equal(p, want) {
			t.Fatalf("got %+v, %v, %v; want %+v or nothing", p, ok, err, want)
		}
		if !ok {
			lost++
		}
	}
	p := profile(random(), 3)
	save(t, f, Docker, id(1), p)
	closes(t, f)
	_, err := os.Stat(path + ".damaged")
	aside = err == nil
	if got := said.all(); aside != (len(got) == 1 && strings.Contains(got[0], ".damaged")) || !aside && len(got) > 0 {
		t.Fatalf("set aside: %v; said %q", aside, got)
	}
	f = OpenFile(path, said.logger())
	wants(t, f, Docker, id(1), p)
	closes(t, f)
	return aside, lost
}

func TestFileTruncated(t *testing.T) {
	text, profiles := whole(t, 300)
	for n := 0; n < len(text); n += max(1, n/3) {
		// The last pages may be free, and the first bytes are none.
		if aside, lost := opensDamaged(t, text[:n], profiles); !aside && lost > 0 && n > 0 {
			t.Errorf("of %d bytes: not set aside, and %d profiles are lost", n, lost)
		}
	}
	for _, size := range []int{1, 1 << 12, 1 << 16} {
		if aside, _ := opensDamaged(t, make([]byte, size), profiles); !aside {
			t.Errorf("%d zeros are not set aside", size)
		}
		if aside, _ := opensDamaged(t, bytes.Repeat([]byte{0xff}, size), profiles); !aside {
			t.Errorf("%d times 255 are not set aside", size)
		}
	}
}

// TestFileFlipped changes bytes all over a file, and pages as a disk loses them.
func TestFileFlipped(t *testing.T) {
	text, profiles := whole(t, 300)
	r := random()
	aside := 0
	for n := range 150 {
		damaged := bytes.Clone(text)
		switch n % 3 {
		case 0: // somewhere
			damaged[r.IntN(len(damaged))] ^= 1 << r.IntN(8)
		case 1: // in what bbolt makes its way by
			damaged[r.IntN(len(damaged)/4096)*4096+r.IntN(64)] ^= byte(1 + r.IntN(255))
		case 2:
			clear(damaged[r.IntN(len(damaged)/4096)*4096:][:4096])
		}
		set, lost := opensDamaged(t, damaged, profiles)
		if set {
			aside++
		} else if lost > 1 {
			t.Errorf("change %d: not set aside, and %d profiles are lost", n, lost)
		}
	}
	if aside == 0 || aside == 150 {
		t.Errorf("%d of 150 were set aside", aside)
	}
}

// FuzzFile opens a file with changed bytes.
func FuzzFile(f *testing.F) {
	text, _ := whole(f, 100)
	for _, at := range []int{0, 16, 4096, 8192, 3*4096 + 8} {
		f.Add(at, []byte{1, 2, 3, 4, 5, 6, 7, 8})
	}
	f.Fuzz(func(t *testing.T, at int, change []byte) {
		damaged := bytes.Clone(text)
		for i, b := range change {
			damaged[uint(at+i)%uint(len(damaged))] ^= b
		}
		path := filepath.Join(t.TempDir(), "profiles.db")
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		s := OpenFile(path, new(lines).logger())
		for n := range 100 {
			if _, _, err := s.Load(Kubernetes, id(n)); err != nil && !errors.Is(err, ErrUnavailable) {
				t.Error(err)
			}
		}
		save(t, s, Kubernetes, id(1000), Profile{Last: now, First: now})
		closes(t, s)
	})
}

func FuzzDecode(f *testing.F) {
	k := key{Kubernetes, id(1)}
	f.Add(encode(nil, k, profile(random(), 20)))
	f.Add(encode(nil, k, Profile{}))
	f.Fuzz(func(t *testing.T, text []byte) {
		// As if the checksum fitted.
		if len(text) >= sumSize {
			body := text[:len(text)-sumSize]
			sum := checksum(k, body)
			text = append(bytes.Clone(body), byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24))
		}
		p, err := decode(text, k)
		if err != nil {
			return
		}
		if len(p.Facts) > MaxFacts {
			t.Errorf("%d facts", len(p.Facts))
		}
		if again, err := decode(encode(nil, k, p), k); err != nil || !equal(p, again) {
			t.Errorf("%+v, %v; want %+v", again, err, p)
		}
		if _, err := decode(text, key{Docker, id(1)}); err == nil {
			t.Error("it is another's, too")
		}
	})
}

// TestFileShortened has the file cut while it is open and mapped, which is a signal
// when it is read (SIGBUS).
func TestFileShortened(t *testing.T) {
	text, _ := whole(t, 2000)
	path := filepath.Join(t.TempDir(), "profiles.db")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	var said lines
	f := OpenFile(path, said.logger())
	seed := f.Seed()
	if err := os.Truncate(path, 4096); err != nil {
		t.Fatal(err)
	}
	p := profile(random(), 3)
	save(t, f, Docker, id(1), p)
	eventually(t, "it is set aside", func() bool {
		f.Load(Kubernetes, id(1))
		return len(said.all()) == 1
	})
	eventually(t, "a new one is used", func() bool { _, ok, err := f.Load(Kubernetes, id(1)); return err == nil && !ok })
	wants(t, f, Docker, id(1), p)
	if f.Seed() != seed {
		t.Error("another seed, though what is in memory is hashed under the old one")
	}
	closes(t, f)
	f = OpenFile(path, said.logger())
	defer f.Close()
	wants(t, f, Docker, id(1), p)
	if got := said.all(); len(got) != 1 {
		t.Errorf("said %q", got)
	}
}

// TestFileInUse: as at a hot reload, where the new one may open before the old one closes.
func TestFileInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "profiles.db")
	var said lines
	first := OpenFile(path, said.logger())
	p := profile(random(), 3)
	save(t, first, Kubernetes, id(1), p)
	start := time.Now()
	second := OpenFile(path, said.logger())
	defer second.Close()
	if took := time.Since(start); took > 2*lockLimit {
		t.Errorf("it took %v to open", took)
	}
	if got := said.all(); len(got) != 1 || !strings.Contains(got[0], "another process has it open") {
		t.Errorf("said %q", got)
	}
	if _, _, err := second.Load(Kubernetes, id(1)); !errors.Is(err, ErrUnavailable) {
		t.Errorf("error %v, want ErrUnavailable", err)
	}
	closes(t, first)
	eventually(t, "the second one has it", knows(second, id(1), p))
	if second.Seed() != first.Seed() {
		t.Error("another seed")
	}
	if got := said.all(); len(got) != 2 || !strings.Contains(got[1], "works again") {
		t.Errorf("said %q", got)
	}
}

// TestFileNewer: what a newer version wrote is left alone.
func TestFileNewer(t *testing.T) {
	text, _ := whole(t, 1)
	path := filepath.Join(t.TempDir(), "profiles.db")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b := append([]byte{version + 1}, "whatever that will have"...)
		sum := crc32.Checksum(b, castagnoli)
		return tx.Bucket(aboutBucket).Put(stateKey, append(b, byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24)))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(path)
	var said lines
	f := OpenFile(path, said.logger())
	save(t, f, Kubernetes, id(5), Profile{Last: now})
	if _, _, err := f.Load(Kubernetes, id(0)); !errors.Is(err, ErrUnavailable) {
		t.Errorf("error %v, want ErrUnavailable", err)
	}
	closes(t, f)
	if got := said.all(); len(got) != 1 || !strings.Contains(got[0], "newer version") {
		t.Errorf("said %q", got)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file was changed (%v)", err)
	}
}

// small mounts a file system of a size, or skips the test.
func small(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("cannot mount a file system for the test: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestFileDiskFull: what is there stays, and what is new waits for room.
func TestFileDiskFull(t *testing.T) {
	dir := small(t, "size=512k")
	var said lines
	f := OpenFile(filepath.Join(dir, "profiles.db"), said.logger())
	defer f.Close()
	p := profile(random(), 3)
	save(t, f, Kubernetes, id(1), p)
	written(t, f)
	filler := filepath.Join(dir, "filler")
	free := bytes.Repeat([]byte{1}, 1<<20)
	if err := os.WriteFile(filler, free, 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	many := make(map[ID]Profile)
	for n := range 500 {
		q := profile(random(), 10)
		many[id(100+n)] = q
		save(t, f, Kubernetes, id(100+n), q)
	}
	eventually(t, "it is said", func() bool { return len(said.all()) == 1 })
	if got := said.all()[0]; !strings.Contains(got, "no space left") {
		t.Errorf("said %q", got)
	}
	wants(t, f, Kubernetes, id(1), p)
	wants(t, f, Kubernetes, id(100), many[id(100)])
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is written", f.behind.empty)
	for i, q := range many {
		wants(t, f, Kubernetes, i, q)
	}
	if got := said.all(); len(got) != 2 || !strings.Contains(got[1], "works again") {
		t.Errorf("said %q", got)
	}
}

func TestFileReadOnly(t *testing.T) {
	dir := small(t, "size=512k,ro")
	var said lines
	f := OpenFile(filepath.Join(dir, "state", "profiles.db"), said.logger())
	p := profile(random(), 3)
	save(t, f, Kubernetes, id(1), p)
	wants(t, f, Kubernetes, id(1), p)
	closes(t, f)
	if got := said.all(); len(got) != 1 || !strings.Contains(got[0], "read-only") {
		t.Errorf("said %q", got)
	}
}

// crashDir makes this program a child that writes there until it is killed.
const crashDir = "CONTAINERAPI_TEST_CRASH"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		crash(dir)
		return
	}
	os.Exit(m.Run())
}

// crash saves the same profiles again and again, whose numbers are all the round's.
func crash(dir string) {
	f := OpenFile(filepath.Join(dir, "profiles.db"), log.Default())
	p, _, _ := f.Load(Kubernetes, id(0))
	for round := p.Acts + 1; ; round++ {
		for n := range 200 {
			_ = f.Save([]Changed{{Class: Kubernetes, ID: id(n), Profile: crashed(round)}})
			// More each time, so that the file grows.
			_ = f.Save([]Changed{{Class: Docker, ID: id(int(round)*200 + n), Profile: crashed(round)}})
		}
		for !f.behind.empty() {
			f.behind.more <- struct{}{}
		}
		if _, err := os.Stdout.WriteString("."); err != nil {
			return
		}
	}
}

func crashed(round uint32) Profile {
	p := Profile{First: 1, Last: uint32(time.Now().Unix()), Acts: round, Days: 1}
	for n := range uint64(10) {
		p.Facts = append(p.Facts, Fact{Kind: 'a', Hash: n, Time: p.Last})
	}
	return p
}

// TestFileKilled kills a process that writes, many times.
func TestFileKilled(t *testing.T) {
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	var last uint32
	for range 25 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), crashDir+"="+dir)
		var out, said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(r.IntN(int(200 * time.Millisecond))))
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		var logged lines
		f := OpenFile(filepath.Join(dir, "profiles.db"), logged.logger())
		p, ok, err := f.Load(Kubernetes, id(0))
		if err != nil || p.Acts < last+uint32(out.Len()) {
			t.Fatalf("round %d, %v, %v; want %d and %d that were written then", p.Acts, ok, err, last, out.Len())
		}
		last = p.Acts
		if said.Len() > 0 || len(logged.all()) > 0 {
			t.Fatalf("said %q %q", &said, logged.all())
		}
		closes(t, f)
	}
	if last == 0 {
		t.Error("nothing was ever written")
	}
}

// TestFileBound: of one kind there are never more than may be, those not seen for the
// longest time go, and other kinds stay.
func TestFileBound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "profiles.db")
	l := defaultLimits
	l.profiles = map[Class]int{Kubernetes: 5000, Docker: 2000}
	l.firstSweep = 0
	var said lines
	f := openFile(path, said.logger(), l)
	now := uint32(time.Now().Unix())
	save(t, f, Docker, id(1), Profile{Last: now - 50*86400})
	save(t, f, Docker, id(2), Profile{Last: now - 91*86400})
	for n := range 20_000 {
		p := Profile{Last: now - 86400 + uint32(n)*4}
		c := []Changed{{Class: Kubernetes, ID: id(n), Profile: p}}
		for f.Save(c) != nil {
			time.Sleep(time.Millisecond)
		}
	}
	written(t, f)
	closes(t, f)
	f = openFile(path, said.logger(), l)
	defer f.Close()
	if n := f.session.Load().about.profiles[Kubernetes]; n > 5000 || n < 3000 {
		t.Errorf("%d are kept, want up to 5000", n)
	}
	for n := range 2000 {
		if _, ok, err := f.Load(Kubernetes, id(19_999-n)); !ok || err != nil {
			t.Fatalf("%d of 20000 is forgotten (%v)", 19_999-n, err)
		}
	}
	if _, ok, _ := f.Load(Docker, id(1)); !ok {
		t.Error("one of another kind is forgotten")
	}
	eventually(t, "who was not seen for 90 days is forgotten", func() bool { _, ok, _ := f.Load(Docker, id(2)); return !ok })
	if got := said.all(); len(got) > 0 {
		t.Errorf("said %q", got)
	}
}

// TestMerge: what could not be loaded when it was seen again is not lost when it is saved.
func TestMerge(t *testing.T) {
	a, b, c := Fact{'a', 1, 100}, Fact{'b', 1, 200}, Fact{'b', 2, 300}
	old := Profile{First: 100, Last: 300, Acts: 7, Days: 2, Facts: []Fact{a, b, c}}
	newer := Fact{'b', 1, 500}
	change := Changed{Profile: Profile{First: 400, Last: 500, Acts: 1, Days: 1, Facts: []Fact{newer}}, Dropped: []Fact{a, {'b', 2, 299}}}
	want := Profile{First: 100, Last: 500, Acts: 7, Days: 2, Facts: []Fact{newer, c}}
	if got := change.onto(old); !equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	var many Changed
	for n := range uint32(MaxFacts + 10) {
		many.Profile.Facts = append(many.Profile.Facts, Fact{'c', uint64(n), n})
	}
	if got := many.onto(Profile{}); len(got.Facts) != MaxFacts || got.Facts[0].Time != MaxFacts+9 {
		t.Errorf("%d facts from %+v, want the latest %d", len(got.Facts), got.Facts[0], MaxFacts)
	}
}

// TestFull: more than there is room for is refused as a whole, and what is taken is copied.
func TestFull(t *testing.T) {
	b := newBehind()
	facts := []Fact{{'a', 1, 1}}
	if err := b.add([]Changed{{ID: id(1), Profile: Profile{Facts: facts}}}); err != nil {
		t.Fatal(err)
	}
	facts[0].Hash = 2
	if got := b.find(key{id: id(1)}); got.Profile.Facts[0].Hash != 1 {
		t.Error("it is the caller's memory")
	}
	many := make([]Changed, maxWaiting)
	for n := range many {
		many[n].ID = id(n + 2)
	}
	if err := b.add(many); !errors.Is(err, ErrFull) || len(b.waiting) != 1 {
		t.Errorf("error %v, %d wait", err, len(b.waiting))
	}
	b.take()
	b.wrote(errors.New("any"))
	if b.empty() {
		t.Error("what could not be written is lost")
	}
	b.take()
	b.wrote(nil)
	if !b.empty() || b.facts != 0 {
		t.Errorf("%d wait with %d facts", len(b.waiting), b.facts)
	}
}
