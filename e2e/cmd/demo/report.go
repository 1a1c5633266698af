// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/containerapi/containerapi/e2e/engine"
)

// The widths of all that is printed and of the tables' columns, in characters.
const (
	width          = 100
	actWidth       = 37
	alertWidth     = 34
	techniqueWidth = 9
	latencyWidth   = 7
)

var (
	good  = text.Colors{text.FgGreen}
	bad   = text.Colors{text.FgRed, text.Bold}
	bold  = text.Colors{text.Bold}
	faint = text.Colors{text.Faint}
)

// essentials are the fields of an alert that say who did what, in this order,
// by the names that the table gives them.
var essentials = []struct{ name, field string }{
	{"user", "kube.user.name"},
	{"as", "kube.impersonated.user"},
	{"client", "kube.client"},
	{"from", "kube.sourceip"},
	{"token_of", "kube.token.pod"},
	{"exe", "docker.client.exepath"},
	{"pid", "docker.client.pid"},
	{"parent", "docker.client.pname"},
	{"in_container", "docker.client.container.name"},
	{"addr", "docker.client.addr"},
	{"operation", "api.operation"},
	{"object", "api.object"},
	{"container", "docker.container.name"},
	{"image", "docker.container.image.name"},
	{"command", "api.command"},
}

// report tells what happens, and then what happened.
type report struct {
	out io.Writer
	// techniques are the ATT&CK techniques of the rules, by their name.
	techniques map[string]string
}

var technique = regexp.MustCompile(`^T[0-9]{4}(\.[0-9]{3})?$`)

func newReport(out io.Writer, rules []engine.Rule) *report {
	r := &report{out: out, techniques: make(map[string]string)}
	for _, rule := range rules {
		tags := slices.DeleteFunc(slices.Clone(rule.Tags), func(tag string) bool { return !technique.MatchString(tag) })
		r.techniques[rule.Name] = strings.Join(tags, " ")
	}
	return r
}

func (r *report) printf(format string, args ...any) { fmt.Fprintf(r.out, format, args...) }

// part says what is used for something.
func (r *report) part(name, what string) {
	r.printf("  %s %s\n", bold.Sprintf("%-11s", name), what)
}

// begin says that an act begins.
func (r *report) begin(a act) {
	r.printf("\n%s\n", wrap(a.line(), width))
}

// end shows the alerts of an act when it is done, and what is to be said of it.
func (r *report) end(o outcome) {
	for _, a := range o.alerts {
		r.printf("    %s %s, after %s\n", priority(a.Priority).Sprint(short(a.Priority)), a.Rule, milliseconds(a.latency))
	}
	if _, _, wrong := o.judge(); wrong != "" {
		r.printf("    %s\n", bad.Sprint(wrong))
	} else if len(o.alerts) == 0 {
		r.printf("    %s\n", good.Sprint("silent"))
	}
}

// line is what to show for what an act runs.
func (a act) line() string {
	if a.show != "" {
		return a.show
	}
	return "$ " + strings.TrimSpace(a.Run)
}

// table shows acts beside what they raised.
func (r *report) table(title string, outcomes []outcome) {
	if len(outcomes) == 0 {
		return
	}
	t := table.NewWriter()
	t.SetStyle(table.StyleRounded)
	t.Style().Format.Header = text.FormatDefault
	t.Style().Options.SeparateRows = true
	t.Style().Title.Colors = bold
	t.SetTitle(title)
	var columns []table.ColumnConfig
	for i, width := range []int{actWidth, alertWidth, techniqueWidth, latencyWidth} {
		columns = append(columns, table.ColumnConfig{Number: i + 1, WidthMin: width, WidthMax: width})
	}
	columns[3].Align = text.AlignRight
	columns[3].AlignHeader = text.AlignRight
	t.SetColumnConfigs(columns)
	t.AppendHeader(table.Row{"What was done", "Alert", "ATT&CK", "Latency"})
	for _, o := range outcomes {
		what := bold.Sprint(wrap(o.title, actWidth)) + "\n" + wrap(o.line(), actWidth)
		seen, techniques, latency := r.alerts(o)
		t.AppendRow(table.Row{what, seen, techniques, latency})
	}
	r.printf("\n%s\n", t.Render())
}

