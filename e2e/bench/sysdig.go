// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	rulefiles "github.com/containerapi/containerapi/e2e/engine"
)

// sysdig runs on the same library as Falco, but reads conditions only.
type sysdig struct {
	// root is the directory of the Debian that it belongs to.
	root, version string
}

func newSysdig(ctx context.Context, root string) (engine, error) {
	s := &sysdig{root: root}
	if _, err := os.Stat(s.program()); err != nil {
		return nil, fmt.Errorf("there is no engine: install Falco or name it in FALCO, or let `make setup` prepare one: %w", err)
	}
	version, err := s.run(ctx, "--version").Output()
	if err != nil {
		return nil, fmt.Errorf("%s --version: %w", s.program(), err)
	}
	s.version = strings.TrimPrefix(strings.TrimSpace(string(version)), "sysdig version ")
	return s, nil
}

func (s *sysdig) String() string { return "sysdig " + s.version }

func (s *sysdig) program() string { return filepath.Join(s.root, "usr/bin/sysdig") }

// run returns the command that runs sysdig with the libraries of its own
// Debian, which are newer than the host's, on the host's files.
func (s *sysdig) run(ctx context.Context, args ...string) *exec.Cmd {
	loaders, _ := filepath.Glob(filepath.Join(s.root, "usr/lib*/ld-linux*.so.*"))
	libraries, _ := filepath.Glob(filepath.Join(s.root, "usr/lib/*-linux-gnu"))
	loader := append(loaders, "no ld-linux.so in "+s.root)[0]
	return exec.CommandContext(ctx, loader, append([]string{"--library-path", strings.Join(libraries, ":"), s.program()}, args...)...)
}

func (s *sysdig) command(ctx context.Context, l load, dir string, alerts *os.File) (*exec.Cmd, error) {
	condition := l.condition
	if len(l.rules) > 0 {
		var err error
		if condition, err = anyOf(l.rules, l.source); err != nil {
			return nil, err
		}
	}
	library := l.library
	if l.init != "" {
		library += ":" + l.init
	}
	cmd := s.run(ctx, "-H", library, "-I", l.plugin+":"+l.open, "-p", "%evt.num", condition)
	cmd.Stdout = alerts
	return cmd, nil
}

// anyOf returns a condition that matches what any rule of a source matches, and
// costs what Falco's rules cost together: both stop at the first that matches.
func anyOf(files []string, source string) (string, error) {
	rules, err := rulefiles.LoadRules(files...)
	if err != nil {
		return "", err
	}
	var conditions []string
	for _, r := range rules {
		if r.Source == source && !r.Disabled {
			conditions = append(conditions, "("+r.Condition+")")
		}
	}
	if len(conditions) == 0 {
		return "", fmt.Errorf("the rule files have no rule of source %s", source)
	}
	return strings.Join(conditions, " or "), nil
}
