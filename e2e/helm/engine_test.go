// SPDX-License-Identifier: Apache-2.0

package helm

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/containerapi/containerapi/e2e/engine"
	"github.com/containerapi/containerapi/e2e/engine/enginetest"
	"github.com/containerapi/containerapi/e2e/kube"
	"github.com/containerapi/containerapi/e2e/process"
	"github.com/containerapi/containerapi/internal/dockertest"
)

// limitedSocket is the environment variable that has [TestNodeEngine], run by
// itself with few capabilities, know the socket.
const limitedSocket = "CONTAINERAPI_TEST_SOCKET"

// TestNodeEngine runs the plugin as the overlay for nodes has it, with its
// capabilities and no other: docker inspect raises an alert that names its
// client, so the tap is loaded.
func TestNodeEngine(t *testing.T) {
	if socket := os.Getenv(limitedSocket); socket != "" {
		limited(t, socket)
		return
	}
	if os.Getuid() != 0 {
		t.Fatal("needs root")
	}
	var values struct {
		Context struct{ Capabilities struct{ Add []string } } `yaml:"containerSecurityContext"`
	}
	text, err := os.ReadFile("../../helm/values-node.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &values); err != nil {
		t.Fatal(err)
	}
	bounding := "-all"
	for _, name := range values.Context.Capabilities.Add {
		bounding += ",+" + strings.ToLower(name)
	}
	daemon := dockertest.Start(t)
	daemon.Docker("create", "--name", "shop", dockertest.Image, "true")
	cmd := exec.CommandContext(t.Context(), "setpriv", "--bounding-set", bounding, os.Args[0], "-test.run", "^TestNodeEngine$", "-test.v")
	cmd.Env = append(os.Environ(), limitedSocket+"="+daemon.Socket)
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestNodeEngine")) {
		t.Fatalf("with the capabilities %s: %v\n%s", bounding, err, out)
	}
	t.Logf("with the capabilities %s:\n%s", bounding, out)
}

// limited is TestNodeEngine in a process with few capabilities.
func limited(t *testing.T, socket string) {
	p := settings(t, node).plugin(t, "containerapi")
	p.Open = "docker://" + socket
	run := start(t, p)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	await(t, ctx, run, "seeing every request to "+socket)
	if out, err := exec.CommandContext(ctx, "docker", "--host", "unix://"+socket, "inspect", "shop").CombinedOutput(); err != nil {
		t.Fatalf("docker inspect: %v\n%s", err, out)
	}
	alerts, err := run.Until(ctx, func(a engine.Alert) bool {
		return strings.Contains(a.Output, "operation=container.inspect") && strings.Contains(a.Output, "cmdline=docker ")
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(alerts[len(alerts)-1].Rule)
}

// TestClusterEngine runs the plugin as the overlay for clusters has it, and a
// kube-apiserver that sends to it as docs/helm.md says, with a client
// certificate.
func TestClusterEngine(t *testing.T) {
	p := settings(t, cluster).plugin(t, "containerapi")
	dir := t.TempDir()
	for key, path := range p.Init {
		p.Init[key] = filepath.Join(dir, filepath.Base(fmt.Sprint(path)))
	}
	certificate := writeSecret(t, dir)
	address, err := process.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	p.Open = strings.Replace(p.Open, "0.0.0.0:9765", address, 1)
	run := start(t, p)

	// Without a client certificate nothing is taken.
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: webhookName}}}
	for {
		response, err := client.Post("https://"+address+"/k8s-audit", "application/json", strings.NewReader("{}"))
		if err == nil {
			response.Body.Close()
			t.Fatalf("a request without a client certificate is answered: %s", response.Status)
		}
		if strings.Contains(err.Error(), "certificate required") {
			break
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the webhook refuses for another reason: %v\n%s", err, run.Stderr())
		case <-run.Ended():
			t.Fatalf("the engine ended: %v\n%s", run.Err(), run.Stderr())
		case <-time.After(50 * time.Millisecond):
		}
	}
	policy, err := os.ReadFile("../../docs/audit-policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := kube.Start(ctx, kube.Options{
		AuditPolicy:   string(policy),
		Webhook:       "https://" + address + "/k8s-audit",
		WebhookConfig: documentedKubeconfig(t, address, dir),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	if out, err := c.Command(ctx, "admin", "get", "secrets", "-A").CombinedOutput(); err != nil {
		t.Fatalf("kubectl get secrets -A: %v\n%s", err, out)
	}
	if _, err := run.Until(ctx, func(a engine.Alert) bool {
		return strings.Contains(a.Output, "operation=secret.list") && strings.Contains(a.Output, "client=kubectl")
	}); err != nil {
		t.Error(err)
	}
}

