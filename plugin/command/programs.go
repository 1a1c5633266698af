// SPDX-License-Identifier: Apache-2.0

package command

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// mode is how a value is hidden.
type mode uint8

const (
	none         mode = iota
	all               // the whole value
	attached          // the whole value, which is part of the option's word
	plain             // not at all
	colon             // what follows the first colon: user:password
	percent           // user%password
	comma             // user,password
	slash             // user/password@database
	assigned          // name=value
	header            // Name: value, but of headers that hold no secret
	body              // what is sent: a form, JSON, a text
	mountOptions      // name=value,name=value
	headerValue       // the value of a header, behind its scheme
	opensslPass       // pass:password, but not file:path
	maybe             // the whole value, if it can be one
	unlessPath        // the whole value, but the path of a file
)

var modes = map[string]mode{
	"": all, "+": attached, ".": plain, ":": colon, "%": percent, ",": comma, "/": slash, "=": assigned,
	"!h": header, "!b": body, "!m": mountOptions, "!s": opensslPass, "!p": unlessPath, "!o": maybe,
}

// program is what is known of a program's arguments.
type program struct {
	options map[string]mode
	// flags are the letters of options without a value, behind which another one
	// can stand in the same word: -sSu.
	flags string
	// places are the arguments that are hidden by their place.
	places []place
	// named says that an argument can be the name of a setting and the next one its
	// value; operands that arguments name=value hold no secret; slashes that
	// options begin with a slash.
	named, operands, slashes bool
	subcommands              map[string]*program
}

// place is an argument that is hidden: the from-th behind another one, or behind
// the program, and those after it if all is set.
type place struct {
	after string
	from  int
	all   bool
	mode  mode
}

// maxPlaces is how many places a program has at most.
const maxPlaces = 12

var noProgram program

// wraps are programs that run a program that one of their arguments names.
var wraps = set("sh", "bash", "ash", "dash", "zsh", "ksh", "mksh", "sudo", "doas", "su", "env", "nohup", "timeout", "nice", "ionice", "xargs", "exec", "command", "builtin", "time", "watch", "strace", "ltrace", "chroot", "nsenter",
	"setsid", "unshare", "ssh", "docker", "podman", "nerdctl", "crictl", "ctr", "kubectl", "oc", "k3s", "microk8s", "busybox", "gosu", "su-exec", "tini", "dumb-init", "stdbuf", "setpriv", "runuser",
	"systemd-run", "parallel", "find", "screen", "tmux", "script", "flock", "chpst", "softlimit", "torify", "proxychains", "ip", "eval", "docker-compose", "aws-vault", "op", "envdir", "faketime", "catchsegv", "taskset", "numactl", "winpty", "expect", "sg", "newgrp", "ansible", "salt", "vagrant", "gdb", "crun", "runc", "lxc", "lxc-attach", "machinectl", "distrobox", "toolbox", "flatpak", "snap", "npx", "nsenter1", "heroku", "fly", "gcloud", "cf")

// general are options that mean the same whatever the program is.
var general = map[string]mode{
	"--env": assigned, "--build-arg": assigned, "--label": assigned, "--from-literal": assigned, "--set-string": assigned, "--extra-vars": assigned, "--annotation": assigned,
	"--header": header, "--http-header": header, "--proxy-header": header, "--proxy-user": colon, "--userpass": colon, "--creds": colon, "--src-creds": colon, "--dest-creds": colon,
	"--pass": maybe, "--passwd": maybe, "--password": maybe, "--passphrase": maybe, "-password": maybe, "--pw": maybe, "--pin": maybe, "--storepass": all, "--keypass": all,
	"--password-file": plain, "--access-key": maybe, "--secret-key": maybe, "--account-key": all, "--connection-string": all, "--sas-token": all, "--client-secret": all, "--secret-id": maybe, "--psk": maybe,
	"--key": unlessPath, "-key": unlessPath, "--private-key": unlessPath, "--cert": plain, "--cookie": unlessPath, "--token": maybe, "-token": maybe, "--jwt": maybe, "--otp": maybe,
	"--certificate-key": all, "--docker-password": all, "--post-data": body, "--data": body, "--proxy-password": all, "--http-password": all, "--http-passwd": all, "--ftp-password": all,
}

