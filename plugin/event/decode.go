// SPDX-License-Identifier: Apache-2.0

package event

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"strings"
	"time"
	"unsafe"

	"github.com/valyala/fastjson"

	"github.com/containerapi/containerapi/plugin/command"
	"github.com/containerapi/containerapi/plugin/manifest"
)

// The annotations and the keys of user.extra that are kept, as
// k8s.io/apiserver/pkg/audit and k8s.io/apiserver/pkg/authentication write
// them. All others are dropped: admission webhooks put whole patches there,
// and authenticators whatever they like.
const (
	annotationDecision = "authorization.k8s.io/decision"
	annotationReason   = "authorization.k8s.io/reason"
	annotationIssued   = "authentication.kubernetes.io/issued-credential-id"

	extraCredentialID = "authentication.kubernetes.io/credential-id"
	extraPodName      = "authentication.kubernetes.io/pod-name"
	extraPodUID       = "authentication.kubernetes.io/pod-uid"
	extraNodeName     = "authentication.kubernetes.io/node-name"
)

// ErrUnrecognized is the error of JSON that is no event of a known kind.
var ErrUnrecognized = errors.New("not a Kubernetes audit event, a Docker event or an event of this plugin")

// Decoder reads events. It reuses its memory from one call to the next; the
// zero value is ready. A Decoder must not be used by two goroutines at once.
type Decoder struct {
	parser fastjson.Parser
	event  Event
	words  []string // of a command
	asked  []byte   // the object of a request
	reader *manifest.Reader

	// Reads says what is wanted of the object of a request to Kubernetes. Where it is
	// nil, nothing is.
	Reads func(k *Kubernetes) manifest.Kind
}

// Decode reads one JSON text and calls each for every event in it, in order:
// a Kubernetes audit event, an EventList, a Docker event, an event that this
// plugin wrote, or an array of those. Where an element of a list is not an
// event, each gets a nil event and the reason.
//
// The event is valid until each returns. The error is nil or says why the text
// as a whole could not be read.
func (d *Decoder) Decode(text []byte, each func(*Event, error)) error {
	v, err := d.parser.ParseBytes(text)
	if err != nil {
		return fmt.Errorf("broken JSON: %w", shorten(err))
	}
	return d.value(v, each)
}

// shorten leaves of an error of fastjson the reason itself, without the path
// to it and without what it quotes of its input, which may be a secret.
func shorten(err error) error {
	reason, _, _ := strings.Cut(err.Error(), "; unparsed tail:")
	if i := strings.IndexAny(reason, "\"{["); i >= 0 {
		reason = strings.TrimRight(reason[:i], "' :;")
	}
	return errors.New(strings.TrimSpace(reason[strings.LastIndex(reason, ": ")+1:]))
}

func (d *Decoder) value(v *fastjson.Value, each func(*Event, error)) error {
	if v.Type() == fastjson.TypeArray {
		d.list(v.GetArray(), each)
		return nil
	}
	o, err := v.Object()
	if err != nil {
		return ErrUnrecognized
	}
	if kind := text(o.Get("kind")); kind == "EventList" {
		d.list(o.Get("items").GetArray(), each)
		return nil
	}
	e := &d.event
	e.Reset()
	if err := d.object(e, o); err != nil {
		return err
	}
	each(e, nil)
	return nil
}

func (d *Decoder) list(values []*fastjson.Value, each func(*Event, error)) {
	for _, v := range values {
		o, err := v.Object()
		if err == nil {
			d.event.Reset()
			err = d.object(&d.event, o)
		}
		if err != nil {
			each(nil, ErrUnrecognized)
			continue
		}
		each(&d.event, nil)
	}
}

// object fills e from one event of any kind.
func (d *Decoder) object(e *Event, o *fastjson.Object) error {
	switch {
	case o.Get("auditID") != nil:
		d.audit(e, o)
	case o.Get("input") != nil:
		return d.own(e, o)
	case o.Get("Action") != nil && o.Get("Type") != nil:
		d.docker(e, o)
	default:
		return ErrUnrecognized
	}
	return nil
}

