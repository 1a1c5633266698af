// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/containerapi/containerapi/internal/generated"
	"github.com/containerapi/containerapi/plugin/event"
)

const (
	x509      = "X509SHA256=5b2c1a0c317d63e8"
	jti       = "JTI=f09be9ce-e899-4345-9fee-45d17ef84f40"
	allOfThem = "/api/v1/secrets"
	oneOfThem = "/api/v1/namespaces/shop/secrets/db"
)

// who is an identity, as an event has it.
type who struct {
	user, groups, credential, address string
}

func (w who) event(verb, uri string) *event.Kubernetes {
	k := &event.Kubernetes{Verb: verb, RequestURI: uri, CredentialID: w.credential, SourceIPs: []string{w.address}}
	k.User.Name, k.User.Groups = w.user, strings.Fields(w.groups+" system:authenticated")
	parts := strings.Split(strings.TrimPrefix(uri, "/api/v1/"), "/")
	if parts[0] == "namespaces" {
		k.Namespace, parts = parts[1], parts[2:]
	}
	k.Resource = parts[0]
	if len(parts) > 1 {
		k.Name = parts[1]
	}
	if len(parts) > 2 {
		k.Subresource = parts[2]
	}
	return k
}

// A component is known by all that it has, and excused for its own work only.
func TestComponent(t *testing.T) {
	const accountGroups = "system:serviceaccounts system:serviceaccounts:kube-system"
	for _, test := range []struct {
		who
		verb, uri string
		name      string
		expected  bool
	}{
		// The API server itself, and who has its name.
		{who{"system:apiserver", masters, "", "127.0.0.1"}, "list", allOfThem, "kube-apiserver", true},
		{who{"system:apiserver", masters, "", "::1"}, "watch", allOfThem, "kube-apiserver", true},
		{who{"system:apiserver", masters, x509, "127.0.0.1"}, "list", allOfThem, "", false},
		{who{"system:apiserver", "", x509, "127.0.0.1"}, "list", allOfThem, "", false},
		{who{"system:apiserver", masters, "", "203.0.113.9"}, "list", allOfThem, "", false},

		{who{"system:kube-controller-manager", "", x509, "10.0.0.1"}, "watch", allOfThem, "kube-controller-manager", true},
		{who{"system:kube-controller-manager", "system:kube-controller-manager", x509, "10.0.0.1"}, "list", allOfThem, "kube-controller-manager", true},
		{who{"system:kube-controller-manager", masters, x509, "10.0.0.1"}, "list", allOfThem, "", false},
		{who{"system:kube-controller-manager", "developers", x509, "10.0.0.1"}, "list", allOfThem, "", false},
		{who{"system:kube-controller-manager", "", jti, "10.0.0.1"}, "list", allOfThem, "", false},
		{who{"system:kube-controller-manager", "", x509, "10.0.0.1"}, "create", "/api/v1/namespaces/shop/pods/web/exec", "kube-controller-manager", false},
		{who{"system:kube-scheduler", "", x509, "10.0.0.1"}, "list", "/api/v1/pods", "kube-scheduler", true},
		{who{"system:kube-scheduler", "", x509, "10.0.0.1"}, "get", oneOfThem, "kube-scheduler", false},

		// Controllers have tokens that no pod has.
		{who{"system:serviceaccount:kube-system:namespace-controller", accountGroups, jti, "10.0.0.1"}, "list", allOfThem, "controller of all objects", true},
		{who{"system:serviceaccount:kube-system:namespace-controller", accountGroups, x509, "10.0.0.1"}, "list", allOfThem, "", false},
		{who{"system:serviceaccount:kube-system:namespace-controller", "", jti, "10.0.0.1"}, "list", allOfThem, "", false},
		{who{"system:serviceaccount:kube-system:deployment-controller", accountGroups, jti, "10.0.0.1"}, "watch", "/api/v1/pods", "controller", true},
		{who{"system:serviceaccount:kube-system:deployment-controller", accountGroups, jti, "10.0.0.1"}, "list", allOfThem, "controller", false},
		{who{"system:serviceaccount:kube-system:expand-controller", accountGroups, jti, "10.0.0.1"}, "get", oneOfThem, "controller of volumes", true},
		{who{"system:serviceaccount:kube-system:expand-controller", accountGroups, jti, "10.0.0.1"}, "list", allOfThem, "controller of volumes", false},
		{who{"system:serviceaccount:kube-system:bootstrap-signer", accountGroups, jti, "10.0.0.1"}, "list", "/api/v1/namespaces/kube-system/secrets", "controller of bootstrap tokens", true},
		{who{"system:serviceaccount:kube-system:bootstrap-signer", accountGroups, jti, "10.0.0.1"}, "list", "/api/v1/namespaces/shop/secrets", "controller of bootstrap tokens", false},

		// Nodes: of kubeadm, of EKS with its own groups and no certificate, and who is none.
		{who{"system:node:n1", "system:nodes", x509, "10.0.0.2"}, "get", oneOfThem, "kubelet", true},
		{who{"system:node:ip-10-0-0-2.ec2.internal", "system:bootstrappers system:nodes", "", "10.0.0.2"}, "get", oneOfThem, "kubelet", true},
		{who{"system:node:fargate-ip-10-0-0-2", "system:bootstrappers system:nodes system:node-proxier", "", "10.0.0.2"}, "get", oneOfThem, "kubelet", true},
		{who{"system:node:n1", "system:nodes", x509, "10.0.0.2"}, "create", "/api/v1/namespaces/shop/serviceaccounts/web/token", "kubelet", true},
		{who{"system:node:n1", "system:nodes", x509, "10.0.0.2"}, "list", "/api/v1/namespaces/shop/secrets", "kubelet", false},
		{who{"system:node:n1", "system:nodes " + masters, x509, "10.0.0.2"}, "get", oneOfThem, "", false},
		{who{"system:node:n1", "", x509, "10.0.0.2"}, "get", oneOfThem, "", false},
		{who{"mallory", "system:nodes", x509, "10.0.0.2"}, "get", oneOfThem, "", false},

		// A node that joins needs what kubeadm has for it.
		{who{"system:bootstrap:abcdef", "system:bootstrappers system:bootstrappers:kubeadm:default-node-token", "", "10.0.0.3"}, "get", "/api/v1/namespaces/kube-system/secrets/kubeadm-certs", "joining node", true},
		{who{"system:bootstrap:abcdef", "system:bootstrappers", "", "10.0.0.3"}, "get", "/api/v1/namespaces/kube-system/configmaps/kubelet-config", "joining node", true},
		{who{"system:bootstrap:abcdef", "system:bootstrappers", "", "10.0.0.3"}, "get", "/api/v1/namespaces/kube-system/secrets/other", "joining node", false},
		{who{"system:bootstrap:abcdef", "system:bootstrappers", x509, "10.0.0.3"}, "get", "/api/v1/namespaces/kube-system/secrets/kubeadm-certs", "", false},

		// Supervisors that may do all ask the API server of their own host.
		{who{"system:k3s-supervisor", masters, x509, "127.0.0.1"}, "watch", allOfThem, "k3s supervisor", true},
		{who{"system:k3s-supervisor", masters, "", "127.0.0.1"}, "watch", allOfThem, "k3s supervisor", true},
		{who{"system:k3s-supervisor", masters, x509, "203.0.113.9"}, "watch", allOfThem, "", false},
		{who{"system:k3s-supervisor", "", x509, "127.0.0.1"}, "watch", allOfThem, "", false},
		{who{"system:rke2-supervisor", masters, x509, "::1"}, "list", allOfThem, "RKE2 supervisor", true},
		{who{"system:admin", masters, x509, "127.0.0.1"}, "watch", allOfThem, "older supervisor of k3s or RKE2", true},
		{who{"system:admin", masters, x509, "127.0.0.1"}, "list", allOfThem, "older supervisor of k3s or RKE2", false},
		{who{"system:admin", masters, x509, "203.0.113.9"}, "watch", allOfThem, "", false},
		{who{"kubernetes-admin", "kubeadm:cluster-admins", x509, "127.0.0.1"}, "list", allOfThem, "", false},
		{who{"talos:admin", masters, x509, "127.0.0.1"}, "get", oneOfThem, "Talos", true},
		{who{"talos:admin", masters, x509, "127.0.0.1"}, "list", allOfThem, "Talos", false},

		{who{"system:control-plane-node-admin", masters, x509, "::1"}, "list", "/api/v1/namespaces/openshift-kube-apiserver/secrets", "certificate syncer", true},
		{who{"system:control-plane-node-admin", masters, x509, "::1"}, "list", "/api/v1/namespaces/shop/secrets", "certificate syncer", false},

		{who{"eks:addon-manager", "", "", "54.1.2.3"}, "list", allOfThem, "EKS add-on manager", true},
		{who{"eks:addon-manager", "developers", "", "54.1.2.3"}, "list", allOfThem, "", false},
		{who{"eks:k8s-metrics", "", x509, "10.0.0.1"}, "list", allOfThem, "EKS control plane", false},
		{who{"eks:support-engineer", "", "", "54.1.2.3"}, "list", allOfThem, "", false},
		{who{"system:addon-manager", "", "", "::1"}, "list", allOfThem, "GKE add-on manager", true},
		{who{"system:addon-manager", "", x509, "10.0.0.9"}, "list", allOfThem, "", false},
		{who{"system:gke-common-webhooks", "", "", "10.0.0.1"}, "list", "/api/v1/configmaps", "GKE control plane", true},
		{who{"system:gke-common-webhooks", "", "", "10.0.0.1"}, "list", allOfThem, "GKE control plane", false},
		{who{"system:gke-common-webhooks", "", x509, "10.0.0.1"}, "list", "/api/v1/configmaps", "", false},
		{who{"system:apiserver", "", "", "::1"}, "list", allOfThem, "kube-apiserver of GKE", true},
		{who{"system:apiserver", "", "", "203.0.113.9"}, "list", allOfThem, "", false},
		{who{"service-123@container-engine-robot.iam.gserviceaccount.com", "", "", "10.0.0.1"}, "list", "/api/v1/pods", "GKE service agent", true},
		{who{"service-123@container-engine-robot.iam.gserviceaccount.com", "", "", "10.0.0.1"}, "list", allOfThem, "GKE service agent", false},
		{who{"service-123@container-engine-robot.iam.gserviceaccount.com.example.com", "", "", "10.0.0.1"}, "list", "/api/v1/pods", "", false},
		{who{"kubelet-bootstrap", "", x509, "10.0.0.1"}, "get", oneOfThem, "", false},
		{who{"aksService", masters, x509, "10.0.0.1"}, "list", allOfThem, "AKS control plane", true},
		{who{"aksService", "", x509, "10.0.0.1"}, "list", allOfThem, "", false},
		{who{"masterclient", masters, x509, "10.0.0.1"}, "list", allOfThem, "", false},
	} {
		k := test.event(test.verb, test.uri)
		name, expected := "", false
		if c := ComponentOf(k); c != nil {
			name, expected = c.Name(), c.Does(Operation(k).Name, k)
		}
		if name != test.name || expected != test.expected {
			t.Errorf("%+v, %s %s: is %q, expected %t, want %q, %t", test.who, test.verb, test.uri, name, expected, test.name, test.expected)
		}
	}
}

