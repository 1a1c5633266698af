// SPDX-License-Identifier: Apache-2.0

package history

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/state"
)

const learn = 24 * time.Hour

// does returns an act of cert-manager in a pod of its own, which an option changes.
func does(after time.Duration, verb string, change ...func(k *event.Kubernetes)) *event.Event {
	at := start.Add(after)
	e := &event.Event{
		Input: event.KubernetesAudit, Time: at.UnixNano(), Operation: "secret." + verb, Credential: "secret", Outcome: event.Allowed,
		Kubernetes: event.Kubernetes{
			AuditID: at.String(), Received: at.Format(time.RFC3339Nano), Stage: "ResponseComplete", Verb: verb, Resource: "secrets", Decision: "allow",
			User: event.User{Name: "system:serviceaccount:pki:certs", Groups: []string{
				"system:serviceaccounts", "system:serviceaccounts:pki", "system:authenticated",
			}},
			UserAgent: "certs/v1.14 (linux/amd64) certs", CredentialID: "JTI=1", TokenPod: "certs-7c9d4b8f6d-x2x4z", TokenPodUID: "1",
			SourceIPs: []string{"10.0.1.7"},
		},
	}
	for _, c := range change {
		c(&e.Kubernetes)
	}
	return e
}

func agent(name string) func(k *event.Kubernetes) {
	return func(k *event.Kubernetes) { k.UserAgent = name }
}
func from(address string) func(k *event.Kubernetes) {
	return func(k *event.Kubernetes) { k.SourceIPs = []string{address} }
}
func in(namespace, name string) func(k *event.Kubernetes) {
	return func(k *event.Kubernetes) { k.Namespace, k.Name = namespace, name }
}
func pod(name string) func(k *event.Kubernetes) {
	return func(k *event.Kubernetes) { k.TokenPod, k.TokenPodUID, k.CredentialID = name, name, "JTI="+name }
}
func user(name string, groups ...string) func(k *event.Kubernetes) {
	return func(k *event.Kubernetes) {
		k.User, k.TokenPod, k.TokenPodUID, k.CredentialID = event.User{Name: name, Groups: groups}, "", "", "X509SHA256="+name
	}
}

// watches is what the software does on an honest day, an hour each time: it lists all
// secrets, watches them, and reads one of its own.
func watches(h *History, begin time.Duration, hours int, change ...func(k *event.Kubernetes)) {
	for i := range hours {
		at := begin + time.Duration(i)*time.Hour
		for j, e := range []*event.Event{
			does(at, "list", change...), does(at+time.Second, "watch", change...),
			does(at+2*time.Second, "get", append(slices.Clone(change), in("pki", "ca"))...),
		} {
			if h.Observe(e); e.Seen.Deviations != 0 {
				panic(fmt.Sprint("honest act ", i, ".", j, " deviates: ", e.Seen.Deviations.Names()))
			}
		}
	}
}