// programs are the options and arguments in which programs take secrets. An entry
// has the names of programs, or a program and its subcommand joined by "_", and
// behind a colon:
//
//	-x        an option whose value is a secret: -x value, -xvalue, -x=value
//	-x+       only if the value is in the same word
//	-x:       user:password, and the same with % , and / ; -x= for name=value
//	-x!h      a header, !b a body, !m options of a mount, !s as openssl takes a
//	          password, !p unless it is a path, !o unless it is no secret by its form
//	-x.       an option whose value is shown
//	@abc      letters of options without a value
//	word>2    the second argument behind a word, ">2" of all; word>2+ and those after
//	          it; with a mode behind: word>2+=
//	#named    an argument can name a setting and the next one be its value
//	#operands arguments name=value are no secrets
//	#slashes  options begin with a slash
var programs = table(`
mysql mysqldump mysqladmin mysqlimport mysqlshow mysqlcheck mysqlpump mysqlslap mysqlsh mariadb mariadb-dump mariadb-admin mariadb-backup mariabackup xtrabackup innobackupex mycli mydumper myloader: -p+ --password -e. --execute.
mysqladmin mariadb-admin: password>1
psql pg_dump pg_dumpall pg_restore createdb pg_basebackup pgbench: -c. -d. -v=
redis-cli valkey-cli keydb-cli: -a --pass -u. auth>1+ requirepass>1 masterauth>1 #named
mongo mongosh mongodump mongorestore mongoexport mongoimport mongostat: -p --password --eval.
sqlcmd bcp osql isql: -P -Q.
sqlplus sqlldr expdp impdp rman: ">1/
cqlsh clickhouse-client clickhouse influx impala-shell beeline: -p --password -password --passcode
influx: -p -t -password --token
etcdctl: --user: --password --new-user-password
rabbitmqctl: add_user>2 change_password>2 authenticate_user>2
rabbitmqadmin: -p --password
mosquitto_pub mosquitto_sub mosquitto_rr: -P --pw -m.
mosquitto_passwd: @cbUD ">3
htpasswd: @cbnBmiDvs25 ">2+
smbclient rpcclient smbget winexe net smbmap smbcacls nmblookup: -U% --user% -p --password --pw-nt-hash
crackmapexec netexec nxc evil-winrm hydra medusa ncrack patator: -p -H --password --hash
ldapsearch ldapadd ldapmodify ldapdelete ldappasswd ldapwhoami ldapmodrdn ldapcompare ldapexop: -w -s. -y.
ldappasswd: -w -s -a
kadmin kadmin.local: -w -pw
kinit: --password-file.
curl: @sSfkLvigGIOnN#0123jlpqRaB46 -u: --user: --proxy-user: -U: -H!h --header!h --proxy-header!h -b!p --cookie!p -d!b --data!b --data-raw!b --data-binary!b --data-urlencode!b --data-ascii!b --json!b -F!b --form!b --form-string!b --pass --proxy-pass --key. -E: --cert: --oauth2-bearer --tlspassword --aws-sigv4. -A. -o. -X. -x. -e. -w. -T. -K. --url. -m.
wget aria2c axel: --password --http-password --ftp-password --proxy-password --http-passwd --header!h --post-data!b --body-data!b --user. -O. -o.
http https httpie xh curlie: -a: --auth:
aws_configure: set>2!o #named
aws: --secret-string --secret-binary --master-user-password --user-password --password --temporary-password --parameter-overrides. --session-token --token-code --token --value!p --auth-token --cli-input-json. --proposed-password --old-password --new-password --environment.
az: -p --password --account-key --admin-password --value --sas-token --connection-string --client-secret --settings=
gcloud: --password --root-password --set-env-vars= --update-env-vars= activate-refresh-token>2 --access-token
gsutil: -o=
s3cmd: --access_key --secret_key --access_token
mc: set>3+ add>3+
rclone: obscure>1 reveal>1 #named --password-command.
restic borg duplicity: --password-command. --password-file.
docker_login podman_login skopeo_login oras_login nerdctl_login buildah_login crane_login crane_auth: -p --password -u.
docker podman nerdctl buildah: -e= --env= --build-arg= --label= -l= -m --message --secret. -v. --volume. -p. --publish. -w. --workdir. -u. --user. --name. --network. --filter. -f. --format. --entrypoint. --mount!m --opt!m -o!m --log-opt= --creds: -c.
docker_ps docker_images docker_system docker_top podman_ps docker_search docker_inspect docker_network docker_events: -f. --filter. #operands
docker_secret podman_secret: -l=
skopeo: --creds: --src-creds: --dest-creds: --src-registry-token --dest-registry-token
crane buildah nerdctl: --creds:
crictl: --creds: --auth
ctr: -u: --user: --env=
oras: -p --password
helm: --set= --set-string= --password --set-json= --set-literal= -p. -n. -f.
helm_registry: -p --password -u.
kubectl oc: --from-literal= --docker-password --token --password -l. --selector. -n. --namespace. -f. -o. -c. -p. --context. --env= --client-certificate-data --client-key-data --certificate-authority-data -e= #operands
oc_login: -p --password --token -u.
kubectl_set oc_set kubectl_new-app oc_new-app oc_process: -e= -p=
kubeadm: --token --certificate-key --discovery-token
k3s k3sup rke2: --token --agent-token -t.
sshpass: -p -f. -e. @v
expect: -c.
ansible ansible-playbook ansible-pull: -e= --extra-vars= -i. --vault-password-file. --become-password-file.
ansible-vault: encrypt_string>1
terraform tofu terragrunt packer: -var= --var= -backend-config= -var-file.
pulumi: set>2 #named
vault bao: login>1+!o unwrap>1 unseal>1 lookup>1 renew>1 revoke>1 put>2+= write>2+= patch>2+= -token -header!h
consul: put>2 set-agent-token>2 -token --token
nomad: -token
git: -c= clone. #named commit. --author. -m. -C.
gh glab: -b --body -t. --with-token.
gh_auth glab_auth: -t --token
rancher: -t --token
ssh-keygen: -N -P -t. -f. -C. -b.
npm pnpm yarn: set>2!o #named --otp --_auth
twine: -p --password -u.
flit poetry hatch uv: -p --password http-basic>2 #named --token
pip pip3: --index-url. --extra-index-url.
cargo: login>1 --token publish.
gem: --key --otp
composer: #named http-basic>2 bearer>2 github-oauth>2
heroku_config:set config:set: ">1+=
doppler infisical: --token set>1+=
op: --password
bw: login>2 unlock>1 --password --code
lpass keepassxc-cli: --password
argocd: --password --current-password --new-password --auth-token
flux: --password --token
svn: --password
hg: --config=
lftp: -u, -e.
ftp ncftp ncftpput ncftpget: -p -u.
curlftpfs sshfs: -o!m
mount mount.cifs mount.nfs mount.davfs umount fusermount: -o!m -t. #operands
zip: @rqjmu9TyXDe -P --password
unzip: @oqnltvj -P
7z 7za 7zr 7zz: -p+
rar unrar: -p+ -hp+
gpg gpg2: --passphrase -u. -r.
openssl_passwd: ">1+ -salt @156
openssl: -passin!s -passout!s -pass!s -k -K -iv -hmac -psk -macopt. -passwd -key!p -in. -out. -secret -srppass -challenge -password
keytool jarsigner apksigner: -storepass -keypass -srcstorepass -deststorepass -srckeypass -destkeypass -new --ks-pass!s --key-pass!s
java javaw: -jar.
qpdf: --password --encrypt>1+
pdftk: #named input_pw>1+ owner_pw>1 user_pw>1
qemu-img: --object.
cryptsetup: --key-file. -d.
nmcli: #named password>1 psk>1 wifi-sec.psk>1
wpa_passphrase: ">2
iwconfig: key>1
ipmitool: -P -U. -k -y
snmpwalk snmpget snmpset snmpbulkwalk: -c -A -X
plink pscp psftp putty: -pw
xfreerdp wlfreerdp sdl-freerdp freerdp rdesktop: -p #slashes /p /password /pth
net: use>3!o user>2!o
net user: #slashes
useradd usermod adduser: -p --password -s. -g. -G. -c.
chpasswd: -c.
passwd mkpasswd smbpasswd: -S. ">1+
swaks: -ap --auth-password -au.
sendemail: -xp
wp: --user_pass --dbpass --admin_password #named
drush: --db-url. --account-pass
jenkins-cli: -auth:
sonar-scanner mvn gradle gradlew ant: -Dsonar.login -Dsonar.token
cf: -p
ibmcloud: -p --apikey
doctl hcloud linode-cli flyctl fly: -t --access-token --token set>1+=
snyk: auth>1
stripe: --api-key
sentry-cli: --auth-token
datadog-agent: --api-key
aws-vault: add.
sops age: --age.
secret-tool: ">1+
security: -p -w
defaults: #named
crontab: -u.
tcpdump: -E
dig nslookup nsupdate: -y
rsync: --password-file. -e.
sed awk gawk grep egrep fgrep rg find test [ [[ expr dd jq yq make cmake sysctl stty tc ip iptables ip6tables nft tar ps date printf echo ls systemctl modprobe insmod tune2fs udevadm dpkg apt apt-get rpm sort cut tr let iperf ethtool: #operands --key. -k. -p. --sort.
impacket-secretsdump secretsdump.py psexec.py wmiexec.py smbexec.py GetNPUsers.py GetUserSPNs.py: -hashes
nats: --password --creds. --user.
kafka-configs.sh kafka-console-consumer.sh kafka-console-producer.sh: --add-config!m
grafana-cli grafana: reset-admin-password>1
gitlab-runner: -r --registration-token --token -t
step: --password --provisioner-password
tailscale: --authkey --auth-key
cloudflared: --token
ngrok: add-authtoken>1 authtoken>1
wg: #operands
`)

