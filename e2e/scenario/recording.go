// SPDX-License-Identifier: Apache-2.0

package scenario

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
	"path/filepath"
	"time"
)

// RecordingFile returns the path of a scenario's recording in a directory of
// recordings.
func (s Scenario) RecordingFile(dir string) string {
	return filepath.Join(dir, filepath.FromSlash(s.Recording)+".jsonl.gz")
}

// ReadRecording reads a recording: one event a line, compressed.
func ReadRecording(name string) ([]json.RawMessage, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var events []json.RawMessage
	for decoder := json.NewDecoder(unpacked); ; {
		var event json.RawMessage
		if err := decoder.Decode(&event); errors.Is(err, io.EOF) {
			return events, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		events = append(events, event)
	}
}

// Webhook sends audit events as an API server does, to the plugin.
type Webhook struct {
	// URL is where the plugin listens.
	URL string
	// Recordings is the directory of the recordings.
	Recordings string
}

// play sends what a scenario recorded.
func (w *Webhook) play(ctx context.Context, s Scenario) error {
	events, err := ReadRecording(s.RecordingFile(w.Recordings))
	if err != nil {
		return err
	}
	return w.Send(ctx, events)
}

// mark sends an event of a request for a path.
func (w *Webhook) mark(ctx context.Context, path string) error {
	now := time.Now().UTC().Format("2006-01-02T15:04:05.000000Z")
	event, err := json.Marshal(map[string]any{
		"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": path,
		"stage": "ResponseComplete", "verb": "get", "requestURI": path,
		"user": map[string]any{"username": "kubernetes-admin"}, "sourceIPs": []string{"127.0.0.1"},
		"responseStatus":           map[string]any{"code": http.StatusOK},
		"requestReceivedTimestamp": now, "stageTimestamp": now,
	})
	if err != nil {
		return err
	}
	return w.Send(ctx, []json.RawMessage{event})
}

// Send sends audit events in one request, which the plugin has taken when it returns.
func (w *Webhook) Send(ctx context.Context, events []json.RawMessage) error {
	body, err := json.Marshal(map[string]any{"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": events})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
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
