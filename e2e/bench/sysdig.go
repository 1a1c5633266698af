// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/containerapi/containerapi/e2e/engine"
)

// sysdig runs on the same library as Falco, but reads conditions only.
type sysdig struct{ engine.Engine }

func (s sysdig) command(ctx context.Context, l load, dir string, alerts *os.File) (*exec.Cmd, error) {
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
	cmd := s.Exec(ctx, "-H", library, "-I", l.plugin+":"+l.open, "-p", "%evt.num", condition)
	cmd.Stdout = alerts
	return cmd, nil
}

// anyOf returns a condition that matches what any rule of a source matches, and
// costs what Falco's rules cost together: both stop at the first that matches.
func anyOf(files []string, source string) (string, error) {
	rules, err := engine.LoadRules(files...)
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