// table reads the entries above.
func table(entries string) map[string]*program {
	programs := make(map[string]*program)
	for line := range strings.Lines(strings.TrimSpace(entries)) {
		names, spec, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok {
			panic("no options in " + line)
		}
		for name := range strings.FieldsSeq(names) {
			p := programs[name]
			if p == nil {
				p = &program{options: make(map[string]mode)}
				programs[name] = p
			}
			p.read(spec)
		}
	}
	// A subcommand takes what its program takes, too.
	for _, name := range slices.Sorted(maps.Keys(programs)) {
		n := strings.LastIndexByte(name, '_')
		parent := programs[name[:max(0, n)]]
		if parent == nil {
			continue
		}
		p := programs[name]
		own := p.options
		p.options = maps.Clone(parent.options)
		maps.Copy(p.options, own)
		p.flags += parent.flags
		if parent.subcommands == nil {
			parent.subcommands = make(map[string]*program)
		}
		parent.subcommands[name[n+1:]] = p
	}
	return programs
}

// read reads what an entry says of a program.
func (p *program) read(spec string) {
	for entry := range strings.FieldsSeq(spec) {
		switch {
		case entry[0] == '@':
			p.flags += entry[1:]
		case entry == "#named":
			p.named = true
		case entry == "#operands":
			p.operands = true
		case entry == "#slashes":
			p.slashes = true
		case entry[0] == '-' || entry[0] == '/':
			name := strings.TrimRight(entry, "+.:%,/=")
			if n := strings.IndexByte(name, '!'); n > 0 {
				name = name[:n]
			}
			p.options[name] = modeOf(entry[len(name):], entry)
		case strings.HasSuffix(entry, "."): // a subcommand that is only named
		default:
			after, rest, ok := strings.Cut(entry, ">")
			n := strings.TrimLeft(rest, "0123456789")
			from, err := strconv.Atoi(rest[:len(rest)-len(n)])
			if !ok || err != nil || len(p.places) == maxPlaces {
				panic(fmt.Sprintf("%q is no place of an argument", entry))
			}
			sign, more := strings.CutPrefix(n, "+")
			p.places = append(p.places, place{strings.Trim(after, `"`), from, more, modeOf(sign, entry)})
		}
	}
}

func modeOf(sign, entry string) mode {
	m, ok := modes[sign]
	if !ok {
		panic(fmt.Sprintf("%q is no way to hide a value, in %q", sign, entry))
	}
	return m
}

// short finds an option of one letter with its value behind it, and returns how the
// value is hidden and where it begins, or 0.
func (p *program) short(c string) (mode, int) {
	if len(p.options) == 0 || len(c) < 2 || c[0] != '-' || c[1] == '-' {
		return none, 0
	}
	if len(c) > 3 && p.options[c[:3]] == attached {
		return attached, 3
	}
	for i := 1; i < len(c) && i < 16; i++ {
		if m, ok := p.options[c[:1]+c[i:i+1]]; ok {
			return m, i + 1
		}
		if strings.IndexByte(p.flags, c[i]) < 0 {
			return none, 0
		}
	}
	return none, 0
}
