// SPDX-License-Identifier: Apache-2.0

package field

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/containerapi/containerapi/e2e/kube"
	"github.com/containerapi/containerapi/e2e/process"
)

// stopLimit is for how long a program may go on when it is to end.
const stopLimit = 5 * time.Second

// inPod starts a program as a pod has it: the files of its service account where a
// kubelet puts them, and directories of its own.
const inPod = `set -e
mount -t tmpfs none /var
mkdir -p /var/run/secrets/kubernetes.io/serviceaccount /var/log
cp "$FILES"/* /var/run/secrets/kubernetes.io/serviceaccount
mkdir /var/certs
cp "$CERTIFICATE".crt /var/certs/tls.crt
cp "$CERTIFICATE".key /var/certs/tls.key
mount --bind "$HOSTS" /etc/hosts
program=/var/bin/${1##*/}
mkdir /var/bin
touch "$program"
mount --bind "$1" "$program"
shift
mount -t tmpfs none /tmp
cd /tmp
exec "$program" "$@"`

// pod is a program with the network, the address and the credential of a pod: not
// one that a kubelet runs, but the API server sees no difference.
type pod struct {
	cluster   *kube.Cluster
	namespace string
	name      string
	// network is the number of the pod's network, 10.244.NETWORK.0.
	network int

	dir string
	log process.Output
	*process.Process
}

func (p *pod) address() string { return fmt.Sprintf("10.244.%d.2", p.network) }

func (p *pod) netns() string { return fmt.Sprintf("field-%d", p.network) }

// start makes the pod and starts the program.
func (p *pod) start(ctx context.Context, program string, args []string, env map[string]string) error {
	if err := p.furnish(ctx); err != nil {
		return err
	}
	server, err := url.Parse(p.cluster.Server)
	if err != nil {
		return err
	}
	// The name is in the server's certificate.
	hosts := filepath.Join(p.dir, "hosts")
	if err := os.WriteFile(hosts, fmt.Appendf(nil, "127.0.0.1 localhost\n10.244.%d.1 kubernetes.default.svc\n", p.network), 0o644); err != nil {
		return err
	}
	expand := func(text string) string {
		return strings.NewReplacer("NAMESPACE", p.namespace, "POD", p.name, "ADDRESS", p.address()).Replace(text)
	}
	command := []string{"netns", "exec", p.netns(), "unshare", "--mount", "sh", "-c", inPod, "pod", program}
	for _, a := range args {
		command = append(command, expand(a))
	}
	cmd := exec.Command("ip", command...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=/tmp", "FILES=" + filepath.Join(p.dir, "account"), "HOSTS=" + hosts,
		"CERTIFICATE=" + filepath.Join(p.cluster.Dir, "node"),
		"KUBERNETES_SERVICE_HOST=kubernetes.default.svc", "KUBERNETES_SERVICE_PORT=" + server.Port(),
		"POD_NAME=" + p.name, "POD_NAMESPACE=" + p.namespace, "POD_IP=" + p.address(), "NODE_NAME=node-1",
	}
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+expand(value))
	}
	cmd.Stdout, cmd.Stderr = &p.log, &p.log
	p.Process, err = process.Start(p.name, cmd)
	return err
}

// furnish makes the pod's object, its files and its network.
func (p *pod) furnish(ctx context.Context) error {
	var err error
	if p.dir, err = os.MkdirTemp("", "pod"); err != nil {
		return err
	}
	files := filepath.Join(p.dir, "account")
	if err := os.Mkdir(files, 0o755); err != nil {
		return err
	}
	object := fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {name: %q, namespace: %q, labels: {app: main}}, spec: {nodeName: node-1, serviceAccountName: %q,
		automountServiceAccountToken: false, containers: [{name: main, image: example}]}}`, p.name, p.namespace, Account)
	if _, err := kubectl(ctx, p.cluster, object, "create", "-f", "-"); err != nil {
		return err
	}
	uid, err := kubectl(ctx, p.cluster, "", "get", "pod", p.name, "-n", p.namespace, "-o", "jsonpath={.metadata.uid}")
	if err != nil {
		return err
	}
	token, err := kubectl(ctx, p.cluster, "", "create", "token", Account, "-n", p.namespace,
		"--bound-object-kind=Pod", "--bound-object-name="+p.name, "--bound-object-uid="+uid)
	if err != nil {
		return err
	}
	authority, err := os.ReadFile(p.cluster.CA)
	if err != nil {
		return err
	}
	for name, text := range map[string]string{"token": token, "namespace": p.namespace, "ca.crt": string(authority)} {
		if err := os.WriteFile(filepath.Join(files, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	host := fmt.Sprintf("field%d", p.network)
	for _, args := range [][]string{
		{"netns", "add", p.netns()},
		{"link", "add", host, "type", "veth", "peer", "name", "eth0", "netns", p.netns()},
		{"address", "add", fmt.Sprintf("10.244.%d.1/24", p.network), "dev", host},
		{"link", "set", host, "up"},
		{"-n", p.netns(), "address", "add", p.address() + "/24", "dev", "eth0"},
		{"-n", p.netns(), "link", "set", "lo", "up"},
		{"-n", p.netns(), "link", "set", "eth0", "up"},
	} {
		if out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}

// stop ends the program and removes what is left of the pod on this machine.
func (p *pod) stop() error {
	var err error
	if p.Process != nil {
		err = p.Stop(syscall.SIGTERM, stopLimit)
		// Who takes its place asks whether it is still there.
		_, gone := kubectl(context.Background(), p.cluster, "", "delete", "pod", p.name, "-n", p.namespace, "--force", "--grace-period=0")
		err = errors.Join(err, gone)
	}
	// The other end of the link goes with it.
	_ = exec.Command("ip", "link", "delete", fmt.Sprintf("field%d", p.network)).Run()
	_ = exec.Command("ip", "netns", "delete", p.netns()).Run()
	return errors.Join(err, os.RemoveAll(p.dir))
}

// kubectl runs kubectl as the cluster's admin and returns what it prints.
func kubectl(ctx context.Context, c *kube.Cluster, input string, args ...string) (string, error) {
	cmd := c.Command(ctx, "admin", args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	if err != nil {
		return "", fmt.Errorf("kubectl %s: %w", strings.Join(args, " "), err)
	}
	return string(out), nil
}
