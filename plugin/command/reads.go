// SPDX-License-Identifier: Apache-2.0

package command

import (
	"cmp"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/containerapi/containerapi/plugin/credfile"
)

// Reads is what a command reads that is or holds a credential: a set.
type Reads uint8

// What a command can read.
const (
	// ReadsToken is the token of a service account.
	ReadsToken Reads = 1 << iota
	// ReadsCredential is a file made to keep credentials.
	ReadsCredential
	// ReadsEnvironment is the environment of a process.
	ReadsEnvironment
)

var readsNames = [...]string{"token", "credential", "environment"}

// readsLists holds the names of each set.
var readsLists = func() (lists [1 << len(readsNames)][]string) {
	for set := range lists {
		for i, name := range readsNames {
			if set>>i&1 != 0 {
				lists[set] = append(lists[set], name)
			}
		}
	}
	return lists
}()

// Names returns the members of the set: "token", "credential", "environment".
// The list must not be changed.
func (r Reads) Names() []string { return readsLists[int(r)%len(readsLists)] }

// ReadsNamed returns the member of the set with a name, or 0 for another name.
func ReadsNamed(name string) Reads {
	if i := slices.Index(readsNames[:], name); i >= 0 {
		return 1 << i
	}
	return 0
}

const (
	// maxCommand is how much of a command is looked at, in bytes.
	maxCommand = 16 << 10
	// maxNested is how deep commands in commands are followed, and maxWrapped
	// how many words before a command that another one runs.
	maxNested, maxWrapped = 8, 24
	// maxDirectory is the longest path of a directory that commands go to, in bytes.
	maxDirectory = 256
)

// ReadsOf says what the command of an exec reads, by its words: the paths in
// them, and the commands that show an environment. It reads shell text as far
// as people and tools write it on a command line. It is a hint and no more:
// who wants to hide a read writes it in a way that no reader of text follows.
func ReadsOf(words []string) Reads {
	n := 0
	for i, w := range words {
		if n += len(w) + 1; n > maxCommand {
			words = words[:i]
			break
		}
	}
	return readsOf(words, "", 0)
}

// shells take a command as text behind an option with a c in it.
var shells = map[string]bool{
	"sh": true, "ash": true, "bash": true, "dash": true, "ksh": true, "mksh": true, "su": true, "zsh": true,
}

// wrappers run the command that their further words are.
var wrappers = map[string]bool{
	"busybox": true, "builtin": true, "chroot": true, "command": true, "doas": true, "env": true,
	"exec": true, "gosu": true, "ionice": true, "nice": true, "nohup": true, "nsenter": true, "setpriv": true,
	"setsid": true, "stdbuf": true, "su-exec": true, "sudo": true, "time": true, "timeout": true, "tini": true,
	"toybox": true, "unshare": true, "watch": true, "xargs": true,
}

// writers name files that they do not read.
var writers = map[string]bool{
	"[": true, "[[": true, "chgrp": true, "chmod": true, "chown": true, "mkdir": true, "rm": true, "rmdir": true,
	"tee": true, "test": true, "touch": true, "truncate": true, "unlink": true,
}

// copiers read all that lies below a directory. The last path is what most of them
// write to.
var copiers = map[string]bool{"cp": true, "cpio": true, "mv": true, "rsync": true, "scp": true, "tar": true, "zip": true}

// keywords of a shell stand before a command.
var keywords = map[string]bool{
	"!": true, "{": true, "do": true, "elif": true, "else": true, "if": true, "then": true, "until": true, "while": true,
}

