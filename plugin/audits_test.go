// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/event/eventtest"
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

// shown fails the test if a value shows the secret of a canary.
func shown(t *testing.T, canary eventtest.Canary, how string, values map[string]any) {
	t.Helper()
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
