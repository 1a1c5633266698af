// SPDX-License-Identifier: Apache-2.0

package dockerevents

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/containerapi/containerapi/internal/dockertest"
)

// open returns the answer to GET /info of an engine that listens at an address
// without TLS, as Docker 20.10 to 26 write it, and as those from 27 on do.
func open(address string) (old, new string) {
	const text = `API is accessible on http://%s without encryption.\n         Access to the remote API is equivalent to root access on the host.`
	old = fmt.Sprintf(`{"ID":"ABCD","Warnings":["WARNING: No swap limit support","WARNING: `+text+`"]}`, address)
	new = fmt.Sprintf(`{"ID":"ABCD","Warnings":["[DEPRECATION NOTICE]: `+text+`\nIn future versions this will be a hard failure","WARNING: API is accessible on https://0.0.0.0:2376 without TLS client verification."]}`, address)
	return old, new
}

// insecureAt returns the addresses that were told of.
func insecureAt(s *running) (all []string) {
	for _, e := range s.got() {
		if e.Type == "daemon" && e.Action == "insecure" {
			all = append(all, e.ActorName)
		}
	}
	return all
}

func (f *fake) setInfo(info string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.info = info
}

// restart is a restart of the engine: it forgets all events.
func (f *fake) restart() {
	f.mu.Lock()
	f.memory = nil
	f.mu.Unlock()
	f.cut()
}

// infos is how often the engine was asked where it listens.
func (f *fake) infos() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.paths {
		if strings.HasSuffix(p, "/info") {
			n++
		}
	}
	return n
}

func TestInsecure(t *testing.T) {
	old, new := open("0.0.0.0:2375")
	for _, info := range []string{old, new} {
		f := newFake(t)
		f.info = info
		s, stop := run(t, f.url(), Options{})
		s.eventually("the event", func() bool { return len(insecureAt(s)) == 1 })
		e := s.got()[0]
		if e.ActorName != "tcp://0.0.0.0:2375" || e.ActorID != "ABCD" || e.Daemon != "unix://"+f.socket {
			t.Errorf("event is %+v", e)
		}
		stop()
	}
}

// It is told once for each start of the engine, not for each connection.
func TestInsecureOnce(t *testing.T) {
	f := newFake(t)
	f.info, _ = open("0.0.0.0:2375")
	s, _ := run(t, f.url(), Options{})
	const address = "tcp://0.0.0.0:2375"
	var want []string
	asked := 0
	for i, step := range []struct {
		what   string
		do     func()
		events []string
	}{
		{"start", func() {}, []string{address}},
		{"network error without events", f.cut, nil},
		{"event", func() { f.send(true, line(1)) }, nil},
		{"network error", f.cut, nil},
		{"network error again", f.cut, nil},
		{"restart", f.restart, []string{address}},
		{"network error after it", f.cut, nil},
		{"no engine for a while, and no events", func() {
			_ = f.server.Close()
			s.eventually("the refusal", func() bool { return s.logged("cannot read") })
			f.listen(t)
		}, []string{address}},
		{"another address", func() { info, _ := open("[::]:2375"); f.setInfo(info); f.cut() }, []string{"tcp://[::]:2375"}},
		{"TLS", func() { f.setInfo(`{"Warnings":null}`); f.cut() }, nil},
		{"no TLS", func() { info, _ := open("0.0.0.0:2375"); f.setInfo(info); f.cut() }, []string{address}},
	} {
		step.do()
		want = append(want, step.events...)
		if step.what != "event" {
			asked++
			s.eventually(step.what, func() bool { return f.infos() >= asked && f.connections() >= asked })
		} else {
			s.eventually(step.what, func() bool { return slices.Contains(ids(s), "c1") })
		}
		s.eventually("the event after "+step.what, func() bool { return len(insecureAt(s)) >= len(want) })
		if got := insecureAt(s); !slices.Equal(got, want) {
			t.Fatalf("step %d, %s: told of %q, want %q", i, step.what, got, want)
		}
	}
}

// A proxy can refuse to say; that the connection itself is open is known.
func TestInsecureRefused(t *testing.T) {
	f := newFake(t)
	s, _ := run(t, f.url(), Options{})
	s.eventually("the complaint", func() bool { return s.logged("does not say whether it listens without TLS") })
	f.send(true, line(1))
	s.eventually("the event", func() bool { return len(s.got()) == 1 })
	if got := insecureAt(s); len(got) != 0 {
		t.Errorf("told of %q", got)
	}

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: f}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	address := listener.Addr().String()
	s, _ = run(t, "docker+tcp://"+address, Options{})
	s.eventually("the event", func() bool { return slices.Equal(insecureAt(s), []string{"tcp://" + address}) })
}

// A real daemon, on a unix socket and on TCP, and across its restart.
func TestDaemonInsecure(t *testing.T) { dockertest.Each(t, testDaemonInsecure) }

func testDaemonInsecure(t *testing.T, on dockertest.Engine) {
	address := dockertest.FreeAddress(t)
	d := on.Start(t, "--host=tcp://"+address, "--tls=false")
	p := newProxy(t, d)
	local, _ := run(t, "docker://"+p.path, Options{})
	remote, _ := run(t, "docker+tcp://"+address, Options{})
	want := []string{"tcp://" + address}
	for _, s := range []*running{local, remote} {
		s.eventually("the event", func() bool { return slices.Equal(insecureAt(s), want) })
	}
	d.Docker("volume", "create", "one")
	local.eventually("the volume", func() bool { return slices.Contains(ids(local), "one") })
	p.cut()
	local.eventually("the loss", func() bool { return local.ReconnectedCount() == 1 })
	d.Docker("volume", "create", "two")
	local.eventually("the volume after the loss", func() bool { return slices.Contains(ids(local), "two") })
	if got := insecureAt(local); !slices.Equal(got, want) {
		t.Errorf("told of %q after a lost connection", got)
	}

	d.Restart()
	want = append(want, want...)
	for _, s := range []*running{local, remote} {
		s.eventually("the event after the restart", func() bool { return len(insecureAt(s)) >= len(want) })
		if got := insecureAt(s); !slices.Equal(got, want) {
			t.Errorf("told of %q, want %q", got, want)
		}
	}
}

// A daemon on a unix socket only is none to tell of.
func TestDaemonSecure(t *testing.T) { dockertest.Each(t, testDaemonSecure) }

func testDaemonSecure(t *testing.T, on dockertest.Engine) {
	d := on.Start(t)
	s, stop := run(t, "docker://"+d.Socket, Options{})
	d.Docker("volume", "create", "one")
	s.eventually("the volume", func() bool { return slices.Contains(ids(s), "one") })
	p := newEngine(&endpoint{network: "unix", address: d.Socket})
	if _, addresses, err := p.openAddresses(t.Context()); err != nil || len(addresses) != 0 {
		t.Errorf("it listens at %q, %v", addresses, err)
	}
	stop()
	if got := insecureAt(s); len(got) != 0 || s.logged("does not say") {
		t.Errorf("told of %q, log:\n%s", got, s.LogText())
	}
}
