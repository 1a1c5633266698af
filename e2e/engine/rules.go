// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Rule is a rule of a rule file, as far as the rules of its own file and of
// those before it change it.
type Rule struct {
	Name      string
	Source    string
	Condition string
	Output    string
	Priority  string
	Tags      []string
	Disabled  bool
}

// object is one entry of a rule file: a rule, a macro or a list.
type object struct {
	Rule, Macro, List           string
	Source                      string
	Condition, Output, Priority string
	Items                       []string
	Tags                        []string
	Enabled                     *bool
	Exceptions                  []exception
	Append                      bool
	Override                    map[string]string
}

// exception is one of a rule's exceptions: fields, how each is compared, and
// the tuples of values that are excepted.
type exception struct {
	Name          string
	Fields, Comps oneOrMore
	Values        []oneOrMore
	single        bool
}

// oneOrMore is a YAML value or a list of them.
type oneOrMore []string

func (o *oneOrMore) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*o = oneOrMore{n.Value}
		return nil
	}
	*o = nil
	for _, item := range n.Content {
		if item.Kind != yaml.ScalarNode {
			return fmt.Errorf("line %d: lists of lists of values are not supported", item.Line)
		}
		*o = append(*o, item.Value)
	}
	return nil
}

func (e *exception) UnmarshalYAML(n *yaml.Node) error {
	type plain exception
	if err := n.Decode((*plain)(e)); err != nil {
		return err
	}
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == "fields" {
			e.single = n.Content[i+1].Kind == yaml.ScalarNode
		}
	}
	return nil
}

// LoadRules reads rule files in Falco's format, expands their macros and lists
// and returns their rules in the order that Falco tries them in. It is for
// engines that read conditions but no rule files, and for questions about the
// files; [Falco's own loader] is stricter.
//
// [Falco's own loader]: https://falco.org/docs/concepts/rules/
func LoadRules(files ...string) ([]Rule, error) {
	var set ruleSet
	for _, name := range files {
		if err := set.load(name); err != nil {
			return nil, fmt.Errorf("rule file %s: %w", name, err)
		}
	}
	return set.expand()
}

// ruleSet is what the rule files say, appended and overridden in their order.
type ruleSet struct {
	rules, macros, lists []*object
}

func (s *ruleSet) load(name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	decoder := yaml.NewDecoder(file)
	for {
		var objects []object
		err := decoder.Decode(&objects)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for i := range objects {
			o := &objects[i]
			switch {
			case o.Rule != "":
				s.rules, err = o.addTo(s.rules, o.Rule)
			case o.Macro != "":
				s.macros, err = o.addTo(s.macros, o.Macro)
			case o.List != "":
				s.lists, err = o.addTo(s.lists, o.List)
			}
			if err != nil {
				return err
			}
		}
	}
}

func (o *object) name() string { return o.Rule + o.Macro + o.List }

// addTo adds an object, or changes the one that it appends to or overrides.
func (o *object) addTo(all []*object, name string) ([]*object, error) {
	i := slices.IndexFunc(all, func(other *object) bool { return other.name() == name })
	// Only "enabled" may be given without an override.
	change := o.Append || len(o.Override) > 0 || o.Rule != "" && o.Condition == ""
	if !change {
		if i < 0 {
			return append(all, o), nil
		}
		all[i] = o
		return all, nil
	}
	if i < 0 {
		return nil, fmt.Errorf("%q is changed but does not exist", name)
	}
	old := all[i]
	if o.Enabled != nil {
		old.Enabled = o.Enabled
	}
	text := func(key, value string, to *string) {
		switch how := o.Override[key]; {
		case how == "replace":
			*to = value
		case (how == "append" || o.Append) && value != "":
			*to += " " + value
		}
	}
	text("condition", o.Condition, &old.Condition)
	text("output", o.Output, &old.Output)
	text("priority", o.Priority, &old.Priority)
	values := func(key string, value []string, to *[]string) {
		if o.Override[key] == "replace" {
			*to = nil
		}
		if o.Override[key] != "" || o.Append {
			*to = append(*to, value...)
		}
	}
	values("items", o.Items, &old.Items)
	values("tags", o.Tags, &old.Tags)
	if o.Override["exceptions"] == "replace" {
		old.Exceptions = nil
	}
	for _, e := range o.Exceptions {
		i := slices.IndexFunc(old.Exceptions, func(other exception) bool { return other.Name == e.Name })
		if i < 0 {
			old.Exceptions = append(old.Exceptions, e)
			continue
		}
		old.Exceptions[i].Values = append(old.Exceptions[i].Values, e.Values...)
	}
	return all, nil
}

func (s *ruleSet) expand() ([]Rule, error) {
	lists := make(map[string][]string)
	for _, l := range s.lists {
		var items []string
		for _, item := range l.Items {
			if known, ok := lists[item]; ok {
				items = append(items, known...)
			} else {
				items = append(items, item)
			}
		}
		lists[l.List] = items
	}
	e := expander{lists: lists, macros: make(map[string]string)}
	// A macro uses only macros before it.
	for _, m := range s.macros {
		condition, err := e.expand(m.Condition)
		if err != nil {
			return nil, fmt.Errorf("macro %s: %w", m.Macro, err)
		}
		e.macros[m.Macro] = condition
	}
	var rules []Rule
	for _, r := range s.rules {
		condition := "(" + r.Condition + ")"
		for _, x := range r.Exceptions {
			text, err := x.condition()
			if err != nil {
				return nil, fmt.Errorf("rule %q: exception %s: %w", r.Rule, x.Name, err)
			}
			condition += text
		}
		condition, err := e.expand(condition)
		if err != nil {
			return nil, fmt.Errorf("rule %q: %w", r.Rule, err)
		}
		if r.Priority == "" {
			return nil, fmt.Errorf("rule %q has no priority", r.Rule)
		}
		source := r.Source
		if source == "" {
			source = "syscall"
		}
		rules = append(rules, Rule{
			Name:      r.Rule,
			Source:    source,
			Condition: condition,
			Output:    strings.Join(strings.Fields(r.Output), " "),
			Priority:  r.Priority,
			Tags:      r.Tags,
			Disabled:  r.Enabled != nil && !*r.Enabled,
		})
	}
	return rules, nil
}

