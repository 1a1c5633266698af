// SPDX-License-Identifier: Apache-2.0

package field

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// The addresses of thieves.
const (
	otherPod = "10.244.77.9"
	itsNode  = "10.0.0.11"
	outside  = "203.0.113.77"
)

// What thieves call themselves.
const (
	curlAgent     = "curl/8.5.0"
	kubectlAgent  = "kubectl/v1.34.1 (linux/amd64) kubernetes/93248f9"
	clientGoAgent = "tool/v0.0.0 (linux/amd64) kubernetes/$Format"
)

// maxActs is how many requests a thief sends at most.
const maxActs = 3

// act is one request of a thief.
type act struct {
	call call
	by   client
	at   time.Time
}

// Theft is one way to use an identity that is not one's own.
type Theft struct {
	// Name says what is done, Differs in what that is not as the software itself does it.
	Name, Differs string
	// acts returns what is done, with a subject that has worked for a day and a half;
	// the first is the first that differs. It is empty where the identity cannot.
	acts func(u *subject) []act
	// early says that it is done in the first hour of the software.
	early bool
	// Copies says that nothing differs: nothing can be raised.
	Copies bool
}

// stolen is when a theft is done.
func (t Theft) stolen() time.Time {
	if t.early {
		return hours(0).Add(20 * time.Minute)
	}
	return hours(35)
}

// own returns the request that gives most of those that the software sends itself.
func (u *subject) own() call { return most(slices.Concat(u.first, u.later)) }

// again returns the same of those that it sends again and again.
func (u *subject) again() call {
	return most(slices.DeleteFunc(slices.Clone(u.later), func(c call) bool { return !c.watch && !c.steady }))
}

// most returns the request that gives most.
func most(calls []call) call {
	best, most := call{}, -1
	for _, c := range calls {
		e := c.events[0]
		if e.code() >= 300 && e.code() != 0 {
			continue
		}
		if worth := worth(e); worth > most {
			best, most = c, worth
		}
	}
	return best
}

// worth is how much a thief wants of what a request gives.
func worth(e Event) int {
	ref := e.object("objectRef")
	value := 0
	switch ref["resource"] {
	case "secrets":
		value = 100
	case "configmaps", "serviceaccounts":
		value = 10
	case "pods":
		value = 20
	}
	if ref["namespace"] == nil {
		value *= 2
	}
	switch e.text("verb") {
	case "list":
		return value + 2
	case "get":
		return value + 1
	case "watch":
		return value
	}
	return 0
}

// asList is the software's own request as another client asks it.
func (u *subject) asList(query string) call {
	c := u.own()
	e := c.events[len(c.events)-1].clone()
	path, _, _ := strings.Cut(e.text("requestURI"), "?")
	e["requestURI"], e["stage"] = path+query, "ResponseComplete"
	if e.text("verb") == "watch" {
		e["verb"] = "list"
	}
	e["stageTimestamp"] = e["requestReceivedTimestamp"]
	e["responseStatus"] = map[string]any{"metadata": map[string]any{}, "code": 200}
	return call{events: []Event{e}}
}

// request is a request that the software does not send, in its name.
func (u *subject) request(verb string, r Request) call {
	return call{events: []Event{u.software.event(verb, r)}}
}

// reads reports whether the software reads secrets.
func (u *subject) readsSecrets() bool {
	return u.own().events[0].object("objectRef")["resource"] == "secrets"
}

// asked makes acts of the same requests by one client.
func (u *subject) asked(t Theft, by client, calls ...call) []act {
	var all []act
	for i, c := range calls {
		all = append(all, act{c, by, t.stolen().Add(time.Duration(i) * time.Minute)})
	}
	return all
}

// agent returns what the software calls itself.
func (u *subject) agent() string { return u.own().events[0].text("userAgent") }