// Whoever acts as someone else is no component, and neither is a pod that runs as a
// controller's account.
func TestNoComponent(t *testing.T) {
	k := who{"system:kube-controller-manager", "", x509, "10.0.0.1"}.event("list", allOfThem)
	k.Impersonated.Name = "system:admin"
	if c := ComponentOf(k); c != nil {
		t.Errorf("one that impersonates is %q", c.Name())
	}
	k = who{"system:serviceaccount:kube-system:namespace-controller", "system:serviceaccounts system:serviceaccounts:kube-system", jti, "10.0.0.1"}.event("list", allOfThem)
	k.TokenPod = "mine"
	if c := ComponentOf(k); c != nil {
		t.Errorf("a pod is %q", c.Name())
	}
}

// No component may do what only people and attackers do.
func TestNoComponentEntersPods(t *testing.T) {
	for i := range components {
		for _, operation := range []string{
			"pod.exec", "pod.attach", "pod.debug", "pod.portforward", "pod.proxy", "pod.logs", "service.proxy", "node.proxy", "apiserver.logs",
		} {
			if components[i].Does(operation, &event.Kubernetes{Namespace: "kube-system", Name: "x"}) {
				t.Errorf("%s may do %s", components[i].name, operation)
			}
		}
	}
}

// A name of an account is an account's only with its token and groups.
func TestServiceAccount(t *testing.T) {
	const user, groups = "system:serviceaccount:shop:web", "system:serviceaccounts system:serviceaccounts:shop"
	for _, test := range []struct {
		who
		want bool
	}{
		{who{user: user, groups: groups, credential: jti}, true},
		{who{user: user, groups: groups}, true},
		{who{user: user, groups: groups, credential: x509}, false},
		{who{user: user}, false},
		{who{user: user, groups: "system:serviceaccounts system:serviceaccounts:other"}, false},
		{who{user: "web", groups: groups, credential: jti}, false},
	} {
		namespace, name := ServiceAccount(test.event("list", allOfThem))
		if got := namespace == "shop" && name == "web"; got != test.want || !got && namespace+name != "" {
			t.Errorf("%+v is the account %s/%s", test.who, namespace, name)
		}
	}
}

