// SPDX-License-Identifier: Apache-2.0

package history

import (
	"fmt"
	"testing"
	"time"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/state"
)

var start = time.Date(2026, 11, 22, 11, 0, 0, 0, time.UTC)

// read is alice reading the secret of this name, after a time.
func read(after time.Duration, name string) *event.Event {
	at := start.Add(after)
	return &event.Event{
		Input:      event.KubernetesAudit,
		Time:       at.UnixNano(),
		Operation:  "secret.get",
		Credential: "secret",
		Outcome:    event.Allowed,
		Kubernetes: event.Kubernetes{
			AuditID: name, Received: at.Format(time.RFC3339Nano), Stage: "ResponseComplete",
			Verb: "get", Resource: "secrets", Namespace: "shop", Name: name,
			User:         event.User{Name: "alice"},
			CredentialID: "JTI=1", SourceIPs: []string{"10.0.0.1"},
		},
	}
}

func TestFirst(t *testing.T) {
	h := New(Options{})
	tell := func(e *event.Event) bool { h.Observe(e); return e.Seen.First }
	if !tell(read(0, "a")) {
		t.Error("the first read is not the first")
	}
	if tell(read(time.Second, "b")) {
		t.Error("the second read is the first as well")
	}
	other := read(2*time.Second, "a")
	other.Kubernetes.User.Name = "bob"
	if !tell(other) {
		t.Error("another user's read is not its first")
	}
	other = read(2*time.Second, "a")
	other.Kubernetes.Namespace = "ci"
	if !tell(other) {
		t.Error("a read in another namespace is not the first there")
	}
	other = read(2*time.Second, "a")
	other.Kubernetes.Impersonated.Name = "admin"
	if !tell(other) {
		t.Error("a read as someone else is not the first")
	}
	other = read(2*time.Second, "a")
	other.Kubernetes.User.Groups = []string{"system:nodes", "system:authenticated"}
	if !tell(other) || other.Seen.Repeats != 1 {
		t.Errorf("a read of who only has the name: %+v", other.Seen)
	}
	late := read(time.Hour, "a")
	if tell(late) || late.Seen.Age != 3600 {
		t.Errorf("an hour later: %+v", late.Seen)
	}
}

// A look at what is not there makes no later read usual, and is counted apart from what
// was read: who tries names is told by their number.
func TestMissing(t *testing.T) {
	h := New(Options{})
	for i := range uint64(5) {
		e := read(time.Duration(i)*time.Second, fmt.Sprint("guess-", i))
		e.Kubernetes.Code, e.Kubernetes.Reason, e.Kubernetes.Decision = 404, "NotFound", "allow"
		if h.Observe(e); e.Seen.Objects != i+1 {
			t.Errorf("after %d names, %d are counted", i+1, e.Seen.Objects)
		}
	}
	e := read(10*time.Second, "database")
	if h.Observe(e); !e.Seen.First || e.Seen.Count != 1 {
		t.Errorf("the first that is there: %+v", e.Seen)
	}
}

// What was tried in vain must not make what succeeds later look usual.
func TestFirstAfterDenied(t *testing.T) {
	h := New(Options{})
	first := func(outcome event.Outcome) bool {
		e := read(0, "a")
		e.Outcome = outcome
		h.Observe(e)
		return e.Seen.First
	}
	for i, step := range []struct {
		outcome event.Outcome
		want    bool
	}{
		{event.Denied, true}, {event.Denied, false}, {event.Failed, false}, {event.Allowed, true}, {event.Allowed, false}, {event.Denied, false},
	} {
		if got := first(step.outcome); got != step.want {
			t.Errorf("act %d, %s: first is %t", i, step.outcome, got)
		}
	}
}

// A rule tells of three denied acts a minute, whatever else the identity does
// and wherever it tries.
func TestCountDenied(t *testing.T) {
	h := New(Options{})
	for i := range 10 {
		allowed := read(time.Duration(i)*time.Second, fmt.Sprint("a", i))
		h.Observe(allowed)
		denied := read(time.Duration(i)*time.Second, "a")
		denied.Kubernetes.Namespace, denied.Outcome = fmt.Sprint("namespace-", i), event.Denied
		h.Observe(denied)
		for _, e := range []*event.Event{allowed, denied} {
			if e.Seen.Count != uint64(i+1) || e.Seen.Objects != uint64(i+1) {
				t.Errorf("%s act %d: %+v", e.Outcome, i, e.Seen)
			}
		}
	}
}

// Who is not authenticated is told from others by the address.
func TestUnauthenticated(t *testing.T) {
	for _, user := range []string{"", "system:anonymous"} {
		h := New(Options{})
		for i := range 4 {
			e := read(0, "a")
			e.Outcome, e.Kubernetes.User.Name, e.Kubernetes.CredentialID = event.Denied, user, ""
			e.Kubernetes.SourceIPs = []string{"1.2.3.4", fmt.Sprint("10.0.0.", i/2)}
			if h.Observe(e); e.Seen.Count != uint64(i%2+1) || e.Seen.First != (i%2 == 0) {
				t.Errorf("%q, act %d: %+v", user, i, e.Seen)
			}
		}
	}
}

