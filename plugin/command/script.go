// SPDX-License-Identifier: Apache-2.0

package command

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	// maxVariable is how long a value of a variable is that a script sets, in bytes, and
	// maxExpanded how much all that is expanded in one may come to: a script could double
	// a value with each of its lines.
	maxVariable, maxExpanded = 512, 4 << 10
	// maxFrames is how deep commands are followed in which the output of others stands.
	maxFrames = 16
	// maxBraces is how many words {a,b,c} may become.
	maxBraces = 32
)

// output stands in a word for what another command writes. No client's text has it: an
// escape for it is no part of one.
const output = "$\x01"

// simple is a simple command of a script: a program and its arguments.
type simple struct {
	words []string
	// made says of each word where the last part of it ends that is known only when
	// the script runs: a variable that it does not set, the output of a command. 0 is
	// none.
	made []int
	// reads are the files that its input is redirected from.
	reads []string
	// piped reports that it reads what another one writes, feeds that another one
	// reads what it writes, and redirected that its input is a file or a text.
	piped, feeds, redirected bool
	// inner reports that its output becomes a part of a command.
	inner bool
	// decoded reports that another one, whose output it reads or is made of, decodes.
	decoded bool
}

// frame is a command that is being read, while another one in it is.
type frame struct {
	command simple
	word    []byte
	made    int
	begun   bool // word is one, if an empty one
	open    bool // it has a brace
	braces  bool // and a comma behind it
	skip    bool // the next word is where output goes
	from    bool // the next word is where input comes from
	quote   byte
	ticks   bool // it ends with a backtick
	group   int  // parentheses that were opened in it
	piped   bool // the next command reads from the one before
}

// parser splits a shell's text into its simple commands.
type parser struct {
	script    string
	list      []simple
	stack     []frame
	variables map[string]string
	expanded  int
	// lost reports that the text goes deeper than is followed.
	lost bool
	// without are bytes and words that do not come any more, so that they are not
	// looked for again.
	without map[string]bool
}

// find returns how far behind i the text has what is looked for, or -1.
func (p *parser) find(i int, what string) int {
	if p.without[what] {
		return -1
	}
	n := strings.Index(p.script[i:], what)
	if n < 0 {
		if p.without == nil {
			p.without = make(map[string]bool)
		}
		p.without[what] = true
	}
	return n
}

// parse returns the simple commands of a shell's text, in the order in which they
// end, with variables expanded that the text itself sets. It reports false if they
// are not all.
func parse(script string) (list []simple, whole bool) {
	p := parser{script: script, stack: make([]frame, 1, 4)}
	p.read()
	for len(p.stack) > 1 {
		p.close()
	}
	p.endCommand()
	return p.list, !p.lost
}

func (p *parser) top() *frame { return &p.stack[len(p.stack)-1] }

// quoted takes a byte that stands in quotes, or ends them.
func (f *frame) quoted(c byte) {
	if c == f.quote {
		f.quote = 0
	} else {
		f.word = append(f.word, c)
	}
}

func (p *parser) read() {
	s := p.script
	for i := 0; i < len(s); {
		f, c := p.top(), s[i]
		switch {
		case f.quote == '\'':
			f.quoted(c)
			i++
		case c == '\\' && i+1 < len(s):
			if s[i+1] != '\n' {
				f.begun = true
				f.word = append(f.word, s[i+1])
			}
			i += 2
		case c == '$' && i+1 < len(s):
			i = p.dollar(i + 1)
		case c == '`':
			if f.ticks && len(p.stack) > 1 {
				p.close()
			} else {
				p.open(true)
			}
			i++
		case f.quote == '"':
			f.quoted(c)
			i++
		default:
			i = p.plain(i)
		}
	}
}

// plain takes a byte outside of quotes, and returns where to go on.
func (p *parser) plain(i int) int {
	s, f := p.script, p.top()
	switch c := s[i]; c {
	case '\'', '"':
		f.quote, f.begun = c, true
	case ')':
		switch {
		case f.group > 0:
			f.group--
			p.endCommand()
		case len(p.stack) > 1 && !f.ticks:
			p.close()
		default:
			p.endCommand()
		}
	case '(':
		p.endCommand()
		p.top().group++
	case '|':
		if strings.HasPrefix(s[i:], "||") {
			p.endCommand()
			p.top().piped = false
			return i + 2
		}
		f.command.feeds = true
		p.endCommand()
		f.piped = true
		if strings.HasPrefix(s[i:], "|&") {
			return i + 2
		}
	case '&':
		if i+1 < len(s) && s[i+1] == '>' {
			p.endWord()
			return i + 1
		}
		p.endCommand()
		p.top().piped = false
	case ';', '\n':
		p.endCommand()
		p.top().piped = false
	case '<', '>':
		return p.redirection(i)
	case ' ', '\t', '\r':
		p.endWord()
	case '#':
		if !f.begun {
			if n := p.find(i, "\n"); n >= 0 {
				// A text that came as words has no lines, and may go on behind it.
				return i + n
			}
		}
		f.begun = true
		f.word = append(f.word, c)
	default:
		f.open = f.open || c == '{'
		f.braces = f.braces || f.open && c == ','
		f.begun = true
		f.word = append(f.word, c)
	}
	return i + 1
}

