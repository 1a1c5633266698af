// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/types"
	remotecommandconsts "k8s.io/apimachinery/pkg/util/remotecommand"
	"k8s.io/client-go/tools/remotecommand"
	streaming "k8s.io/kubelet/pkg/cri/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

// node stands in for a kubelet and its containers: it answers what the API
// server passes on to a node, exec and logs, for all pods. An exec runs in a
// root folder with busybox and the token of a service account.
type node struct {
	root   string
	port   int
	server *http.Server
}

// tokenPath is where a pod finds the token of its service account.
const tokenPath = "var/run/secrets/kubernetes.io/serviceaccount/token"

// startNode starts a node that keeps the root of its containers in dir and
// serves with the certificate node.crt there. Logs is what every container
// logged.
func startNode(dir string, logs string) (*node, error) {
	n := &node{root: filepath.Join(dir, "container")}
	if err := n.makeRoot(); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	n.port = listener.Addr().(*net.TCPAddr).Port
	mux := http.NewServeMux()
	mux.HandleFunc("/exec/{namespace}/{pod}/{container}", n.exec)
	mux.HandleFunc("/containerLogs/{namespace}/{pod}/{container}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, logs)
	})
	n.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		_ = n.server.ServeTLS(listener, filepath.Join(dir, "node.crt"), filepath.Join(dir, "node.key"))
	}()
	return n, nil
}

// makeRoot makes the root folder of the containers.
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
	return nil
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
