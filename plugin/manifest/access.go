// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"slices"
	"strings"

	"github.com/containerapi/containerapi/plugin/jsonscan"
)

// What an object lets others do or see.
const (
	everything       = "everything"          // all verbs on all resources, or cluster-admin
	secrets          = "secrets"             // to read secrets
	tokens           = "tokens"              // to have tokens issued
	exec             = "exec"                // to run commands in pods, or to attach to them
	nodeProxy        = "node_proxy"          // to reach kubelets
	proxy            = "proxy"               // to reach pods and services through the API server
	workloads        = "workloads"           // to make pods, which can mount what their namespace has
	escalate         = "escalate"            // to give oneself what one does not have
	impersonate      = "impersonate"         // to act as others
	certificates     = "certificates"        // to approve or sign certificates
	admission        = "admission"           // to see what others write
	roleAdmin        = "admin"               // the ClusterRole admin
	roleEdit         = "edit"                // the ClusterRole edit
	roleView         = "view"                // the ClusterRole view
	roleSystem       = "system_role"         // a ClusterRole of a part of Kubernetes
	toAnonymous      = "to_anonymous"        // it is for everyone, with or without a credential
	toAll            = "to_everyone"         // it is for everyone with a credential, or every service account
	toMasters        = "to_masters"          // it is for system:masters
	clientCert       = "client_certificate"  // for the API server, which takes it as an identity
	nodeCert         = "node_certificate"    // of a kubelet, as a client
	servingCert      = "serving_certificate" // of a kubelet, as a server
	otherCert        = "other_certificate"   // of another signer
	accountToken     = "service_account_token"
	bootstrapToken   = "bootstrap_token"
	seesSecrets      = "sees_secrets"     // admission that is shown secrets or tokens
	secretParameter  = "secret_parameter" // an admission policy that is given a Secret
	driverTokens     = "pod_tokens"       // a CSI driver that is given the tokens of pods
	anySigner        = "kubernetes.io/"
	signerClient     = anySigner + "kube-apiserver-client"
	signerNode       = anySigner + "kube-apiserver-client-kubelet"
	signerServing    = anySigner + "kubelet-serving"
	signerLegacy     = anySigner + "legacy-unknown"
	groupMasters     = "system:masters"
	groupAnonymous   = "system:unauthenticated"
	userAnonymous    = "system:anonymous"
	groupAll         = "system:authenticated"
	groupAllAccounts = "system:serviceaccounts"
)

var grantWords = []string{
	everything, secrets, tokens, exec, nodeProxy, proxy, workloads, escalate, impersonate, certificates, admission,
	roleAdmin, roleEdit, roleView, roleSystem, toAnonymous, toAll, toMasters,
	clientCert, nodeCert, servingCert, otherCert, accountToken, bootstrapToken, seesSecrets, secretParameter, driverTokens,
}

// rule is one of a role, or of an admission webhook or policy.
type rule struct{ groups, verbs, resources, operations []string }

// accessMembers are the members of roles, bindings, certificate requests, admission
// configuration and access reviews that say something. From k8s.io/api: rbac/v1,
// certificates/v1, admissionregistration/v1, authorization/v1, storage/v1.
func (r *Reader) accessMembers() map[string]*jsonscan.Node {
	text := func(to *string) *jsonscan.Node { return &jsonscan.Node{String: func(s string) { *to = s }} }
	rules := &jsonscan.Node{Element: &jsonscan.Node{
		Begin:   func(bool) { r.rule = rule{} },
		End:     r.endRule,
		Members: r.ruleMembers(),
	}}
	return map[string]*jsonscan.Node{
		"rules":         rules, // of a role, of an admission webhook
		"resourceRules": rules, // of an admission policy
		"roleRef":       {Members: map[string]*jsonscan.Node{"name": text(&r.role)}},
		"subjects": {Element: &jsonscan.Node{Members: map[string]*jsonscan.Node{
			"name": {String: r.addSubject},
		}}},
		"signerName": {String: r.addSigner},
		"paramKind": {Members: map[string]*jsonscan.Node{"kind": {String: func(kind string) {
			if kind == "Secret" {
				r.grants[secretParameter] = true
			}
		}}}},
		"tokenRequests": {Element: &jsonscan.Node{Begin: func(bool) { r.grants[driverTokens] = true }}},
		"user":          text(&r.review.user),
		"resourceAttributes": {Members: map[string]*jsonscan.Node{
			"resource": text(&r.review.resource), "subresource": text(&r.review.subresource),
		}},
	}
}