// own reads an event that AppendJSON wrote.
func (d *Decoder) own(e *Event, o *fastjson.Object) error {
	e.Replayed = true
	e.Shortened = o.Get("shortened").GetBool()
	e.Repeated = o.Get("repeated").GetBool()
	// Not from the command as it stands there, whose secrets are masked.
	read := reads(o.Get("reads"))
	if seen := o.Get("seen"); seen != nil {
		e.Seen = History{
			Known:    seen.GetUint64("count") > 0,
			First:    seen.GetBool("first"),
			Count:    seen.GetUint64("count"),
			Objects:  seen.GetUint64("objects"),
			Repeats:  seen.GetUint64("repeats"),
			Sources:  seen.GetUint64("sources"),
			Deployed: seen.GetBool("deployed"),
			Age:      seen.GetUint64("age"),
			Due:      seen.GetBool("due"),
			KnownFor: seen.GetUint64("knownFor"),

			ReadsSecrets: seen.GetBool("readsSecrets"),
			Introduced:   seen.GetBool("introduced"),
			Days:         seen.GetUint64("days"),
		}
		for _, name := range seen.GetArray("new") {
			e.Seen.New |= NewsNamed(text(name))
		}
		for _, name := range seen.GetArray("deviations") {
			e.Seen.Deviations |= NewsNamed(text(name))
		}
	}
	if audit := o.Get("audit").GetObject(); audit != nil {
		d.audit(e, audit)
		if o.Get("unanswered").GetBool() {
			e.Outcome = Unanswered
		}
		e.CommandReads = read
		return nil
	}
	if event := o.Get("event").GetObject(); event != nil {
		d.docker(e, event)
		if made := o.Get("made").GetObject(); made != nil {
			e.Docker.Request.created(made)
		}
	} else if request := o.Get("request").GetObject(); request != nil {
		dockerRequest(e, request)
	} else {
		return ErrUnrecognized
	}
	e.CommandReads = read
	k := &e.Docker
	k.Daemon = text(o.Get("daemon"))
	k.Insecure = o.Get("insecure").GetBool()
	k.HealthCheck = o.Get("healthCheck").GetBool()
	if c := o.Get("container"); c != nil {
		k.Container = container(c)
	}
	if c := o.Get("client"); c != nil {
		k.Client = Client{
			PID:         c.GetUint64("pid"),
			PPID:        c.GetUint64("ppid"),
			Name:        text(c.Get("name")),
			ParentName:  text(c.Get("parentName")),
			ExePath:     text(c.Get("exepath")),
			Cmdline:     text(c.Get("cmdline")),
			UID:         c.GetInt64("uid"),
			LoginUID:    c.GetInt64("loginuid"),
			InContainer: c.GetBool("inContainer"),
			Container:   container(c.Get("container")),
			Verified:    c.GetBool("verified"),
			Addr:        text(c.Get("addr")),
		}
		k.Client.UnverifiedReason = text(c.Get("unverifiedReason"))
		k.Client.Image = Image{ID: text(c.Get("image", "id")), Digest: text(c.Get("image", "digest")), Verified: c.GetBool("image", "verified")}
	}
	return nil
}

func container(v *fastjson.Value) Container {
	return Container{ID: text(v.Get("id")), Name: text(v.Get("name")), Image: text(v.Get("image"))}
}

// dockerRequest reads the request of an event that AppendJSON wrote.
func dockerRequest(e *Event, o *fastjson.Object) {
	e.Input = DockerAPI
	e.Time = max(0, o.Get("timeNano").GetInt64())
	e.Docker.ActorName = text(o.Get("object"))
	e.Docker.Command = text(o.Get("command"))
	r := &e.Docker.Request
	r.Method = text(o.Get("method"))
	r.Path = text(o.Get("path"))
	r.Query = text(o.Get("query"))
	r.Version = text(o.Get("version"))
	r.UserAgent = text(o.Get("userAgent"))
	r.Status = o.Get("status").GetUint64()
	r.Unreadable = text(o.Get("unreadable"))
	r.Waiting = o.Get("waiting").GetBool()
	r.ArchivePath = text(o.Get("archivePath"))
	r.First = o.Get("first").GetBool()
	r.created(o)
	r.ExecPrivileged = o.Get("execPrivileged").GetBool()
}

