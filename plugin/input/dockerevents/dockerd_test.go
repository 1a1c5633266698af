// SPDX-License-Identifier: Apache-2.0

package dockerevents

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerapi/containerapi/internal/dockertest"
	"github.com/containerapi/containerapi/plugin/event"
)

// proxy stands between the input and a daemon and can be cut.
type proxy struct {
	path, to string
	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]struct{}
}

func newProxy(t *testing.T, d *dockertest.Daemon) *proxy {
	p := &proxy{path: filepath.Join(t.TempDir(), "proxy.sock"), to: d.Socket, conns: map[net.Conn]struct{}{}}
	p.open(t)
	t.Cleanup(p.close)
	return p
}

func (p *proxy) open(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("unix", p.path)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	p.listener = listener
	p.mu.Unlock()
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("unix", p.to)
			if err != nil {
				_ = client.Close()
				continue
			}
			p.mu.Lock()
			p.conns[client], p.conns[server] = struct{}{}, struct{}{}
			p.mu.Unlock()
			go p.pump(client, server)
			go p.pump(server, client)
		}
	}()
}

func (p *proxy) pump(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.Close()
	_ = from.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, from)
}

// cut breaks all connections wherever they stand.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		_ = conn.Close()
	}
}

// close takes the socket away and breaks all connections.
func (p *proxy) close() {
	p.mu.Lock()
	_ = p.listener.Close()
	p.mu.Unlock()
	p.cut()
}

