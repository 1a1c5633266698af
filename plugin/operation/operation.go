// SPDX-License-Identifier: Apache-2.0

// Package operation is the vocabulary of what requests do: one name for an
// act, the same for every client and every way to write the request, and the
// kind of credential that its answer can give away. Which request has which
// operation is in the tables of the packages docker and kubernetes.
package operation

// Credential says what kind of credential an operation can leak.
type Credential string

const (
	// None is an operation whose answer gives no credential away.
	None Credential = ""

	// Secret is an object made to hold credentials.
	Secret Credential = "secret"

	// ConfigMap is an object made to hold configuration. Credentials are kept
	// in it so often that it counts, but with much more benign traffic than
	// [Secret], so that rules must be able to tell the two apart.
	ConfigMap Credential = "configmap"

	// Token is a credential that the API itself issues.
	Token Credential = "token"

	// Environment is the definition of a workload: its environment variables
	// and command line, the options of its volumes (a CIFS password).
	Environment Credential = "environment"

	// Logs is what a workload has written to its output.
	Logs Credential = "logs"

	// Filesystem is everything inside a container or an image. It includes
	// exec and attach: a process in a container reads the files and the
	// environment of that container.
	Filesystem Credential = "filesystem"
)

// Operation is the meaning of a request.
type Operation struct {
	// Name is "<object>.<act>", for example "secret.list". It is never empty.
	Name string

	// Credential is what the operation can leak, not whether it did.
	Credential Credential
}

// The names that Go code compares. All others stand in a table only.
const (
	ContainerAttach  = "container.attach"
	ContainerCreate  = "container.create"
	ContainerExec    = "container.exec"
	ContainerInspect = "container.inspect"
	ContainerStart   = "container.start"
	DaemonInsecure   = "daemon.insecure"
	ExecStart        = "exec.start"
	KubeletAccess    = "kubelet.access"
	NodeProxy        = "node.proxy"
	PodProxy         = "pod.proxy"
	ServiceProxy     = "service.proxy"
	SubjectReview    = "subjectaccess.review"
	VolumeCreate     = "volume.create"
)

var (
	// Other is every request and event that the tables do not name.
	Other = Operation{Name: "other"}
	// Unreadable is a request of which not even the route could be read.
	Unreadable = Operation{Name: "unreadable"}
)

// Named reports whether an operation has a name of its own, and is not one of
// many that are nothing in particular.
func Named(name string) bool { return name != Other.Name && name != Unreadable.Name }

// Row is one row of a table: an operation, and what has it.
type Row struct {
	Operation
	// Of is the request or event, as its documentation writes it:
	// "GET /containers/{name}/json".
	Of string
}