var (
	// variable is an assignment before a command.
	variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*=`)
	// secretVariable is $DB_PASSWORD or the like.
	secretVariable = regexp.MustCompile(`(?i)\$\{?[a-z0-9_]*(?:pass|pwd|secret|token|key|cred|auth)`)
	// harmless are variables that hold no secret.
	harmless = regexp.MustCompile(`^(?:PATH|HOME|HOSTNAME|PWD|OLDPWD|USER|LOGNAME|SHELL|SHLVL|LANG|LANGUAGE|LC_\w+|TERM|TZ|TMPDIR|EDITOR|\w+_VERSION|VERSION|KUBERNETES_(?:SERVICE|PORT)\w*)$`)
	// programEnvironment is how programs in other languages read it.
	programEnvironment = regexp.MustCompile(`os\.environ|os\.getenv|process\.env|System\.getenv|%ENV|\$_ENV`)
)

// readsOf is ReadsOf for a command in a directory ("" is not known) that others
// run, so many deep.
func readsOf(words []string, dir string, nested int) (found Reads) {
	for len(words) > 0 && (keywords[words[0]] || variable.MatchString(words[0])) {
		// The value of a variable can be a path.
		found |= readsPaths(words[:1], dir)
		words = words[1:]
	}
	if len(words) == 0 || nested >= maxNested {
		return found
	}
	name, args := path.Base(words[0]), words[1:]
	switch {
	case shells[name]:
		for i, arg := range args {
			if len(arg) > 1 && arg[0] == '-' && arg[1] != '-' && strings.Contains(arg, "c") {
				return found | readsScript(strings.Join(args[i+1:], " "), dir, nested+1)
			}
		}
	case name == "eval":
		return found | readsScript(strings.Join(args, " "), dir, nested+1)
	case environmentOf(name, args):
		found |= ReadsEnvironment
	case wrappers[name]:
		for i := range min(len(args), maxWrapped) {
			inner := path.Base(args[i])
			if shells[inner] || wrappers[inner] || writers[inner] || copiers[inner] || environmentOf(inner, args[i+1:]) {
				return found | readsPaths(args[:i], dir) | readsOf(args[i:], dir, nested+1)
			}
		}
	case writers[name]:
		return found
	case copiers[name]:
		return found | readsCopy(name, args, dir)
	case name == "echo" || name == "printf":
		if slices.ContainsFunc(args, secretVariable.MatchString) {
			found |= ReadsEnvironment
		}
	}
	if slices.ContainsFunc(args, programEnvironment.MatchString) {
		found |= ReadsEnvironment
	}
	// What is read from can also stand before the command.
	return found | readsPaths(words, dir)
}

// dumps reports whether env with these arguments prints the environment: it
// does unless it is told to run a command, or to begin with an empty one.
func dumps(args []string) bool {
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case a == "-" || a == "-i" || a == "--ignore-environment":
			return false
		case a == "-u" || a == "-C":
			i++
		case !strings.HasPrefix(a, "-") && !variable.MatchString(a):
			return false
		}
	}
	return true
}

// environmentOf reports whether a command prints the environment.
func environmentOf(name string, args []string) bool {
	switch name {
	case "printenv":
		names := slices.DeleteFunc(slices.Clone(args), func(a string) bool { return strings.HasPrefix(a, "-") })
		return len(names) == 0 || slices.ContainsFunc(names, func(a string) bool { return !harmless.MatchString(a) })
	case "env":
		return dumps(args)
	case "set":
		return len(args) == 0
	case "export", "declare", "typeset", "readonly":
		return len(args) == 0 || len(args) == 1 && (args[0] == "-p" || args[0] == "-x" || args[0] == "-px" || args[0] == "-xp")
	}
	return false
}

// readsCopy is readsOf for a command that copies directories.
func readsCopy(name string, args []string, dir string) Reads {
	if name == "tar" {
		if len(args) > 0 && strings.Contains(strings.TrimLeft(args[0], "-"), "x") && !strings.HasPrefix(args[0], "--") ||
			slices.Contains(args, "--extract") || slices.Contains(args, "-x") {
			return 0
		}
		// The archive itself is written, and what follows a directory lies in it.
		var found Reads
		for i := 0; i < len(args); i++ {
			if (args[i] == "-C" || args[i] == "--directory") && i+1 < len(args) {
				i++
				dir = join(dir, args[i])
				continue
			}
			found |= readsPaths(args[i:i+1], dir) | readsTree(args[i], dir)
		}
		return found
	}
	if operands := len(args); operands > 1 && name != "zip" && name != "cpio" {
		args = args[:operands-1]
	}
	found := readsPaths(args, dir)
	for _, a := range args {
		found |= readsTree(a, dir)
	}
	return found
}

// readsTree says what lies below a directory that is copied as a whole.
func readsTree(p, dir string) Reads {
	switch strings.Replace(join(dir, p), "/var/run", "/run", 1) {
	case "/", "/run":
		return ReadsToken | ReadsCredential
	}
	return 0
}

// join returns a path in a directory, cleaned; "" where that is not known.
func join(dir, p string) string {
	switch {
	case strings.HasPrefix(p, "/"):
		return path.Clean(p)
	case dir == "" || p == "" || strings.HasPrefix(p, "-"):
		return ""
	}
	return path.Join(dir, p)
}

// readsScript says what the commands of a shell's text read.
func readsScript(script, dir string, nested int) (found Reads) {
	for _, command := range commands(script) {
		if len(command) > 1 && (command[0] == "cd" || command[0] == "pushd") {
			to := command[len(command)-1]
			if dir = cmp.Or(join(dir, to), to); len(dir) > maxDirectory {
				dir = ""
			}
		}
		found |= readsOf(command, dir, nested)
	}
	return found
}

// commands splits a shell's text into its simple commands and their words,
// without quotes, and without what output is redirected to.
func commands(script string) (list [][]string) {
	var (
		command []string
		word    strings.Builder
		begun   bool // word is one, if an empty one
		skip    bool // the next word is where output goes
		quote   byte
		outer   []byte // the quotes around each command substitution
		ticks   bool   // one of them is in backticks
	)
	endWord := func() {
		if begun && !skip {
			command = append(command, word.String())
		}
		skip = skip && !begun
		begun = false
		word.Reset()
	}
	endCommand := func() {
		endWord()
		skip = false
		if len(command) > 0 {
			list = append(list, command)
		}
		command = nil
	}
	for i := 0; i < len(script); i++ {
		c := script[i]
		switch {
		case quote == '\'' && c != '\'':
			word.WriteByte(c)
		case quote == c && c != 0:
			quote = 0
		case c == '\\' && i+1 < len(script):
			i++
			if script[i] != '\n' {
				begun = true
				word.WriteByte(script[i])
			}
		case c == '$' && strings.HasPrefix(script[i:], "$("):
			i++
			endCommand()
			outer = append(outer, quote)
			quote = 0
		case c == '`' && ticks && len(outer) > 0:
			endCommand()
			quote, outer, ticks = outer[len(outer)-1], outer[:len(outer)-1], false
		case c == '`':
			endCommand()
			outer = append(outer, quote)
			quote, ticks = 0, true
		case quote != 0:
			word.WriteByte(c)
		case c == '\'' || c == '"':
			quote, begun = c, true
		case c == ')':
			endCommand()
			if n := len(outer); n > 0 {
				quote, outer = outer[n-1], outer[:n-1]
			}
		case c == ';' || c == '|' || c == '&' || c == '\n' || c == '(':
			endCommand()
		case c == '<' || c == '>':
			if strings.Trim(word.String(), "0123456789") == "" {
				begun = false // the number of a file
				word.Reset()
			}
			endWord()
			skip = c == '>'
		case c == ' ' || c == '\t' || c == '\r':
			endWord()
		default:
			begun = true
			word.WriteByte(c)
		}
	}
	endCommand()
	return list
}

