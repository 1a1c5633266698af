// SPDX-License-Identifier: Apache-2.0

// Package manifest says what the object of a request to the Kubernetes API gives to
// whom it is for: a pod the host's files or another account's rights, a role the
// secrets of a namespace. It reads chosen members of the object from the pieces that
// it comes in, and keeps nothing else of it.
//
// An object is read whatever its form: as it is created or updated, as a merge patch,
// a strategic merge patch or an applied configuration, which have a part of its
// members, or as a JSON patch, which names them by paths. So a member counts wherever
// it stands, be it the spec of a pod, the template of a job in a cron job, or one of a
// resource that is not known here. The names that are looked for are names of nothing
// else in the objects of Kubernetes.
package manifest

import (
	"maps"
	"slices"
	"strings"

	"github.com/containerapi/containerapi/plugin/command"
	"github.com/containerapi/containerapi/plugin/hostaccess"
	"github.com/containerapi/containerapi/plugin/jsonscan"
)

// Given is what an object gives. The zero value gives nothing.
type Given struct {
	// Exposes is what a pod shows to those in it beyond what every pod has: the words
	// of package hostaccess, and the words for credentials below.
	Exposes []string
	// Grants is what a role, a binding, a certificate request, a secret or an
	// admission configuration lets its subjects do or see, in the words below.
	Grants []string
	// Account is the service account that a pod runs as, if it names one.
	Account string
	// Reads is what the commands of a pod's containers read, with their arguments, as
	// far as they are in the object and not in an image. The commands are not kept.
	Reads command.Reads
	// ReviewUser is whose rights an access review asks for, and ReviewResource for
	// what: "nodes/proxy".
	ReviewUser, ReviewResource string
	// Unread reports that not all of the object could be read.
	Unread bool
}

// Kind is what is wanted of an object.
type Kind uint8

// The kinds of objects.
const (
	Nothing Kind = iota
	Pod          // makes pods, or is a part of one: what that exposes
	Access       // gives rights, credentials or sight of others' requests: what it grants
	Review       // asks for the rights of someone
)

// Keep empties what is not wanted of an object of this kind: a member can have the name
// of another one's.
func (g *Given) Keep(kind Kind) {
	kept := Given{Exposes: g.Exposes[:0], Grants: g.Grants[:0]}
	switch kind {
	case Pod:
		kept.Exposes, kept.Account, kept.Reads, kept.Unread = g.Exposes, g.Account, g.Reads, g.Unread
	case Access:
		kept.Grants, kept.Unread = g.Grants, g.Unread
	case Review:
		kept.ReviewUser, kept.ReviewResource, kept.Unread = g.ReviewUser, g.ReviewResource, g.Unread
	}
	*g = kept
}

// Member is the member of an audit event that has what the object of its request
// gives, in place of the object.
const Member = "containerapiGiven"

// What a pod is given of credentials, in the order in which it is listed behind what
// it is given of the host.
const (
	secretMount   = "secret"  // a volume or a variable from a Secret
	tokenMount    = "token"   // a projected token of its service account
	accountChosen = "account" // a service account that is not the namespace's default
)

var credentials = []string{secretMount, tokenMount, accountChosen}

// maxPaths is how many paths of the host are looked at. Looking at one takes long,
// and no benign pod has that many.
const maxPaths = 256

// Reader reads one object after the other.
type Reader struct {
	wanted  *jsonscan.Node
	scanner *jsonscan.Scanner
	object
}

// object is what was read of an object so far.
type object struct {
	host    hostaccess.Request
	shows   map[string]bool // of credentials
	grants  map[string]bool
	account string
	command []string // of the container that is read
	args    []string
	hook    []string
	reads   command.Reads
	review  review
	rule    rule
	role    string
	op      operation
	paths   int
	unread  bool
}

type review struct{ user, resource, subresource string }

// NewReader returns a Reader. To know what is wanted takes longer than most objects do.
func NewReader() *Reader {
	r := &Reader{object: object{shows: make(map[string]bool), grants: make(map[string]bool)}}
	r.wanted = r.root()
	r.Reset()
	return r
}

// Reset begins to read another object.
func (r *Reader) Reset() {
	clear(r.shows)
	clear(r.grants)
	r.object = object{shows: r.shows, grants: r.grants}
	r.scanner = jsonscan.New(r.wanted, jsonscan.DefaultLimit)
}

// Write reads the next piece of the object, and never fails: what cannot be read is
// said by Given.
func (r *Reader) Write(p []byte) (int, error) {
	if _, err := r.scanner.Write(p); err != nil {
		r.unread = true
	}
	return len(p), nil
}

