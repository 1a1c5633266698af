// SPDX-License-Identifier: Apache-2.0

// Package kube runs the part of Kubernetes that audit events come from: a real
// kube-apiserver, with etcd behind it, RBAC, users of several kinds and a node
// that answers exec and logs, all on loopback.
package kube

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/containerapi/containerapi/e2e/process"
)

// AuditEverything is an audit policy that records everything at the highest
// level and at every stage.
const AuditEverything = `
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- level: RequestResponse
`

// How long the cluster may take to answer after its start, and its programs to
// end.
const (
	startLimit = 2 * time.Minute
	stopLimit  = 2 * time.Second
)

// Options are how a cluster is to run.
type Options struct {
	// AuditPolicy is the audit policy file's content; empty for
	// [AuditEverything].
	AuditPolicy string
	// Webhook is the URL that audit events are sent to. Events before
	// something listens there are lost after some retries.
	Webhook string
	// WebhookConfig is the kubeconfig by which they are sent; empty for one
	// that has the URL and nothing else.
	WebhookConfig string
	// Canary stands where a real cluster has secrets: in a Secret, a
	// ConfigMap, a container's environment, an annotation and logs.
	Canary string
	// Flags are further flags of kube-apiserver.
	Flags []string
}

// Cluster is a running cluster. It has the namespace shop with the pod web, its
// service account and the Secret database.
type Cluster struct {
	// Dir holds all that the cluster writes.
	Dir string
	// Server is the URL of the API server, CA the file with the certificate
	// that signed its.
	Server, CA string
	// AuditLog is the file that all audit events are written to as well.
	AuditLog string
	// Token is the file with a token of the service account shop/web, bound
	// to the pod web.
	Token string

	authority *authority
	kubectl   string
	node      *node
	etcd      *process.Process
	apiserver *process.Process
	logs      map[string]*process.Output
}

// The users of a cluster, by the name of their kubeconfig.
var users = []struct {
	name, user string
	groups     []string
}{
	{"admin", "kubernetes-admin", []string{"system:masters"}},
	{"developer", "dana", []string{"developers"}},
	{"engineer", "erin@example.com", []string{"developers"}},
	{"stranger", "steve", nil},
	{"node", "system:node:node-1", []string{"system:nodes"}},
	{"controller", "system:kube-controller-manager", nil},
}

