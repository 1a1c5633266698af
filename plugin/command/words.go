// SPDX-License-Identifier: Apache-2.0

package command

// maxDepth is how deep commands in words of commands are looked at. A command that is
// deeper is not shown.
const maxDepth = 2

// source is a text with commands: the one that is masked, or the content of a word
// of another one.
type source struct {
	s string
	// of is the word whose content this is, nil for the text that is masked, of
	// which hidden says what is not shown.
	of     *word
	hidden []bool
	depth  int
}

// hide hides a part of the text.
func (t *source) hide(from, to int) {
	if t.of != nil {
		t.of.hide(from, to)
		return
	}
	for i := from; i < to; i++ {
		t.hidden[i] = true
	}
}

// word is a word of a command: what a program is given as an argument.
type word struct {
	// content is the word without its quotes.
	content string
	in      *source
	// begin is where the word stands in the source. Where it has quotes or escapes,
	// at says where each byte of the content stands, and section in which quotes:
	// an index of quotes, 0 for none.
	begin   int
	at      []int32
	section []int32
	quotes  [][2]int32
	// quoted says that the word begins with a quote, literal that it is not a
	// shell's to expand.
	quoted, literal bool
	// script is the content as a command.
	script source
}

// hide hides a part of the content. Quotes that would be left without their other
// half are hidden, too: what is behind them must be read as before.
func (w *word) hide(from, to int) {
	if from >= to {
		return
	}
	if w.at == nil {
		w.in.hide(w.begin+from, w.begin+to)
		return
	}
	first, last := int(w.at[from]), int(w.at[to-1])+1
	if a, b := w.section[from], w.section[to-1]; a != b {
		if a != 0 {
			first = int(w.quotes[a][0])
		}
		if b != 0 {
			last = int(w.quotes[b][1]) + 1
		}
	}
	w.in.hide(first, last)
}

// hideAll hides the content.
func (w *word) hideAll() { w.hide(0, len(w.content)) }

// arena holds what masking a text takes, to be used again.
type arena struct {
	words [][]word // in blocks, which stay where they are
	used  int      // words
	list  []*word
	// places and sections have room for what words have of these.
	places, sections []int32
	all              []int32 // the memory of both
	bytes            []byte
	hidden           []bool
}

const (
	block = 64
	// room is for how many bytes of words with quotes there is memory that is used
	// again: for those of a command that is shown, in two depths.
	room = 2 * maxShown
)

func newArena() *arena {
	all := make([]int32, 2*room)
	return &arena{all: all, places: all[:0:room], sections: all[room:room]}
}

// newWord returns an empty word.
func (a *arena) newWord() *word {
	if a.used == len(a.words)*block {
		a.words = append(a.words, make([]word, block))
	}
	w := &a.words[a.used/block][a.used%block]
	a.used++
	*w = word{quotes: w.quotes[:0]}
	return w
}

// splitter takes a shell's text apart into simple commands.
type splitter struct {
	t *source
	i int
	a *arena
	// first is where the words of the command stand in the arena's list, behind
	// those of the commands around it.
	first int
}

// What a byte is to a shell.
const (
	blank    uint8 = 1 << iota
	operator       // ends a command
	special        // begins quotes, an escape or a command in a word
)

var shellBytes = func() (of [256]uint8) {
	for _, c := range " \t\r" {
		of[c] = blank
	}
	for _, c := range ";|&\n()`" {
		of[c] = operator
	}
	for _, c := range "'\"\\$" {
		of[c] = special
	}
	return of
}()

func isOperator(c byte) bool { return shellBytes[c]&operator != 0 }

func isBlank(c byte) bool { return shellBytes[c]&blank != 0 }

