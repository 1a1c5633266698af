// SPDX-License-Identifier: Apache-2.0

// Package engine runs the plugin and its rules in a real engine: Falco where it
// is found, and Debian's sysdig, built on the same libsinsp, where it is not.
package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/containerapi/containerapi/e2e/process"
)

// Engine is a program that loads plugins and rules.
type Engine interface {
	// String says which program and which version it is.
	String() string
	// IsFalco reports whether it is Falco, and not what stands in for it.
	IsFalco() bool
	// Exec returns the command that runs the program with arguments of its own.
	Exec(ctx context.Context, args ...string) *exec.Cmd
	// command returns the command that runs the configuration, with files of
	// its own in dir, and a reader of the lines that it prints.
	command(c Config, dir string) (*exec.Cmd, lineReader, error)
}

// lineReader reads one line of an engine's output. It returns false for a line
// that completes no alert.
type lineReader func(line []byte) (Alert, bool, error)

// Config is what an engine is to run.
type Config struct {
	// Plugins are loaded. The first one is the source of the events.
	Plugins []Plugin
	// Capture is a file of recorded system calls, which are the events
	// instead of those of a plugin.
	Capture string
	// Record is the beginning of the paths of the files that Falco writes what
	// the kernel's modern eBPF probe sees to, which are the events instead of
	// those of a plugin. It begins with the first alert of a rule that has
	// "capture: true", and needs root. No other engine can.
	Record string
	// Source is the event source of the first plugin, or "syscall".
	Source string
	// Rules are rule files, loaded in this order.
	Rules []string
	// AllMatching makes an event raise an alert for every rule that matches,
	// not only for the first.
	AllMatching bool
}

// Plugin is a plugin as an engine loads it.
type Plugin struct {
	// Name is the plugin's name, Library the path of its shared library.
	Name, Library string
	// Init is the init_config, encoded as JSON; nil for none.
	Init any
	// Open are the open_params of a plugin that is the source.
	Open string
}

// Alert is what a rule raises.
type Alert struct {
	Rule   string
	Source string
	// Priority is as Falco writes it, such as "Warning".
	Priority string
	// Time is the event's.
	Time time.Time
	// Output is the text of the alert, without time and priority.
	Output string
	// Fields are the values of the fields in the output, nil where the event
	// has none.
	Fields map[string]any
	// Printed is when the engine printed it.
	Printed time.Time
}

// Loud reports whether the alert is of priority WARNING or above.
func (a Alert) Loud() bool {
	switch strings.ToLower(a.Priority) {
	case "notice", "info", "informational", "debug":
		return false
	}
	return true
}

// Find returns the engine to use: the program that the environment variable
// FALCO names, falco of the PATH, or sysdig of the root directory that
// [InstallSysdig] made.
func Find(ctx context.Context) (Engine, error) {
	path := os.Getenv("FALCO")
	if path == "" {
		if found, err := exec.LookPath("falco"); err == nil {
			path = found
		}
	}
	if path != "" {
		return newFalco(ctx, path)
	}
	return newSysdig(ctx)
}

// Process is an engine at work.
type Process struct {
	*process.Process

	dir            string
	stdout, stderr process.Output
	read           lineReader

	mu     sync.Mutex
	line   []byte
	alerts []Alert
	taken  int
	broken error
	// news is closed and replaced with every alert.
	news chan struct{}
}

// Start starts the engine. The process has to be stopped with
// [Process.Stop], also when it has ended.
func Start(e Engine, c Config) (*Process, error) {
	if len(c.Plugins) == 0 && c.Capture == "" && c.Record == "" {
		return nil, errors.New("an engine needs a plugin, a capture or something to record")
	}
	dir, err := os.MkdirTemp("", "engine")
	if err != nil {
		return nil, err
	}
	p := &Process{dir: dir, news: make(chan struct{})}
	c.Plugins = withState(c.Plugins, dir)
	cmd, read, err := e.command(c, dir)
	if err == nil {
		p.read = read
		cmd.Stdout = writer(p.take)
		cmd.Stderr = &p.stderr
		p.Process, err = process.Start(e.String(), cmd)
	}
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return p, nil
}

