// SPDX-License-Identifier: Apache-2.0

package state

import (
	"bytes"
	"encoding/binary"
	"log"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// lines collects what is logged.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) logger() *log.Logger { return log.New(l, "", 0) }

func (l *lines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.FieldsFunc(l.b.String(), func(r rune) bool { return r == '\n' })
}

// id returns one of many identities.
func id(n int) (i ID) {
	binary.BigEndian.PutUint64(i[:], uint64(n)*0x9E3779B97F4A7C15)
	binary.BigEndian.PutUint64(i[8:], uint64(n))
	return i
}

const now = 1_790_000_000

// profile returns a profile with some facts.
func profile(r *rand.Rand, facts int) Profile {
	p := Profile{First: now - 1000, Last: uint32(time.Now().Unix()), Acts: r.Uint32(), Days: uint16(r.Uint32())}
	for range facts {
		p.Facts = append(p.Facts, Fact{Kind: byte(r.UintN(6)), Hash: r.Uint64(), Time: p.Last - r.Uint32N(86400)})
	}
	slices.SortFunc(p.Facts, same)
	return p
}

func random() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

func equal(a, b Profile) bool {
	facts := func(p Profile) []Fact { return slices.SortedFunc(slices.Values(p.Facts), same) }
	return a.First == b.First && a.Last == b.Last && a.Acts == b.Acts && a.Days == b.Days && slices.Equal(facts(a), facts(b))
}

func save(t *testing.T, s Store, c Class, i ID, p Profile) {
	t.Helper()
	if err := s.Save([]Changed{{Class: c, ID: i, Profile: p, Facts: p.Facts}}); err != nil {
		t.Fatal(err)
	}
}

func wants(t *testing.T, s Store, c Class, i ID, want Profile) {
	t.Helper()
	if p, ok, err := s.Load(c, i); err != nil || !ok || !equal(p, want) {
		t.Fatalf("got %+v, %v, %v; want %+v", p, ok, err, want)
	}
}

func closes(t *testing.T, s Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFileKeeps(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "profiles.db")
	var said lines
	f := OpenFile(path, said.logger())
	seed := f.Seed()
	r := random()
	a, b := profile(r, 20), profile(r, 0)
	save(t, f, Kubernetes, id(1), a)
	save(t, f, Docker, id(1), b)
	wants(t, f, Kubernetes, id(1), a) // before it is written
	closes(t, f)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v; want mode 0600", info, err)
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v; want mode 0700", info, err)
	}

	f = OpenFile(path, said.logger())
	defer f.Close()
	if f.Seed() != seed {
		t.Error("another seed")
	}
	wants(t, f, Kubernetes, id(1), a)
	wants(t, f, Docker, id(1), b)
	if p, ok, err := f.Load(Kubernetes, id(2)); ok || err != nil {
		t.Errorf("someone unknown: %+v, %v, %v", p, ok, err)
	}
	if got := said.all(); len(got) > 0 {
		t.Errorf("said %q", got)
	}
}

// written waits until nothing waits to be written.
func written(t testing.TB, f *File) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !f.behind.empty(); {
		if time.Now().After(end) {
			t.Fatal("it is not written")
		}
		time.Sleep(time.Millisecond)
	}
}

// BenchmarkFile tells what 500,000 identities cost.
func BenchmarkFile(b *testing.B) {
	// As many as there can be of one class, but for the batch that must always fit.
	const stored = 498_500
	path := filepath.Join(b.TempDir(), "profiles.db")
	r := random()
	f := OpenFile(path, log.Default())
	f.session.Load().db.NoSync = true // the disk is not what is measured
	start := time.Now()
	for n := 0; n < stored; n += 500 {
		var changes []Changed
		for i := range 500 {
			p := profile(r, 16)
			changes = append(changes, Changed{Class: Kubernetes, ID: id(n + i), Profile: p, Facts: p.Facts})
		}
		for f.Save(changes) != nil {
			time.Sleep(10 * time.Millisecond)
		}
	}
	written(b, f)
	b.Log("saved in", time.Since(start))
	_ = f.Close()
	start = time.Now()
	f = OpenFile(path, log.Default())
	opened := time.Since(start)
	defer f.Close()
	info, _ := os.Stat(path)
	b.Logf("opened in %v, %d MiB, %v", opened, info.Size()>>20, f.session.Load().about.profiles)
	b.ReportMetric(float64(opened.Milliseconds()), "open-ms")
	late := 0
	for b.Loop() {
		_, ok, err := f.Load(Kubernetes, id(r.IntN(stored)))
		switch {
		case err != nil: // on a machine that has much else to do
			late++
		case !ok:
			b.Fatal("not there")
		}
	}
	b.ReportMetric(float64(late), "late")
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "VmRSS") || strings.HasPrefix(line, "VmHWM") || strings.HasPrefix(line, "RssFile") {
			b.Log(strings.TrimSpace(line))
		}
	}
}
