// SPDX-License-Identifier: Apache-2.0

package command

import "strings"

// A hider is told what of a text is not to be shown.
type hider interface{ hide(from, to int) }

// What a byte of a text can begin or end.
const (
	inName    uint8 = 1 << iota // letters, digits and _ - .
	isSpace                     // also what separates lines
	endsValue                   // ends a value that is not in quotes
	isSign                      // a sign that the scan looks at
)

var classes = func() (of [256]uint8) {
	for c := range of {
		switch b := byte(c); {
		case members[b]&letters != 0 || b == '_' || b == '-' || b == '.':
			of[c] = inName
		case b <= ' ' || b == 0x7f:
			of[c] = isSpace | endsValue
		}
	}
	for _, c := range "&;,\"')}]|<>`\\" {
		of[c] |= endsValue
	}
	for _, c := range "$@{?'\":" {
		of[c] |= isSign
	}
	return of
}()

// plainParameters are parameters of a URL's query whose values are shown wherever
// they stand: they choose, and hold nothing.
var plainParameters = set("limit", "follow", "tail", "stdout", "stderr", "stdin", "tty", "watch", "pretty", "timestamps", "format", "page", "per_page", "sslmode")

// scan finds what may be secret in a text of any kind: tokens of known formats,
// what stands beside a name of a secret (name=value, "name": "value", a header),
// the user in a URL, the values of its query, keys in PEM, and long random
// text. It goes through the text once.
type scan struct {
	s  string
	to hider
	// identity says that the text is the name of somebody or something, in which
	// a colon separates parts, and which can be an opaque id.
	identity bool

	// The last name: [nameFrom, nameTo), 0 if there is none.
	nameFrom, nameTo int
	// colon is the last one in a word, behind which a password can stand that an
	// @ ends; -1 if there is none.
	colon int
	// word is where the word begins.
	word int
	// url says that the word is one, or a path; query that its query has begun.
	url, query bool
	// at is where the next @ is, so that it is not looked for twice.
	at int
	// wordEnd is a place where a word ends, and none before it since the last one.
	wordEnd int
	// tried is up to where a key of AWS was looked for.
	tried int
}

// scanText hides what may be secret in a text.
func scanText(s string, identity bool, to hider) {
	t := scan{s: s, to: to, identity: identity, colon: -1, at: -1}
	for i := 0; i < len(s); {
		class := classes[s[i]]
		switch {
		case class&inName != 0:
			i = t.name(i)
		case class&isSpace != 0:
			i++
			t.url, t.query, t.colon, t.word = false, false, -1, i
		case class&isSign != 0:
			i = t.sign(i)
		case s[i] == '%' && i+2 < len(s) && members[s[i+1]]&members[s[i+2]]&hexDigits != 0:
			i += 3 // an escaped character, and no part of what follows
		default:
			if c := s[i]; c == '/' || c == '=' || c == ',' {
				t.colon, t.word = -1, i+1
			}
			i++
		}
	}
}

// name takes a run of letters, digits and _ - . and returns where to go on.
func (t *scan) name(i int) int {
	s := t.s
	begin, fresh := i, true
	for i < len(s) && classes[s[i]]&inName != 0 {
		c := s[i]
		if fresh && i+1 < len(s) && mayBegin(c, s[i+1]) {
			if n := known(s[i:]); n > 0 {
				t.to.hide(i, i+n)
				t.nameTo = 0
				return i + n
			}
		}
		fresh = members[c]&letters == 0
		if c == '-' && strings.HasPrefix(s[i:], "-----BEGIN ") {
			return t.pem(i)
		}
		i++
	}
	if from, to := structured(s, begin, i); to > 0 {
		t.to.hide(from, to)
		t.nameTo = 0
		return to
	}
	t.nameFrom, t.nameTo = begin, i
	if !t.identity {
		if i-begin >= minRandom {
			t.random(begin, i)
		}
		if i < len(s) && (s[i] == '/' || s[i] == '+') && begin >= t.tried {
			t.awsKey(begin)
		}
	}
	if i < len(s) {
		return t.value(begin, i)
	}
	return i
}

