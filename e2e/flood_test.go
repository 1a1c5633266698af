// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerapi/containerapi/e2e/engine"
	"github.com/containerapi/containerapi/e2e/kube"
)

var (
	floodRequests = flag.Int("flood", 60, "how many requests of each kind TestStrangers sends")
	floodTime     = flag.Duration("floodtime", 6*time.Second, "for how long it sends those of one kind")
)

// strange are requests that anyone can send who reaches the API server, each as long
// as that takes, or nearly so. What a client writes stands in the audit event, where
// JSON can make it longer.
var strange = []struct {
	name    string
	request func(server string) *http.Request
}{
	{"a query that JSON makes longer", stranger("/api/v1/secrets?", "&", "", "")},
	{"a command for the mask", stranger("/api/v1/namespaces/shop/pods/web/exec?command=", "pass-", "", "")},
	{"a command in escapes", stranger("/api/v1/namespaces/shop/pods/web/exec?", "%63ommand=%26&", "", "")},
	{"a long name", stranger("/api/v1/namespaces/shop/secrets/", "n", "", "")},
	{"a long agent", stranger("/api/v1/secrets", "", "User-Agent", `<"\ `)},
	{"many addresses", stranger("/api/v1/secrets", "", "X-Forwarded-For", "192.0.2.1, ")},
	{"a long user", stranger("/api/v1/secrets", "", "Impersonate-User", "u&")},
}

// stranger returns what makes a request of a path that ends in many parts, or with a
// header of many.
func stranger(path, part, header, value string) func(string) *http.Request {
	const size = 900 << 10
	if part != "" {
		path += strings.Repeat(part, size/len(part))
	}
	if value != "" {
		value = strings.TrimRight(strings.Repeat(value, size/len(value)), ", ")
	}
	return func(server string) *http.Request {
		r, err := http.NewRequest(http.MethodGet, server+path, nil)
		if err != nil {
			panic(err)
		}
		if header != "" {
			r.Header.Set(header, value)
		}
		return r
	}
}

// TestStrangers has acts raise their alerts while anonymous requests flood the audit
// log, one kind after the other. Two thousand in a minute are
//
//	go test -run TestStrangers -timeout 30m -args -flood 2000 -floodtime 1m
func TestStrangers(t *testing.T) {
	url, address := webhook(t)
	run := startEngine(t, plugin(t, url), "../rules/containerapi_rules.yaml")
	awaitListener(t, run, address)
	c := startCluster(t, shippedAudit(t, url))
	do := newActs(t, c)
	do.await(t, run, do.once(t))
	before := rss(t, run.Pid())
	for _, kind := range strange {
		t.Run(kind.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), *floodTime)
			defer cancel()
			var flood sync.WaitGroup
			sent := 0
			flood.Go(func() { sent = send(ctx, t, c, kind.request, *floodRequests, *floodTime) })
			var slowest time.Duration
			n := 0
			for ctx.Err() == nil {
				begin := time.Now()
				ids := do.once(t)
				done := time.Now()
				n += len(ids)
				do.await(t, run, ids)
				slowest = max(slowest, time.Since(done))
				time.Sleep(time.Second - time.Since(begin))
			}
			flood.Wait()
			t.Logf("%d requests of strangers; %d acts, each with its alert after %v at the most; memory %d MiB, %d before", sent, n, slowest.Round(time.Millisecond), rss(t, run.Pid())>>20, before>>20)
			if grown := rss(t, run.Pid()) - before; grown > 64<<20 {
				t.Errorf("memory grew by %d MiB, 64 are allowed", grown>>20)
			}
		})
	}
	if lost := metric(t, c, "apiserver_audit_error_total"); lost != 0 {
		t.Errorf("the API server could not deliver %v batches", lost)
	}
}

// TestCrowd has acts raise their alerts while a crowd that says nothing, or hardly
// anything, sits on the webhook's port.
func TestCrowd(t *testing.T) {
	for name, crowd := range map[string]struct {
		n    int
		says string
	}{
		"silent connections": {2000, ""},
		"slow bodies":        {100, "POST /k8s-audit HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n["},
		"idle connections":   {5000, "POST /k8s-audit HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]"},
	} {
		t.Run(name, func(t *testing.T) {
			url, address := webhook(t)
			run := startEngine(t, plugin(t, url), "../rules/containerapi_rules.yaml")
			awaitListener(t, run, address)
			c := startCluster(t, shippedAudit(t, url))
			do := newActs(t, c)
			before := rss(t, run.Pid())
			for range crowd.n {
				conn, err := net.Dial("tcp", address)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				_, _ = io.WriteString(conn, crowd.says) // it may be closed by now
			}
			var slowest time.Duration
			for range 5 {
				ids := do.once(t)
				done := time.Now()
				do.await(t, run, ids)
				slowest = max(slowest, time.Since(done))
			}
			t.Logf("with %d %s, each act had its alert after %v at the most; memory grew by %d MiB", crowd.n, name, slowest.Round(time.Millisecond), (rss(t, run.Pid())-before)>>20)
			if lost := metric(t, c, "apiserver_audit_error_total"); lost != 0 {
				t.Errorf("the API server could not deliver %v batches", lost)
			}
		})
	}
}

