// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"slices"
	"strings"
	"testing"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/event/eventtest"
)

// A user is of the kind that all its parts make it, and what does not fit is named.
// Groups do not include system:authenticated where they begin with a "!".
func TestKind(t *testing.T) {
	const (
		web, webGroups         = "system:serviceaccount:shop:web", "system:serviceaccounts system:serviceaccounts:shop"
		controller, kubeGroups = "system:serviceaccount:kube-system:deployment-controller", "system:serviceaccounts system:serviceaccounts:kube-system"
		none                   = "!"
	)
	for _, test := range []struct {
		user, groups, credential, pod string
		kind, contradictions          string
	}{
		// Service accounts: with a token of today, of before 1.30, of a secret, as managed
		// clusters tell of them.
		{web, webGroups, jti, "web-1", KindServiceAccount, ""},
		{web, webGroups, jti, "", KindServiceAccount, ""},
		{web, webGroups, "", "web-1", KindServiceAccount, ""},
		{web, webGroups, "", "", KindServiceAccount, ""},
		{web, none, "", "", KindServiceAccount, ""},
		{controller, kubeGroups, jti, "", KindServiceAccount, ""},
		{"system:serviceaccount:kube-system:coredns", kubeGroups, jti, "coredns-1", KindServiceAccount, ""},
		{"system:serviceaccount:shop:deployment-controller", webGroups, jti, "mine", KindServiceAccount, ""},

		// Who only has their name.
		{web, "", x509, "", KindCertificate, "account_by_certificate account_groups"},
		{web, webGroups, x509, "", KindCertificate, "account_by_certificate"},
		{web, none, x509, "", KindCertificate, "account_by_certificate"},
		{web, "", "", "", KindPerson, "account_groups"},
		{web, "", jti, "", KindPerson, "account_groups"},
		{web, "system:serviceaccounts:shop", jti, "", KindPerson, "account_groups"},
		{web, "system:serviceaccounts system:serviceaccounts:other", jti, "", KindPerson, "account_groups"},
		{web, webGroups + " system:serviceaccounts:other", jti, "", KindPerson, "account_groups"},
		{web, webGroups + " " + masters, jti, "", KindPerson, "account_groups"},
		{web, webGroups + " system:nodes", jti, "", KindPerson, "account_groups"},
		{"system:serviceaccount:shop", "", x509, "", KindCertificate, "account_name account_by_certificate"},
		{"system:serviceaccount:shop:web:x", webGroups, "", "", KindPerson, "account_name"},
		{"system:serviceaccount::web", webGroups, "", "", KindPerson, "account_name"},
		{"system:serviceaccount:shop:Web", webGroups, "", "", KindPerson, "account_name"},
		{"alice", webGroups, x509, "", KindCertificate, "group_of_accounts"},
		{"alice", "system:serviceaccounts:shop", "", "", KindPerson, "group_of_accounts"},
		{"alice", "system:serviceaccountants", "", "", KindPerson, ""},

		// A controller of the control plane is in no pod.
		{controller, kubeGroups, jti, "mine", KindServiceAccount, "controller_in_pod"},
		{"system:serviceaccount:openshift-infra:build-controller", "system:serviceaccounts system:serviceaccounts:openshift-infra", jti, "mine", KindServiceAccount, "controller_in_pod"},
		{controller, "", x509, "", KindCertificate, "account_by_certificate account_groups"},

		// Nodes.
		{"system:node:n1", "system:nodes", x509, "", KindNode, ""},
		{"system:node:n1", "system:nodes", "", "", KindNode, ""},
		{"system:node:ip-10-0-0-2.ec2.internal", "system:bootstrappers system:nodes eks:kube-proxy-windows", "", "", KindNode, ""},
		{"system:node:gke-n1", none, "", "", KindNode, ""},
		{"system:node", "system:nodes", x509, "", KindNode, ""},
		{"system:node:n1", "", x509, "", KindCertificate, "node_groups"},
		{"system:node:n1", "developers", "", "", KindPerson, "node_groups"},
		{"system:nodes", "", x509, "", KindCertificate, ""},
		{"mallory", "system:nodes", x509, "", KindCertificate, "group_of_nodes"},
		{"system:node:", "system:nodes", x509, "", KindCertificate, "group_of_nodes"},

		// The control plane, and who has its name.
		{"system:kube-controller-manager", "", x509, "", KindControlPlane, ""},
		{"system:kube-controller-manager", "developers", x509, "", KindCertificate, ""},
		{"system:kube-scheduler", "", jti, "", KindPerson, ""},
		{"system:apiserver", masters, "", "", KindControlPlane, ""},
		{"system:apiserver", "", "", "", KindControlPlane, ""},
		{"system:apiserver", masters, x509, "", KindCertificate, ""},
		{"system:apiserver", "", x509, "", KindCertificate, "apiserver"},
		{"system:apiserver", masters, jti, "", KindPerson, "apiserver"},
		{"eks:addon-manager", "", "", "", KindControlPlane, ""},
		{"system:gke-common-webhooks", "", "", "", KindControlPlane, ""},

		{"system:bootstrap:abcdef", "system:bootstrappers system:bootstrappers:kubeadm:default-node-token", "", "", KindBootstrap, ""},
		{"kubelet-bootstrap", "", "", "", KindBootstrap, ""},
		{"system:bootstrap:abcdef", "system:bootstrappers", x509, "", KindCertificate, "bootstrap_token"},
		{"system:bootstrap:abcdef", "", "", "", KindPerson, "bootstrap_token"},

		// People, however they sign in.
		{"kubernetes-admin", "kubeadm:cluster-admins", x509, "", KindCertificate, ""},
		{"kubernetes-admin", masters, x509, "", KindCertificate, ""},
		{"alice@example.com", "developers", "", "", KindPerson, ""},
		{"alice@example.com", "developers", jti, "", KindPerson, ""},
		{"kube:admin", "system:authenticated:oauth system:cluster-admins", "", "", KindPerson, ""},
		{"arn:aws:sts::111122223333:assumed-role/ops/olga", "", "", "", KindPerson, ""},

		{"system:anonymous", "!system:unauthenticated", "", "", KindAnonymous, ""},
		{"system:anonymous", none, "", "", KindAnonymous, ""},
		{"", none, "", "", KindAnonymous, ""},
		{"", "!system:unauthenticated", "", "", KindAnonymous, ""},
		{"system:anonymous", "", x509, "", KindCertificate, "anonymous"},
		{"system:anonymous", "", "", "", KindPerson, "anonymous"},
		{"mallory", "!system:unauthenticated", x509, "", KindCertificate, "anonymous"},
	} {
		k := &event.Kubernetes{CredentialID: test.credential, TokenPod: test.pod, SourceIPs: []string{"127.0.0.1"}}
		groups, only := strings.CutPrefix(test.groups, "!")
		k.User.Name, k.User.Groups = test.user, strings.Fields(groups)
		if !only {
			k.User.Groups = append(k.User.Groups, groupAuthenticated)
		}
		kind, contradictions := Kind(k), strings.Join(Contradictions(k).Names(), " ")
		if kind != test.kind || contradictions != test.contradictions {
			t.Errorf("%+v: is %s (%s)", test, kind, contradictions)
		}
		// Who it acts as is its own choice.
		k.Impersonated.Name, k.Impersonated.Groups = "system:node:n1", []string{masters}
		if Kind(k) != kind || strings.Join(Contradictions(k).Names(), " ") != contradictions {
			t.Errorf("%+v: is %s (%s) when it acts as someone else", test, Kind(k), Contradictions(k).Names())
		}
	}
}