// random hides the random parts of a run.
func (t *scan) random(from, to int) {
	for begin := from; begin < to; {
		end := begin
		for end < to && t.s[end] != '.' {
			end++
		}
		if isRandom(t.s[begin:end]) {
			t.to.hide(begin, end)
		}
		begin = end + 1
	}
}

// awsKey hides a secret key of AWS: 40 characters of base64.
func (t *scan) awsKey(from int) {
	end := from
	for end < len(t.s) && members[t.s[end]]&base64 != 0 {
		end++
	}
	t.tried = end
	if end-from == 40 && (from == 0 || classes[t.s[from-1]]&inName == 0 && t.s[from-1] != '/') && changing(t.s[from:end], 33) {
		t.to.hide(from, end)
	}
}

// pem hides a private key, whole or cut, and returns where to go on.
func (t *scan) pem(i int) int {
	const end = "-----END"
	head := t.s[i:min(len(t.s), i+64)]
	if !strings.Contains(head, "PRIVATE KEY") {
		return i + len("-----BEGIN ")
	}
	i += strings.Index(head, "PRIVATE KEY") + len("PRIVATE KEY")
	n := strings.Index(t.s[i:], end)
	if n < 0 {
		n = len(t.s) - i
	}
	if n > 0 {
		t.to.hide(i, i+n)
	}
	return min(len(t.s), i+n+len(end))
}

// sign takes a sign and returns where to go on.
func (t *scan) sign(i int) int {
	s := t.s
	switch s[i] {
	case '$', '{':
		if n := known(s[i:]); n > 0 {
			t.to.hide(i, i+n)
			return i + n
		}
	case '?':
		t.query = t.url || i > 0 && classes[s[i-1]]&(inName) != 0 || i > 0 && s[i-1] == '/'
	case ':':
		if strings.HasPrefix(s[i:], "://") && t.nameTo == i {
			return t.authority(i)
		}
		if t.nameTo == i {
			t.colon = i
		}
	case '@':
		t.password(i)
	case '\'', '"':
		t.word, t.colon = i+1, -1
		return t.quoted(i)
	}
	return i + 1
}

// password hides what stands between a colon and an @: user:password@host. What
// stands there in the reference of an image, name:tag@sha256:…, is shown.
func (t *scan) password(at int) {
	if t.colon < 0 || t.colon+1 >= at || strings.HasPrefix(t.s[at:], "@sha256:") || strings.HasPrefix(t.s[at:], "@sha512:") || at+1 >= len(t.s) || classes[t.s[at+1]]&inName == 0 {
		return
	}
	t.to.hide(t.colon+1, at)
	t.colon = -1
}

// authority takes what stands behind "://" up to the path, hides the user that
// is in it, and returns where to go on.
func (t *scan) authority(i int) int {
	s := t.s
	scheme := s[t.nameFrom:t.nameTo]
	t.url, t.query, t.colon = true, false, -1
	i += len("://")
	user, colon, at := i, -1, -1
	end := i
	for ; end < len(s); end++ {
		c := s[end]
		if c == '/' || classes[c]&isSpace != 0 || c == '"' || c == '\'' || c == '<' || c == '>' || c == '`' {
			break
		}
		switch {
		case c == '@':
			at = end
		case c == ':' && colon < 0 && at < 0:
			colon = end
		case c == ':' && strings.HasPrefix(s[end:], "://"):
			// Another URL, without anything between them.
			t.word = end
			at, colon = -1, -1
			user = end + len("://")
			end += 2
		}
	}
	if at < 0 {
		// There is no user, and what follows is the query.
		if n := strings.IndexAny(s[user:end], "?#"); n >= 0 {
			end = user + n
		}
	}
	if at < 0 && colon > 0 && colon < end && !digits(s[colon+1:end]) {
		// A password with a slash in it.
		at = t.nextAt(end)
	}
	t.nameTo, t.word = 0, end
	switch {
	case at < 0:
		return user
	case colon < 0 || colon > at:
		// A user without a password is a token, where a user has no other use.
		if name := s[user:at]; name != "git" && (strings.HasPrefix(scheme, "http") || strings.HasPrefix(scheme, "ftp") || isRandom(name) || len(name) > 0 && known(name) > 0) {
			t.to.hide(user, at)
		}
	default:
		if name := s[user:colon]; isRandom(name) || len(name) > 24 || len(name) > 0 && known(name) > 0 {
			t.to.hide(user, colon)
		}
		if colon+1 < at {
			t.to.hide(colon+1, at)
		}
	}
	return at + 1
}

