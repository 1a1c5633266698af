// SPDX-License-Identifier: Apache-2.0

package field

import (
	"cmp"
	"math/bits"
	"net/netip"

	"github.com/containerapi/containerapi/plugin/docker"
	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/kubernetes"
	"github.com/containerapi/containerapi/plugin/meaning"
	"github.com/containerapi/containerapi/plugin/operation"
)

// common are the fields that mean the same for both APIs.
var common = []Field{
	{"api.input", "The input that the event comes from: `k8s_audit`, `docker_event` or `docker_api`.",
		text(func(e *event.Event) string { return e.Input.String() })},
	{"api.act", "True for the one event of each act that a rule should judge; false for the announcement of a request (stage `RequestReceived`, or a request to Docker whose body is still to come) and for later stages of an act that an earlier event reported.",
		flag(func(e *event.Event) (bool, bool) { return meaning.IsAct(e), true })},
	{"api.operation", "What was done, such as `secret.list`, `pod.exec` or `container.export`; `other` where it has nothing to do with credentials.",
		text(func(e *event.Event) string { return e.Operation })},
	{"api.credential", "The kind of credential that the operation can leak: `secret`, `configmap`, `token`, `environment`, `logs` or `filesystem`. No value where it can leak none.",
		text(func(e *event.Event) string { return e.Credential })},
	{"api.outcome", "Whether it was done: `allowed`, `denied` (for want of permission), `failed`, or `unanswered` if nothing is known of it, as of a request to Kubernetes whose client holds the answer open for 30 seconds (events of the source `k8s_audit` are never `unanswered`). A request to Kubernetes is `allowed` if it was authorized, whatever was answered then: an error can carry what it failed on. It is `failed` if it did not get so far. No value for the announcement of a request.",
		text(func(e *event.Event) string { return string(e.Outcome) })},
	{"api.object", "What was acted on: `namespace/name`, `namespace/*` for all of a namespace, `*` for all there are, a path for what is no resource; the name of a container, image or volume in Docker.",
		joined(func(e *event.Event) (string, string, string) {
			if e.Input == event.KubernetesAudit {
				return kubernetes.Object(&e.Kubernetes)
			}
			return "", "", cmp.Or(e.Docker.Container.Name, e.Docker.ActorName, e.Docker.ActorID)
		})},
	{"api.command", "The command of an exec, or of a container of Docker that is created, as far as the request names it and not the image; its words joined by a space. What may be a secret in it is shown as `***`; with the setting `commands: names` only programs and files are shown.",
		text(func(e *event.Event) string {
			if e.Input == event.KubernetesAudit {
				return e.Kubernetes.Command
			}
			return e.Docker.Command
		})},
	{"api.reads", "What the command of an exec, or those of a container, pod or workload that is created or changed, read that is or holds a credential, as far as their words tell; of pods only where the audit policy records requests at level `Request`: `token` (a service account's, or another that a cloud's metadata service or command line gives out), `credential` (a file made to keep credentials, a disk, the socket of a container runtime, the port of a kubelet or of etcd, or a program that prints them), `environment` (`env`, `/proc/1/environ`). `opaque` is what cannot be judged: a shell or interpreter that reads what a program sends, code of another language, words that are made when it runs, a program in a directory that anyone can write, what is too long or too deep. A shell at a terminal is none. A hint: a command hides easily what it reads.",
		texts(func(e *event.Event) []string { return (e.CommandReads | e.Kubernetes.Given.Reads).Names() })},
	{"api.shortened", "True if the event was above the size limit and carries its essential parts only.",
		flag(func(e *event.Event) (bool, bool) { return e.Shortened, true })},
	{"api.seen.first", "True if this identity did not do this operation in this namespace before, as far back as the plugin remembers (see `api.seen.age`); an exec with another command is another act, but for a client of Docker in a container. Attempts that were denied or failed do not count where this one succeeds. An identity is a Kubernetes user (and who it acts as, if it may; an address if it is not authenticated) or a Docker client's executable, user id, container and address. Not for the operations `other` and `unreadable`.",
		flag(func(e *event.Event) (bool, bool) { return e.Seen.First, e.Seen.Known })},
	{"api.seen.age", "For how many seconds of event time the plugin has seen acts since Falco started. Where this is small and what was learned does not last (setting `state`), `api.seen.first` means little.",
		number(func(e *event.Event) (uint64, bool) { return e.Seen.Age, e.Seen.Known })},
	{"api.seen.count", "How many acts of this operation the identity did within the last minute, in any namespace, this one included; counts up to 64. A look at a container that the same process then runs a command in, attaches to, copies from or reads the logs of is not counted: that act has a rule of its own. Acts that were denied are counted apart from all others.",
		number(func(e *event.Event) (uint64, bool) { return e.Seen.Count, e.Seen.Known })},
	{"api.seen.objects", "How many different objects those acts named; counts up to 64. A list or watch of a namespace, or of all, counts as one.",
		number(func(e *event.Event) (uint64, bool) { return e.Seen.Objects, e.Seen.Known })},
	{"api.seen.repeats", "How many of those acts named the same object, this one included; counts up to 64. Where it was denied to act as someone else, who that was to be is a part of the object.",
		number(func(e *event.Event) (uint64, bool) { return e.Seen.Repeats, e.Seen.Known })},
	{"api.seen.deployed", "True if this identity wrote a release of Helm in this namespace before, as far back as the plugin remembers, and this request is about releases there.",
		flag(func(e *event.Event) (bool, bool) { return e.Seen.Deployed, e.Seen.Known })},
	{"api.seen.due", "True if such an act is to be told of: the identity does this operation in this namespace for the first time, or for the first time in 24 hours. A rule with it tells of software that does the same all day once a day. Of a program that uses Docker also up to four further processes on its first day, for each operation, and any that gets at a container for the first time. An identity is a Kubernetes user (and who it acts as, if it may) or a Docker client's executable (or the image of its container) and user id. Forgotten without a state that lasts (setting `state`) at the end of Falco, and where there are more identities than are kept.",
		flag(func(e *event.Event) (bool, bool) { return e.Seen.Due, e.Seen.Due || e.Seen.Days != 0 })},
	{"api.seen.new", "What of the act is new for its identity, as far back as the plugin remembers: `identity` (nothing was known of it), `operation`, `scope` (this operation in this namespace, or in all), `object` (what can hold a credential), `client` (the program that the User-Agent names), `address` (for what has one address, such as a pod: that; else the network, of 16 bits for IPv4 and 48 for IPv6), `credential` (its kind, or the workload whose pod it is bound to). All that is new of a new identity is `identity`.",
		texts(func(e *event.Event) []string { return e.Seen.New.Names() })},
	{"api.seen.deviations", "What of that does not fit an identity that is known, as far as this says that somebody else may have its credential. `address`: a token or certificate that belongs to one pod or node is used from elsewhere; software comes from another network; a person comes with another client from another network. `client`: software calls itself otherwise. `credential`: a service account that had tokens of pods of few workloads has another. `operation`, `scope`, `object`: software gets at credentials in a new way, in more namespaces, or a service account at another secret of its own namespace. What is not certain counts only when the identity is known for as long as the setting `learnFor` says.",
		texts(func(e *event.Event) []string { return e.Seen.Deviations.Names() })},
	{"api.seen.deviation_count", "How many deviations that are.",
		number(func(e *event.Event) (uint64, bool) {
			return uint64(bits.OnesCount8(uint8(e.Seen.Deviations))), e.Seen.Deviations != 0
		})},
	{"api.seen.reads_secrets", "True if this service account read secrets beyond its own namespace before. No value for other identities, nor for who acts as another.",
		flag(func(e *event.Event) (bool, bool) { return e.Seen.ReadsSecrets, e.Seen.Days != 0 && isAccount(e) })},
	{"api.seen.introduced", "True if this service account did before what new software is told of by, in another namespace than its own: got at secrets, tokens, logs or the inside of pods, or made pods, rights, secrets or what the API server asks about requests. No value where `api.seen.reads_secrets` has none.",
		flag(func(e *event.Event) (bool, bool) { return e.Seen.Introduced, e.Seen.Days != 0 && isAccount(e) })},
	{"api.seen.known_for", "For how many seconds of event time the identity has been known: since its first act that is remembered.",
		number(func(e *event.Event) (uint64, bool) { return e.Seen.KnownFor, e.Seen.Days != 0 })},
	{"api.seen.days", "On how many days (UTC) the identity acted, this one included, as far back as is remembered.",
		number(func(e *event.Event) (uint64, bool) { return e.Seen.Days, e.Seen.Days != 0 })},
	{"api.seen.sources", "From how many different addresses the credential of this request (`kube.credential.id`) was used within the last hour, for whatever operation; counts up to 16. No value where the request names no credential.",
		number(func(e *event.Event) (uint64, bool) { return e.Seen.Sources, e.Seen.Sources != 0 })},
}

