// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/containerapi/containerapi/e2e/build"
)

// Version is the release of Kubernetes that runs, the one in binaries/go.mod.
const Version = "1.34.2"

// helmVersion is the release of Helm that runs.
const helmVersion = "3.22.0"

// programs are the programs of Kubernetes and Helm.
var programs = build.Programs{
	Name: "kubernetes-" + Version,
	Modules: []build.Module{
		{
			Directory: "kube/binaries",
			Packages: []string{
				"k8s.io/kubernetes/cmd/kube-apiserver",
				"k8s.io/kubernetes/cmd/kubectl",
				"k8s.io/kubernetes/cmd/kube-controller-manager",
				"k8s.io/kubernetes/cmd/kube-scheduler",
				"k8s.io/kubernetes/cmd/kubelet",
			},
			LinkerFlags: versionFlags(Version),
		},
		{
			Packages: []string{"helm.sh/helm/v3/cmd/helm"},
			Version:  helmVersion,
		},
	},
}

// versionFlags returns the flags of the linker that give the programs a version,
// as their own build does.
func versionFlags(version string) string {
	parts := strings.SplitN(version, ".", 3)
	const pkg = "-X k8s.io/component-base/version."
	return fmt.Sprintf("%[1]sgitVersion=v%[2]s %[1]sgitMajor=%[3]s %[1]sgitMinor=%[4]s", pkg, version, parts[0], parts[1])
}

// Directory returns the directory of the programs that [Build] builds, for a PATH.
func Directory() (string, error) { return programs.Directory() }

// Build builds the programs of Kubernetes and Helm from their Go modules, which
// takes some seven minutes on two cores, and keeps them in the user's cache
// directory. It returns at once if they are there. It writes what the go command
// prints to log.
func Build(ctx context.Context, log io.Writer) error { return programs.Build(ctx, log) }
