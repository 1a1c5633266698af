// SPDX-License-Identifier: Apache-2.0

// Package event holds the events this plugin produces: what was read from
// Kubernetes' audit trail or from Docker, cleaned of everything that could be
// a credential, with what it means.
//
// An [Event] is decoded by a [Decoder] and written as one JSON object by
// [Event.AppendJSON]. The Decoder also reads that object back, so that an
// event found in a capture file means the same as a live one.
package event

import (
	"strings"
	"time"

	"github.com/containerapi/containerapi/plugin/command"
	"github.com/containerapi/containerapi/plugin/manifest"
)

// Input is the kind of input that an event comes from.
type Input uint8

// The kinds of input, in JSON the value of the key "input".
const (
	Unknown Input = iota
	KubernetesAudit
	DockerAPI
	DockerEvent
)

var inputNames = [...]string{
	Unknown:         "unknown",
	KubernetesAudit: "k8s_audit",
	DockerAPI:       "docker_api",
	DockerEvent:     "docker_event",
}

// String returns the name of the input as it stands in an event.
func (i Input) String() string { return inputNames[i] }

// Outcome says whether an act succeeded.
type Outcome string

// The outcomes of an act.
const (
	// Pending is the outcome of a request of which another event will tell how
	// it was answered.
	Pending Outcome = ""
	// Allowed is an act that was carried out.
	Allowed Outcome = "allowed"
	// Denied is an act that the API refused for want of permission.
	Denied Outcome = "denied"
	// Failed is an act that went wrong for any other reason.
	Failed Outcome = "failed"
	// Unanswered is a request that was sent and is not answered in time, so
	// that nothing is known of its success.
	Unanswered Outcome = "unanswered"
)

// Event is one event with its meaning.
//
// Its strings may point into the memory of the Decoder that made it: they are
// valid until that Decoder decodes again. Whoever keeps an Event for longer
// keeps a copy of its strings.
type Event struct {
	// Input says which of Kube and Docker is filled.
	Input Input
	// Time is when the act took place, in nanoseconds since the Unix epoch,
	// or 0 if the event does not say.
	Time int64
	// Shortened reports that the event was above the size limit and carries
	// its essential parts only.
	Shortened bool

	// Operation is what was done, such as "secret.list"; Credential what kind
	// of credential that can leak. See package operation.
	Operation, Credential string
	// Outcome is whether it was done.
	Outcome Outcome
	// CommandReads is what the command of an exec, or of a container of Docker that is
	// created, reads, as far as its words tell.
	CommandReads command.Reads
	// Repeated reports that an earlier event reported the same act.
	Repeated bool
	// Replayed reports that this plugin made the event before, so that what
	// earlier events say about it is in it already.
	Replayed bool
	// Seen is what earlier events say about this one; its zero value means
	// that nothing is known.
	Seen History

	Kubernetes Kubernetes
	Docker     Docker
}

// History tells how an act compares with what the same identity did before.
type History struct {
	// Known reports that the counts below are kept for this event.
	Known bool
	// First reports that the identity did not do this operation in this
	// namespace before, as far back as the plugin remembers. Where this act is
	// done, those that were denied or failed do not count.
	First bool
	// Count is how many acts of this operation the identity did within the
	// last minute, in any namespace, this one included. Those that were denied
	// are counted apart from all others.
	Count uint64
	// Objects is how many different objects those acts named. A list or a
	// watch names one: all of a namespace, or all there are.
	Objects uint64
	// Repeats is how many of those acts named the object of this one, this one
	// included.
	Repeats uint64
	// Sources is from how many different addresses the credential of this
	// request was used within the last hour, 0 if it names none.
	Sources uint64
	// Deployed reports that the identity wrote a release of Helm in this namespace
	// before, which this request is about as well.
	Deployed bool
	// Age is for how many seconds acts have been remembered.
	Age uint64
	// New is what of the act is new for the identity; Deviations is what of that does
	// not fit an identity that is known.
	New, Deviations News
	// Due reports that the act is to be told of: the identity did this operation in this
	// namespace for the first time, or for the first time since a day.
	Due bool
	// ReadsSecrets reports that the identity, a service account, got at secrets beyond its
	// own namespace before; Introduced that it did that, or made what a deployment
	// makes.
	ReadsSecrets, Introduced bool
	// KnownFor is for how many seconds the identity has been known, Days on how many
	// days it acted, this one included. Days is 0 where no profile is kept.
	KnownFor, Days uint64
}