func TestDeviations(t *testing.T) {
	curl := agent("curl/8.1")
	for _, test := range []struct {
		name  string
		hours int // of honest work before
		act   *event.Event
		want  []string
	}{
		{"nothing new", 30, does(30*time.Hour, "list"), nil},
		{"another pod of the same workload, elsewhere", 30, does(30*time.Hour, "list", pod("certs-7c9d4b8f6d-bbbbb"), from("10.0.9.9")), nil},
		{"its next replica set", 30, does(30*time.Hour, "list", pod("certs-5f5f5f5f5f-bbbbb"), from("10.0.9.9")), nil},
		{"the pod's other family", 30, does(30*time.Hour, "list", from("fd00::7")), nil},
		{"the pod's other family, from the Internet", 4, does(5*time.Hour, "list", from("2001:470::9")), []string{"address"}},
		{"a new pod of it, from the Internet", 4, does(5*time.Hour, "list", pod("certs-7c9d4b8f6d-bbbbb"), from("198.51.100.9")), []string{"address"}},
		{"a name of its own, with a clock that is days behind", 30, does(-50*time.Hour, "list", agent("certs-injector/v1")), []string{"client"}},
		{"a new version", 30, does(30*time.Hour, "list", agent("certs/v1.15 (linux/arm64) certs")), nil},
		{"another secret of its own", 30, does(30*time.Hour, "get", in("pki", "other")), nil},

		{"the token in another pod, soon", 1, does(2*time.Hour, "list", from("10.0.1.8")), []string{"address"}},
		{"the token in another pod, with curl", 30, does(30*time.Hour, "list", from("10.0.1.8"), curl), []string{"client", "address"}},
		{"the token in another pod, of no operation", 30, func() *event.Event {
			e := does(30*time.Hour, "get", from("10.0.1.8"))
			e.Operation, e.Credential = "other", ""
			return e
		}(), []string{"address"}},
		{"refused", 30, func() *event.Event {
			e := does(30*time.Hour, "get", from("10.0.1.8"))
			e.Outcome, e.Kubernetes.Decision = event.Denied, "forbid"
			return e
		}(), []string{"address"}},
		{"code in its own pod, after a hundred watches", 34, does(30*time.Hour, "list", curl), []string{"client"}},
		{"code in its own pod, at once", 4, does(5*time.Hour, "list", curl), []string{"client"}},
		{"a token that no pod has", 30, does(30*time.Hour, "list", pod("")), []string{"credential"}},
		{"a token that no pod has, at once", 4, does(5*time.Hour, "list", pod("")), []string{"credential"}},
		{"a pod that somebody made", 30, does(30*time.Hour, "list", pod("shell"), from("10.0.1.8")), []string{"credential"}},
		{"a new operation", 30, func() *event.Event {
			e := does(30*time.Hour, "create", in("shop", "web"))
			e.Operation, e.Credential = "pod.exec", "filesystem"
			return e
		}(), []string{"operation"}},
		{"a name of its own, still learned", 4, does(5*time.Hour, "list", agent("certs-injector/v1")), nil},
	} {
		h := New(Options{LearnFor: learn})
		watches(h, 0, test.hours)
		h.Observe(test.act)
		if got := test.act.Seen.Deviations.Names(); !slices.Equal(got, test.want) {
			t.Errorf("%s: deviations %v, want %v", test.name, got, test.want)
		}
		again := *test.act
		again.Time++
		again.Kubernetes.AuditID = "again"
		if h.Observe(&again); again.Seen.Deviations != 0 {
			t.Errorf("%s, again: deviations %v", test.name, again.Seen.Deviations.Names())
		}
	}
}

// An address that is not the pod's does not become its own by being used, and what is
// done from there is told of once.
func TestElsewhere(t *testing.T) {
	h := New(Options{LearnFor: learn})
	watches(h, 0, 2)
	for i, step := range []struct {
		act  *event.Event
		want bool
	}{
		{does(3*time.Hour, "list", from("10.0.1.8")), true},
		{does(3*time.Hour, "list", from("10.0.1.8")), false},
		{does(3*time.Hour, "get", from("10.0.1.8"), in("shop", "db")), true},
		{does(3*time.Hour, "get", from("10.0.1.8"), in("shop", "db")), false},
		{does(3*time.Hour, "list"), false},
	} {
		if h.Observe(step.act); (step.act.Seen.Deviations&event.NewAddress != 0) != step.want {
			t.Errorf("act %d: deviations %v", i, step.act.Seen.Deviations.Names())
		}
	}
}

