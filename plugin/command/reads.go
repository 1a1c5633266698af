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
	// Opaque is what cannot be judged by the words of a command: a shell that is fed by
	// a program, code of another language, words that are made when it runs, and what is
	// longer or deeper than is looked at.
	Opaque
)

var readsNames = [...]string{"token", "credential", "environment", "opaque"}

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

// Names returns the members of the set: "token", "credential", "environment",
// "opaque". The list must not be changed.
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
	maxDirectory = 96
)

// ReadsOf is ReadsWith for a command of which nothing is known but its words.
func ReadsOf(words []string) Reads { return ReadsWith(words, NoInput) }

// ReadsWith says what the command of an exec reads, by its words and by what it is given
// as its input: the paths in them, the commands that show an environment, and whether
// there is something in it that cannot be judged. It reads shell text as far as people
// and tools write it on a command line. It is a hint and no more: who wants to hide a
// read writes it in a way that no reader of text follows. What is not followed is
// [Opaque].
func ReadsWith(words []string, in Stdin) (found Reads) {
	n := 0
	for i, w := range words {
		if n += len(w) + 1; n > maxCommand {
			// What does not fit may be what counts.
			found = Opaque
			if i == 0 {
				words = []string{w[:maxCommand]}
				break
			}
			words = append(slices.Clone(words[:i]), w[:max(0, len(w)-(n-maxCommand))])
			break
		}
	}
	return found | readsOf(&simple{words: words}, "", in, 0)
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
	"runuser": true, "script": true, "dumb-init": true, "catchsegv": true, "flock": true, "parallel": true, "taskset": true, "toybox": true, "unshare": true, "watch": true, "xargs": true,
}

// writers name files that they do not read.
var writers = map[string]bool{
	"[": true, "[[": true, "chgrp": true, "chmod": true, "chown": true, "mkdir": true, "rm": true, "rmdir": true,
	"tee": true, "test": true, "touch": true, "truncate": true, "unlink": true,
}

// copiers read all that lies below a directory. The last path is what most of them
// write to.
var copiers = map[string]bool{
	"7z": true, "7za": true, "ar": true, "bsdtar": true, "cp": true, "cpio": true, "gtar": true, "mv": true, "pax": true, "rsync": true, "scp": true, "star": true,
	"tar": true, "zip": true,
}

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
	// powershellEnvironment lists the environment's drive.
	powershellEnvironment = regexp.MustCompile(`(?i)(?:\$|\b(?:gci|dir|ls|get-childitem)\s+)env:`)
)

