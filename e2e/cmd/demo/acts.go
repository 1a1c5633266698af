// SPDX-License-Identifier: Apache-2.0

package main

// act is something that is done through an API, and the alerts that it must
// raise. A new one is a new row below.
type act struct {
	// title says what is done, in a few words.
	title string
	// api is the API that it goes through.
	api string
	// as is the user of the cluster who does it, for live Kubernetes.
	as string
	// run is a script of sh. For recorded Kubernetes it is the name of the
	// recording, below testdata/recordings.
	run string
	// show is what to show in place of run; empty to show run as a command
	// line.
	show string
	// expect names the rule of each alert that it must raise, in whatever order
	// they arrive, from the one to show first. Benign work expects none.
	expect []string
	// untapped is the same for where Docker's events are all that is seen. An
	// attack that leaves no event has none, and is left out there.
	untapped []string
	// tcp says that it goes to the port of the Docker API without TLS.
	tcp bool
}

// on returns the act as it is to be done on a machine: where requests to Docker
// are seen or only its events, and where the Docker Engine listens on its port
// or another program has that. It returns false where nothing comes of it.
func (a act) on(tapped, port bool) (act, bool) {
	if a.api != docker || len(a.expect) == 0 {
		return a, true
	}
	if !tapped {
		a.expect = a.untapped
	}
	return a, len(a.expect) > 0 && (port || !a.tcp)
}

// The APIs of acts.
const (
	docker             = "docker"
	kubernetes         = "kubernetes"
	recordedKubernetes = "recorded kubernetes"
)

const (
	listedAll  = "Kubernetes Secrets Listed Across All Namespaces"
	listed     = "Kubernetes Secrets Listed"
	read       = "Kubernetes Secret Read"
	token      = "Kubernetes Service Account Token Requested"
	podToken   = "Kubernetes Pod Exec Reads Credentials"
	podLogs    = "Kubernetes Pod Logs Read"
	dockerExec = "Docker Exec"
	dockerEnv  = "Docker Exec Reads Credentials"
	copied     = "Docker Copy From Container"
	exported   = "Docker Container Exported"
	committed  = "Docker Container Committed"
	logsRead   = "Docker Logs Read"
	// Docker's own programs inspect a container before they do other things
	// with it.
	inspected = "Docker Container Inspected"

	unexpectedRead = "Docker Credentials Read By Unexpected Process"
	unexpectedUse  = "Docker Socket Used By Unexpected Process"
	containerRead  = "Docker Credentials Read From Container"
	impersonated   = "Kubernetes Credentials Read By Impersonation"
	hostAccess     = "Docker Container Created With Host Access"
	plainTCP       = "Docker API Reached Over TCP Without TLS"
)

// containers are those that are there before the first act: a shop that has a
// password in its environment, in a file and in its logs, and a health check;
// and one that an attacker got into, with the files of the host.
const containers = `docker run -d --name shop -e DB_PASSWORD \
	--health-cmd 'test -s /run/secrets/token' --health-interval 1s busybox \
	sh -c 'mkdir -p /run/secrets; echo $DB_PASSWORD >/run/secrets/token; echo connected with $DB_PASSWORD; exec sleep 1000'
docker run -d --name attacker -v /:/host busybox sleep 1000
until test -n "$(docker ps -q -f name=shop -f health=healthy)"; do sleep 0.1; done`

// curl makes a command of curl that speaks to Docker's socket.
const curl = `curl() { command curl -sf --unix-socket ${DOCKER_HOST#unix://} "$@"; }
`

