// SPDX-License-Identifier: Apache-2.0

package field

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// level is a priority as a table shows it.
func level(priority string) string {
	if priority == "Informational" {
		return "INFO"
	}
	return strings.ToUpper(priority)
}

// short is the name of a rule without what all have in common.
func short(rule string) string {
	return strings.TrimPrefix(strings.TrimPrefix(rule, "Kubernetes "), "Docker ")
}

// cell shows alerts in a table.
func cell(all []Raised) string {
	var parts []string
	for _, r := range all {
		text := level(r.Priority) + " " + short(r.Rule)
		if r.Count > 1 {
			text += fmt.Sprintf(" ×%d", r.Count)
		}
		parts = append(parts, text)
	}
	return cmp.Or(strings.Join(parts, "<br>"), "–")
}

func head(out *strings.Builder, columns ...string) {
	out.WriteString("| " + strings.Join(columns, " | ") + " |\n|" + strings.Repeat(" --- |", len(columns)) + "\n")
}

// HonestTable is the table of honest software.
func HonestTable(all []Honest) string {
	var out strings.Builder
	head(&out, slices.Concat([]string{"software"}, Phases, []string{"quiet enough"})...)
	quiet, run := 0, 0
	for _, h := range all {
		name := h.Name + " (form)"
		if h.Version != "" {
			name = h.Name + " " + h.Version
			run++
		}
		out.WriteString("| " + name)
		for _, raised := range h.Raised {
			out.WriteString(" | " + cell(raised))
		}
		verdict := "yes"
		if len(h.Misses()) > 0 {
			verdict = "**no**"
		} else {
			quiet++
		}
		out.WriteString(" | " + verdict + " |\n")
	}
	fmt.Fprintf(&out, "\n%d of %d are quiet enough. %d of them were run, the others are there by their form.\n", quiet, len(all), run)
	return out.String()
}

// ThievesTable is the table of thieves of service accounts.
func ThievesTable(t Thieves) string {
	var names []string
	for _, v := range t.Victims {
		names = append(names, v.String())
	}
	var rows []row
	for i, theft := range t.Thefts {
		rows = append(rows, row{theft.Name, theft.Differs, theft.Copies, t.Stolen[i]})
	}
	return stolenTable(names, rows)
}

// CertificatesTable is the table of thieves of certificates.
func CertificatesTable(t Thieves) string {
	var names []string
	for _, h := range holders {
		names = append(names, h.name)
	}
	var rows []row
	for i, theft := range certificateThefts {
		rows = append(rows, row{theft.name, theft.differs, false, t.Certificates[i]})
	}
	return stolenTable(names, rows)
}

// row is a theft with what it raised by victim.
type row struct {
	name, differs string
	copies        bool
	stolen        []Stolen
}

func stolenTable(victims []string, rows []row) string {
	var out strings.Builder
	head(&out, slices.Concat([]string{"theft", "what differs"}, victims, []string{"by"})...)
	caught, possible := 0, 0
	for _, r := range rows {
		out.WriteString("| " + r.name + " | " + r.differs)
		var rules []string
		for _, s := range r.stolen {
			out.WriteString(" | " + s.cell(r.copies))
			for _, raised := range s.first() {
				if !slices.Contains(rules, short(raised.Rule)) {
					rules = append(rules, short(raised.Rule))
				}
			}
			if s.Impossible || r.copies {
				continue
			}
			possible++
			if s.Caught() {
				caught++
			}
		}
		slices.Sort(rules)
		out.WriteString(" | " + cmp.Or(strings.Join(rules, "<br>"), "–") + " |\n")
	}
	fmt.Fprintf(&out, "\n%d of %d are raised at WARNING or above by the first act that differs.\n", caught, possible)
	return out.String()
}

// first are the alerts of the first act that differs.
func (s Stolen) first() []Raised {
	if len(s.Raised) == 0 {
		return nil
	}
	return s.Raised[0]
}

// cell shows how loud the first act that differs was, and if it was not, whether a
// later one was.
func (s Stolen) cell(copies bool) string {
	if s.Impossible {
		return ""
	}
	text := "nothing"
	if first := s.first(); len(first) > 0 {
		text = level(first[0].Priority)
	}
	if copies || s.Caught() {
		return text
	}
	text = "**" + text + "**"
	for i, raised := range s.Raised {
		if i > 0 && len(raised) > 0 && loud(raised[0].Priority) {
			return text + fmt.Sprintf(", %s at act %d", level(raised[0].Priority), i+1)
		}
	}
	return text
}

