// SPDX-License-Identifier: Apache-2.0

// Package operation gives a request its meaning: what it does, in one name
// that is the same for every client and every way to write the request, and
// what kind of credential its answer can give away.
//
// Three tables hold the facts: Docker's routes, Docker's events, and
// Kubernetes' resources and verbs. All functions are pure, are safe for
// concurrent use, and do not allocate, except for the Docker paths that no
// benign client sends: percent-encoded, absolute, or not clean.
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

// Other is every request and event that the tables do not name.
var Other = Operation{Name: "other"}