// wrap breaks a text into lines, between words, or where a path or name has a
// joint if a word is too long.
func wrap(s string, width int) string {
	var lines []string
	var line []rune
	for word := range strings.FieldsSeq(s) {
		next := []rune(word)
		if len(line) > 0 && len(line)+1+len(next) <= width {
			line = append(append(line, ' '), next...)
			continue
		}
		if len(line) > 0 {
			lines = append(lines, string(line))
		}
		for line = next; len(line) > width; {
			cut := width
			for cut > 0 && !strings.ContainsRune("/:&,=", line[cut-1]) {
				cut--
			}
			if cut == 0 {
				cut = width
			}
			lines = append(lines, string(line[:cut]))
			line = line[cut:]
		}
	}
	return strings.Join(append(lines, string(line)), "\n")
}

// alerts returns what the table says of an act's alerts: the first of each rule
// that it was to raise, how many there are, and what else there was.
func (r *report) alerts(o outcome) (seen, techniques, latency string) {
	var all, every []string
	expected, others, wrong := o.judge()
	if wrong != "" {
		all = append(all, bad.Sprint(wrap(wrong, alertWidth)))
	} else if len(o.alerts) == 0 {
		all = append(all, good.Sprint("silent, as it should be"))
	}
	shown := make(map[string]bool)
	for i, a := range slices.Concat(expected, others) {
		if shown[a.Rule] {
			continue
		}
		shown[a.Rule] = true
		if t := r.techniques[a.Rule]; !slices.Contains(every, t) {
			every = append(every, t)
		}
		name := short(a.Priority)
		head := name + " " + a.Rule
		if n := o.count(a.Rule); n > 1 {
			head += fmt.Sprintf(" ×%d", n)
		}
		head = wrap(head, alertWidth)
		if i >= len(expected) && wrong == "" {
			all = append(all, faint.Sprint(head))
			continue
		}
		all = append(all, priority(a.Priority).Sprint(name)+strings.TrimPrefix(head, name), faint.Sprint(wrap(who(a), alertWidth)))
	}
	if len(expected) > 0 {
		latency = milliseconds(expected[0].latency)
	}
	return strings.Join(all, "\n"), strings.Join(every, "\n"), latency
}

// count returns how many alerts of a rule there are.
func (o outcome) count(rule string) int {
	n := 0
	for _, a := range o.alerts {
		if a.Rule == rule {
			n++
		}
	}
	return n
}

// who returns the essential fields of an alert.
func who(a alert) string {
	var all []string
	for _, e := range essentials {
		switch value := a.Fields[e.field].(type) {
		case nil:
		case string:
			if value != "" && value != "<NA>" {
				all = append(all, e.name+"="+value)
			}
		default:
			all = append(all, fmt.Sprintf("%s=%v", e.name, value))
		}
	}
	return strings.Join(all, " ")
}

// short is the name of a priority as rule files have it.
func short(priority string) string {
	upper := strings.ToUpper(priority)
	if upper == "INFORMATIONAL" {
		return "INFO"
	}
	return upper
}

// priority returns the colours of a priority, the louder the more it matters.
func priority(name string) text.Colors {
	switch short(name) {
	case "EMERGENCY", "ALERT", "CRITICAL", "ERROR":
		return text.Colors{text.FgRed, text.Bold}
	case "WARNING":
		return text.Colors{text.FgYellow, text.Bold}
	}
	return text.Colors{text.FgCyan, text.Bold}
}

func milliseconds(d time.Duration) string {
	if d < time.Millisecond {
		return "<1 ms"
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}

// summary says how it went, and returns an error that names what went wrong.
func (r *report) summary(outcomes []outcome) error {
	var attacks, benign, caught, silent int
	var latencies []time.Duration
	var wrong []string
	for _, o := range outcomes {
		expected, _, why := o.judge()
		fine := why == ""
		if !fine {
			wrong = append(wrong, fmt.Sprintf("%q %s", o.title, why))
		}
		if o.benign {
			benign++
			if fine {
				silent++
			}
			continue
		}
		attacks++
		if fine {
			caught++
			latencies = append(latencies, expected[0].latency)
		}
	}
	r.printf("\n%d of %d attacks caught", caught, attacks)
	if len(latencies) > 0 {
		slices.Sort(latencies)
		r.printf(", half of them within %s, all within %s", milliseconds(latencies[len(latencies)/2]), milliseconds(latencies[len(latencies)-1]))
	}
	r.printf("; %d of %d benign acts silent.\n", silent, benign)
	if len(wrong) > 0 {
		return fmt.Errorf("%s", strings.Join(wrong, "\n"))
	}
	return nil
}
