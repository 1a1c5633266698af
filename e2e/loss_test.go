// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerapi/containerapi/e2e/engine"
	"github.com/containerapi/containerapi/e2e/kube"
	"github.com/containerapi/containerapi/plugin/tap/taptest"
)

// TestPausedEngine pauses the engine for 10 seconds under load, with the
// smallest queue, and counts: every audit event must come in, none twice.
func TestPausedEngine(t *testing.T) {
	const pause = 10 * time.Second
	url, address := webhook(t)
	p := plugin(t, url)
	p.Init = map[string]any{"queueSize": 65536, "webhookQueueDeadline": 1}
	run := startEngine(t, p, "testdata/audit.yaml")
	awaitListener(t, run, address)
	cluster := startCluster(t, kube.Options{Webhook: url})
	for _, test := range []struct {
		name string
		// pauses returns what lets the engine go on.
		pauses func(t *testing.T) (resume func())
		// busy: the webhook answers meanwhile that it is full.
		busy bool
	}{
		{name: "whole process", pauses: func(t *testing.T) func() {
			if err := run.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			return func() { _ = run.Signal(syscall.SIGCONT) }
		}},
		{name: "event loop only", busy: true, pauses: func(t *testing.T) func() { return stopThread(t, run.Pid()) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			for attempt := 1; ; attempt++ {
				resume := test.pauses(t)
				ctx, cancel := context.WithTimeout(t.Context(), pause)
				requests := load(ctx, t, cluster)
				code := 0
				if test.busy {
					code = post(ctx, t, url)
				}
				<-ctx.Done()
				cancel()
				resume()
				sent := <-requests
				t.Logf("%d requests while the engine was paused", sent)
				if sent < 100 {
					t.Errorf("%d requests are no load", sent)
				}
				if !test.busy || code == http.StatusTooManyRequests {
					break
				}
				// The thread may have been stopped where the plugin's
				// other threads wait for it.
				if code != 0 || attempt == 5 {
					t.Fatalf("the webhook of the paused engine answered %d, want 429", code)
				}
			}
			want := auditLog(t, cluster.AuditLog)
			until(t, time.Minute, "every audit event raised its alert", func() bool {
				got := count(run.Alerts())
				for event := range want {
					if got[event] == 0 {
						return false
					}
				}
				return true
			})
			t.Logf("%d audit events since the start, all there", len(want))
		})
	}
	for event, n := range count(run.Alerts()) {
		if n > 1 {
			t.Errorf("%s came %d times", event, n)
		}
	}
}

// TestMain makes of this test program what tests need as processes of their own.
func TestMain(m *testing.M) {
	taptest.Main(m, taptest.Helpers{"trace": trace, "junk": junk})
}

// trace stops the first thread of a process until standard input ends.
func trace(args []string) error {
	pid, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	// A thread is traced by a thread.
	runtime.LockOSThread()
	if err := syscall.PtraceAttach(pid); err != nil {
		return fmt.Errorf("ptrace: %w", err)
	}
	if _, err := syscall.Wait4(pid, nil, syscall.WALL, nil); err != nil {
		return fmt.Errorf("wait: %w", err)
	}
	fmt.Println("stopped")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return syscall.PtraceDetach(pid)
}

// stopThread stops the first thread of a process, which runs the engine's event
// loop, and leaves the plugin's own threads running. Another process traces it,
// because the stop of a traced child looks like its end to the one that waits
// for that.
func stopThread(t *testing.T, pid int) (resume func()) {
	t.Helper()
	cmd := taptest.Helper(t, "trace", strconv.Itoa(pid))
	cmd.Stderr = os.Stderr
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "stopped\n" {
		t.Fatalf("stop the engine's thread: %q, %v", line, errors.Join(err, cmd.Wait()))
	}
	return func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("resume the engine's thread: %v", err)
		}
	}
}

// load sends requests to the API server until ctx ends, and then how many.
func load(ctx context.Context, t *testing.T, c *kube.Cluster) <-chan int {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(c.Dir, "admin.crt"), filepath.Join(c.Dir, "admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(c.CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}}}
	sent := make(chan int, 1)
	go func() {
		defer client.CloseIdleConnections()
		n := 0
		// 100 requests a second stay within the API server's own buffer
		// for audit events, which drops what does not fit.
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			response, err := client.Get(c.Server + "/api/v1/namespaces/shop/pods/web?n=" + fmt.Sprint(n))
			if err != nil {
				t.Errorf("request to the API server: %v", err)
				break
			}
			_, _ = io.Copy(io.Discard, response.Body)
			response.Body.Close()
			n++
			<-tick.C
		}
		sent <- n
	}()
	return sent
}

// post sends audit events to the webhook until it refuses one, and returns the
// status; 0 if there is no answer until ctx ends.
func post(ctx context.Context, t *testing.T, url string) int {
	t.Helper()
	for n := 0; ; n++ {
		body := fmt.Sprintf(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"posted-%d-%d","stage":"ResponseComplete","requestURI":"/","verb":"get"}`, time.Now().UnixNano(), n)
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(request)
		if ctx.Err() != nil {
			return 0
		}
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			if response.Header.Get("Retry-After") == "" {
				t.Error("the answer has no Retry-After")
			}
			return response.StatusCode
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// auditLog returns the id and stage of each event in an audit log.
func auditLog(t *testing.T, name string) map[string]bool {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	events := make(map[string]bool)
	reader := bufio.NewReader(file)
	for {
		line, err := reader.ReadBytes('\n')
		if err != nil {
			// The line that is being written belongs to a later event.
			return events
		}
		var event struct{ AuditID, Stage string }
		if err := json.Unmarshal(line, &event); err != nil {
			t.Fatalf("audit log: %v", err)
		}
		events[event.AuditID+" "+event.Stage] = true
	}
}

// count counts the alerts of the rule Audit by id and stage.
func count(alerts []engine.Alert) map[string]int {
	events := make(map[string]int)
	for _, a := range alerts {
		if a.Rule == "Audit" {
			events[fmt.Sprint(a.Fields["kube.auditid"], " ", a.Fields["kube.stage"])]++
		}
	}
	return events
}

// TestDockerRestart makes volumes before and after the Docker Engine restarts:
// each must come in once.
func TestDockerRestart(t *testing.T) {
	daemon := startDocker(t)
	run := startEngine(t, plugin(t, "docker://"+daemon.Socket), "testdata/audit.yaml")
	seen := func(name string) int {
		n := 0
		for _, a := range run.Alerts() {
			if a.Fields["docker.object.id"] == name {
				n++
			}
		}
		return n
	}
	attempt := 0
	until(t, 30*time.Second, "Docker's events arrive", func() bool {
		attempt++
		name := fmt.Sprintf("hello-%d", attempt)
		daemon.Docker("volume", "create", name)
		time.Sleep(100 * time.Millisecond)
		return seen(name) > 0
	})
	var names []string
	for round := range 3 {
		if round > 0 {
			daemon.Restart()
		}
		for i := range 5 {
			name := fmt.Sprintf("volume-%d-%d", round, i)
			daemon.Docker("volume", "create", name)
			names = append(names, name)
		}
	}
	for _, name := range names {
		until(t, 30*time.Second, "the event of "+name+" arrives", func() bool { return seen(name) > 0 })
	}
	for _, name := range names {
		if n := seen(name); n != 1 {
			t.Errorf("the event of %s came %d times", name, n)
		}
	}
}