// TestHeldAnswer lists secrets and does not read the answer: the API server writes the
// event only when the answer is sent, and the announcement has to do.
func TestHeldAnswer(t *testing.T) {
	url, address := webhook(t)
	run := startEngine(t, plugin(t, url), "../rules/containerapi_rules.yaml")
	awaitListener(t, run, address)
	c := startCluster(t, shippedAudit(t, url))
	// More than the buffers on the way hold.
	file := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(file, bytes.Repeat([]byte("x"), 700<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		if out, err := c.Command(t.Context(), "admin", "create", "secret", "generic", fmt.Sprintf("large-%d", i), "-n", "shop", "--from-file="+file).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	thief := client(t, c, "admin")
	thief.Transport.(*http.Transport).ReadBufferSize = 4 << 10
	r, err := http.NewRequest(http.MethodGet, c.Server+"/api/v1/secrets", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Audit-ID", "held-1")
	r.Header.Set("Accept-Encoding", "identity") // packed it would be short
	begin := time.Now()
	answer, err := thief.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	alerts := func() (n int, outcome string) {
		for _, alert := range run.Alerts() {
			if strings.Contains(alert.Output, "held-1") {
				n++
				outcome = fmt.Sprint(alert.Fields["api.outcome"])
			}
		}
		return n, outcome
	}
	until(t, 45*time.Second, "the list raises its alert", func() bool { n, _ := alerts(); return n > 0 })
	n, outcome := alerts()
	t.Logf("%d alert with the outcome %s after %v", n, outcome, time.Since(begin).Round(time.Millisecond))
	if outcome != "unanswered" {
		t.Errorf("outcome %s, want unanswered", outcome)
	}
	// Its event comes in the end, and is no second act.
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		t.Error(err)
	}
	do := newActs(t, c)
	do.await(t, run, do.once(t))
	time.Sleep(2 * time.Second)
	if n, _ := alerts(); n != 1 {
		t.Errorf("%d alerts, want 1", n)
	}
}

// actors do what a thief does.
type actors struct {
	cluster *kube.Cluster
	admin   *http.Client
	thief   *http.Client
	token   string
	n       int
}

func newActs(t *testing.T, c *kube.Cluster) *actors {
	t.Helper()
	token, err := os.ReadFile(c.Token)
	if err != nil {
		t.Fatal(err)
	}
	// A token that is worth stealing.
	if out, err := c.Command(t.Context(), "admin", "create", "clusterrolebinding", "web", "--clusterrole=cluster-admin", "--serviceaccount=shop:web").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return &actors{cluster: c, admin: client(t, c, "admin"), thief: client(t, c, ""), token: string(token)}
}

// client returns an HTTP client of the API server, with the certificate of a user.
func client(t *testing.T, c *kube.Cluster, user string) *http.Client {
	t.Helper()
	ca, err := os.ReadFile(c.CA)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AppendCertsFromPEM(ca)
	if user != "" {
		pair, err := tls.LoadX509KeyPair(filepath.Join(c.Dir, user+".crt"), filepath.Join(c.Dir, user+".key"))
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	transport := &http.Transport{TLSClientConfig: config}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// once reads the secrets of all namespaces, a token in a container, and and those secrets again with
// a stolen token. It returns what is in the alert of each.
func (a *actors) once(t *testing.T) []string {
	t.Helper()
	a.n++
	list, stolen, exec := fmt.Sprintf("act-list-%d", a.n), fmt.Sprintf("act-token-%d", a.n), fmt.Sprintf("act-exec-%d", a.n)
	for id, client := range map[string]*http.Client{list: a.admin, stolen: a.thief} {
		r, err := http.NewRequest(http.MethodGet, a.cluster.Server+"/api/v1/secrets", nil)
		if err != nil {
			t.Fatal(err)
		}
		// The audit id, which a client may choose.
		r.Header.Set("Audit-ID", id)
		if id == stolen {
			r.Header.Set("Authorization", "Bearer "+a.token)
		}
		answer, err := client.Do(r)
		if err != nil {
			t.Error(err)
			continue
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
	}
	// There is no second file: cat fails when it has shown the token.
	_ = a.cluster.Command(t.Context(), "developer", "exec", "-n", "shop", "web", "--", "cat", "/var/run/secrets/kubernetes.io/serviceaccount/token", "/tmp/"+exec).Run()
	return []string{list, stolen, exec}
}

// await waits until each act has its alert.
func (a *actors) await(t *testing.T, run *engine.Process, ids []string) {
	t.Helper()
	for _, id := range ids {
		until(t, 10*time.Second, "the act "+id+" raises its alert", func() bool {
			for _, alert := range run.Alerts() {
				if strings.Contains(alert.Output, id) {
					return true
				}
			}
			return false
		})
	}
}

// send sends n anonymous requests, evenly over a time, as many of them as the API
// server gets through, and returns how many that were.
func send(ctx context.Context, t *testing.T, c *kube.Cluster, request func(string) *http.Request, n int, over time.Duration) int {
	client := client(t, c, "")
	tick := time.NewTicker(over / time.Duration(n+1))
	defer tick.Stop()
	var senders sync.WaitGroup
	var answered atomic.Int64
	slots := make(chan bool, 8)
	for range n {
		select {
		case <-tick.C:
			slots <- true
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		senders.Go(func() {
			defer func() { <-slots }()
			answer, err := client.Do(request(c.Server).WithContext(ctx))
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
			answered.Add(1)
		})
	}
	senders.Wait()
	return int(answered.Load())
}

// metric returns the sum of a counter of the API server.
func metric(t *testing.T, c *kube.Cluster, name string) float64 {
	t.Helper()
	text, err := c.Command(t.Context(), "admin", "get", "--raw", "/metrics").Output()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, match := range regexp.MustCompile(`(?m)^`+name+`(?:\{.*\})? ([0-9.e+]+)$`).FindAllSubmatch(text, -1) {
		n, err := strconv.ParseFloat(string(match[1]), 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}

// rss is how much memory a process has, in bytes.
func rss(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(`(?m)^VmRSS:\s+(\d+) kB$`).FindSubmatch(text)
	if match == nil {
		t.Fatalf("no VmRSS in %s", bytes.TrimSpace(text))
	}
	n, _ := strconv.ParseInt(string(match[1]), 10, 64)
	return n << 10
}