// Start starts a cluster and returns when it is ready and its objects are
// there. The cluster has to be stopped with [Cluster.Stop].
func Start(ctx context.Context, o Options) (*Cluster, error) {
	dir, err := os.MkdirTemp("", "kube")
	if err != nil {
		return nil, err
	}
	c := &Cluster{
		Dir:      dir,
		CA:       filepath.Join(dir, "ca.crt"),
		AuditLog: filepath.Join(dir, "audit.log"),
		Token:    filepath.Join(dir, "container", tokenPath),
		logs:     make(map[string]*process.Output),
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if err := c.start(ctx, o); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context, o Options) error {
	var err error
	if c.kubectl, err = programs.Program("kubectl"); err != nil {
		return err
	}
	apiserver, err := programs.Program("kube-apiserver")
	if err != nil {
		return err
	}
	etcd, err := exec.LookPath("etcd")
	if err != nil {
		return fmt.Errorf("needs etcd: apt-get install etcd-server: %w", err)
	}
	// Scenarios call kubectl by its name.
	if err := errors.Join(
		os.Mkdir(filepath.Join(c.Dir, "bin"), 0o755),
		os.Symlink(c.kubectl, filepath.Join(c.Dir, "bin", "kubectl")),
	); err != nil {
		return err
	}
	ports, err := process.FreePorts(3)
	if err != nil {
		return err
	}
	c.Server = fmt.Sprintf("https://127.0.0.1:%d", ports[0])
	if err := c.certify(); err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	if c.node, err = startNode(c.Dir, "connected with password "+o.Canary+"\n"); err != nil {
		return fmt.Errorf("node: %w", err)
	}
	client, peer := fmt.Sprintf("http://127.0.0.1:%d", ports[1]), fmt.Sprintf("http://127.0.0.1:%d", ports[2])
	if c.etcd, err = c.run(etcd, "--data-dir="+filepath.Join(c.Dir, "etcd"), "--unsafe-no-fsync",
		"--listen-client-urls="+client, "--advertise-client-urls="+client,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer,
	); err != nil {
		return err
	}
	policy := o.AuditPolicy
	if policy == "" {
		policy = AuditEverything
	}
	flags := []string{
		"--etcd-servers=" + client,
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", ports[0]),
		// A loopback address cannot be an endpoint of the service.
		"--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=10.0.0.0/24",
		"--authorization-mode=Node,RBAC",
		"--allow-privileged=true",
		"--tls-cert-file=" + c.file("apiserver.crt"),
		"--tls-private-key-file=" + c.file("apiserver.key"),
		"--client-ca-file=" + c.CA,
		"--kubelet-client-certificate=" + c.file("admin.crt"),
		"--kubelet-client-key=" + c.file("admin.key"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + c.file("tokens.crt"),
		"--service-account-signing-key-file=" + c.file("tokens.key"),
		"--audit-policy-file=" + c.file("policy.yaml"),
		"--audit-log-path=" + c.AuditLog,
	}
	files := map[string]string{"policy.yaml": policy}
	if o.Webhook != "" {
		files["webhook.yaml"] = cmp.Or(o.WebhookConfig, kubeconfig(fmt.Sprintf("server: %q", o.Webhook), "{}"))
		flags = append(flags,
			"--audit-webhook-config-file="+c.file("webhook.yaml"),
			"--audit-webhook-mode=batch",
			"--audit-webhook-batch-max-wait=100ms",
			"--audit-webhook-initial-backoff=1s",
		)
	}
	for name, text := range files {
		if err := os.WriteFile(c.file(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	if c.apiserver, err = c.run(apiserver, append(flags, o.Flags...)...); err != nil {
		return err
	}
	if err := c.await(ctx); err != nil {
		return err
	}
	return c.fill(ctx, o.Canary)
}

func (c *Cluster) file(name string) string { return filepath.Join(c.Dir, name) }

// run starts a program of the cluster.
func (c *Cluster) run(path string, flags ...string) (*process.Process, error) {
	name := filepath.Base(path)
	log := new(process.Output)
	c.logs[name] = log
	cmd := exec.Command(path, flags...)
	cmd.Dir = c.Dir
	cmd.Stdout, cmd.Stderr = log, log
	return process.Start(name, cmd)
}

// certify makes the certificates and kubeconfigs.
func (c *Cluster) certify() error {
	var err error
	if c.authority, err = newAuthority(c.Dir); err != nil {
		return err
	}
	if err := errors.Join(
		c.authority.server("apiserver"),
		c.authority.server("node"),
		// The key of service account tokens; its certificate has the
		// public half.
		c.authority.server("tokens"),
	); err != nil {
		return err
	}
	for _, u := range users {
		if err := c.authority.client(u.name, u.user, u.groups...); err != nil {
			return err
		}
		user := fmt.Sprintf("{client-certificate: %q, client-key: %q}", c.file(u.name+".crt"), c.file(u.name+".key"))
		if err := c.writeKubeconfig(u.name, user); err != nil {
			return err
		}
	}
	return c.writeKubeconfig("workload", fmt.Sprintf("{tokenFile: %q}", c.Token))
}

// Kubeconfig returns the path of the kubeconfig of a user: admin, developer,
// engineer (a developer whom the tuned rules know), stranger (who may do
// nothing), node, controller (kube-controller-manager) or workload (the pod web
// with its token).
func (c *Cluster) Kubeconfig(user string) (string, error) {
	path := c.file(user + ".kubeconfig")
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("the cluster has no user %q", user)
	}
	return path, nil
}

func (c *Cluster) writeKubeconfig(name, user string) error {
	cluster := fmt.Sprintf("server: %q, certificate-authority: %q", c.Server, c.CA)
	return os.WriteFile(c.file(name+".kubeconfig"), []byte(kubeconfig(cluster, user)), 0o600)
}

func kubeconfig(cluster, user string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: e2e, cluster: {%s}}]
users: [{name: e2e, user: %s}]
contexts: [{name: e2e, context: {cluster: e2e, user: e2e}}]
current-context: e2e
`, cluster, user)
}

// await waits until the API server is ready.
func (c *Cluster) await(ctx context.Context) error {
	for {
		out, err := c.Command(ctx, "admin", "get", "--raw", "/readyz").CombinedOutput()
		if err == nil {
			return nil
		}
		select {
		case <-c.apiserver.Ended():
			return fmt.Errorf("kube-apiserver ended: %w\n%s", c.apiserver.Err(), c.logTail("kube-apiserver"))
		case <-c.etcd.Ended():
			return fmt.Errorf("etcd ended: %w\n%s", c.etcd.Err(), c.logTail("etcd"))
		case <-ctx.Done():
			return fmt.Errorf("kube-apiserver is not ready within %s: %s\n%s", startLimit, out, c.logTail("kube-apiserver"))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

//go:embed objects.yaml
var objects string

// fill makes the cluster's objects, and the token of its pod.
func (c *Cluster) fill(ctx context.Context, canary string) error {
	text := os.Expand(objects, func(name string) string {
		switch name {
		case "CANARY":
			return canary
		case "NODE_ADDRESS":
			return c.node.address
		case "NODE_PORT":
			return fmt.Sprint(c.node.port)
		}
		return "$" + name
	})
	// Objects are created one by one: admission looks for a new namespace
	// and its service accounts in caches that lag behind.
	for object := range strings.SplitSeq(text, "\n---\n") {
		for {
			_, err := c.kubectlInput(ctx, object, "create", "-f", "-")
			if err == nil {
				break
			}
			if !strings.Contains(err.Error(), "not found") || ctx.Err() != nil {
				return err
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	if _, err := c.kubectlInput(ctx, "", "patch", "pod", "web", "-n", "shop", "--subresource=status", "-p", `{"status":{"phase":"Running"}}`); err != nil {
		return err
	}
	uid, err := c.kubectlInput(ctx, "", "get", "pod", "web", "-n", "shop", "-o", "jsonpath={.metadata.uid}")
	if err != nil {
		return err
	}
	token, err := c.kubectlInput(ctx, "", "create", "token", "web", "-n", "shop",
		"--bound-object-kind=Pod", "--bound-object-name=web", "--bound-object-uid="+uid)
	if err != nil {
		return err
	}
	return os.WriteFile(c.Token, []byte(token), 0o600)
}

// kubectlInput runs kubectl as the admin and returns what it prints.
func (c *Cluster) kubectlInput(ctx context.Context, input string, args ...string) (string, error) {
	cmd := c.Command(ctx, "admin", args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

// Command returns a kubectl command as one of the cluster's users, ready to be
// run.
func (c *Cluster) Command(ctx context.Context, user string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.kubectl, args...)
	cmd.Env = append(os.Environ(), c.Env(user)...)
	return cmd
}

// Env returns the environment of a shell that works as one of the cluster's
// users: kubectl finds the cluster, and other programs find SERVER, CACERT and
// the pod's TOKEN.
func (c *Cluster) Env(user string) []string {
	return []string{
		"KUBECONFIG=" + c.file(user+".kubeconfig"),
		"KUBECACHEDIR=" + c.file("kubectl-cache"),
		"PATH=" + c.file("bin") + string(os.PathListSeparator) + os.Getenv("PATH"),
		"SERVER=" + c.Server,
		"CACERT=" + c.CA,
		"TOKEN=" + c.Token,
	}
}

// Stop ends the cluster at once and removes its directory. It can be called at any
// time.
func (c *Cluster) Stop() error {
	if c.node != nil {
		c.node.stop()
	}
	for _, p := range []*process.Process{c.apiserver, c.etcd} {
		if p != nil {
			// It drains its webhook before it ends, which nobody waits for.
			_ = p.Stop(syscall.SIGKILL, stopLimit)
		}
	}
	return os.RemoveAll(c.Dir)
}

// logTail returns the end of what a program of the cluster logged.
func (c *Cluster) logTail(name string) string {
	text := c.logs[name].String()
	return text[max(0, len(text)-4096):]
}