// All that has a name is remembered, what it can leak or not.
func TestOperations(t *testing.T) {
	h := New(Options{})
	for _, operation := range []string{"serviceaccount.list", "pod.portforward", "pod.list", "workload.list", "configmap.list", "access.review", "other", "unreadable"} {
		e := read(0, "")
		e.Operation, e.Credential = operation, ""
		h.Observe(e)
		if want := operation != "other" && operation != "unreadable"; e.Seen.Known != want || e.Seen.First != want || e.Seen.Sources != 1 {
			t.Errorf("%s: %+v", operation, e.Seen)
		}
	}
}

// Who is denied one object again and again hides no other one by that, and who asks to
// act as many is one identity, which has nothing forgotten that was done.
func TestDenied(t *testing.T) {
	h := New(Options{})
	denied := func(object, as string) event.History {
		e := read(0, object)
		e.Outcome, e.Kubernetes.Impersonated.Name, e.Kubernetes.ImpersonationDenied = event.Denied, as, as != ""
		h.Observe(e)
		return e.Seen
	}
	for i := range 5 {
		if got := denied("junk", ""); got.Repeats != uint64(i+1) || got.Objects != 1 {
			t.Errorf("try %d: %+v", i, got)
		}
	}
	if got := denied("target", ""); got.Repeats != 1 || got.Objects != 2 {
		t.Errorf("another object: %+v", got)
	}
	done := read(0, "a")
	h.Observe(done)
	for i := range 2 * maxBursts {
		got := denied("target", fmt.Sprint("admin-", i))
		if want := uint64(min(i+3, maxActs)); got.First || got.Repeats != 1 || i < 50 && got.Objects != want {
			t.Fatalf("as %d: %+v", i, got)
		}
	}
	again := read(time.Second, "a")
	if h.Observe(again); again.Seen.First {
		t.Error("what was done is forgotten")
	}
}

// docker ps -q | xargs -n1 docker inspect is a process for each container.
func TestDocker(t *testing.T) {
	h := New(Options{})
	inspect := func(i int, container string, change func(*event.Docker)) event.History {
		e := &event.Event{Input: event.DockerAPI, Time: start.Add(time.Duration(i) * time.Second).UnixNano(), Operation: "container.inspect", Outcome: event.Allowed}
		e.Docker.Client = event.Client{PID: uint64(100 + i), ExePath: "/usr/bin/docker", UID: 1000}
		e.Docker.Container.ID = container
		e.Docker.Request.Path = fmt.Sprintf("/containers/%d/json", i)
		change(&e.Docker)
		h.Observe(e)
		return e.Seen
	}
	same := func(*event.Docker) {}
	for i := range 5 {
		if got := inspect(i, fmt.Sprint("c", i), same); got.Count != uint64(i+1) || got.Objects != uint64(i+1) || got.First != (i == 0) {
			t.Errorf("container %d: %+v", i, got)
		}
	}
	// The same container under another of its names.
	if got := inspect(5, "c0", same); got.Count != 6 || got.Objects != 5 {
		t.Errorf("once more: %+v", got)
	}
	for name, change := range map[string]func(*event.Docker){
		"executable": func(d *event.Docker) { d.Client.ExePath = "/usr/bin/curl" },
		"user":       func(d *event.Docker) { d.Client.UID = 0 },
		"container":  func(d *event.Docker) { d.Client.Container.ID = "agent" },
		"address":    func(d *event.Docker) { d.Client = event.Client{Addr: "10.0.0.1"} },
		"other":      func(d *event.Docker) { d.Client = event.Client{Addr: "10.0.0.2"} },
	} {
		if got := inspect(6, "c1", change); !got.First || got.Count != 1 {
			t.Errorf("another %s: %+v", name, got)
		}
	}
	if got := inspect(7, "c2", func(d *event.Docker) { d.Client = event.Client{Addr: "10.0.0.2"} }); got.First || got.Objects != 2 {
		t.Errorf("the same address: %+v", got)
	}
}

func TestCounts(t *testing.T) {
	h := New(Options{})
	for i := range 200 {
		e := read(time.Duration(i)*100*time.Millisecond, fmt.Sprint("secret-", i%20))
		h.Observe(e)
		want := event.History{Known: true, First: i == 0, Due: i == 0, Days: 1, KnownFor: uint64(i / 10), Age: uint64(i / 10), Sources: 1, New: e.Seen.New, Count: uint64(min(i+1, maxActs)), Objects: uint64(min(i+1, 20)), Repeats: uint64(min(i/20+1, 4))}
		if e.Seen != want {
			t.Fatalf("read %d: got %+v, want %+v", i, e.Seen, want)
		}
	}
	e := read(10*time.Minute, "secret-0")
	if h.Observe(e); e.Seen.Count != 1 || e.Seen.Objects != 1 {
		t.Errorf("after the window: %+v", e.Seen)
	}
}

