// SPDX-License-Identifier: Apache-2.0

package field

import (
	"fmt"
	"time"
)

// holder is who has a certificate: a node or a person.
type holder struct {
	name, user string
	groups     []any
	agent      string
	// home is the address that it works at, other that of another of its kind.
	home, other string
	// day are the requests of its days.
	day []Request
	// worst is what a thief asks.
	worst Request
}

// holders are those whose certificates are stolen.
var holders = []holder{
	{
		name: "a node", user: "system:node:worker-%d", groups: []any{"system:nodes", "system:authenticated"},
		agent: "kubelet/v1.34.2 (linux/amd64) kubernetes/8cc511e", home: itsNode, other: "10.0.0.12",
		day: []Request{
			{Verbs: []string{"list", "watch"}, Resource: "pods"},
			{Verbs: []string{"get"}, Resource: "pods", Namespace: "shop", Object: "web"},
			{Verbs: []string{"get", "watch"}, Resource: "secrets", Namespace: "shop", Object: "database"},
			{Verbs: []string{"get", "watch"}, Resource: "configmaps", Namespace: "shop", Object: "kube-root-ca.crt"},
			{Verbs: []string{"create"}, Resource: "serviceaccounts/token", Namespace: "shop", Object: "web"},
		},
		worst: Request{Resource: "secrets", Namespace: "shop", Object: "database"},
	},
	{
		name: "a person", user: "engineer-%d@example.com", groups: []any{"developers", "system:authenticated"},
		agent: kubectlAgent, home: "198.51.100.20", other: "198.51.100.21",
		day: []Request{
			{Verbs: []string{"list"}, Resource: "pods", Namespace: "shop"},
			{Verbs: []string{"get"}, Resource: "pods/log", Namespace: "shop", Object: "web"},
			{Verbs: []string{"list"}, Resource: "configmaps", Namespace: "shop"},
			{Verbs: []string{"get"}, Resource: "secrets", Namespace: "shop", Object: "database"},
		},
		worst: Request{Resource: "secrets", Namespace: "shop", Object: "database"},
	},
}

// certificateTheft is one way to use a stolen certificate.
type certificateTheft struct {
	name, differs string
	client        func(h holder) client
	// verb and request are what is asked; the worst that the holder asks itself if there
	// is none.
	verb    string
	request *Request
}

var certificateThefts = []certificateTheft{
	{name: "curl, from outside", differs: "address, client", client: func(holder) client { return client{address: outside, agent: curlAgent} }},
	{name: "client-go, from outside", differs: "address, client", client: func(holder) client { return client{address: outside, agent: clientGoAgent} }},
	{name: "its User-Agent, from outside", differs: "address", client: func(h holder) client { return client{address: outside, agent: h.agent} }},
	{name: "curl, from a pod", differs: "address, client", client: func(holder) client { return client{address: otherPod, agent: curlAgent} }},
	{name: "its User-Agent, from a pod", differs: "address", client: func(h holder) client { return client{address: otherPod, agent: h.agent} }},
	{name: "its User-Agent, from another of its kind", differs: "address", client: func(h holder) client { return client{address: h.other, agent: h.agent} }},
	{name: "curl, in its place", differs: "client", client: func(h holder) client { return client{address: h.home, agent: curlAgent} }},
	{name: "its User-Agent, in its place, all secrets", differs: "scope", client: func(h holder) client { return client{address: h.home, agent: h.agent} },
		verb: "list", request: &Request{Resource: "secrets"}},
	{name: "its User-Agent, in its place, execs into a pod", differs: "act", client: func(h holder) client { return client{address: h.home, agent: h.agent} },
		verb: "create", request: &Request{Resource: "pods/exec", Namespace: "kube-system", Object: "etcd-node-1"}},
}

// life is what the holder does for two days, and then a thief. Its name has a number, so
// that each theft has a holder of its own.
func (h holder) life(t certificateTheft, n int, id string) []Event {
	user := fmt.Sprintf(h.user, n)
	credential := fmt.Sprintf("X509SHA256=%x", unique("certificate", id))
	var events []Event
	add := func(verb string, r Request, by client, at time.Time, phase string) {
		e := Software{Agent: h.agent}.event(verb, r)
		e["auditID"] = fmt.Sprintf("%s/%s/%d", id, phase, len(events))
		e["user"] = map[string]any{"username": user, "groups": h.groups}
		by.credential = credential
		e.at(at)
		e.by(by)
		events = append(events, e)
	}
	home := client{address: h.home, agent: h.agent}
	for _, hour := range []int{0, 1, 3, 9, 24, 27, 33} {
		for i, r := range h.day {
			for _, verb := range r.Verbs {
				add(verb, r, home, hours(hour).Add(time.Duration(i)*time.Second), "before")
			}
		}
	}
	verb, request := "get", h.worst
	if t.request != nil {
		verb, request = t.verb, *t.request
	}
	add(verb, request, t.client(h), hours(35), "act 0")
	return events
}