// ruleMembers are the members of a rule.
func (r *Reader) ruleMembers() map[string]*jsonscan.Node {
	list := func(to *[]string) *jsonscan.Node {
		return &jsonscan.Node{Element: &jsonscan.Node{String: func(s string) {
			if len(*to) < maxPaths {
				*to = append(*to, s)
			} else {
				r.unread = true
			}
		}}}
	}
	return map[string]*jsonscan.Node{
		"apiGroups": list(&r.rule.groups), "verbs": list(&r.rule.verbs), "resources": list(&r.rule.resources),
		"operations": list(&r.rule.operations),
	}
}

// endPatchedRule takes what the value of a JSON patch gives, if it is a rule.
func (r *Reader) endPatchedRule() {
	if len(r.rule.resources) > 0 {
		r.endRule()
	}
}

func (r *Reader) addSubject(name string) {
	switch {
	case name == userAnonymous, name == groupAnonymous:
		r.grants[toAnonymous] = true
	case name == groupAll, name == groupAllAccounts, strings.HasPrefix(name, groupAllAccounts+":"):
		r.grants[toAll] = true
	case name == groupMasters:
		r.grants[toMasters] = true
	}
}

func (r *Reader) addSigner(name string) {
	switch name {
	case signerClient, signerLegacy:
		r.grants[clientCert] = true
	case signerNode:
		r.grants[nodeCert] = true
	case signerServing:
		r.grants[servingCert] = true
	default:
		r.grants[otherCert] = true
	}
}

// bind takes what a binding's role gives. What a role of another name gives is not in
// the binding.
func (r *Reader) bind() {
	switch {
	case r.role == "cluster-admin":
		r.grants[everything] = true
	case r.role == "admin":
		r.grants[roleAdmin] = true
	case r.role == "edit":
		r.grants[roleEdit] = true
	case r.role == "view":
		r.grants[roleView] = true
	case strings.HasPrefix(r.role, "system:") && !slices.Contains(harmlessRoles, r.role):
		r.grants[roleSystem] = true
	}
}

// harmlessRoles are those roles of Kubernetes itself that give away nothing.
var harmlessRoles = []string{
	"system:basic-user", "system:discovery", "system:public-info-viewer", "system:service-account-issuer-discovery",
	"system:auth-delegator", "system:monitoring", "system:heapster", "system:node-problem-detector", "system:volume-scheduler",
}

