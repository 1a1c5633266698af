// SPDX-License-Identifier: Apache-2.0

package command

import "strings"

// script hides what is secret in a shell's text.
func (m *masker) script(t *source) {
	p := splitter{t: t, a: m.arena, first: len(m.list)}
	defer func() { m.list = m.list[:p.first] }()
	var before []*word  // the command before, if this one reads its output
	var document string // what ends a document that is read now
	for {
		words, end := p.next()
		if document != "" && (end != 0 || len(words) > 0) {
			document = hideDocument(words, document)
			continue
		}
		if len(before) > 0 {
			fed(before, words)
		}
		m.command(words)
		for _, w := range words {
			if w.at != nil {
				// Its quotes kept the scan of the line from reading it.
				scanText(w.content, false, w)
			}
			m.inside(w, t.depth)
		}
		document = documentOf(words)
		before = before[:0]
		if end == '|' {
			before = append(before[:0], printed(words)...)
		}
		if end == 0 {
			if n := len(words); n > 0 && words[n-1].content == ellipsis {
				// What reads it was cut off.
				hidePrinted(printed(words))
			}
			return
		}
	}
}

// documentOf returns the word that ends the document that a command reads, cmd <<
// END, if it is one that may consist of secrets.
func documentOf(words []*word) string {
	for i, w := range words {
		end, ok := strings.CutPrefix(w.content, "<<")
		if !ok || strings.HasPrefix(end, "<") || readsText[base(words[0].content)] {
			continue
		}
		end = strings.TrimPrefix(end, "-")
		if end == "" && i+1 < len(words) {
			end = words[i+1].content
		}
		// Where the lines of the document are not apart, it begins here.
		if rest := words[i+1:]; end != "" && hideDocument(rest, end) == "" {
			return ""
		}
		return end
	}
	return ""
}

// hideDocument hides the words of a document up to the one that ends it, and
// returns the latter if it did not come.
func hideDocument(words []*word, end string) string {
	for _, w := range words {
		if w.content == end {
			return ""
		}
		if !strings.HasPrefix(w.content, ">") {
			w.hideAll()
		}
	}
	return end
}

// inside looks at a word that may be a command itself.
func (m *masker) inside(w *word, depth int) {
	if strings.IndexByte(w.content, '%') >= 0 {
		e := unescape(w)
		scanText(e.content, false, e)
	}
	// A word of a shell's text has blanks only within quotes.
	if !(w.literal || w.at != nil) || !strings.ContainsAny(w.content, " \t\n;|") {
		return
	}
	if depth == maxDepth {
		w.hideAll()
		return
	}
	w.script = source{s: w.content, of: w, depth: depth + 1}
	m.script(&w.script)
}

// base returns the last part of a path.
func base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// prints are the commands that print what they are given.
var prints = set("echo", "printf", "print")

// printed returns the words of a command that prints, beginning with it, or none.
func printed(words []*word) []*word {
	for i, w := range words {
		if prints[w.content] {
			return words[i:]
		}
		if i == 0 && !wraps[base(w.content)] || i > 4 {
			break
		}
	}
	return nil
}

// readsText are programs that read a text and no secret.
var readsText = set("grep", "egrep", "fgrep", "cat", "tee", "wc", "sed", "awk", "tr", "cut", "head", "tail", "sort", "uniq", "less", "more", "xargs",
	"nl", "column", "rev", "od", "xxd", "hexdump", "fold", "mail", "logger", "dd", "nc", "socat", "crontab", "at", "bc", "dc", "jq", "yq", "sh", "bash", "ash", "dash", "zsh", "tac", "write", "wall")

// fed looks at what is printed for another program: what a program that does not
// read text reads is a password, or what one is made of.
func fed(printed, words []*word) {
	if len(words) == 0 {
		return
	}
	reader := base(words[0].content)
	if readsText[reader] {
		return
	}
	if wraps[reader] {
		for _, w := range words[1:] {
			if w.content == "-S" || w.content == "--stdin" { // sudo's
				break
			}
			if readsText[base(w.content)] {
				return
			}
		}
	}
	hidePrinted(printed)
}

// hidePrinted hides what a command prints.
func hidePrinted(words []*word) {
	if len(words) == 0 {
		return
	}
	for _, w := range words[1:] {
		if c := w.content; !strings.HasPrefix(c, "-") && !isPath(c) && c != "" && !isReference(c) {
			w.hideAll()
		}
	}
}

// keywords that stand before a command, and may stand before an assignment.
var before = set("!", "{", "do", "elif", "else", "if", "then", "until", "while", "export", "declare", "typeset", "readonly", "local", "setenv")