func TestSources(t *testing.T) {
	h := New(Options{})
	var e *event.Event
	for i := range 40 {
		e = read(time.Duration(i)*time.Second, "a")
		e.Kubernetes.SourceIPs = []string{"1.2.3.4", fmt.Sprint("10.0.0.", i/2)}
		if h.Observe(e); e.Seen.Sources != uint64(min(i/2+1, maxSources)) {
			t.Fatalf("use %d: %d sources", i, e.Seen.Sources)
		}
	}
	e = read(3*time.Hour, "a")
	if h.Observe(e); e.Seen.Sources != 1 {
		t.Errorf("after the window: %d sources", e.Seen.Sources)
	}
	e = read(3*time.Hour, "a")
	e.Kubernetes.CredentialID = ""
	if h.Observe(e); e.Seen.Sources != 0 {
		t.Errorf("%d sources of no credential", e.Seen.Sources)
	}
}

// One act must be one alert: a stream tells of itself when it starts and when
// it ends.
func TestRepeated(t *testing.T) {
	stage := func(stage, subresource, id string) *event.Event {
		e := read(0, "pod")
		e.Kubernetes.Stage, e.Kubernetes.Subresource, e.Kubernetes.AuditID = stage, subresource, id
		e.Kubernetes.RequestURI = "/api/v1/namespaces/shop/pods/pod/" + subresource
		return e
	}
	for _, subresource := range []string{"exec", "attach", "portforward", "log", "proxy"} {
		h := New(Options{})
		announced := stage("RequestReceived", subresource, "1")
		announced.Outcome = event.Pending
		started, ended := stage("ResponseStarted", subresource, "1"), stage("ResponseComplete", subresource, "1")
		h.Observe(announced)
		h.Observe(started)
		h.Observe(ended)
		if started.Repeated || !ended.Repeated {
			t.Errorf("%s: started repeated: %t, ended repeated: %t", subresource, started.Repeated, ended.Repeated)
		}
		// Clients choose audit ids: another request may not hide behind one.
		hidden := stage("ResponseStarted", subresource, "1")
		hidden.Kubernetes.RequestURI += "?command=cat"
		if h.Observe(hidden); hidden.Repeated {
			t.Errorf("%s: another request with the same audit id is taken for the same", subresource)
		}
		// A policy may leave out the start.
		only := stage("ResponseComplete", subresource, "2")
		if h.Observe(only); only.Repeated {
			t.Errorf("%s: an end without a start is taken for a repetition", subresource)
		}
	}
}

// What is remembered has a bound, whatever comes.
func TestBounded(t *testing.T) {
	h := New(Options{})
	for i := range maxReported + 5000 {
		e := read(time.Duration(i)*time.Millisecond, "pod")
		e.Kubernetes.User.Name = fmt.Sprint("user-", i)
		e.Kubernetes.CredentialID = fmt.Sprint("JTI=", i)
		e.Kubernetes.AuditID = fmt.Sprint(i)
		e.Kubernetes.Stage = "ResponseStarted"
		h.Observe(e)
	}
	if m, users := h.others, h.profiles[state.Kubernetes].lru.Len(); users != maxProfiles || m.bursts.Len() != maxBursts || h.credentials.Len() != maxCredentials || m.reported.Len() != maxReported {
		t.Errorf("remembered %d users, %d bursts, %d credentials, %d acts", users, m.bursts.Len(), h.credentials.Len(), m.reported.Len())
	}
}

// However many events one sends of a kind that anyone can make up, what is known of
// others stays.
func TestFloodForgetsNothing(t *testing.T) {
	for name, made := range map[string]func(e *event.Event, i int){
		"without a credential, from many addresses": func(e *event.Event, i int) {
			e.Kubernetes.User.Name, e.Kubernetes.CredentialID = "system:anonymous", ""
			e.Kubernetes.SourceIPs = []string{fmt.Sprint(i)}
			e.Outcome = event.Denied
		},
		"denied, in many namespaces": func(e *event.Event, _ int) { e.Outcome = event.Denied },
		"denied, as many others": func(e *event.Event, i int) {
			e.Outcome = event.Denied
			e.Kubernetes.Impersonated.Name, e.Kubernetes.ImpersonationDenied = fmt.Sprint(i), true
		},
		"done as many others": func(e *event.Event, i int) { e.Kubernetes.Impersonated.Name = fmt.Sprint(i) },
	} {
		t.Run(name, func(t *testing.T) {
			h := New(Options{})
			h.Observe(read(0, "a"))
			watch := read(0, "watched")
			watch.Kubernetes.Verb, watch.Kubernetes.Stage = "watch", "ResponseStarted"
			h.Observe(watch)
			for i := range maxBursts + 2 {
				e := read(time.Second, fmt.Sprint(i))
				e.Kubernetes.User.Name, e.Kubernetes.CredentialID = "mallory", "JTI=2"
				e.Kubernetes.Namespace, e.Kubernetes.Verb = fmt.Sprint(i), "watch"
				made(e, i)
				h.Observe(e)
			}
			again := read(2*time.Second, "a")
			if h.Observe(again); again.Seen.First || again.Seen.Count != 3 {
				t.Errorf("alice's read is %+v, want her third of this minute", again.Seen)
			}
			if h.Observe(watch); !watch.Repeated {
				t.Error("the watch is forgotten")
			}
		})
	}
}