// User is an identity known to a Kubernetes API server.
type User struct {
	Name, UID string
	Groups    []string
}

// Kubernetes is a Kubernetes audit event without its objects. Names follow
// https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/.
type Kubernetes struct {
	AuditID, Level, Stage string
	// Received and Staged are requestReceivedTimestamp and stageTimestamp in
	// RFC 3339.
	Received, Staged string
	// RequestURI is the path and query, its exec command masked by
	// command.Mask.
	RequestURI string
	// Command is the command of an exec, its words joined by a space, masked.
	Command string
	Verb    string
	User    User
	// Impersonated is who the request was to be done as; ImpersonationDenied
	// reports that the user was not allowed to.
	Impersonated        User
	ImpersonationDenied bool
	// SourceIPs begins with what the client claimed in X-Forwarded-For and
	// ends with the peer that connected.
	SourceIPs []string
	UserAgent string

	Resource, Subresource, Namespace, Name, APIGroup, APIVersion string

	// Differs reports that the path names another object than those members do.
	Differs bool
	// Status is "Success" or "Failure" where the answer was a Status object, and
	// not what was asked for: most deletions are answered with one.
	Status string
	// Code is the HTTP status of the response, 0 if it is not known; Reason is
	// the API server's own word for it, such as "Forbidden". An answer that the
	// API server passes on, such as a kubelet's, has no reason.
	Code   uint64
	Reason string
	// Decision and DecisionReason are the authorizer's annotations.
	Decision, DecisionReason string
	// CredentialID names the credential that the request was made with,
	// IssuedCredentialID the one that it created.
	CredentialID, IssuedCredentialID string
	// TokenPod, TokenPodUID and TokenNode are what the request's token is
	// bound to.
	TokenPod, TokenPodUID, TokenNode string

	// Given is what the object of the request gives, where the audit policy records
	// the object, and nothing else of it is kept.
	Given manifest.Given
}

// Docker is what happened in a Docker Engine, or what a client asked of it.
type Docker struct {
	// Daemon is the endpoint of the engine, such as
	// "unix:///var/run/docker.sock".
	Daemon string
	// Insecure reports that the client came over TCP without TLS.
	Insecure bool
	// Client is the process behind a request, or behind the request that
	// caused an event.
	Client Client
	// Request is what the client asked. An event has only Create… and Unread of it.
	Request Request
	// Type and Action are those of a Docker event, the command of an exec cut
	// from the action: "container" and "exec_create".
	Type, Action string
	// Command is the command of an exec, or of a container that is created, masked.
	Command string
	// HealthCheck reports that the command is the health check that the
	// container was configured with.
	HealthCheck bool
	// ActorID is the id of the object acted on, ActorName its name.
	ActorID, ActorName string
	// ExecID is the id of an exec; ExitCode the exit code of what ended.
	ExecID, ExitCode string
	Container        Container
}

// Request is a request to the API of a Docker Engine.
type Request struct {
	Method string
	// Path is the path without the API's version, Query the parameters of the
	// query that name things.
	Path, Query string
	// Version is the version of the API that the client asked for, "1.41", or
	// "" for the engine's own.
	Version   string
	UserAgent string
	// Status is the HTTP status of the answer, 0 if it has not come yet.
	Status uint64
	// First reports that it is the first request within a day of its client:
	// of a program that a user runs in one container from one parent process, or
	// of an address, at one of the engine's sockets.
	First bool
	// Unreadable is why the request could not be read, or "".
	Unreadable string
	// Unread reports that parts of the body could not be read, so that what the
	// request asks for is not known in full; of an event, that the engine did not say
	// what it made.
	Unread bool
	// Waiting reports that the body is still to come: another event will say
	// what the request asks for.
	Waiting bool
	// ArchivePath is the path inside the container that files are copied from
	// or to.
	ArchivePath string
	// AttachOwn reports that who attached to a container started it then.
	AttachOwn bool
	// ExecPrivileged reports that an exec gets all privileges.
	ExecPrivileged bool
	// CreateImage, CreatePrivileged and CreateMounts are what a container is
	// to be created with, or of an event what it was created with; a mount is
	// "source:target", and of a volume "source:volume". CreateExposes is what of
	// the host and of other containers that shows, in the words of package hostaccess.
	CreateImage string
	// CreateImageID and CreateImageVerified are of that image, as in [Image].
	CreateImageID       string
	CreateImageVerified bool
	CreatePrivileged    bool
	CreateMounts        []string
	CreateExposes       []string
}