// next reads the next simple command, and says what ends it: 0 at the end of the
// text.
func (p *splitter) next() (words []*word, end byte) {
	p.a.list = p.a.list[:p.first]
	s := p.t.s
	for p.i < len(s) {
		c := s[p.i]
		switch {
		case isBlank(c):
			p.i++
		case isOperator(c):
			p.i++
			if c == '&' && p.i < len(s) && s[p.i] == '>' {
				continue
			}
			return p.a.list[p.first:], c
		case c == '#' && (p.i == 0 || isBlank(s[p.i-1]) || s[p.i-1] == '\n'):
			// A comment, or the # of another language: a word.
			p.a.list = append(p.a.list, p.word())
		default:
			p.a.list = append(p.a.list, p.word())
		}
	}
	return p.a.list[p.first:], 0
}

// word reads the word that begins here.
func (p *splitter) word() *word {
	s, begin := p.t.s, p.i
	w := p.a.newWord()
	w.in, w.begin = p.t, begin
	for i := begin; ; i++ {
		for i < len(s) && shellBytes[s[i]] == 0 {
			i++
		}
		if i == len(s) || isBlank(s[i]) || isOperator(s[i]) {
			w.content, p.i = s[begin:i], i
			return w
		}
		if c := s[i]; c == '\'' || c == '"' || c == '\\' || c == '$' && i+1 < len(s) && s[i+1] == '(' {
			break
		}
	}
	p.quotedWord(w)
	return w
}

// quotedWord reads a word with quotes, escapes or commands in it.
func (p *splitter) quotedWord(w *word) {
	s := p.t.s
	w.quoted = s[p.i] == '\'' || s[p.i] == '"'
	content, at, sections := p.a.bytes[:0], p.a.places[:0], p.a.sections[:0]
	w.quotes = append(w.quotes, [2]int32{})
	var quote byte
	add := func(i int, section int) {
		content = append(content, s[i])
		at = append(at, int32(i))
		sections = append(sections, int32(section))
	}
	section := func() int {
		if quote != 0 {
			return len(w.quotes) - 1
		}
		return 0
	}
	done := func(i int) {
		// The memory behind what this word has is the next one's.
		w.content, w.at, w.section, p.i = string(content), at, sections, i
		p.a.bytes, p.a.places, p.a.sections = content, at[len(at):], sections[len(sections):]
	}
	nested := 0 // parentheses of $(…), which can have blanks in it
	i := p.i
	for ; i < len(s); i++ {
		c := s[i]
		switch {
		case quote == '\'' && c != '\'':
			add(i, section())
		case quote != 0 && c == quote:
			w.quotes[len(w.quotes)-1][1] = int32(i)
			quote = 0
		case c == '\\' && i+1 < len(s) && (quote == 0 || s[i+1] == '"' || s[i+1] == '\\' || s[i+1] == '$' || s[i+1] == '`'):
			i++
			if s[i] != '\n' {
				add(i, section())
			}
		case quote != 0:
			add(i, section())
		case c == '\'' || c == '"':
			quote = c
			w.quotes = append(w.quotes, [2]int32{int32(i), int32(len(s) - 1)})
		case c == '$' && i+1 < len(s) && s[i+1] == '(':
			nested++
			add(i, 0)
			i++
			add(i, 0)
		case nested > 0 && c == ')':
			nested--
			add(i, 0)
		case nested == 0 && (isBlank(c) || isOperator(c)):
			done(i)
			return
		default:
			add(i, 0)
		}
	}
	done(i)
}

// escapedWord is what a word says that is percent-encoded, as in a URL.
type escapedWord struct {
	of      *word
	content string
	at      []int32 // where each byte of the content begins in the word, and its end
}

func unescape(w *word) *escapedWord {
	s := w.content
	e := &escapedWord{of: w, at: make([]int32, 0, len(s)+1)}
	content := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		e.at = append(e.at, int32(i))
		c := s[i]
		if c == '%' && i+2 < len(s) && members[s[i+1]]&members[s[i+2]]&hexDigits != 0 {
			c = digit(s[i+1])<<4 | digit(s[i+2])
			i += 2
		}
		content = append(content, c)
	}
	e.content, e.at = string(content), append(e.at, int32(len(s)))
	return e
}

// digit returns the value of a hexadecimal digit.
func digit(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

func (e *escapedWord) hide(from, to int) { e.of.hide(int(e.at[from]), int(e.at[to])) }
