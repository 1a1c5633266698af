// SPDX-License-Identifier: Apache-2.0

// Package command judges commands by their words: what they read, and what in them
// must not be shown.
package command

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/containerapi/containerapi/plugin/oneline"
)

// masked stands for a value that is not shown.
const masked = "***"

// secrets are the places of a command line where people write secrets, each
// with the secret as its second group. What is not a secret stays readable,
// because rules and people judge an exec by its command.
var secrets = []*regexp.Regexp{
	// Authorization: Bearer …, Bearer …, Basic …
	regexp.MustCompile(`(?i)(\b(?:bearer|basic)\s+)([^\s"']+)`),
	// DB_PASSWORD=…, --api-token=…, "password": "…"
	regexp.MustCompile(`(?i)([\w.-]*(?:pass|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential|auth)[\w.-]*["']?\s*[=:]\s*)("[^"]*"|'[^']*'|[^\s"'&|;]+)`),
	// --password …, --token …
	regexp.MustCompile(`(?i)((?:^|\s)--?[\w-]*(?:pass|pwd|secret|token|api-?key|access-?key|private-?key|credential)[\w-]*\s+)("[^"]*"|'[^']*'|[^\s"'|;-][^\s"'|;]*)`),
	// docker run -e name=…, docker build --build-arg name=…; labels, too, may
	// hold anything
	regexp.MustCompile(`((?:^|\s)(?:-e|--env|--build-arg|--label|-l)[\s=]\s*["']?[\w.-]+=)("[^"]*"|'[^']*'|[^\s"'|;]+)`),
	// NAME=… of the environment; a path stays, a reader of files needs it
	regexp.MustCompile(`(\b[A-Z_][A-Z0-9_]*=)("[^"/]*"|'[^'/]*'|[^\s"'|;/$][^\s"'|;]*)`),
	// curl -u user:password
	regexp.MustCompile(`((?:-u|--user)[\s=]*["']?[^\s:"']+:)([^\s"']+)`),
	// https://user:password@host
	regexp.MustCompile(`(://[^\s/:@]*:)([^\s/@]+)(@)`),
	// mysql -psecret, sshpass -p secret, redis-cli -a secret
	regexp.MustCompile(`(\b(?:mysql\w*|mariadb[\w-]*)\b[^|;]*?\s-p)([^\s|;]+)`),
	regexp.MustCompile(`(\b(?:sshpass\s+-p|redis-cli\b[^|;]*?\s-a)\s*)([^\s|;]+)`),
	// a JSON Web Token wherever it stands
	regexp.MustCompile(`()(\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*)`),
}

// maxShown is how much of a command is shown, in bytes. What is longer is cut
// before it is masked: to look for secrets takes time, and a client can send a
// mebibyte.
const maxShown = 16 << 10

// cut cuts what is not shown off a text, between two characters.
func cut(s string) string {
	if len(s) <= maxShown {
		return s
	}
	n := maxShown
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// Mask returns a command line on one line, with what looks like a secret
// replaced by "***". Commands that hold none, by far the most, come back as
// they are; of a command above 16 KiB only the beginning.
func Mask(command string) string {
	command = oneline.Text(cut(command))
	if !mayHoldSecret(command) {
		return command
	}
	for _, re := range secrets {
		command = re.ReplaceAllString(command, "${1}"+masked+"${3}")
	}
	return command
}

// mayHoldSecret is a cheap test that every command with a secret that Mask
// knows of passes.
func mayHoldSecret(command string) bool {
	return strings.ContainsAny(command, "=:") || strings.Contains(command, "-") || strings.Contains(command, "eyJ") ||
		strings.Contains(command, "earer ") || strings.Contains(command, "asic ")
}

// assignment is name=value anywhere in a word. A value that begins a path or a
// JSON text stays: it says what is acted on, not what with.
var assignment = regexp.MustCompile(`([\w.-]+=)([^\s/{&][^\s&]*)`)

// MaskArgs returns the command line of a client as one text. In the words of a
// client, unlike in those that it has run in a container, every name=value may
// be a secret: an environment variable, a label, a build argument; and so may a
// message. Options keep their values, but for those that Mask knows.
func MaskArgs(args []string) string {
	var words []string
	size := 0
	for i, arg := range args {
		if size > maxShown {
			break
		}
		arg = cut(arg)
		size += len(arg) + 1
		switch {
		case i > 0 && (args[i-1] == "-m" || args[i-1] == "--message"):
			arg = masked
		case !strings.HasPrefix(arg, "-"):
			arg = assignment.ReplaceAllString(arg, "${1}"+masked)
		}
		words = append(words, arg)
	}
	return Mask(strings.Join(words, " "))
}
