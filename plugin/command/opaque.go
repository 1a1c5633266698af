// SPDX-License-Identifier: Apache-2.0

package command

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// Stdin is what a command reads as its standard input.
type Stdin uint8

// The kinds of input of a command.
const (
	// NoInput is nothing, or not known.
	NoInput Stdin = iota
	// Terminal is a person at a terminal.
	Terminal
	// Fed is what a program sends, of which nothing is seen.
	Fed
)

// shellOptions of shells take a value of their own.
var shellOptions = map[string]bool{"-o": true, "+o": true, "-O": true, "+O": true, "--rcfile": true, "--init-file": true}

// shellScript returns what a shell is given to run by its arguments: the text behind
// -c, or a file; neither, if it reads commands from its input.
func shellScript(args []string) (text string, isText bool, file string) {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case shellOptions[arg]:
			i++
		case len(arg) > 1 && arg[0] == '-' && arg[1] != '-' && strings.Contains(arg, "c"):
			return strings.Join(args[i+1:], " "), true, ""
		case len(arg) > 1 && arg[0] == '-' && arg[1] != '-' && strings.Contains(arg, "s"):
			return "", false, ""
		case arg == "-" || strings.HasPrefix(arg, "-") || strings.HasPrefix(arg, "+"):
		default:
			return "", false, arg
		}
	}
	return "", false, ""
}

// interpreters are programs that run code of a language that is not read here, with
// the options that take it, as letters of options of one letter and as long options.
var interpreters = map[string]struct {
	letters string
	long    []string
}{
	"python": {"c", nil}, "pypy": {"c", nil}, "perl": {"eE", nil}, "ruby": {"e", nil},
	"node": {"ep", []string{"--eval", "--print"}}, "nodejs": {"ep", []string{"--eval", "--print"}},
	"bun": {"ep", []string{"--eval", "--print"}}, "deno": {"", []string{"eval"}},
	"php": {"rBRE", []string{"--run"}}, "lua": {"e", nil}, "luajit": {"e", nil}, "Rscript": {"e", nil}, "R": {"e", nil},
	"tclsh": {"", nil}, "expect": {"c", nil}, "guile": {"c", nil}, "groovy": {"e", nil}, "scala": {"e", nil}, "julia": {"eE", nil},
	"elixir": {"e", nil}, "erl": {"", []string{"-eval"}}, "jshell": {"", nil}, "jjs": {"", nil}, "ghci": {"e", nil}, "ocaml": {"e", nil},
	"pwsh": {"ce", []string{"-command", "-encodedcommand", "-enc", "-ec"}}, "powershell": {"ce", []string{"-command", "-encodedcommand", "-enc", "-ec"}},
	"gdb": {"", []string{"-ex", "--eval-command", "-eval-command", "-x", "--command"}}, "osascript": {"e", nil}, "emacs": {"", []string{"--eval"}},
	"sbcl": {"", []string{"--eval"}}, "swipl": {"g", nil}, "ed": {"", nil}, "ex": {"c", nil}, "vim": {"", nil}, "vi": {"", nil},
}

// editors run no code that is fed to them but in a way that few use.
var terminalOnly = map[string]bool{"vim": true, "vi": true}

