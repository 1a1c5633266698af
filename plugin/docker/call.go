// SPDX-License-Identifier: Apache-2.0

// Package docker knows the API of the Docker Engine: what each route does, what
// its answer can give away, which parts of a request may be read and shown, and
// what the engine's events mean. Two tables hold all of that, one of routes and
// one of events; a route that is not in the table is operation.Other.
package docker

import (
	"bytes"
	"net/url"
	"slices"
	"strings"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/jsonscan"
	"github.com/containerapi/containerapi/plugin/oneline"
	"github.com/containerapi/containerapi/plugin/operation"
)

// maxKept is how many bytes of strings are kept of a body.
const maxKept = 256 << 10

// Call is one request to the Docker Engine API with its route. It implements
// httpwire.Route.
type Call struct {
	method string
	// path is the path of the target as it was sent, still escaped, without
	// the version; query what stands behind it.
	path, version, query string
	route                *row // nil: none
	variable             string
	values               url.Values // of query, once they are asked for
	body                 body
	scanner              *jsonscan.Scanner // of body
}

// NewCall returns the call that a request makes.
//
// target is the request target as it was sent: with or without "/v1.47", a
// query and percent-encoding, also in absolute form ("http://host/info").
// method is case-sensitive, as it is for dockerd.
func NewCall(method, target string) *Call {
	c := &Call{method: method}
	c.path, c.version = splitTarget(target)
	_, c.query, _ = strings.Cut(target, "?")
	if c.route, c.variable = find(method, target); c.route != nil && c.route.more.body != nil {
		c.body = c.route.more.body()
		c.scanner = jsonscan.New(c.body.root(), maxKept)
	}
	return c
}

// Operation returns the meaning of a request without its body. It does not
// allocate, but for paths that no benign client sends: percent-encoded,
// absolute, or not clean.
func Operation(method, target string) operation.Operation {
	r, _ := find(method, target)
	return r.meaning()
}

func (r *row) meaning() operation.Operation {
	if r == nil {
		return operation.Other
	}
	return operation.Operation{Name: r.operation, Credential: r.credential}
}

// Operation returns what the call does.
func (c *Call) Operation() operation.Operation { return c.route.meaning() }

// ReadsBody reports whether something of the body is read.
func (c *Call) ReadsBody() bool { return c.body != nil }

// WriteBody takes the next piece of the body, and reports whether more is
// wanted.
func (c *Call) WriteBody(p []byte) bool {
	_, err := c.scanner.Write(p)
	return err == nil && !c.scanner.Done()
}

// EndBody ends the body, and reports whether what is wanted of it was read.
func (c *Call) EndBody() bool { return c.scanner.Close() == nil }

// Hijacks reports whether an answer of status 200 with this head begins a raw
// stream. A terminal's is one type, all others the other.
func (c *Call) Hijacks(head []byte) bool {
	if c.route == nil || !c.route.hijacks {
		return false
	}
	head = bytes.ToLower(head)
	return bytes.Contains(head, []byte("\ncontent-type: application/vnd.docker.raw-stream")) ||
		bytes.Contains(head, []byte("\ncontent-type: application/vnd.docker.multiplexed-stream"))
}

// Object returns what the call is about: the container, exec, image, volume or
// other object that it names, or "" if it names none.
func (c *Call) Object() string {
	switch {
	case c.route == nil:
		return ""
	case c.route.object != nil:
		return c.route.object(c)
	}
	if named, ok := c.body.(interface{ object() string }); ok {
		return named.object()
	}
	return c.variable
}

// AboutContainer reports whether the object is a container.
func (c *Call) AboutContainer() bool {
	return c.route != nil && strings.HasPrefix(c.route.operation, "container.")
}

// EventCommand returns the command of an exec as the engine's events show it,
// masked by command.Mask, or "".
func (c *Call) EventCommand() string {
	if b, ok := c.body.(*execBody); ok {
		return b.eventCommand()
	}
	return ""
}

// ReadsPast reports whether an attach asks for what the container wrote before.
// What counts as no is that of BoolValue in
// github.com/docker/docker/api/server/httputils; the body of a form counts there
// as well, and is not read here.
func (c *Call) ReadsPast() bool {
	switch strings.ToLower(strings.TrimSpace(c.parameters().Get("logs"))) {
	case "", "0", "no", "false", "none":
		return false
	}
	return true
}

// Becomes returns what the object is called once the call is carried out, which
// is how the engine's event of it calls the object.
func (c *Call) Becomes() string {
	if c.route == nil || c.route.gives == "" {
		return c.Object()
	}
	return strings.TrimPrefix(c.parameters().Get(c.route.gives), "/")
}

// Describe writes into an event what the call asks for. What e's lists point to
// is the call's.
func (c *Call) Describe(e *event.Event) {
	r := &e.Docker.Request
	r.Method, r.Path, r.Version, r.Query = c.method, c.path, c.version, c.shownQuery()
	op := c.Operation()
	e.Operation, e.Credential = op.Name, string(op.Credential)
	if c.route == nil {
		return
	}
	if c.route.archive {
		r.ArchivePath = oneline.Text(c.parameters().Get("path"))
	}
	if c.body != nil {
		c.body.describe(e)
	}
}

func (c *Call) parameters() url.Values {
	if c.values == nil {
		c.values, _ = url.ParseQuery(c.query)
	}
	return c.values
}

// parameter finds the name of an object in a parameter of the query.
func parameter(name string) func(*Call) string {
	return func(c *Call) string { return strings.TrimPrefix(c.parameters().Get(name), "/") }
}

// parameterList is parameter where there can be several names.
func parameterList(name string) func(*Call) string {
	return func(c *Call) string { return strings.Join(c.parameters()[name], " ") }
}

// shownQuery returns the parameters of the query that may be shown, as they
// were sent. Engines built with Go before 1.17 take ";" for "&".
func (c *Call) shownQuery() string {
	if c.route == nil || c.route.shown == "" || c.query == "" {
		return ""
	}
	var kept []string
	for pair := range strings.FieldsFuncSeq(c.query, func(r rune) bool { return r == '&' || r == ';' }) {
		if name, _, _ := strings.Cut(pair, "="); slices.Contains(strings.Fields(c.route.shown), name) {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "&")
}