// created reads what something is created with.
func (r *Request) created(o *fastjson.Object) {
	r.CreateImage = text(o.Get("image"))
	r.CreateImageID = text(o.Get("imageID"))
	r.CreateImageVerified = o.Get("imageVerified").GetBool()
	r.CreatePrivileged = o.Get("privileged").GetBool()
	r.CreateMounts = texts(r.CreateMounts, o.Get("mounts"))
	r.CreateExposes = texts(r.CreateExposes, o.Get("exposes"))
	r.AttachOwn = o.Get("attachOwn").GetBool()
	r.Unread = o.Get("unread").GetBool()
}

// audit reads an audit.k8s.io/v1 Event.
func (d *Decoder) audit(e *Event, o *fastjson.Object) {
	e.Input = KubernetesAudit
	k := &e.Kubernetes
	var message string
	var asked *fastjson.Value
	o.Visit(func(key []byte, v *fastjson.Value) {
		switch string(key) {
		case "auditID":
			k.AuditID = text(v)
		case "level":
			k.Level = text(v)
		case "stage":
			k.Stage = text(v)
		case "requestURI":
			k.RequestURI = text(v)
		case "verb":
			k.Verb = text(v)
		case "user":
			user(&k.User, k, v)
		case "impersonatedUser":
			user(&k.Impersonated, nil, v)
		case "impersonationDenied":
			k.ImpersonationDenied = v.GetBool()
		case "sourceIPs":
			k.SourceIPs = texts(k.SourceIPs, v)
		case "userAgent":
			k.UserAgent = text(v)
		case "objectRef":
			object(k, v)
		case "responseStatus":
			k.Code = v.GetUint64("code")
			k.Reason = text(v.Get("reason"))
			k.Status = text(v.Get("status"))
			message = text(v.Get("message"))
		case "requestReceivedTimestamp":
			k.Received = text(v)
		case "stageTimestamp":
			k.Staged = text(v)
		case "pathDiffers":
			k.Differs = v.GetBool()
		case "requestObject":
			asked = v
		case manifest.Member:
			given(&k.Given, v)
		case "annotations":
			k.Decision = text(v.Get(annotationDecision))
			k.DecisionReason = text(v.Get(annotationReason))
			k.IssuedCredentialID = text(v.Get(annotationIssued))
		}
	})
	if e.Time = nanoseconds(k.Received); e.Time == 0 {
		e.Time = nanoseconds(k.Staged)
	}
	if isGKE(k) {
		fromGKE(k)
	}
	if k.Resource == "" {
		// Cut off, or left out by what passed the event on.
		if target, ok := k.PathTarget(); ok {
			k.Resource, k.Subresource, k.Namespace, k.Name, k.APIGroup = target.Resource, target.Subresource, target.Namespace, target.Name, target.APIGroup
		}
	}
	if !e.Replayed {
		d.given(k, asked)
	}
	if runsCommand(k) {
		d.maskCommand(e)
	}
	if k.Impersonated.Name == "" && message != "" {
		refusedImpersonation(k, message)
	}
}

func user(u *User, token *Kubernetes, v *fastjson.Value) {
	u.Name = text(v.Get("username"))
	u.UID = text(v.Get("uid"))
	u.Groups = texts(u.Groups, v.Get("groups"))
	if extra := v.Get("extra"); extra != nil && token != nil {
		token.CredentialID = text(extra.Get(extraCredentialID, "0"))
		token.TokenPod = text(extra.Get(extraPodName, "0"))
		token.TokenPodUID = text(extra.Get(extraPodUID, "0"))
		token.TokenNode = text(extra.Get(extraNodeName, "0"))
	}
}

