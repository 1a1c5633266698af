// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"

	"github.com/containerapi/containerapi/e2e/scenario"
)

// act is a scenario as the demo shows it. What it must raise is the scenario's.
type act struct {
	scenario.Scenario
	// title says what is done, in a few words.
	title string
	// show is what to show in place of the script; empty to show the script as a
	// command line.
	show string
	// benign says that it is no attack, and is shown to raise nothing at all.
	benign bool
}

// road is how an act gets to the plugin. Each has a table of its own in the
// report.
type road string

const (
	docker             road = "docker"
	kubernetes         road = "kubernetes"
	recordedKubernetes road = "recorded kubernetes"
)

func (a act) road() road {
	switch {
	case a.API == scenario.Docker:
		return docker
	case a.Recording != "":
		return recordedKubernetes
	}
	return kubernetes
}

// acts are the scenarios that the demo shows, in this order.
var acts = []struct{ name, title, show string }{
	{"read the environment of every container", "Read the environment of all containers", ""},
	{"read the logs of a container", "Read a container's logs", ""},
	{"read the environment of a container with curl", "Read an environment with curl, without docker",
		"$ curl --unix-socket docker.sock http://docker/containers/victim/json"},
	{"read the environment of a container with a renamed docker", "With docker under another name",
		"$ cp $(command -v docker) systemd-helper; ./systemd-helper inspect victim"},
	{"read the environment of another container from a container with the socket", "From a container with the host's files",
		"$ docker exec attacker chroot /host curl --unix-socket docker.sock http://docker/containers/victim/json"},
	{"create a container with the host's root", "Create containers with the host's files",
		"$ docker create -v /usr/..:/x …; … --mount source=/proc …; … -v /root/.ssh:/x …"},
	{"reach the Docker API over TCP 2375", "Over TCP without TLS", ""},
	{"run a command in a container", "Run a command in a container", ""},
	{"run a command in a container with curl", "The same with curl, without docker",
		"$ curl --unix-socket docker.sock -d … http://docker/containers/victim/exec"},
	{"copy a file out of a container", "Copy a file out of a container", ""},
	{"export a container", "Take a container's whole file system", ""},
	{"make an image of a container", "Make an image of a container", ""},

	{"list the secrets of all namespaces with kubectl", "List all secrets of the cluster", ""},
	{"watch the secrets of all namespaces", "Watch them instead of listing them", ""},
	{"list secrets as someone else", "List secrets as someone else", ""},
	{"read a secret by its name", "Read one secret", ""},
	{"make a token of a service account", "Have a token issued", ""},
	{"read a pod's token with kubectl exec", "Read a pod's token", ""},
	{"list secrets with a pod's token and curl", "Use a stolen token, with curl",
		`$ curl -H "Authorization: Bearer $TOKEN" $SERVER/api/v1/namespaces/shop/secrets`},
	{"copy a file out of a pod", "Copy a token out of a pod", ""},
	{"read a pod's logs", "Read a pod's logs", ""},

	{"Atomic Red Team lists all secrets, recorded", "List all secrets (Atomic Red Team)",
		"$ kubectl get secrets --all-namespaces"},
	{"Atomic Red Team lists the secrets of the default namespace, recorded", "List secrets (Atomic Red Team)",
		"$ kubectl get secrets -n default"},
	{"Atomic Red Team reads the token of a pod, recorded", "Read a pod's token (Atomic Red Team)",
		"$ kubectl exec atomic-pod -- cat /run/secrets/kubernetes.io/serviceaccount/token"},
	{"Peirates lists secrets with a stolen token, recorded", "List secrets with a stolen token",
		"$ peirates (menu: list secrets)"},
	{"describe two secrets, recorded", "Describe two secrets",
		"$ kubectl describe secret -n shop db-credentials; kubectl describe secret -n ci deployer-token"},
	{"have tokens issued, recorded", "Have tokens issued",
		"$ kubectl create token -n shop web; … -n ci deployer; … -n kube-system …"},
	{"read the logs of pods, recorded", "Read the logs of pods",
		"$ kubectl logs -n shop deploy/web; kubectl logs -n payments api -f; …"},

	{"manage volumes, networks and tags", "Manage volumes and images", "docker volume create data; docker tag …; docker system df"},
	{"a health check reads a token", "Docker runs a health check", "HEALTHCHECK CMD cat /run/secrets/token"},
	{"an operator that everyone knows keeps the secrets of all namespaces", "A known operator keeps secrets", "external-secrets"},
	{"an engineer who is known works all day", "A known engineer reads secrets and logs, and runs commands",
		"kubectl get secrets; kubectl exec; kubectl logs; …"},
	{"a node reads the secret of its pod and requests its token", "A node reads the secret of its pod", "kubelet"},
	{"the controller manager lists and watches all secrets", "The controller manager lists secrets", "kube-controller-manager"},
	{"Helm installs a release, recorded", "Helm installs a release", "helm install"},
	{"Prometheus looks for its targets, recorded", "Prometheus looks for its targets", "prometheus"},
	{"a node starts and runs pods, recorded", "A node starts and runs pods", "kubelet"},
	{"a control plane starts, recorded", "A control plane starts", "kube-controller-manager"},
}

// loadActs returns the acts with their scenarios.
func loadActs() ([]act, error) {
	attacks, err := scenario.Load("attack")
	if err != nil {
		return nil, err
	}
	benign, err := scenario.Load("benign")
	if err != nil {
		return nil, err
	}
	all := make([]act, len(acts))
	for i, a := range acts {
		named := func(s scenario.Scenario) bool { return s.Name == a.name }
		all[i] = act{title: a.title, show: a.show}
		if n := slices.IndexFunc(attacks, named); n >= 0 {
			all[i].Scenario = attacks[n]
		} else if n := slices.IndexFunc(benign, named); n >= 0 {
			all[i].Scenario, all[i].benign = benign[n], true
		} else {
			return nil, fmt.Errorf("there is no scenario %q", a.name)
		}
	}
	return all, nil
}

// on returns the act as it is to be done where requests to Docker are seen, or
// only its events. It returns false where nothing would be seen of it.
func (a act) on(tapped bool) (act, bool) {
	if tapped || a.road() != docker || a.benign {
		return a, true
	}
	a.Expect = a.Untapped
	return a, len(a.Expect) > 0
}
