// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// The recorded events that are used, by their length in bytes: those of a
// usual size, 1.25 KB on average. Objects of single events make others several
// times as long, which would measure the skipping of text rather than the
// handling of events.
const (
	minLength = 600
	maxLength = 2000
)

// firstEvent is the time of the first event, eventStep that between two.
var firstEvent = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

const eventStep = time.Millisecond

// stamp is the form of an audit event's timestamps. It has one length, so
// that a timestamp is replaced in place.
const stamp = "2006-01-02T15:04:05.000000Z"

// recorded is one recorded audit event and where in it the parts stand that
// differ between two events.
type recorded struct {
	line                 []byte // with its newline
	id, received, staged int
	// first is the index of the first event with this audit id: the stages
	// of one request keep one id and one time of receipt.
	first int
}

// readRecordings returns the recorded events of dir's directories that are used.
func readRecordings(dir string) ([]recorded, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.jsonl.gz"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no recordings in %s", dir)
	}
	var events []recorded
	for _, file := range files {
		if events, err = readRecording(events, file); err != nil {
			return nil, fmt.Errorf("recording %s: %w", file, err)
		}
	}
	return events, nil
}

func readRecording(events []recorded, file string) ([]recorded, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(z)
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(text) {
		if len(line) < minLength || len(line) > maxLength {
			continue
		}
		e, err := newRecorded(bytes.Clone(line))
		if err != nil {
			return nil, err
		}
		e.first = slices.IndexFunc(events, func(o recorded) bool { return bytes.Equal(o.auditID(), e.auditID()) })
		if e.first < 0 {
			e.first = len(events)
		}
		events = append(events, e)
	}
	return events, nil
}

// auditIDLength is the length of a UUID.
const auditIDLength = 36

func newRecorded(line []byte) (recorded, error) {
	e := recorded{line: line}
	for _, part := range []struct {
		at     *int
		key    string
		length int
		find   func(s, sep []byte) int
	}{
		// The audit id stands before all objects, the times behind them.
		{&e.id, `"auditID":"`, auditIDLength, bytes.Index},
		{&e.received, `"requestReceivedTimestamp":"`, len(stamp), bytes.LastIndex},
		{&e.staged, `"stageTimestamp":"`, len(stamp), bytes.LastIndex},
	} {
		at := part.find(line, []byte(part.key))
		end := at + len(part.key) + part.length
		if at < 0 || end >= len(line) || line[end] != '"' {
			return e, fmt.Errorf("an event has no %s of %d bytes", part.key, part.length)
		}
		*part.at = at + len(part.key)
	}
	return e, nil
}

func (e *recorded) auditID() []byte { return e.line[e.id : e.id+auditIDLength] }

// writeEvents writes n audit events, one a line: the recorded ones in turn,
// with fresh audit ids and times. A shorter file is the beginning of a longer
// one.
func writeEvents(path string, events []recorded, n int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	for i := range n {
		e, turn := &events[i%len(events)], i/len(events)
		copy(e.auditID(), fmt.Sprintf("%08x", turn))
		at := firstEvent.Add(time.Duration(i) * eventStep)
		received := firstEvent.Add(time.Duration(turn*len(events)+e.first) * eventStep)
		copy(e.line[e.received:], received.Format(stamp))
		copy(e.line[e.staged:], at.Format(stamp))
		if _, err := w.Write(e.line); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return errors.Join(w.Flush(), f.Close())
}

// meanLength returns the average length of the events in bytes.
func meanLength(events []recorded) int {
	sum := 0
	for _, e := range events {
		sum += len(e.line)
	}
	return sum / len(events)
}