// Thefts returns all thefts from service accounts.
func Thefts() []Theft {
	var all []Theft
	add := func(name, differs string, acts func(u *subject, t Theft) []act, change ...func(t *Theft)) {
		t := Theft{Name: name, Differs: differs}
		for _, c := range change {
			c(&t)
		}
		t.acts = func(u *subject) []act { return acts(u, t) }
		all = append(all, t)
	}
	early := func(t *Theft) { t.early = true }
	for _, place := range []struct{ name, address string }{{"another pod", otherPod}, {"the node", itsNode}, {"outside", outside}} {
		for _, with := range []struct {
			name, agent, query string
		}{
			{"curl", curlAgent, ""},
			{"kubectl", kubectlAgent, "?limit=500"},
			{"client-go", clientGoAgent, "?limit=500"},
		} {
			add("token, "+with.name+", from "+place.name, "address, client", func(u *subject, t Theft) []act {
				by := u.client
				by.address, by.agent = place.address, with.agent
				return u.asked(t, by, u.asList(with.query))
			})
		}
		add("token, its User-Agent, from "+place.name, "address", func(u *subject, t Theft) []act {
			by := u.client
			by.address = place.address
			return u.asked(t, by, u.own())
		})
		add("token, its User-Agent, from "+place.name+", in its first hour", "address", func(u *subject, t Theft) []act {
			by := u.client
			by.address = place.address
			return u.asked(t, by, u.own())
		}, early)
	}
	add("token, its User-Agent, from another pod, one secret an hour", "address, verb", func(u *subject, t Theft) []act {
		by := u.client
		by.address = otherPod
		if !u.readsSecrets() {
			return nil
		}
		var all []act
		for i, name := range []string{"database", "site", "web-tls"} {
			all = append(all, act{u.request("get", Request{Resource: "secrets", Namespace: "shop", Object: name}), by, t.stolen().Add(time.Duration(i) * time.Hour)})
		}
		for i := range all {
			all[i].by.agent = u.agent()
		}
		return all
	})
	add("a token requested for it, without a pod, its User-Agent, from outside", "credential, address", func(u *subject, t Theft) []act {
		return u.asked(t, client{address: outside, credential: "JTI=" + uuid("requested", u.id)}, u.own())
	})
	add("a token requested for it, without a pod, its User-Agent, from its pod's address", "credential", func(u *subject, t Theft) []act {
		return u.asked(t, client{address: u.client.address, credential: "JTI=" + uuid("requested", u.id)}, u.own())
	})
	add("a token from a Secret, its User-Agent, from another pod", "credential, address", func(u *subject, t Theft) []act {
		return u.asked(t, client{address: otherPod}, u.own())
	})
	add("a token bound to another pod that its thief made, its User-Agent", "a pod beside its own, until they are known", func(u *subject, t Theft) []act {
		by := client{pod: "debug", uid: uuid("debug", u.id), address: otherPod, credential: "JTI=" + uuid("debug token", u.id), bound: true, agent: curlAgent}
		return u.asked(t, by, u.asList(""))
	})
	add("a certificate with its name, curl, from outside", "kind of credential, address, client", func(u *subject, t Theft) []act {
		by := client{address: outside, agent: curlAgent, credential: "X509SHA256=" + strings.ReplaceAll(uuid("certificate", u.id), "-", "")}
		acts := u.asked(t, by, u.asList(""))
		for i := range acts {
			e := acts[i].call.events[0]
			e.object("user")["groups"] = []any{"system:authenticated"}
			delete(e.object("user"), "uid")
		}
		return acts
	})
	add("code in its pod, curl", "client", func(u *subject, t Theft) []act {
		by := u.client
		by.agent = curlAgent
		return u.asked(t, by, u.asList(""))
	})
	add("code in its pod, kubectl", "client", func(u *subject, t Theft) []act {
		by := u.client
		by.agent = kubectlAgent
		return u.asked(t, by, u.asList("?limit=500"))
	})
	add("code in its pod, its User-Agent, execs into another pod", "act", func(u *subject, t Theft) []act {
		by := u.client
		by.agent = u.agent()
		return u.asked(t, by, u.request("create", Request{Resource: "pods/exec", Namespace: "kube-system", Object: "etcd-node-1"}))
	})
	add("code in its pod, its User-Agent, requests a token of another account", "act", func(u *subject, t Theft) []act {
		by := u.client
		by.agent = u.agent()
		return u.asked(t, by, u.request("create", Request{Resource: "serviceaccounts/token", Namespace: "kube-system", Object: "clusterrole-aggregation-controller"}))
	})
	add("code in its pod, its User-Agent, reads a secret of kube-system", "object", func(u *subject, t Theft) []act {
		by := u.client
		by.agent = u.agent()
		return u.asked(t, by, u.request("get", Request{Resource: "secrets", Namespace: "kube-system", Object: "bootstrap-token-abcdef"}))
	})
	add("token, kubectl, from another pod: all secrets, then a DaemonSet with the host's files", "address, client, act", func(u *subject, t Theft) []act {
		by := u.client
		by.address, by.agent = otherPod, kubectlAgent
		set := u.request("create", Request{Group: "apps", Resource: "daemonsets", Namespace: "kube-system", Object: "host-provisioner-std"})
		e := set.events[0]
		e["level"] = "Request"
		e["requestURI"] = "/apis/apps/v1/namespaces/kube-system/daemonsets"
		e["requestObject"] = map[string]any{"kind": "DaemonSet", "apiVersion": "apps/v1", "metadata": map[string]any{"name": "host-provisioner-std"},
			"spec": map[string]any{"template": map[string]any{"spec": map[string]any{
				"hostPID": true, "containers": []any{map[string]any{"name": "c", "image": "alpine", "securityContext": map[string]any{"privileged": true}}},
				"volumes": []any{map[string]any{"name": "host", "hostPath": map[string]any{"path": "/"}}},
			}}}}
		return u.asked(t, by, u.request("list", Request{Resource: "secrets"}), set)
	})
	add("code in its pod that sends what the software sends, with its User-Agent", "nothing", func(u *subject, t Theft) []act {
		return u.asked(t, u.client, u.again())
	}, func(t *Theft) { t.Copies = true })
	return all
}

