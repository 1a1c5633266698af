// SPDX-License-Identifier: Apache-2.0

package command

// maxName is how much of a name is looked at, in bytes, from its end: that is where
// it says what it names.
const maxName = 64

// anywhere are words that make a name one of a secret wherever they stand in it,
// written as one: "dbPassword", "client_secret". They are looked for by their first
// letter.
var anywhere = byFirst(
	"passw", "passphrase", "passcode", "pwd", "secret", "token", "credential", "apikey", "accesskey", "privatekey",
	"authkey", "encryptionkey", "signingkey", "masterkey", "sharedkey", "accountkey", "storagekey", "deploykey",
	"licensekey", "requirepass", "masterauth", "connectionstring", "cookie", "bearer", "signature", "authorization",
	"sessionid", "sessionkey", "webhookurl",
)

// parts are words that do so as a part of their own: "DB_PASS", "x-auth".
var parts = set("pass", "pw", "key", "keys", "auth", "oauth", "cred", "creds", "sig", "otp", "totp", "pin", "psk", "sas", "session",
	"jwt", "salt", "dsn", "hmac", "passwds", "sid", "authtok", "community")

// mayBePart are the bytes that parts begin with, and maxPart the length of the longest.
var mayBePart, maxPart = func() (first [256]bool, longest int) {
	for part := range parts {
		first[part[0]] = true
		longest = max(longest, len(part))
	}
	return first, longest
}()

// ends are words that do so at the end of one: "PGPASS", "SMTPAUTH".
var ends = []string{"pass", "apikey", "auth"}

// about are words that say at the end of a name that it is not the secret itself:
// "token_type", "secretName", "max-tokens".
var about = set(
	"file", "files", "path", "dir", "directory", "name", "names", "type", "ttl", "stdin", "length", "len", "size", "count", "policy",
	"endpoint", "host", "port", "enabled", "required", "method", "mode", "provider", "version", "expiry", "expires", "expiration",
	"lifetime", "issuer", "audience", "format", "prompt", "class", "url", "uri", "domain", "algorithm", "alg", "store", "driver", "ref",
	"mount", "volume", "namespace", "manager", "service", "plugin", "reviews", "age", "engine",
)

// counting are words that say so at its beginning.
var counting = set("max", "min", "num", "no", "without", "list", "skip", "ignore", "public", "pub", "primary", "foreign", "sort", "partition")

// innocent are names that hold one of the words by chance, or say who and not
// what.
var innocent = set("author", "authors", "authority", "tokenizer", "tokenize", "secretary", "compass", "bypass", "passive", "keyboard",
	"authenticationdatabase", "pubkey", "publickey", "hotkey", "donkey", "monkey", "turkey", "whiskey", "pwdx", "oldpwd", "tokens")

func set(words ...string) map[string]bool {
	m := make(map[string]bool, len(words))
	for _, w := range words {
		m[w] = true
	}
	return m
}

func byFirst(words ...string) (index [26][]string) {
	for _, w := range words {
		index[w[0]-'a'] = append(index[w[0]-'a'], w)
	}
	return index
}

// secretName reports whether what has this name is a secret, by the words of the
// name: "DB_PASSWORD", "--api-token", "X-Vault-Token", "dbPassword".
func secretName(name string) bool {
	if len(name) < 2 {
		return false
	}
	name = name[max(0, len(name)-maxName):]
	var lower, joined [maxName]byte
	var last, first []byte // parts
	n, start := 0, 0
	found := false
	end := func(to int) {
		if start == to {
			return
		}
		last = lower[start:to]
		if first == nil {
			first = last
		}
		found = found || mayBePart[last[0]] && len(last) <= maxPart && parts[string(last)]
		start = to
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= 'A' && c <= 'Z':
			lower[i] = c + 'a' - 'A'
			// "dbPassword" has two parts, "PASSWORD" one.
			if i > 0 && name[i-1] >= 'a' && name[i-1] <= 'z' {
				end(i)
			}
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
			lower[i] = c
		default:
			lower[i] = c
			end(i)
			start = i + 1
			continue
		}
		joined[n] = lower[i]
		n++
	}
	end(len(name))
	// Most names are none, which is known without looking at the lists.
	return (found || holdsWord(joined[:n])) && !innocent[string(joined[:n])] && !about[string(last)] && !counting[string(first)]
}