// nextAt returns the next @ of the same word, or -1.
func (t *scan) nextAt(from int) int {
	if t.at < from {
		if t.at = from; from < len(t.s) {
			if n := strings.IndexByte(t.s[from:], '@'); n >= 0 {
				t.at += n
			} else {
				t.at = len(t.s)
			}
		}
	}
	if t.at >= len(t.s) || t.at-from > 256 || strings.ContainsAny(t.s[from:t.at], " \t\r\n\"'?") {
		return -1
	}
	return t.at
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// value looks at what stands behind a name, and hides it if the name is that of a
// secret. It returns where to go on.
func (t *scan) value(from, to int) int {
	s := t.s
	i, quoted := to, false
	switch {
	case s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\''):
		i, quoted = i+2, true
	case s[i] == '"' || s[i] == '\'':
		// "name" has a quote before it, too; it's another text's otherwise.
		if from == 0 || s[from-1] != s[i] {
			return to
		}
		i, quoted = i+1, true
	}
	if quoted && i < len(s) && s[i] == ']' { // environ['NAME'] = 'value'
		i++
	}
	spaced := i
	if i = skipSpace(s, i); i >= len(s) {
		return to
	}
	space := i > spaced
	switch c := s[i]; {
	case c == '=':
		i++
		if i < len(s) && s[i] == '>' {
			i, quoted = i+1, true
		}
		return t.assigned(from, to, i, quoted || space)
	case c == ':' && i+1 < len(s) && s[i+1] == '=':
		return t.assigned(from, to, i+2, true)
	case c == ':':
		return t.member(from, to, i+1, quoted)
	case c == '%' && !quoted && !space && (strings.HasPrefix(s[i:], "%3D") || strings.HasPrefix(s[i:], "%3d")):
		return t.assigned(from, to, i+3, false)
	case space && !quoted:
		return t.scheme(from, to, i)
	}
	return to
}

// skipSpace returns where the next character is that is no space, also none that
// is escaped as in a URL.
func skipSpace(s string, i int) int {
	for i < len(s) {
		switch {
		case s[i] == ' ' || s[i] == '\t':
			i++
		case strings.HasPrefix(s[i:], "%20"):
			i += 3
		default:
			return i
		}
	}
	return i
}

// assigned is value for name=value.
func (t *scan) assigned(from, to, i int, spaced bool) int {
	s := t.s
	name := strings.TrimLeft(s[from:to], "-")
	secret := secretName(name) || name == "code" && valueLength(s[i:]) > 6 || t.query && !plainParameters[name] && !strings.HasPrefix(name, "X-Amz-Date")
	if !secret {
		return to
	}
	if spaced {
		i = skipSpace(s, i)
	}
	end := i
	if t.query && i < len(s) && s[i] != '"' && s[i] != '\'' {
		for end < len(s) && classes[s[end]]&isSpace == 0 && !strings.ContainsRune("&;#\"'<>`", rune(s[end])) {
			end++
		}
		if end > i && s[i:end] != masked {
			t.to.hide(i, end)
		}
		return max(end, to)
	}
	return max(t.hideValue(i, true), to)
}