// No user that an API server, or what passes its events on, wrote of honest software
// contradicts itself, and forged ones do.
func TestContradictionsOfRecordings(t *testing.T) {
	recordings := "../../e2e/testdata/recordings/"
	for _, pattern := range []string{"benign/*.jsonl.gz", "benign/distributions/*.jsonl.gz"} {
		users(t, recordings+pattern, func(k *event.Kubernetes) {
			if c := Contradictions(k); c != 0 {
				t.Errorf("%s, %q, %s, pod %s: %s", k.User.Name, k.User.Groups, k.CredentialID, k.TokenPod, c.Names())
			}
		})
	}
	var forged []string
	users(t, recordings+"attack/distributions/*.jsonl.gz", func(k *event.Kubernetes) {
		if c := Contradictions(k); c != 0 {
			forged = append(forged, strings.Clone(k.User.Name)) // the decoder uses its memory again
		}
	})
	slices.Sort(forged)
	if forged = slices.Compact(forged); len(forged) < 5 {
		t.Errorf("only %q contradict themselves", forged)
	}
}

// users calls each for the Kubernetes events of recordings.
func users(t *testing.T, pattern string, each func(*event.Kubernetes)) {
	var d event.Decoder
	for _, line := range eventtest.Recorded(t, pattern) {
		err := d.Decode(line, func(e *event.Event, err error) {
			if err != nil {
				t.Errorf("%s: %v", pattern, err)
			} else if e.Input == event.KubernetesAudit {
				each(&e.Kubernetes)
			}
		})
		if err != nil {
			t.Errorf("%s: %v", pattern, err)
		}
	}
}

// A name can be anything that a certificate says.
func FuzzContradictions(f *testing.F) {
	f.Add("system:serviceaccount:shop:web", "system:serviceaccounts system:serviceaccounts:shop", jti)
	f.Add("system:node:n1", "system:nodes", x509)
	f.Fuzz(func(t *testing.T, user, groups, credential string) {
		k := &event.Kubernetes{CredentialID: credential}
		k.User.Name, k.User.Groups = user, strings.Fields(groups)
		c := Contradictions(k)
		if namespace, name := ServiceAccount(k); name != "" {
			if user != "system:serviceaccount:"+namespace+":"+name || Kind(k) != KindServiceAccount || isCertificate(k) || c&^ControllerInPod != 0 {
				t.Errorf("%q of %q by %q is the account %s/%s, but %s, %s", user, groups, credential, namespace, name, Kind(k), c.Names())
			}
		} else if Kind(k) == KindServiceAccount {
			t.Errorf("%q of %q by %q is no account, but of the kind", user, groups, credential)
		}
	})
}
