// SPDX-License-Identifier: Apache-2.0

package field

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/containerapi/containerapi/e2e/scenario"
)

// After steadyAfter software has started: what it still asks it asks all day.
const steadyAfter = 20 * time.Second

// call is a request with the events of all its stages.
type call struct {
	// after is how long after the start of the pod it was received.
	after  time.Duration
	events []Event
	// watch is a watch, which is begun again when it ends. steady is what is asked again
	// and again.
	watch, steady bool
}

// recording is what software sends in its first pod, and in each later one.
type recording struct {
	first, later []call
	// recorded says that it was run.
	recorded bool
}

// read returns the recording of the software, or its form if there is none.
func (s Software) read(dir string) (recording, error) {
	raw, err := scenario.ReadRecording(s.RecordingFile(dir))
	if errors.Is(err, fs.ErrNotExist) && len(s.Requests) > 0 {
		calls := s.form()
		return recording{first: calls, later: calls}, nil
	}
	if err != nil {
		return recording{}, fmt.Errorf("recording of %s: %w", s.Name, err)
	}
	var pods [2][]Event
	for _, text := range raw {
		var e Event
		if err := json.Unmarshal(text, &e); err != nil {
			return recording{}, fmt.Errorf("recording of %s: %w", s.Name, err)
		}
		n := 0
		if e.pod() == s.PodName(1) {
			n = 1
		}
		pods[n] = append(pods[n], e)
	}
	r := recording{first: calls(pods[0]), later: calls(pods[1]), recorded: true}
	if len(r.first) == 0 || len(r.later) == 0 {
		return recording{}, fmt.Errorf("recording of %s: %d requests of its first pod and %d of its second", s.Name, len(r.first), len(r.later))
	}
	return r, nil
}

// calls puts the events of each request together.
func calls(events []Event) []call {
	var all []call
	place := make(map[string]int)
	for _, e := range events {
		id := e.text("auditID")
		i, ok := place[id]
		if !ok {
			i = len(all)
			place[id] = i
			all = append(all, call{watch: e.text("verb") == "watch"})
		}
		all[i].events = append(all[i].events, e)
	}
	slices.SortStableFunc(all, func(a, b call) int { return a.events[0].received().Compare(b.events[0].received()) })
	for i := range all {
		c := &all[i]
		c.after = c.events[0].received().Sub(all[0].events[0].received())
		c.steady = !c.watch && c.after >= steadyAfter
	}
	// What it watches no policy records: what it does then it does whenever that changes.
	if !slices.ContainsFunc(all, func(c call) bool { return c.watch || c.steady }) {
		for i := range all {
			all[i].steady = true
		}
	}
	return all
}

// form makes the requests of software that was not run.
func (s Software) form() []call {
	var all []call
	for _, r := range s.Requests {
		for _, verb := range r.Verbs {
			e := s.event(verb, r)
			c := call{after: time.Duration(len(all)) * 50 * time.Millisecond, watch: verb == "watch", steady: r.Again, events: []Event{e}}
			if c.watch {
				// The end of a watch is told of as well.
				e["stage"] = "ResponseStarted"
				end := e.clone()
				end["stage"] = "ResponseComplete"
				end["stageTimestamp"] = e.received().Add(watchLength).Format(stamp)
				c.events = append(c.events, end)
			}
			all = append(all, c)
		}
	}
	return all
}

// event makes the event of a request that is allowed.
func (s Software) event(verb string, r Request) Event {
	namespace := r.Namespace
	if namespace == "own" {
		namespace = s.Namespace()
	}
	resource, subresource, _ := strings.Cut(r.Resource, "/")
	prefix, version := "/api/v1", "v1"
	if r.Group != "" {
		prefix = "/apis/" + r.Group + "/v1"
	}
	uri := prefix
	if namespace != "" {
		uri += "/namespaces/" + namespace
	}
	uri += "/" + resource
	ref := map[string]any{"resource": resource, "apiVersion": version}
	object := r.Object
	for name, value := range map[string]string{"namespace": namespace, "name": object, "apiGroup": r.Group, "subresource": subresource} {
		if value != "" {
			ref[name] = value
		}
	}
	if object != "" {
		uri += "/" + object
	}
	if subresource != "" {
		uri += "/" + subresource
	}
	code := 200
	switch {
	case verb == "list":
		uri += "?limit=500&resourceVersion=0"
	case verb == "watch":
		uri += "?allowWatchBookmarks=true&resourceVersion=1034&timeout=7m12s&timeoutSeconds=432&watch=true"
	case subresource == "exec":
		uri, code = uri+"?command=%2Fbin%2Fsh&command=-c&command=sync&container=web&stderr=true&stdout=true", 101
	case verb == "create":
		code = 201
	}
	user := "system:serviceaccount:" + s.Namespace() + ":" + Account
	now := dawn.Format(stamp)
	return Event{
		"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "stage": "ResponseComplete",
		"requestURI": uri, "verb": verb, "objectRef": ref, "userAgent": s.Agent,
		"user": map[string]any{
			"username": user, "uid": "0d1c5c4e-6b0a-4c39-9e1b-6c8d2a9f7b10",
			"groups": []any{"system:serviceaccounts", "system:serviceaccounts:" + s.Namespace(), "system:authenticated"},
		},
		"responseStatus":           map[string]any{"metadata": map[string]any{}, "code": code},
		"requestReceivedTimestamp": now, "stageTimestamp": now,
		"annotations": map[string]any{"authorization.k8s.io/decision": "allow"},
	}
}
