// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
)

const recordings = "../testdata/recordings"

func TestEventsAreFresh(t *testing.T) {
	events, err := readRecordings(recordings)
	if err != nil {
		t.Fatal(err)
	}
	if n := meanLength(events); n < 1150 || n > 1300 {
		t.Errorf("the events have %d bytes on average; the goals are about 1.2 KB", n)
	}
	turns := 3
	path := filepath.Join(t.TempDir(), "events")
	if err := writeEvents(path, events, turns*len(events)); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}

	type act struct {
		received time.Time
		turn     int
	}
	acts := make(map[string]act)
	ids := make(map[string]bool) // of the first turn
	var last time.Time
	i := 0
	for line := range bytes.Lines(text) {
		var e struct {
			AuditID                                  string
			RequestReceivedTimestamp, StageTimestamp time.Time
		}
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("event %d: %v", i, err)
		}
		turn := i / len(events)
		if turn == 0 {
			ids[e.AuditID] = true
		}
		if !e.StageTimestamp.After(last) {
			t.Fatalf("event %d is of %v, the one before of %v", i, e.StageTimestamp, last)
		}
		last = e.StageTimestamp
		if e.RequestReceivedTimestamp.After(last) {
			t.Fatalf("event %d was received at %v, after its stage at %v", i, e.RequestReceivedTimestamp, last)
		}
		known, again := acts[e.AuditID]
		if again && known != (act{e.RequestReceivedTimestamp, turn}) {
			t.Fatalf("event %d has audit id %s and was received at %v; so had one of %+v", i, e.AuditID, e.RequestReceivedTimestamp, known)
		}
		acts[e.AuditID] = act{e.RequestReceivedTimestamp, turn}
		i++
	}
	if i != turns*len(events) {
		t.Errorf("%d events were written, not %d", i, turns*len(events))
	}
	if len(acts) != turns*len(ids) {
		t.Errorf("%d turns of %d audit ids have %d audit ids", turns, len(ids), len(acts))
	}
}

func TestRecordedWithoutID(t *testing.T) {
	for _, line := range []string{
		"{}\n",
		`{"auditID":"short","requestReceivedTimestamp":"2026-01-01T00:00:00.000000Z","stageTimestamp":"2026-01-01T00:00:00.000000Z"}` + "\n",
		`{"auditID":"`,
	} {
		if _, err := newRecorded([]byte(line)); err == nil {
			t.Errorf("%q is taken for an audit event", line)
		}
	}
}
