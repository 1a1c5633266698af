// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestLoadRules(t *testing.T) {
	for _, test := range []struct {
		name, text, condition string
	}{
		{
			name: "macro in macro, list in list",
			text: `
- list: a
  items: [x, "y z"]
- list: b
  items: [a, 'q"r']
- macro: m
  condition: f in (b)
- macro: n
  condition: m or g exists
- rule: R
  condition: not n
  output: x
  priority: INFO`,
			condition: `( not ((f in ("x", "y z", "q\"r")) or g exists) )`,
		},
		{
			name: "append and replace",
			text: `
- list: a
  items: [x]
- macro: m
  condition: f in (a)
- rule: R
  condition: m
  output: x
  priority: INFO
- list: a
  items: [y]
  override: {items: append}
- macro: m
  condition: and g = 1
  override: {condition: append}
- rule: R
  condition: and h != "(a, m"
  override: {condition: append}`,
			condition: `( (f in ("x", "y") and g = 1) and h != "(a, m" )`,
		},
		{
			name: "words that are values",
			text: `
- macro: exec
  condition: f = 1
- rule: R
  condition: g = exec and not jevt.value[/a (b)/c] contains 'x y'
  output: x
  priority: INFO`,
			condition: `( g = exec and not jevt.value[/a (b)/c] contains 'x y' )`,
		},
		{
			name: "transformers",
			text: `
- macro: m
  condition: f != val(g) or tolower(h[/a b]) in (x)
- rule: R
  condition: not m
  output: x
  priority: INFO`,
			condition: `( not (f != val(g) or tolower(h[/a b]) in (x)) )`,
		},
		{
			name: "empty list",
			text: `
- list: none
  items: []
- rule: R
  condition: f in (none) or g in (none, x)
  output: x
  priority: INFO`,
			condition: `( f in () or g in (x) )`,
		},
		{
			name: "exceptions",
			text: `
- rule: R
  condition: f = 1
  output: x
  priority: INFO
  exceptions:
    - name: one
      fields: g
      values: [x, y]
    - name: two
      fields: [g, h]
      comps: [startswith, =]
      values:
        - [/a, b]
    - name: unused
      fields: [g]`,
			condition: `( f = 1 ) and not g in ("x", "y") and not ( ( g startswith "/a" and h = "b" ) )`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "rules.yaml")
			if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			rules, err := LoadRules(file)
			if err != nil {
				t.Fatal(err)
			}
			if len(rules) != 1 || rules[0].Condition != test.condition {
				t.Errorf("got  %+v\nwant %s", rules, test.condition)
			}
		})
	}
}

func TestLoadRulesErrors(t *testing.T) {
	for text, want := range map[string]string{
		"- macro: m\n  condition: and f = 1\n  append: true":                                        `"m" is changed but does not exist`,
		"- rule: R\n  condition: f = \"x\n  output: x\n  priority: INFO":                            "a string has no end",
		"- rule: R\n  condition: f in (x\n  output: x\n  priority: INFO":                            "",
		"- rule: R\n  condition: [":                                                                 "rule file",
		"- rule: R\n  condition: f\n  exceptions: [{name: e, fields: [a, b], values: [[1, 2, 3]]}]": "3 values for 2 fields",
	} {
		file := filepath.Join(t.TempDir(), "rules.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadRules(file); want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s\ngave %v, want %s", text, err, want)
		}
	}
	if _, err := LoadRules("/nowhere"); err == nil {
		t.Error("no error for a file that does not exist")
	}
}

func FuzzExpand(f *testing.F) {
	f.Add(`not m and f in (l, "x y") or jevt.value[/a] = 'b'`)
	f.Fuzz(func(t *testing.T, condition string) {
		e := expander{
			lists:  map[string][]string{"l": {"1", "2"}},
			macros: map[string]string{"m": "g exists"},
		}
		once, err := e.expand(condition)
		if err != nil {
			return
		}
		// What is expanded holds no macro any more and stays as it is.
		e.macros = nil
		e.lists = nil
		twice, err := e.expand(once)
		if err != nil {
			t.Fatalf("%q became %q: %v", condition, once, err)
		}
		want, _ := tokenize(once)
		if got, _ := tokenize(twice); !slices.Equal(got, want) {
			t.Errorf("%q became %q, then %q", condition, once, twice)
		}
	})
}
