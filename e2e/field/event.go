// SPDX-License-Identifier: Apache-2.0

package field

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"
)

// Event is an audit event, as JSON has it.
type Event map[string]any

const stamp = "2006-01-02T15:04:05.000000Z"

func (e Event) text(name string) string { s, _ := e[name].(string); return s }

func (e Event) object(name string) map[string]any { m, _ := e[name].(map[string]any); return m }

// User returns the name of who sent the request.
func (e Event) User() string { s, _ := e.object("user")["username"].(string); return s }

func (e Event) code() int {
	switch code := e.object("responseStatus")["code"].(type) {
	case float64:
		return int(code)
	case int:
		return code
	}
	return 0
}

func (e Event) extra(name string) string {
	extra, _ := e.object("user")["extra"].(map[string]any)
	values, _ := extra[name].([]any)
	if len(values) == 0 {
		return ""
	}
	s, _ := values[0].(string)
	return s
}

const (
	extraPod        = "authentication.kubernetes.io/pod-name"
	extraPodUID     = "authentication.kubernetes.io/pod-uid"
	extraCredential = "authentication.kubernetes.io/credential-id"
	extraNode       = "authentication.kubernetes.io/node-name"
	extraNodeUID    = "authentication.kubernetes.io/node-uid"
)

func (e Event) pod() string { return e.extra(extraPod) }

// time returns when the event was written.
func (e Event) time() time.Time {
	t, _ := time.Parse(time.RFC3339Nano, e.text("stageTimestamp"))
	return t
}

func (e Event) received() time.Time {
	t, _ := time.Parse(time.RFC3339Nano, e.text("requestReceivedTimestamp"))
	return t
}

// at moves the event: its request is received at a time.
func (e Event) at(t time.Time) {
	took := min(max(e.time().Sub(e.received()), 0), watchLength)
	e["requestReceivedTimestamp"] = t.UTC().Format(stamp)
	e["stageTimestamp"] = t.Add(took).UTC().Format(stamp)
}

func (e Event) clone() Event { return clone(map[string]any(e)).(map[string]any) }

func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		c := maps.Clone(v)
		for name, value := range c {
			c[name] = clone(value)
		}
		return c
	case []any:
		c := make([]any, len(v))
		for i, value := range v {
			c[i] = clone(value)
		}
		return c
	}
	return v
}

// rename puts other texts in the place of some, wherever they stand.
func rename(v any, r *strings.Replacer) any {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			v[name] = rename(value, r)
		}
		return v
	case []any:
		for i, value := range v {
			v[i] = rename(value, r)
		}
		return v
	case string:
		return r.Replace(v)
	}
	return v
}

// client is with what, and from where, requests are sent.
type client struct {
	// pod and its address; the token is one of it, if bound is set.
	pod, uid, address string
	// credential is the id of the token or certificate; empty for one that has none.
	credential string
	// agent is the User-Agent, that of the software if empty.
	agent string
	bound bool
}

// by makes the event one of a client.
func (e Event) by(c client) {
	e["sourceIPs"] = []any{c.address}
	if c.agent != "" {
		e["userAgent"] = c.agent
	}
	user := e.object("user")
	extra := make(map[string]any)
	if c.bound {
		extra[extraPod], extra[extraPodUID] = []any{c.pod}, []any{c.uid}
		extra[extraNode], extra[extraNodeUID] = []any{"node-1"}, []any{"5f0a0c39-2f3e-4a57-8a55-5f7b6c9f6d01"}
	}
	if c.credential != "" {
		extra[extraCredential] = []any{c.credential}
	}
	delete(user, "extra")
	if len(extra) > 0 {
		user["extra"] = extra
	}
}

func marshal(events []Event) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	for _, e := range events {
		if err := encoder.Encode(e); err != nil {
			return nil, fmt.Errorf("event %s: %w", e.text("auditID"), err)
		}
	}
	return text.Bytes(), nil
}
