// SPDX-License-Identifier: Apache-2.0

package history

import (
	"cmp"
	"net/netip"
	"strconv"
	"strings"

	"github.com/containerapi/containerapi/plugin/docker"
	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/kubernetes"
	"github.com/containerapi/containerapi/plugin/operation"
	"github.com/containerapi/containerapi/plugin/state"
)

// subject is who did what, as profiles know it.
type subject struct {
	class state.Class
	id    state.ID
	// account reports that it is a service account, software that it is one, a node, a
	// part of Kubernetes or a program that uses Docker.
	account, software bool
	// bound is the identity of what the credential is bound to, where that is known to
	// have one address.
	bound   state.ID
	isBound bool

	operation, credential string
	// done reports that it was done, and not just tried.
	done bool
	// namespace is that of the act, "" for all and for what has none; reach how far
	// that is for the identity.
	namespace string
	reach     reach
	// command is that of an exec, masked: another one is another act.
	command string
	// object is what can hold a credential, of this resource, "" if the act is about
	// many.
	resource, object string

	// process is what did it, 0 if that is not known.
	process uint64
	client  string
	// address is that of the peer, the zero Addr if it is not known.
	address netip.Addr
	// kind is the kind of the credential with the workload that it is bound to.
	kind string
}

// reach is how far an act goes.
type reach uint8

const (
	// own is the namespace of the service account itself, or a person's any.
	own reach = iota
	// named is another namespace.
	named
	all
)

// kubernetesSubject returns who made a request to Kubernetes. The strings are those of
// the event.
func (h *History) kubernetesSubject(e *event.Event, done bool) subject {
	k := &e.Kubernetes
	s := subject{
		class:      state.Kubernetes,
		operation:  e.Operation,
		credential: e.Credential,
		done:       done,
		namespace:  k.Namespace,
		command:    k.Command,
		resource:   k.Resource,
		object:     k.Name,
		client:     kubernetes.Client(k.UserAgent),
		kind:       credentialKind(k),
	}
	s.address, _ = netip.ParseAddr(k.Peer())
	s.address = s.address.Unmap().WithZone("")
	if k.Impersonated.Name != "" && !k.ImpersonationDenied {
		s.class = state.Impersonated
		s.id = h.identity(s.class, userOf(k), k.Impersonated.Name)
	} else {
		s.id = h.identity(s.class, userOf(k))
	}
	ns, _ := kubernetes.ServiceAccount(k)
	s.account = ns != "" && s.class == state.Kubernetes
	s.software = s.class == state.Kubernetes && (s.account || strings.HasPrefix(k.User.Name, "system:"))
	if s.account {
		switch {
		case k.Namespace == "":
			s.reach = all
		case k.Namespace != ns:
			s.reach = named
		}
	}
	if e.Credential == string(operation.None) && k.Resource != "secrets" {
		s.object = ""
	}
	switch node := strings.HasPrefix(k.User.Name, "system:node:"); {
	case s.account && k.TokenPod != "":
		s.bound, s.isBound = h.identity(state.Bearer, k.User.Name, k.TokenPod, k.TokenPodUID), true
	case node && k.CredentialID != "":
		// A machine that is made again under its name has another certificate.
		s.bound, s.isBound = h.identity(state.Bearer, k.User.Name, k.CredentialID), true
	}
	return s
}

// userOf returns what tells the user of a request from others: one that only has the
// name of another is someone else.
func userOf(k *event.Kubernetes) string {
	if forged := kubernetes.Contradictions(k); forged != 0 {
		return k.User.Name + " " + strconv.FormatUint(uint64(forged), 16)
	}
	return k.User.Name
}

// isOwnSecret reports whether the act is about one secret of the account's namespace.
func (s *subject) isOwnSecret() bool {
	return s.account && s.reach == own && s.resource == "secrets"
}

// dockerSubject returns who made a request to Docker.
func (h *History) dockerSubject(e *event.Event, done bool) subject {
	d := &e.Docker
	c := &d.Client
	s := subject{class: state.Docker, operation: e.Operation, credential: e.Credential, command: d.Command, process: c.PID, done: done, software: true}
	// What a container is made from stays the same when it is made again.
	container := c.Container.ID
	switch {
	case c.Image.Verified && c.Verified:
		container = docker.Repository(c.Container.Image)
	case c.Image.ID != "" && c.Verified:
		container = c.Image.ID
	}
	s.id = h.identity(s.class, c.ExePath, strconv.FormatBool(c.Verified), strconv.FormatInt(c.UID, 10), container, c.Addr, d.Daemon)
	if e.Credential != string(operation.None) {
		s.object = cmp.Or(d.Container.Name, d.Container.ID)
	}
	switch {
	case c.InContainer:
		s.command = ""
	case e.Credential == string(operation.Filesystem):
		// On the host, where people work, each container is told of.
		s.namespace = s.object
	}
	return s
}

// credentialKind returns the kind of the credential that a request was made with, and
// for the token of a pod which workload's pod that is.
func credentialKind(k *event.Kubernetes) string {
	if k.TokenPod != "" {
		return "pod " + workload(k.TokenPod)
	}
	kind, _, _ := strings.Cut(k.CredentialID, "=")
	return kind
}

// workload returns what the name of a pod says of the workload that it is of: without
// the parts that are generated for each pod, and for each run of a job. See
// SimpleNameGenerator in k8s.io/apiserver/pkg/storage/names: five of these letters; the
// hash of a template has up to ten of them.
func workload(pod string) string {
	const generated = "bcdfghjklmnpqrstvwxz2456789"
	for range 3 {
		i := strings.LastIndexByte(pod, '-')
		if i <= 0 {
			break
		}
		last := pod[i+1:]
		number := strings.Trim(last, "0123456789") == ""
		random := len(last) >= 5 && len(last) <= 10 && strings.Trim(last, generated) == ""
		if !number && !random {
			break
		}
		pod = pod[:i]
	}
	return pod
}

// network returns what of an address stays the same for software that moves, and for
// people at home and at work: a cluster's pods, a provider's customers.
func network(a netip.Addr) netip.Prefix {
	bits := 48
	if a.Is4() {
		bits = 16
	}
	p, _ := a.Prefix(bits)
	return p
}

// isPublic reports whether an address is of the Internet.
func isPublic(a netip.Addr) bool {
	return a.IsValid() && !a.IsPrivate() && !a.IsLoopback() && !a.IsLinkLocalUnicast() && !shared.Contains(a)
}

// shared is for carriers' and clouds' own use: EKS and GKE give it to pods. See RFC 6598.
var shared = netip.MustParsePrefix("100.64.0.0/10")