// redirection takes < or >, and returns where to go on.
func (p *parser) redirection(i int) int {
	s, f := p.script, p.top()
	if string(f.word) == "0" {
		f.command.redirected = true // 0>&1
	}
	if strings.Trim(string(f.word), "0123456789") == "" {
		f.begun = false // the number of a file
		f.word = f.word[:0]
	}
	p.endWord()
	if i+1 < len(s) && s[i+1] == '(' {
		// <(command) is a file with what the command writes.
		f.begun = true
		f.word = append(f.word, "/dev/fd/63"...)
		p.open(false)
		return i + 2
	}
	if s[i] == '>' {
		f.skip = true
		for i++; i < len(s) && (s[i] == '>' || s[i] == '|' || s[i] == '&'); i++ {
		}
		return i
	}
	f.command.redirected = true
	n := 1
	for n < 3 && i+n < len(s) && s[i+n] == '<' {
		n++
	}
	// What ends a text is no word, and a text itself can name a file.
	f.from, f.skip = n != 2, n == 2
	if i+n < len(s) && (s[i+n] == '&' || s[i+n] == '>' || s[i+n] == '-') {
		n++
	}
	return i + n
}

// open begins a command whose output is a part of a word.
func (p *parser) open(ticks bool) {
	if len(p.stack) >= maxFrames {
		p.lost = true
		p.endCommand()
		return
	}
	p.stack = append(p.stack, frame{ticks: ticks})
}

// close ends such a command.
func (p *parser) close() {
	p.endCommand()
	p.stack = p.stack[:len(p.stack)-1]
	f := p.top()
	f.begun = true
	f.word = append(f.word, output...)
	f.made = len(f.word)
}

func (p *parser) endWord() {
	f := p.top()
	if f.begun {
		switch {
		case f.skip:
		case f.from:
			f.command.reads = append(f.command.reads, string(f.word))
		default:
			for _, word := range p.expandBraces(string(f.word), f.braces) {
				f.command.words = append(f.command.words, word)
				f.command.made = append(f.command.made, f.made)
			}
		}
		f.skip, f.from = false, false
	}
	f.word, f.made, f.begun, f.open, f.braces = f.word[:0], 0, false, false, false
}

func (p *parser) endCommand() {
	p.endWord()
	f := p.top()
	c := &f.command
	if len(c.words) > 0 || len(c.reads) > 0 {
		c.piped, c.inner = f.piped, len(p.stack) > 1
		f.piped = false
		p.assign(c)
		p.list = append(p.list, *c)
	}
	f.command = simple{}
	f.skip, f.from = false, false
}

// assign notes what variables a command sets.
func (p *parser) assign(c *simple) {
	for i, w := range c.words {
		if i == 0 && (w == "export" || w == "local" || w == "readonly" || w == "declare" || w == "typeset") {
			continue
		}
		name, value, ok := strings.Cut(w, "=")
		if !ok || !isVariable(name) {
			return
		}
		if c.made[i] > 0 || len(value) > maxVariable {
			delete(p.variables, name)
			continue
		}
		if p.variables == nil {
			p.variables = make(map[string]string)
		}
		p.variables[name] = value
	}
}

