// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"crypto/rand"
	"encoding/base64"
	"os"
	"strings"
	"testing"

	"github.com/containerapi/containerapi/e2e/kube"
	"github.com/containerapi/containerapi/e2e/scenario"
)

// newCanary returns a value to plant where secrets are. Its length is a multiple
// of three, so that its base64 form is in that of any text that begins with it.
func newCanary() string {
	return "canary" + rand.Text()[:24]
}

// requireNoCanary fails the test if a canary is in one of the texts.
func requireNoCanary(t *testing.T, canary string, texts ...string) {
	t.Helper()
	forms := []string{canary, base64.StdEncoding.EncodeToString([]byte(canary))}
	for _, text := range texts {
		for _, form := range forms {
			if i := strings.Index(text, form); i >= 0 {
				t.Errorf("a secret shows: …%s…", text[max(0, i-300):min(len(text), i+len(form)+50)])
			}
		}
	}
}

// TestNoSecrets plants canaries wherever people keep secrets, does everything
// that moves them, and looks for them in every event, alert and log line.
func TestNoSecrets(t *testing.T) {
	dir := t.TempDir()
	marker, err := scenario.WriteMarkerRule(dir)
	if err != nil {
		t.Fatal(err)
	}
	daemon := startDocker(t)
	url, address := webhook(t)
	run := startEngine(t, plugin(t, url+",docker://"+daemon.Socket), marker, "testdata/everything.yaml")
	awaitListener(t, run, address)
	canary := newCanary()
	cluster := startCluster(t, kube.Options{Webhook: url, Canary: canary})
	runner := &scenario.Runner{Engine: run, Kube: cluster, Docker: daemon.Daemon, Dir: dir}
	t.Setenv("CANARY", canary)
	before := len(run.Alerts())
	for _, s := range []scenario.Scenario{
		{Name: "kubernetes", API: scenario.Kubernetes, As: "admin", Run: `
			kubectl create namespace leak
			kubectl create serviceaccount default -n leak || test "$(kubectl get sa default -n leak -o name)"
			kubectl create secret generic one -n leak --from-literal=password=$CANARY
			kubectl annotate secret one -n leak note=$CANARY
			kubectl label secret one -n leak note=$CANARY
			kubectl patch secret one -n leak -p '{"stringData":{"other":"'$CANARY'"}}'
			kubectl get secret one -n leak -o yaml
			kubectl get secrets -A -o yaml
			kubectl get secrets -A -l note=none
			kubectl create configmap one -n leak --from-literal=password=$CANARY
			kubectl get configmaps -A -o yaml
			kubectl create token web -n shop >token
			kubectl get pods -A -o yaml
			kubectl run one -n leak --image=busybox --env=PASSWORD=$CANARY --labels=note=$CANARY --annotations=note=$CANARY
			kubectl create deployment one -n leak --image=busybox
			kubectl set env deployment/one -n leak PASSWORD=$CANARY
			kubectl get deployment one -n leak -o yaml
			kubectl logs -n shop web
			kubectl exec -n shop web -- cat /var/run/secrets/kubernetes.io/serviceaccount/token
			kubectl exec -n shop web -- env PASSWORD=$CANARY true
			kubectl delete namespace leak --wait=false`},
		{Name: "docker", API: scenario.Docker, Run: `
			docker run -d --name one -e PASSWORD=$CANARY --label note=$CANARY busybox sh -c 'echo $PASSWORD; sleep 600'
			docker exec -e PASSWORD=$CANARY one env
			docker exec one env PASSWORD=$CANARY true
			docker exec one sh -c "echo --password=$CANARY"
			docker logs one
			docker inspect one
			docker cp one:/etc/passwd - >passwd.tar
			docker commit -c "ENV OTHER=$CANARY" -c "LABEL other=$CANARY" -m $CANARY one two
			docker volume create --label note=$CANARY three
			docker rm -f one
			docker rmi two`},
	} {
		if err := runner.Ready(t.Context(), s.API); err != nil {
			t.Fatal(err)
		}
		result, err := runner.Run(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(result.Output, canary) {
			t.Fatalf("%s: the script did not meet the canary", s.Name)
		}
	}
	if n := len(run.Alerts()) - before; n < 60 {
		t.Fatalf("the rule for everything showed %d events only", n)
	}
	log, err := os.ReadFile(cluster.AuditLog)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(log), canary) {
		t.Fatal("the audit log itself has no canary: the test shows nothing")
	}
	requireNoCanary(t, canary, run.Stdout(), run.Stderr())
	for _, file := range []string{dir + "/token", cluster.Token} {
		token, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		// The signature is what makes a token of it.
		signature := string(token[strings.LastIndexByte(string(token), '.')+1:])
		requireNoCanary(t, strings.TrimSpace(signature), run.Stdout(), run.Stderr())
	}
}