// No user with the same groups is of two components, which would make the order of the
// table decide, and every row says where it is from.
func TestComponents(t *testing.T) {
	for user, of := range componentsByUser {
		for i, c := range of {
			if slices.ContainsFunc(of[:i], func(other *Component) bool { return slices.Equal(other.groups, c.groups) }) {
				t.Errorf("%s is of two components", user)
			}
		}
	}
	for _, c := range components {
		if u, err := url.Parse(c.source); err != nil || u.Scheme != "https" || u.Host == "" {
			t.Errorf("the source of %s is %q", c.name, c.source)
		}
		if c.duties == 0 || len(c.users) == 0 {
			t.Errorf("the row of %s says nothing", c.name)
		}
	}
}

// distributionsPage is docs/distributions.md without its table.
const distributionsPage = `<!-- Made by make generate from plugin/kubernetes/components.go: do not edit. -->

# Kubernetes by distribution

Every distribution of Kubernetes has users of its own that read secrets and request tokens all day. They are known by what
nobody can borrow: their user, groups, kind of credential and address together, as the API server found them. A user name
alone is nobody, because whoever may approve a certificate can have any; a User-Agent never counts. Who fits a row of
these tables has it as ` + "`kube.component.name`" + `; rules leave it out as long as it does what the row says
(` + "`kube.component.expected`" + `), and judge all else that it does as they judge a stranger. No row enters pods, reads their logs
or goes through a proxy.

Nobody has ` + "`system:masters`" + ` by a certificate that the cluster signed, because the API server refuses to sign one. All other
certificates can be forged by who may approve requests for them or has the key of the CA: with it, an attacker is the
controller manager, and no log can tell.

People have no row. ` + "`kubernetes-admin`" + ` (kubeadm, with the group ` + "`kubeadm:cluster-admins`" + `; k0s and EKS with
` + "`system:masters`" + `), ` + "`kubernetes-super-admin`" + ` (kubeadm), ` + "`system:admin`" + ` (k3s, RKE2, OpenShift), ` + "`admin`" + ` (MicroK8s, Talos),
` + "`masterclient`" + ` and ` + "`clusterAdmin`" + ` (AKS), ` + "`kube:admin`" + ` (OpenShift) and ` + "`eks:support-engineer`" + ` are whoever has the
credential; of ` + "`system:admin`" + ` see the next section. Put people on the list user_known_engineers by their own names instead.

What comes with a credential of a node has a rule of its own, *Kubernetes Node Identity Misused*, unless it is a kubelet that
asks for something by its name. The list kubelet_agents has what kubelets call themselves: ` + "`kubelet`" + `, on Windows
` + "`kubelet.exe`" + `, within one program ` + "`k3s`" + `, ` + "`rke2`" + `, ` + "`k0s`" + ` and ` + "`kubelite`" + ` (MicroK8s), and ` + "`virtual-kubelet`" + `.

## What reaches Falco

| distribution | how | what is different |
| --- | --- | --- |
| kubeadm, k3s, RKE2, k0s, MicroK8s, Talos, OpenShift | webhook or file, see [kubernetes-audit.md](kubernetes-audit.md) | nothing |
| Amazon EKS | ` + "`k8saudit-eks`" + `, from CloudWatch | the events as they are, but those above 256 KiB, which are lost; a node has no certificate but an IAM role, and the group ` + "`system:bootstrappers`" + ` |
| Azure AKS | ` + "`k8saudit-aks`" + `, from Event Hubs | the events as they are; choose the category ` + "`kube-audit`" + `, because ` + "`kube-audit-admin`" + ` has no reads |
| OVHcloud | ` + "`k8saudit-ovh`" + `, from Logs Data Platform | the events as they are; no users of its own are known |
| Google GKE | ` + "`k8saudit-gke`" + `, from Cloud Logging | made from Google's own audit log: no answer but the decision, no groups, no query, and so no command of an exec, no selector and no credential; switch on Data Access logs, because reads are nowhere else |

MicroK8s, and Windows nodes wherever they run, have the users of Kubernetes itself. On k3s and RKE2 of before June 2023 the
supervisor is ` + "`system:admin`" + `, as people are: what it watches on the API server's own host is left out, what it lists is not. The
controllers of k0s are ` + "`kubernetes-admin`" + `, and are not told from people either: describe what they read in the macro
user_known_kube_act.

## Software that reads the secrets of all namespaces

What people install beside it is no part of a distribution, and its names are those of the chart and the namespace that they
chose. The lists user_known_* have the service accounts of official manifests. These of charts in their usual namespaces read all
secrets as well, and raise *Kubernetes Secrets Listed Across All Namespaces* until they are on a list. Copy those that you have:

` + "```yaml" + `
- list: user_known_operator_accounts
  items:
    - "system:serviceaccount:cattle-fleet-system:fleet-controller"
    - "system:serviceaccount:cattle-system:rancher"
    - "system:serviceaccount:keda:keda-operator"
    - "system:serviceaccount:kyverno:kyverno-background-controller"
    - "system:serviceaccount:kyverno:kyverno-cleanup-controller"
    - "system:serviceaccount:longhorn-system:longhorn-service-account"
    - "system:serviceaccount:reflector:reflector"
    - "system:serviceaccount:reloader:reloader-reloader"
    - "system:serviceaccount:traefik:traefik"
  override:
    items: append
` + "```" + `

An informer of metadata only, as Kyverno and the garbage collector have, looks like one that reads the values: which of both an
answer holds is in the request's Accept header, and no audit event has that. The same is true of the table that
` + "`kubectl get secrets`" + ` shows.
`

