// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/containerapi/containerapi/plugin/event"
)

// Component is a part of Kubernetes, or of a distribution of it, as the API server
// knows it: its user, groups, credential and address together. A user name alone is
// none, and a User-Agent never counts: whoever may approve a certificate can have
// any name, and anyone can send any User-Agent.
type Component struct {
	distribution, name string
	// users are the names that the API server knows it by. A * in one, or in a group or
	// namespace below, stands for anything.
	users []string
	// groups are those that it must have beside system:authenticated, also those that
	// it may have and some lack. It has no others.
	groups, also []string
	// accounts reports that the users are service accounts, which have the groups that
	// the API server gives to every one. See
	// k8s.io/apiserver/pkg/authentication/serviceaccount.
	accounts   bool
	credential credential
	// local reports that it is on the API server's own host and asks it there.
	local bool
	// within is the namespace, or the namespaces, whose secrets, configmaps and tokens
	// are its business. Empty for all.
	within string
	duties duties
	// source is a public page or file that the row is from.
	source string
}

// credential is the kind of credential that a component has.
type credential uint8

const (
	// What says nothing of it has one of several, by distribution and version.
	_ credential = iota
	// byCertificate is a client certificate.
	byCertificate
	// byAccountToken is the token of a service account.
	byAccountToken
	// byControllerToken is one that no pod has: kube-controller-manager requests it
	// for its own controllers.
	byControllerToken
	// byUnnamed is one that the API server has no id for: its own token of the loopback
	// client, a bootstrap token.
	byUnnamed
)

var credentialNames = [...]string{"any", "client certificate", "token", "token of no pod", "one without an id"}

// fits reports whether a request came with such a credential. API servers before
// 1.30, and some providers, do not say which one it was.
func (c credential) fits(k *event.Kubernetes) bool {
	id := k.CredentialID
	switch c {
	case byCertificate:
		return id == "" || strings.HasPrefix(id, "X509SHA256=")
	case byControllerToken:
		return (id == "" || strings.HasPrefix(id, "JTI=")) && k.TokenPod == ""
	case byAccountToken:
		return id == "" || strings.HasPrefix(id, "JTI=")
	case byUnnamed:
		return id == ""
	}
	return true
}

// duties are what a component does as its work.
type duties uint8

const (
	// readsSecrets is reading them all, in bulk as well.
	readsSecrets duties = 1 << iota
	// readsNamed is reading secrets and configmaps of a given name.
	readsNamed
	readsConfigMaps
	// requestsTokens is having tokens of service accounts issued.
	requestsTokens
	// looksAround is reading what there is: pods, workloads, accounts, roles, nodes.
	looksAround
	// changesObjects is writing all of these.
	changesObjects
	// joinsNodes is what a node needs to become one.
	joinsNodes
	// watchesSecrets is watching secrets and configmaps, as informers do and people hardly
	// ever: a person lists them first.
	watchesSecrets

	allDuties = readsSecrets | readsConfigMaps | requestsTokens | looksAround | changesObjects
)

var dutyNames = []string{
	"reads secrets", "reads secrets and configmaps by name", "reads configmaps", "requests tokens", "looks around", "changes objects", "joins nodes", "watches secrets and configmaps",
}

// Does reports whether a request is part of the component's work. No component
// enters pods, reads their logs, or reaches what is behind a proxy.
func (c *Component) Does(operation string, k *event.Kubernetes) bool {
	has := func(d duties) bool { return c.duties&d != 0 }
	kind, act, _ := strings.Cut(operation, ".")
	reading := act == "get" || act == "list" || act == "watch"
	switch kind {
	case "secret":
		if act == "create" || act == "update" {
			return has(changesObjects)
		}
		return c.covers(k.Namespace) && (has(readsSecrets) || has(readsNamed) && k.Name != "" || has(watchesSecrets) && act == "watch") || has(joinsNodes) && joining(k)
	case "configmap":
		if !reading {
			return has(changesObjects)
		}
		return c.covers(k.Namespace) && (has(readsConfigMaps) || has(readsNamed) && k.Name != "" || has(watchesSecrets) && act == "watch") || has(joinsNodes) && joining(k)
	case "token":
		return act == "review" || has(requestsTokens) && c.covers(k.Namespace)
	case "access":
		return true
	case "pod", "workload", "serviceaccount", "node", "persistentvolume", "rbac", "certificatesigningrequest":
		switch act {
		case "exec", "attach", "debug", "portforward", "proxy", "logs":
			return false
		}
		if reading {
			return has(looksAround)
		}
		return has(changesObjects) || has(joinsNodes) && kind == "certificatesigningrequest" && act == "create"
	case "apiserver", "service":
		return false
	}
	// What else may leak: only who reads all secrets and writes all objects.
	return has(readsSecrets) && has(changesObjects)
}

