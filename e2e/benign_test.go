// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerapi/containerapi/e2e/engine"
	"github.com/containerapi/containerapi/e2e/kube"
	"github.com/containerapi/containerapi/e2e/process"
	"github.com/containerapi/containerapi/e2e/scenario"
	"github.com/containerapi/containerapi/internal/dockertest"
)

// TestBenign runs the software that uses these APIs all day: it must raise
// nothing of priority WARNING or above with the shipped rules and one entry for
// each person and program of the installation's own. What it raises below that
// is counted in the log.
func TestBenign(t *testing.T) {
	work, err := scenario.Load("benign/software")
	if err != nil {
		t.Fatal(err)
	}
	marker, err := scenario.WriteMarkerRule(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	setBenignEnv(t)
	daemon := startDocker(t)
	url, address := webhook(t)
	run := startEngine(t, plugin(t, url+",docker://"+daemon.Socket), marker, ruleFile, "testdata/benign.yaml")
	awaitListener(t, run, address)
	canary := newCanary()
	options := shippedAudit(t, url)
	options.AuditPolicy = shippedPolicy(t, "audit-policy-requests.yaml")
	options.Canary = canary
	cluster := startCluster(t, options)
	runner := &scenario.Runner{Engine: run, Kube: cluster, Docker: daemon.Daemon, Dir: t.TempDir(), Secret: canary}
	for _, api := range []string{scenario.Kubernetes, scenario.Docker} {
		if err := runner.Ready(t.Context(), api); err != nil {
			t.Fatal(err)
		}
	}

	// Each controller works with the one identity of the controller manager,
	// then with a service account of its own, as kubeadm sets it up.
	image := podImage(t, daemon)
	tokens := benignIdentities(t, cluster)
	t.Setenv("TOKENS", tokens)
	// What the preparation raised is behind this mark.
	for _, api := range []string{scenario.Kubernetes, scenario.Docker} {
		if err := runner.Ready(t.Context(), api); err != nil {
			t.Fatal(err)
		}
	}
	start := len(run.Alerts())
	perform := func(s scenario.Scenario) {
		t.Run(s.API+"/"+s.Name, func(t *testing.T) {
			before := len(run.Alerts())
			began := time.Now()
			result, err := runner.Run(t.Context(), s)
			if err != nil {
				t.Error(err)
			}
			for _, a := range of(daemon, run.Alerts()[before:]) {
				if a.Loud() {
					t.Errorf("raised %s %q: %s", a.Priority, a.Rule, a.Output)
				}
			}
			t.Logf("took %s", time.Since(began).Round(time.Second/10))
			if t.Failed() {
				t.Log(result.Output)
			}
		})
	}

	// All controllers of the controller manager work with its one identity
	// first, then with a service account each, as kubeadm has it.
	controllers := startControllers(t, cluster, false)
	perform(work[slices.IndexFunc(work, func(s scenario.Scenario) bool { return s.API == scenario.Kubernetes })])
	if err := controllers.Stop(syscall.SIGTERM, 10*time.Second); err != nil {
		t.Error(err)
	}
	startControllers(t, cluster, true)
	startScheduler(t, cluster)
	startKubelet(t, cluster, image)
	for _, s := range work {
		perform(s)
	}

	alerts := of(daemon, run.Alerts()[start:])
	logNoise(t, alerts)
	for _, a := range alerts {
		if a.Loud() {
			t.Errorf("benign software raised %s %q: %s", a.Priority, a.Rule, a.Output)
		}
	}
	requireNoCanary(t, canary, run.Stdout(), run.Stderr())

	// Silence proves something only if it can be broken.
	for _, attack := range []scenario.Scenario{
		{Name: "list all secrets", API: scenario.Kubernetes, As: "admin", Run: "kubectl get secrets -A",
			Expect: []string{"Kubernetes Secrets Listed Across All Namespaces"}},
		{Name: "list all secrets as an engineer", API: scenario.Kubernetes, As: "engineer", Run: "kubectl get --raw /api/v1/secrets",
			Expect: []string{"Kubernetes Secrets Listed Across All Namespaces"}},
		{Name: "list containers with curl", API: scenario.Docker, Run: "curl -sf --unix-socket ${DOCKER_HOST#unix://} http://docker/containers/json",
			Expect: []string{"Docker Socket Used By Unexpected Process"}},
	} {
		t.Run("attack/"+attack.Name, func(t *testing.T) {
			result, err := runner.Run(t.Context(), attack)
			if err != nil {
				t.Fatal(err)
			}
			for _, rule := range attack.Expect {
				if !slices.ContainsFunc(result.Alerts, func(a engine.Alert) bool { return a.Rule == rule && a.Loud() }) {
					t.Errorf("did not raise %q", rule)
				}
			}
		})
	}
}

// setBenignEnv sets what the scripts of benign software refer to: what
// setHelmEnv sets, the directory COMPOSE, and a PORT to listen on.
func setBenignEnv(t *testing.T) {
	t.Helper()
	for _, name := range []string{"prometheus", "cadvisor"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatalf("run make setup: %v", err)
		}
	}
	setHelmEnv(t)
	compose, err := filepath.Abs("testdata/compose")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("COMPOSE", compose)
	ports, err := process.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PORT", fmt.Sprint(ports[0]))
}