// TestDistributionsPage makes docs/distributions.md.
func TestDistributionsPage(t *testing.T) {
	var page strings.Builder
	page.WriteString(distributionsPage)
	for i, c := range components {
		if i == 0 || c.distribution != components[i-1].distribution {
			fmt.Fprintf(&page, "\n## %s\n\n| component | user | groups | credential | from | does | within | source |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n", c.distribution)
		}
		groups := slices.Clone(c.groups)
		if c.accounts {
			groups = []string{"those of a service account"}
		}
		for _, group := range c.also {
			groups = append(groups, group+" or not")
		}
		from := "anywhere"
		if c.local {
			from = "the API server's own host"
		}
		var does []string
		for d, name := range dutyNames {
			if c.duties&(1<<d) != 0 {
				does = append(does, name)
			}
		}
		cell := func(values []string) string { return strings.Join(values, "<br>") }
		host, _ := url.Parse(c.source)
		fmt.Fprintf(&page, "| %s | %s | %s | %s | %s | %s | %s | [%s](%s) |\n",
			c.name, cell(code(c.users)), cell(groups), credentialNames[c.credential], from, strings.Join(does, ", "), c.within, host.Host, c.source)
	}
	generated.Compare(t, "../../docs/distributions.md", []byte(page.String()))
}

// code returns texts as Markdown shows names.
func code(texts []string) []string {
	var all []string
	for _, text := range texts {
		all = append(all, "`"+text+"`")
	}
	return all
}
