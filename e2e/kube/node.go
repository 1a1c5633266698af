// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/types"
	remotecommandconsts "k8s.io/apimachinery/pkg/util/remotecommand"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/kubelet/pkg/cri/streaming/portforward"
	streaming "k8s.io/kubelet/pkg/cri/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

// node stands in for a kubelet and its containers: it answers what the API
// server passes on to a node, exec, attach, port-forward and logs, for all
// pods, and a few of a kubelet's own pages. An exec runs in a root directory with
// busybox and the token of a service account.
type node struct {
	root string
	// address is none of loopback where the machine has another: the API
	// server does not pass requests for a node on to loopback.
	address string
	port    int
	logs    string
	server  *http.Server
}

// tokenPath is where a pod finds the token of its service account.
const tokenPath = "var/run/secrets/kubernetes.io/serviceaccount/token"

// startNode starts a node that keeps the root of its containers in dir, serves
// with the certificate node.crt there, and only those who have one of the
// authority in ca.crt. Logs is what every container logged.
func startNode(dir string, logs string) (*node, error) {
	n := &node{root: filepath.Join(dir, "container"), logs: logs}
	if err := n.makeRoot(); err != nil {
		return nil, err
	}
	authority, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return nil, err
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(authority)
	n.address = ownAddress()
	listener, err := net.Listen("tcp", net.JoinHostPort(n.address, "0"))
	if err != nil {
		return nil, err
	}
	n.port = listener.Addr().(*net.TCPAddr).Port
	mux := http.NewServeMux()
	mux.HandleFunc("/exec/{namespace}/{pod}/{container}", n.exec)
	mux.HandleFunc("/attach/{namespace}/{pod}/{container}", n.attach)
	mux.HandleFunc("/portForward/{namespace}/{pod}", n.portForward)
	mux.HandleFunc("/run/{namespace}/{pod}/{container}", n.run)
	for _, pattern := range []string{"/containerLogs/{namespace}/{pod}/{container}", "/pods", "/metrics"} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, logs) })
	}
	n.server = &http.Server{
		Handler: mux, ReadHeaderTimeout: 10 * time.Second,
		// The API server shows its certificate to kubelets, and not to what stands behind a service.
		TLSConfig: &tls.Config{ClientCAs: clients, ClientAuth: tls.VerifyClientCertIfGiven},
	}
	go func() {
		_ = n.server.ServeTLS(listener, filepath.Join(dir, "node.crt"), filepath.Join(dir, "node.key"))
	}()
	return n, nil
}

// ownAddress returns an address of this machine that is none of loopback, if it
// has one.
func ownAddress() string {
	addresses, _ := net.InterfaceAddrs()
	for _, a := range addresses {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil && ip.IP.IsGlobalUnicast() {
			return ip.IP.String()
		}
	}
	return "127.0.0.1"
}

// makeRoot makes the root directory of the containers.
func (n *node) makeRoot() error {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return fmt.Errorf("needs a static busybox: apt-get install busybox-static: %w", err)
	}
	text, err := os.ReadFile(busybox)
	if err != nil {
		return err
	}
	bin := filepath.Join(n.root, "bin")
	if err := errors.Join(
		os.MkdirAll(bin, 0o755),
		os.MkdirAll(filepath.Join(n.root, "tmp"), 0o755),
		os.MkdirAll(filepath.Dir(filepath.Join(n.root, tokenPath)), 0o755),
		os.WriteFile(filepath.Join(bin, "busybox"), text, 0o755),
	); err != nil {
		return err
	}
	for _, name := range []string{"sh", "cat", "ls", "env", "tar", "id", "sleep", "true", "false"} {
		if err := os.Symlink("busybox", filepath.Join(bin, name)); err != nil {
			return err
		}
	}
	return os.Symlink("var/run", filepath.Join(n.root, "run"))
}

// stop ends the node.
func (n *node) stop() { _ = n.server.Close() }

func (n *node) exec(w http.ResponseWriter, r *http.Request) {
	options, err := streaming.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	streaming.ServeExec(w, r, n, r.PathValue("pod"), "", r.PathValue("container"), r.URL.Query()["command"],
		options, time.Minute, 10*time.Second, remotecommandconsts.SupportedStreamingProtocols)
}

// run runs a command and answers with what it wrote, or, if it failed, with an error
// that has what it wrote to its standard error. See getRun in
// k8s.io/kubernetes/pkg/kubelet/server and ExecSync in k8s.io/cri-client.
func (n *node) run(w http.ResponseWriter, r *http.Request) {
	var out, errs bytes.Buffer
	words := strings.Split(r.FormValue("cmd"), " ")
	if err := n.ExecInContainer(r.Context(), "", "", "", words, nil, closer{&out}, closer{&errs}, false, nil, 0); err != nil {
		http.Error(w, fmt.Sprintf("command '%s' failed: %v: %s", strings.Join(words, " "), err, &errs), http.StatusInternalServerError)
		return
	}
	_, _ = out.WriteTo(w)
}

// closer is a writer that need not be closed.
type closer struct{ io.Writer }

func (closer) Close() error { return nil }

func (n *node) attach(w http.ResponseWriter, r *http.Request) {
	options, err := streaming.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	streaming.ServeAttach(w, r, n, r.PathValue("pod"), "", r.PathValue("container"),
		options, time.Minute, 10*time.Second, remotecommandconsts.SupportedStreamingProtocols)
}

// AttachContainer implements the Attacher of the streaming library: a container
// that logs its one line and ends.
func (n *node) AttachContainer(_ context.Context, _ string, _ types.UID, _ string, _ io.Reader, out, _ io.WriteCloser, _ bool, _ <-chan remotecommand.TerminalSize) error {
	_, err := io.WriteString(out, n.logs)
	return err
}

func (n *node) portForward(w http.ResponseWriter, r *http.Request) {
	options, err := portforward.NewV4Options(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	portforward.ServePortForward(w, r, n, r.PathValue("pod"), "", options, time.Minute, 10*time.Second, portforward.SupportedProtocols)
}

// PortForward implements the PortForwarder of the streaming library: every port
// says what the containers log.
func (n *node) PortForward(_ context.Context, _ string, _ types.UID, _ int32, stream io.ReadWriteCloser) error {
	defer stream.Close()
	_, err := io.WriteString(stream, n.logs)
	return err
}

// ExecInContainer implements the Executor of the streaming library.
func (n *node) ExecInContainer(ctx context.Context, _ string, _ types.UID, _ string, command []string, in io.Reader, out, errs io.WriteCloser, _ bool, _ <-chan remotecommand.TerminalSize, _ time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/busybox", append([]string{"env"}, command...)...)
	cmd.Env = []string{"PATH=/bin", "HOME=/"}
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = out, errs
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: n.root}
	// An exec whose client closes its input late ends all the same.
	cmd.WaitDelay = time.Second
	if in != nil {
		cmd.Stdin = in
	}
	var exit *exec.ExitError
	if err := cmd.Run(); errors.As(err, &exit) {
		return utilexec.CodeExitError{Err: err, Code: exit.ExitCode()}
	} else if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return err
	}
	return nil
}