// given finds out what the object of a request gives.
func (d *Decoder) given(k *Kubernetes, object *fastjson.Value) {
	kind := manifest.Nothing
	if d.Reads != nil {
		kind = d.Reads(k)
	}
	if object != nil && kind != manifest.Nothing {
		if d.reader == nil {
			d.reader = manifest.NewReader()
		}
		d.reader.Reset()
		d.asked = object.MarshalTo(d.asked[:0])
		// It says for itself what it could not read.
		_, _ = d.reader.Write(d.asked)
		clear(d.asked) // it may hold secrets
		k.Given = d.reader.Given()
	}
	k.Given.Keep(kind)
}

// given reads what an object gives, as AppendJSON wrote it, or package jsonstream in
// place of an object.
func given(g *manifest.Given, v *fastjson.Value) {
	g.Exposes = texts(g.Exposes, v.Get("exposes"))
	g.Grants = texts(g.Grants, v.Get("grants"))
	g.Account = text(v.Get("account"))
	g.Reads = reads(v.Get("reads"))
	g.ReviewUser = text(v.Get("reviewUser"))
	g.ReviewResource = text(v.Get("reviewResource"))
	g.Unread = v.GetBool("unread")
}

// reads returns the set that a list of names is.
func reads(v *fastjson.Value) (set command.Reads) {
	for _, name := range v.GetArray() {
		set |= command.ReadsNamed(text(name))
	}
	return set
}

func object(k *Kubernetes, v *fastjson.Value) {
	o, err := v.Object()
	if err != nil {
		return
	}
	o.Visit(func(key []byte, v *fastjson.Value) {
		switch string(key) {
		case "resource":
			k.Resource = text(v)
		case "subresource":
			k.Subresource = text(v)
		case "namespace":
			k.Namespace = text(v)
		case "name":
			k.Name = text(v)
		case "apiGroup":
			k.APIGroup = text(v)
		case "apiVersion":
			k.APIVersion = text(v)
		}
	})
}

// runsCommand reports whether the query of a request has a command that is run: of
// an exec, or of the kubelet's own API behind nodes/proxy. Elsewhere a parameter of
// that name means nothing.
func runsCommand(k *Kubernetes) bool {
	path, query := cutQuery(k.RequestURI)
	if query == "" {
		return false
	}
	if k.Subresource == "exec" || strings.HasSuffix(path, "/exec") {
		return true
	}
	if _, inner, ok := strings.Cut(k.Path(), "/proxy/"); ok {
		first, _, _ := strings.Cut(strings.TrimLeft(inner, "/"), "/")
		return first == "exec" || first == "run" || first == "cri"
	}
	return false
}

// maxWords is how many bytes of the words of a command are looked at, maxRefused of one
// that was refused: it read nothing, and anyone can send it without a credential.
const maxWords, maxRefused = 16 << 10, 256

// maskCommand reads the command of an exec from the request's query, where it
// stands as one command= for each word, and masks the secrets in it. Names and
// values are decoded as the API server does.
func (d *Decoder) maskCommand(e *Event) {
	k := &e.Kubernetes
	path, query := cutQuery(k.RequestURI)
	d.words = d.words[:0]
	var rest []string
	var io streams
	size, limit, cut := 0, maxWords, false
	if k.Refused() {
		limit = maxRefused
	}
	for query != "" && (size < limit || len(rest) <= maxParameters) {
		var pair string
		if pair, query, _ = strings.Cut(strings.TrimLeft(query, "&"), "&"); pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		if name = unescaped(name); !IsCommandParameter(name) {
			io.parameter(name, value)
			if len(rest) <= maxParameters {
				rest = append(rest, pair)
			}
			continue
		}
		cut = cut || len(value) > limit-size
		if size < limit {
			d.words = append(d.words, unescaped(value[:min(len(value), limit-size)]))
		}
		size += len(value) + 1
	}
	if len(d.words) == 0 {
		return
	}
	e.CommandReads |= command.ReadsWith(d.words, io.input())
	if cut && limit == maxWords {
		e.CommandReads |= command.Opaque
	}
	plain := strings.Join(d.words, " ")
	switch {
	case len(d.words) == 1: // a kubelet's run, or an event of this plugin
		k.Command = command.Mask(plain)
	default:
		k.Command = command.MaskWords(d.words)
	}
	if k.Command == plain {
		return
	}
	// The words cannot be told apart in the masked command, and need not be.
	rest = append(rest, "command="+url.QueryEscape(k.Command))
	k.RequestURI = path + "?" + strings.Join(rest, "&")
}