// Replay runs the engine to the end of its source and returns all alerts.
func Replay(ctx context.Context, e Engine, c Config) ([]Alert, error) {
	p, err := Start(e, c)
	if err != nil {
		return nil, err
	}
	select {
	case <-p.Ended():
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), p.Stop())
	}
	if err := errors.Join(p.Stop(), p.Err()); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", e, err, p.Stderr())
	}
	return p.Alerts(), nil
}

// Stop ends the engine with SIGTERM, as a service manager does, and removes its
// files. An engine that does not end within 5 seconds is killed, which is an
// error.
func (p *Process) Stop() error {
	err := p.Process.Stop(syscall.SIGTERM, 5*time.Second)
	p.mu.Lock()
	defer p.mu.Unlock()
	return errors.Join(err, p.broken, os.RemoveAll(p.dir))
}

// AwaitListener waits until the plugin listens at an address, so that no event is
// sent before.
func (p *Process) AwaitListener(ctx context.Context, address string) error {
	if err := p.Process.AwaitListener(ctx, address); err != nil {
		return fmt.Errorf("%w\n%s", err, p.Stderr())
	}
	return nil
}

// Stdout returns what the engine printed until now.
func (p *Process) Stdout() string { return p.stdout.String() }

// Stderr returns what the engine logged until now.
func (p *Process) Stderr() string { return p.stderr.String() }

// Alerts returns all alerts until now.
func (p *Process) Alerts() []Alert {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.alerts[:len(p.alerts):len(p.alerts)]
}

// Until waits for an alert that matches, and returns it with all before it that
// no earlier call returned.
func (p *Process) Until(ctx context.Context, match func(Alert) bool) ([]Alert, error) {
	p.mu.Lock()
	from := p.taken
	p.mu.Unlock()
	next := from
	for {
		p.mu.Lock()
		for ; next < len(p.alerts); next++ {
			if match(p.alerts[next]) {
				p.taken = next + 1
				found := p.alerts[from : next+1 : next+1]
				p.mu.Unlock()
				return found, nil
			}
		}
		news, broken := p.news, p.broken
		p.mu.Unlock()
		if broken != nil {
			return nil, broken
		}
		select {
		case <-news:
		case <-p.Ended():
			return nil, fmt.Errorf("the engine ended: %v\n%s", p.Err(), p.Stderr())
		case <-ctx.Done():
			return nil, fmt.Errorf("no such alert: %w", ctx.Err())
		}
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

// take cuts what the engine prints into lines and reads them.
func (p *Process) take(b []byte) (int, error) {
	_, _ = p.stdout.Write(b)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line = append(p.line, b...)
	for {
		line, rest, found := bytes.Cut(p.line, []byte("\n"))
		if !found {
			return len(b), nil
		}
		alert, ok, err := p.read(line)
		if err != nil && p.broken == nil {
			p.broken = fmt.Errorf("read what the engine prints: %w", err)
		}
		if ok {
			alert.Printed = time.Now()
			p.alerts = append(p.alerts, alert)
		}
		if ok || err != nil {
			close(p.news)
			p.news = make(chan struct{})
		}
		p.line = append(p.line[:0], rest...)
	}
}

// withState returns plugins of which ours keep their state in this directory, where
// nothing else is said: what one run learns must not be known in the next.
func withState(plugins []Plugin, dir string) []Plugin {
	plugins = slices.Clone(plugins)
	for i, p := range plugins {
		settings, ok := p.Init.(map[string]any)
		if !strings.HasPrefix(p.Name, "containerapi") || p.Init != nil && !ok {
			continue
		}
		settings = maps.Clone(settings)
		if settings == nil {
			settings = map[string]any{}
		}
		if _, said := settings["stateDir"]; !said {
			settings["stateDir"] = filepath.Join(dir, "state")
		}
		plugins[i].Init = settings
	}
	return plugins
}

// initText is a plugin's init_config as the plugin gets it.
func (p Plugin) initText() (string, error) {
	if p.Init == nil {
		return "", nil
	}
	text, err := json.Marshal(p.Init)
	if err != nil {
		return "", fmt.Errorf("init_config of %s: %w", p.Name, err)
	}
	return string(text), nil
}

// firstLine runs a program and returns the first line that it prints.
func firstLine(cmd *exec.Cmd) (string, error) {
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), err)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line), nil
}
