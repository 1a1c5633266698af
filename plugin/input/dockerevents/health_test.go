// SPDX-License-Identifier: Apache-2.0

package dockerevents

import (
	"fmt"
	"strings"
	"testing"
)

func TestHealthCommand(t *testing.T) {
	for _, test := range []struct {
		test, shell []string
		want        string
	}{
		{nil, nil, ""},
		{[]string{"NONE"}, nil, ""},
		{[]string{"NONE", "x"}, nil, ""},
		{[]string{"CMD"}, nil, ""},
		{[]string{"CMD", "check"}, nil, "check"},
		{[]string{"CMD", "curl", "-f", "http://localhost/"}, []string{"/bin/bash", "-c"}, "curl -f http://localhost/"},
		{[]string{"CMD-SHELL", "curl -f x || exit 1"}, nil, "/bin/sh -c curl -f x || exit 1"},
		{[]string{"CMD-SHELL", "curl -f x"}, []string{"/bin/bash", "-ec"}, "/bin/bash -ec curl -f x"},
	} {
		if got := healthCommand(test.test, test.shell); got != test.want {
			t.Errorf("healthCommand(%q, %q) = %q, want %q", test.test, test.shell, got, test.want)
		}
	}
}

// execLine is an exec's event of container c.
func execLine(n int, action, exec string) string {
	return fmt.Sprintf(`{"Type":"container","Action":%q,"Actor":{"ID":"c","Attributes":{"execID":%q,"image":"i","name":"n"}},"timeNano":%d}`+"\n", action, exec, 1000+n)
}

func TestHealthCheck(t *testing.T) {
	f := newFake(t)
	f.inspect = `{"Id":"c","Config":{"Env":["PASSWORD=canary"],"Healthcheck":{"Test":["CMD-SHELL","mysql -pcanary -e 'select 1'"]}}}`
	s, _ := run(t, f.url(), Options{})
	s.eventually("the connection", func() bool { return f.connections() == 1 })
	const command = "/bin/sh -c mysql -pcanary -e 'select 1'"
	f.send(false,
		execLine(1, "exec_create: "+command, "a"),
		execLine(2, "exec_start: "+command, "a"),
		execLine(3, "exec_create: cat /etc/shadow", "b"),
		execLine(4, "exec_die", "b"),
		execLine(5, "exec_die", "a"),
		execLine(6, "destroy", ""),
	)
	s.eventually("the events", func() bool { return len(s.got()) == 6 })
	for i, want := range []bool{true, true, false, false, true, false} {
		if got := s.got()[i]; got.HealthCheck != want {
			t.Errorf("%s %s: HealthCheck is %v, want %v", got.Action, got.Command, got.HealthCheck, want)
		}
	}
	if all := s.JSONText(); strings.Contains(all, "canary") {
		t.Errorf("a secret shows:\n%s", all)
	}
	f.mu.Lock()
	inspects := 0
	for _, path := range f.paths {
		if strings.HasSuffix(path, "/containers/c/json") {
			inspects++
		}
	}
	// The container is gone, and one of the same id has another check.
	f.inspect = `{"Id":"c","Config":{"Healthcheck":{"Test":["CMD","true"]}}}`
	f.mu.Unlock()
	if inspects != 1 {
		t.Errorf("the container was inspected %d times, want once", inspects)
	}
	f.send(false, execLine(7, "exec_create: "+command, "c"), execLine(8, "exec_create: true ", "d"))
	s.eventually("the events", func() bool { return len(s.got()) == 8 })
	if got := s.got(); got[6].HealthCheck || !got[7].HealthCheck {
		t.Errorf("after destroy: got %+v and %+v", got[6], got[7])
	}
}

// Where the engine does not say, an exec is no health check.
func TestHealthCheckUnknown(t *testing.T) {
	for name, inspect := range map[string]string{"not found": "", "garbage": "garbage", "types": `{"Config":{"Healthcheck":{"Test":"true"}}}`} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.inspect = inspect
			s, _ := run(t, f.url(), Options{})
			s.eventually("the connection", func() bool { return f.connections() == 1 })
			f.send(false, execLine(1, "exec_create: true ", "a"), execLine(2, "exec_die", "a"))
			s.eventually("the events", func() bool { return len(s.got()) == 2 })
			for _, e := range s.got() {
				if e.HealthCheck {
					t.Errorf("%s is marked as a health check", e.Action)
				}
			}
		})
	}
}
