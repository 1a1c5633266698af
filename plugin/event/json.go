// SPDX-License-Identifier: Apache-2.0

package event

import (
	"strconv"
	"unicode/utf8"

	"github.com/containerapi/containerapi/plugin/manifest"
)

// AppendJSON appends the event as one JSON object without a newline.
func (e *Event) AppendJSON(b []byte) []byte {
	w := writer{b: b}
	w.b = append(w.b, '{')
	w.string("input", e.Input.String())
	w.bool("shortened", e.Shortened)
	w.bool("repeated", e.Repeated)
	w.strings("reads", e.CommandReads.Names())
	seen := w.open("seen")
	w.bool("first", e.Seen.First)
	w.uint("count", e.Seen.Count)
	w.uint("objects", e.Seen.Objects)
	w.uint("repeats", e.Seen.Repeats)
	w.uint("sources", e.Seen.Sources)
	w.bool("deployed", e.Seen.Deployed)
	w.uint("age", e.Seen.Age)
	w.strings("new", e.Seen.New.Names())
	w.strings("deviations", e.Seen.Deviations.Names())
	w.bool("due", e.Seen.Due)
	w.bool("readsSecrets", e.Seen.ReadsSecrets)
	w.bool("introduced", e.Seen.Introduced)
	w.uint("knownFor", e.Seen.KnownFor)
	w.uint("days", e.Seen.Days)
	w.close(seen)
	switch e.Input {
	case KubernetesAudit:
		w.bool("unanswered", e.Outcome == Unanswered)
		w.kube(&e.Kubernetes)
	case DockerAPI:
		w.dockerRequest(e)
		w.docker(&e.Docker)
	case DockerEvent:
		w.dockerEvent(e)
		w.docker(&e.Docker)
	}
	return append(w.b, '}')
}

func (w *writer) kube(k *Kubernetes) {
	w.key("audit")
	w.b = append(w.b, '{')
	w.string("kind", "Event")
	w.string("apiVersion", "audit.k8s.io/v1")
	w.string("level", k.Level)
	w.string("auditID", k.AuditID)
	w.string("stage", k.Stage)
	w.string("requestURI", k.RequestURI)
	w.string("verb", k.Verb)
	user := w.open("user")
	w.user(&k.User)
	w.token(k)
	w.close(user)
	impersonated := w.open("impersonatedUser")
	w.user(&k.Impersonated)
	w.close(impersonated)
	w.bool("impersonationDenied", k.ImpersonationDenied)
	w.strings("sourceIPs", k.SourceIPs)
	w.string("userAgent", k.UserAgent)
	object := w.open("objectRef")
	w.string("resource", k.Resource)
	w.string("namespace", k.Namespace)
	w.string("name", k.Name)
	w.string("apiGroup", k.APIGroup)
	w.string("apiVersion", k.APIVersion)
	w.string("subresource", k.Subresource)
	w.close(object)
	status := w.open("responseStatus")
	w.string("reason", k.Reason)
	w.string("status", k.Status)
	w.uint("code", k.Code)
	w.close(status)
	w.bool("pathDiffers", k.Differs)
	w.string("requestReceivedTimestamp", k.Received)
	w.string("stageTimestamp", k.Staged)
	annotations := w.open("annotations")
	w.string(annotationDecision, k.Decision)
	w.string(annotationReason, k.DecisionReason)
	w.string(annotationIssued, k.IssuedCredentialID)
	w.close(annotations)
	w.given(&k.Given)
	w.b = append(w.b, '}')
}

// given writes what the object of a request gives.
func (w *writer) given(g *manifest.Given) {
	given := w.open(manifest.Member)
	w.givenMembers(g)
	w.close(given)
}

func (w *writer) givenMembers(g *manifest.Given) {
	w.strings("exposes", g.Exposes)
	w.strings("grants", g.Grants)
	w.string("account", g.Account)
	w.strings("reads", g.Reads.Names())
	w.string("reviewUser", g.ReviewUser)
	w.string("reviewResource", g.ReviewResource)
	w.bool("unread", g.Unread)
}