// Victims are the identities that are stolen, by the names of their software: those
// that read secrets of all namespaces, of some, and none.
var Victims = []string{"sealed-secrets", "cert-manager", "ingress-nginx", "kube-state-metrics", "argocd-server", "prometheus"}

// Stolen is what a theft raised with one victim.
type Stolen struct {
	// Impossible says that the identity cannot do that.
	Impossible bool
	// Raised is by act: the first is the first that differs.
	Raised [][]Raised
}

// Caught reports whether the first act that differs raised an alert that has to be
// looked at.
func (s Stolen) Caught() bool {
	return len(s.Raised) > 0 && len(s.Raised[0]) > 0 && loud(s.Raised[0][0].Priority)
}

// Victim is an identity that is stolen.
type Victim struct {
	Name string
	// Listed says that it has the account of the default installation, which the rules
	// list.
	Listed bool
}

func (v Victim) String() string {
	if v.Listed {
		return v.Name + ", listed"
	}
	return v.Name
}

// Thieves are thefts from victims.
type Thieves struct {
	Thefts  []Theft
	Victims []Victim
	// Stolen is what was raised, by theft and victim.
	Stolen [][]Stolen
	// Certificates is what was raised with certificates, by theft and holder.
	Certificates [][]Stolen
}

// Thieves replays all thefts from all victims at once, each from an identity of its
// own, and returns what they raised.
func (s Site) Thieves(ctx context.Context, all []Software) (Thieves, error) {
	thefts := Thefts()
	var victims []Victim
	for _, name := range Victims {
		victims = append(victims, Victim{Name: name}, Victim{Name: name, Listed: true})
	}
	victims = slices.DeleteFunc(victims, func(v Victim) bool {
		return v.Listed && slices.ContainsFunc(all, func(s Software) bool { return s.Name == v.Name && s.Expected == "" })
	})
	result := make([][]Stolen, len(thefts))
	for i := range thefts {
		result[i] = make([]Stolen, len(victims))
	}
	var events []Event
	listed := make(map[string][]string)
	for v, victim := range victims {
		n := slices.IndexFunc(all, func(s Software) bool { return s.Name == victim.Name })
		if n < 0 {
			return Thieves{}, fmt.Errorf("there is no software %q", victim.Name)
		}
		r, err := all[n].read(s.Recordings)
		if err != nil {
			return Thieves{}, err
		}
		for i, t := range thefts {
			u := all[n].subject(r.brief(), fmt.Sprintf("v%dt%d", v, i))
			if victim.Listed {
				u.listed()
				expected := "system:serviceaccount:" + strings.ReplaceAll(all[n].Expected, "/", ":")
				listed[expected] = append(listed[expected], u.user())
			}
			result[i][v].Impossible = !u.robbed(t)
			events = append(events, u.events...)
		}
	}
	for i, t := range certificateThefts {
		for v, h := range holders {
			events = append(events, h.life(t, i, fmt.Sprintf("h%dt%d", v, i))...)
		}
	}
	dir, err := os.MkdirTemp("", "field")
	if err != nil {
		return Thieves{}, err
	}
	defer os.RemoveAll(dir)
	overlay := filepath.Join(dir, "listed.yaml")
	if err := s.list(overlay, listed); err != nil {
		return Thieves{}, err
	}
	s.Rules = append(slices.Clone(s.Rules), overlay)
	alerts, err := s.replay(ctx, events)
	if err != nil {
		return Thieves{}, err
	}
	raised, err := bySubject(alerts)
	if err != nil {
		return Thieves{}, err
	}
	for i := range thefts {
		for v := range victims {
			for n := range maxActs {
				alerts := raised[key{fmt.Sprintf("v%dt%d", v, i), fmt.Sprintf("act %d", n)}]
				result[i][v].Raised = append(result[i][v].Raised, count(alerts))
			}
		}
	}
	certificates := make([][]Stolen, len(certificateThefts))
	for i := range certificateThefts {
		for v := range holders {
			alerts := raised[key{fmt.Sprintf("h%dt%d", v, i), "act 0"}]
			certificates[i] = append(certificates[i], Stolen{Raised: [][]Raised{count(alerts)}})
		}
	}
	return Thieves{thefts, victims, result, certificates}, nil
}