// member is value for name: value.
func (t *scan) member(from, to, i int, quoted bool) int {
	s := t.s
	spaced := i < len(s) && (s[i] == ' ' || s[i] == '\t')
	opens := i < len(s) && (s[i] == '"' || s[i] == '\'' || s[i] == '\\')
	name := strings.TrimLeft(s[from:to], "-")
	bare := !quoted && !spaced && !opens
	switch {
	case bare && (t.identity || from > 0 && (s[from-1] == '/' || s[from-1] == ':' || s[from-1] == '@') || !isStrong(name) && !isHeader(name)):
		return to
	case name == "key" || name == "keys": // of a taint, of a configuration
		return to
	case !secretName(name):
		return to
	}
	for i < len(s) && (s[i] == ' ' || s[i] == '\t') {
		i++
	}
	if bare && isTag(s[i:min(len(s), i+32)]) {
		return to
	}
	return max(t.header(i), to)
}

// strong are names whose value may follow a colon without a space.
var strong = set("password", "passwd", "pass", "pwd", "passphrase", "secret", "token", "apikey", "api_key", "api-key", "access_token",
	"auth_token", "refresh_token", "client_secret", "secret_key", "access_key", "private_key", "secretkey", "accesskey", "authorization")

// isStrong reports whether a name is one of strong, in letters of any size.
func isStrong(name string) bool {
	const shortest, longest = len("pwd"), len("authorization")
	return len(name) >= shortest && len(name) <= longest && strong[strings.ToLower(name)]
}

// isHeader reports whether a name is one of a header that is nobody's standard, as HTTPie
// takes them: X-Auth-Token:value.
func isHeader(name string) bool {
	return len(name) > 2 && name[0]|0x20 == 'x' && name[1] == '-'
}

// isTag reports whether a text begins with a version or a tag of an image.
func isTag(s string) bool {
	end := 0
	for end < len(s) && classes[s[end]]&endsValue == 0 && s[end] != '@' {
		end++
	}
	switch tag := s[:end]; {
	case tag == "latest" || tag == "stable" || tag == "list" || tag == "get" || tag == "read" || tag == "write":
		return true
	default:
		tag = strings.TrimPrefix(tag, "v")
		return tag != "" && len(tag) < 12 && strings.Trim(tag, "0123456789.") == "" && (strings.Contains(tag, ".") || len(tag) < 3)
	}
}

// schemes are the words that stand before a credential in a header.
var schemes = set("bearer", "basic", "token", "digest", "negotiate", "ntlm", "apikey", "key", "splunk", "bot", "oauth", "hawk",
	"aws4-hmac-sha256", "sso-key", "genie", "genieKey", "discogs", "sharedkey", "sharedaccesssignature", "zoho-oauthtoken", "aws", "jwt", "api-key", "client-id", "pve", "snowflake", "apitoken", "ssws", "kerberos", "scram")

// header hides a value that may be a scheme and a credential, or several.
func (t *scan) header(i int) int {
	s := t.s
	for {
		end := max(i, t.wordEnd)
		for end < len(s) && classes[s[end]]&isSpace == 0 && s[end] != '"' && s[end] != '\'' {
			end++
		}
		t.wordEnd = end
		word := s[i:end]
		another := len(word) <= 24 && schemes[strings.ToLower(word)] || strings.HasSuffix(word, ",") || strings.HasSuffix(word, ";")
		if !another || end+1 >= len(s) || s[end] != ' ' || s[end+1] == ' ' || word == "" {
			return t.hideValue(i, true)
		}
		if !schemes[strings.ToLower(word)] {
			t.to.hide(i, end-1)
		}
		i = end + 1
	}
}