func (c *Component) covers(namespace string) bool {
	return c.within == "" || matches(c.within, namespace)
}

// joining reports whether a request is for what kubeadm has for nodes that join: the
// certificates are encrypted with a key that it shows once. See cmd/kubeadm/app in
// kubernetes/kubernetes.
func joining(k *event.Kubernetes) bool {
	return k.Namespace == "kube-system" &&
		(k.Resource == "secrets" && k.Name == "kubeadm-certs" ||
			k.Resource == "configmaps" && (k.Name == "kubeadm-config" || k.Name == "kube-proxy" || strings.HasPrefix(k.Name, "kubelet-config")))
}

// ComponentOf returns the component that made a request, or nil: its user, groups,
// credential and address are those of one, and it acted as nobody else.
func ComponentOf(k *event.Kubernetes) *Component {
	if k.Impersonated.Name != "" {
		return nil
	}
	return componentOf(k)
}

// componentOf is [ComponentOf], whomever the user acts as.
func componentOf(k *event.Kubernetes) *Component {
	for _, c := range componentsByUser[k.User.Name] {
		if c.fits(k) {
			return c
		}
	}
	for i := range componentsByPattern {
		if p := &componentsByPattern[i]; matches(p.user, k.User.Name) && p.component.fits(k) {
			return p.component
		}
	}
	return nil
}

// Name returns what a component is called, in rules and documentation.
func (c *Component) Name() string { return c.name }

func (c *Component) fits(k *event.Kubernetes) bool {
	groups := c.groups
	if c.accounts {
		namespace, _ := ServiceAccount(k)
		groups = []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace}
	}
	for _, group := range groups {
		if !slices.Contains(k.User.Groups, group) {
			return false
		}
	}
	for _, group := range k.User.Groups {
		if group != "system:authenticated" && !slices.Contains(groups, group) &&
			!slices.ContainsFunc(c.also, func(pattern string) bool { return matches(pattern, group) }) {
			return false
		}
	}
	return len(k.User.Groups) > 0 && c.credential.fits(k) && (!c.local || isLoopback(k.Peer()))
}

// matches reports whether s is the pattern, whose one * stands for anything.
func matches(pattern, s string) bool {
	prefix, suffix, ok := strings.Cut(pattern, "*")
	if !ok {
		return pattern == s
	}
	return len(s) >= len(prefix)+len(suffix) && strings.HasPrefix(s, prefix) && strings.HasSuffix(s, suffix)
}

func isLoopback(address string) bool {
	a, err := netip.ParseAddr(address)
	return err == nil && a.Unmap().IsLoopback()
}

// pattern is a name with a * of users of a component.
type pattern struct {
	user      string
	component *Component
}

// The components by the users that they are known by.
var componentsByUser, componentsByPattern = func() (map[string][]*Component, []pattern) {
	byUser, patterns := make(map[string][]*Component), []pattern(nil)
	for i := range components {
		c := &components[i]
		for _, user := range c.users {
			if strings.Contains(user, "*") {
				patterns = append(patterns, pattern{user, c})
			} else {
				byUser[user] = append(byUser[user], c)
			}
		}
	}
	return byUser, patterns
}()

// accounts returns the users of service accounts, each "namespace/name".
func accounts(names ...string) []string {
	var users []string
	for _, name := range names {
		users = append(users, "system:serviceaccount:"+strings.Replace(name, "/", ":", 1))
	}
	return users
}

// accountsOf returns the users of service accounts of one namespace.
func accountsOf(namespace string, names ...string) []string {
	var users []string
	for _, name := range names {
		users = append(users, "system:serviceaccount:"+namespace+":"+name)
	}
	return users
}
