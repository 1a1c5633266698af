// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/containerapi/containerapi/e2e/process"
)

// kubeletNode is the name of the node that [StartKubelet] adds.
const kubeletNode = "node-2"

// Kubelet is a real kubelet with a containerd of its own. Its pods need the
// host's network: there is no other.
type Kubelet struct {
	dir, cgroup string
	run         *process.Process
	log         process.Output
}

// containerdConfig has containerd keep all that it writes in one directory, and
// needs no file system of its own.
const containerdConfig = `version = 2
root = %[1]q
state = %[2]q
[grpc]
  address = %[3]q
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %[4]q
  disable_hugetlb_controller = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
  [plugins."io.containerd.grpc.v1.cri".cni]
    conf_dir = %[5]q
`

const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 127.0.0.1
port: %[1]d
healthzPort: 0
readOnlyPort: 0
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: %[2]q}}
authorization: {mode: Webhook}
containerRuntimeEndpoint: %[3]q
cgroupDriver: cgroupfs
cgroupRoot: %[4]q
cgroupsPerQOS: false
enforceNodeAllocatable: []
failSwapOn: false
failCgroupV1: false
localStorageCapacityIsolation: false
makeIPTablesUtilChains: false
podLogsDir: %[5]q
resolvConf: ""
syncFrequency: 1s
`

// StartKubelet starts a kubelet as the node node-2. It takes an image as docker
// save writes it to a file, by its name: a container of it must stay until it is
// killed, as that of a pod's sandbox does. The kubelet has to be stopped with
// [Kubelet.Stop].
func (c *Cluster) StartKubelet(ctx context.Context, image, file string) (*Kubelet, error) {
	program, err := programs.Program("kubelet")
	if err != nil {
		return nil, err
	}
	if err := c.AddUser(kubeletNode, "system:node:"+kubeletNode, "system:nodes"); err != nil {
		return nil, err
	}
	ports, err := process.FreePorts(1)
	if err != nil {
		return nil, err
	}
	// The path of a socket must be short.
	dir, err := os.MkdirTemp("", "kubelet")
	if err != nil {
		return nil, err
	}
	k := &Kubelet{dir: dir, cgroup: filepath.Base(dir)}
	path := func(name string) string { return filepath.Join(dir, name) }
	socket := path("cri.sock")
	if err := errors.Join(
		os.WriteFile(path("containerd.toml"), fmt.Appendf(nil, containerdConfig, path("root"), path("state"), socket, image, path("cni")), 0o600),
		os.WriteFile(path("kubelet.yaml"), fmt.Appendf(nil, kubeletConfig, ports[0], c.CA, "unix://"+socket, "/"+k.cgroup, path("logs")), 0o600),
	); err != nil {
		return nil, errors.Join(err, k.Stop())
	}
	// Both share a mount namespace, so that no mount outlives them. The
	// kubelet's plugins have a fixed directory.
	const script = `
mkdir -p /var/lib/kubelet && mount -t tmpfs kubelet /var/lib/kubelet
containerd --config "$DIR/containerd.toml" &
tries=0
until ctr --address "$DIR/cri.sock" --namespace k8s.io images import --snapshotter native "$IMAGE"; do
	tries=$((tries + 1)); test $tries -lt 100; sleep 0.1
done
exec "$KUBELET" --kubeconfig="$CONFIG" --config="$DIR/kubelet.yaml" --root-dir="$DIR/kubelet" --cert-dir="$DIR/pki" --hostname-override="$NODE"`
	cmd := exec.Command("sh", "-ec", script)
	cmd.Env = append(os.Environ(), "DIR="+dir, "IMAGE="+file, "KUBELET="+program, "CONFIG="+c.file(kubeletNode+".kubeconfig"), "NODE="+kubeletNode)
	cmd.Stdout, cmd.Stderr = &k.log, &k.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if k.run, err = process.Start("kubelet", cmd); err != nil {
		return nil, errors.Join(err, k.Stop())
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for c.Command(ctx, "admin", "get", "node", kubeletNode).Run() != nil {
		select {
		case <-k.run.Ended():
			return nil, errors.Join(fmt.Errorf("kubelet ended: %w\n%s", k.run.Err(), k.Log()), k.Stop())
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("kubelet does not register within %s\n%s", startLimit, k.Log()), k.Stop())
		case <-time.After(100 * time.Millisecond):
		}
	}
	return k, nil
}

// Log returns the end of what the kubelet and containerd logged.
func (k *Kubelet) Log() string {
	text := k.log.String()
	return text[max(0, len(text)-4096):]
}

// Stop ends the kubelet, its containerd and its pods at once and removes what
// they wrote. It can be called at any time.
func (k *Kubelet) Stop() error {
	if k.run != nil {
		_ = k.run.Stop(syscall.SIGKILL, stopLimit)
	}
	// Shims are told the address of their containerd.
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range lines {
		line, err := os.ReadFile(name)
		if err == nil && bytes.Contains(line, []byte("\x00"+k.dir+"/cri.sock\x00")) {
			kill(filepath.Base(filepath.Dir(name)))
		}
	}
	cgroups := []string{filepath.Join("/sys/fs/cgroup", k.cgroup)}
	v1, _ := filepath.Glob(filepath.Join("/sys/fs/cgroup/*", k.cgroup))
	cgroups = append(cgroups, v1...)
	for _, cgroup := range cgroups {
		lists, _ := filepath.Glob(cgroup + "/*/cgroup.procs")
		for _, name := range lists {
			text, _ := os.ReadFile(name)
			for pid := range strings.FieldsSeq(string(text)) {
				kill(pid)
			}
		}
	}
	// Neither the directory nor the cgroups go while a killed process does.
	var err error
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		err = os.RemoveAll(k.dir)
		for _, cgroup := range cgroups {
			inner, _ := filepath.Glob(cgroup + "/*/")
			for _, dir := range append(inner, cgroup) {
				if failed := syscall.Rmdir(strings.TrimSuffix(dir, "/")); failed != nil && !errors.Is(failed, syscall.ENOENT) {
					err = errors.Join(err, fmt.Errorf("remove the cgroup %s: %w", dir, failed))
				}
			}
		}
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// kill ends a process.
func kill(pid string) {
	if n, err := strconv.Atoi(pid); err == nil {
		_ = syscall.Kill(n, syscall.SIGKILL)
	}
}