// What has several addresses and stands between many and the API server is not what
// somebody has stolen.
func TestGates(t *testing.T) {
	node := func(i int) func(*event.Kubernetes) {
		return user(fmt.Sprint("system:node:n", i), "system:nodes", "system:authenticated")
	}
	pods := func(i int) func(*event.Kubernetes) { return pod(fmt.Sprint("certs-", i)) }
	for _, test := range []struct {
		name  string
		who   func(i int) func(*event.Kubernetes)
		gates []string
		from  string // where the last one turns up
		want  event.News
	}{
		{"pods behind two gateways", pods, []string{"198.51.100.7", "203.0.113.7"}, "203.0.113.7", 0},
		{"a pod's token beside them", pods, []string{"198.51.100.7", "203.0.113.7"}, "203.0.113.8", event.NewAddress},
		{"pods in the network of two nodes", pods, []string{"10.0.0.1", "10.0.0.2"}, "10.0.0.2", event.NewAddress},
		{"kubelets behind two load balancers", node, []string{"10.0.0.1", "10.0.0.2"}, "10.0.0.2", 0},
		{"a kubelet's certificate on another node", node, []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"}, "10.0.0.2", event.NewAddress},
	} {
		h := New(Options{LearnFor: learn})
		for i := range 7 {
			h.Observe(does(time.Duration(i)*time.Minute, "list", test.who(i), from(test.gates[i%len(test.gates)])))
		}
		e := does(time.Hour, "list", test.who(6), from(test.from))
		if h.Observe(e); e.Seen.Deviations != test.want {
			t.Errorf("%s: deviations %v", test.name, e.Seen.Deviations.Names())
		}
	}
}

// Whose credential is bound to nothing moves about.
func TestDeviationsOfOthers(t *testing.T) {
	alice := user("alice", "dev", "system:authenticated")
	node := user("system:node:n1", "system:nodes", "system:authenticated")
	legacy := func(k *event.Kubernetes) { k.TokenPod, k.TokenPodUID, k.CredentialID = "", "", "" }
	for _, test := range []struct {
		name         string
		who          func(k *event.Kubernetes)
		first, after []func(k *event.Kubernetes)
		hours        int
		want         []string
	}{
		{"at another desk", alice, nil, []func(*event.Kubernetes){from("192.0.2.9")}, 30, nil},
		{"with another client", alice, nil, []func(*event.Kubernetes){agent("k9s/v0.30")}, 30, nil},
		{"from elsewhere with another client", alice, nil, []func(*event.Kubernetes){from("192.0.2.9"), agent("curl/8")}, 30, []string{"address"}},
		{"from elsewhere with another client, on the first day", alice, nil, []func(*event.Kubernetes){from("192.0.2.9"), agent("curl/8")}, 5, nil},
		{"a node's certificate elsewhere", node, nil, []func(*event.Kubernetes){from("10.0.1.9")}, 1, []string{"address"}},
		{"a node that is made again", node, nil, []func(*event.Kubernetes){from("10.0.1.9"), func(k *event.Kubernetes) { k.CredentialID = "X509SHA256=new" }}, 30, nil},
		{"curl with a node's certificate", node, nil, []func(*event.Kubernetes){agent("curl/8")}, 5, []string{"client"}},
		{"an old token from another pod", legacy, nil, []func(*event.Kubernetes){from("10.0.200.9")}, 30, nil},
		{"an old token from outside", legacy, nil, []func(*event.Kubernetes){from("203.0.113.9")}, 5, []string{"address"}},
		{"an old token from another network", legacy, nil, []func(*event.Kubernetes){from("10.77.0.9")}, 30, []string{"address"}},
	} {
		h := New(Options{LearnFor: learn})
		watches(h, 0, test.hours, append([]func(*event.Kubernetes){test.who}, test.first...)...)
		act := does(time.Duration(test.hours)*time.Hour, "list", append([]func(*event.Kubernetes){test.who}, test.after...)...)
		h.Observe(act)
		if got := act.Seen.Deviations.Names(); !slices.Equal(got, test.want) {
			t.Errorf("%s: deviations %v, want %v", test.name, got, test.want)
		}
	}
}

// How far an account gets at credentials counts, not in how many namespaces it works.
func TestReach(t *testing.T) {
	get := func(namespaces ...string) (list []func(*event.Kubernetes)) {
		for _, ns := range namespaces {
			list = append(list, in(ns, "db"))
		}
		return list
	}
	for _, test := range []struct {
		name   string
		before []func(*event.Kubernetes)
		verb   string
		after  func(*event.Kubernetes)
		want   []string
	}{
		{"its own, then all", get("pki"), "get", in("", "x"), []string{"scope"}},
		{"its own, then another", get("pki"), "get", in("shop", "x"), []string{"scope"}},
		{"another, then one more", get("pki", "shop"), "get", in("ci", "x"), []string{"scope"}},
		{"many, then one more", get("a", "b", "c", "d"), "get", in("ci", "x"), nil},
		{"many, then all", get("a", "b", "c", "d"), "get", in("", "x"), []string{"scope"}},
		{"all, then one", []func(*event.Kubernetes){in("", "x")}, "get", in("ci", "x"), nil},
	} {
		h := New(Options{LearnFor: learn})
		for i, change := range test.before {
			h.Observe(does(time.Duration(i)*time.Second, "get", change))
		}
		act := does(25*time.Hour, test.verb, test.after)
		h.Observe(act)
		if got := act.Seen.Deviations.Names(); !slices.Equal(got, test.want) {
			t.Errorf("%s: deviations %v, want %v", test.name, got, test.want)
		}
	}
}

// Where it reads one kind of credentials is nothing to another.
func TestReachOfEach(t *testing.T) {
	h := New(Options{LearnFor: learn})
	h.Observe(does(0, "get", in("pki", "ca")))
	for i := range 9 {
		e := does(time.Duration(i)*time.Second, "get", in(fmt.Sprint("ns-", i), "settings"))
		e.Operation, e.Credential, e.Kubernetes.Resource = "configmap.get", "configmap", "configmaps"
		h.Observe(e)
	}
	e := does(25*time.Hour, "get", in("ns-0", "db"))
	if h.Observe(e); e.Seen.Deviations != event.NewScope {
		t.Errorf("deviations %v", e.Seen.Deviations.Names())
	}
}

// Software that does more than is remembered, and does it every day, is not told of
// every day.
func TestBusyDays(t *testing.T) {
	runner := func(k *event.Kubernetes) { k.TokenPod, k.TokenPodUID = "", "" }
	for _, test := range []struct {
		name string
		day  func(day time.Duration) []*event.Event
		days int
		most int // deviations in all
	}{
		{"the logs of many pods, and a secret of its own", func(day time.Duration) (es []*event.Event) {
			es = append(es, does(day, "get", in("pki", "password")))
			for i := range 1200 {
				e := does(day+time.Duration(i)*time.Second, "get", in("shop", fmt.Sprint("job-", day.Hours(), "-", i)))
				e.Operation, e.Credential, e.Kubernetes.Resource = "pod.logs", "logs", "pods"
				es = append(es, e)
			}
			return es
		}, 4, 0},
		{"more secrets of its own than are remembered", func(day time.Duration) (es []*event.Event) {
			for i := range 1500 {
				es = append(es, does(day+time.Duration(i)*10*time.Second, "get", in("pki", fmt.Sprint("secret-", i))))
			}
			return es
		}, 4, 0},
		{"a hundred operations", func(day time.Duration) (es []*event.Event) {
			for i := range 100 {
				e := does(day+time.Duration(i)*time.Second, "list", in("", ""))
				e.Operation = fmt.Sprint("kind-", i, ".list")
				es = append(es, e)
			}
			return es
		}, 4, 0},
		{"a pipeline in the cloud", func(day time.Duration) (es []*event.Event) {
			for i := range 20 {
				network := int(day/time.Hour)*7 + i
				es = append(es, does(day+time.Duration(i)*time.Minute, "list", runner, in("pki", ""), from(fmt.Sprintf("%d.%d.0.1", 20+network%5, network%256))))
			}
			return es
		}, 30, 0},
		{"a name of its own each day", func(day time.Duration) []*event.Event {
			return []*event.Event{does(day, "list", agent(fmt.Sprint("run-", day.Hours(), "/v1")))}
		}, 40, fewClients},
	} {
		h := New(Options{LearnFor: learn})
		told := 0
		for day := range test.days {
			for _, e := range test.day(time.Duration(day) * 24 * time.Hour) {
				if h.Observe(e); e.Seen.Deviations != 0 {
					told++
				}
			}
		}
		if told > test.most {
			t.Errorf("%s: %d deviations", test.name, told)
		}
	}
}

// A clock that was wrong for a moment blinds for no longer than learning takes.
func TestClockAhead(t *testing.T) {
	h := New(Options{LearnFor: learn})
	h.Observe(does(5*365*24*time.Hour, "list"))
	watches(h, 0, 30)
	e := does(30*time.Hour, "list", agent("certs-injector/v1"))
	if h.Observe(e); e.Seen.Deviations != event.NewClient {
		t.Errorf("deviations %v", e.Seen.Deviations.Names())
	}
}

// fatStore is a state in which whom others act as did very much, and nobody else anything.
type fatStore struct{ state.Memory }

func (*fatStore) Load(c state.Class, _ state.ID) (p state.Profile, ok bool, _ error) {
	if c != state.Impersonated {
		return p, false, nil
	}
	for i := range uint64(4000) {
		p.Facts = append(p.Facts, state.Fact{Kind: objectFact, Hash: i, Time: 1})
	}
	return p, true, nil
}

// Who has few profiles, each with very many facts, has those of nobody else forgotten.
func TestFactsOfOneClass(t *testing.T) {
	h := New(Options{LearnFor: learn, Store: &fatStore{}})
	const honest = 2000
	for i := range honest {
		h.Observe(does(0, "list", user(fmt.Sprint("user-", i))))
	}
	for h.keep() {
	}
	for i := range 2 * maxFacts / 4000 {
		e := does(time.Second, "list")
		e.Kubernetes.Impersonated.Name = fmt.Sprint("nobody-", i)
		h.Observe(e)
	}
	for i := range honest {
		e := does(time.Minute, "list", user(fmt.Sprint("user-", i)))
		if h.Observe(e); e.Seen.New != 0 {
			t.Fatalf("user %d is forgotten", i)
		}
	}
}

// Who reads secrets of its own by name reads those.
func TestOwnSecrets(t *testing.T) {
	for _, test := range []struct {
		name   string
		before func(h *History)
		want   []string
	}{
		{"another one", func(h *History) {}, []string{"object"}},
		{"one that it made", func(h *History) {
			e := does(24*time.Hour, "create", in("pki", "other"))
			e.Credential = ""
			h.Observe(e)
			e = does(24*time.Hour, "get", in("pki", "ca"))
			h.Observe(e)
		}, nil},
		{"one that it saw in a list", func(h *History) { h.Observe(does(time.Hour, "list", in("pki", ""))) }, nil},
	} {
		h := New(Options{LearnFor: learn})
		h.Observe(does(0, "get", in("pki", "ca")))
		test.before(h)
		act := does(25*time.Hour, "get", in("pki", "other"))
		h.Observe(act)
		if got := act.Seen.Deviations.Names(); !slices.Equal(got, test.want) {
			t.Errorf("%s: deviations %v, want %v", test.name, got, test.want)
		}
	}
}

// New software is told of once.
func TestIntroduced(t *testing.T) {
	h := New(Options{LearnFor: learn})
	for i, step := range []struct {
		verb            string
		change          func(*event.Kubernetes)
		reads, anything bool
	}{
		{"get", in("pki", "ca"), false, false},
		{"create", in("shop", "x"), false, false},
		{"list", in("", ""), false, true},
		{"get", in("shop", "x"), true, true},
	} {
		e := does(time.Duration(i)*time.Second, step.verb, step.change)
		if step.verb == "create" {
			e.Credential = ""
		}
		if h.Observe(e); e.Seen.ReadsSecrets != step.reads || e.Seen.Introduced != step.anything {
			t.Errorf("act %d: reads secrets %t, introduced %t", i, e.Seen.ReadsSecrets, e.Seen.Introduced)
		}
	}
}

// Another command is another act, the same one is told of once a day.
func TestDueCommands(t *testing.T) {
	h := New(Options{})
	exec := func(command string) bool {
		e := does(0, "create", in("shop", "db-0"))
		e.Operation, e.Credential, e.Kubernetes.Command = "pod.exec", "filesystem", command
		h.Observe(e)
		return e.Seen.Due
	}
	if !exec("pg_dump shop") || exec("pg_dump shop") || !exec("env") || exec("env") {
		t.Error("a command is not due the first time only")
	}
}

// What is done all day is told of once a day, whatever it is done by.
func TestDue(t *testing.T) {
	h := New(Options{})
	due := 0
	for minute := range 3 * 24 * 60 {
		e := does(time.Duration(minute)*time.Minute, "list")
		if h.Observe(e); e.Seen.Due {
			due++
		}
	}
	if due != 3 {
		t.Errorf("in three days %d acts were due", due)
	}
	due = 0
	for minute := range 2 * 24 * 60 {
		e := does(time.Duration(minute)*time.Minute, "list", user("mallory"))
		e.Outcome = event.Denied
		if h.Observe(e); e.Seen.Due {
			due++
		}
	}
	if due != 2 {
		t.Errorf("in two days %d acts that were denied were due", due)
	}
}

// A program that polls is told of once, one that starts a process each time a few
// times, and any process that gets at something new.
func TestDueProcesses(t *testing.T) {
	h := New(Options{LearnFor: learn})
	inspect := func(after time.Duration, pid uint64, container string) bool {
		e := &event.Event{
			Input: event.DockerAPI, Time: start.Add(after).UnixNano(), Operation: "container.inspect", Credential: "environment", Outcome: event.Allowed,
			Docker: event.Docker{Container: event.Container{Name: container}, Client: event.Client{ExePath: "/usr/bin/curl", PID: pid, Verified: true}},
		}
		h.Observe(e)
		return e.Seen.Due
	}
	count := func(n int, one func(i int) bool) (due int) {
		for i := range n {
			if one(i) {
				due++
			}
		}
		return due
	}
	for _, step := range []struct {
		name string
		n    int
		one  func(i int) bool
		want int
	}{
		{"one process", 100, func(i int) bool { return inspect(time.Duration(i)*time.Second, 1, "web") }, 1},
		{"one process, other containers", 100, func(i int) bool { return inspect(time.Duration(i)*time.Second, 1, fmt.Sprint("c", i)) }, 0},
		{"a process each", 100, func(i int) bool { return inspect(time.Duration(i)*time.Second, uint64(2+i), "web") }, 4},
		{"a process each, other containers", 10, func(i int) bool { return inspect(time.Duration(i)*time.Second, uint64(200+i), fmt.Sprint("d", i)) }, 10},
		{"the next day", 100, func(i int) bool { return inspect(25*time.Hour+time.Duration(i)*time.Second, uint64(300+i), "web") }, 1},
		{"the next day, another container", 1, func(int) bool { return inspect(26*time.Hour, 999, "database") }, 1},
	} {
		if due := count(step.n, step.one); due != step.want {
			t.Errorf("%s: %d acts are due, want %d", step.name, due, step.want)
		}
	}
}

func TestWorkload(t *testing.T) {
	for pod, want := range map[string]string{
		"certs-7c9d4b8f6d-x2x4z":       "certs",
		"certs-0":                      "certs",
		"node-exporter-x2x4z":          "node-exporter",
		"backup-28971234-x2x4z":        "backup",
		"shell":                        "shell",
		"kube-proxy-windows-amd64":     "kube-proxy-windows-amd64",
		"argocd-repo-server":           "argocd-repo-server",
		"x2x4z":                        "x2x4z",
		"external-secrets-5f5f5-x2x4z": "external-secrets",
		"":                             "",
	} {
		if got := workload(pod); got != want {
			t.Errorf("workload(%q) is %q, want %q", pod, got, want)
		}
	}
}

// memoryStore is a state.Store without a file. It fails while fails is set.
type memoryStore struct {
	mu    sync.Mutex
	kept  map[state.ID]state.Profile
	fails bool
	seed  byte
}

func (m *memoryStore) Seed() [16]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return [16]byte{m.seed}
}
func (m *memoryStore) Close() error { return nil }