// readsOf is ReadsWith for a command in a directory ("" is not known) that others
// run, so many deep.
func readsOf(c *simple, dir string, in Stdin, nested int) (found Reads) {
	words, made := c.words, c.made
	next := func(n int) {
		words = words[n:]
		made = made[min(n, len(made)):]
	}
	for len(words) > 0 && (keywords[words[0]] || variable.MatchString(words[0])) {
		// The value of a variable can be a path.
		found |= readsPaths(words[:1], dir) | readsDecoded(c, words[0])
		next(1)
	}
	found |= readsPaths(c.reads, dir) | readsMetadata("", c.reads)
	if len(words) > 0 && (words[0] == "$@" || words[0] == "$*") {
		// The words behind it, of which the first is the script's name.
		next(1)
		if len(words) > 1 {
			next(1)
		}
	}
	switch {
	case len(words) == 0:
		return found
	case nested >= maxNested:
		return found | Opaque
	case len(made) > 0 && isMade(words[0], made[0]):
		found |= Opaque
	}
	name, args := programName(words[0]), words[1:]
	found |= readsScriptFile(words[0])
	if !shells[name] && !wrappers[name] && name != "eval" && name != "cmd" {
		found |= readsMetadata(name, args) | readsGetter(name, args) | readsDevice(name, args)
	}
	if remoteShell(name, args) || fromList(name, args, c, in) {
		found |= Opaque
	}
	for i, arg := range args {
		if i+1 < len(made) && made[i+1] > 0 {
			found |= readsDecoded(c, arg)
		}
	}
	switch {
	case shells[name]:
		return found | readsShell(name, args, dir, c, in, nested)
	case name == "cmd" && len(args) > 1 && strings.EqualFold(args[0], "/c"):
		return found | readsScript(strings.ReplaceAll(strings.Join(args[1:], " "), `\`, "/"), dir, in, nested+1)
	case name == "eval":
		text := strings.Join(args, " ")
		for i := range args {
			if i+1 < len(made) && made[i+1] > 0 {
				found |= Opaque
			}
		}
		return found | readsScript(text, dir, in, nested+1)
	case name == "cd" || name == "pushd":
		return found | readsPaths(args[max(0, len(args)-1):], dir)
	case name == "." || name == "source":
		if len(args) > 0 {
			found |= readsScriptFile(args[0])
		}
	case environmentOf(name, args):
		found |= ReadsEnvironment
	case wrappers[name]:
		return found | readsWrapped(name, c, words, made, dir, in, nested)
	case writers[name]:
		return found
	case copiers[name]:
		return found | readsCopy(name, args, dir)
	case name == "find":
		return found | readsFind(args, dir, nested)
	case (name == "vim" || name == "vi" || name == "ex") && slices.ContainsFunc(args, func(a string) bool { return strings.Contains(a, "!") }):
		found |= Opaque
	case searchers[name] || name == "grep" || name == "egrep" || name == "fgrep":
		found |= readsSearch(name, args, dir)
	case memoryReaders[name]:
		found |= ReadsEnvironment
	case name == "ps":
		if slices.ContainsFunc(args, func(a string) bool {
			return !strings.HasPrefix(a, "-") && strings.Contains(a, "e") && strings.Trim(a, "aefghjlnrstuvwx") == ""
		}) {
			found |= ReadsEnvironment
		}
	case name == "awk" || name == "gawk" || name == "mawk" || name == "nawk":
		if slices.ContainsFunc(args, func(a string) bool { return strings.Contains(a, "ENVIRON") }) {
			found |= ReadsEnvironment
		}
		if slices.ContainsFunc(args, awkCode.MatchString) && readsProgram(args)|readsPaths(args, dir) == 0 {
			found |= Opaque
		}
	case name == "sed":
		if slices.ContainsFunc(args, sedCode.MatchString) {
			found |= Opaque
		}
	case name == "echo" || name == "printf":
		if slices.ContainsFunc(args, secretVariable.MatchString) {
			found |= ReadsEnvironment
		}
	}
	if code, ok := readsCode(name, args, dir, c, in); ok {
		return found | code
	}
	// What is read from can also stand before the command.
	return found | readsProgram(args) | readsPaths(words, dir)
}

// readsProgram says whether a text of a program in another language reads the
// environment.
func readsProgram(args []string) Reads {
	for _, arg := range args {
		if !strings.ContainsAny(arg, "eE%") {
			continue
		}
		for _, name := range programEnvironment {
			if strings.Contains(arg, name) {
				return ReadsEnvironment
			}
		}
		if strings.Contains(arg, ":") && powershellEnvironment.MatchString(arg) {
			return ReadsEnvironment
		}
	}
	return 0
}

// programEnvironment is how programs in other languages read it.
var programEnvironment = []string{"os.environ", "getenv", "process.env", "%ENV", "$ENV{", "$_ENV", "ENV[", "ENV.", "Deno.env", "GetEnvironmentVariable"}

// readsDecoded says what a word is made of that a script made of another command.
func readsDecoded(c *simple, word string) Reads {
	if c.decoded && strings.Contains(word, output) {
		return Opaque
	}
	return 0
}

// memoryReaders look into other processes.
var memoryReaders = map[string]bool{"gcore": true, "strace": true, "ltrace": true}

// readsWrapped is readsOf for a command that runs another one.
func readsWrapped(name string, c *simple, words []string, made []int, dir string, in Stdin, nested int) Reads {
	args := words[1:]
	host := name == "chroot" || name == "nsenter"
	first := true // no word but options and their values stands before
	for i := range min(len(args), maxWrapped) {
		first = first && (i == 0 || args[i-1] != "" && (args[i-1][0] == '-' || args[i-1][0] >= '0' && args[i-1][0] <= '9') || host && i == 1)
		isUnknown := first && i+1 < len(made) && !strings.HasPrefix(args[i], "-") && isMade(args[i], made[i+1])
		if !isUnknown && !runs(args[i:]) {
			continue
		}
		inner := *c
		inner.words, inner.made = args[i:], nil
		if i+1 < len(made) {
			inner.made = made[i+1:]
		}
		if host && in == Terminal {
			in = Fed // a shell on the host is no everyday work
		}
		if name == "xargs" && c.piped && c.decoded {
			return readsPaths(args[:i], dir) | readsOf(&inner, dir, in, nested+1) | Opaque
		}
		return readsPaths(args[:i], dir) | readsOf(&inner, dir, in, nested+1)
	}
	found := readsPaths(words, dir) | readsProgram(args) | readsMetadata(name, args)
	switch name {
	case "chroot", "nsenter", "unshare":
		// Without a program they run a shell.
		if last := len(args) - 1; in != NoInput && (name != "chroot" && (last < 0 || strings.HasPrefix(args[last], "-")) || name == "chroot" && last == 0) {
			found |= Opaque
		}
	case "sudo", "doas":
		if contains(args, "-s", "-i") && isFed(c, in) {
			found |= Opaque
		}
	}
	return found
}

// runs reports whether words are a command that is judged by its name.
func runs(words []string) bool {
	name := programName(words[0])
	_, code := interpreters[name]
	_, get := getters[name]
	return shells[name] || wrappers[name] || writers[name] || copiers[name] || searchers[name] || deviceReaders[name] || memoryReaders[name] || code || get ||
		name == "find" || name == "eval" || name == "egrep" || name == "fgrep" || name == "awk" || name == "gawk" || name == "mawk" || name == "sed" || name == "ps" ||
		name == "curl" || name == "wget" || name == "echo" || name == "printf" || readsScriptFile(words[0]) != 0 || environmentOf(name, words[1:])
}

// readsFind says what find reads, and what it runs does.
func readsFind(args []string, dir string, nested int) Reads {
	tree, rest := findTrees(args, dir)
	action := findAction(rest)
	if len(action) == 0 {
		return readsPaths(args, dir)
	}
	found := readsPaths(args[:len(args)-len(rest)], dir) | readsPaths(rest[:min(len(rest), maxWrapped)], dir)
	found |= readsOf(&simple{words: action}, dir, NoInput, nested+1)
	if !harmlessActions[programName(action[0])] {
		found |= tree
	}
	return found
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
	if strings.HasSuffix(name, "tar") {
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

// readsScript says what the commands of a shell's text read, whose input in is.
func readsScript(script, dir string, in Stdin, nested int) (found Reads) {
	list, whole := parse(script)
	if !whole {
		found |= Opaque
	}
	decoded := false // a command that decodes writes what goes into another one
	var trees Reads  // what lies below the directories whose files are named by the command before
	for i := range list {
		c := &list[i]
		if !c.piped {
			trees = 0
		}
		c.decoded = decoded
		found |= readsOf(c, dir, in, nested)
		if len(c.words) > 1 && (c.words[0] == "cd" || c.words[0] == "pushd") {
			to := c.words[len(c.words)-1]
			if dir = cmp.Or(join(dir, to), to); len(dir) > maxDirectory {
				dir = ""
			}
		}
		if len(c.words) == 0 {
			continue
		}
		name, args := programName(c.words[0]), c.words[1:]
		decoded = decoder(name, args) && (c.inner || c.feeds) || decoded && (c.inner || c.piped && c.feeds)
		if trees != 0 && takesNames(c.words) {
			found |= trees
		}
		if name == "find" && c.feeds && len(args) > 0 {
			tree, _ := findTrees(args, dir)
			trees |= tree
		}
	}
	return found
}

// takesNames reports whether a command reads the files that it is given the names of.
func takesNames(words []string) bool {
	for i, w := range words[:min(len(words), maxWrapped)] {
		switch programName(w) {
		case "while", "cpio", "tar", "rsync", "zip", "pax", "cat", "read":
			return true
		case "xargs", "parallel":
			for _, a := range words[i+1:] {
				if !strings.HasPrefix(a, "-") && strings.Trim(a, "0123456789{}") != "" {
					return !harmlessActions[programName(a)]
				}
			}
			return false
		}
	}
	return false
}

// readsPaths says what the paths in the arguments of a command are.
func readsPaths(args []string, dir string) (found Reads) {
	for i, arg := range args {
		// A program that is given a key file with an option uses it.
		own := i > 0 && keyOption(args[i-1]) || keyOption(arg)
		// A path can stand in an option, in a redirection, or in the text of
		// a program.
		if strings.Contains(arg, `\`) {
			arg = strings.ReplaceAll(arg, `\`, "/") // of Windows
		}
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
	case strings.Contains(p, "/kubernetes.io~projected/") && base == "token":
		return ReadsToken
	case strings.Contains(p, "/kubernetes.io~secret"):
		return ReadsCredential
	case p == "/run/secrets":
		return ReadsToken | ReadsCredential
	case strings.HasPrefix(p, "/run/secrets/"):
		return ReadsCredential
	case base == "environ" && (strings.Contains(p, "/proc/") || isProcess(path.Base(path.Dir(p)))):
		return ReadsEnvironment
	case credfile.Is(p, own):
		return ReadsCredential
	}
	return 0
}

// isProcess reports whether a directory is that of a process in /proc, wherever that is
// mounted.
func isProcess(directory string) bool {
	return directory == "self" || strings.Trim(directory, "0123456789*?") == ""
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
