// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"strings"

	"github.com/containerapi/containerapi/plugin/event"
)

// The kinds of user that [Kind] tells apart, with what vouches for each.
const (
	// KindServiceAccount is a workload, by the token of its service account.
	KindServiceAccount = "serviceaccount"
	// KindNode is a kubelet, and whoever else has its node's credentials.
	KindNode = "node"
	// KindControlPlane is a part of Kubernetes or of a distribution that is neither
	// of them: see [ComponentOf].
	KindControlPlane = "control_plane"
	// KindBootstrap is a machine that is to become a node.
	KindBootstrap = "bootstrap"
	// KindCertificate is anyone else with a client certificate.
	KindCertificate = "certificate"
	// KindPerson is anyone else: a login by OpenID Connect, by a cloud's accounts or
	// by a webhook; a certificate where the API server does not say what it was.
	KindPerson = "person"
	// KindAnonymous is a request without a valid credential.
	KindAnonymous = "anonymous"
)

// Kind returns of what kind the user of a request is, decided by name, groups and
// credential together: what only has the name of another kind is of the kind that
// its credential makes it.
func Kind(k *event.Kubernetes) string {
	if Contradictions(k)&^ControllerInPod == 0 {
		switch name := k.User.Name; {
		case name == "" || name == userAnonymous:
			return KindAnonymous
		case strings.HasPrefix(name, accountPrefix):
			if byAccountToken.fits(k) {
				return KindServiceAccount
			}
		case isNodeName(name):
			return KindNode
		case strings.HasPrefix(name, bootstrapPrefix):
			return KindBootstrap
		}
		if c := componentOf(k); c != nil {
			if c.duties&joinsNodes != 0 {
				return KindBootstrap
			}
			return KindControlPlane
		}
	}
	if isCertificate(k) {
		return KindCertificate
	}
	return KindPerson
}

// Contradiction is a set of what does not fit together in a user, as an API server
// found it.
type Contradiction uint16

// What no API server finds by an honest credential. The name, groups and credential
// that each authenticator gives a user are in k8s.io/apiserver/pkg/authentication and
// in k8s.io/kubernetes/plugin/pkg/auth/authenticator/token/bootstrap. Where an event has
// no groups or no credential, those do not count.
const (
	// AccountName begins like the name of a service account, and is none's.
	AccountName Contradiction = 1 << iota
	// AccountByCertificate is the name of a service account by a client certificate.
	AccountByCertificate
	// AccountGroups is the name of a service account without its groups, or with
	// others of Kubernetes.
	AccountGroups
	// GroupOfAccounts is a group of service accounts on another name.
	GroupOfAccounts
	// ControllerInPod is the token of a controller's account that is a pod's. The
	// controller manager, where these controllers run, requests tokens of no pod.
	ControllerInPod
	// NodeGroups is the name of a node without the group of nodes.
	NodeGroups
	// GroupOfNodes is the group of nodes on another name.
	GroupOfNodes
	// BootstrapToken is the name of a bootstrap token by another credential, or
	// without its group.
	BootstrapToken
	// APIServer is the API server's own name by a token, or by a credential that does
	// not give its group.
	APIServer
	// Anonymous is the name of who has no credential with one, or that group on
	// another name.
	Anonymous
)

var contradictionNames = [...]string{
	"account_name", "account_by_certificate", "account_groups", "group_of_accounts", "controller_in_pod",
	"node_groups", "group_of_nodes", "bootstrap_token", "apiserver", "anonymous",
}

