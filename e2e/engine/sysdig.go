// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerapi/containerapi/internal/debian"
)

// chisel is the script that evaluates one rule. Sysdig runs one of them for
// each rule, in their order, in one pass over the events.
//
//go:embed rule.lua
var chisel []byte

// sysdig is the engine of Debian's package of that name: the same libsinsp as
// Falco's, which reads conditions but no rule files.
type sysdig struct {
	root, version string
}

func newSysdig(ctx context.Context) (Engine, error) {
	root, err := debian.Root()
	if err != nil {
		return nil, err
	}
	s := &sysdig{root: root}
	if _, err := os.Stat(s.program()); err != nil {
		return nil, fmt.Errorf("there is no engine: install Falco or name it in FALCO, or let `make setup` prepare one: %w", err)
	}
	if s.version, err = firstLine(s.Exec(ctx, "--version")); err != nil {
		return nil, err
	}
	s.version = strings.TrimPrefix(s.version, "sysdig version ")
	return s, nil
}

func (s *sysdig) String() string { return "sysdig " + s.version + " (no Falco was found)" }

func (s *sysdig) IsFalco() bool { return false }

func (s *sysdig) Exec(ctx context.Context, args ...string) *exec.Cmd {
	name, args := s.argv(args...)
	return exec.CommandContext(ctx, name, args...)
}

func (s *sysdig) program() string { return filepath.Join(s.root, "usr/bin/sysdig") }

// argv returns the command that runs sysdig with its own distribution's
// libraries, which are newer than the host's, on the host's files.
func (s *sysdig) argv(args ...string) (string, []string) {
	loaders, _ := filepath.Glob(filepath.Join(s.root, "usr/lib*/ld-linux*.so.*"))
	libraries, _ := filepath.Glob(filepath.Join(s.root, "usr/lib/*-linux-gnu"))
	loaders = append(loaders, "")
	return loaders[0], append([]string{"--library-path", strings.Join(libraries, ":"), s.program()}, args...)
}

func (s *sysdig) command(c Config, dir string) (*exec.Cmd, lineReader, error) {
	if c.Record != "" {
		return nil, nil, errors.New("only Falco records system calls: name it in the environment variable FALCO")
	}
	all, err := LoadRules(c.Rules...)
	if err != nil {
		return nil, nil, err
	}
	rules := slices.DeleteFunc(all, func(r Rule) bool { return r.Disabled || r.Source != c.Source })
	if len(rules) == 0 {
		return nil, nil, fmt.Errorf("the rule files have no rule of source %s", c.Source)
	}
	script := filepath.Join(dir, "rule.lua")
	if err := os.WriteFile(script, chisel, 0o600); err != nil {
		return nil, nil, err
	}
	// Two plugins may come from one library, which is loaded once.
	args := []string{"-j", "--unbuffered"}
	if c.Capture != "" {
		args = append(args, "-r", c.Capture)
	}
	for i, p := range c.Plugins {
		text, err := p.initText()
		if err != nil {
			return nil, nil, err
		}
		library := p.Library
		if text != "" {
			library += ":" + text
		}
		args = append(args, "-H", library)
		if i == 0 {
			source := p.Name
			if p.Open != "" {
				source += ":" + p.Open
			}
			args = append(args, "-I", source)
		}
	}
	for i, r := range rules {
		condition := filepath.Join(dir, fmt.Sprintf("%d.condition", i))
		format := filepath.Join(dir, fmt.Sprintf("%d.format", i))
		fields := append(outputFields(r.Output), "evt.num", "evt.rawtime")
		slices.Sort(fields)
		// Without the asterisk an event that lacks a field is not printed.
		text := "*%" + strings.Join(slices.Compact(fields), " %")
		if err := errors.Join(
			os.WriteFile(condition, []byte(r.Condition), 0o600),
			os.WriteFile(format, []byte(text), 0o600),
		); err != nil {
			return nil, nil, err
		}
		args = append(args, "-c", script, fmt.Sprintf("%d %s %s", i, condition, format))
	}
	name, args := s.argv(args...)
	reader := &sysdigReader{rules: rules, all: c.AllMatching}
	return exec.Command(name, args...), reader.read, nil
}

// sysdigReader makes alerts of what the chisel prints: the number of the rule
// after a mark, and in the next line the fields.
type sysdigReader struct {
	rules []Rule
	all   bool
	rule  int
	last  uint64
}

const chiselMark = "#rule "

func (s *sysdigReader) read(line []byte) (Alert, bool, error) {
	if number, ok := bytes.CutPrefix(line, []byte(chiselMark)); ok {
		n, err := strconv.Atoi(string(number))
		if err != nil || n >= len(s.rules) {
			return Alert{}, false, fmt.Errorf("no rule has the number %q", number)
		}
		s.rule = n
		return Alert{}, false, nil
	}
	if !bytes.HasPrefix(line, []byte("{")) {
		return Alert{}, false, nil
	}
	var values map[string]any
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.UseNumber()
	if err := decoder.Decode(&values); err != nil {
		return Alert{}, false, err
	}
	number, err1 := unsigned(values["evt.num"])
	nanoseconds, err2 := unsigned(values["evt.rawtime"])
	if err := errors.Join(err1, err2); err != nil {
		return Alert{}, false, err
	}
	if number == s.last && !s.all {
		return Alert{}, false, nil
	}
	s.last = number
	r := s.rules[s.rule]
	fields := make(map[string]any)
	for _, name := range outputFields(r.Output) {
		fields[name] = values[name]
	}
	return Alert{
		Rule:     r.Name,
		Priority: priority(r.Priority),
		Source:   r.Source,
		Time:     time.Unix(0, int64(nanoseconds)).UTC(),
		Output:   outputField.ReplaceAllStringFunc(r.Output, func(name string) string { return show(values[name[1:]]) }),
		Fields:   fields,
	}, true, nil
}

// priority is the name that Falco gives a rule's priority in an alert.
func priority(name string) string {
	name = strings.ToLower(name)
	if name == "info" {
		name = "informational"
	}
	return strings.ToUpper(name[:1]) + name[1:]
}

func unsigned(v any) (uint64, error) {
	number, _ := v.(json.Number)
	return strconv.ParseUint(number.String(), 10, 64)
}

// show is a value as it stands in an output.
func show(v any) string {
	switch v := v.(type) {
	case nil:
		return "<NA>"
	case []any:
		all := make([]string, len(v))
		for i, item := range v {
			all[i] = show(item)
		}
		return "(" + strings.Join(all, ",") + ")"
	}
	return fmt.Sprint(v)
}

// outputField is a field in an output, such as %kube.user.name or
// %jevt.value[/input].
var outputField = regexp.MustCompile(`%[a-z][a-z0-9_]*(\.[a-z0-9_]+)+(\[[^\]]*\])?`)

// outputFields returns the names of the fields in an output.
func outputFields(output string) []string {
	names := outputField.FindAllString(output, -1)
	for i := range names {
		names[i] = names[i][1:]
	}
	return names
}
