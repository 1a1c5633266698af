// SPDX-License-Identifier: Apache-2.0

package state

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// server is a real redis-server.
type server struct {
	t    *testing.T
	port int
	dir  string
	cmd  *exec.Cmd
	// admin is a client of the test's own.
	admin *redis.Client
}

// user may do what the documentation of Redis says, and no more.
const user = "falco on >p%40ss:wOrd ~containerapi:* resetchannels -@all +get +set +hget +hgetall +hset +hdel +expire"

func newServer(t *testing.T) *server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("no redis-server here: apt-get install redis-server")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, port: l.Addr().(*net.TCPAddr).Port, dir: t.TempDir()}
	l.Close()
	s.admin = redis.NewClient(&redis.Options{Addr: s.address()})
	t.Cleanup(func() { s.admin.Close(); s.stop() })
	s.start()
	return s
}

func (s *server) address() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

func (s *server) url() string { return "redis://falco:p%2540ss%3AwOrd@" + s.address() }

func (s *server) start() {
	s.t.Helper()
	s.cmd = exec.Command("redis-server", "--port", fmt.Sprint(s.port), "--bind", "127.0.0.1", "--dir", s.dir,
		"--save", "", "--appendonly", "yes", "--appendfsync", "always", "--user", user)
	// The words of a user are arguments of their own.
	s.cmd.Args = append(s.cmd.Args[:len(s.cmd.Args)-1], strings.Fields(user)...)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); s.admin.Ping(context.Background()).Err() != nil; {
		if time.Now().After(end) {
			s.t.Fatal("redis-server does not start")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (s *server) stop() {
	if s.cmd != nil {
		_ = s.cmd.Process.Signal(syscall.SIGCONT)
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

func (s *server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// open opens a store of this server.
func (s *server) open(said *lines) *Redis {
	s.t.Helper()
	r, err := OpenRedis(s.url(), said.logger())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { r.Close() })
	return r
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); {
		if time.Now().After(end) {
			t.Fatal("not so within 20 s: " + what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// knows reports that a store has a profile, as others may only just have saved it.
func knows(s Store, i ID, want Profile) func() bool {
	return func() bool {
		p, ok, err := s.Load(Kubernetes, i)
		return err == nil && ok && equal(p, want)
	}
}

// TestRedisShared has two stores in one Redis, with the rights that the documentation names.
func TestRedisShared(t *testing.T) {
	s := newServer(t)
	var said lines
	a, b := s.open(&said), s.open(&said)
	if a.Seed() != b.Seed() {
		t.Error("two seeds")
	}
	if !Shared(a) || Shared(NewMemory()) {
		t.Error("Shared is wrong")
	}
	p := profile(random(), 20)
	save(t, a, Kubernetes, id(1), p)
	eventually(t, "b knows what a saved", knows(b, id(1), p))
	if _, ok, err := b.Load(Docker, id(1)); ok || err != nil {
		t.Errorf("another class: %v, %v", ok, err)
	}

	// Both go on, and neither undoes what the other did.
	one, two := Fact{Kind: 'a', Hash: 1, Time: p.Last + 1}, Fact{Kind: 'a', Hash: 2, Time: p.Last + 2}
	newer := p.Facts[0]
	newer.Time = p.Last + 3
	ofA, ofB := p, p
	ofA.Last, ofA.Acts, ofA.Facts = p.Last+5, 10, append([]Fact{one}, p.Facts...)
	ofB.First, ofB.Last, ofB.Acts, ofB.Days, ofB.Facts = p.First-1, p.Last+3, 20, p.Days+1, append([]Fact{two, newer}, p.Facts[2:]...)
	both := Profile{First: p.First - 1, Last: p.Last + 5, Acts: max(20, p.Acts), Days: p.Days + 1, Facts: append([]Fact{one, two, newer}, p.Facts[2:]...)}
	if err := a.Save([]Changed{{Class: Kubernetes, ID: id(1), Profile: ofA, Facts: []Fact{one}}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is written", a.behind.empty)
	if err := b.Save([]Changed{{Class: Kubernetes, ID: id(1), Profile: ofB, Facts: []Fact{two, newer}, Dropped: p.Facts[1:2]}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a knows both", knows(a, id(1), both))
	eventually(t, "b knows both", knows(b, id(1), both))
	if ttl := s.admin.TTL(t.Context(), nameOf(key{Kubernetes, id(1)})).Val(); ttl < maxAge-time.Minute || ttl > maxAge {
		t.Errorf("it stays for %v, want 90 days", ttl)
	}
	if ttl := s.admin.TTL(t.Context(), stateName).Val(); ttl != -1 {
		t.Errorf("the seed stays for %v, want for good", ttl)
	}
	if got := said.all(); len(got) > 0 {
		t.Errorf("said %q", got)
	}
}

// TestRedisStopped has a Redis that is there and does not answer, and one that starts again.
func TestRedisStopped(t *testing.T) {
	s := newServer(t)
	var said lines
	r := s.open(&said)
	p := profile(random(), 20)
	save(t, r, Kubernetes, id(1), p)
	eventually(t, "it is written", r.behind.empty)

	s.signal(syscall.SIGSTOP)
	eventually(t, "it stands still", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
		return err == nil && strings.Contains(string(stat), ") T ")
	})
	start := time.Now()
	for n := range 1000 {
		if _, _, err := r.Load(Kubernetes, id(n)); err != ErrUnavailable {
			t.Fatalf("%v, want ErrUnavailable", err)
		}
	}
	if took := time.Since(start); took > 3*loadLimit {
		t.Errorf("a thousand loads took %v, want one timeout's time", took)
	}
	q := profile(random(), 3)
	save(t, r, Kubernetes, id(2), q)
	wants(t, r, Kubernetes, id(2), q) // of what waits
	eventually(t, "it is said", func() bool { return len(said.all()) == 1 })
	s.signal(syscall.SIGCONT)
	eventually(t, "it is back", knows(r, id(1), p))
	eventually(t, "what waited is written", r.behind.empty)

	s.stop()
	eventually(t, "it is gone", func() bool { _, _, err := r.Load(Kubernetes, id(1)); return err != nil })
	s.start()
	eventually(t, "it is back", knows(r, id(1), p))
	eventually(t, "it has what waited", knows(r, id(2), q))
	got := said.all()
	if len(got) != 4 || !strings.Contains(got[1], "is back") || !strings.Contains(got[3], "is back") {
		t.Errorf("said %q, want that it went and came back, twice", got)
	}
}

// TestRedisEmptied: what is known here is there again, whole, once it changes, and the hashes stay.
func TestRedisEmptied(t *testing.T) {
	s := newServer(t)
	var said lines
	a := s.open(&said)
	seed := a.Seed()
	p := profile(random(), 20)
	save(t, a, Kubernetes, id(1), p)
	eventually(t, "it is written", a.behind.empty)
	s.admin.FlushAll(t.Context())
	p.Acts++
	if err := a.Save([]Changed{{Class: Kubernetes, ID: id(1), Profile: p, Facts: p.Facts[:1]}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is written", a.behind.empty)
	eventually(t, "it is whole", knows(a, id(1), p))
	if b := s.open(&said); b.Seed() != seed || a.Seed() != seed {
		t.Error("another seed")
	}
	if got := said.all(); len(got) > 0 {
		t.Errorf("said %q", got)
	}
}

// TestRedisLater: who starts before Redis has a seed of his own, and what he hashed under it is not kept.
func TestRedisLater(t *testing.T) {
	s := newServer(t)
	var said lines
	first := s.open(&said)
	s.stop()
	r := s.open(&said)
	own := r.Seed()
	if own == first.Seed() {
		t.Fatal("a seed that it cannot know")
	}
	save(t, r, Kubernetes, id(1), profile(random(), 1))
	s.start()
	eventually(t, "it takes the seed", func() bool { return r.Seed() == first.Seed() })
	eventually(t, "nothing waits", r.behind.empty)
	if n := s.admin.DBSize(t.Context()).Val(); n != 1 {
		t.Errorf("%d keys, want the seed only", n)
	}
}

// TestRedisRefuses: one that takes no more, or is of a newer version.
func TestRedisRefuses(t *testing.T) {
	s := newServer(t)
	var said lines
	r := s.open(&said)
	p := profile(random(), 20)
	save(t, r, Kubernetes, id(1), p)
	eventually(t, "it is written", r.behind.empty)
	s.admin.ConfigSet(t.Context(), "maxmemory", "1")
	save(t, r, Kubernetes, id(2), p)
	eventually(t, "it is said", func() bool { return len(said.all()) == 1 })
	if got := said.all()[0]; !strings.Contains(got, "OOM") {
		t.Errorf("said %q", got)
	}
	wants(t, r, Kubernetes, id(1), p) // it still answers

	s.admin.ConfigSet(t.Context(), "maxmemory", "0")
	s.admin.Set(t.Context(), stateName, string(append([]byte{version + 1}, make([]byte, 16)...)), 0)
	var of lines
	newer := s.open(&of)
	if _, _, err := newer.Load(Kubernetes, id(1)); err == nil {
		t.Error("a newer state is used")
	}
	if got := of.all(); len(got) != 1 || !strings.Contains(got[0], "version") {
		t.Errorf("said %q", got)
	}
}

// TestRedisSecret: no error and no line has the password.
func TestRedisSecret(t *testing.T) {
	for _, wrong := range []string{
		"redis://u:hunter2@", "redis://u:hunter2", "redis://u:hun%ter2@host", "redis://u:hunter2?@host:1", "redis://u:hunter2/@host",
		"redis://u:hunter2@host:port", "redis://u:hunter2@host/x", "redis://host?password=hunter2", "http://u:hunter2@host", "u:hunter2@host",
		"redis://u:hunter2 @host", "redis://u:\nhunter2@host",
	} {
		_, err := OpenRedis(wrong, new(lines).logger())
		if err == nil {
			t.Errorf("%s is taken", wrong)
			continue
		}
		if strings.Contains(err.Error()+Valid(wrong).Error(), "unter2") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
	s := newServer(t)
	for _, url := range []string{
		"redis://falco:hunter2@" + s.address(), "rediss://falco:hunter2@" + s.address(), "redis://falco:hunter2@127.0.0.1:1",
		"redis://falco:hunter2@no-such-host.invalid:1",
	} {
		var said lines
		r, err := OpenRedis(url, said.logger())
		if err != nil {
			t.Fatal(err)
		}
		if got := said.all(); len(got) != 1 || strings.Contains(got[0], "hunter2") {
			t.Errorf("%s: said %q", url, got)
		}
		r.Close()
	}
}

// TestRedisUnreachable: a host that takes no connection holds nothing up.
func TestRedisUnreachable(t *testing.T) {
	// A socket that listens, whose queue is full.
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, _ := syscall.Getsockname(fd)
	address := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	for range 2 {
		if c, err := net.DialTimeout("tcp", address, 100*time.Millisecond); err == nil {
			defer c.Close()
		}
	}
	var said lines
	start := time.Now()
	r, err := OpenRedis("redis://"+address, said.logger())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if took := time.Since(start); took > 2*writeLimit {
		t.Errorf("it took %v to open", took)
	}
	start = time.Now()
	for n := range 1000 {
		if _, _, err := r.Load(Kubernetes, id(n)); err == nil {
			t.Fatal("there is an answer")
		}
	}
	if took := time.Since(start); took > loadLimit {
		t.Errorf("a thousand loads took %v", took)
	}
}

func TestOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "profiles.db")
	for _, test := range []struct{ setting, path, said string }{
		{"", path, ""},
		{"", "", "memory only"},
		{InMemory, path, "memory only"},
	} {
		var said lines
		s, err := Open(test.setting, test.path, said.logger())
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(said.all(), "\n"); !strings.Contains(got, test.said) || (test.said == "") != (got == "") {
			t.Errorf("%+v: said %q", test, got)
		}
		closes(t, s)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	if _, err := Open("bolt", path, new(lines).logger()); err == nil {
		t.Error("no error of a setting that is none")
	}
}