// shown are variables that hold no secret.
var ordinary = set("PATH", "HOME", "HOSTNAME", "PWD", "OLDPWD", "USER", "LOGNAME", "SHELL", "SHLVL", "LANG", "LANGUAGE", "LC_ALL", "TERM", "TZ", "TMPDIR",
	"EDITOR", "DISPLAY", "DEBIAN_FRONTEND", "PS1", "IFS", "DOCKER_BUILDKIT", "GOOS", "GOARCH", "KUBECONFIG", "DOCKER_CONFIG", "PAGER", "COLUMNS", "LINES")

// judge is the state of a simple command while its words are looked at.
type judge struct {
	p *program
	// name is the program, wraps that it runs another one, named by a later word.
	name  string
	wraps bool
	// pending is how the next word is to be hidden.
	pending mode
	// place is where the word stands among those that are no options, and seen where
	// the words stood that places of the program are counted from.
	place int
	seen  [maxPlaces]int
	last  string // the word before, in small letters
	// identified says that SQL's IDENTIFIED was read.
	identified bool
	// login and secret say that the words login and password were read.
	login, secret bool
}

// command hides what is secret in the words of a simple command.
func (m *masker) command(words []*word) {
	j := judge{p: &noProgram}
	for i, w := range words {
		j.word(w, i, words)
	}
}

func (j *judge) word(w *word, i int, words []*word) {
	c := w.content
	if j.pending != none && c != "<<<" {
		mode := j.pending
		j.pending = none
		// An option that looks like a secret's may be followed by another one.
		if !(mode == maybe && (strings.HasPrefix(c, "-") || isHarmless(c))) {
			j.hide(mode, w, 0)
			j.last = ""
			return
		}
	}
	switch {
	case c == "":
		return
	case j.name == "" && before[c]:
	case j.name == "" && isAssignment(c):
		j.assignment(w)
	case j.name == "":
		j.program(c)
	case c[0] == '-' && len(c) > 1 || c[0] == '/' && j.p.slashes:
		j.option(w)
		j.last = ""
		return
	case strings.HasPrefix(c, "<<<"):
		j.herestring(w)
	default:
		j.argument(w, i, words)
	}
	j.last = c
}

// program begins the command of a program.
func (j *judge) program(c string) {
	j.name = base(c)
	j.wraps = wraps[j.name]
	j.place, j.seen = 0, [maxPlaces]int{}
	j.p = &noProgram
	if p := programs[j.name]; p != nil {
		j.p = p
	}
}

// herestring looks at cmd <<< text.
func (j *judge) herestring(w *word) {
	j.pending = none
	if readsText[j.name] && !strings.HasSuffix(j.name, "sh") {
		return
	}
	if len(w.content) > 3 {
		w.hide(3, len(w.content))
	} else {
		j.pending = all
	}
}

// isAssignment reports whether a word is name=value, as before a command.
func isAssignment(c string) bool {
	n := nameLength(c)
	if n < len(c) && c[n] == '+' {
		n++
	}
	return n > 0 && n < len(c) && c[n] == '=' && (n+1 == len(c) || c[n+1] != '=')
}

// nameLength returns the length of the name that a word begins with.
func nameLength(c string) int {
	if c == "" || c[0] >= '0' && c[0] <= '9' || c[0] == '.' || c[0] == '-' {
		return 0
	}
	n := 0
	for n < len(c) && classes[c[n]]&inName != 0 {
		n++
	}
	return n
}

// assignment hides the value of name=value, but what is no secret by its form.
func (j *judge) assignment(w *word) {
	c := w.content
	eq := strings.IndexByte(c, '=')
	if eq < 0 || eq+1 == len(c) {
		return
	}
	name, value := strings.TrimSuffix(c[:eq], "+"), c[eq+1:]
	switch {
	case ordinary[name], isHarmless(value), value[0] == '{' || value[0] == '[', !w.literal && isReference(value):
	case value[0] == '/' && !secretName(name) && !isRandomPath(value):
	case strings.Contains(value, "://") && !secretName(name):
		// What is secret in a URL is seen to.
	default:
		w.hide(eq+1, len(c))
	}
}

