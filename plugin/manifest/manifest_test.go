// SPDX-License-Identifier: Apache-2.0

package manifest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/containerapi/containerapi/plugin/manifest"
)

// reader has read the objects of the tests before: nothing of them may be left.
var reader = manifest.NewReader()

// read reads an object in pieces of a length.
func read(text string, piece int) manifest.Given {
	r := reader
	r.Reset()
	for len(text) > 0 {
		n := min(piece, len(text))
		r.Write([]byte(text[:n]))
		text = text[n:]
	}
	return r.Given()
}

// TestGiven reads objects in the forms in which they come.
func TestGiven(t *testing.T) {
	pod := func(spec string) string {
		return `{"kind":"Pod","apiVersion":"v1","metadata":{"annotations":{"a":"{\"hostPID\":true}"}},"spec":` + spec + `}`
	}
	role := func(rule string) string { return `{"kind":"Role","rules":[` + rule + `]}` }
	binding := func(role, subject string) string {
		return `{"kind":"ClusterRoleBinding","subjects":[{"kind":"Group","name":"` + subject + `"}],"roleRef":{"kind":"ClusterRole","name":"` + role + `"}}`
	}
	for _, tt := range []struct{ name, text, exposes, grants, account, reads string }{
		{name: "plain", text: pod(`{"containers":[{"name":"a","image":"b","env":[{"name":"x","value":"hostPID"}],"command":["privileged"]}]}`)},
		{name: "host", text: pod(`{"hostPID":true,"hostIPC":true,"hostNetwork":true}`), exposes: "host_pid host_ipc host_network"},
		{name: "root", text: pod(`{"volumes":[{"name":"h","hostPath":{"path":"/"}}]}`), exposes: "host_root"},
		{name: "socket", text: pod(`{"volumes":[{"hostPath":{"path":"/var/run/docker.sock"}},{"hostPath":{"path":"/run/containerd/containerd.sock"}}]}`), exposes: "docker_socket runtime_socket"},
		{name: "kubelet", text: pod(`{"volumes":[{"hostPath":{"path":"/var/lib/kubelet/pki"}}]}`), exposes: "credentials"},
		{name: "harmless path", text: pod(`{"volumes":[{"hostPath":{"path":"/var/log/app"}}]}`)},
		{name: "privileged", text: pod(`{"initContainers":[{"securityContext":{"privileged":true}}]}`), exposes: "privileged"},
		{name: "not privileged", text: pod(`{"containers":[{"securityContext":{"privileged":false}}]}`)},
		{name: "host process", text: pod(`{"securityContext":{"windowsOptions":{"hostProcess":true}}}`), exposes: "privileged"},
		{name: "capability", text: pod(`{"containers":[{"securityContext":{"capabilities":{"add":["NET_RAW","SYS_ADMIN"]}}}]}`), exposes: "capabilities"},
		{name: "dropped capability", text: pod(`{"containers":[{"securityContext":{"capabilities":{"drop":["ALL"]}}}]}`)},
		{name: "unconfined", text: pod(`{"securityContext":{"appArmorProfile":{"type":"Unconfined"}}}`), exposes: "unconfined"},
		{name: "unmasked", text: pod(`{"containers":[{"securityContext":{"procMount":"Unmasked"}}]}`), exposes: "unconfined"},
		{name: "secret volume", text: pod(`{"volumes":[{"secret":{"secretName":"x"}}]}`), exposes: "secret"},
		{name: "projected secret", text: pod(`{"volumes":[{"projected":{"sources":[{"secret":{"name":"x"}}]}}]}`), exposes: "secret"},
		{name: "variable", text: pod(`{"containers":[{"env":[{"name":"p","valueFrom":{"secretKeyRef":{"name":"x","key":"p"}}}]}]}`), exposes: "secret"},
		{name: "variables", text: pod(`{"containers":[{"envFrom":[{"secretRef":{"name":"x"}}]}]}`), exposes: "secret"},
		{name: "configmap", text: pod(`{"containers":[{"envFrom":[{"configMapRef":{"name":"x"}}]}],"volumes":[{"configMap":{"name":"x"}}]}`)},
		{name: "store", text: pod(`{"volumes":[{"csi":{"driver":"secrets-store.csi.k8s.io"}}]}`), exposes: "secret"},
		{name: "token", text: pod(`{"volumes":[{"projected":{"sources":[{"serviceAccountToken":{"path":"t","audience":"vault"}}]}}]}`), exposes: "token"},
		{name: "account", text: pod(`{"serviceAccountName":"admin"}`), exposes: "account", account: "admin"},
		{name: "own account", text: pod(`{"serviceAccountName":"default","serviceAccount":"default"}`), account: "default"},
		{name: "pull secret", text: pod(`{"imagePullSecrets":[{"name":"registry"}]}`)},
		{name: "ephemeral container", text: `{"spec":{"ephemeralContainers":[{"image":"busybox","securityContext":{"privileged":true}}]}}`, exposes: "privileged"},
		{name: "cron job", text: `{"kind":"CronJob","spec":{"jobTemplate":{"spec":{"template":{"spec":{"hostPID":true,"serviceAccountName":"x"}}}}}}`, exposes: "host_pid account", account: "x"},
		{name: "merge patch", text: `{"spec":{"template":{"spec":{"hostIPC":true}}}}`, exposes: "host_ipc"},
		{name: "volume", text: `{"kind":"PersistentVolume","spec":{"hostPath":{"path":"/etc/kubernetes"}}}`, exposes: "credentials"},
		{name: "local volume", text: `{"kind":"PersistentVolume","spec":{"local":{"path":"/dev/sda1"}}}`, exposes: "devices"},

		{name: "command", text: pod(`{"containers":[{"command":["cat","/var/run/secrets/kubernetes.io/serviceaccount/token"]}]}`), reads: "token"},
		{name: "arguments before the command", text: pod(`{"initContainers":[{"args":["-c","env"],"name":"a","command":["sh"]}]}`), reads: "environment"},
		{name: "arguments for an image's command", text: pod(`{"containers":[{"args":["--listen=$(POD_IP):80"]}]}`)},
		{name: "commands of two containers", text: pod(`{"containers":[{"command":["cat"]},{"args":["/etc/hosts"],"env":[{"name":"command","value":"env"}]}]}`)},
		{name: "a path for an image's command", text: pod(`{"containers":[{"args":["/root/.aws/credentials"]}]}`), reads: "credential"},
		{name: "unseen command", text: `{"kind":"CronJob","spec":{"jobTemplate":{"spec":{"template":{"spec":{"containers":[{"command":["sh","-c","curl x | sh"]}]}}}}}}`, reads: "opaque"},
		{name: "hook", text: pod(`{"containers":[{"command":["nginx"],"lifecycle":{"postStart":{"exec":{"command":["cat","/root/.aws/credentials"]}}}}]}`), reads: "credential"},
		{name: "JSON patch of a command", text: `[{"op":"add","path":"/spec/containers/0/command","value":["env"]}]`, reads: "environment"},

		{name: "JSON patch", text: `[{"op":"add","path":"/spec/template/spec/hostPID","value":true}]`, exposes: "host_pid"},
		{name: "JSON patch, value first", text: `[{"value":true,"path":"/spec/template/spec/hostPID","op":"replace"}]`, exposes: "host_pid"},
		{name: "JSON patch to false", text: `[{"op":"add","path":"/spec/template/spec/hostPID","value":false}]`},
		{name: "JSON patch that removes", text: `[{"op":"remove","path":"/spec/template/spec/volumes/0/secret"}]`},
		{name: "JSON patch of a spec", text: `[{"op":"add","path":"/spec/template/spec","value":{"hostNetwork":true,"volumes":[{"secret":{"secretName":"x"}}]}}]`, exposes: "host_network secret"},
		{name: "JSON patch of a volume", text: `[{"op":"add","path":"/spec/volumes/-","value":{"name":"h","hostPath":{"path":"/"}}}]`, exposes: "host_root"},
		{name: "JSON patch of volumes", text: `[{"op":"add","path":"/spec/volumes","value":[{"name":"h","hostPath":{"path":"/"}}]}]`, exposes: "host_root"},
		{name: "JSON patch of a path", text: `[{"op":"replace","path":"/spec/volumes/0/hostPath/path","value":"/"}]`, exposes: "host_root"},
		{name: "JSON patch to a path", text: `[{"op":"replace","path":"/spec/volumes/0/hostPath","value":{"path":"/"}}]`, exposes: "host_root"},
		{name: "JSON patch of a secret", text: `[{"op":"add","path":"/spec/volumes/0/secret/secretName","value":"x"}]`, exposes: "secret"},
		{name: "JSON patch of a variable", text: `[{"op":"add","path":"/spec/containers/0/env/-","value":{"name":"a","valueFrom":{"secretKeyRef":{"name":"x","key":"y"}}}}]`, exposes: "secret"},
		{name: "JSON patch of variables", text: `[{"op":"add","path":"/spec/containers/0/envFrom","value":[{"secretRef":{"name":"x"}}]}]`, exposes: "secret"},
		{name: "JSON patch of an account", text: `[{"op":"add","path":"/spec/template/spec/serviceAccountName","value":"x"}]`, exposes: "account", account: "x"},
		{name: "JSON patch of privileges", text: `[{"op":"add","path":"/spec/containers/0/securityContext","value":{"privileged":true}}]`, exposes: "privileged"},
		{name: "JSON patch of a privilege", text: `[{"op":"add","path":"/spec/containers/0/securityContext/privileged","value":true}]`, exposes: "privileged"},
		{name: "JSON patch of capabilities", text: `[{"op":"add","path":"/spec/containers/0/securityContext/capabilities","value":{"add":["ALL"]}}]`, exposes: "capabilities"},
		{name: "JSON patch of a capability", text: `[{"op":"add","path":"/spec/containers/0/securityContext/capabilities/add/-","value":"ALL"}]`, exposes: "capabilities"},
		{name: "JSON patch of a rule", text: `[{"op":"add","path":"/rules/-","value":{"apiGroups":[""],"resources":["secrets"],"verbs":["get"]}}]`, grants: "secrets"},
		{name: "JSON patch of rules", text: `[{"op":"replace","path":"/rules","value":[{"apiGroups":["*"],"resources":["*"],"verbs":["*"]}]}]`,
			grants: "everything secrets tokens exec node_proxy proxy workloads escalate impersonate certificates admission"},
		{name: "JSON patch of a resource", text: `[{"op":"add","path":"/rules/0/resources/-","value":"secrets"}]`, grants: "secrets"},
		{name: "JSON patch of a subject", text: `[{"op":"add","path":"/subjects/-","value":{"kind":"User","name":"system:anonymous"}}]`, grants: "to_anonymous"},
		{name: "JSON patch of a label", text: `[{"op":"add","path":"/metadata/labels/hostPID","value":true}]`},

		{name: "read secrets", text: role(`{"apiGroups":[""],"resources":["secrets"],"verbs":["list"]}`), grants: "secrets"},
		{name: "write secrets", text: role(`{"apiGroups":[""],"resources":["secrets"],"verbs":["create"]}`)},
		{name: "read a group's own", text: role(`{"apiGroups":["example.com"],"resources":["*"],"verbs":["*"]}`)},
		{name: "read all of core", text: role(`{"apiGroups":[""],"resources":["*"],"verbs":["get"]}`), grants: "secrets exec node_proxy proxy"},
		{name: "read pods", text: role(`{"apiGroups":[""],"resources":["pods","services"],"verbs":["get","list","watch"]}`)},
		{name: "issue tokens", text: role(`{"apiGroups":[""],"resources":["serviceaccounts/*"],"verbs":["create"]}`), grants: "tokens"},
		{name: "exec", text: role(`{"apiGroups":[""],"resources":["pods/exec"],"verbs":["get"]}`), grants: "exec"},
		{name: "any exec", text: role(`{"apiGroups":[""],"resources":["*/exec"],"verbs":["create"]}`), grants: "exec"},
		{name: "kubelets", text: role(`{"apiGroups":[""],"resources":["nodes/proxy"],"verbs":["get"]}`), grants: "node_proxy"},
		{name: "bind", text: role(`{"apiGroups":["rbac.authorization.k8s.io"],"resources":["clusterroles"],"verbs":["bind"]}`), grants: "escalate"},
		{name: "impersonate", text: role(`{"apiGroups":[""],"resources":["users"],"verbs":["impersonate"]}`), grants: "impersonate"},
		{name: "approve", text: role(`{"apiGroups":["certificates.k8s.io"],"resources":["signers"],"verbs":["approve"]}`), grants: "certificates"},
		{name: "make jobs", text: role(`{"apiGroups":["batch"],"resources":["jobs"],"verbs":["create"]}`), grants: "workloads"},
		{name: "webhooks", text: role(`{"apiGroups":["admissionregistration.k8s.io"],"resources":["validatingwebhookconfigurations"],"verbs":["patch"]}`), grants: "admission"},
		{name: "metrics", text: role(`{"nonResourceURLs":["/metrics"],"verbs":["get"]}`)},
		{name: "cluster-admin", text: binding("cluster-admin", "x"), grants: "everything"},
		{name: "view", text: binding("view", "x"), grants: "view"},
		{name: "own role", text: binding("mine", "x")},
		{name: "delegator", text: binding("system:auth-delegator", "x")},
		{name: "to a part", text: binding("system:kube-controller-manager", "x"), grants: "system_role"},
		{name: "to anonymous", text: binding("mine", "system:unauthenticated"), grants: "to_anonymous"},
		{name: "to all accounts", text: binding("mine", "system:serviceaccounts"), grants: "to_everyone"},

		{name: "client certificate", text: `{"kind":"CertificateSigningRequest","spec":{"request":"LS0t","signerName":"kubernetes.io/kube-apiserver-client"}}`, grants: "client_certificate"},
		{name: "node certificate", text: `{"spec":{"signerName":"kubernetes.io/kube-apiserver-client-kubelet"}}`, grants: "node_certificate"},
		{name: "serving certificate", text: `{"spec":{"signerName":"kubernetes.io/kubelet-serving"}}`, grants: "serving_certificate"},
		{name: "certificate of another", text: `{"spec":{"signerName":"example.com/ca"}}`, grants: "other_certificate"},
		{name: "token secret", text: `{"kind":"Secret","metadata":{"annotations":{"kubernetes.io/service-account.name":"web"}},"type":"kubernetes.io/service-account-token"}`, grants: "service_account_token"},
		{name: "plain secret", text: `{"kind":"Secret","data":{"type":"kubernetes.io/service-account-token"},"type":"Opaque"}`},
		{name: "webhook", text: `{"kind":"MutatingWebhookConfiguration","webhooks":[{"rules":[{"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE"],"resources":["secrets"]}]}]}`, grants: "sees_secrets"},
		{name: "webhook for all", text: `{"webhooks":[{"rules":[{"apiGroups":["*"],"operations":["*"],"resources":["*/*"]}]}]}`, grants: "sees_secrets"},
		{name: "webhook for pods", text: `{"webhooks":[{"rules":[{"apiGroups":[""],"operations":["CREATE"],"resources":["pods"]}]}]}`},
		{name: "policy", text: `{"spec":{"paramKind":{"apiVersion":"v1","kind":"Secret"}}}`, grants: "secret_parameter"},
		{name: "policy with secrets", text: `{"spec":{"matchConstraints":{"resourceRules":[{"apiGroups":[""],"operations":["CREATE"],"resources":["secrets"]}]}}}`, grants: "sees_secrets"},
		{name: "driver", text: `{"kind":"CSIDriver","spec":{"tokenRequests":[{"audience":""}]}}`, grants: "pod_tokens"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, piece := range []int{1, 7, 1 << 20} {
				g := read(tt.text, piece)
				if got := strings.Join(g.Exposes, " "); got != tt.exposes {
					t.Errorf("exposes %q, want %q", got, tt.exposes)
				}
				if got := strings.Join(g.Grants, " "); got != tt.grants {
					t.Errorf("grants %q, want %q", got, tt.grants)
				}
				if got := strings.Join(g.Reads.Names(), " "); got != tt.reads {
					t.Errorf("reads %q, want %q", got, tt.reads)
				}
				if g.Account != tt.account {
					t.Errorf("runs as %q, want %q", g.Account, tt.account)
				}
				if g.Unread {
					t.Error("was not read")
				}
			}
		})
	}
}

