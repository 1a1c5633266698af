// SPDX-License-Identifier: Apache-2.0

// Package helm tries the values overlays for Falco's chart: rendered by real
// Helm, and run by a real engine.
package helm

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/containerapi/containerapi/e2e/kube"
	"github.com/containerapi/containerapi/plugin/config"
	"github.com/containerapi/containerapi/plugin/state"
)

// chartVersion is the version of Falco's chart that the overlays are for: that
// of Falco 0.44.1.
const chartVersion = "9.1.0"

// stateDir is the default of the setting.
var stateDir = config.Default().StateDir

var update = flag.Bool("update", false, "write testdata/falco.schema.json from the chart")

// overlay is a way to install that docs/helm.md describes.
type overlay struct {
	// files in helm/, and what is set on the command line.
	files, set []string
}

var (
	node    = overlay{files: []string{"values-node.yaml"}}
	cluster = overlay{files: []string{"values-cluster.yaml"}}
	eks     = overlay{files: []string{"values-managed.yaml"}, set: []string{
		"falco.plugins[0].open_params=shop", "falco.plugins[0].init_config.region=eu-central-1",
		`serviceAccount.annotations.eks\.amazonaws\.com/role-arn=arn:aws:iam::111122223333:role/falco`,
	}}
	gke = overlay{files: []string{"values-managed.yaml", "values-managed-gke.yaml"}, set: []string{
		"falco.plugins[0].open_params=shop", "falco.plugins[0].init_config.project_id=shop-1",
	}}
	aks = overlay{files: []string{"values-managed.yaml", "values-managed-aks.yaml"}, set: []string{
		"falco.plugins[0].open_params=shop", "falco.plugins[0].init_config.event_hub_name=audit",
	}}
	image = overlay{files: []string{"values-node.yaml", "values-image.yaml"}, set: []string{
		"image.repository=mine",
	}}
	clusterState = overlay{files: []string{"values-cluster.yaml", "values-state.yaml"}}
	nodeState    = overlay{files: []string{"values-node.yaml", "values-node-state.yaml"}}
	shared       = overlay{files: []string{"values-cluster.yaml", "values-shared.yaml"}}
)

