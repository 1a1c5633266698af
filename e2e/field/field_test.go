// SPDX-License-Identifier: Apache-2.0

package field

import (
	"slices"
	"strings"
	"testing"
)

const recordings = "../testdata/field"

func load(t *testing.T) []Software {
	t.Helper()
	all, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func read(t *testing.T, s Software) recording {
	t.Helper()
	r, err := s.read(recordings)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestDays proves that the days of software are those of one account in one pod after
// the other: no event has the name of another account, a pod's token and address are its
// own, and its token is renewed.
func TestDays(t *testing.T) {
	for _, s := range load(t) {
		u := s.subject(read(t, s), "copy-of-"+s.Name)
		u.firstDays()
		u.lastDay()
		inOrder(u.events)
		text, err := marshal(u.events)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), `unit-`+s.Name) {
			t.Errorf("%s: an event has the namespace that was recorded", s.Name)
		}
		addresses, pods := make(map[string]string), make(map[string]bool)
		credentials := make(map[string]string)
		for i, e := range u.events {
			if e.User() != "system:serviceaccount:unit-copy-of-"+s.Name+":"+Account {
				t.Fatalf("%s: an event is one of %s", s.Name, e.User())
			}
			uid := e.extra(extraPodUID)
			address := e["sourceIPs"].([]any)[0].(string)
			if was, ok := addresses[uid]; ok && was != address {
				t.Errorf("%s: a pod has the addresses %s and %s", s.Name, was, address)
			}
			addresses[uid], pods[e.pod()] = address, true
			credential := e.extra(extraCredential)
			if was, ok := credentials[credential]; ok && was != uid {
				t.Errorf("%s: two pods have the token %s", s.Name, credential)
			}
			credentials[credential] = uid
			if i > 0 && e.time().Before(u.events[i-1].time()) {
				t.Errorf("%s: events are not in order", s.Name)
			}
			if e.time().Before(e.received()) {
				t.Errorf("%s: event %s was written before its request came", s.Name, e.text("auditID"))
			}
		}
		if len(addresses) != 4 || len(pods) != 4 {
			t.Errorf("%s: %d pods with %d uids, want 4", s.Name, len(pods), len(addresses))
		}
		if len(credentials) <= len(addresses) {
			t.Errorf("%s: %d tokens of %d pods: none is renewed", s.Name, len(credentials), len(addresses))
		}
	}
}

// TestPhases proves that each phase has events, of which it is known which it is.
func TestPhases(t *testing.T) {
	s := load(t)[0]
	u := s.subject(read(t, s), "a")
	u.firstDays()
	u.lastDay()
	counts := make(map[string]int)
	for _, e := range u.events {
		who, phase := ofEvent(e.text("auditID"))
		if who != "a" {
			t.Fatalf("the event %q is one of %q", e.text("auditID"), who)
		}
		counts[phase]++
	}
	for _, phase := range Phases {
		if counts[phase] == 0 {
			t.Errorf("nothing happens in the phase %q", phase)
		}
	}
	if len(counts) != len(Phases) {
		t.Errorf("there are other phases: %v", counts)
	}
}

// TestTheftsDiffer proves that the first act of a theft differs from all that the
// software did before, in the address, client, credential, or what is asked, and that
// only what copies all of it does not.
func TestTheftsDiffer(t *testing.T) {
	all := load(t)
	for _, name := range Victims {
		s := all[slices.IndexFunc(all, func(s Software) bool { return s.Name == name })]
		for _, theft := range Thefts() {
			u := s.subject(read(t, s).brief(), "a")
			if !u.robbed(theft) {
				continue
			}
			seen := make(map[string]bool)
			var first Event
			for _, e := range u.events {
				if strings.Contains(e.text("auditID"), "/act ") {
					if first == nil {
						first = e
					}
					continue
				}
				seen[profile(e)] = true
			}
			if seen[profile(first)] != theft.Copies {
				t.Errorf("%s of %s: its first act is one of the software's own: %t", theft.Name, name, !theft.Copies)
			}
		}
	}
}

// profile is all in which requests can differ, but for their times.
func profile(e Event) string {
	path, _, _ := strings.Cut(e.text("requestURI"), "?")
	groups, _ := e.object("user")["groups"].([]any)
	return strings.Join([]string{
		e["sourceIPs"].([]any)[0].(string), e.text("userAgent"), e.text("verb"), path,
		e.extra(extraCredential), e.extra(extraPodUID), strings.Repeat("g", len(groups)),
	}, " ")
}

// TestQuiet proves what counts as quiet.
func TestQuiet(t *testing.T) {
	once := []Raised{{Rule: "a", Priority: "Warning", Count: 1}}
	for _, c := range []struct {
		name  string
		h     Honest
		quiet bool
	}{
		{"nothing", Honest{}, true},
		{"one on the first day", Honest{Raised: [4][]Raised{once}}, true},
		{"two on the first day", Honest{Raised: [4][]Raised{append(once, Raised{Rule: "b", Priority: "Notice", Count: 1})}}, false},
		{"a critical one", Honest{Raised: [4][]Raised{{{Rule: "a", Priority: "Critical", Count: 1}}}}, false},
		{"for the record", Honest{Raised: [4][]Raised{{{Rule: "a", Priority: "Informational", Count: 9}}}}, true},
		{"one after a restart", Honest{Raised: [4][]Raised{nil, once}}, false},
		{"one after Falco's", Honest{Raised: [4][]Raised{nil, nil, nil, once}}, false},
	} {
		if quiet := len(c.h.Misses()) == 0; quiet != c.quiet {
			t.Errorf("%s is quiet: %t", c.name, quiet)
		}
	}
	act := func(operation string, n int) Act {
		return Act{operation, Raised{Rule: "a", Priority: "Warning", Count: n}}
	}
	if wrong := (Polled{Raised: []Act{act("container.list", 1), act("container.inspect", 1)}}).Misses(); len(wrong) > 0 {
		t.Errorf("one alert for each kind of act is too many: %v", wrong)
	}
	if wrong := (Polled{Raised: []Act{act("container.list", 1), act("container.inspect", 2)}}).Misses(); !slices.Equal(wrong, []string{"container.inspect"}) {
		t.Errorf("two alerts of one act: %v", wrong)
	}
}
