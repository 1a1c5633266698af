// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"fmt"
	"io"
	"log"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/falco"
	"github.com/containerapi/containerapi/plugin/falco/falcotest"
	"github.com/containerapi/containerapi/plugin/field"
	"github.com/containerapi/containerapi/plugin/history"
	"github.com/containerapi/containerapi/plugin/input"
)

// scripted is an input that adds events by a script.
type scripted struct {
	script func(ctx context.Context, add func(text string))
}

func (s scripted) Close() error { return nil }

func (s scripted) Run(ctx context.Context, sink input.Sink) error {
	b := sink.Batch()
	var d event.Decoder
	s.script(ctx, func(text string) {
		_ = d.Decode([]byte(text), func(e *event.Event, err error) { b.Add(e) })
		_ = b.Commit(ctx)
	})
	return nil
}

// recording is one whose end is known.
type recording struct{ scripted }

func (recording) Progress() float64 { return 0 }

// stage is an audit event of a request that lists secrets.
func stage(stage, id, user string, code int, staged time.Time) string {
	return fmt.Sprintf(`{"kind":"Event","auditID":%q,"stage":%q,"requestURI":"/api/v1/secrets","verb":"list","user":{"username":%q},"sourceIPs":["192.0.2.1"],`+
		`"objectRef":{"resource":"secrets","apiVersion":"v1"},"responseStatus":{"code":%d},"requestReceivedTimestamp":"2026-09-14T10:00:00.000000Z","stageTimestamp":%q}`,
		id, stage, user, code, staged.Format(time.RFC3339Nano))
}

// deletion makes a stage one of a deletion, which is answered with a Status.
func deletion(text string) string {
	text = strings.Replace(text, `"verb":"list"`, `"verb":"delete"`, 1)
	return strings.Replace(text, `"code":200`, `"status":"Success","code":200`, 1)
}

// acts returns what Falco got, each event as "id outcome" and with "again" if it is no
// act of its own.
func acts(t *testing.T, s *Source) []string {
	t.Helper()
	engine := falcotest.New(nil, field.Entries())
	defer engine.Close()
	list := falco.NewEvents(100)
	defer list.Free()
	var got []string
	var d event.Decoder
	for segment := s.queue.take(0); segment != nil; segment = s.queue.take(0) {
		for !segment.Done() {
			for _, e := range engine.Events(list, list.Take(segment)) {
				payload, _ := e.Payload()
				_ = d.Decode(payload, func(e *event.Event, err error) {
					text := e.Kubernetes.AuditID + " " + e.Kubernetes.Stage
					if e.Outcome == event.Unanswered {
						text += " unanswered"
					}
					if e.Repeated {
						text += " again"
					}
					got = append(got, text)
				})
			}
		}
		s.queue.release(segment)
		s.queue.reuse(segment)
	}
	return got
}

// A request whose answer is held open is reported after half a minute, once.
func TestUnanswered(t *testing.T) {
	begin := time.Date(2026, 9, 14, 10, 0, 0, 0, time.UTC)
	for name, wrap := range map[string]func(scripted) input.Input{
		"live":     func(s scripted) input.Input { return s },
		"recorded": func(s scripted) input.Input { return recording{s} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				now := begin
				sleep := func(d time.Duration) { now = now.Add(d); time.Sleep(d) }
				s := Open([]Input{{Name: "x", Input: wrap(scripted{func(ctx context.Context, add func(string)) {
					add(stage("RequestReceived", "answered", "bob", 0, now))
					add(stage("RequestReceived", "held", "mallory", 0, now))
					add(deletion(stage("RequestReceived", "deleted", "bob", 0, now)))
					add(deletion(stage("ResponseComplete", "deleted", "bob", 200, now)))
					sleep(2 * time.Second)
					add(stage("ResponseComplete", "answered", "bob", 200, now))
					// A client chooses its audit id, and hides nothing with it.
					add(stage("ResponseComplete", "held", "bob", 200, now))
					sleep(26 * time.Second)
					add(stage("RequestReceived", "later", "bob", 0, now))
					sleep(4 * time.Second)
					add(stage("ResponseComplete", "later", "bob", 200, now))
					sleep(time.Hour)
					add(stage("ResponseComplete", "held", "mallory", 200, now))
					add(stage("RequestReceived", "held", "mallory", 0, now))
					add(stage("ResponseComplete", "last", "bob", 403, now.Add(time.Hour)))
					// Deliveries overtake each other.
					add(stage("ResponseComplete", "overtaken", "bob", 200, now.Add(time.Hour)))
					add(stage("RequestReceived", "overtaken", "bob", 0, now.Add(time.Hour)))
					sleep(time.Minute)
					add(stage("ResponseComplete", "end", "bob", 200, now.Add(2*time.Hour)))
					<-ctx.Done()
				}})}}, Options{QueueSize: 1 << 20, MaxEventSize: 1 << 16, History: history.New(history.Options{}), Log: log.New(io.Discard, "", 0)})
				time.Sleep(2 * time.Hour)
				got := strings.Join(acts(t, s), ", ")
				const want = "answered RequestReceived, held RequestReceived, deleted RequestReceived, deleted ResponseComplete, answered ResponseComplete, held ResponseComplete, later RequestReceived, " +
					"held RequestReceived unanswered, later ResponseComplete, held ResponseComplete again, held RequestReceived, last ResponseComplete, " +
					"overtaken ResponseComplete, overtaken RequestReceived, end ResponseComplete"
				if got != want {
					t.Errorf("got  %s\nwant %s", got, want)
				}
				s.Close()
			})
		})
	}
}

// However many requests wait, none is forgotten.
func TestUnansweredMany(t *testing.T) {
	a := newAnnounced()
	var d event.Decoder
	n := 3 * maxAnnounced
	now := time.Now()
	for i := range n {
		_ = d.Decode([]byte(stage("RequestReceived", fmt.Sprint(i), strings.Repeat("x", 10_000), 0, now)), func(e *event.Event, err error) {
			e.Credential, e.Outcome = "secret", event.Pending
			a.note(e, nil, now)
		})
	}
	if early := len(a.due(now)); early != n-maxAnnounced || len(a.waiting) != maxAnnounced {
		t.Errorf("%d are reported early, and %d wait", early, len(a.waiting))
	}
	for _, n := range a.due(now.Add(patience)) {
		if len(n.json) > maxKept {
			t.Fatalf("%d bytes are kept", len(n.json))
		}
	}
	if len(a.waiting)+len(a.told.young)+len(a.told.old) > 2*maxAnnounced {
		t.Errorf("%d and %d are remembered", len(a.told.young), len(a.told.old))
	}
}

// Who brings more of them than are reported meanwhile reports them.
func TestUnansweredCrowd(t *testing.T) {
	r := newReading()
	now := time.Now()
	const n = maxAnnounced + 5*maxOverdue
	for i := range n {
		r.decoder.Decode([]byte(stage("RequestReceived", fmt.Sprint(i), "", 0, now)), func(e *event.Event, err error) { r.batch.Add(e) })
		if waiting := len(r.batch.sink.announced.overdue); waiting >= maxOverdue {
			t.Fatalf("%d wait to be reported", waiting)
		}
	}
	if reported := r.batch.Len() - n; reported != 5*maxOverdue {
		t.Errorf("%d are reported, want %d", reported, 5*maxOverdue)
	}
}