var acts = []act{
	{title: "Read the environment of all containers", api: docker,
		run:    "docker ps -q | xargs docker inspect",
		expect: []string{inspected, inspected}},
	{title: "Read a container's logs", api: docker,
		run:    "docker logs shop",
		expect: []string{logsRead}},
	{title: "Both with curl, without docker", api: docker,
		run: curl + `curl http://docker/containers/shop/json
			curl -o log 'http://docker/containers/shop/logs?stdout=1'`,
		show:   "$ curl --unix-socket docker.sock http://docker/containers/shop/json; … /containers/shop/logs",
		expect: []string{unexpectedRead, unexpectedRead}},
	{title: "With docker under another name", api: docker,
		run: `cp "$(command -v docker)" backup-agent
			./backup-agent inspect shop`,
		show:   "$ cp $(command -v docker) backup-agent; ./backup-agent inspect shop",
		expect: []string{unexpectedRead, unexpectedUse}},
	{title: "From a container with the host's files", api: docker,
		run: `docker exec attacker busybox chroot /host \
			curl -sf --unix-socket ${DOCKER_HOST#unix://} http://docker/containers/shop/json`,
		show:     "$ docker exec attacker chroot /host curl --unix-socket docker.sock http://docker/containers/shop/json",
		expect:   []string{containerRead, dockerExec},
		untapped: []string{dockerExec}},
	{title: "Create a container with the host's files", api: docker,
		run:    "docker create --name way-out -v /:/host busybox true",
		expect: []string{hostAccess}},
	{title: "Over TCP without TLS", api: docker, tcp: true,
		run:    "curl -sf http://" + plainAddress + "/containers/shop/json",
		show:   "$ curl http://" + plainAddress + "/containers/shop/json",
		expect: []string{plainTCP}},
	{title: "Run a command in a container", api: docker,
		run:      "docker exec shop env",
		expect:   []string{dockerEnv},
		untapped: []string{dockerEnv}},
	{title: "The same with curl, without docker", api: docker,
		run: curl + `json='Content-Type: application/json'
			id=$(curl -H "$json" http://docker/v1.41/containers/shop/exec -d '{"AttachStdout":true,"Cmd":["env"]}' |
				sed 's/.*"Id":"\([0-9a-f]*\)".*/\1/')
			curl -H "$json" http://docker/v1.41/exec/$id/start -d '{}' -o environment`,
		show:     "$ curl --unix-socket docker.sock -d … http://docker/containers/shop/exec",
		expect:   []string{unexpectedRead, unexpectedUse},
		untapped: []string{dockerEnv}},
	{title: "Copy a token out of a container", api: docker,
		run:      "docker cp shop:/run/secrets/token .",
		expect:   []string{copied},
		untapped: []string{copied}},
	{title: "Take a container's whole file system", api: docker,
		run:      "docker export shop >stolen.tar",
		expect:   []string{exported},
		untapped: []string{exported}},
	{title: "Make an image of a running container", api: docker,
		run:      "docker commit shop stolen-image",
		expect:   []string{committed},
		untapped: []string{committed}},

	{title: "List all secrets of the cluster", api: kubernetes, as: "admin",
		run:    "kubectl get secrets -A",
		expect: []string{listedAll}},
	{title: "Watch them instead of listing them", api: kubernetes, as: "admin",
		run:    "kubectl get --raw '/api/v1/secrets?watch=1&resourceVersion=0&timeoutSeconds=1'",
		expect: []string{listedAll}},
	{title: "List secrets as someone else", api: kubernetes, as: "admin",
		run:    "kubectl get secrets -n shop --as=dana --as-group=developers",
		expect: []string{impersonated}},
	{title: "Read one secret", api: kubernetes, as: "developer",
		run:    "kubectl get secret database -n shop -o yaml",
		expect: []string{read}},
	{title: "Have a token issued", api: kubernetes, as: "developer",
		run:    "kubectl create token web -n shop",
		expect: []string{token}},
	{title: "Read a pod's token", api: kubernetes, as: "developer",
		run:    "kubectl exec -n shop web -- cat /var/run/secrets/kubernetes.io/serviceaccount/token",
		expect: []string{podToken}},
	{title: "Use a stolen token, with curl", api: kubernetes, as: "workload",
		run:    `curl -sf --cacert $CACERT -H "Authorization: Bearer $(cat $TOKEN)" $SERVER/api/v1/namespaces/shop/secrets`,
		show:   `$ curl -H "Authorization: Bearer $TOKEN" $SERVER/api/v1/namespaces/shop/secrets`,
		expect: []string{listed}},
	{title: "Copy files out of a pod", api: kubernetes, as: "developer",
		run:    "kubectl cp shop/web:/var/run/secrets stolen-files",
		expect: []string{podToken}},
	{title: "Read a pod's logs", api: kubernetes, as: "developer",
		run:    "kubectl logs -n shop web",
		expect: []string{podLogs}},

	{title: "List all secrets (Atomic Red Team)", api: recordedKubernetes,
		run:    "attack/atomic-t1552.007-1-get-secrets-all-namespaces",
		show:   "$ kubectl get secrets --all-namespaces",
		expect: []string{listedAll}},
	{title: "List secrets (Atomic Red Team)", api: recordedKubernetes,
		run:    "attack/atomic-t1552.007-2-get-secrets-n-default",
		show:   "$ kubectl get secrets -n default",
		expect: []string{listed}},
	{title: "Read a pod's token (Atomic Red Team)", api: recordedKubernetes,
		run:    "attack/atomic-t1552.007-3-exec-cat-token",
		show:   "$ kubectl exec atomic-pod -- cat /run/secrets/kubernetes.io/serviceaccount/token",
		expect: []string{podToken}},
	{title: "List secrets with a stolen token", api: recordedKubernetes,
		run:    "attack/peirates-list-secrets",
		show:   "$ peirates (menu: list secrets)",
		expect: []string{listed}},
	{title: "Describe two secrets", api: recordedKubernetes,
		run:    "attack/kubectl-describe-secret",
		show:   "$ kubectl describe secret -n shop db-credentials; kubectl describe secret -n ci deployer-token",
		expect: []string{read, read, read, read}},
	{title: "Have tokens issued", api: recordedKubernetes,
		run:    "attack/kubectl-create-token",
		show:   "$ kubectl create token -n shop web; … -n ci deployer; … -n kube-system …",
		expect: []string{token, token, token}},
	{title: "Read the logs of pods", api: recordedKubernetes,
		run:    "attack/kubectl-logs",
		show:   "$ kubectl logs -n shop deploy/web; kubectl logs -n payments api -f; …",
		expect: []string{podLogs, podLogs, podLogs, podLogs, podLogs}},

	{title: "Look at containers", api: docker,
		run: "docker ps -a && docker stats --no-stream shop"},
	{title: "Docker runs a health check", api: docker,
		run: `docker run -d --name shop-cache -e DB_PASSWORD \
				--health-cmd 'cat /run/secrets/token' --health-interval 300ms busybox \
				sh -c 'mkdir -p /run/secrets; echo $DB_PASSWORD >/run/secrets/token; exec sleep 1000'
			until test -n "$(docker ps -q -f name=shop-cache -f health=healthy)"; do sleep 0.1; done`,
		show: "HEALTHCHECK CMD cat /run/secrets/token"},
	{title: "Look at pods", api: kubernetes, as: "developer",
		run: "kubectl get pods -n shop && kubectl describe pod web -n shop"},
	{title: "Helm looks for its releases", api: kubernetes, as: "engineer",
		run: "kubectl get secrets -n shop -l owner=helm"},
	{title: "A node reads the secret of its pod", api: kubernetes, as: "node",
		run: `curl -sf --cacert $CACERT --cert ${CACERT%/*}/node.crt --key ${CACERT%/*}/node.key \
			-A 'kubelet/v1.34.2 (linux/amd64) kubernetes/8cc511e' $SERVER/api/v1/namespaces/shop/secrets/database`,
		show: "kubelet"},
	{title: "The controller manager lists secrets", api: kubernetes, as: "controller",
		run: "kubectl get secrets -A"},
	{title: "Helm installs a release", api: recordedKubernetes,
		run:  "benign/helm-install",
		show: "helm install"},
	{title: "Prometheus looks for its targets", api: recordedKubernetes,
		run:  "benign/prometheus-service-discovery",
		show: "prometheus"},
	{title: "A node starts and runs pods", api: recordedKubernetes,
		run:  "benign/kubelet-first-start",
		show: "kubelet"},
	{title: "A control plane starts", api: recordedKubernetes,
		run:  "benign/kube-controller-manager-first-start",
		show: "kube-controller-manager"},
}