func (m *memoryStore) Load(_ state.Class, id state.ID) (state.Profile, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.kept[id]
	p.Facts = slices.Clone(p.Facts)
	return p, ok, nil
}

func (m *memoryStore) Save(changed []state.Changed) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fails {
		return errors.New("the store fails")
	}
	for _, c := range changed {
		m.kept[c.ID] = c.Profile
	}
	return nil
}

// A restart makes nothing new.
func TestKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memoryStore{kept: map[state.ID]state.Profile{}, fails: true}
		run := func(work func(h *History)) {
			h := New(Options{LearnFor: learn, Store: store})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { defer close(done); h.Keep(ctx) }()
			work(h)
			cancel()
			<-done
			if err := h.Close(); err != nil {
				t.Error(err)
			}
		}
		run(func(h *History) {
			watches(h, 0, 30)
			time.Sleep(3 * time.Second)
			store.mu.Lock()
			store.fails = false
			store.mu.Unlock()
		})
		run(func(h *History) {
			e := does(31*time.Hour, "list")
			if h.Observe(e); e.Seen.First || e.Seen.New != 0 || e.Seen.KnownFor != 31*3600 || e.Seen.Days != 2 {
				t.Errorf("after a restart: %+v", e.Seen)
			}
			e = does(31*time.Hour, "list", from("10.0.1.8"))
			if h.Observe(e); e.Seen.Deviations != event.NewAddress {
				t.Errorf("after a restart, from elsewhere: %+v", e.Seen)
			}
		})
	})
}