func TestReview(t *testing.T) {
	g := read(`{"kind":"SubjectAccessReview","spec":{"resourceAttributes":{"verb":"get","resource":"nodes","subresource":"proxy","name":"n"},"user":"system:serviceaccount:shop:web"}}`, 9)
	if g.ReviewUser != "system:serviceaccount:shop:web" || g.ReviewResource != "nodes/proxy" {
		t.Errorf("got %+v", g)
	}
}

// What cannot be read is said.
func TestUnread(t *testing.T) {
	paths := func(n int) string {
		var b strings.Builder
		b.WriteString(`{"spec":{"volumes":[`)
		for i := range n {
			if i > 0 {
				b.WriteString(",")
			}
			fmt.Fprintf(&b, `{"hostPath":{"path":"/%d"}}`, i)
		}
		return b.String() + `]}}`
	}
	for name, text := range map[string]string{
		"not JSON":    "apiVersion: v1\nkind: Pod\n",
		"cut":         `{"spec":{"hostPID":tr`,
		"nothing":     "",
		"copied":      `[{"op":"copy","from":"/metadata/annotations/x","path":"/spec/serviceAccountName"}]`,
		"many paths":  paths(1000),
		"a long name": `{"spec":{"serviceAccountName":"` + strings.Repeat("x", 2<<20) + `"}}`,
	} {
		if g := read(text, 4096); !g.Unread {
			t.Errorf("%s counts as read: %+v", name, g)
		}
	}
	if g := read(paths(100), 4096); g.Unread {
		t.Error("a hundred paths are not read")
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(`{"spec":{"volumes":[{"hostPath":{"path":"/"}}]}}`))
	f.Add([]byte(`[{"op":"add","path":"/rules/-","value":{"verbs":["*"]}}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		whole, pieces := manifest.NewReader(), manifest.NewReader()
		whole.Write(text)
		for i := range text {
			pieces.Write(text[i : i+1])
		}
		if a, b := fmt.Sprint(whole.Given()), fmt.Sprint(pieces.Given()); a != b {
			t.Errorf("%s as a whole, %s in pieces", a, b)
		}
	})
}
