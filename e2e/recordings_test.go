// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerapi/containerapi/e2e/engine"
	"github.com/containerapi/containerapi/e2e/engine/enginetest"
)

// recordedAttacks are the recorded attacks, by file, and the alerts that each
// raises.
var recordedAttacks = map[string][]string{
	"allstages-exec-cat-token":                          {"Kubernetes Pod Exec Reads Credentials"},
	"atomic-t1552.007-1-get-secrets-all-namespaces":     {"Kubernetes Secrets Listed Across All Namespaces"},
	"atomic-t1552.007-2-get-secrets-n-default":          {"Kubernetes Secrets Listed"},
	"atomic-t1552.007-3-exec-cat-token":                 {"Kubernetes Pod Exec Reads Credentials"},
	"atomic-t1552.007-3-exec-cat-token-spdy-kubectl129": {"Kubernetes Pod Exec Reads Credentials"},
	"cdk-k8s-configmap-dump":                            {"Kubernetes ConfigMaps Read In Bulk"},
	// It creates a pod that sends its own token away, which no request shows.
	"cdk-k8s-get-sa-token":                      nil,
	"cdk-k8s-secret-dump-auto":                  {"Kubernetes Unauthenticated Credential Access Denied", "Kubernetes Secrets Listed Across All Namespaces"},
	"cdk-k8s-secret-dump-denied":                {"Kubernetes Credential Access Denied"},
	"curl-bound-token-list-secrets":             {"Kubernetes Secrets Listed", "Kubernetes Secret Read", "Kubernetes Credential Access Denied", "Kubernetes Credential Access Denied", "Kubernetes Credential Access Denied"},
	"curl-bound-token-second-source":            {"Kubernetes Secrets Listed", "Kubernetes Token Used From Several Addresses", "Kubernetes Secret Read"},
	"kubectl-create-token":                      {"Kubernetes Service Account Token Requested", "Kubernetes Service Account Token Requested", "Kubernetes Service Account Token Requested"},
	"kubectl-describe-secret":                   {"Kubernetes Secret Read", "Kubernetes Secret Read", "Kubernetes Secret Read", "Kubernetes Secret Read"},
	"kubectl-exec-sh-c-token":                   {"Kubernetes Pod Exec Reads Credentials", "Kubernetes Pod Exec"},
	"kubectl-impersonate-get-secrets":           {"Kubernetes Credential Access Denied", "Kubernetes Credentials Read By Impersonation", "Kubernetes Credentials Read By Impersonation", "Kubernetes Credentials Read By Impersonation"},
	"kubectl-logs":                              {"Kubernetes Pod Logs Read", "Kubernetes Pod Logs Read", "Kubernetes Pod Logs Read", "Kubernetes Pod Logs Read", "Kubernetes Pod Logs Read"},
	"peirates-dump-pod-info":                    {"Kubernetes Pod Specs Read In Bulk"},
	"peirates-exec-via-api":                     {"Kubernetes Pod Exec Reads Credentials"},
	"peirates-kubectl-create-token":             {"Kubernetes Service Account Token Requested"},
	"peirates-kubectl-try-all":                  {"Kubernetes Secrets Listed Across All Namespaces"},
	"peirates-list-secrets":                     {"Kubernetes Secrets Listed"},
	"peirates-secret-to-sa":                     {"Kubernetes Secret Read"},
	"stratus-create-token":                      {"Kubernetes Attack Tool"},
	"stratus-dump-secrets":                      {"Kubernetes Attack Tool"},
	"stratus-nodes-proxy":                       {"Kubernetes Attack Tool", "Kubernetes Attack Tool", "Kubernetes Attack Tool"},
	"stratus-steal-serviceaccount-token":        {"Kubernetes Attack Tool"},
	"docker/cdk-docker-api-pwn":                 {"Docker API Reached Over TCP Without TLS", "Docker Container Created With Host Access"},
	"docker/cdk-docker-sock-check":              {"Docker Socket Used By Unexpected Process"},
	"docker/cdk-docker-sock-pwn":                {"Docker Socket Used By Unexpected Process", "Docker Socket Used By Unexpected Process", "Docker Container Created With Host Access", "Docker Socket Used By Unexpected Process"},
	"docker/cdk-docker-sock-pwn-from-container": {"Docker Container Inspected", "Docker Exec", "Docker Socket Used From Container", "Docker Socket Used From Container", "Docker Container Created With Host Access", "Docker Socket Used From Container"},
	"docker/cdk-ucurl-from-container":           {"Docker Container Inspected", "Docker Exec", "Docker Credentials Read From Container"},
}

// TestRecordedAttacks proves that what attack tools sent when they were recorded
// is caught.
func TestRecordedAttacks(t *testing.T) {
	const dir = "testdata/recordings/attack"
	var files []string
	for _, pattern := range []string{"*.jsonl.gz", "docker/*.jsonl.gz"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) != len(recordedAttacks) {
		t.Errorf("there are %d recordings, but %d are known", len(files), len(recordedAttacks))
	}
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(file, dir+"/"), ".jsonl.gz")
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			alerts, err := engine.Replay(ctx, enginetest.Find(t), engine.Config{
				Plugins: []engine.Plugin{plugin(t, file)},
				Source:  source,
				Rules:   []string{ruleFile},
			})
			if err != nil {
				t.Fatal(err)
			}
			var raised []string
			for _, a := range alerts {
				raised = append(raised, a.Rule)
			}
			if want, ok := recordedAttacks[name]; !ok || !slices.Equal(raised, want) {
				t.Errorf("raised %q, want %q", raised, want)
			}
		})
	}
}