// api returns a client for a daemon's API.
func api(t *testing.T, d *dockertest.Daemon) *http.Client {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", d.Socket)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// Events of containers started before, during and after a restart of the
// daemon are there once each, also those from before the input is back.
func TestDaemonRestart(t *testing.T) { dockertest.Each(t, testDaemonRestart) }

func testDaemonRestart(t *testing.T, on dockertest.Engine) {
	d := on.Start(t)
	p := newProxy(t, d)
	s, _ := run(t, "docker://"+p.path, Options{})
	direct, _ := run(t, "docker://"+d.Socket, Options{})
	var want []string
	start := func(n int) {
		for range n {
			want = append(want, d.Docker("run", "--detach", "--network=none", dockertest.Image, "true"))
		}
	}
	for range 2 {
		start(3)
		last := want[len(want)-1]
		s.eventually("the end of the container", func() bool { return ended(s, last) })
		direct.eventually("the end of the container", func() bool { return ended(direct, last) })
		p.close()
		d.Restart()
		start(5)
		p.open(t)
	}
	for name, s := range map[string]*running{"through the proxy": s, "directly": direct} {
		for _, action := range []string{"create", "start", "die"} {
			s.eventually("the "+action+" events", func() bool { n, _ := s.count(action); return n >= len(want) })
			var got []string
			for _, e := range s.got() {
				if e.Action == action {
					got = append(got, e.ActorID)
				}
			}
			// Containers start one after the other, and end when they like.
			want := want
			if action == "die" {
				slices.Sort(got)
				want = slices.Sorted(slices.Values(want))
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s, %s: got %d containers, want %d\n%q\n%q", name, action, len(got), len(want), got, want)
			}
		}
	}
	if n := direct.ReconnectedCount(); n != 2 {
		t.Errorf("%d reconnections counted, want 2:\n%s", n, direct.LogText())
	}
}

// ended reports whether the container's end was delivered.
func ended(s *running, id string) bool {
	for _, e := range s.got() {
		if e.Action == "die" && e.ActorID == id {
			return true
		}
	}
	return false
}

// A connection that breaks again and again under load loses nothing and brings
// nothing twice.
func TestDaemonCut(t *testing.T) {
	d := dockertest.Start(t)
	p := newProxy(t, d)
	s, _ := run(t, "docker://"+p.path, Options{})
	// An engine remembers 256 events: not more may happen while the input waits
	// to connect again.
	const volumes = 1600
	done := make(chan struct{})
	go func() { createVolumes(t, d, volumes, 10*time.Millisecond); close(done) }()
	for cutting := true; cutting; {
		select {
		case <-done:
			cutting = false
		case <-time.After(400 * time.Millisecond):
			p.cut()
		}
	}
	s.eventually("the events", func() bool { _, n := s.count("create"); return n == volumes })
	all, different := s.count("create")
	if all != different {
		t.Errorf("%d events of %d volumes", all, different)
	}
	if n := s.ReconnectedCount(); n < 3 {
		t.Errorf("the connection broke %d times only", n)
	}
	if s.MalformedCount() > 0 {
		t.Errorf("malformed:\n%s", s.MalformedText())
	}
}

// While the queue is full nothing is lost, although an engine drops what is not
// taken from it.
func TestDaemonFullQueue(t *testing.T) {
	d := dockertest.Start(t)
	s, _ := run(t, "docker://"+d.Socket, Options{})
	d.Docker("volume", "create", "first")
	s.eventually("the first event", func() bool { return len(s.got()) == 1 })
	s.SetFull(true)
	const volumes = 2500
	createVolumes(t, d, volumes, 0)
	s.SetFull(false)
	s.eventually("the events", func() bool { _, n := s.count("create"); return n == volumes+1 })
	if all, different := s.count("create"); all != different {
		t.Errorf("%d events of %d volumes", all, different)
	}
}

// createVolumes creates volumes, each of which raises one event.
func createVolumes(t *testing.T, d *dockertest.Daemon, n int, pause time.Duration) {
	client := api(t, d)
	var group sync.WaitGroup
	const workers = 4
	for worker := range workers {
		group.Go(func() {
			for i := worker; i < n; i += workers {
				time.Sleep(pause)
				response, err := client.Post("http://docker/v1.41/volumes/create", "application/json", strings.NewReader(fmt.Sprintf(`{"Name":"volume%d"}`, i)))
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
				if response.StatusCode != http.StatusCreated {
					t.Errorf("creating a volume: %s", response.Status)
				}
			}
		})
	}
	group.Wait()
}

func TestDaemonHealthCheck(t *testing.T) { dockertest.Each(t, testDaemonHealthCheck) }

func testDaemonHealthCheck(t *testing.T, on dockertest.Engine) {
	d := on.Start(t)
	s, _ := run(t, "docker://"+d.Socket, Options{})
	create := func(name string, args ...string) {
		d.Docker(append([]string{"run", "--detach", "--init=false", "--stop-timeout=0", "--name=" + name, "--network=none"}, args...)...)
	}
	create("shell", "--health-cmd=test -d /root && DB_PASSWORD=canary true", "--health-interval=1s", dockertest.Image, "sleep", "1000")
	// Forms that only a Dockerfile has.
	for name, body := range map[string]string{
		"words":  `{"Image":"busybox","Cmd":["sleep","1000"],"Healthcheck":{"Test":["CMD","true"],"Interval":1000000000}}`,
		"ownsh":  `{"Image":"busybox","Cmd":["sleep","1000"],"Shell":["/bin/ash","-ec"],"Healthcheck":{"Test":["CMD-SHELL","echo ok"],"Interval":1000000000}}`,
		"no_one": `{"Image":"busybox","Cmd":["sleep","1000"]}`,
	} {
		response, err := api(t, d).Post("http://docker/v1.41/containers/create?name="+name, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		d.Docker("start", name)
	}
	for _, name := range []string{"shell", "words", "ownsh", "no_one"} {
		d.Docker("exec", name, "cat", "/etc/passwd")
		d.Docker("exec", name, "true", "attack")
	}
	for _, name := range []string{"shell", "words", "ownsh"} {
		for _, action := range []string{"exec_create", "exec_start", "exec_die"} {
			s.eventually("a health check's "+action+" of "+name, func() bool {
				return slices.ContainsFunc(s.got(), func(e event.Docker) bool {
					return e.ActorName == name && e.Action == action && e.HealthCheck
				})
			})
		}
	}
	s.eventually("the end of the execs", func() bool {
		n := 0
		for _, e := range s.got() {
			if e.Action == "exec_die" && !e.HealthCheck {
				n++
			}
		}
		return n >= 8
	})
	for _, e := range s.got() {
		attack := strings.Contains(e.Command, "passwd") || strings.Contains(e.Command, "attack")
		if e.Command != "" && e.HealthCheck == attack {
			t.Errorf("%s %s %q: HealthCheck is %v", e.ActorName, e.Action, e.Command, e.HealthCheck)
		}
	}
	if strings.Contains(s.JSONText(), "canary") {
		t.Error("a health check's secret shows")
	}
}

func TestDaemonTLS(t *testing.T) { dockertest.Each(t, testDaemonTLS) }

func testDaemonTLS(t *testing.T, on dockertest.Engine) {
	dir := t.TempDir()
	authority := newAuthority(t, dir, "ca")
	authority.issue(t, dir, "server", x509.ExtKeyUsageServerAuth)
	authority.issue(t, dir, "client", x509.ExtKeyUsageClientAuth)
	newAuthority(t, dir, "other").issue(t, dir, "stranger", x509.ExtKeyUsageClientAuth)
	file := func(name string) string { return filepath.Join(dir, name+".pem") }
	address := dockertest.FreeAddress(t)
	d := on.Start(t, "--host=tcp://"+address, "--tlsverify",
		"--tlscacert="+file("ca"), "--tlscert="+file("server"), "--tlskey="+file("server-key"))

	good := Options{TLSCA: file("ca"), TLSCert: file("client"), TLSKey: file("client-key")}
	s, stop := run(t, "docker+tcp://"+address, good)
	d.Docker("volume", "create", "one")
	s.eventually("the event", func() bool { return len(s.got()) == 1 })
	if got := s.got()[0]; got.Daemon != "tcp://"+address || got.ActorID != "one" {
		t.Errorf("got %+v", got)
	}
	stop()
	if log := s.LogText(); log != "" {
		t.Errorf("log is\n%s", log)
	}
	for name, test := range map[string]struct {
		options Options
		want    string
	}{
		"no TLS":            {Options{}, "TLS"},
		"unknown authority": {Options{TLSCA: file("other"), TLSCert: file("client"), TLSKey: file("client-key")}, "unknown authority"},
		"no certificate":    {Options{TLSCA: file("ca")}, "certificate"},
		"stranger":          {Options{TLSCA: file("ca"), TLSCert: file("stranger"), TLSKey: file("stranger-key")}, "certificate"},
	} {
		s, stop := run(t, "docker+tcp://"+address, test.options)
		s.eventually("the complaint", func() bool { return s.logged("cannot read tcp://") })
		log := s.LogText()
		if last := log[strings.LastIndexByte(log, '\n')+1:]; !strings.Contains(last, test.want) {
			t.Errorf("%s: log is\n%s\nwant %q in the last line", name, log, test.want)
		}
		stop()
	}
}

// Without TLS the input works, and warns.
func TestDaemonTCP(t *testing.T) {
	address := dockertest.FreeAddress(t)
	d := dockertest.Start(t, "--host=tcp://"+address, "--tls=false")
	s, _ := run(t, "docker+tcp://"+address, Options{})
	d.Docker("volume", "create", "plain")
	s.eventually("the event", func() bool { n, _ := s.count("create"); return n == 1 })
	if !s.logged("warning") {
		t.Errorf("no warning in the log: %q", s.LogText())
	}
}

// authority signs certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, dir, name string) *authority {
	a := &authority{}
	a.certificate, a.key = certify(t, dir, name, &x509.Certificate{
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil)
	return a
}

func (a *authority) issue(t *testing.T, dir, name string, usage x509.ExtKeyUsage) {
	certify(t, dir, name, &x509.Certificate{
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}, a)
}

// certify writes name.pem and name-key.pem, signed by an authority or by
// itself.
func certify(t *testing.T, dir, name string, template *x509.Certificate, by *authority) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.Subject = pkix.Name{CommonName: name}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if by == nil {
		by = &authority{certificate: template, key: key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.certificate, &key.PublicKey, by.key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		name + ".pem":     {Type: "CERTIFICATE", Bytes: der},
		name + "-key.pem": {Type: "PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certificate, key
}
