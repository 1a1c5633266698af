// SPDX-License-Identifier: Apache-2.0

package event

import (
	"strconv"
	"unicode/utf8"
)

// AppendJSON appends the event as one JSON object without a newline.
func (e *Event) AppendJSON(b []byte) []byte {
	w := writer{b: b}
	w.open('{')
	w.string("input", e.Input.String())
	w.bool("shortened", e.Shortened)
	w.bool("repeated", e.Repeated)
	w.strings("reads", e.CommandReads.Names())
	if e.Seen.Known || e.Seen.Sources != 0 {
		w.key("seen")
		w.open('{')
		w.bool("first", e.Seen.First)
		w.uint("count", e.Seen.Count)
		w.uint("objects", e.Seen.Objects)
		w.uint("sources", e.Seen.Sources)
		w.uint("age", e.Seen.Age)
		w.close('}')
	}
	switch e.Input {
	case KubernetesAudit:
		w.key("audit")
		w.kube(&e.Kubernetes)
	case DockerAPI:
		w.dockerRequest(e)
		w.docker(&e.Docker)
	case DockerEvent:
		w.dockerEvent(e)
		w.docker(&e.Docker)
	}
	w.close('}')
	return w.b
}

func (w *writer) kube(k *Kubernetes) {
	w.open('{')
	w.string("kind", "Event")
	w.string("apiVersion", "audit.k8s.io/v1")
	w.string("level", k.Level)
	w.string("auditID", k.AuditID)
	w.string("stage", k.Stage)
	w.string("requestURI", k.RequestURI)
	w.string("verb", k.Verb)
	w.user("user", &k.User, k)
	if k.Impersonated.Name != "" {
		w.user("impersonatedUser", &k.Impersonated, nil)
	}
	w.bool("impersonationDenied", k.ImpersonationDenied)
	w.strings("sourceIPs", k.SourceIPs)
	w.string("userAgent", k.UserAgent)
	if k.Resource != "" {
		w.key("objectRef")
		w.open('{')
		w.string("resource", k.Resource)
		w.string("namespace", k.Namespace)
		w.string("name", k.Name)
		w.string("apiGroup", k.APIGroup)
		w.string("apiVersion", k.APIVersion)
		w.string("subresource", k.Subresource)
		w.close('}')
	}
	if k.Code != 0 {
		w.key("responseStatus")
		w.open('{')
		w.string("reason", k.Reason)
		if k.StatusOnly {
			w.string("status", "Success")
		}
		w.uint("code", k.Code)
		w.close('}')
	}
	w.string("requestReceivedTimestamp", k.Received)
	w.string("stageTimestamp", k.Staged)
	if k.Decision != "" || k.IssuedCredentialID != "" {
		w.key("annotations")
		w.open('{')
		w.string(annotationDecision, k.Decision)
		w.string(annotationReason, k.DecisionReason)
		w.string(annotationIssued, k.IssuedCredentialID)
		w.close('}')
	}
	w.close('}')
}

// user writes an identity; token is the event that knows what the identity's
// token is bound to, or nil.
func (w *writer) user(key string, u *User, token *Kubernetes) {
	w.key(key)
	w.open('{')
	w.string("username", u.Name)
	w.string("uid", u.UID)
	w.strings("groups", u.Groups)
	if token != nil && token.CredentialID != "" {
		w.key("extra")
		w.open('{')
		for _, extra := range [...]struct{ key, value string }{
			{extraCredentialID, token.CredentialID},
			{extraPodName, token.TokenPod},
			{extraPodUID, token.TokenPodUID},
			{extraNodeName, token.TokenNode},
		} {
			if extra.value != "" {
				w.key(extra.key)
				w.open('[')
				w.element(extra.value)
				w.close(']')
			}
		}
		w.close('}')
	}
	w.close('}')
}

func (w *writer) dockerEvent(e *Event) {
	d := &e.Docker
	w.key("event")
	w.open('{')
	w.string("Type", d.Type)
	action := d.Action
	if d.Command != "" {
		action += ": " + d.Command
	}
	w.string("Action", action)
	w.key("Actor")
	w.open('{')
	w.string("ID", d.ActorID)
	w.key("Attributes")
	w.open('{')
	w.string("name", d.ActorName)
	w.string("image", d.Container.Image)
	w.string("execID", d.ExecID)
	w.string("exitCode", d.ExitCode)
	w.close('}')
	w.close('}')
	if e.Time > 0 {
		w.uint("time", uint64(e.Time)/1e9)
		w.uint("timeNano", uint64(e.Time))
	}
	w.close('}')
}

func (w *writer) dockerRequest(e *Event) {
	d, r := &e.Docker, &e.Docker.Request
	w.key("request")
	w.open('{')
	w.string("method", r.Method)
	w.string("path", r.Path)
	w.string("query", r.Query)
	w.string("version", r.Version)
	w.string("userAgent", r.UserAgent)
	w.uint("status", r.Status)
	w.bool("first", r.First)
	w.string("unreadable", r.Unreadable)
	w.string("object", d.ActorName)
	w.string("command", d.Command)
	w.string("archivePath", r.ArchivePath)
	w.string("image", r.CreateImage)
	w.bool("privileged", r.CreatePrivileged)
	w.strings("mounts", r.CreateMounts)
	w.strings("exposes", r.CreateExposes)
	w.bool("execPrivileged", r.ExecPrivileged)
	w.uint("timeNano", uint64(max(0, e.Time)))
	w.close('}')
}

// docker writes what requests and events have in common.
func (w *writer) docker(d *Docker) {
	if c := &d.Client; c.PID != 0 || c.Addr != "" {
		w.key("client")
		w.open('{')
		w.uint("pid", c.PID)
		w.uint("ppid", c.PPID)
		w.string("name", c.Name)
		w.string("parentName", c.ParentName)
		w.string("exepath", c.ExePath)
		w.string("cmdline", c.Cmdline)
		w.int("uid", c.UID)
		w.int("loginuid", c.LoginUID)
		w.bool("inContainer", c.InContainer)
		w.container("container", &c.Container)
		w.string("addr", c.Addr)
		w.close('}')
	}
	w.container("container", &d.Container)
	w.string("daemon", d.Daemon)
	w.bool("insecure", d.Insecure)
	w.bool("healthCheck", d.HealthCheck)
}

func (w *writer) container(key string, c *Container) {
	if *c == (Container{}) {
		return
	}
	w.key(key)
	w.open('{')
	w.string("id", c.ID)
	w.string("name", c.Name)
	w.string("image", c.Image)
	w.close('}')
}

// writer builds a JSON text. Members with a zero value are left out, which is
// what their absence means when the text is read back.
type writer struct {
	b []byte
}

func (w *writer) open(c byte) { w.b = append(w.b, c) }

func (w *writer) close(c byte) { w.b = append(w.b, c) }

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

func (w *writer) element(value string) {
	w.separate()
	w.b = appendString(w.b, value)
}

func (w *writer) strings(name string, values []string) {
	if len(values) == 0 {
		return
	}
	w.key(name)
	w.open('[')
	for _, v := range values {
		w.element(v)
	}
	w.close(']')
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
		i += plain(s[i:])
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