// option looks at an option.
func (j *judge) option(w *word) {
	c := w.content
	name, eq := c, strings.IndexByte(c, '=')
	if j.p.slashes && eq < 0 {
		eq = strings.IndexByte(c, ':')
	}
	if eq > 0 {
		name = c[:eq]
	}
	if m, ok := j.p.options[name]; ok {
		if m == attached && eq < 0 {
			return
		}
		if eq > 0 {
			j.hide(m, w, eq+1)
		} else {
			j.pending = m
		}
		return
	}
	if m, n := j.p.short(c); n > 0 {
		if n < len(c) {
			if c[n] == '=' {
				n++
			}
			j.hide(m, w, n)
		} else if m != attached {
			j.pending = m
		}
		return
	}
	m, named := general[name]
	switch {
	case named:
	case strings.HasPrefix(name, "-D") && eq > 0 && secretName(name[2:]), secretName(strings.TrimLeft(name, "-")):
		m = maybe
	default:
		return
	}
	switch {
	case eq > 0 && m == maybe && (isHarmless(c[eq+1:]) || !w.literal && isReference(c[eq+1:])):
	case eq > 0:
		j.hide(m, w, eq+1)
	default:
		j.pending = m
	}
}

// argument looks at a word that is no option.
func (j *judge) argument(w *word, i int, words []*word) {
	c := w.content
	last := j.last
	if len(last) <= 10 { // as long as the words below
		last = strings.ToLower(last)
	}
	// SQL, and what else is written in words.
	switch upper := c; {
	case len(c) == 10 && strings.EqualFold(upper, "identified"):
		j.identified = true
	case j.identified && (last == "by" || last == "as" || last == "using") && !strings.EqualFold(c, "password") && !strings.EqualFold(c, "values"):
		w.hideAll()
		return
	case last == "password" && j.login: // of a .netrc
		w.hideAll()
		return
	case (last == "password" || last == "passwd" || last == "passphrase") && !readsText[j.name] && !isHarmless(c) && !isReference(c):
		w.hideAll() // of a program that nobody here knows
		return
	case i >= 2 && words[i-2].content == "--arg" && pairName(j.last): // of jq
		w.hideAll()
		return
	case w.quoted && (last == "password" || last == "passwd" || last == "passphrase" || last == "secret" || last == "="):
		if last != "=" || j.secret || i >= 2 && secretName(words[i-2].content) {
			w.hideAll()
			return
		}
	}
	j.secret = j.secret || last == "password"
	j.login = j.login || last == "login"
	j.place++
	if j.hideByPlace(w) {
		return
	}
	switch {
	case j.p.named && i > 0 && j.place > 1 && pairName(j.last) && !isHarmless(c):
		w.hideAll()
	case isAssignment(c):
		if !j.p.operands {
			j.assignment(w)
		}
	case j.wraps || strings.HasPrefix(j.last, "-exec"):
		if name := base(c); (programs[name] != nil || wraps[name]) && (name == c || strings.HasSuffix(c[:len(c)-len(name)], "bin/")) {
			j.program(c)
		}
	}
}

// hideByPlace hides an argument that is a secret by its place, and reports whether
// it is.
func (j *judge) hideByPlace(w *word) bool {
	c := w.content
	if sub := j.p.subcommands[c]; sub != nil && j.place <= 3 {
		j.p, j.place, j.seen = sub, 0, [maxPlaces]int{}
		return false
	}
	for k, r := range j.p.places {
		n := j.place - j.seen[k]
		if r.after != "" && j.seen[k] == 0 {
			if len(c) >= len(r.after) && strings.EqualFold(c[:len(r.after)], r.after) && (len(c) == len(r.after) || c[len(r.after)] == '.') {
				j.seen[k] = j.place
			}
			continue
		}
		if n == r.from || r.all && n > r.from {
			j.hide(r.mode, w, 0)
			return true
		}
	}
	return false
}

// pairName reports whether a word names a secret that the next one is: "requirepass",
// "//registry.npmjs.org/:_authToken", "aws_secret_access_key".
func pairName(c string) bool {
	c = strings.ToLower(c[strings.LastIndexByte(c, '/')+1:])
	switch c {
	case "secret", "secrets", "token", "tokens", "auth", "key", "keys", "session", "credentials", "credential":
		return false
	}
	return secretName(c) && !strings.HasPrefix(c, "-")
}