// list writes a rule file that puts accounts into each list that has a listed one.
func (s Site) list(file string, accounts map[string][]string) error {
	type list struct {
		List     string            `yaml:"list"`
		Items    []string          `yaml:"items"`
		Override map[string]string `yaml:"override,omitempty"`
	}
	var appended []list
	for _, name := range s.Rules {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		var items []struct {
			List  string
			Items []any
		}
		if err := yaml.Unmarshal(text, &items); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for _, l := range items {
			var more []string
			for _, item := range l.Items {
				name, _ := item.(string)
				more = append(more, accounts[name]...)
			}
			if l.List != "" && len(more) > 0 {
				appended = append(appended, list{l.List, more, map[string]string{"items": "append"}})
			}
		}
	}
	text, err := yaml.Marshal(appended)
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}

// brief is a recording without what is of no use for a theft: its first kinds of
// requests.
func (r recording) brief() recording {
	return recording{first: brief(r.first), later: brief(r.later), recorded: r.recorded}
}

func brief(calls []call) []call {
	return slices.DeleteFunc(slices.Clone(calls), func(c call) bool { return worth(c.events[0]) == 0 })
}

// robbed is the life of a subject whose identity is stolen. It reports whether the
// identity can be used so.
func (u *subject) robbed(t Theft) bool {
	u.start("before", 0)
	u.works("before", 1, 4)
	u.start("before", 10)
	u.works("before", 24, 26)
	if t.early {
		u.events = nil
		u.client, u.pod = client{}, 0
		u.start("before", 0)
	} else {
		u.works("before", 34, 35)
	}
	acts := t.acts(u)
	for i, a := range acts {
		u.phase = fmt.Sprintf("act %d", i)
		u.add(a.call, a.at, a.by)
	}
	return len(acts) > 0
}