// condition returns what an exception adds to its rule's condition.
func (x exception) condition() (string, error) {
	if len(x.Values) == 0 {
		return "", nil
	}
	if x.single {
		var all []string
		for _, tuple := range x.Values {
			for _, value := range tuple {
				all = append(all, quote(value))
			}
		}
		return fmt.Sprintf(" and not %s in (%s)", x.Fields[0], strings.Join(all, ", ")), nil
	}
	var tuples []string
	for _, tuple := range x.Values {
		if len(tuple) != len(x.Fields) {
			return "", fmt.Errorf("%d values for %d fields", len(tuple), len(x.Fields))
		}
		var parts []string
		for i, value := range tuple {
			comparison := "="
			if i < len(x.Comps) {
				comparison = x.Comps[i]
			}
			value = quote(value)
			if slices.Contains(listOperators, comparison) {
				value = "(" + value + ")"
			}
			parts = append(parts, x.Fields[i]+" "+comparison+" "+value)
		}
		tuples = append(tuples, "("+strings.Join(parts, " and ")+")")
	}
	return " and not (" + strings.Join(tuples, " or ") + ")", nil
}

// listOperators compare with a list in parentheses.
var listOperators = []string{"in", "intersects", "pmatch"}

// transformers change a field's value before it is compared.
var transformers = []string{"val", "tolower", "toupper", "b64", "basename", "len"}

// expander replaces the names of macros and lists in conditions.
type expander struct {
	lists  map[string][]string
	macros map[string]string
}

func (e *expander) expand(condition string) (string, error) {
	tokens, err := tokenize(condition)
	if err != nil {
		return "", err
	}
	var out []string
	for i := 0; i < len(tokens); i++ {
		token := tokens[i]
		if macro, ok := e.macros[token]; ok && !comparedTo(tokens, i) {
			out = append(out, "("+macro+")")
			continue
		}
		out = append(out, token)
		if !slices.Contains(listOperators, token) || i+1 >= len(tokens) || tokens[i+1] != "(" {
			continue
		}
		var items []string
		for i += 2; ; i++ {
			if i >= len(tokens) {
				return "", errors.New("a list has no end")
			}
			if tokens[i] == ")" {
				break
			}
			if tokens[i] == "," {
				continue
			}
			if list, ok := e.lists[tokens[i]]; ok {
				for _, item := range list {
					items = append(items, quote(item))
				}
			} else {
				items = append(items, tokens[i])
			}
		}
		out = append(out, "("+strings.Join(items, ", ")+")")
	}
	return strings.Join(out, " "), nil
}

// comparedTo reports whether a token is the value in a comparison, where a bare
// word that is a macro's name as well means itself.
func comparedTo(tokens []string, i int) bool {
	if i == 0 {
		return false
	}
	switch tokens[i-1] {
	case "=", "==", "!=", "<", "<=", ">", ">=", "contains", "icontains", "bcontains", "startswith", "bstartswith", "endswith", "glob", "iglob", "regex":
		return true
	}
	return slices.Contains(listOperators, tokens[i-1])
}

// tokenize cuts a condition into words, quoted strings, comparisons and
// punctuation.
func tokenize(s string) ([]string, error) {
	const punctuation, comparison, space = "(),", "=<>!", " \t\r\n"
	var tokens []string
	for i := 0; i < len(s); {
		start := i
		switch c := s[i]; {
		case strings.IndexByte(space, c) >= 0:
			i++
			continue
		case strings.IndexByte(punctuation, c) >= 0:
			i++
		case strings.IndexByte(comparison, c) >= 0:
			for i < len(s) && strings.IndexByte(comparison, s[i]) >= 0 {
				i++
			}
		case c == '"' || c == '\'':
			for i++; i < len(s) && s[i] != c; i++ {
				if s[i] == '\\' {
					i++
				}
			}
			if i++; i > len(s) {
				return nil, fmt.Errorf("a string has no end: %s", s[start:])
			}
		default:
			// A field's argument, as in jevt.value[/a b], is part of its word.
			for depth := 0; i < len(s); i++ {
				if s[i] == '[' {
					depth++
				} else if s[i] == ']' {
					depth--
				} else if depth == 0 && strings.IndexByte(punctuation+comparison+space, s[i]) >= 0 {
					break
				}
			}
			// So is what a transformer, as in val(proc.pid), is applied to.
			if end := strings.IndexByte(s[i:], ')'); end >= 0 && s[i] == '(' && slices.Contains(transformers, s[start:i]) {
				i += end + 1
			}
		}
		tokens = append(tokens, s[start:i])
	}
	return tokens, nil
}

// quote makes a value of a YAML file a string of the condition language.
func quote(s string) string {
	if len(s) > 1 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