func isVariable(name string) bool {
	for i := range len(name) {
		if c := name[i]; c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// dollar takes what follows a dollar sign, and returns where to go on.
func (p *parser) dollar(i int) int {
	s, f := p.script, p.top()
	switch c := s[i]; {
	case c == '(' && strings.HasPrefix(s[i:], "(("):
		// Arithmetic is a number.
		if n := p.find(i, "))"); n >= 0 {
			f.begun = true
			f.word = append(f.word, '0')
			f.made = len(f.word)
			return i + n + 2
		}
		p.open(false)
		return i + 1
	case c == '(':
		p.open(false)
		return i + 1
	case c == '{':
		end := p.find(i, "}")
		if end < 0 {
			break
		}
		p.parameter(s[i+1 : i+end])
		return i + end + 1
	case c == '\'' && f.quote == 0:
		f.begun = true
		word, n := ansi(f.word, s[i+1:])
		f.word = word
		return i + 1 + n
	case c == '"' && f.quote == 0:
		return i
	case isVariable(s[i : i+1]):
		end := i + 1
		for end < len(s) && (isVariable(s[end:end+1]) || s[end] >= '0' && s[end] <= '9') {
			end++
		}
		p.parameter(s[i:end])
		return end
	case c == output[1]:
		f.begun = true
		f.word = append(f.word, output...)
		f.made = len(f.word)
		return i + 1
	case c >= '0' && c <= '9' || c == '@' || c == '*' || c == '!' || c == '-' || c == '#' || c == '?' || c == '$':
		p.parameter(s[i : i+1])
		return i + 1
	}
	f.begun = true
	f.word = append(f.word, '$')
	return i
}

// parameter takes the name of a variable, with what ${…} does to it.
func (p *parser) parameter(text string) {
	f := p.top()
	n := 0
	for n < len(text) && (isVariable(text[n:n+1]) || n > 0 && text[n] >= '0' && text[n] <= '9') {
		n++
	}
	if n == 0 && text != "" {
		n = 1 // one of the shell's own, or ${!name} and ${#name}
	}
	name := text[:n]
	if name == "IFS" && f.quote == 0 {
		p.endWord()
		return
	}
	value, known := p.variables[name]
	if rest := text[len(name):]; rest != "" && (!known || rest[0] != ':' && rest[0] != '-') {
		known = false
	} else if len(rest) > 1 && rest[0] == ':' && rest[1] != '-' && rest[1] != '=' {
		known = false // a part of it
	}
	if known {
		if p.expanded += len(value) + 1; p.expanded > maxExpanded {
			p.lost, known = true, false
		}
	}
	f.begun = true
	if !known {
		f.word = append(append(f.word, '$'), name...)
		if rest := strings.TrimLeft(text[len(name):], ":-=+"); rest != text[len(name):] && strings.HasPrefix(rest, "/") {
			// What it is where it is not set.
			f.command.words, f.command.made = append(f.command.words, rest), append(f.command.made, 0)
		}
		f.made = len(f.word)
		return
	}
	if f.quote != 0 {
		f.word = append(f.word, value...)
		return
	}
	for i, part := range strings.FieldsFunc(value, func(r rune) bool { return r == ' ' || r == '\t' || r == '\n' }) {
		if i > 0 {
			p.endWord()
		}
		f.begun = true
		f.word = append(f.word, part...)
	}
}

// ansi appends what $'…' says up to its end, and returns how long it is there.
func ansi(word []byte, s string) ([]byte, int) {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\'' {
			return word, i + 1
		}
		if c != '\\' || i+1 == len(s) {
			word = append(word, c)
			continue
		}
		i++
		base, from, most := 0, i+1, 0
		switch s[i] {
		case 'x':
			base, most = 16, 2
		case 'u':
			base, most = 16, 4
		case 'U':
			base, most = 16, 8
		case '0', '1', '2', '3', '4', '5', '6', '7':
			base, from, most = 8, i, 3
		case 'n', 't', 'r':
			word = append(word, ' ')
			continue
		}
		end := from
		for end < len(s) && end-from < most {
			if _, err := strconv.ParseUint(s[end:end+1], base, 8); err != nil {
				break
			}
			end++
		}
		if n, err := strconv.ParseUint(s[from:end], max(base, 2), 32); err == nil {
			word = utf8.AppendRune(word, rune(n))
			i = end - 1
		} else {
			word = append(word, s[i])
		}
	}
	return word, len(s)
}

// expandBraces returns the words that a{b,c}d becomes.
func (p *parser) expandBraces(word string, braces bool) []string {
	words := []string{word}
	if !braces {
		return words
	}
	if p.expanded += len(word); p.expanded > maxExpanded {
		p.lost = true
		return words
	}
	for n := 0; n < len(words) && len(words) < maxBraces; {
		w := words[n]
		open := strings.IndexByte(w, '{')
		end := -1
		if open >= 0 {
			end = strings.IndexByte(w[open:], '}')
		}
		if end < 0 || !strings.Contains(w[open:open+end], ",") {
			n++
			continue
		}
		var each []string
		for part := range strings.SplitSeq(w[open+1:open+end], ",") {
			if len(words)+len(each) > maxBraces {
				break
			}
			each = append(each, w[:open]+part+w[open+end+1:])
		}
		words = slices.Replace(words, n, n+1, each...)
	}
	return words
}