// hide hides the value that begins at from in a word.
func (j *judge) hide(m mode, w *word, from int) {
	c := w.content
	value := c[from:]
	if value == "" || value == masked {
		return
	}
	at := func(sign string) {
		if i := strings.IndexAny(value, sign); i >= 0 && i+1 < len(value) {
			w.hide(from+i+1, len(c))
		}
	}
	switch m {
	case plain:
	case colon:
		at(":")
	case percent:
		at("%")
	case comma:
		at(",")
	case slash:
		if i := strings.IndexByte(value, '/'); i >= 0 {
			end := strings.LastIndexByte(value, '@')
			if end < i {
				end = len(value)
			}
			w.hide(from+i+1, from+end)
		}
	case assigned:
		j.assigned(w, from)
	case header:
		if i := strings.IndexByte(value, ':'); i >= 0 {
			if name := strings.ToLower(value[:i]); !plainHeaders[name] {
				for i++; i < len(value) && value[i] == ' '; i++ {
				}
				// The scheme is no secret: Bearer, Basic.
				if n := strings.IndexByte(value[i:], ' '); n > 0 && n <= 24 && schemes[strings.ToLower(value[i:i+n])] {
					i += n + 1
				}
				if i < len(value) {
					w.hide(from+i, len(c))
				} else {
					// The quotes were lost.
					j.pending = headerValue
				}
			}
		} else if i := strings.IndexByte(value, '='); i >= 0 {
			w.hide(from+i+1, len(c))
		}
	case headerValue:
		if len(value) <= 24 && schemes[strings.ToLower(value)] {
			j.pending = headerValue
			return
		}
		w.hide(from, len(c))
	case body:
		j.body(w, from)
	case mountOptions:
		j.options(w, from)
	case opensslPass:
		if i := strings.IndexByte(value, ':'); i < 0 || value[:i] == "pass" {
			w.hide(from+i+1, len(c))
		}
	case maybe:
		if !isHarmless(value) {
			w.hide(from, len(c))
		}
	case unlessPath:
		if !isPath(value) && !strings.HasPrefix(value, "@") {
			w.hide(from, len(c))
		}
	default:
		if !w.literal && isReference(value) {
			return
		}
		w.hide(from, len(c))
	}
}

// assigned hides the value of name=value.
func (j *judge) assigned(w *word, from int) {
	c := w.content
	eq := strings.IndexByte(c[from:], '=')
	if eq < 0 || from+eq+1 == len(c) {
		return
	}
	name, value := c[from:from+eq], c[from+eq+1:]
	if ordinary[name] || value == masked || isPath(value) && !strings.ContainsAny(value, " ") || !w.literal && isReference(value) || strings.Contains(value, "://") && !secretName(name) {
		return
	}
	w.hide(from+eq+1, len(c))
}

// plainHeaders are headers of HTTP that hold no secret, in small letters.
var plainHeaders = set("accept", "accept-encoding", "accept-language", "cache-control", "connection", "content-encoding", "content-length", "content-type", "date",
	"expect", "from", "host", "if-modified-since", "if-none-match", "origin", "range", "referer", "user-agent", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host",
	"metadata-flavor", "metadata", "x-aws-ec2-metadata-token-ttl-seconds", "x-requested-with", "x-vault-namespace", "x-vault-request", "upgrade", "transfer-encoding", "x-real-ip", "x-registry-config-version")

// body hides what is secret in what a client sends: all of a form's values and of
// what has no form. Of JSON the scan finds what there is; a file is no secret.
func (j *judge) body(w *word, from int) {
	c := w.content
	value := c[from:]
	switch {
	case value[0] == '{' || value[0] == '[' || value[0] == '@' || value[0] == '<':
	case !strings.Contains(value, "="):
		w.hide(from, len(c))
	default:
		for i := from; i < len(c); {
			end := i
			for end < len(c) && c[end] != '&' {
				end++
			}
			if eq := strings.IndexByte(c[i:end], '='); eq >= 0 && i+eq+1 < end && c[i+eq+1] != '@' {
				w.hide(i+eq+1, end)
			}
			i = end + 1
		}
	}
}

// plainOptions are options of mount(8) that say what kind of a mount it is.
var plainOptions = set("uid", "gid", "forceuid", "forcegid", "file_mode", "dir_mode", "mode", "size", "device", "volume-driver", "vers", "sec", "rsize", "wsize", "timeo", "retrans", "port", "proto", "lowerdir", "upperdir", "workdir",
	"type", "source", "src", "target", "dst", "destination", "bind", "readonly", "addr", "ip", "domain", "dom", "nolock", "soft", "hard", "umask", "fmask", "dmask", "iocharset", "errors", "data", "subvol", "nfsvers", "username", "user", "credentials", "cred", "volume-opt", "tmpfs-size", "bind-propagation", "consistency", "propagation", "id", "name", "driver")

// options hides the values of options of a mount that are not plain.
func (j *judge) options(w *word, from int) {
	c := w.content
	if strings.HasPrefix(c[from:], "o=") {
		from += len("o=")
	}
	for i := from; i < len(c); {
		end := i
		for end < len(c) && c[end] != ',' {
			end++
		}
		eq := strings.IndexByte(c[i:end], '=')
		if eq >= 0 && i+eq+1 < end && !plainOptions[c[i:i+eq]] && !isHarmless(c[i+eq+1:end]) {
			w.hide(i+eq+1, end)
		}
		i = end + 1
	}
}