// Who may not act as others is one identity, whoever it names: a rule tells of three
// denied acts a minute. Whoever may, such as a proxy, is as many as it acts as.
func TestCountImpersonated(t *testing.T) {
	for _, refused := range []bool{true, false} {
		h := New(Options{})
		for i := range uint64(10) {
			e := read(time.Second, "a")
			e.Outcome = event.Denied
			e.Kubernetes.Impersonated.Name, e.Kubernetes.ImpersonationDenied = fmt.Sprint(i), refused
			want := uint64(1)
			if refused {
				want = i + 1
			}
			if h.Observe(e); e.Seen.Count != want {
				t.Errorf("attempt %d, refused %t: %d counted, want %d", i, refused, e.Seen.Count, want)
			}
		}
	}
}

// docker looks at a container before it does what has a rule of its own: that is
// no look at many. What another process does, or in vain, hides no look.
func TestLooks(t *testing.T) {
	for name, test := range map[string]struct {
		operation string
		pid       uint64 // added to that of the look
		outcome   event.Outcome
		want      uint64
	}{
		"an exec each":            {"container.exec", 0, event.Allowed, 1},
		"the logs of each":        {"container.logs", 0, event.Allowed, 1},
		"the processes of each":   {"container.top", 0, event.Allowed, 6},
		"an exec by another":      {"container.exec", 100, event.Allowed, 6},
		"an exec that was failed": {"container.exec", 0, event.Failed, 6},
	} {
		h := New(Options{})
		var last *event.Event
		for i := range uint64(6) {
			act := func(operation string, pid uint64, outcome event.Outcome) *event.Event {
				e := &event.Event{Input: event.DockerAPI, Time: start.Add(time.Duration(i) * time.Second).UnixNano(), Operation: operation, Outcome: outcome}
				e.Docker.Container.ID = fmt.Sprint(i)
				// argv[0] and all else of the command line are the client's choice.
				e.Docker.Client = event.Client{PID: pid, ExePath: "/usr/bin/docker", Verified: true, Cmdline: fmt.Sprint("x", i)}
				h.Observe(e)
				return e
			}
			last = act("container.inspect", 10+i, event.Allowed)
			act(test.operation, 10+i+test.pid, test.outcome)
		}
		if last.Seen.Objects != test.want {
			t.Errorf("%s: the sixth look is at %d containers, want %d", name, last.Seen.Objects, test.want)
		}
	}
}

// Who has written a release of Helm is told from who only reads those of others.
func TestDeployed(t *testing.T) {
	h := New(Options{})
	act := func(user, verb, namespace, name string) bool {
		e := &event.Event{Input: event.KubernetesAudit, Time: 1e18, Operation: "secret." + verb, Outcome: event.Allowed}
		e.Kubernetes = event.Kubernetes{Verb: verb, Resource: "secrets", Namespace: namespace, Name: name, AuditID: user + verb + name}
		e.Kubernetes.User.Name = user
		if name == "" {
			e.Kubernetes.RequestURI = "/api/v1/namespaces/" + namespace + "/secrets?labelSelector=name%3Dweb%2Cowner%3Dhelm"
		}
		h.Observe(e)
		return e.Seen.Deployed
	}
	const release = "sh.helm.release.v1.web.v1"
	if act("dana", "list", "shop", "") {
		t.Error("who never deployed has deployed")
	}
	act("dana", "create", "shop", "database")
	if act("dana", "list", "shop", "") {
		t.Error("another secret is a release")
	}
	act("dana", "create", "shop", release)
	if !act("dana", "list", "shop", "") || !act("dana", "get", "shop", release) {
		t.Error("who deployed has not")
	}
	if act("dana", "get", "shop", "database") {
		t.Error("a request for another secret is about a release")
	}
	if act("dana", "list", "other", "") || act("steve", "list", "shop", "") {
		t.Error("another namespace or person is the same")
	}
}
