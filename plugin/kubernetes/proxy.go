// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"net/url"
	"slices"
	"strings"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/operation"
)

// Proxied is what a request reaches through a pod's or a service's proxy.
type Proxied struct {
	// Port is the port, by number or name, or "" for the only one.
	Port string
	// Service is what is known to listen there, such as "vault", or "".
	Service string
	// Credential is what that can leak.
	Credential operation.Credential
}

// service is a kind of server that keeps others' credentials, or gives a way to them.
type service struct {
	name       string
	ports      []string
	names      []string // parts of the name of the pod or service
	paths      []string // beginnings of paths that no other server has
	credential operation.Credential
	// harmless are paths that say how the server is, and nothing else.
	harmless []string
}

// services are those that are known by their port, their name or the path that is asked
// for. A server can hide behind another port and name: what is asked of it tells, too.
var services = []service{
	{"vault", []string{"8200", "8201"}, []string{"vault", "openbao"},
		[]string{"/v1/secret/", "/v1/kv/", "/v1/auth/", "/v1/sys/", "/v1/identity/", "/v1/database/creds/"}, secret,
		[]string{"/v1/sys/health", "/v1/sys/seal-status", "/v1/sys/leader", "/v1/sys/metrics", "/ui"}},
	{"etcd", []string{"2379", "2380", "2382", "4001"}, []string{"etcd"}, []string{"/v2/keys", "/v3/kv/", "/v3beta/kv/", "/v3alpha/kv/"}, secret,
		[]string{"/health", "/metrics", "/version", "/livez", "/readyz"}},
	{"kubelet", []string{"10250", "10255", "10248"}, []string{"kubelet"},
		[]string{"/runningpods", "/containerLogs/", "/exec/", "/run/", "/attach/", "/portForward/", "/cri/", "/checkpoint/"}, filesystem,
		[]string{"/metrics", "/metrics/cadvisor", "/metrics/probes", "/metrics/resource", "/metrics/slis", "/stats/summary", "/healthz"}},
	{"docker", []string{"2375", "2376", "2377"}, []string{"docker", "dind", "dockershim", "buildkitd"},
		[]string{"/containers/", "/images/", "/exec/", "/secrets", "/configs"}, filesystem, []string{"/_ping", "/version"}},
	{"apiserver", []string{"6443", "8001", "16443"}, []string{"kube-apiserver"}, []string{"/api/v1/secrets", "/api/v1/namespaces/"}, secret,
		[]string{"/healthz", "/livez", "/readyz", "/version", "/metrics"}},
	// A dashboard shows what its own account may read to who has no right to.
	{"dashboard", nil, []string{"dashboard", "headlamp", "lens", "rancher", "kubeapps", "weave-scope", "octant", "argocd-server", "portainer"},
		[]string{"/api/v1/secret", "/api/sockjs", "/api/topology"}, environment, nil},
	{"consul", []string{"8500", "8501"}, []string{"consul"}, []string{"/v1/kv", "/v1/acl"}, secret, []string{"/v1/status/leader", "/v1/agent/metrics"}},
	{"secret_store", nil, []string{"external-secrets", "sealed-secrets", "conjur", "infisical", "keycloak", "dex", "harbor", "gitlab", "jenkins", "teamcity", "nexus"},
		[]string{"/credentials/store/", "/script", "/admin/realms"}, secret,
		[]string{"/healthz", "/health", "/metrics", "/readyz", "/livez", "/v1/cert.pem"}},
	// What a cloud gives to its machines, and through them to their pods.
	{"metadata", nil, []string{"169.254.169.254", "169-254-169-254", "metadata", "kiam", "kube2iam"},
		[]string{"/latest/meta-data", "/latest/api/token", "/computeMetadata/", "/metadata/identity", "/metadata/instance", "/opc/v2"}, token, nil},
	// What programs show of themselves for debugging: their environment and memory.
	{"debug", nil, nil, []string{"/actuator/env", "/actuator/heapdump", "/actuator/configprops", "/debug/pprof/heap", "/debug/vars", "/.env", "/.git/", "/env", "/proc/", "/heapdump"}, environment, nil},
}

// ProxyOf returns what a request through a proxy reaches. Its name is
// [scheme:]name[:port], see SplitSchemeNamePort in k8s.io/apimachinery/pkg/util/net.
func ProxyOf(k *event.Kubernetes) Proxied {
	name, port := k.Name, ""
	switch parts := strings.Split(name, ":"); len(parts) {
	case 2:
		name, port = parts[0], parts[1]
	case 3:
		name, port = parts[1], parts[2]
	}
	p := Proxied{Port: port}
	path := proxiedPath(k)
	for i := range services {
		s := &services[i]
		known := slices.Contains(s.ports, port) || slices.ContainsFunc(s.names, func(part string) bool { return strings.Contains(name, part) })
		asked := slices.ContainsFunc(s.paths, func(begin string) bool { return strings.HasPrefix(path, begin) })
		if !known && !asked {
			continue
		}
		p.Service = s.name
		if !slices.Contains(s.harmless, strings.TrimSuffix(path, "/")) {
			p.Credential = s.credential
		}
		return p
	}
	return p
}

// proxiedPath is the path that a request asks for behind a proxy, as the server there
// decodes it.
func proxiedPath(k *event.Kubernetes) string {
	path := k.Path()
	if decoded, err := url.PathUnescape(path); err == nil {
		path = decoded
	}
	_, path, _ = strings.Cut(path, "/proxy")
	return path
}
