// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// scriptLimit is how long a script may take.
const scriptLimit = time.Minute

// stage is where acts of one API happen.
type stage interface {
	// perform does an act and returns when it is done.
	perform(ctx context.Context, a act) error
	// mark makes an event of this API that raises the alert of the marker
	// rule, after those of all acts before.
	mark(ctx context.Context, name string) error
}

// shellStage runs scripts against a real API.
type shellStage struct {
	// dir is the directory that scripts run in.
	dir string
	// env is what scripts find in their environment, beside this program's.
	env func(user string) []string
	// secret is what the script must not show if it fails.
	secret string
	// marker is the script that makes the mark $MARK.
	marker act
}

func (s *shellStage) perform(ctx context.Context, a act) error { return s.script(ctx, a) }

func (s *shellStage) mark(ctx context.Context, name string) error {
	return s.script(ctx, s.marker, "MARK="+name)
}

// script runs an act's script. What it prints on its standard output may be
// secrets, and is seen by no one.
func (s *shellStage) script(ctx context.Context, a act, env ...string) error {
	ctx, cancel := context.WithTimeout(ctx, scriptLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-ec", a.run)
	cmd.Dir = s.dir
	cmd.Env = append(append(os.Environ(), s.env(a.as)...), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return errors.Join(ctx.Err(), fmt.Errorf("%w: %s", err, strings.TrimSpace(strings.ReplaceAll(stderr.String(), s.secret, "***"))))
	}
	return nil
}

// recordedStage sends what a real API server once wrote into its audit log, as
// an API server does: to the plugin's webhook.
type recordedStage struct {
	// dir is the directory of the recordings, webhook the URL to send to.
	dir, webhook string
}

func (s *recordedStage) perform(ctx context.Context, a act) error {
	events, err := recording(filepath.Join(s.dir, a.run+".jsonl.gz"))
	if err != nil {
		return err
	}
	return s.send(ctx, events)
}

func (s *recordedStage) mark(ctx context.Context, name string) error {
	now := time.Now().UTC().Format("2006-01-02T15:04:05.000000Z")
	event, err := json.Marshal(map[string]any{
		"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": name,
		"stage": "ResponseComplete", "verb": "get", "requestURI": "/healthz?mark=" + name,
		"user": map[string]any{"username": "demo"}, "sourceIPs": []string{"127.0.0.1"},
		"responseStatus":           map[string]any{"code": http.StatusOK},
		"requestReceivedTimestamp": now, "stageTimestamp": now,
	})
	if err != nil {
		return err
	}
	return s.send(ctx, []json.RawMessage{event})
}

// recording reads a recording: one audit event a line.
func recording(path string) ([]json.RawMessage, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var events []json.RawMessage
	for decoder := json.NewDecoder(unpacked); ; {
		var event json.RawMessage
		if err := decoder.Decode(&event); err == io.EOF {
			return events, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		events = append(events, event)
	}
}

// send sends audit events to the webhook.
func (s *recordedStage) send(ctx context.Context, events []json.RawMessage) error {
	body, err := json.Marshal(map[string]any{"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": events})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.webhook, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the plugin's webhook answered %s", answer.Status)
	}
	return nil
}