// scheme looks at the words Bearer and Basic, behind which a credential stands, and
// at a few more, behind which one stands in quotes.
func (t *scan) scheme(from, to, i int) int {
	s := t.s
	if n := to - from; n > 10 || n == 3 && s[from]|0x20 != 'p' || n < 2 {
		return to
	}
	switch s[from] | 0x20 {
	case 'b', 'p', 's', 'a':
	default:
		return to
	}
	switch strings.ToLower(s[from:to]) {
	case "bearer":
	case "basic":
		if n := valueLength(s[i:]); n < 6 || strings.Trim(s[i:i+n], "abcdefghijklmnopqrstuvwxyz") == "" {
			return to // "basic auth"
		}
	case "password", "passwd", "passphrase", "secret", "by", "as", "pwd":
		if s[i] != '"' && s[i] != '\'' && s[i] != '\\' || strings.EqualFold(s[from:to], "as") && !t.identified(from) || strings.EqualFold(s[from:to], "by") && !t.identified(from) {
			return to
		}
	default:
		return to
	}
	return max(t.hideValue(i, true), to)
}

// identified reports whether IDENTIFIED stands in the words before.
func (t *scan) identified(from int) bool {
	before := strings.ToUpper(t.s[max(0, from-64):from])
	return strings.Contains(before, "IDENTIFIED") || strings.Contains(before, "ENCRYPTION")
}

func valueLength(s string) int {
	n := 0
	for n < len(s) && classes[s[n]]&endsValue == 0 {
		n++
	}
	return n
}

// hideValue hides the value at i, whole if it is in quotes, and returns where it
// ends. A list is hidden whole; into an object the scan goes.
func (t *scan) hideValue(i int, secret bool) int {
	s := t.s
	if i >= len(s) || !secret {
		return i
	}
	switch c := s[i]; {
	case c == '{':
		return i
	case c == '[':
		end := strings.IndexByte(s[i:], ']')
		if end < 0 {
			end = len(s) - i
		}
		if end > 1 {
			t.to.hide(i+1, i+end)
		}
		return i + end
	case c == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\''):
		return t.inside(i+2, s[i:i+2])
	case c == '"' || c == '\'':
		return t.inside(i+1, s[i:i+1])
	}
	end := i + valueLength(s[i:])
	value := s[i:end]
	if end < len(s) && strings.HasSuffix(value, "(") {
		return i // a function, whose argument is looked at
	}
	if isHarmless(value) || isReference(s[i:]) {
		return end
	}
	t.to.hide(i, end)
	return end
}

// inside hides what stands in quotes, and returns where to go on.
func (t *scan) inside(i int, quote string) int {
	s := t.s
	end := i
	for end < len(s) && !strings.HasPrefix(s[end:], quote) {
		if s[end] == '\\' && len(quote) == 1 {
			end++
		}
		end++
	}
	end = min(end, len(s))
	if value := s[i:end]; end > i && !isHarmless(value) && !isReference(value) {
		t.to.hide(i, end)
	}
	return min(len(s), end+len(quote))
}

// isReference reports whether a text begins with a variable or a command of a
// shell, or a place for one in a template, whose value does not stand there.
func isReference(s string) bool {
	if len(s) < 3 || s[0] != '$' {
		return strings.HasPrefix(s, "{{")
	}
	if s[1] == '{' || s[1] == '(' {
		return true
	}
	n := 1
	for n < len(s) && (s[n] >= 'A' && s[n] <= 'Z' || s[n] == '_' || n > 1 && s[n] >= '0' && s[n] <= '9') {
		n++
	}
	return n > 2 && (n == len(s) || classes[s[n]]&(inName|isSpace) != inName && s[n] != '!' && s[n] != '$')
}

// quoted looks at what stands in quotes behind a name and a parenthesis:
// PASSWORD('…'). It returns where to go on.
func (t *scan) quoted(i int) int {
	s := t.s
	if i < 2 || s[i-1] != '(' || t.nameTo != i-1 || !secretName(s[t.nameFrom:t.nameTo]) {
		return i + 1
	}
	// The user may stand before the password: auth('…', '…').
	for {
		i = t.inside(i+1, s[i:i+1])
		next := skipSpace(s, i)
		if next >= len(s) || s[next] != ',' {
			return i
		}
		next = skipSpace(s, next+1)
		if next >= len(s) || s[next] != '\'' && s[next] != '"' {
			return i
		}
		i = next
	}
}