// What memory has no room for is found again in the store, also before it is there.
func TestKeepMany(t *testing.T) {
	store := &memoryStore{kept: map[state.ID]state.Profile{}}
	h := New(Options{Store: store})
	first := func(i int) bool {
		e := does(0, "list", user(fmt.Sprint("user-", i)))
		h.Observe(e)
		return e.Seen.First
	}
	const n = maxProfiles + 1000
	for i := range n {
		if !first(i) {
			t.Fatalf("user %d is known already", i)
		}
		if i == maxProfiles+500 && first(0) {
			t.Error("who is not saved yet is forgotten")
		}
		if i%5000 == 0 {
			for h.keep() {
			}
		}
	}
	for h.keep() {
	}
	for i := 0; i < n; i += 997 {
		if first(i) {
			t.Errorf("user %d is forgotten", i)
		}
	}
	if len(h.saving) > maxProfiles || h.profiles[state.Kubernetes].lru.Len() > maxProfiles {
		t.Errorf("%d profiles in memory and %d that are saved", h.profiles[state.Kubernetes].lru.Len(), len(h.saving))
	}
}

// One identity that does very much has a profile with a bound, and the newest of it.
func TestFactsBounded(t *testing.T) {
	h := New(Options{})
	for i := range 3000 {
		e := does(time.Duration(i)*time.Second, "get", in(fmt.Sprint("ns-", i), fmt.Sprint("secret-", i)), agent(fmt.Sprint("agent-", i)), from(fmt.Sprintf("10.%d.0.1", i%256)))
		h.Observe(e)
	}
	e := does(time.Hour, "get", in("ns-2999", "secret-2999"))
	if h.Observe(e); e.Seen.New&(event.NewScope|event.NewObject) != 0 {
		t.Errorf("the last is new: %v", e.Seen.New.Names())
	}
	most := 0
	for _, n := range maxOf {
		most += n
	}
	p := h.profile(state.Kubernetes, h.identity(state.Kubernetes, e.Kubernetes.User.Name))
	if len(p.Facts) > most || h.facts > most+64 {
		t.Errorf("%d facts, %d in all, of at most %d", len(p.Facts), h.facts, most)
	}
}

// What was hashed before the store's own key was known means nothing any more.
func TestRekey(t *testing.T) {
	store := &memoryStore{kept: map[state.ID]state.Profile{}}
	h := New(Options{Store: store})
	h.Observe(does(0, "list"))
	store.mu.Lock()
	store.seed = 1
	store.mu.Unlock()
	h.keep()
	e := does(time.Minute, "list")
	if h.Observe(e); !e.Seen.First {
		t.Error("what has another key is known")
	}
	h.keep()
	if len(store.kept) != 2 { // the account and its pod
		t.Errorf("%d profiles are kept", len(store.kept))
	}
}

// Two plugins that share a store know what either saw.
func TestShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memoryStore{kept: map[state.ID]state.Profile{}}
		a, b := New(Options{Store: store}), New(Options{Store: store})
		a.isShared, b.isShared = true, true
		b.Observe(does(0, "watch"))
		a.Observe(does(0, "list"))
		a.keep()
		time.Sleep(2 * stale)
		e := does(time.Minute, "list")
		if b.Observe(e); e.Seen.First {
			t.Errorf("what the other saw is new: %+v", e.Seen)
		}
	})
}