// readsPaths says what the paths in the arguments of a command are.
func readsPaths(args []string, dir string) (found Reads) {
	for i, arg := range args {
		// A program that is given a key file with an option uses it.
		own := i > 0 && keyOption(args[i-1]) || keyOption(arg)
		// A path can stand in an option, in a redirection, or in the text of
		// a program.
		for p := range strings.FieldsFuncSeq(arg, func(c rune) bool { return strings.ContainsRune(" \t\r\n\"'`(),;<>=@|&:", c) }) {
			found |= readsPath(p, own)
			if dir != "" && !strings.HasPrefix(p, "/") && !strings.HasPrefix(p, "-") {
				found |= readsPath(path.Join(dir, p), own)
			}
		}
	}
	return found
}

// keyOption reports whether a word is an option for a program's own key or
// certificate.
func keyOption(arg string) bool {
	name, _, _ := strings.Cut(arg, "=")
	if !strings.HasPrefix(name, "-") {
		return false
	}
	name = strings.ToLower(name)
	return name == "-kt" || strings.HasSuffix(name, "keytab") || strings.HasSuffix(name, "key") || strings.HasSuffix(name, "key-file") || strings.Contains(name, "cert") ||
		strings.HasPrefix(strings.TrimLeft(name, "-"), "ca")
}

// globbed are the paths that patterns are tried on.
var globbed = []string{
	"/run/secrets/kubernetes.io/serviceaccount/token", "/run/secrets/kubernetes.io/serviceaccount",
	"/run/secrets/kubernetes.io", "/run/secrets/secret", "/etc/shadow", "/etc/kubernetes/admin.conf",
	"/root/.aws/credentials", "/root/.docker/config.json", "/root/.kube/config", "/root/.netrc",
	"/root/.ssh/id_rsa", "/root/.ssh/id_ed25519", "/home/user/.aws/credentials", "/home/user/.kube/config",
	"/home/user/.ssh/id_rsa", "/home/user/.ssh/id_ed25519", "/proc/1/environ",
}

// readsPath says what a path is. own says that a program is given it as its own
// key or certificate.
func readsPath(p string, own bool) Reads {
	if !strings.HasPrefix(p, "/") {
		p = "/" + p // an unknown directory, ~ or $HOME
	}
	p = path.Clean(p)
	if rest, ok := strings.CutPrefix(p, "/var/run"); ok {
		p = "/run" + rest
	}
	if strings.ContainsAny(p, "*?[") {
		if found := readsPattern(p); found != 0 {
			return found
		}
	}
	base := path.Base(p)
	switch {
	case strings.Contains(p, "serviceaccount/token") || strings.Contains(p, "/secrets/kubernetes.io") || strings.Contains(p, "serviceaccount") && strings.Contains(p, "/secrets/"):
		if base == "ca.crt" || base == "namespace" {
			return 0
		}
		return ReadsToken
	case p == "/run/secrets":
		return ReadsToken | ReadsCredential
	case strings.HasPrefix(p, "/run/secrets/"):
		return ReadsCredential
	case base == "environ" && strings.Contains(p, "/proc/"):
		return ReadsEnvironment
	case credfile.Is(p, own):
		return ReadsCredential
	}
	return 0
}

// readsPattern says what a path with wildcards matches.
func readsPattern(pattern string) (found Reads) {
	for _, p := range globbed {
		ok, _ := path.Match(pattern, p)
		if !ok && strings.HasPrefix(p, "/run/") {
			ok, _ = path.Match(pattern, "/var"+p)
		}
		if ok {
			found |= readsPath(p, false)
		}
	}
	return found
}
