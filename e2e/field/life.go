// SPDX-License-Identifier: Apache-2.0

package field

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"
)

// dawn is when all of it begins, some days ago: what was learned long ago is forgotten.
var dawn = time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -4).Add(6 * time.Hour)

// watchLength is how long a watch lasts: API servers end it after five to ten minutes.
const watchLength = 8 * time.Minute

// The phases that alerts are counted by.
const (
	FirstDay  = "first day"
	Restart   = "restart of it"
	SecondDay = "second day"
	Restarted = "restart of Falco"
)

// Phases are all phases in their order.
var Phases = []string{FirstDay, Restart, SecondDay, Restarted}

// subject is one service account with what it sends.
type subject struct {
	software Software
	recording
	// id is that of the subject in the ids of its events.
	id string
	// namespace and account are its name.
	namespace, account string

	phase  string
	pod    int
	client client
	events []Event
}

// subject returns a subject with the software's recording, under a name that no list
// has.
func (s Software) subject(r recording, id string) *subject {
	return &subject{software: s, recording: r, id: id, namespace: "unit-" + id, account: Account}
}

// listed gives the subject the account's name of the default installation.
func (u *subject) listed() { _, u.account, _ = strings.Cut(u.software.Expected, "/") }

func (u *subject) user() string { return "system:serviceaccount:" + u.namespace + ":" + u.account }

// eventID is the audit id of a subject's event, from which it is known what raised an
// alert.
func (u *subject) eventID() string { return fmt.Sprintf("%s/%s/%d", u.id, u.phase, len(u.events)) }

// ofEvent returns the subject and the phase of an audit id.
func ofEvent(id string) (subject, phase string) {
	parts := strings.Split(id, "/")
	if len(parts) != 3 {
		return id, ""
	}
	return parts[0], parts[1]
}

// unique returns a number that is the same for the same names.
func unique(names ...any) [32]byte { return sha256.Sum256(fmt.Appendln(nil, names...)) }

func uuid(names ...any) string {
	n := unique(names...)
	return fmt.Sprintf("%x-%x-%x-%x-%x", n[:4], n[4:6], n[6:8], n[8:10], n[10:16])
}

// podClient is the client in the subject's pod, with the token of an hour: kubelets
// renew them.
func (u *subject) podClient(pod, hour int) client {
	n := unique(u.id, pod)
	return client{
		pod: u.software.PodName(pod), uid: uuid("pod", u.id, pod),
		address:    fmt.Sprintf("10.244.%d.%d", n[0]%16, 2+n[1]%250),
		credential: "JTI=" + uuid("token", u.id, pod, hour), bound: true,
	}
}

// add adds a request at a time.
func (u *subject) add(c call, at time.Time, by client) {
	id := u.eventID()
	for _, e := range c.events {
		e = e.clone()
		e["auditID"] = id
		e.at(at)
		rename(map[string]any(e), u.names())
		e.by(by)
		u.events = append(u.events, e)
	}
}

func (u *subject) names() *strings.Replacer {
	was := u.software.Namespace()
	return strings.NewReplacer(
		"system:serviceaccount:"+was+":"+Account, u.user(),
		`ServiceAccount "`+Account+"/"+was+`"`, `ServiceAccount "`+u.account+"/"+u.namespace+`"`,
		was, u.namespace,
		u.software.PodName(0), u.client.pod, u.software.PodName(1), u.client.pod,
	)
}

// start starts the subject in its next pod.
func (u *subject) start(phase string, hour int) {
	calls := u.later
	if u.client.pod == "" {
		calls = u.first
	} else {
		u.pod++
	}
	u.phase = phase
	u.client = u.podClient(u.pod, hour)
	for _, c := range calls {
		u.add(c, hours(hour).Add(c.after), u.client)
	}
}

// works has the subject do for some hours what it does all day.
func (u *subject) works(phase string, from, to int) {
	u.phase = phase
	calls := u.later
	if u.pod == 0 {
		calls = u.first
	}
	for hour := from; hour < to; hour++ {
		u.client = u.podClient(u.pod, hour)
		for _, minute := range []int{7, 37} {
			for _, c := range calls {
				if c.watch || c.steady {
					u.add(c, hours(hour).Add(time.Duration(minute)*time.Minute+c.after), u.client)
				}
			}
		}
	}
}

func hours(n int) time.Time { return dawn.Add(time.Duration(n) * time.Hour) }

// firstDays is what the subject does before Falco is restarted.
func (u *subject) firstDays() {
	u.start(FirstDay, 0)
	u.works(FirstDay, 1, 7)
	u.start(Restart, 10)
	u.works(Restart, 11, 14)
	u.works(SecondDay, 24, 28)
	u.start(SecondDay, 31)
	u.works(SecondDay, 32, 34)
}

// lastDay is what it does afterwards.
func (u *subject) lastDay() {
	u.works(Restarted, 48, 50)
	u.start(Restarted, 51)
	u.works(Restarted, 52, 54)
}

// inOrder puts events in the order in which they were written.
func inOrder(events []Event) {
	slices.SortStableFunc(events, func(a, b Event) int { return a.time().Compare(b.time()) })
}