// streams are what the parameters of an exec's query say of its input, each by the
// first of its name: stdin and tty to the API server, which takes all but "0" and
// "false" for true, input and tty to a kubelet. See Convert_Slice_string_To_bool in
// k8s.io/apimachinery/pkg/runtime.
type streams struct{ stdin, tty, hasStdin, hasTTY bool }

func (s *streams) parameter(name, value string) {
	isTrue := func() bool {
		value := unescaped(value)
		return value != "0" && !strings.EqualFold(value, "false")
	}
	switch {
	case (name == "stdin" || name == "input") && !s.hasStdin:
		s.stdin, s.hasStdin = isTrue(), true
	case name == "tty" && !s.hasTTY:
		s.tty, s.hasTTY = isTrue(), true
	}
}

func (s *streams) input() command.Stdin {
	switch {
	case !s.stdin:
		return command.NoInput
	case s.tty:
		return command.Terminal
	}
	return command.Fed
}

// refusedImpersonation reads who the user wanted to be from the message of the
// API server, the only place that says so:
//
//	users "bob" is forbidden: User "alice" cannot impersonate resource "users" …
func refusedImpersonation(k *Kubernetes, message string) {
	if !k.Refused() || !strings.Contains(message, "cannot impersonate resource") {
		return
	}
	_, name, ok := strings.Cut(message, `"`)
	if !ok {
		return
	}
	name, _, _ = strings.Cut(name, `"`)
	k.Impersonated.Name = name
	k.ImpersonationDenied = true
}

// docker reads an event of Docker's GET /events. Of the attributes only those
// are kept that name things: the others are labels, which may hold anything.
func (d *Decoder) docker(e *Event, o *fastjson.Object) {
	e.Input = DockerEvent
	k := &e.Docker
	k.Type = text(o.Get("Type"))
	k.Action = text(o.Get("Action"))
	if action, words, ok := strings.Cut(k.Action, ": "); ok {
		k.Action = action
		if strings.HasPrefix(action, "exec_") {
			// A command of one word has a space behind it.
			k.Command = command.Mask(strings.TrimRight(words, " "))
			e.CommandReads |= command.ReadsOf(strings.Fields(words))
		}
	}
	if e.Time = o.Get("timeNano").GetInt64(); e.Time <= 0 {
		seconds := o.Get("time").GetInt64()
		e.Time = 0
		if seconds > 0 && seconds <= math.MaxInt64/int64(time.Second) {
			e.Time = seconds * int64(time.Second)
		}
	}
	actor := o.Get("Actor")
	attributes := actor.Get("Attributes")
	k.ActorID = text(actor.Get("ID"))
	k.ActorName = text(attributes.Get("name"))
	k.ExecID = text(attributes.Get("execID"))
	k.ExitCode = text(attributes.Get("exitCode"))
	switch k.Type {
	case "container":
		k.Container = Container{ID: k.ActorID, Name: k.ActorName, Image: text(attributes.Get("image"))}
	case "network", "volume":
		k.Container.ID = text(attributes.Get("container"))
	}
}

func cutQuery(uri string) (path, query string) {
	path, query, _ = strings.Cut(uri, "?")
	return path, query
}

// text returns a JSON string in the parser's own memory, or "" for any other
// value.
func text(v *fastjson.Value) string {
	if v == nil {
		return ""
	}
	b := v.GetStringBytes()
	return unsafe.String(unsafe.SliceData(b), len(b))
}

func texts(to []string, v *fastjson.Value) []string {
	to = to[:0]
	for _, s := range v.GetArray() {
		to = append(to, text(s))
	}
	return to
}