// powers are what rights on resources lead to. A resource that is empty stands for
// any; a verb counts as all verbs do where the list is empty.
var powers = []struct {
	what      string
	groups    []string
	resources []string
	verbs     []string
}{
	{secrets, []string{""}, []string{"secrets"}, []string{"get", "list", "watch", "patch", "delete", "deletecollection"}},
	{secrets, []string{"oauth.openshift.io"}, []string{"oauthaccesstokens", "oauthauthorizetokens", "oauthclients"}, []string{"get", "list", "watch", "patch"}},
	{secrets, []string{"image.openshift.io"}, []string{"imagestreams/secrets"}, []string{"get", "list"}},
	{tokens, []string{""}, []string{"serviceaccounts/token"}, []string{"create"}},
	{exec, []string{""}, []string{"pods/exec", "pods/attach", "pods/ephemeralcontainers"}, []string{"create", "get", "update", "patch"}},
	{nodeProxy, []string{""}, []string{"nodes/proxy"}, nil},
	{proxy, []string{""}, []string{"pods/proxy", "services/proxy", "pods/portforward"}, nil},
	{workloads, []string{"", "apps", "batch", "extensions"}, []string{
		"pods", "deployments", "daemonsets", "statefulsets", "replicasets", "replicationcontrollers", "jobs", "cronjobs",
	}, []string{"create", "update", "patch"}},
	{escalate, []string{"rbac.authorization.k8s.io"}, []string{"roles", "clusterroles"}, []string{"escalate", "bind"}},
	{escalate, []string{"security.openshift.io"}, []string{"securitycontextconstraints"}, []string{"use", "create", "update", "patch"}},
	{impersonate, []string{"", "authentication.k8s.io"}, []string{"users", "groups", "serviceaccounts", "uids", "userextras/scopes"}, []string{"impersonate"}},
	{certificates, []string{"certificates.k8s.io"}, []string{"certificatesigningrequests/approval"}, []string{"update", "patch"}},
	{certificates, []string{"certificates.k8s.io"}, []string{"signers"}, []string{"approve", "sign"}},
	{admission, []string{"admissionregistration.k8s.io"}, []string{
		"mutatingwebhookconfigurations", "validatingwebhookconfigurations", "validatingadmissionpolicies",
		"validatingadmissionpolicybindings", "mutatingadmissionpolicies", "mutatingadmissionpolicybindings",
	}, []string{"create", "update", "patch"}},
}

// endRule takes what a rule gives.
func (r *Reader) endRule() {
	rule := &r.rule
	if len(rule.operations) > 0 {
		if matches(rule.groups, "") && (names(rule.resources, "secrets") || names(rule.resources, "serviceaccounts/token")) {
			r.grants[seesSecrets] = true
		}
		return
	}
	if slices.Contains(rule.verbs, "*") && slices.Contains(rule.resources, "*") && slices.Contains(rule.groups, "*") {
		r.grants[everything] = true
	}
	for _, p := range powers {
		if slices.ContainsFunc(p.groups, func(g string) bool { return matches(rule.groups, g) }) &&
			slices.ContainsFunc(p.resources, func(x string) bool { return names(rule.resources, x) }) &&
			(p.verbs == nil || slices.ContainsFunc(p.verbs, func(v string) bool { return matches(rule.verbs, v) })) {
			r.grants[p.what] = true
		}
	}
}

// matches reports whether a list has a word, or a star for all.
func matches(list []string, word string) bool {
	return slices.Contains(list, word) || slices.Contains(list, "*")
}

// names reports whether a list names a resource, or stands for it. See
// ResourceMatches in k8s.io/kubernetes/pkg/apis/rbac/v1, and for admission rules
// Matcher in k8s.io/apiserver/pkg/admission/plugin/webhook/predicates/rules.
func names(list []string, resource string) bool {
	if matches(list, resource) || slices.Contains(list, "*/*") {
		return true
	}
	base, sub, ok := strings.Cut(resource, "/")
	if !ok {
		return slices.Contains(list, base+"/*")
	}
	return slices.Contains(list, "*/"+sub) || slices.Contains(list, base+"/*")
}

// patchBinding takes what a JSON patch writes into a binding.
func (r *Reader) patchBinding(last string, texts []string) {
	for _, name := range texts {
		r.addSubject(name)
	}
	if last == "roleRef" || last == "name" && len(texts) > 0 {
		r.role = texts[0]
	}
}

// patchRule takes what a JSON patch writes into a rule whose other members are not in
// the request: it counts as what it can be at worst. A whole rule is read as in a
// role, for its members stand in the value.
func (r *Reader) patchRule(last string, texts []string) {
	all := []string{"*"}
	r.rule = rule{groups: all, verbs: all, resources: all}
	switch last {
	case "verbs":
		r.rule.verbs = texts
	case "resources":
		r.rule.resources = texts
	case "apiGroups":
		r.rule.groups = texts
	default:
		return
	}
	r.endRule()
	// What is not said counts as all of it only together with what is.
	delete(r.grants, everything)
	if slices.Contains(texts, "*") {
		r.grants[everything] = true
	}
}
