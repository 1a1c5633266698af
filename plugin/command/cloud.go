// SPDX-License-Identifier: Apache-2.0

package command

import (
	"strconv"
	"strings"
)

// metadataHosts answer whoever can reach them with credentials of the machine or pod.
// Each is what its cloud documents.
var metadataHosts = set(
	"metadata.google.internal", "metadata", "metadata.goog", // Google
	"instance-data", "instance-data.ec2.internal", "fd00:ec2::254", "fd00:ec2::23", // AWS
	"metadata.tencentyun.com", "metadata.platformequinix.com", "metadata.packet.net", "rancher-metadata", "metadata.nic.do",
	"fe80::a9fe:a9fe", "fd20:ce::254",
)

// metadataAddresses are the same by IPv4 address.
var metadataAddresses = map[uint32]bool{
	169<<24 | 254<<16 | 169<<8 | 254: true, // AWS, Azure, Google, DigitalOcean, OpenStack, Oracle
	169<<24 | 254<<16 | 170<<8 | 2:   true, // tasks of ECS
	169<<24 | 254<<16 | 170<<8 | 23:  true, // pods of EKS
	100<<24 | 100<<16 | 100<<8 | 200: true, // Alibaba
	168<<24 | 63<<16 | 129<<8 | 16:   true, // Azure's WireServer
	169<<24 | 254<<16 | 0<<8 | 23:    true, // Tencent
	192<<24 | 0<<16 | 0<<8 | 192:     true, // Oracle
}

// noClients are programs for which an address is no more than that.
var noClients = set("arp", "arping", "conntrack", "dig", "drill", "host", "ip", "ip6tables", "ipset", "iptables", "iptables-restore", "iptables-save",
	"mtr", "netstat", "nft", "nslookup", "ping", "ping6", "resolvectl", "route", "ss", "tracepath", "traceroute", "kdig", "getent", "whois")

// metadataPaths are what such a server gives credentials at, under whatever name it is
// reached.
var metadataPaths = []string{
	"/computemetadata/v1", "/latest/meta-data", "/latest/api/token", "/latest/dynamic/instance-identity", "/latest/user-data", "/metadata/identity/", "/metadata/instance",
	"/metadata/v1/", "/opc/v1/", "/opc/v2/", "/openstack/latest", "/ram/security-credentials", "aws_container_credentials_",
	"aws_container_authorization_token", "identity_endpoint", "msi_endpoint", "x-aws-ec2-metadata-token", "metadata-flavor",
}

// readsMetadata says whether a command asks a cloud's metadata service.
func readsMetadata(name string, args []string) Reads {
	if noClients[name] {
		return 0
	}
	found := Reads(0)
	for _, arg := range args {
		lower := strings.ToLower(arg)
		if strings.Contains(lower, "/") {
			found |= readsAPI(name, lower)
		}
		for _, p := range metadataPaths {
			if strings.Contains(lower, p) {
				return ReadsToken
			}
		}
		// The host of a URL, of host:port, of /dev/tcp/host/port, or of a text.
		for host := range strings.FieldsFuncSeq(lower, func(r rune) bool { return strings.ContainsRune("/\\@=,;'\"`()<>[]{}?#& \t\r\n|", r) }) {
			if isMetadata(host) {
				return ReadsToken
			}
		}
	}
	return found
}

// readsAPI says what an argument of a client asks for that is a URL of Kubernetes, of a
// kubelet or etcd, or the socket of a container runtime.
func readsAPI(name, url string) Reads {
	switch {
	case strings.Contains(url, "/api/v1/") && strings.Contains(url, "/secrets"):
		return ReadsCredential
	case strings.Contains(url, "/api/v1/") && strings.Contains(url, "/serviceaccounts/") && strings.Contains(url, "/token"):
		return ReadsToken
	case strings.Contains(url, "://") && (strings.Contains(url, ":10250/") && !strings.Contains(url, ":10250/healthz") || strings.Contains(url, ":10255/pods") || strings.Contains(url, "/v3/kv/range")):
		return ReadsCredential
	case strings.HasSuffix(url, "docker.sock") || strings.HasSuffix(url, "containerd.sock") || strings.HasSuffix(url, "crio.sock") || strings.HasSuffix(url, "podman.sock"):
		if name == "curl" || name == "nc" || name == "ncat" || name == "socat" {
			return ReadsCredential
		}
	}
	return 0
}