// Names returns the set's words, as rules have them, or nil.
func (c Contradiction) Names() []string {
	var names []string
	for i, name := range contradictionNames {
		if c&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// The names and groups that Kubernetes keeps for its own, by
// k8s.io/apiserver/pkg/authentication/user.
const (
	accountPrefix   = "system:serviceaccount:"
	nodePrefix      = "system:node:"
	bootstrapPrefix = "system:bootstrap:"
	userAnonymous   = "system:anonymous"
	userAPIServer   = "system:apiserver"

	groupAccounts        = "system:serviceaccounts"
	groupNodes           = "system:nodes"
	groupBootstrappers   = "system:bootstrappers"
	groupUnauthenticated = "system:unauthenticated"
	groupAuthenticated   = "system:authenticated"
)

// Contradictions returns what does not fit together in the user that made a request.
// Whom it acts as is not looked at: that is the user's own choice.
func Contradictions(k *event.Kubernetes) Contradiction {
	name := k.User.Name
	var c Contradiction
	of := func(bit Contradiction, is bool) {
		if is {
			c |= bit
		}
	}
	if strings.HasPrefix(name, accountPrefix) {
		namespace, _, ok := splitAccount(name)
		of(AccountName, !ok)
		of(AccountByCertificate, isCertificate(k))
		of(AccountGroups, ok && !areAccounts(k.User.Groups, namespace))
		of(ControllerInPod, k.TokenPod != "" && isController(name))
		return c
	}
	groups, node := groupsOf(k.User.Groups), isNodeName(name)
	of(GroupOfAccounts, groups.accounts)
	of(GroupOfNodes, groups.nodes && !node)
	of(Anonymous, groups.unauthenticated && name != "" && name != userAnonymous)
	switch {
	case node:
		of(NodeGroups, groups.known && !groups.nodes)
	case strings.HasPrefix(name, bootstrapPrefix):
		of(BootstrapToken, k.CredentialID != "" || groups.known && !groups.bootstrappers)
	case name == userAPIServer:
		// Google's log has no groups of it, and names no credential.
		of(APIServer, isToken(k) || k.CredentialID != "" && groups.known && !groups.masters)
	case name == userAnonymous:
		of(Anonymous, k.CredentialID != "" || groups.known && !groups.unauthenticated)
	}
	return c
}

// groups is which of Kubernetes' own groups a user has. It is not known where the
// event has none at all: an API server gives everyone at least one.
type groups struct {
	known, accounts, nodes, bootstrappers, masters, unauthenticated bool
}

func groupsOf(names []string) groups {
	g := groups{known: len(names) > 0}
	for _, name := range names {
		if !strings.HasPrefix(name, "system:") {
			continue
		}
		switch name {
		case groupNodes:
			g.nodes = true
		case groupBootstrappers:
			g.bootstrappers = true
		case masters:
			g.masters = true
		case groupUnauthenticated:
			g.unauthenticated = true
		default:
			g.accounts = g.accounts || strings.HasPrefix(name, groupAccounts) && (len(name) == len(groupAccounts) || name[len(groupAccounts)] == ':')
		}
	}
	return g
}

// areAccounts reports whether groups are those of the service accounts of a
// namespace, beside any that are not Kubernetes' own, or are not known.
func areAccounts(groups []string, namespace string) bool {
	all, own := false, false
	for _, name := range groups {
		of, isAccounts := strings.CutPrefix(name, groupAccounts)
		switch {
		case isAccounts && of == "":
			all = true
		case isAccounts && of[0] == ':' && of[1:] == namespace:
			own = true
		case strings.HasPrefix(name, "system:") && !strings.HasPrefix(name, groupAuthenticated):
			return false
		}
	}
	return all && own || len(groups) == 0
}

func isCertificate(k *event.Kubernetes) bool { return strings.HasPrefix(k.CredentialID, "X509SHA256=") }

func isToken(k *event.Kubernetes) bool { return strings.HasPrefix(k.CredentialID, "JTI=") }

// isNodeName reports whether a name is a node's. RKE1 gave all nodes one.
func isNodeName(name string) bool {
	return strings.HasPrefix(name, nodePrefix) && len(name) > len(nodePrefix) || name == "system:node"
}

// splitAccount returns the service account that a name is of.
func splitAccount(user string) (namespace, name string, ok bool) {
	rest, ok := strings.CutPrefix(user, accountPrefix)
	if !ok {
		return "", "", false
	}
	namespace, name, _ = strings.Cut(rest, ":")
	if !isObjectName(namespace) || !isObjectName(name) {
		return "", "", false
	}
	return namespace, name, true
}

// isObjectName reports whether Kubernetes lets a namespace or a service account be
// called so, as far as its letters tell.
func isObjectName(name string) bool {
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' {
			return false
		}
	}
	return name != ""
}

// isController reports whether a user is a service account that only controllers
// outside of pods use.
func isController(user string) bool {
	for _, c := range componentsByUser[user] {
		if c.credential == byControllerToken {
			return true
		}
	}
	return false
}