// Given returns what the object gives, as far as it was read.
func (r *Reader) Given() Given {
	if r.scanner.Close() != nil {
		r.unread = true
	}
	r.bind()
	g := Given{
		Exposes: r.host.Exposes(), Grants: listed(grantWords, r.grants), Account: r.account, Reads: r.reads,
		ReviewUser: r.review.user, ReviewResource: r.review.resource, Unread: r.unread,
	}
	if r.review.subresource != "" {
		g.ReviewResource += "/" + r.review.subresource
	}
	r.shows[accountChosen] = r.account != "" && r.account != "default"
	g.Exposes = append(g.Exposes, listed(credentials, r.shows)...)
	return g
}

func listed(order []string, found map[string]bool) []string {
	var list []string
	for _, what := range order {
		if found[what] {
			list = append(list, what)
		}
	}
	return list
}

// root wants the members that say something, wherever they stand. What people write
// into metadata, data and plain values means nothing, and may be secret.
func (r *Reader) root() *jsonscan.Node {
	any := &jsonscan.Node{}
	any.Any, any.Element, any.Exact = any, any, true
	any.Members = make(map[string]*jsonscan.Node)
	for _, name := range meaningless {
		any.Members[name] = new(jsonscan.Node)
	}
	maps.Copy(any.Members, r.podMembers())
	maps.Copy(any.Members, r.accessMembers())
	// A hook or a probe, within a container.
	hook := words(&r.hook)
	hook.Begin, hook.End = func(bool) { r.hook = nil }, func() { r.reads |= command.ReadsOf(r.hook) }
	any.Members["exec"] = &jsonscan.Node{Members: map[string]*jsonscan.Node{"command": hook}, Exact: true}
	container := &jsonscan.Node{Any: any, Element: any, Exact: true, Members: maps.Clone(any.Members), Begin: r.beginContainer, End: r.endContainer}
	container.Members["command"], container.Members["args"] = words(&r.command), words(&r.args)
	for _, name := range []string{"containers", "initContainers", "ephemeralContainers"} {
		any.Members[name] = &jsonscan.Node{Element: container}
	}
	root := *any
	root.Element = r.operationNode(any)
	return &root
}

// words wants the strings of a list.
func words(to *[]string) *jsonscan.Node {
	return &jsonscan.Node{Element: &jsonscan.Node{String: func(s string) { *to = append(*to, s) }}}
}

// beginContainer and endContainer stand around the members of a container, which come
// in any order.
func (r *Reader) beginContainer(bool) { r.command, r.args = nil, nil }

func (r *Reader) endContainer() {
	if len(r.command)+len(r.args) > 0 {
		r.reads |= command.ReadsOf(append(r.command, r.args...))
	}
	r.command, r.args = nil, nil
}

// meaningless are members with texts of people's own choice.
var meaningless = []string{"metadata", "status", "data", "stringData", "binaryData", "value", "command", "args"}

// podMembers are the members of the spec of a pod, and those of its containers and
// volumes, that say something. From PodSpec in k8s.io/api/core/v1.
func (r *Reader) podMembers() map[string]*jsonscan.Node {
	flag := func(to *bool) *jsonscan.Node {
		return &jsonscan.Node{Bool: func(b bool) { *to = *to || b }}
	}
	host := func(to *string) *jsonscan.Node {
		return &jsonscan.Node{Bool: func(b bool) {
			if b {
				*to = "host"
			}
		}}
	}
	account := &jsonscan.Node{String: func(s string) { r.account = s }}
	secret := r.present(secretMount)
	return map[string]*jsonscan.Node{
		"hostPID":            host(&r.host.PIDMode),
		"hostIPC":            host(&r.host.IPCMode),
		"hostNetwork":        host(&r.host.NetworkMode),
		"serviceAccountName": account,
		"serviceAccount":     account, // the deprecated name of the same
		"privileged":         flag(&r.host.Privileged),
		// A container on Windows that is a process of the host.
		"hostProcess": flag(&r.host.Privileged),
		"procMount":   {String: func(s string) { r.host.Unmasked = r.host.Unmasked || s == "Unmasked" }},
		"capabilities": {Members: map[string]*jsonscan.Node{
			"add": {Element: &jsonscan.Node{String: r.addCapability}},
		}},
		// Of a profile of seccomp or AppArmor, of SELinux, of a volume, of a secret.
		"type":     {String: r.addType},
		"hostPath": {Members: map[string]*jsonscan.Node{"path": {String: r.addPath}}},
		// Of a PersistentVolume: a disk or a directory of a node.
		"local": {Members: map[string]*jsonscan.Node{"path": {String: r.addPath}}},

		"secret":               secret, // a volume, or a source of a projected one
		"secretKeyRef":         secret,
		"secretRef":            secret,
		"nodePublishSecretRef": secret,
		"serviceAccountToken":  r.present(tokenMount),
		"podCertificate":       r.present(tokenMount),
		// A volume of the Secrets Store CSI driver, which fetches them from elsewhere.
		"driver": {String: func(s string) {
			if s == "secrets-store.csi.k8s.io" {
				r.shows[secretMount] = true
			}
		}},
	}
}