func isMetadata(host string) bool {
	host = strings.TrimSuffix(host, ".")
	if host == "metadata" {
		return false // a word like any other, unless its path says more
	}
	if metadataHosts[host] {
		return true
	}
	if strings.Contains(host, ":") {
		if strings.HasSuffix(host, ":a9fe:a9fe") {
			return true // 169.254.169.254 in an IPv6 address
		}
		// A port, or what curl --resolve and --connect-to take.
		for part := range strings.SplitSeq(host, ":") {
			if isMetadata(part) {
				return true
			}
		}
		return false
	}
	// Names that resolve to the address in them.
	for _, suffix := range []string{".nip.io", ".sslip.io", ".xip.io"} {
		if name, ok := strings.CutSuffix(host, suffix); ok {
			host = strings.ReplaceAll(name, "-", ".")
		}
	}
	if metadataHosts[host] {
		return true
	}
	address, ok := inetAton(host)
	return ok && metadataAddresses[address]
}

// inetAton reads an IPv4 address in any of the spellings that the C library takes: one
// to four numbers, decimal, octal or hexadecimal, the last of which fills the rest.
func inetAton(s string) (uint32, bool) {
	if len(s) == 0 || len(s) > 48 || s[0] < '0' || s[0] > '9' {
		return 0, false
	}
	parts := strings.Split(s, ".")
	if len(parts) > 4 || len(parts) == 1 && len(s) < 8 {
		return 0, false
	}
	var address uint64
	for i, part := range parts {
		// An octal number may have any zeros before it.
		if len(part) > 1 && part[0] == '0' && part[1]|0x20 != 'x' {
			part = "0" + strings.TrimLeft(part, "0")
		}
		n, err := strconv.ParseUint(part, 0, 32)
		if err != nil {
			return 0, false
		}
		if i < len(parts)-1 {
			if n > 255 {
				return 0, false
			}
			address |= n << (24 - 8*i)
			continue
		}
		if n >= 1<<(32-8*i) {
			return 0, false
		}
		address |= n
	}
	return uint32(address), true
}

