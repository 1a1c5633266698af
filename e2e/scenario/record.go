// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// RecordPolicy is the audit policy that recordings are made with: what holds
// secrets at Metadata, all else with request and response.
const RecordPolicy = `
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  resources:
  - {group: "", resources: [secrets, configmaps, serviceaccounts/token]}
  - {group: authentication.k8s.io, resources: [tokenreviews]}
- level: RequestResponse
`

// Record runs the script that a recording was made with, and returns what the API
// server of the runner's cluster wrote into its audit log meanwhile. What the API
// server asks itself is left out, and what a kubelet does is all where one runs.
func (r *Runner) Record(ctx context.Context, s Scenario) ([]json.RawMessage, error) {
	if s.Record == "" || s.API != Kubernetes || r.Kube == nil {
		return nil, fmt.Errorf("%q cannot be recorded", s.Name)
	}
	if _, err := r.script(ctx, s, s.Before); err != nil {
		return nil, err
	}
	before, err := r.logged(ctx)
	if err != nil {
		return nil, err
	}
	failed := r.record(ctx, s)
	after, err := r.logged(ctx)
	_, undone := r.script(ctx, s, s.After)
	if err := errors.Join(failed, err, undone); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(after[len(before):], func(e json.RawMessage) bool {
		return bytes.Contains(e, []byte(`"username":"system:apiserver"`)) || bytes.Contains(e, []byte("=containerapi-mark-")) ||
			s.Kubelet && !bytes.Contains(e, []byte(`"username":"system:node:`))
	}), nil
}

// record does what a recording is made of.
func (r *Runner) record(ctx context.Context, s Scenario) error {
	if !s.Kubelet {
		_, err := r.script(ctx, s, s.Record)
		return err
	}
	stop, err := r.Kubelet(ctx)
	if err != nil {
		return err
	}
	_, err = r.script(ctx, s, s.Record)
	return errors.Join(err, stop())
}

// logged returns the audit log until now.
func (r *Runner) logged(ctx context.Context) ([]json.RawMessage, error) {
	r.marks++
	mark := fmt.Sprintf("%scontainerapi-mark-%d", markPath, r.marks)
	if err := output(r.Kube.Command(ctx, "admin", "get", "--raw", mark)); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, markLimit)
	defer cancel()
	for {
		text, err := os.ReadFile(r.Kube.AuditLog)
		if err != nil {
			return nil, err
		}
		// The last line may not be complete.
		text = text[:bytes.LastIndexByte(text, '\n')+1]
		if bytes.Contains(text, []byte(mark+`"`)) {
			var events []json.RawMessage
			for line := range bytes.Lines(text) {
				events = append(events, bytes.TrimSpace(line))
			}
			return events, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("the mark is not in %s: %w", r.Kube.AuditLog, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// WriteRecording writes a recording that [ReadRecording] reads. The same events
// give the same bytes.
func WriteRecording(name string, events []json.RawMessage) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	for _, e := range events {
		if _, err := w.Write(append(slices.Clip(e), '\n')); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(name, packed.Bytes(), 0o644)
}

// Shape returns what kinds of requests are in a recording, sorted: "list secrets
// allowed". Names, times, ids and how often something was asked are no part of it:
// they differ each time.
func Shape(events []json.RawMessage) ([]string, error) {
	kinds := make(map[string]bool)
	for _, text := range events {
		var e struct {
			Verb, RequestURI string
			ObjectRef        struct{ Resource, Subresource string }
			ResponseStatus   struct{ Code int }
		}
		if err := json.Unmarshal(text, &e); err != nil {
			return nil, err
		}
		what := e.ObjectRef.Resource
		if e.ObjectRef.Subresource != "" {
			what += "/" + e.ObjectRef.Subresource
		}
		if what == "" {
			what, _, _ = strings.Cut(e.RequestURI, "?")
		}
		kinds[e.Verb+" "+what+" "+outcome(e.ResponseStatus.Code)] = true
	}
	var all []string
	for kind := range kinds {
		all = append(all, kind)
	}
	slices.Sort(all)
	return all, nil
}

func outcome(code int) string {
	switch {
	case code == 401 || code == 403:
		return "denied"
	case code >= 400:
		return "failed"
	}
	return "allowed"
}