// Client is a process that spoke to a Docker Engine, as it was when it
// connected.
type Client struct {
	// PID and PPID are the ids of the process and of its parent, 0 if they
	// are not known.
	PID, PPID uint64
	// Name and ParentName are the short names that the kernel keeps.
	Name, ParentName string
	// ExePath is the path of the executable, in the client's own mount
	// namespace. Cmdline is its command line, masked.
	ExePath, Cmdline string
	// UID is the user id in the host's user namespace, LoginUID the one that
	// the user logged in with, -1 if there is none. Both mean nothing without
	// PID.
	UID, LoginUID int64
	// InContainer reports that the process is in a container, Container which
	// one if that is known.
	InContainer bool
	Container   Container
	// Image is the container's.
	Image Image
	// Verified reports that it is the host's file at ExePath that runs, or that
	// the process is in Container; UnverifiedReason why that is not certain, in
	// the words of package identity.
	Verified         bool
	UnverifiedReason string
	// Addr is the remote address of a client on TCP.
	Addr string
}

// Container names a container.
type Container struct {
	// Image is what the image was called when the container was created.
	ID, Name, Image string
}

// Image is what an image is, whatever it is called.
type Image struct {
	// ID is the engine's, Digest the one that the image's registry knows it by,
	// "sha256:…" both.
	ID, Digest string
	// Verified reports that the engine has the image from the repository that it
	// is called after, and that nobody just gave it the name.
	Verified bool
}

// Running is a container that runs, as its engine knows it.
type Running struct {
	Container
	Image Image
	// PID is that of its first process, 0 if it does not run; Since is when it
	// was started last.
	PID   int
	Since time.Time
	// MountNamespace is the inode of its mount namespace, 0 if that cannot be
	// seen.
	MountNamespace uint32
	// Ended reports that this is how it was when it started: it has just ended, and
	// the number of its namespace can be another's.
	Ended bool
}

// Reset empties the event and keeps the memory of its lists.
func (e *Event) Reset() {
	user, impersonated, ips := e.Kubernetes.User.Groups[:0], e.Kubernetes.Impersonated.Groups[:0], e.Kubernetes.SourceIPs[:0]
	given, grants := e.Kubernetes.Given.Exposes[:0], e.Kubernetes.Given.Grants[:0]
	mounts, exposes := e.Docker.Request.CreateMounts[:0], e.Docker.Request.CreateExposes[:0]
	*e = Event{}
	e.Docker.Request.CreateMounts, e.Docker.Request.CreateExposes = mounts, exposes
	e.Kubernetes.Given.Exposes, e.Kubernetes.Given.Grants = given, grants
	e.Kubernetes.User.Groups, e.Kubernetes.Impersonated.Groups, e.Kubernetes.SourceIPs = user, impersonated, ips
}

// Peer returns the address of the peer that connected to the API server, or
// "" if it is not known.
func (k *Kubernetes) Peer() string {
	if len(k.SourceIPs) == 0 {
		return ""
	}
	return k.SourceIPs[len(k.SourceIPs)-1]
}

// StatusOnly reports that the answer says that all went well, and carries no object.
func (k *Kubernetes) StatusOnly() bool { return k.Status == "Success" }

// Missing reports that the API server itself found nothing of what was asked for:
// the answer names it, and holds nothing else. A backend that answers 404 can say
// anything: a kubelet, what is behind a proxy, an aggregated API server.
func (k *Kubernetes) Missing() bool {
	switch {
	case k.Decision == "forbid":
		return false
	case k.Reason == "NotFound":
		return true
	case k.Code != 404 || k.Reason != "":
		return false
	}
	// A path that the API server has nothing at is answered without a reason.
	switch k.Subresource {
	case "attach", "exec", "log", "portforward", "proxy":
		return false
	}
	return k.Resource != "" && (!strings.Contains(k.APIGroup, ".") || strings.HasSuffix(k.APIGroup, ".k8s.io"))
}

// Refused reports that the request was turned away for want of permission or of a
// valid credential, before it got to what it asks for. A 403 of an admission or of a
// backend comes after it was allowed.
func (k *Kubernetes) Refused() bool {
	switch k.Decision {
	case "allow":
		return false
	case "forbid":
		return true
	}
	return k.Code == 401 || k.Code == 403 || k.Reason == "Unauthorized" || k.Reason == "Forbidden"
}

// nanoseconds returns the time that an RFC 3339 string names, or 0.
func nanoseconds(s string) int64 {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return 0
	}
	return t.UnixNano()
}