// AppendGiven appends what an object gives as a JSON object.
func AppendGiven(b []byte, g *manifest.Given) []byte {
	w := writer{b: append(b, '{')}
	w.givenMembers(g)
	return append(w.b, '}')
}

func (w *writer) user(u *User) {
	w.string("username", u.Name)
	w.string("uid", u.UID)
	w.strings("groups", u.Groups)
}

// token writes what the API server says of the token of a request.
func (w *writer) token(k *Kubernetes) {
	extra := w.open("extra")
	w.only(extraCredentialID, k.CredentialID)
	w.only(extraPodName, k.TokenPod)
	w.only(extraPodUID, k.TokenPodUID)
	w.only(extraNodeName, k.TokenNode)
	w.close(extra)
}

func (w *writer) dockerEvent(e *Event) {
	d := &e.Docker
	w.key("event")
	w.b = append(w.b, '{')
	w.string("Type", d.Type)
	action := d.Action
	if d.Command != "" {
		action += ": " + d.Command
	}
	w.string("Action", action)
	actor := w.open("Actor")
	w.string("ID", d.ActorID)
	attributes := w.open("Attributes")
	w.string("name", d.ActorName)
	w.string("image", d.Container.Image)
	w.string("execID", d.ExecID)
	w.string("exitCode", d.ExitCode)
	w.close(attributes)
	w.close(actor)
	if e.Time > 0 {
		w.uint("time", uint64(e.Time)/1e9)
		w.uint("timeNano", uint64(e.Time))
	}
	w.b = append(w.b, '}')
	made := w.open("made")
	w.created(&d.Request)
	w.close(made)
}

func (w *writer) dockerRequest(e *Event) {
	d, r := &e.Docker, &e.Docker.Request
	w.key("request")
	w.b = append(w.b, '{')
	w.string("method", r.Method)
	w.string("path", r.Path)
	w.string("query", r.Query)
	w.string("version", r.Version)
	w.string("userAgent", r.UserAgent)
	w.uint("status", r.Status)
	w.bool("first", r.First)
	w.string("unreadable", r.Unreadable)
	w.bool("waiting", r.Waiting)
	w.string("object", d.ActorName)
	w.string("command", d.Command)
	w.string("archivePath", r.ArchivePath)
	w.created(r)
	w.bool("execPrivileged", r.ExecPrivileged)
	w.uint("timeNano", uint64(max(0, e.Time)))
	w.b = append(w.b, '}')
}

// created writes what something is created with.
func (w *writer) created(r *Request) {
	w.string("image", r.CreateImage)
	w.string("imageID", r.CreateImageID)
	w.bool("imageVerified", r.CreateImageVerified)
	w.bool("privileged", r.CreatePrivileged)
	w.strings("mounts", r.CreateMounts)
	w.strings("exposes", r.CreateExposes)
	w.bool("attachOwn", r.AttachOwn)
	w.bool("unread", r.Unread)
}

// docker writes what requests and events have in common.
func (w *writer) docker(d *Docker) {
	c := &d.Client
	client := w.open("client")
	w.uint("pid", c.PID)
	w.uint("ppid", c.PPID)
	w.string("name", c.Name)
	w.string("parentName", c.ParentName)
	w.string("exepath", c.ExePath)
	w.string("cmdline", c.Cmdline)
	w.int("uid", c.UID)
	w.int("loginuid", c.LoginUID)
	w.bool("inContainer", c.InContainer)
	w.container(&c.Container)
	image := w.open("image")
	w.string("id", c.Image.ID)
	w.string("digest", c.Image.Digest)
	w.bool("verified", c.Image.Verified)
	w.close(image)
	w.bool("verified", c.Verified)
	w.string("unverifiedReason", c.UnverifiedReason)
	w.string("addr", c.Addr)
	w.close(client)
	w.container(&d.Container)
	w.string("daemon", d.Daemon)
	w.bool("insecure", d.Insecure)
	w.bool("healthCheck", d.HealthCheck)
}