// getters are commands of programs that print or store credentials, by the program:
// words that stand among its arguments in this order, without options between them.
var getters = map[string][]getter{
	"aws": {
		{"sts assume-role", ReadsToken}, {"sts get-session-token", ReadsToken}, {"sts get-federation-token", ReadsToken}, {"ecr get-login", ReadsToken}, {"ecr get-authorization-token", ReadsToken}, {"ecr-public get-", ReadsToken}, {"eks get-token", ReadsToken},
		{"eks update-kubeconfig", ReadsCredential}, {"secretsmanager get-secret-value", ReadsCredential}, {"secretsmanager batch-get-secret-value", ReadsCredential},
		{"ssm get-parameter", ReadsCredential}, {"configure export-credentials", ReadsToken}, {"configure get", ReadsCredential}, {"iam create-access-key", ReadsToken},
		{"codeartifact get-authorization-token", ReadsToken}, {"rds generate-db-auth-token", ReadsToken}, {"redshift get-cluster-credentials", ReadsToken},
		{"kms decrypt", ReadsCredential}, {"sso get-role-credentials", ReadsToken}, {"cognito-identity get-", ReadsToken}, {"lightsail get-instance-access-details", ReadsCredential},
	},
	"gcloud": {
		{"print-access-token", ReadsToken}, {"print-identity-token", ReadsToken}, {"secrets versions access", ReadsCredential}, {"config config-helper", ReadsToken},
		{"iam service-accounts keys create", ReadsToken}, {"container clusters get-credentials", ReadsCredential}, {"sql generate-login-token", ReadsToken},
	},
	"az": {
		{"account get-access-token", ReadsToken}, {"keyvault secret show", ReadsCredential}, {"keyvault secret download", ReadsCredential}, {"acr login", ReadsToken},
		{"acr credential show", ReadsCredential}, {"aks get-credentials", ReadsCredential}, {"ad sp create-for-rbac", ReadsToken}, {"storage account keys list", ReadsCredential},
		{"storage account show-connection-string", ReadsCredential}, {"ad app credential reset", ReadsToken}, {"cosmosdb keys list", ReadsCredential},
	},
	"docker": runtimeGetters, "podman": runtimeGetters, "nerdctl": runtimeGetters,
	"crictl":    {{"inspect", ReadsEnvironment}, {"inspectp", ReadsEnvironment}, {"exec", Opaque}},
	"ctr":       {{"containers info", ReadsEnvironment}, {"container info", ReadsEnvironment}, {"c info", ReadsEnvironment}, {"tasks exec", Opaque}, {"t exec", Opaque}},
	"redis-cli": {{"config get requirepass", ReadsCredential}, {"CONFIG GET requirepass", ReadsCredential}, {"config get masterauth", ReadsCredential}},
	"kubectl":   kubectlGetters, "oc": kubectlGetters,
	"vault": {{"read", ReadsCredential}, {"kv get", ReadsCredential}, {"token lookup", ReadsToken}, {"token create", ReadsToken}, {"print token", ReadsToken}, {"login", ReadsToken}, {"unwrap", ReadsCredential}},
	"bao":   {{"read", ReadsCredential}, {"kv get", ReadsCredential}, {"token lookup", ReadsToken}, {"token create", ReadsToken}, {"print token", ReadsToken}, {"login", ReadsToken}, {"unwrap", ReadsCredential}},
	"etcdctl": {
		{"get", ReadsCredential}, {"snapshot save", ReadsCredential}, {"watch", ReadsCredential},
	},
	"consul": {{"kv get", ReadsCredential}, {"kv export", ReadsCredential}, {"snapshot save", ReadsCredential}},
	"doctl":  {{"auth token", ReadsToken}, {"kubernetes cluster kubeconfig", ReadsCredential}, {"registry docker-config", ReadsToken}},
	"gh":     {{"auth token", ReadsToken}}, "glab": {{"auth status", ReadsToken}}, "heroku": {{"auth:token", ReadsToken}, {"config", ReadsCredential}},
	"helm": {{"get values", ReadsCredential}, {"get all", ReadsCredential}, {"get manifest", ReadsCredential}},
	"op":   {{"read", ReadsCredential}, {"item get", ReadsCredential}}, "bw": {{"get", ReadsCredential}, {"list items", ReadsCredential}},
	"pass": {{"show", ReadsCredential}}, "gopass": {{"show", ReadsCredential}}, "sops": {{"decrypt", ReadsCredential}},
	"ansible-vault": {{"view", ReadsCredential}, {"decrypt", ReadsCredential}}, "secret-tool": {{"lookup", ReadsCredential}, {"search", ReadsCredential}},
	"security":  {{"find-generic-password", ReadsCredential}, {"find-internet-password", ReadsCredential}, {"dump-keychain", ReadsCredential}},
	"talosctl":  {{"kubeconfig", ReadsCredential}, {"read", ReadsCredential}, {"get machineconfig", ReadsCredential}},
	"microk8s":  {{"config", ReadsCredential}, {"add-node", ReadsToken}},
	"k0s":       {{"kubeconfig", ReadsCredential}, {"token create", ReadsToken}},
	"k3s":       {{"token create", ReadsToken}, {"token generate", ReadsToken}, {"secrets-encrypt", ReadsCredential}},
	"kubeadm":   {{"token create", ReadsToken}, {"token list", ReadsToken}, {"init phase kubeconfig", ReadsCredential}, {"kubeconfig user", ReadsCredential}},
	"argocd":    {{"account generate-token", ReadsToken}, {"admin initial-password", ReadsCredential}, {"admin export", ReadsCredential}},
	"linkerd":   {{"identity", ReadsCredential}},
	"istioctl":  {{"proxy-config secret", ReadsCredential}},
	"terraform": {{"output", ReadsCredential}, {"state pull", ReadsCredential}, {"show", ReadsCredential}}, "tofu": {{"output", ReadsCredential}, {"state pull", ReadsCredential}},
	"pulumi":                      {{"config get", ReadsCredential}, {"stack export", ReadsCredential}},
	"aliyun":                      {{"sts assumerole", ReadsToken}},
	"oci":                         {{"session", ReadsToken}, {"secrets secret-bundle get", ReadsCredential}},
	"ibmcloud":                    {{"iam oauth-tokens", ReadsToken}},
	"docker-credential-ecr-login": {{"get", ReadsToken}}, "docker-credential-gcr": {{"get", ReadsToken}}, "docker-credential-desktop": {{"get", ReadsCredential}},
	"docker-credential-pass": {{"get", ReadsCredential}},
}