func isAccount(e *event.Event) bool {
	_, account := kubernetes.ServiceAccount(&e.Kubernetes)
	return account != "" && e.Kubernetes.Impersonated.Name == ""
}

// kube are the fields of Kubernetes audit events.
var kube = []Field{
	{"kube.auditid", "The audit id of the request. Clients may choose it: it does not prove that two events belong together.",
		text(func(e *event.Event) string { return e.Kubernetes.AuditID })},
	{"kube.stage", "The stage of the request that the event is about: `RequestReceived`, `ResponseStarted`, `ResponseComplete` or `Panic`.",
		text(func(e *event.Event) string { return e.Kubernetes.Stage })},
	{"kube.level", "The audit level that the event was recorded at.",
		text(func(e *event.Event) string { return e.Kubernetes.Level })},
	{"kube.verb", "The verb of the request: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`. Exec, attach and port-forward are `get` over WebSocket and `create` over SPDY.",
		text(func(e *event.Event) string { return e.Kubernetes.Verb })},
	{"kube.uri", "The path and query of the request. Values are shown of the parameters that choose what is answered, such as `limit`, `labelSelector` or `container`, and of an exec's command; of others the name only. What may be a secret is shown as `***`.",
		text(func(e *event.Event) string { return e.Kubernetes.RequestURI })},
	{"kube.path", "The path of the request, without its query, decoded as the API server does.",
		text(func(e *event.Event) string { return kubernetes.ShownPath(&e.Kubernetes) })},
	{"kube.user.name", "The user that made the request, empty if the request was not authenticated.",
		text(func(e *event.Event) string { return e.Kubernetes.User.Name })},
	{"kube.user.uid", "The unique id of that user.",
		text(func(e *event.Event) string { return e.Kubernetes.User.UID })},
	{"kube.user.groups", "The groups of that user.",
		texts(func(e *event.Event) []string { return e.Kubernetes.User.Groups })},
	{"kube.user.kind", "Of what kind that user is, by name, groups and credential together: `serviceaccount` (a workload), `node` (a kubelet), `control_plane` (another part of Kubernetes or of its distribution, see docs/distributions.md), `bootstrap` (a machine that is to become a node), `certificate` (anyone else with a client certificate), `person` (anyone else: a login, a cloud's account, a certificate where the event does not say so), `anonymous` (no valid credential). Who only has the name of another kind is `certificate` or `person`.",
		text(func(e *event.Event) string { return kubernetes.Kind(&e.Kubernetes) })},
	{"kube.user.contradictions", "What does not fit together in that user, and no API server finds by an honest credential. A service account's name that is no account's (`account_name`), by a client certificate (`account_by_certificate`), without its groups or with others of Kubernetes (`account_groups`), and its groups on another name (`group_of_accounts`); the account of a controller of the control plane in a pod (`controller_in_pod`); a node's name without the group of nodes (`node_groups`) and that group on another name (`group_of_nodes`); a bootstrap token's name by another credential or without its group (`bootstrap_token`), the API server's by a token or without its group (`apiserver`), that of who has no credential with one, or its group on another name (`anonymous`). No value where all fits, or nothing is known to the contrary.",
		texts(func(e *event.Event) []string { return kubernetes.Contradictions(&e.Kubernetes).Names() })},
	{"kube.serviceaccount.namespace", "The namespace of the service account that made the request. No value for other users, also for who only has the name of one, by a certificate.",
		text(func(e *event.Event) string {
			namespace, _ := kubernetes.ServiceAccount(&e.Kubernetes)
			return namespace
		})},
	{"kube.serviceaccount.name", "The name of the service account that made the request. No value for other users, also for who only has the name of one, by a certificate.",
		text(func(e *event.Event) string { _, name := kubernetes.ServiceAccount(&e.Kubernetes); return name })},
	{"kube.own_namespace", "True if a service account acts in its own namespace, false if it acts in another or in all. No value for other users.",
		flag(func(e *event.Event) (bool, bool) {
			namespace, _ := kubernetes.ServiceAccount(&e.Kubernetes)
			return namespace == e.Kubernetes.Namespace, namespace != ""
		})},
	{"kube.component.name", "The part of Kubernetes or of its distribution that made the request, such as `kubelet` or `k3s supervisor`, where user, groups, credential and address are those of that part: see docs/distributions.md. No value for all others, also for who only has its name.",
		text(func(e *event.Event) string {
			if c := kubernetes.ComponentOf(&e.Kubernetes); c != nil {
				return c.Name()
			}
			return ""
		})},
	{"kube.component.expected", "True if that part does such a thing as its work, false if it does not. No value where there is no such part.",
		flag(func(e *event.Event) (bool, bool) {
			c := kubernetes.ComponentOf(&e.Kubernetes)
			return c != nil && c.Does(e.Operation, &e.Kubernetes), c != nil
		})},
	{"kube.impersonated.user", "Who the user acted as, or tried to.",
		text(func(e *event.Event) string { return e.Kubernetes.Impersonated.Name })},
	{"kube.impersonated.groups", "The groups that the user acted with in place of its own.",
		texts(func(e *event.Event) []string { return e.Kubernetes.Impersonated.Groups })},
	{"kube.impersonated.denied", "True if the user may not act as that user.",
		flag(func(e *event.Event) (bool, bool) {
			return e.Kubernetes.ImpersonationDenied, e.Kubernetes.Impersonated.Name != ""
		})},
	{"kube.sourceip", "The address that connected to the API server. It may be a proxy's, but the client cannot choose it.",
		addr(func(e *event.Event) netip.Addr { return address(e.Kubernetes.Peer()) })},
	{"kube.sourceips", "All source addresses: what the client claims in X-Forwarded-For, then the address that connected.",
		texts(func(e *event.Event) []string { return e.Kubernetes.SourceIPs })},
	{"kube.client_kind", "What kind of client that name is of: `tool` for what people and scripts use, such as kubectl, curl or no name, `library` for a program that has only the name of what it is built on, `named` for all others, as software that runs by itself mostly is. A claim, no proof.",
		text(func(e *event.Event) string {
			if e.Input != event.KubernetesAudit {
				return ""
			}
			return kubernetes.ClientKind(kubernetes.Client(e.Kubernetes.UserAgent))
		})},
	{"kube.useragent", "The User-Agent, which is whatever the client likes.",
		text(func(e *event.Event) string { return e.Kubernetes.UserAgent })},
	{"kube.client", "The program that the User-Agent names: `kubectl`, `helm`, `curl`, a binary that uses client-go. A claim, no proof.",
		text(func(e *event.Event) string { return kubernetes.Client(e.Kubernetes.UserAgent) })},
	{"kube.target.resource", "The resource that the request is about, such as `secrets`.",
		text(func(e *event.Event) string { return e.Kubernetes.Resource })},
	{"kube.target.subresource", "The subresource, such as `exec`.",
		text(func(e *event.Event) string { return e.Kubernetes.Subresource })},
	{"kube.target.namespace", "The namespace of the object.",
		text(func(e *event.Event) string { return e.Kubernetes.Namespace })},
	{"kube.target.name", "The name of the object. No value for lists, and for creations that were denied.",
		text(func(e *event.Event) string { return e.Kubernetes.Name })},
	{"kube.target.differs", "True if the path names another object than the event says the request is about. No API server writes that: something between changed the event, or made it up. It is judged by what can leak more.",
		flag(func(e *event.Event) (bool, bool) { return e.Kubernetes.Differs, e.Kubernetes.Resource != "" })},
	{"kube.target.missing", "True if the API server itself found nothing of what was asked for, so that the answer holds nothing. The 404 of what it passes a request on to, such as a kubelet, says no such thing.",
		flag(func(e *event.Event) (bool, bool) { return e.Kubernetes.Missing(), e.Kubernetes.Resource != "" })},
	{"kube.target.group", "The API group of the resource. No value for the core group.",
		text(func(e *event.Event) string { return e.Kubernetes.APIGroup })},
	{"kube.all_namespaces", "True if the request lists, watches or deletes a namespaced resource of all namespaces at once. A custom resource counts as namespaced.",
		flag(func(e *event.Event) (bool, bool) {
			return kubernetes.AllNamespaces(&e.Kubernetes), e.Kubernetes.Resource != ""
		})},
	{"kube.label_selector", "The label selector of a list or watch, which the API server enforces.",
		text(func(e *event.Event) string { return kubernetes.Query(e.Kubernetes.RequestURI, "labelSelector") })},
	{"kube.field_selector", "The field selector of a list or watch, which the API server enforces.",
		text(func(e *event.Event) string { return kubernetes.Query(e.Kubernetes.RequestURI, "fieldSelector") })},
	{"kube.helm.release", "The release of Helm whose secrets or configmaps the request is for, and for nothing else, by their name or by the label selector that the API server enforces; `*` for all releases of a namespace, or of all. No value for other requests.",
		text(func(e *event.Event) string { return kubernetes.HelmRelease(&e.Kubernetes) })},
	{"kube.exec.command", "The command of a `kubectl exec`, its words joined by a space; `kubectl cp` is an exec of `tar`. What may be a secret in it is shown as `***`; with the setting `commands: names` only programs and files are shown.",
		text(func(e *event.Event) string { return e.Kubernetes.Command })},
	{"kube.create.exposes", "What a pod, or what makes pods, is created or changed to show to those in it. Of the host the words of `docker.create.exposes`; of credentials `secret` (a volume or variables from a Secret), `token` (a projected token of its account), `account` (it runs as another service account than `default`). Only where the audit policy records requests at level `Request`, and of a change what the request says.",
		texts(func(e *event.Event) []string { return e.Kubernetes.Given.Exposes })},
	{"kube.create.serviceaccount", "The service account that such a pod runs as, where it names one.",
		text(func(e *event.Event) string { return e.Kubernetes.Given.Account })},
	{"kube.create.grants", "What is given by a role, a binding, a certificate request, a secret or an admission configuration that is created or changed. By a role the rights to `secrets` (read them), `tokens` (have them issued), `exec`, `node_proxy` (reach kubelets), `proxy`, `workloads` (make pods), `escalate`, `impersonate`, `certificates` (approve or sign), `admission`, or `everything`; by a binding to a role of Kubernetes itself `everything` (`cluster-admin`), `admin`, `edit`, `view`, `system_role`, and `to_anonymous`, `to_everyone`, `to_masters` for whom it is. By a certificate request `client_certificate`, `node_certificate`, `serving_certificate`, `other_certificate`; by a secret `service_account_token`, `bootstrap_token`; by admission `sees_secrets`, `secret_parameter`; by a CSI driver `pod_tokens`. Only where the audit policy records requests at level `Request`.",
		texts(func(e *event.Event) []string { return e.Kubernetes.Given.Grants })},
	{"kube.create.unread", "True if parts of such an object could not be read, so that what it gives is not known in full; no value where the event has no object.",
		flag(func(e *event.Event) (bool, bool) { return e.Kubernetes.Given.Unread, e.Kubernetes.Given.Unread })},
	{"kube.review.user", "Whose rights an access review asks for. A kubelet asks so for each client of its own port.",
		text(func(e *event.Event) string { return e.Kubernetes.Given.ReviewUser })},
	{"kube.review.resource", "For which resource it asks, such as `nodes/proxy`.",
		text(func(e *event.Event) string { return e.Kubernetes.Given.ReviewResource })},
	{"kube.proxy.port", "The port, by number or name, that a request reaches through the proxy of a pod or service. No value for the only one.",
		text(func(e *event.Event) string { return proxied(e).Port })},
	{"kube.proxy.service", "What is known to listen there, by its port, its name or what is asked for: `vault`, `etcd`, `kubelet`, `docker`, `apiserver`, `dashboard`, `consul`, `secret_store`, `metadata` (of a cloud), `debug` (what a program shows of itself).",
		text(func(e *event.Event) string { return proxied(e).Service })},
	{"kube.response.code", "The HTTP status of the response. No value where the event does not say, as those of GKE.",
		number(func(e *event.Event) (uint64, bool) { return e.Kubernetes.Code, e.Kubernetes.Code != 0 })},
	{"kube.response.reason", "The API server's own word for a failure, such as `Forbidden` or `NotFound`. No value for a failure of what it passes a request on to, such as a kubelet.",
		text(func(e *event.Event) string { return e.Kubernetes.Reason })},
	{"kube.auth.decision", "What the authorizer decided: `allow` or `forbid`.",
		text(func(e *event.Event) string { return e.Kubernetes.Decision })},
	{"kube.auth.reason", "Why, such as the RBAC binding that allowed it.",
		text(func(e *event.Event) string { return e.Kubernetes.DecisionReason })},
	{"kube.credential.id", "The credential that the request was made with: `JTI=…` for a service account token, `X509SHA256=…` for a client certificate.",
		text(func(e *event.Event) string { return e.Kubernetes.CredentialID })},
	{"kube.credential.issued", "The credential that the request created, to be found in `kube.credential.id` when it is used.",
		text(func(e *event.Event) string { return e.Kubernetes.IssuedCredentialID })},
	{"kube.token.pod", "The pod that the request's token is bound to. A request from elsewhere uses a stolen token.",
		text(func(e *event.Event) string { return e.Kubernetes.TokenPod })},
	{"kube.token.node", "The node that the request's token is bound to.",
		text(func(e *event.Event) string { return e.Kubernetes.TokenNode })},
	{"kubectl.verb", "The kubectl subcommand that makes such a request: `get`, `logs`, `exec`, `cp`, `create token`, `describe` where the audit trail can tell. No value for other clients.",
		text(func(e *event.Event) string { return kubernetes.KubectlVerb(&e.Kubernetes) })},
	{"kubectl.resource", "The resource that the kubectl command is about, such as `secrets`. No value for other clients.",
		text(func(e *event.Event) string { return kubernetes.KubectlResource(&e.Kubernetes) })},
}

