// SPDX-License-Identifier: Apache-2.0

package event

import (
	"net/url"
	"strings"

	"github.com/containerapi/containerapi/plugin/command"
)

// Shown is how much of commands an event shows.
type Shown bool

const (
	// Masked shows a command without what may be a secret.
	Masked Shown = false
	// Names shows of a command the names of programs and files only.
	Names Shown = true
)

// Clean makes the event one to show: every text in it becomes one line, without
// control characters and without what may be a secret. It is for the moment at
// which the event leaves, when all that its texts mean has been worked out: what is
// hidden cannot be compared any more. Cleaning twice is the same as once.
func (e *Event) Clean(shown Shown) {
	switch e.Input {
	case KubernetesAudit:
		e.Kubernetes.clean(shown)
	case DockerAPI, DockerEvent:
		e.Docker.clean(shown)
	}
}

func (k *Kubernetes) clean(shown Shown) {
	k.Command = shownCommand(k.Command, shown)
	k.RequestURI = shownURI(k.RequestURI, k.Command)
	k.UserAgent = command.MaskText(k.UserAgent)
	for _, u := range []*User{&k.User, &k.Impersonated} {
		cleanNames(&u.Name, &u.UID)
		cleanList(u.Groups)
	}
	cleanList(k.Given.Exposes)
	cleanList(k.Given.Grants)
	cleanNames(&k.Given.Account, &k.Given.ReviewUser, &k.Given.ReviewResource)
	cleanList(k.SourceIPs)
	cleanNames(&k.AuditID, &k.Level, &k.Stage, &k.Received, &k.Staged, &k.Verb, &k.Resource, &k.Subresource, &k.Namespace, &k.Name,
		&k.APIGroup, &k.APIVersion, &k.Status, &k.Reason, &k.Decision, &k.DecisionReason, &k.CredentialID, &k.IssuedCredentialID, &k.TokenPod, &k.TokenPodUID, &k.TokenNode)
}

func (d *Docker) clean(shown Shown) {
	d.Command = shownCommand(d.Command, shown)
	r, c := &d.Request, &d.Client
	r.Path, r.Query = shownPath(r.Path), shownQuery(r.Query)
	for _, s := range []*string{&r.UserAgent, &r.Unreadable, &r.ArchivePath, &r.CreateImage, &d.ActorName, &c.ExePath} {
		*s = command.MaskText(*s)
	}
	for i, mount := range r.CreateMounts {
		r.CreateMounts[i] = command.MaskText(mount)
	}
	cleanList(r.CreateExposes)
	c.Cmdline = shownCommand(c.Cmdline, shown)
	for _, container := range []*Container{&d.Container, &c.Container} {
		container.Image = command.MaskText(container.Image)
		cleanNames(&container.ID, &container.Name)
	}
	cleanNames(&d.Daemon, &d.Type, &d.Action, &d.ActorID, &d.ExecID, &d.ExitCode, &r.Method, &r.Version, &c.Name, &c.ParentName, &c.Addr,
		&c.UnverifiedReason, &c.Image.ID, &c.Image.Digest, &r.CreateImageID)
}

func cleanNames(names ...*string) {
	for _, name := range names {
		*name = command.MaskName(*name)
	}
}

func cleanList(list []string) {
	for i, s := range list {
		list[i] = command.MaskName(s)
	}
}

func shownCommand(line string, shown Shown) string {
	if line == "" {
		return ""
	}
	if shown == Names {
		return command.NamesOf(line)
	}
	return command.Mask(line)
}

// parameters are the parameters of a query to the API server whose values are
// shown, because they say what is asked for: true for those that are a number or
// a choice. Of all others only the name is shown: whoever sends a request chooses
// what stands in it, and can put a token there.
var parameters = map[string]bool{
	"allowWatchBookmarks": true, "cascade": true, "container": false, "dryRun": true, "exact": true, "export": true, "fieldManager": false,
	"fieldSelector": false, "fieldValidation": true, "follow": true, "force": true, "gracePeriodSeconds": true, "includeUninitialized": true,
	"insecureSkipTLSVerifyBackend": true, "labelSelector": false, "limit": true, "limitBytes": true, "orphanDependents": true, "pods": false,
	"ports": true, "pretty": true, "previous": true, "propagationPolicy": true, "resourceVersion": true, "resourceVersionMatch": true,
	"sendInitialEvents": true, "shardSelector": false, "sinceSeconds": true, "sinceTime": true, "stderr": true, "stdin": true, "stdout": true, "stream": true,
	"tailLines": true, "timeout": true, "timeoutSeconds": true, "timestamps": true, "tty": true, "watch": true,
}

const (
	// maxParameters is how many parameters of a query are shown, and maxChoice how
	// long a number or a choice is at most, in bytes.
	maxParameters = 64
	maxChoice     = 32
	hidden        = "***"
)