// programName returns the name that a program is known by: without its directory, and
// for interpreters and programs of Windows without version and extension.
func programName(word string) string {
	if i := strings.LastIndexAny(word, `/\`); i >= 0 {
		word = word[i+1:]
	}
	if rest, ok := strings.CutSuffix(word, ".exe"); ok {
		word = strings.ToLower(rest)
	}
	if name := strings.TrimRight(word, "0123456789."); name != word && name != "" {
		if _, ok := interpreters[name]; ok {
			return name
		}
	}
	return word
}

// readsCode says what a program reads that an interpreter is given, and that it is not
// known where its text does not show it. It reports false for another command.
func readsCode(name string, args []string, dir string, c *simple, in Stdin) (Reads, bool) {
	how, ok := interpreters[name]
	if !ok {
		return 0, false
	}
	found := readsPaths(args, dir) | readsProgram(args)
	if name == "pwsh" || name == "powershell" {
		found |= readsProgram([]string{strings.Join(args, " ")})
	}
	for i, arg := range args {
		switch {
		case isCode(arg, how.letters, how.long):
			if found == 0 {
				found = Opaque
			}
			return found, true
		case arg == "-" || strings.HasPrefix(arg, "/dev/"):
			return found | Opaque, true
		case arg == "-m" && name == "python":
			if i+1 < len(args) && (args[i+1] == "http.server" || args[i+1] == "SimpleHTTPServer") {
				found |= Opaque // it shows a directory to whoever asks
			}
			return found, true
		case !strings.HasPrefix(arg, "-"):
			return found | readsScriptFile(arg), true
		case arg == "-V" || arg == "-v" || arg == "--version" || arg == "-h" || arg == "--help":
			return found, true
		}
	}
	if isFed(c, in) && !terminalOnly[name] {
		found |= Opaque
	}
	return found, true
}

// isCode reports whether an argument is an option with code: one letter among others,
// or a long one.
func isCode(arg, letters string, long []string) bool {
	for _, option := range long {
		if strings.EqualFold(arg, option) || strings.HasPrefix(arg, option+"=") {
			return true
		}
	}
	if len(arg) < 2 || arg[0] != '-' || arg[1] == '-' || letters == "" {
		return false
	}
	// The code itself may stand behind the letter.
	for i := 1; i < min(len(arg), 8); i++ {
		if strings.IndexByte(letters, arg[i]) >= 0 {
			return true
		}
		if arg[i]|0x20 < 'a' || arg[i]|0x20 > 'z' {
			return false
		}
	}
	return false
}

// isFed reports whether what a command reads as its input is not seen.
func isFed(c *simple, in Stdin) bool {
	return c != nil && (c.piped || c.redirected) || in == Fed
}

// scratch are directories where anyone can write, and files that are an input.
var scratch = []string{"/tmp/", "/var/tmp/", "/dev/shm/", "/dev/fd/", "/dev/stdin", "/run/user/", "/dev/mqueue/"}

// readsScriptFile says whether a program comes from where anyone could have just put
// it.
func readsScriptFile(file string) Reads {
	p := path.Clean(file)
	if p == "{}" {
		return Opaque // whatever find finds
	}
	for _, s := range scratch {
		if strings.HasPrefix(p, s) || p == strings.TrimSuffix(s, "/") {
			return Opaque
		}
	}
	if strings.HasPrefix(p, "/proc/") && strings.Contains(p, "/fd/") {
		return Opaque
	}
	return 0
}

// readsShell says what a shell reads with these arguments.
func readsShell(name string, args []string, dir string, c *simple, in Stdin, nested int) Reads {
	text, isText, file := shellScript(args)
	if name == "su" {
		file = "" // but a user's name
	}
	switch {
	case isText:
		return readsScript(text, dir, in, nested+1)
	case file == "":
		if isFed(c, in) {
			return Opaque
		}
		return 0
	}
	// Of a file that is no script, it shows the first line in an error.
	return readsScriptFile(file) | readsPaths(args, dir)
}

// awkCode is what of awk's language runs commands, or reads what no argument names.
var awkCode = regexp.MustCompile(`system[ \t]*\(|getline|\|&|\|[ \t]*"|/inet/`)

// sedCode is sed's command e, and s with the flag e.
var sedCode = regexp.MustCompile(`^(?:[^;]*[;{}\n]|[0-9$,~+]*|/[^/]*/)[ \t]*e(?:[ \t]+[^ \t]|$)|^[0-9$, \t]*s[/|#,!@].*[/|#,!@][gpiIm0-9]*e[gpiIm0-9]*$`)

// decoder reports whether a command makes something else of what it is given: text
// that cannot be read here.
func decoder(name string, args []string) bool {
	switch name {
	case "base64", "base32", "basenc", "openssl":
		for _, a := range args {
			if a == "--decode" || len(a) > 1 && a[0] == '-' && a[1] != '-' && strings.ContainsAny(a[:min(len(a), 4)], "dD") {
				return true
			}
		}
	case "xxd":
		return slices.ContainsFunc(args, func(a string) bool { return len(a) > 1 && a[0] == '-' && strings.Contains(a, "r") })
	case "rev", "uudecode", "rot13":
		return true
	case "printf", "echo":
		return slices.ContainsFunc(args, func(a string) bool { return strings.Contains(a, `\`) && a != `\n` }) ||
			name == "printf" && len(args) > 0 && strings.Contains(args[0], "%b")
	case "tr":
		return len(args) == 2 && !strings.EqualFold(args[0], args[1]) && isRange(args[0]) && isRange(args[1])
	case "jq":
		return slices.ContainsFunc(args, func(a string) bool { return strings.Contains(a, "@base64d") })
	}
	return false
}

// isRange reports whether a set of tr has a range of letters.
func isRange(set string) bool {
	i := strings.IndexByte(set, '-')
	return i > 0 && i+1 < len(set) && set[i-1]|0x20 >= 'a' && set[i-1]|0x20 <= 'z'
}

// isMade reports whether a program is known only when a script runs: the last part of
// its path is a variable, the output of a command, or a pattern.
func isMade(word string, made int) bool {
	base := path.Base(word)
	return made > strings.LastIndexByte(word, '/')+1 || base != "[" && base != "[[" && strings.ContainsAny(base, "*?[")
}

// remoteShell are programs that run a shell for whoever they are connected with, by
// their options.
func remoteShell(name string, args []string) bool {
	switch name {
	case "nc", "ncat", "netcat":
		return slices.ContainsFunc(args, func(a string) bool {
			return a == "--exec" || a == "--sh-exec" || len(a) > 1 && a[0] == '-' && a[1] != '-' && strings.ContainsAny(a, "ec")
		})
	case "socat":
		return slices.ContainsFunc(args, func(a string) bool {
			a = strings.ToLower(a)
			return strings.Contains(a, "exec:") || strings.Contains(a, "system:") || strings.Contains(a, "shell:")
		})
	}
	return false
}

// fromList reports whether a program takes the names of what it reads from its input
// or from a file.
func fromList(name string, args []string, c *simple, in Stdin) bool {
	switch name {
	case "at", "batch", "crontab":
		return isFed(c, in) && !contains(args, "-l", "-r")
	case "xargs", "parallel", "cpio":
		return in == Fed && (c == nil || !c.piped)
	case "tar", "rsync", "wget", "curl", "aria2c":
		return slices.ContainsFunc(args, func(a string) bool {
			return a == "-T" && name == "tar" || strings.HasPrefix(a, "--files-from") || a == "-i" && name == "wget" || strings.HasPrefix(a, "--input-file") ||
				(a == "-K" || a == "--config") && name == "curl" || strings.HasPrefix(a, "--checkpoint-action") || strings.HasPrefix(a, "--to-command") || strings.HasPrefix(a, "--use-compress-program")
		})
	}
	return false
}