var runtimeGetters = []getter{
	{"inspect", ReadsEnvironment}, {"cp", ReadsCredential}, {"export", ReadsCredential}, {"save", ReadsCredential},
}

var kubectlGetters = []getter{
	{"get secret", ReadsCredential}, {"describe secret", ReadsCredential}, {"edit secret", ReadsCredential}, {"create token", ReadsToken}, {"config view", ReadsCredential},
	{"sa get-token", ReadsToken}, {"serviceaccounts get-token", ReadsToken}, {"sa create-kubeconfig", ReadsToken}, {"extract secret", ReadsCredential},
}

type getter struct {
	words string
	reads Reads
}

// readsGetter says what a program prints that is asked for credentials.
func readsGetter(name string, args []string) (found Reads) {
	if len(args) > 0 && (args[0] == "kubectl" || args[0] == "oc") || strings.HasSuffix(name, ".kubectl") {
		// k3s kubectl, microk8s.kubectl
		if name = "kubectl"; len(args) > 0 && (args[0] == "kubectl" || args[0] == "oc") {
			args = args[1:]
		}
	}
	list, ok := getters[name]
	if !ok {
		return 0
	}
	var words []string
	for _, a := range args {
		if a != "" && a[0] != '-' && len(words) < 16 {
			words = append(words, a)
		}
	}
	for _, g := range list {
		if stands(words, strings.Fields(g.words)) {
			found |= g.reads
		}
	}
	switch name {
	case "kubectl", "oc":
		if strings.Contains(strings.Join(words, " "), "whoami") && contains(args, "-t", "--show-token") {
			found |= ReadsToken
		}
		if found == ReadsCredential && stands(words, []string{"config", "view"}) && !contains(args, "--raw", "") {
			found = 0 // it hides them
		}
		for _, w := range words {
			// get secret/db, get pods,secrets
			if strings.HasPrefix(w, "secret/") || strings.HasPrefix(w, "secrets/") || strings.Contains(","+w+",", ",secrets,") || strings.Contains(w, "/secrets") {
				if len(words) > 1 && (words[0] == "get" || words[0] == "describe" || words[0] == "extract" || words[0] == "edit") {
					found |= ReadsCredential
				}
			}
		}
	}
	return found
}

func contains(args []string, one, other string) bool {
	for _, a := range args {
		if a == one || a != "" && a == other {
			return true
		}
	}
	return false
}

// stands reports whether words stand somewhere in a list one after the other. The last
// one may be the beginning of what stands there: get-login-password, get-parameters.
func stands(list, words []string) bool {
	for i := 0; i+len(words) <= len(list); i++ {
		n := 0
		for n < len(words) && (list[i+n] == words[n] || n == len(words)-1 && n > 0 && strings.HasPrefix(list[i+n], words[n])) {
			n++
		}
		if n == len(words) {
			return true
		}
	}
	return false
}