// present wants to know that an object is there.
func (r *Reader) present(what string) *jsonscan.Node {
	return &jsonscan.Node{Begin: func(array bool) { r.shows[what] = r.shows[what] || !array }}
}

func (r *Reader) addCapability(name string) {
	if len(r.host.Capabilities) < maxPaths {
		r.host.Capabilities = append(r.host.Capabilities, name)
	}
}

func (r *Reader) addPath(p string) {
	if slices.Contains(r.host.Paths, p) {
		return
	}
	if r.paths++; r.paths > maxPaths {
		r.unread = true
		return
	}
	r.host.Paths = append(r.host.Paths, p)
}

func (r *Reader) addType(kind string) {
	switch kind {
	case "Unconfined":
		r.host.SecurityOptions = []string{"seccomp=unconfined"}
	case "spc_t", "unconfined_t":
		r.host.SecurityOptions = []string{"label=type:" + kind}
	case "kubernetes.io/service-account-token":
		r.grants[accountToken] = true
	case "bootstrap.kubernetes.io/token":
		r.grants[bootstrapToken] = true
	}
}

// operation is one of a JSON patch, whose members can stand in any order.
type operation struct {
	name, path string
	texts      []string // the value, if it is a text or a list of texts
	yes        bool     // the value is true
}

// operationNode wants an operation of a JSON patch, RFC 6902. Its value is a part of
// an object, whose name is the end of the path.
func (r *Reader) operationNode(any *jsonscan.Node) *jsonscan.Node {
	text := func(to *string) *jsonscan.Node { return &jsonscan.Node{String: func(s string) { *to = s }} }
	add := &jsonscan.Node{String: func(s string) {
		if len(r.op.texts) < maxPaths {
			r.op.texts = append(r.op.texts, s)
		} else {
			r.unread = true
		}
	}}
	// The members of what a path leads to, or of each element of it: {"path": "/"} at
	// …/hostPath, a rule at /rules/-.
	value := &jsonscan.Node{
		Any: any, Exact: true, String: add.String, Bool: func(b bool) { r.op.yes = b }, Members: maps.Clone(any.Members),
		Begin: func(bool) { r.rule = rule{} },
		End:   r.endPatchedRule,
	}
	value.Element = value
	value.Members["path"], value.Members["name"] = add, add
	value.Members["add"] = &jsonscan.Node{Element: add}
	maps.Copy(value.Members, r.ruleMembers())
	return &jsonscan.Node{
		Begin: func(bool) { r.op = operation{} },
		End:   r.endOperation,
		Members: map[string]*jsonscan.Node{
			"op": text(&r.op.name), "path": text(&r.op.path), "value": value,
		},
	}
}

// endOperation takes what the path of an operation says of its value.
func (r *Reader) endOperation() {
	op := &r.op
	switch op.name {
	case "remove", "test":
		return
	case "copy", "move":
		// What is there is not in the request.
		r.unread = true
		return
	}
	var names []string
	for part := range strings.SplitSeq(op.path, "/") {
		if part != "" && part != "-" && strings.Trim(part, "0123456789") != "" {
			names = append(names, part)
		}
	}
	if len(names) == 0 || slices.Contains(names, "metadata") {
		return
	}
	last := names[len(names)-1]
	within := func(name string) bool { return slices.Contains(names, name) }
	switch {
	case within("secret"), within("secretKeyRef"), within("secretRef"), within("nodePublishSecretRef"):
		r.shows[secretMount] = true
	case within("serviceAccountToken"), within("podCertificate"):
		r.shows[tokenMount] = true
	case within("hostPath"), within("local"):
		for _, p := range op.texts {
			r.addPath(p)
		}
	case within("capabilities"):
		for _, c := range op.texts {
			r.addCapability(c)
		}
	case within("subjects"), within("roleRef"):
		// As encoding/json reads them: the names are texts of the value.
		r.patchBinding(last, op.texts)
	case within("rules"):
		r.patchRule(last, op.texts)
	case last == "serviceAccountName", last == "serviceAccount":
		r.account = strings.Join(op.texts, "")
	case last == "command", last == "args":
		r.reads |= command.ReadsOf(op.texts)
	case last == "type":
		for _, kind := range op.texts {
			r.addType(kind)
		}
	case last == "procMount":
		r.host.Unmasked = r.host.Unmasked || slices.Contains(op.texts, "Unmasked")
	case last == "signerName":
		for _, s := range op.texts {
			r.addSigner(s)
		}
	case !op.yes:
	case last == "hostPID":
		r.host.PIDMode = "host"
	case last == "hostIPC":
		r.host.IPCMode = "host"
	case last == "hostNetwork":
		r.host.NetworkMode = "host"
	case last == "privileged", last == "hostProcess":
		r.host.Privileged = true
	}
}