// setHelmEnv sets what the scripts with Helm refer to: PATH with it, the directory
// CHART, and directories of Helm's own for the length of the test.
func setHelmEnv(t *testing.T) {
	t.Helper()
	programs, err := kube.Directory()
	if err != nil {
		t.Fatal(err)
	}
	chart, err := filepath.Abs("testdata/chart")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", programs+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv("CHART", chart)
	dir := t.TempDir()
	for _, name := range []string{"HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"} {
		t.Setenv(name, filepath.Join(dir, name))
	}
}

// benignIdentities makes the identities of benign software, and a directory with a
// token of each service account.
func benignIdentities(t *testing.T, c *kube.Cluster) string {
	t.Helper()
	kubectl := func(args ...string) string {
		t.Helper()
		var stderr strings.Builder
		var out []byte
		var err error
		// Admission learns of a new namespace a moment later.
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
			stderr.Reset()
			cmd := c.Command(t.Context(), "admin", args...)
			cmd.Stderr = &stderr
			if out, err = cmd.Output(); err == nil {
				return string(out)
			}
		}
		t.Fatalf("kubectl %s: %v: %s", strings.Join(args, " "), err, &stderr)
		return ""
	}
	kubectl("apply", "-f", "testdata/benign-objects.yaml")
	dir := t.TempDir()
	for _, account := range []struct{ namespace, name string }{{"ci", "deployer"}, {"monitoring", "prometheus-k8s"}} {
		token := kubectl("create", "token", account.name, "-n", account.namespace)
		if err := os.WriteFile(filepath.Join(dir, account.name), []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// startControllers starts kube-controller-manager for the length of the test.
func startControllers(t *testing.T, c *kube.Cluster, ownIdentities bool) *process.Process {
	t.Helper()
	return startComponent(t, c, "kube-controller-manager", "controller",
		"--service-account-private-key-file="+filepath.Join(c.Dir, "tokens.key"),
		"--root-ca-file="+c.CA,
		"--cluster-signing-cert-file="+c.CA,
		"--cluster-signing-key-file="+filepath.Join(c.Dir, "ca.key"),
		fmt.Sprintf("--use-service-account-credentials=%t", ownIdentities),
		// The second one need not wait for the first one's lease to expire.
		fmt.Sprintf("--leader-elect=%t", ownIdentities),
	)
}

// startScheduler starts kube-scheduler for the length of the test.
func startScheduler(t *testing.T, c *kube.Cluster) {
	t.Helper()
	if err := c.AddUser("scheduler", "system:kube-scheduler"); err != nil {
		t.Fatal(err)
	}
	startComponent(t, c, "kube-scheduler", "scheduler")
}

// podImage makes an image for pods, sets POD_IMAGE to its name and returns the file
// that it is saved in.
func podImage(t *testing.T, daemon *dockertest.Daemon) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "image.tar")
	if err := kube.SavePodImage(t.Context(), daemon.Daemon, file); err != nil {
		t.Fatal(err)
	}
	t.Setenv("POD_IMAGE", kube.PodImage)
	return file
}

// startKubelet starts a kubelet for the length of the test, with the image for
// pods that is saved in a file.
func startKubelet(t *testing.T, c *kube.Cluster, image string) {
	t.Helper()
	k, err := c.StartKubelet(t.Context(), kube.PodImage, image)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the kubelet logged at its end:\n%s", k.Log())
		}
		if err := k.Stop(); err != nil {
			t.Error(err)
		}
	})
}

// startComponent starts a part of Kubernetes as a user of the cluster for the
// length of the test.
func startComponent(t *testing.T, c *kube.Cluster, name, user string, flags ...string) *process.Process {
	t.Helper()
	directory, err := kube.Directory()
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := c.Kubeconfig(user)
	if err != nil {
		t.Fatal(err)
	}
	log := new(process.Output)
	cmd := exec.Command(filepath.Join(directory, name), append([]string{
		"--kubeconfig=" + kubeconfig,
		"--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig,
		"--secure-port=0",
	}, flags...)...)
	cmd.Dir = c.Dir
	cmd.Stdout, cmd.Stderr = log, log
	p, err := process.Start(name, cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Stop(syscall.SIGKILL, 2*time.Second)
		if t.Failed() {
			text := log.String()
			t.Logf("%s logged at its end:\n%s", name, text[max(0, len(text)-2000):])
		}
	})
	return p
}

// of returns the alerts that are not about another Docker Engine of this machine.
func of(daemon *dockertest.Daemon, alerts []engine.Alert) []engine.Alert {
	return slices.DeleteFunc(slices.Clone(alerts), func(a engine.Alert) bool {
		name := a.Fields["docker.daemon"]
		return name != nil && name != daemon.Host
	})
}

// logNoise logs how many alerts there are of each rule and program, and one of
// them.
func logNoise(t *testing.T, alerts []engine.Alert) {
	t.Helper()
	counts := make(map[string]int)
	examples := make(map[string]string)
	for _, a := range alerts {
		if a.Rule == "Marker" {
			continue
		}
		who := fmt.Sprintf("%v as %v", a.Fields["kube.client"], a.Fields["kube.user.name"])
		if a.Fields["kube.auditid"] == nil {
			who = fmt.Sprint(a.Fields["docker.client.exepath"])
		}
		key := fmt.Sprintf("%s | %s | %s", a.Priority, a.Rule, who)
		counts[key]++
		examples[key] = a.Output
	}
	for _, key := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("noise: %4d %s, such as: %s", counts[key], key, examples[key])
	}
}
