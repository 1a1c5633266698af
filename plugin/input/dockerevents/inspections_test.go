// SPDX-License-Identifier: Apache-2.0

package dockerevents

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerapi/containerapi/plugin/event"
)

// inspected is an engine without a socket, for tests of time: it answers an
// inspect with the container that a function returns.
type inspected struct {
	answer func(ctx context.Context, ref string) (id, name string, err error)

	mu sync.Mutex
	// asked are the references of all requests.
	asked []string
}

func (e *inspected) RoundTrip(r *http.Request) (*http.Response, error) {
	respond := func(status int, body string) (*http.Response, error) {
		return &http.Response{
			StatusCode: status,
			Header:     http.Header{"Api-Version": {"1.41"}, "Content-Type": {"application/json"}},
			Body:       io.NopCloser(strings.NewReader(body)),
		}, nil
	}
	if r.URL.Path == "/_ping" {
		return respond(http.StatusOK, "OK")
	}
	ref := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/v1.41/containers/"), "/json")
	e.mu.Lock()
	e.asked = append(e.asked, ref)
	e.mu.Unlock()
	id, name, err := e.answer(r.Context(), ref)
	switch {
	case err != nil:
		return nil, err
	case id == "":
		return respond(http.StatusNotFound, `{"message":"No such container"}`)
	}
	return respond(http.StatusOK, fmt.Sprintf(`{"Id":%q,"Name":"/%s","Config":{"Image":"i","Healthcheck":{"Test":["CMD","check",%[1]q]}}}`, id, name))
}

// requests returns the references that were asked for since the last call.
func (e *inspected) requests() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	defer func() { e.asked = nil }()
	return e.asked
}

func (e *inspected) inspections(t *testing.T) *Inspections {
	t.Helper()
	events, err := Open(&url.URL{Scheme: "docker", Path: "/nowhere"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	events.engine.client.Transport = e
	return events.Inspections()
}

func wantRequests(t *testing.T, e *inspected, when string, want ...string) {
	t.Helper()
	if got := e.requests(); !slices.Equal(got, want) {
		t.Errorf("%s: the engine was asked for %q, want %q", when, got, want)
	}
}

// While the engine takes its time over one container, whoever wants to know the
// same waits for the same answer, and nobody else does.
func TestInspectionsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		e := &inspected{answer: func(ctx context.Context, ref string) (string, string, error) {
			if ref == "web" {
				<-answer
			}
			return "id of " + ref, ref, nil
		}}
		i := e.inspections(t)
		var found [20]event.Container
		var finding sync.WaitGroup
		for n := range found {
			finding.Go(func() { found[n] = i.Find(t.Context(), "web") })
		}
		synctest.Wait()
		begin := time.Now()
		if got := i.Find(t.Context(), "db"); got.ID != "id of db" {
			t.Errorf("another one is %+v", got)
		}
		if got := i.Cached("web"); got != (event.Container{}) {
			t.Errorf("known before the answer as %+v", got)
		}
		if !i.isHealthCheck(t.Context(), "id of db", "check id of db") || i.isHealthCheck(t.Context(), "id of db", "check") {
			t.Error("the health check of another one is not known")
		}
		if waited := time.Since(begin); waited != 0 {
			t.Errorf("another one waited %v", waited)
		}
		close(answer)
		finding.Wait()
		for n, got := range found {
			if want := (event.Container{ID: "id of web", Name: "web", Image: "i"}); got != want {
				t.Errorf("number %d found %+v, want %+v", n, got, want)
			}
		}
		wantRequests(t, e, "one request for each", "web", "db")
	})
}

// An id is asked for once, a name again after a while, and after an event says
// that it changed hands.
func TestInspectionsForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &inspected{answer: func(_ context.Context, ref string) (string, string, error) {
			if ref == "nobody" {
				return "", "", nil
			}
			return "c1", "web", nil
		}}
		i := e.inspections(t)
		find := func(refs ...string) {
			for _, ref := range refs {
				if got := i.Find(t.Context(), ref); (got.ID == "c1") != (ref != "nobody") || i.Cached(ref) != got {
					t.Errorf("%s is %+v, and %+v when it is known", ref, got, i.Cached(ref))
				}
			}
		}
		find("web", "c1", "web", "c", "nobody", "nobody")
		wantRequests(t, e, "at first", "web", "c", "nobody")
		if i.waits("c1") || i.waits("nobody") || !i.waits("c2") {
			t.Error("not what is known")
		}

		time.Sleep(refLife)
		if got := i.Cached("web"); got.ID != "" {
			t.Errorf("an old name is %+v", got)
		}
		find("web", "c1", "c", "nobody")
		wantRequests(t, e, "later", "web", "c", "nobody")

		i.forget(&event.Docker{Type: "container", Action: "start", ActorID: "c1", ActorName: "web"})
		i.forget(&event.Docker{Type: "network", Action: "create", ActorID: "c1", ActorName: "web"})
		find("web", "c1")
		wantRequests(t, e, "after events of other things")
		for _, action := range []string{"create", "rename", "destroy"} {
			i.forget(&event.Docker{Type: "container", Action: action, ActorID: "c1", ActorName: "web"})
			if got := i.Cached("c1"); got.ID != "" {
				t.Errorf("known after %s as %+v", action, got)
			}
			find("c1", "web")
			wantRequests(t, e, "after "+action, "c1", "web")
		}
	})
}

