// SPDX-License-Identifier: Apache-2.0

//go:build !extract

package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/event/eventtest"
	"github.com/containerapi/containerapi/plugin/falco/falcotest"
)

// audits returns audit events with a text wherever a client chooses one, and a
// recorded event of this plugin's own that was not masked.
func audits(t *testing.T, text string) [][]byte {
	t.Helper()
	escaped := url.QueryEscape(text)
	user := map[string]any{"username": text, "uid": text, "groups": []string{text}, "extra": map[string]any{"authentication.kubernetes.io/credential-id": []string{text}, "x": []string{text}}}
	audit := func(uri, subresource string) []byte {
		line, err := json.Marshal(map[string]any{
			"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": text, "stage": "ResponseComplete", "verb": "create",
			"requestURI": uri, "user": user, "impersonatedUser": user, "sourceIPs": []string{text, "10.0.0.1"}, "userAgent": text,
			"objectRef":      map[string]any{"resource": "pods", "namespace": text, "name": text, "apiVersion": "v1", "subresource": subresource},
			"responseStatus": map[string]any{"code": 403, "reason": text, "message": `users "` + text + `" is forbidden: User "x" cannot impersonate resource "users"`},
			"annotations":    map[string]any{"authorization.k8s.io/reason": text, "x": text}, "requestReceivedTimestamp": "2026-01-02T03:04:05.000001Z",
		})
		if err != nil {
			t.Fatal(err)
		}
		return line
	}
	own := &event.Event{Input: event.DockerAPI, Time: 1767323045000000000}
	eventtest.Fill(own)
	for _, leaf := range eventtest.Leaves(own) {
		if v := leaf.Value; v.Type().String() == "string" {
			v.SetString(text)
		} else if list, ok := v.Interface().([]string); ok && len(list) > 0 {
			list[0] = text
		}
	}
	return [][]byte{
		audit("/api/v1/namespaces/x/pods/y/exec?command=sh&command=-c&command="+escaped+"&container="+escaped+"&token="+escaped, "exec"),
		audit("/api/v1/namespaces/x/pods?labelSelector="+escaped+"&fieldSelector="+escaped+"&limit="+escaped+"&"+escaped, ""),
		audit("/api/v1/namespaces/x/services/"+url.PathEscape(text)+"/proxy/"+url.PathEscape(text)+"?"+escaped+"="+escaped, "proxy"),
		own.AppendJSON(nil),
	}
}

// No field of any event shows a secret, and neither does the event itself, live or
// read back; with a k8saudit plugin's events the fields do not.
func TestCanariesInFields(t *testing.T) {
	p, engine := start(t, "")
	check := func(canary eventtest.Canary, how string, values map[string]any) {
		for name, v := range values {
			text := fmt.Sprint(v)
			if decoded, err := url.QueryUnescape(text); err == nil {
				text += decoded
			}
			if strings.Contains(text, canary.Secret) {
				t.Errorf("%s: %s shows %q: %v", how, name, canary.Text, v)
			}
		}
	}
	for _, canary := range eventtest.Canaries() {
		lines := audits(t, canary.Text)
		count := 0
		readAll(t, p, engine, write(t, lines...), func(e falcotest.Event) {
			count++
			live, err := engine.Extract(e)
			if err != nil {
				t.Fatal(err)
			}
			check(canary, "live", live)
			payload, _ := e.Payload()
			check(canary, "event", map[string]any{"evt.plugininfo": string(payload)})
			copied, free := engine.Foreign(payload)
			defer free()
			again, err := engine.Extract(copied)
			if err != nil {
				t.Fatal(err)
			}
			check(canary, "read back", again)
		})
		if count != len(lines) {
			t.Errorf("%d events of %d", count, len(lines))
		}
		for _, line := range lines {
			foreign, free := engine.Foreign(line)
			values, err := engine.Extract(foreign)
			free()
			if err != nil {
				t.Fatal(err)
			}
			check(canary, "collected by another", values)
		}
	}
}