// holdsWord reports whether a name without its separators holds one of the words.
func holdsWord(name []byte) bool {
	for _, word := range ends {
		if len(name) > len(word) && string(name[len(name)-len(word):]) == word {
			return true
		}
	}
	for i, c := range name {
		if c < 'a' || c > 'z' {
			continue
		}
		for _, word := range anywhere[c-'a'] {
			if len(name)-i >= len(word) && string(name[i:i+len(word)]) == word {
				return true
			}
		}
	}
	return false
}

// harmlessValues are values that a secret does not have: they switch something on
// or off, or choose how it is to be done.
var harmlessValues = set(
	"true", "false", "yes", "no", "on", "off", "none", "null", "nil", "auto", "always", "never", "basic", "default", "required",
	"optional", "enabled", "disabled", "prompt", "ask", masked, "if-tty", "bearer", "digest", "scram", "md5", "trust", "peer",
)

// isHarmless reports whether a value is shown even beside a name of a secret.
func isHarmless(value string) bool {
	if len(value) <= 1 || len(value) <= 16 && harmlessValues[value] {
		return true
	}
	return isPath(value)
}

// tops are the directories that paths begin with. A secret can begin with a slash,
// too.
var tops = set(
	"app", "apps", "bin", "boot", "code", "config", "data", "dev", "etc", "home", "host", "hostfs", "lib", "lib64", "media", "mnt",
	"opt", "private", "proc", "root", "rootfs", "run", "sbin", "secrets", "src", "srv", "sys", "tmp", "usr", "var", "vault",
	"work", "workspace", "certs", "keys", "tls", "ssl", "snap", "nix", "Users", "Library", "backup", "backups", "mount", "bitnami", "entrypoint",
)

// isPath reports whether a value is the path of a file.
func isPath(value string) bool {
	switch {
	case value == "":
		return false
	case value[0] == '~' || value[0] == '.':
		rest := value[1:]
		if len(rest) > 0 && rest[0] == '.' {
			rest = rest[1:]
		}
		return len(rest) > 0 && rest[0] == '/' && !isRandomPath(value)
	case value[0] != '/':
		return false
	}
	top := value[1:]
	for i := range top {
		if top[i] == '/' || top[i] == ':' {
			top = top[:i]
			break
		}
		if i > 16 {
			return false
		}
	}
	return (value == "/" || tops[top]) && !isRandomPath(value)
}

// isRandomPath reports whether a part of a path looks made of random bytes.
func isRandomPath(path string) bool {
	for begin := 0; begin < len(path); {
		end := begin
		for end < len(path) && path[end] != '/' {
			end++
		}
		if isRandom(path[begin:end]) {
			return true
		}
		begin = end + 1
	}
	return false
}

// minRandom is the shortest text that is called random, in bytes.
const minRandom = 20

// isRandom reports whether a text of letters and digits looks like random bytes in
// base64 or base62: small and large letters and digits that take turns. Words do
// not, whatever way they are joined, nor do the hexadecimal digits of ids.
func isRandom(s string) bool {
	return len(s) >= minRandom && changing(s, 40)
}

// changing reports whether a text has small and large letters and digits, and so
// many percent of its characters are of another kind than the one before.
func changing(s string, percent int) bool {
	var lower, upper, digits, changes int
	var before byte
	for i := range len(s) {
		var kind byte
		switch c := s[i]; {
		case c >= 'a' && c <= 'z':
			lower++
			kind = 1
		case c >= 'A' && c <= 'Z':
			upper++
			kind = 2
		case c >= '0' && c <= '9':
			digits++
			kind = 3
		default:
			continue
		}
		if kind != before {
			changes++
		}
		before = kind
	}
	return lower > 1 && upper > 1 && digits > 0 && changes*100 >= percent*len(s)
}