func (w *writer) container(c *Container) {
	container := w.open("container")
	w.string("id", c.ID)
	w.string("name", c.Name)
	w.string("image", c.Image)
	w.close(container)
}

// writer builds a JSON text. Members with a zero value are left out, which is
// what their absence means when the text is read back, and so are objects without
// members.
type writer struct {
	b []byte
}

// open begins an object and returns what close needs to end it.
func (w *writer) open(name string) (start int) {
	start = len(w.b)
	w.key(name)
	w.b = append(w.b, '{')
	return start
}

// close ends an object, or takes it back if it has no members.
func (w *writer) close(start int) {
	if w.b[len(w.b)-1] == '{' {
		w.b = w.b[:start]
		return
	}
	w.b = append(w.b, '}')
}

// separate writes the comma that the next member or element needs.
func (w *writer) separate() {
	if c := w.b[len(w.b)-1]; c != '{' && c != '[' {
		w.b = append(w.b, ',')
	}
}

func (w *writer) key(name string) {
	w.separate()
	w.b = append(w.b, '"')
	w.b = append(w.b, name...)
	w.b = append(w.b, '"', ':')
}

func (w *writer) string(name, value string) {
	if value == "" {
		return
	}
	w.key(name)
	w.b = appendString(w.b, value)
}

func (w *writer) uint(name string, value uint64) {
	if value == 0 {
		return
	}
	w.key(name)
	w.b = strconv.AppendUint(w.b, value, 10)
}

func (w *writer) int(name string, value int64) {
	if value == 0 {
		return
	}
	w.key(name)
	w.b = strconv.AppendInt(w.b, value, 10)
}

func (w *writer) bool(name string, value bool) {
	if value {
		w.key(name)
		w.b = append(w.b, "true"...)
	}
}

func (w *writer) strings(name string, values []string) {
	if len(values) == 0 {
		return
	}
	w.key(name)
	w.b = append(w.b, '[')
	for _, v := range values {
		w.separate()
		w.b = appendString(w.b, v)
	}
	w.b = append(w.b, ']')
}

// only writes a list of one value.
func (w *writer) only(name, value string) {
	if value == "" {
		return
	}
	w.key(name)
	w.b = append(w.b, '[')
	w.b = appendString(w.b, value)
	w.b = append(w.b, ']')
}

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string. Bytes that are not UTF-8 become
// U+FFFD, as in encoding/json.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := plain(s); i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
		}
		b = append(b, s[start:i]...)
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
		default:
			b = append(b, "\ufffd"...)
		}
		i++
		start = i
		// Where one of them is, there are often more.
		if i < len(s) && s[i] >= ' ' && s[i] != '"' && s[i] != '\\' {
			i += plain(s[i:])
		}
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

// plain returns how many bytes at the beginning of s can be copied into a JSON
// string unchanged, a multiple of eight: it looks at eight bytes at a time. Most
// strings are plain from end to end, and with this BenchmarkDecodeAppendJSON takes
// a tenth less time than with a loop over the bytes.
func plain(s string) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	n := 0
	for ; len(s)-n >= 8; n += 8 {
		b := s[n : n+8]
		x := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 | uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		// Each byte's top bit is set if the byte is not ASCII. Subtracting
		// sets it as well where the byte is smaller than what is subtracted:
		// a control character is smaller than a space, and a quote is 0,
		// smaller than 1, after the exclusive or with a quote.
		quote, backslash := x^'"'*ones, x^'\\'*ones
		if (x|(x-' '*ones)|(quote-ones)|(backslash-ones))&tops != 0 {
			break
		}
	}
	return n
}