// What was asked before an event is not remembered, and not given to who asks
// after it.
func TestInspectionsOutdated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := make(chan string)
		e := &inspected{answer: func(context.Context, string) (string, string, error) { return <-answers, "web", nil }}
		i := e.inspections(t)
		var old, new event.Container
		var finding sync.WaitGroup
		finding.Go(func() { old = i.Find(t.Context(), "web") })
		synctest.Wait()
		i.forget(&event.Docker{Type: "container", Action: "create", ActorID: "c2", ActorName: "web"})
		finding.Go(func() { new = i.Find(t.Context(), "web") })
		synctest.Wait()
		answers <- "c1"
		synctest.Wait()
		if got := i.Cached("c1"); old.ID != "c1" || got.ID != "" {
			t.Errorf("found %+v, and remembered %+v", old, got)
		}
		answers <- "c2"
		finding.Wait()
		if got := i.Cached("web"); new.ID != "c2" || got.ID != "c2" {
			t.Errorf("found %+v, and remembered %+v", new, got)
		}
	})
}

// An engine that does not answer costs a twentieth of the time once that is clear.
func TestInspectionsBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		var takes time.Duration
		e := &inspected{answer: func(ctx context.Context, _ string) (string, string, error) {
			select {
			case <-ctx.Done():
			case <-time.After(takes):
			}
			return "", "", broken
		}}
		i := e.inspections(t)
		for _, test := range []struct{ takes, waited time.Duration }{
			{time.Hour, inspectLimit},
			{10 * time.Millisecond, 10 * time.Millisecond},
		} {
			takes = test.takes
			begin := time.Now()
			if i.Find(t.Context(), "web"); i.failures < inTrouble {
				if i.Find(t.Context(), "web"); i.waits("web") || !i.waits("db") {
					t.Error("it would be asked about the same container, or not about others")
				}
				for i.failures < inTrouble {
					begin = time.Now()
					i.Find(t.Context(), fmt.Sprint("other", i.failures))
				}
				e.requests()
			} else {
				wantRequests(t, e, "after the pause", "web")
			}
			if waited := time.Since(begin); waited != test.waited {
				t.Errorf("an engine that takes %v: waited %v, want %v", takes, waited, test.waited)
			}
			time.Sleep(inspectPause*test.waited - 1)
			i.Find(t.Context(), "db")
			if i.waits("db") {
				t.Error("it would be asked during the pause")
			}
			wantRequests(t, e, "until the end of the pause")
			time.Sleep(time.Nanosecond)
			if !i.waits("db") {
				t.Error("it would not be asked after the pause")
			}
		}
		// The end of the input says nothing about the engine.
		ending, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		takes = time.Hour
		i.Find(ending, "web")
		if !i.waits("db") {
			t.Error("the engine pays for the end of the input")
		}
	})
}

// References that a client makes up are remembered, in bounds, and displace no
// container.
func TestInspectionsBounded(t *testing.T) {
	e := &inspected{answer: func(_ context.Context, ref string) (string, string, error) {
		if ref == "web" {
			return "c1", "web", nil
		}
		return "", "", nil
	}}
	i := e.inspections(t)
	i.Find(t.Context(), "web")
	for n := range 2 * maxRefs {
		i.Find(t.Context(), fmt.Sprint("x", n))
	}
	if i.refs.Len() != maxRefs || i.containers.Len() != 1 || i.Cached("c1").Name != "web" {
		t.Errorf("%d references and %d containers are remembered, c1 as %+v", i.refs.Len(), i.containers.Len(), i.Cached("c1"))
	}
	e.requests()
	if got := i.Find(t.Context(), strings.Repeat("x", maxRef+1)); got.ID != "" {
		t.Errorf("found %+v", got)
	}
	wantRequests(t, e, "a long reference")
}

// What the engine does not say in time, its events told.
func TestInspectionsHeard(t *testing.T) {
	e := &inspected{answer: func(context.Context, string) (string, string, error) { return "", "", errors.New("broken") }}
	i := e.inspections(t)
	hear := func(action, id, name string) {
		i.hear(&event.Docker{Type: "container", Action: action, ActorID: id, Container: event.Container{ID: id, Name: name, Image: "i"}})
	}
	want := func(ref, id string) {
		t.Helper()
		for _, got := range []event.Container{i.Cached(ref), i.Find(t.Context(), ref)} {
			if got.ID != id || id != "" && got.Image != "i" {
				t.Errorf("%s is %+v, want %q", ref, got, id)
			}
		}
	}
	want("web", "")
	hear("create", "c1", "web")
	want("web", "c1")
	want("/web", "c1")
	want("c1", "c1")
	hear("rename", "c1", "old")
	want("web", "")
	want("old", "c1")
	hear("create", "c2", "web")
	hear("start", "c1", "old")
	want("web", "c2")
	hear("destroy", "c2", "web")
	want("web", "")
	want("c2", "c2")
}