// TestValues holds the overlays against the keys of the chart's values.yaml,
// which testdata keeps as a JSON schema for where the chart is not.
func TestValues(t *testing.T) {
	schema, err := os.ReadFile("testdata/falco.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	chart := t.TempDir()
	for name, text := range map[string][]byte{
		"Chart.yaml":         []byte("apiVersion: v2\nname: falco\nversion: " + chartVersion + "\n"),
		"values.schema.json": schema,
	} {
		if err := os.WriteFile(filepath.Join(chart, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, o := range []overlay{node, cluster, eks, gke, aks, image, clusterState, nodeState, shared} {
		if _, err := template(t, chart, o); err != nil {
			t.Error(err)
		}
	}
	for _, wrong := range []struct{ set, key string }{
		{"drivers.enabled=false", "drivers"},
		{"falco.load_plugin[0]=containerapi", "load_plugin"},
		{"falcoctl.config.artifact.install.ref[0]=falco-rules:5", "ref"},
		{"collectors=false", "collectors"},
	} {
		o := cluster
		o.set = []string{wrong.set}
		if _, err := template(t, chart, o); err == nil || !strings.Contains(err.Error(), wrong.key) {
			t.Errorf("%s: error %v, want one that names %s", wrong.set, err, wrong.key)
		}
	}
}

// TestSchema compares the schema with the chart.
func TestSchema(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), helm(t), "show", "values", chart(t)).Output()
	if err != nil {
		t.Fatal(err)
	}
	var values map[string]any
	if err := yaml.Unmarshal(out, &values); err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(schemaOf(values), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	const file = "testdata/falco.schema.json"
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not the chart's: go test ./helm -run TestSchema -update (%v)", file, err)
	}
}

// schemaOf returns a JSON schema of the keys there are: no other may be beside
// them. An empty map takes any.
func schemaOf(value any) map[string]any {
	switch value := value.(type) {
	case map[string]any:
		if len(value) == 0 {
			return map[string]any{"type": "object"}
		}
		properties := make(map[string]any)
		for key, v := range value {
			properties[key] = schemaOf(v)
		}
		return map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	case []any:
		return map[string]any{"type": "array"}
	case bool:
		return map[string]any{"type": "boolean"}
	}
	return map[string]any{}
}

// TestNode renders the overlay for nodes.
func TestNode(t *testing.T) {
	m := render(t, node)
	pod := m.pod(t, "DaemonSet")
	falco := pod.container(t, "falco")
	wantCapabilities := []string{"BPF", "PERFMON", "SYS_RESOURCE", "SYS_PTRACE", "DAC_OVERRIDE"}
	if got := falco.SecurityContext.Capabilities; !slices.Equal(got.Add, wantCapabilities) || !slices.Equal(got.Drop, []string{"ALL"}) {
		t.Errorf("capabilities %+v", got)
	}
	config := m.falco(t)
	if got := []any{config.Load, config.Engine["kind"]}; !reflect.DeepEqual(got, []any{[]string{"containerapi", "container"}, "modern_ebpf"}) {
		t.Errorf("load_plugins and engine: %v", got)
	}
	// The socket that the plugin opens is in the directory that is mounted.
	socket := strings.TrimPrefix(config.plugin(t, "containerapi").Open, "docker://")
	mount := falco.mount(t, filepath.Dir(socket))
	if volume := pod.volume(t, mount.Name); !mount.ReadOnly || volume.HostPath.Path != "/run" {
		t.Errorf("the directory of the socket: %+v of %+v", mount, volume)
	}
	m.installs(t, "falco-rules:5",
		"ghcr.io/containerapi/plugins/containerapi:0.1.0", "ghcr.io/containerapi/rules/containerapi-rules:0.1.0",
		"ghcr.io/containerapi/rules/containerapi-syscall-rules:0.1.0")
	wantRules := []string{"/etc/falco/falco_rules.yaml", "/etc/falco/containerapi_rules.yaml", "/etc/falco/containerapi_syscall_rules.yaml", "/etc/falco/rules.d"}
	if !slices.Equal(config.Rules, wantRules) {
		t.Errorf("rules_files %q", config.Rules)
	}
	pod.modest(t)
}

// TestCluster renders the overlay for the audit webhook.
func TestCluster(t *testing.T) {
	m := render(t, cluster)
	pod := m.pod(t, "Deployment")
	pod.modest(t)
	pod.nothingOfTheHost(t)
	config := m.falco(t)
	plugin := config.plugin(t, "containerapi")
	mount := pod.container(t, "falco").mount(t, "/etc/falco/certs")
	if volume := pod.volume(t, mount.Name); volume.Secret.Name != "containerapi-webhook" || !mount.ReadOnly {
		t.Errorf("the certificates: %+v of %+v", mount, volume)
	}
	for _, key := range []string{"sslCertificate", "sslKey", "sslClientCA"} {
		if path := fmt.Sprint(plugin.Init[key]); filepath.Dir(path) != mount.Path {
			t.Errorf("%s is %s, not in %s", key, path, mount.Path)
		}
	}
	if !slices.Equal(config.Load, []string{"containerapi"}) || config.Engine != nil {
		t.Errorf("load_plugins %q, engine %v", config.Load, config.Engine)
	}
	service := m.only(t, "Service")
	var spec struct {
		Type     string
		Ports    []struct{ Port, TargetPort int }
		Selector map[string]string
	}
	decode(t, service["spec"], &spec)
	if len(spec.Ports) != 1 || !strings.Contains(plugin.Open, fmt.Sprintf("https://0.0.0.0:%d/", spec.Ports[0].TargetPort)) || spec.Type != "ClusterIP" {
		t.Errorf("service %+v, open_params %s", spec, plugin.Open)
	}
	// The name that docs/helm.md has the API server call.
	if name := fmt.Sprint(service["metadata"].(map[string]any)["name"], ".falco.svc"); name != webhookName {
		t.Errorf("the service is %s, not %s", name, webhookName)
	}
	if !reflect.DeepEqual(spec.Selector, pod.labels) {
		t.Errorf("the service selects %v, the pod is %v", spec.Selector, pod.labels)
	}
	m.installs(t, "ghcr.io/containerapi/plugins/containerapi:0.1.0", "ghcr.io/containerapi/rules/containerapi-rules:0.1.0")
	if !slices.Equal(config.Rules, []string{"/etc/falco/containerapi_rules.yaml", "/etc/falco/rules.d"}) {
		t.Errorf("rules_files %q", config.Rules)
	}
}

// TestNetworkPolicy holds the policy against the pod and the port that it is for.
func TestNetworkPolicy(t *testing.T) {
	text, err := os.ReadFile("../../helm/networkpolicy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var policy struct {
		Spec struct {
			PodSelector struct {
				MatchLabels map[string]string `yaml:"matchLabels"`
			} `yaml:"podSelector"`
			Ingress []struct {
				From  []any
				Ports []struct{ Port int }
			}
		}
	}
	if err := yaml.Unmarshal(text, &policy); err != nil {
		t.Fatal(err)
	}
	for _, rule := range policy.Spec.Ingress {
		for _, port := range rule.Ports {
			if port.Port == 9765 && len(rule.From) == 0 {
				t.Error("the webhook's port is open to all")
			}
		}
	}
	values, err := os.ReadFile("../../helm/values-cluster.yaml")
	if err != nil || !strings.Contains(string(values), "targetPort: 9765") || !strings.Contains(string(values), "helm install falco-audit ") {
		t.Errorf("values-cluster.yaml has another port or name than the policy (%v)", err)
	}
	want := map[string]string{"app.kubernetes.io/name": "falco", "app.kubernetes.io/instance": "falco-audit"}
	if !reflect.DeepEqual(policy.Spec.PodSelector.MatchLabels, want) {
		t.Errorf("it is for %v, want %v", policy.Spec.PodSelector.MatchLabels, want)
	}
}

// TestManaged renders the overlays for managed clusters.
func TestManaged(t *testing.T) {
	for name, test := range map[string]struct {
		overlay
		version string
		init    map[string]any
	}{
		"eks": {eks, "0.12", map[string]any{"region": "eu-central-1", "use_async": false}},
		"gke": {gke, "0.9", map[string]any{"project_id": "shop-1", "use_async": false}},
		"aks": {aks, "0.6", map[string]any{
			"event_hub_name": "audit", "event_hub_namespace_connection_string": "${EVENT_HUB_CONNECTION}",
			"blob_storage_connection_string": "${BLOB_STORAGE_CONNECTION}", "blob_storage_container_name": "my-container",
		}},
	} {
		m := render(t, test.overlay)
		pod := m.pod(t, "Deployment")
		pod.modest(t)
		pod.nothingOfTheHost(t)
		config := m.falco(t)
		collector := config.plugin(t, "k8saudit-"+name)
		if !reflect.DeepEqual(collector.Init, test.init) || collector.Open != "shop" {
			t.Errorf("%s: init_config %v, open_params %s", name, collector.Init, collector.Open)
		}
		if config.plugin(t, "containerapi-extract").Library != "libcontainerapi-extract.so" {
			t.Errorf("%s: plugins %+v", name, config.Plugins)
		}
		if !slices.Equal(config.Load, []string{"k8saudit-" + name, "containerapi-extract"}) {
			t.Errorf("%s: load_plugins %q", name, config.Load)
		}
		m.installs(t, "k8saudit-"+name+":"+test.version,
			"ghcr.io/containerapi/plugins/containerapi-extract:0.1.0", "ghcr.io/containerapi/rules/containerapi-k8s-audit-rules:0.1.0")
		if !slices.Equal(config.Rules, []string{"/etc/falco/containerapi_k8s_audit_rules.yaml", "/etc/falco/rules.d"}) {
			t.Errorf("%s: rules_files %q", name, config.Rules)
		}
		for _, env := range []string{"EVENT_HUB_CONNECTION", "BLOB_STORAGE_CONNECTION"} {
			has := slices.ContainsFunc(pod.container(t, "falco").Env, func(e variable) bool {
				return e.Name == env && e.ValueFrom.Secret.Name == "containerapi-aks"
			})
			if has != (name == "aks") {
				t.Errorf("%s: %s of the Secret: %v", name, env, has)
			}
		}
	}
	annotations := render(t, eks).only(t, "ServiceAccount")["metadata"].(map[string]any)["annotations"]
	if !reflect.DeepEqual(annotations, map[string]any{"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/falco"}) {
		t.Errorf("annotations of the service account: %v", annotations)
	}
}

// TestImage renders the overlay that has all in an image.
func TestImage(t *testing.T) {
	m := render(t, image)
	pod := m.pod(t, "DaemonSet")
	if len(pod.Containers) != 1 || len(pod.InitContainers) != 0 || pod.Containers[0].Image != "registry.example.com/mine:0.44.1-0.1.0" {
		t.Errorf("containers %+v %+v", pod.Containers, pod.InitContainers)
	}
	// Nothing hides what the image has.
	for _, mount := range pod.Containers[0].VolumeMounts {
		if mount.Path == "/etc/falco" || mount.Path == "/usr/share/falco/plugins" {
			t.Errorf("mounted over the image's own: %+v", mount)
		}
	}
}

// TestState renders the overlays that keep what was learned, and holds them against the
// files that they are put behind.
func TestState(t *testing.T) {
	pod := render(t, clusterState).pod(t, "Deployment")
	pod.modest(t)
	pod.nothingOfTheHost(t)
	mount := pod.container(t, "falco").mount(t, stateDir)
	if volume := pod.volume(t, mount.Name); mount.ReadOnly || volume.Claim.Name != "containerapi-state" {
		t.Errorf("the volume: %+v of %+v", mount, volume)
	}
	pod = render(t, nodeState).pod(t, "DaemonSet")
	pod.modest(t)
	mount = pod.container(t, "falco").mount(t, stateDir)
	if volume := pod.volume(t, mount.Name); mount.ReadOnly || volume.HostPath.Path != stateDir {
		t.Errorf("the directory of the node: %+v of %+v", mount, volume)
	}
	m := render(t, shared)
	var spec struct{ Replicas int }
	decode(t, m.only(t, "Deployment")["spec"], &spec)
	if spec.Replicas != 2 {
		t.Errorf("%d replicas, want 2", spec.Replicas)
	}
	if m.falco(t).plugin(t, "containerapi").Init["state"] != "${CONTAINERAPI_STATE}" {
		t.Errorf("init_config %v", m.falco(t).plugin(t, "containerapi").Init)
	}
	falco := m.pod(t, "Deployment").container(t, "falco")
	if !slices.ContainsFunc(falco.Env, func(e variable) bool {
		return e.Name == "CONTAINERAPI_STATE" && e.ValueFrom.Secret.Name == "containerapi-state"
	}) {
		t.Errorf("the environment %+v has no URL", falco.Env)
	}
}

// TestStateRepeats: a list of values replaces the one before it, so what is repeated must be
// the same. This needs no chart.
func TestStateRepeats(t *testing.T) {
	type values struct {
		Mounts struct {
			Volumes []struct {
				Name     string
				HostPath map[string]string `yaml:"hostPath"`
				Claim    struct {
					Name string `yaml:"claimName"`
				} `yaml:"persistentVolumeClaim"`
			}
			VolumeMounts []map[string]any `yaml:"volumeMounts"`
		}
	}
	var one, behind, claim values
	read(t, "values-node.yaml", &one)
	read(t, "values-node-state.yaml", &behind)
	n, m := len(one.Mounts.Volumes), len(one.Mounts.VolumeMounts)
	if !reflect.DeepEqual(one.Mounts.Volumes, behind.Mounts.Volumes[:n]) || !reflect.DeepEqual(one.Mounts.VolumeMounts, behind.Mounts.VolumeMounts[:m]) {
		t.Errorf("the mounts %+v are not those before and more: %+v", behind.Mounts, one.Mounts)
	}
	read(t, "values-state.yaml", &claim)
	for _, mounts := range [][]map[string]any{behind.Mounts.VolumeMounts, claim.Mounts.VolumeMounts} {
		if last := mounts[len(mounts)-1]; last["mountPath"] != stateDir {
			t.Errorf("%v is not at stateDir's default", last)
		}
	}
	var object struct{ Metadata struct{ Name string } }
	read(t, "state-claim.yaml", &object)
	if name := claim.Mounts.Volumes[0].Claim.Name; name == "" || name != object.Metadata.Name {
		t.Errorf("the claim is %s, not %s", object.Metadata.Name, name)
	}
	plugin := settings(t, shared).Plugins[0]
	again := settings(t, overlay{files: shared.files[1:]}).Plugins[0]
	if again.Init["state"] != "${CONTAINERAPI_STATE}" {
		t.Errorf("state is %v", again.Init["state"])
	}
	delete(again.Init, "state")
	if !reflect.DeepEqual(plugin, again) {
		t.Errorf("the plugin is %+v, and %+v without the state", plugin, again)
	}
}

// TestValkey runs a server as valkey.yaml does, with the user that it names, as the plugin's URL has it.
func TestValkey(t *testing.T) {
	server, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("no redis-server here, which takes the same: apt-get install redis-server")
	}
	text, err := os.ReadFile("../../helm/valkey.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var set struct {
		Kind string
		Spec struct {
			Template struct {
				Spec struct{ Containers []struct{ Args []string } }
			}
		}
	}
	read(t, "valkey.yaml", &set) // the first of its objects
	if set.Kind != "StatefulSet" {
		t.Fatalf("the first object is a %s", set.Kind)
	}
	// The users stand in the command that makes the Secret.
	_, users, _ := strings.Cut(string(text), "--from-literal=users.acl='")
	users, _, ok := strings.Cut(users, "'")
	if !ok {
		t.Fatal("valkey.yaml has no users")
	}
	users = strings.ReplaceAll(users, "\n#   ", "\n")
	rights := users[strings.Index(users, "~containerapi"):]
	if docs, err := os.ReadFile("../../docs/state.md"); err != nil || !strings.Contains(string(docs), rights) {
		t.Errorf("docs/state.md has other rights than %s (%v)", rights, err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "users.acl"), []byte(users+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	_, port, _ := net.SplitHostPort(address)
	args := []string{"--bind", "127.0.0.1", "--port", port}
	for _, a := range set.Spec.Template.Spec.Containers[0].Args[1:] {
		a = strings.Replace(a, "/users/", dir+"/", 1)
		args = append(args, strings.Replace(a, "/data", dir, 1))
	}
	cmd := exec.CommandContext(t.Context(), server, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	logger := log.New(io.Discard, "", 0)
	// Once it answers: what is saved before it has no key that counts.
	open := func() state.Store {
		s, err := state.Open("redis://falco:PASSWORD@"+address, "", logger)
		if err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			if _, _, err = s.Load(state.Kubernetes, state.ID{}); err == nil {
				return s
			}
			if time.Now().After(end) {
				t.Fatal(err)
			}
		}
	}
	one, two := open(), open()
	defer one.Close()
	defer two.Close()
	if err := one.Save([]state.Changed{{Class: state.Kubernetes, Profile: state.Profile{First: 1, Last: 2, Acts: 3}}}); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		p, ok, err := two.Load(state.Kubernetes, state.ID{})
		if ok && err == nil && p.Acts == 3 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the other has %+v, %v, %v", p, ok, err)
		}
	}
}

// read reads a file of helm/, or the first of its objects.
func read(t *testing.T, name string, to any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../helm", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.NewDecoder(bytes.NewReader(text)).Decode(to); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// helm returns the program that make setup built.
func helm(t *testing.T) string {
	t.Helper()
	dir, err := kube.Directory()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "helm")
}

// chart returns the path of Falco's chart: what HELM_CHART names, or what is in
// the cache. Where there is none it skips the test and says so.
func chart(t *testing.T) string {
	t.Helper()
	path := os.Getenv("HELM_CHART")
	if path == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		path = filepath.Join(cache, "containerapi", "falco-"+chartVersion+".tgz")
		if _, err := os.Stat(path); err != nil {
			t.Skipf("no Falco chart here, so only the keys of the overlays are checked (TestValues). To render them: helm pull falco --repo https://falcosecurity.github.io/charts --version %s -d %s", chartVersion, filepath.Dir(path))
		}
	}
	return path
}

// template runs helm template and returns what it prints.
func template(t *testing.T, chart string, o overlay) ([]byte, error) {
	t.Helper()
	args := []string{"template", "falco-audit", chart, "--namespace", "falco"}
	for _, f := range o.files {
		args = append(args, "-f", filepath.Join("../../helm", f))
	}
	for _, s := range o.set {
		args = append(args, "--set", s)
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), helm(t), args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("helm %s: %w\n%s", strings.Join(args, " "), err, &stderr)
	}
	return out, nil
}

// render renders the chart with the overlay.
func render(t *testing.T, o overlay) manifests {
	t.Helper()
	out, err := template(t, chart(t), o)
	if err != nil {
		t.Fatal(err)
	}
	var all manifests
	decoder := yaml.NewDecoder(bytes.NewReader(out))
	for {
		var m map[string]any
		err := decoder.Decode(&m)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if m != nil {
			all = append(all, m)
		}
	}
}