// webhookName is the name in the webhook's certificate, the Service's.
const webhookName = "falco-audit-webhook.falco.svc"

// documentedKubeconfig returns the webhook's kubeconfig of docs/helm.md, with
// the address and the files in dir in place of those there.
func documentedKubeconfig(t *testing.T, address, dir string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/helm.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```yaml\napiVersion: v1\nkind: Config\n")
	config, _, ok := strings.Cut(rest, "```")
	if !ok || !strings.Contains(config, "tls-server-name: "+webhookName) {
		t.Fatal("docs/helm.md has no kubeconfig with the name of the webhook's certificate")
	}
	return "apiVersion: v1\nkind: Config\n" + strings.NewReplacer(
		"10.96.0.40:9765", address,
		"/etc/kubernetes/audit/webhook-ca.crt", filepath.Join(dir, "tls.crt"),
		"/etc/kubernetes/audit/client.crt", filepath.Join(dir, "tls.crt"),
		"/etc/kubernetes/audit/client.key", filepath.Join(dir, "tls.key"),
	).Replace(config)
}

// TestFalcoAccepts has Falco read the whole of the rendered falco.yaml, with
// the plugins that are built here.
func TestFalcoAccepts(t *testing.T) {
	falco := os.Getenv("FALCO")
	if falco == "" {
		var err error
		if falco, err = exec.LookPath("falco"); err != nil {
			t.Skip("no Falco here: sysdig, which the other tests use, reads no falco.yaml. Name a Falco with the environment variable FALCO")
		}
	}
	for _, o := range []overlay{node, cluster} {
		m := render(t, o)
		var config map[string]any
		if err := yaml.Unmarshal([]byte(m.config(t, "falco.yaml")), &config); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		writeSecret(t, dir)
		p := m.falco(t).plugin(t, "containerapi")
		for key, path := range p.Init {
			p.Init[key] = filepath.Join(dir, filepath.Base(fmt.Sprint(path)))
		}
		built := map[string]any{"name": p.Name, "library_path": library(t), "open_params": p.Open}
		if p.Init != nil {
			built["init_config"] = p.Init
		}
		config["plugins"] = []any{built}
		config["load_plugins"] = []string{p.Name}
		config["config_files"] = []string{}
		var rules []string
		for _, r := range m.falco(t).Rules {
			if strings.HasPrefix(filepath.Base(r), "containerapi_") {
				rules = append(rules, absolute(t, filepath.Join("../../rules", filepath.Base(r))))
			}
		}
		config["rules_files"] = rules
		text, err := yaml.Marshal(config)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "falco.yaml")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), falco, "-c", file, "--dry-run").CombinedOutput()
		if err != nil || bytes.Contains(out, []byte("schema validation: failed")) {
			t.Errorf("%s: %v\n%s", o.files, err, out)
		}
	}
}

// start starts an engine with the plugin that make build built, set up as p is,
// for the length of the test.
func start(t *testing.T, p plugin) *engine.Process {
	t.Helper()
	return enginetest.Start(t, engine.Config{
		Plugins: []engine.Plugin{p.engine(t)},
		Source:  "container_api",
		Rules:   []string{absolute(t, "../../rules/containerapi_rules.yaml")},
	})
}

// engine returns the plugin, as make build built it, for an engine.
func (p plugin) engine(t *testing.T) engine.Plugin {
	t.Helper()
	to := engine.Plugin{Name: p.Name, Library: library(t), Open: p.Open}
	if p.Init != nil {
		to.Init = p.Init
	}
	return to
}

// await waits until the engine has logged a text.
func await(t *testing.T, ctx context.Context, run *engine.Process, text string) {
	t.Helper()
	for !strings.Contains(run.Stderr(), text) {
		select {
		case <-ctx.Done():
			t.Fatalf("the engine does not log %q:\n%s", text, run.Stderr())
		case <-run.Ended():
			t.Fatalf("the engine ended: %v\n%s", run.Err(), run.Stderr())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// library returns the path of the plugin that make build built.
func library(t *testing.T) string {
	t.Helper()
	path := absolute(t, "../../libcontainerapi.so")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("run make build: %v", err)
	}
	return path
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// writeSecret writes the files of the Secret that the overlay for clusters
// names. One certificate is all of them, and the client's as well.
func writeSecret(t *testing.T, dir string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(time.Now().UnixNano()),
		Subject:               pkix.Name{CommonName: "e2e"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:              []string{webhookName},
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed})
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
	if err := errors.Join(
		os.WriteFile(filepath.Join(dir, "tls.crt"), certificate, 0o600),
		os.WriteFile(filepath.Join(dir, "tls.key"), private, 0o600),
		os.WriteFile(filepath.Join(dir, "ca.crt"), certificate, 0o600),
	); err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(signed)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}