// shownURI returns a path and query without what may be a secret. words is the
// command of an exec, as it is shown, which stands in the query once.
func shownURI(uri, words string) string {
	path, query := cutQuery(uri)
	path = shownPath(path)
	if query == "" {
		return path
	}
	var b strings.Builder
	b.WriteString(path)
	b.WriteByte('?')
	n := 0
	for {
		// Nothing stands between most signs of a query that is made to cost.
		if query = strings.TrimLeft(query, "&"); query == "" {
			break
		}
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		shown := shownParameter(pair, &words)
		if shown == "" {
			continue
		}
		if n++; n > maxParameters {
			b.WriteString("&…")
			break
		}
		if n > 1 {
			b.WriteByte('&')
		}
		b.WriteString(shown)
	}
	return b.String()
}

// shownParameter returns a parameter as it is shown, or "" if it is not. The first
// word of a command has the command, of which nothing is left then.
func shownParameter(pair string, words *string) string {
	name, value, assigned := strings.Cut(pair, "=")
	plainName := unescaped(name)
	if IsCommandParameter(plainName) {
		shown := *words
		if *words = ""; shown == "" {
			return ""
		}
		return plainName + "=" + url.QueryEscape(shown)
	}
	choice, known := parameters[plainName]
	switch {
	case !known:
		// A name can be a secret as well as a value.
		if !assigned || len(plainName) > maxChoice || strings.Trim(plainName, letters) != "" {
			return hidden
		}
		return plainName + "=" + hidden
	case !assigned:
		return plainName
	}
	plain := unescaped(value)
	if choice {
		if len(plain) > maxChoice || strings.Trim(plain, letters+"0123456789:.,") != "" || command.MaskText(plain) != plain {
			return plainName + "=" + hidden
		}
		return plainName + "=" + value
	}
	if shown := command.MaskText(plain); shown != plain {
		return plainName + "=" + url.QueryEscape(shown)
	}
	return plainName + "=" + value
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"

// IsCommandParameter reports whether a parameter of a query holds a command: a word
// of it in an exec, all of it for a kubelet's run.
func IsCommandParameter(name string) bool { return name == "command" || name == "cmd" }

// unescaped decodes a text as net/url does, or returns it as it is.
func unescaped(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	if decoded, err := url.QueryUnescape(s); err == nil {
		return decoded
	}
	return s
}

// shownQuery returns a query of which the names are known not to be secrets.
func shownQuery(query string) string {
	if query == "" {
		return ""
	}
	pairs := strings.FieldsFunc(query, func(r rune) bool { return r == '&' || r == ';' })
	if len(pairs) > maxParameters {
		pairs = pairs[:maxParameters]
	}
	for i, pair := range pairs {
		name, value, assigned := strings.Cut(pair, "=")
		if plain := unescaped(pair); assigned && command.MaskText(plain) == plain {
			pairs[i] = name + "=" + shownEscaped(value, url.QueryEscape)
		} else {
			pairs[i] = command.MaskText(plain)
		}
	}
	return strings.Join(pairs, "&")
}

// maxSegments is how many segments of a path are looked at one by one.
const maxSegments = 64

// shownPath returns the path of a URL without what may be a secret. It is looked at as
// a whole, since a URL in a path has several segments, and before that those segments
// apart that can mean more as texts of their own: a slash before a name and its colon
// makes it a part of a path, and what is escaped badly hides what is escaped well.
func shownPath(path string) string {
	apart := ":"
	if _, err := url.PathUnescape(path); err != nil {
		apart = ":%"
	}
	if strings.ContainsAny(path, apart) {
		segments := strings.SplitN(path, "/", maxSegments)
		for i, segment := range segments {
			if strings.ContainsAny(segment, apart) {
				segments[i] = shownEscaped(segment, url.PathEscape)
			}
		}
		path = strings.Join(segments, "/")
	}
	return shownEscaped(withoutNamed(path), url.PathEscape)
}

// withoutNamed returns a path in which the segment behind one that is called password,
// or like one, is hidden: /set/password/hunter2.
func withoutNamed(path string) string {
	var b strings.Builder
	kept, secret := 0, false // what of path is in b, and whether the segment is to be hidden
	for from := 0; from < len(path); {
		end := len(path)
		if next := strings.IndexByte(path[from:], '/'); next >= 0 {
			end = from + next
		}
		if secret && end > from {
			b.WriteString(path[kept:from])
			b.WriteString(hidden)
			kept = end
		}
		secret = namesSecret(path[from:end])
		from = end + 1
	}
	if kept == 0 {
		return path
	}
	b.WriteString(path[kept:])
	return b.String()
}

// namesSecret reports whether a segment of a path is the name of what follows, and
// nothing else: "token" and "secret" are also kinds of objects.
func namesSecret(segment string) bool {
	switch strings.ToLower(segment[:min(len(segment), maxChoice)]) {
	case "password", "passwd", "pwd", "passphrase", "apikey", "api_key", "api-key", "access_token", "refresh_token", "client_secret":
		return true
	}
	return false
}

// shownEscaped returns a part of a URL without what may be a secret: as it was
// where nothing is hidden.
func shownEscaped(s string, escape func(string) string) string {
	shown := command.MaskText(s)
	if shown == s || !strings.Contains(s, "%") {
		return shown
	}
	parts := strings.Split(shown, "/")
	for i, part := range parts {
		parts[i] = strings.ReplaceAll(escape(part), "%2A", "*")
	}
	return strings.Join(parts, "/")
}