// hasClient reports whether the process behind a Docker event is known.
func hasClient(e *event.Event) bool { return e.Docker.Client.PID != 0 }

// docker are the fields of Docker's events and of requests to Docker's API.
var dockerAPI = []Field{
	{"docker.client.pid", "The id of the process that made the request, as it was when it connected. No value where no request caused the event: a health check, or a restart by the engine itself.",
		number(func(e *event.Event) (uint64, bool) { return e.Docker.Client.PID, hasClient(e) })},
	{"docker.client.ppid", "The id of that process' parent.",
		number(func(e *event.Event) (uint64, bool) { return e.Docker.Client.PPID, e.Docker.Client.PPID != 0 })},
	{"docker.client.name", "The name of that process, which it can choose.",
		text(func(e *event.Event) string { return e.Docker.Client.Name })},
	{"docker.client.pname", "The name of that process' parent.",
		text(func(e *event.Event) string { return e.Docker.Client.ParentName })},
	{"docker.client.exepath", "The path of that process' executable, as the process sees it and with no symbolic link in it. In a container it is a path in the container.",
		text(func(e *event.Event) string { return e.Docker.Client.ExePath })},
	{"docker.client.cmdline", "The command line of that process. What may be a secret in it is shown as `***`; with the setting `commands: names` only programs and files are shown.",
		text(func(e *event.Event) string { return e.Docker.Client.Cmdline })},
	{"docker.client.uid", "The user id of that process, on the host.",
		number(func(e *event.Event) (uint64, bool) {
			return uint64(e.Docker.Client.UID), hasClient(e) && e.Docker.Client.UID >= 0
		})},
	{"docker.client.loginuid", "The id of the user that logged in and started it. No value for services.",
		number(func(e *event.Event) (uint64, bool) {
			return uint64(e.Docker.Client.LoginUID), hasClient(e) && e.Docker.Client.LoginUID >= 0
		})},
	{"docker.client.in_container", "True if that process runs in a container, false if it runs on the host.",
		flag(func(e *event.Event) (bool, bool) { return e.Docker.Client.InContainer, hasClient(e) })},
	{"docker.client.container.id", "The id of the container that the process runs in. No value for a process on the host.",
		text(func(e *event.Event) string { return e.Docker.Client.Container.ID })},
	{"docker.client.container.name", "The name of that container.",
		text(func(e *event.Event) string { return e.Docker.Client.Container.Name })},
	{"docker.client.container.image.name", "The image of that container, as it was named when the container was created. Whoever may use Docker can give any image any name.",
		text(func(e *event.Event) string { return e.Docker.Client.Container.Image })},
	{"docker.client.container.image.repository", "The repository of that name, as the docker command shows it: `traefik`, `ghcr.io/example/agent`.",
		text(func(e *event.Event) string { return docker.Repository(e.Docker.Client.Container.Image) })},
	{"docker.client.container.image.tag", "The tag of that name.",
		text(func(e *event.Event) string { return docker.Tag(e.Docker.Client.Container.Image) })},
	{"docker.client.container.image.digest", "The digest, `sha256:…`, that the repository knows the image by. No value for an image that did not come from there.",
		text(func(e *event.Event) string { return e.Docker.Client.Image.Digest })},
	{"docker.client.container.image.id", "The id of the image, `sha256:…`, which changes with any part of it.",
		text(func(e *event.Event) string { return e.Docker.Client.Image.ID })},
	{"docker.client.container.image.verified", "True if the engine has the image from the repository that it is named after; false if someone gave it the name.",
		flag(func(e *event.Event) (bool, bool) {
			return e.Docker.Client.Image.Verified, e.Docker.Client.Container.ID != ""
		})},
	{"docker.client.verified", "True if the process is what it seems to be: on the host the file that the host has at `docker.client.exepath`, root's alone to change, loaded as itself, and nobody else's code or connection; in a container that the engine knows it and the process is in its namespaces. No list of programs or images counts without it.",
		flag(func(e *event.Event) (bool, bool) { return e.Docker.Client.Verified, hasClient(e) })},
	{"docker.client.unverified_reason", "Why that is not certain: `unseen` (how the connection was made), `host_hidden` (the plugin cannot see the host's files or processes), `owner` (the executable is not root's), `other_file` (not the host's file at its path), `deleted`, `writable` (the client may change it), `namespace` (mounts that a user made), `environment` (`LD_PRELOAD` and the like), `library` (it runs code of a file that is not root's), `traced`, `memory` (written by another process), `renamed` (it chose what its executable is), `relay` (`docker system dial-stdio`), `connection` (another program made it, or sent on it), `engine` (which did not answer in time), `container` (the engine does not know it, or the process is not in its namespaces).",
		text(func(e *event.Event) string { return e.Docker.Client.UnverifiedReason })},
	{"docker.client.addr", "The remote address of a client that came over TCP.",
		addr(func(e *event.Event) netip.Addr { return address(e.Docker.Client.Addr) })},
	{"docker.insecure", "True if the client came over TCP without TLS.",
		flag(func(e *event.Event) (bool, bool) { return e.Docker.Insecure, e.Input == event.DockerAPI })},
	{"docker.request.method", "The HTTP method of a request.",
		text(func(e *event.Event) string { return e.Docker.Request.Method })},
	{"docker.request.path", "The path of a request, without the version of the API.",
		text(func(e *event.Event) string { return e.Docker.Request.Path })},
	{"docker.request.query", "The parameters of a request's query that name things; others may hold secrets and are left out.",
		text(func(e *event.Event) string { return e.Docker.Request.Query })},
	{"docker.request.version", "The version of the API that the client asked for.",
		text(func(e *event.Event) string { return e.Docker.Request.Version })},
	{"docker.request.useragent", "The User-Agent, which is whatever the client likes.",
		text(func(e *event.Event) string { return e.Docker.Request.UserAgent })},
	{"docker.request.status", "The HTTP status of the answer.",
		number(func(e *event.Event) (uint64, bool) { return e.Docker.Request.Status, e.Docker.Request.Status != 0 })},
	{"docker.request.first", "True for the first request within a day of a client, which is a program run by a user, from one parent process, or an address on another host, at one of the engine's sockets. Use it for alerts on who uses the API: a program that polls would raise one for each poll.",
		flag(func(e *event.Event) (bool, bool) { return e.Docker.Request.First, e.Input == event.DockerAPI })},
	{"docker.request.unreadable", "Why a request could not be read. No value for those that could.",
		text(func(e *event.Event) string { return e.Docker.Request.Unreadable })},
	{"docker.request.unread", "True if parts of the request's body could not be read, so that what it asks for (`docker.create.*`, `docker.exec.*`, `api.command`) is not known in full; for Docker's own event of a creation, true if the engine did not say what it made.",
		flag(func(e *event.Event) (bool, bool) {
			return e.Docker.Request.Unread, e.Input == event.DockerAPI || e.Input == event.DockerEvent
		})},
	{"docker.archive.path", "The path inside the container that files are copied from or to (docker cp).",
		text(func(e *event.Event) string { return e.Docker.Request.ArchivePath })},
	{"docker.attach.own", "True if the process that attached to a container started it then, as `docker run` and `docker start --attach` do: it sees and sends nothing of others.",
		flag(func(e *event.Event) (bool, bool) {
			return e.Docker.Request.AttachOwn, e.Input == event.DockerAPI && e.Operation == operation.ContainerAttach
		})},
	{"docker.create.image.name", "The image that a container or service is created from, as the client names it, or an engine plugin's name.",
		text(func(e *event.Event) string { return e.Docker.Request.CreateImage })},
	{"docker.create.image.repository", "The repository of that name.",
		text(func(e *event.Event) string { return docker.Repository(e.Docker.Request.CreateImage) })},
	{"docker.create.image.tag", "The tag of that name.",
		text(func(e *event.Event) string { return docker.Tag(e.Docker.Request.CreateImage) })},
	{"docker.create.image.id", "The id of the image that the engine has under that name, `sha256:…`.",
		text(func(e *event.Event) string { return e.Docker.Request.CreateImageID })},
	{"docker.create.image.verified", "True if the engine has the image from the repository that it is named after; false if someone gave it the name.",
		flag(func(e *event.Event) (bool, bool) {
			return e.Docker.Request.CreateImageVerified, e.Docker.Request.CreateImage != ""
		})},
	{"docker.create.privileged", "True if a container is created with all privileges.",
		flag(func(e *event.Event) (bool, bool) {
			return e.Docker.Request.CreatePrivileged, (e.Input == event.DockerAPI || e.Input == event.DockerEvent) && e.Operation == operation.ContainerCreate
		})},
	{"docker.create.mounts", "What a container or service is created with, as `source:target`; of a volume what of the host it shows, as `source:volume`; of an engine plugin the sources.",
		texts(func(e *event.Event) []string { return e.Docker.Request.CreateMounts })},
	{"docker.create.exposes", "What of the host, and of other containers, is shown to a container, volume, service or engine plugin that is created. In a request it is what the client asks for; in Docker's own event what the engine made of it, with links and mounts followed and volumes resolved to what they mount. Of the host: `docker_socket` and `runtime_socket` (or a directory with one in it), `host_root`, `proc`, `credentials` (files and directories that keep them: `/etc`, `/root`, a home or the likes of `.ssh` in it, keys, cron and systemd, the data of Docker, kubelet and etcd), `devices` (`/dev`, disks, memory), `system_bus` (D-Bus, systemd), `privileged`, `host_pid`, `host_ipc`, `host_user`, `host_network`, `capabilities` (all, or one with which a container can be left), `unconfined` (seccomp, AppArmor, SELinux or the masks of /proc are off, or a seccomp profile lets through what it does not name). Of other containers: `container_pid`, `container_volumes`, `container_ipc`, `container_network`; `sibling` stands for them where all of those are of the same Compose project, swarm service or image.",
		texts(func(e *event.Event) []string { return e.Docker.Request.CreateExposes })},
	{"docker.daemon", "The endpoint of the Docker Engine, such as `unix:///var/run/docker.sock`.",
		text(func(e *event.Event) string { return e.Docker.Daemon })},
	{"docker.event.type", "The type of the object that a Docker event is about: `container`, `image`, `volume`, `network`, `secret`, `config` and so on.",
		text(func(e *event.Event) string { return e.Docker.Type })},
	{"docker.event.action", "What happened to it, such as `exec_create`, `archive-path` (docker cp out of a container) or `export`.",
		text(func(e *event.Event) string { return e.Docker.Action })},
	{"docker.object.id", "The id of the object.",
		text(func(e *event.Event) string { return e.Docker.ActorID })},
	{"docker.container.id", "The full id of the container that was acted on.",
		text(func(e *event.Event) string { return e.Docker.Container.ID })},
	{"docker.container.name", "The name of that container.",
		text(func(e *event.Event) string { return e.Docker.Container.Name })},
	{"docker.container.image.name", "The image of that container, as it was named when the container was created.",
		text(func(e *event.Event) string { return e.Docker.Container.Image })},
	{"docker.container.image.repository", "The repository of that name.",
		text(func(e *event.Event) string { return docker.Repository(e.Docker.Container.Image) })},
	{"docker.container.image.tag", "The tag of that name.",
		text(func(e *event.Event) string { return docker.Tag(e.Docker.Container.Image) })},
	{"docker.exec.command", "The command of a `docker exec`, its words joined by a space. What may be a secret in it is shown as `***`; with the setting `commands: names` only programs and files are shown.",
		text(func(e *event.Event) string {
			if e.Operation == operation.ContainerCreate {
				return ""
			}
			return e.Docker.Command
		})},
	{"docker.exec.id", "The id of the exec.",
		text(func(e *event.Event) string { return e.Docker.ExecID })},
	{"docker.exec.privileged", "True if the command of an exec gets all privileges. Only for requests.",
		flag(func(e *event.Event) (bool, bool) {
			return e.Docker.Request.ExecPrivileged, e.Input == event.DockerAPI && e.Operation == operation.ContainerExec
		})},
	{"docker.exec.healthcheck", "True if the command is the health check that the container was configured with, which Docker runs by itself.",
		flag(func(e *event.Event) (bool, bool) {
			return e.Docker.HealthCheck, e.Docker.Command != "" && e.Operation != operation.ContainerCreate
		})},
	{"docker.exit_code", "The exit code of a container or exec that ended.",
		text(func(e *event.Event) string { return e.Docker.ExitCode })},
}

// proxied is what a request reaches through the proxy of a pod or service.
func proxied(e *event.Event) kubernetes.Proxied {
	if e.Operation != operation.PodProxy && e.Operation != operation.ServiceProxy {
		return kubernetes.Proxied{}
	}
	return kubernetes.ProxyOf(&e.Kubernetes)
}

// address returns the IP address that a source names, or the zero Addr.
func address(s string) netip.Addr {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return a
}