// page is what docs/field.md says beside its tables.
const page = `# Measured: honest software and thieves

What the rules raise, as they are shipped and with no list appended to. ` + "`make field`" + ` makes these tables and this page; ` +
	"`make test`" + ` holds the page to what is measured.

## Honest software

Each runs in a namespace and under an account that no list has. Those with a version were built of their Go modules and run against a
real kube-apiserver, with the audit policy [audit-policy-requests.yaml](audit-policy-requests.yaml), each at an address of its own
and with a token that is bound to its pod; what they sent is kept in ` + "`e2e/testdata/field`" + `. The others are there by their form:
what their public source and roles say that they send. Their days are made of that: watches end and begin again, what is polled
is polled, the token is renewed each hour.

- first day: the start, and six hours of work
- restart of it: another pod, address and token, and three hours of work
- second day: six hours of work, and one more restart
- restart of Falco: on the third day, with its ` + "`stateDir`" + `; then work, and one more restart of the software

Quiet enough is at most one alert on the first day, none of it CRITICAL, and none afterwards. Alerts of priority INFO do not count.

%s
Software on a Docker Engine has a page of its own: [field-docker.md](field-docker.md).

## Thieves

The same identities, used by somebody else after a day and a half, or in their first hour where that is said. "Listed" has the
account's name of the default installation, and stands on the list that has that account. The first act that differs has to
raise WARNING or above. What the account has rights to is not asked: all of it is answered as allowed. Empty: that is not done
with software that reads no secrets.

%s
The last of them does what the software does, in its place and with its credential: no event can tell it from the software, and what is
raised there is raised by the software itself. What a thief who copies everything still gets is what the account may read anyway.

### Certificates

Of a node, which read a secret of its pod by name for a day and a half, and of a person on no list, who read one by name as well.

%s`

// Page is the page of software and thieves on Kubernetes.
func Page(honest []Honest, thieves Thieves) string {
	return fmt.Sprintf(page, HonestTable(honest), ThievesTable(thieves), CertificatesTable(thieves))
}

// dockerPage is what docs/field-docker.md says beside its table.
const dockerPage = `# Measured: software on a Docker Engine

What the rules raise, as they are shipped and with no list appended to. ` + "`make field FIELD='-docker -write'`" + ` makes this page; ` + "`make test`" + `
fails if one that is quiet enough no longer is.

Run against a real dockerd, with the request tap, for some rounds of what the software does all day. Prometheus, cAdvisor, curl and
docker-py are themselves; the others are their requests, from a container of an image of that name. Quiet enough is at most one alert for
each kind of act, which is one operation. Alerts of priority INFO do not count.

%s`

// DockerPage is the page of software on a Docker Engine.
func DockerPage(polled []Polled) string { return fmt.Sprintf(dockerPage, DockerTable(polled)) }

// Details writes one alert of each rule, phase and software, and of each theft and victim.
func Details(w io.Writer, honest []Honest, thieves Thieves) {
	for _, h := range honest {
		for i, phase := range Phases {
			for _, r := range h.Raised[i] {
				fmt.Fprintf(w, "%s, %s: %d × %s %s: %s\n", h.Name, phase, r.Count, level(r.Priority), r.Rule, r.Example)
			}
		}
	}
	for i, t := range thieves.Thefts {
		for v, victim := range thieves.Victims {
			for n, raised := range thieves.Stolen[i][v].Raised {
				for _, r := range raised {
					fmt.Fprintf(w, "%s, of %s, act %d: %s %s: %s\n", t.Name, victim, n+1, level(r.Priority), r.Rule, r.Example)
				}
			}
		}
	}
}

// DockerDetails writes one alert of each rule and kind of act.
func DockerDetails(w io.Writer, polled []Polled) {
	for _, p := range polled {
		for _, a := range p.Raised {
			fmt.Fprintf(w, "%s, %s: %d × %s %s: %s\n", p.Name, a.Operation, a.Count, level(a.Priority), a.Rule, a.Example)
		}
	}
}
