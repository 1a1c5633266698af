// SPDX-License-Identifier: Apache-2.0

// Package command judges commands by their words: what they read, and what in them
// must not be shown.
package command

import (
	"net/url"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/containerapi/containerapi/plugin/oneline"
)

// masked stands for what is not shown, and ellipsis for what was cut off.
const (
	masked   = "***"
	ellipsis = "…"
)

const (
	// maxShown is how much of a command is shown, in bytes. What is longer is cut
	// before it is masked: to look for secrets takes time, and a client can send a
	// mebibyte.
	maxShown = 4 << 10
	// maxTail is how much a cut takes away at the most, for the sake of a word
	// that it would go through.
	maxTail = 1 << 10
)

// cut cuts what is not shown off a text, between two words: half a secret may not
// look like one.
func cut(s string) string {
	if len(s) <= maxShown {
		return s
	}
	s = s[:maxShown]
	n := maxShown - maxTail
	if i := strings.LastIndexAny(s[n:], " \t\r\n\x00"); i >= 0 {
		n += i
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + " " + ellipsis
}

// Mask returns a command line on one line, with what may be a secret replaced by
// "***". The line is taken apart as a shell does; where the words of a command are
// known, MaskWords knows better what is one. Programs, subcommands, options, paths
// and names stay, because rules and people judge a command by them. Of a command
// above 4 KiB only the beginning is shown. Masking twice gives the same as once.
func Mask(line string) string {
	line = cut(line)
	// The ends of lines separate commands.
	first := mask(line)
	if shown := oneline.Text(first); shown != line {
		return settled(shown)
	}
	return first
}

// settled masks a text on one line until no more of it is to be hidden.
func settled(line string) string {
	for range 4 {
		again := mask(line)
		if again == line {
			break
		}
		line = again
	}
	return line
}

// MaskWords is Mask for a command whose words are known: what is in one word stays
// together, also where it has spaces or quotes in it. The words are joined by a
// space.
func MaskWords(words []string) string {
	m := newMasker()
	defer m.release()
	var joined strings.Builder
	for i, w := range words {
		if joined.Len() > maxShown {
			joined.WriteString(" " + ellipsis)
			break
		}
		if i > 0 {
			joined.WriteByte(' ')
		}
		w = cut(w)
		known := m.arena.newWord()
		known.content, known.in, known.begin, known.literal = w, &m.root, joined.Len(), true
		m.words = append(m.words, known)
		joined.WriteString(w)
	}
	m.begin(joined.String())
	scanText(m.root.s, false, &m.root)
	m.command(m.words)
	for _, w := range m.words {
		m.inside(w, 0)
	}
	// As a line, too: so that a recorded command is shown as it was.
	return settled(oneline.Text(m.shown()))
}

// MaskArgs is MaskWords for the command line of a client.
func MaskArgs(args []string) string { return MaskWords(args) }

// MaskText returns a text of any kind on one line, with what may be a secret
// replaced by "***": tokens of known formats, what stands beside a name of a
// secret, the user in a URL and the values of its query, keys. Of a text above
// 4 KiB only the beginning is shown.
func MaskText(text string) string { return maskText(text, false) }

// MaskName is MaskText for the name of somebody or something, in which a colon
// separates parts, and which may look random.
func MaskName(name string) string { return maskText(name, true) }

func maskText(text string, identity bool) string {
	text = oneline.Text(cut(text))
	if isPlain(text) {
		return text
	}
	for range 3 {
		spans := spans{}
		scanText(text, identity, &spans)
		if len(spans.list) == 0 {
			break
		}
		again := spans.apply(text)
		if again == text {
			break
		}
		text = again
	}
	return unescapedText(text, identity)
}

// maxEscapes is how often a text may have been percent-encoded for what is in it to
// be found.
const maxEscapes = 3

// unescapedText looks at what a percent-encoded text says, and returns that instead
// if something of it is to be hidden.
func unescapedText(text string, identity bool) string {
	plain := text
	for range maxEscapes {
		if strings.IndexByte(plain, '%') < 0 {
			break
		}
		decoded, err := url.PathUnescape(plain)
		if err != nil || decoded == plain {
			break
		}
		plain = oneline.Text(decoded)
		spans := spans{}
		if scanText(plain, identity, &spans); len(spans.list) > 0 {
			if shown := spans.apply(plain); shown != plain {
				return maskText(shown, identity)
			}
		}
	}
	return text
}

// isPlain reports whether a text is one short name in small letters, as most are, and
// shorter than the shortest token that consists of them.
func isPlain(text string) bool {
	if len(text) > 22 {
		return false
	}
	for i := range len(text) {
		if c := text[i]; (c < 'a' || c > 'z') && (c < '-' || c > '9' || c == '/') {
			return false
		}
	}
	return true
}

// spans collects what is hidden of a text, in its order.
type spans struct{ list [][2]int }

func (s *spans) hide(from, to int) {
	if n := len(s.list); n > 0 && from <= s.list[n-1][1] {
		s.list[n-1][1] = max(s.list[n-1][1], to)
		return
	}
	s.list = append(s.list, [2]int{from, to})
}

func (s *spans) apply(text string) string {
	b := make([]byte, 0, len(text))
	last := 0
	for _, span := range s.list {
		b = append(append(b, text[last:span[0]]...), masked...)
		last = span[1]
	}
	return string(append(b, text[last:]...))
}

// mask masks a text once.
func mask(line string) string {
	m := newMasker()
	defer m.release()
	m.begin(line)
	scanText(line, false, &m.root)
	m.script(&m.root)
	return m.shown()
}

// masker masks one text.
type masker struct {
	root  source
	words []*word // if they are known
	*arena
}

// maskers keeps the memory of maskers.
var maskers = sync.Pool{New: func() any { return &masker{arena: newArena()} }}

func newMasker() *masker { return maskers.Get().(*masker) }

// begin says what is masked.
func (m *masker) begin(text string) {
	m.hidden = append(m.hidden[:0], make([]bool, len(text))...)
	m.root = source{s: text, hidden: m.hidden}
}

// release gives the memory back, and keeps no text in it.
func (m *masker) release() {
	for i := range m.used {
		w := &m.arena.words[i/block][i%block]
		*w = word{quotes: w.quotes[:0]}
	}
	clear(m.words)
	clear(m.list[:cap(m.list)])
	m.list = m.list[:0]
	clear(m.bytes[:cap(m.bytes)])
	m.words, m.used, m.root = m.words[:0], 0, source{}
	m.places, m.sections = m.all[:0:room], m.all[room:room]
	maskers.Put(m)
}

// shown returns the text without what is hidden.
func (m *masker) shown() string {
	s, hidden := m.root.s, m.root.hidden
	first := 0
	for first < len(hidden) && !hidden[first] {
		first++
	}
	if first == len(hidden) {
		return s
	}
	b := make([]byte, 0, len(s))
	b = append(b, s[:first]...)
	for i := first; i < len(s); {
		from := i
		for i < len(s) && hidden[i] == hidden[from] {
			i++
		}
		if hidden[from] {
			b = append(b, masked...)
		} else {
			b = append(b, s[from:i]...)
		}
	}
	return string(b)
}

// NamesOf returns of a command line the names of programs and files, each other
// argument left out: for those who want no argument of a command to be shown. What
// Mask hides is not shown either.
func NamesOf(line string) string {
	line = Mask(line)
	m := newMasker()
	defer m.release()
	m.begin(line)
	p := splitter{t: &m.root, a: m.arena, first: len(m.list)}
	var b strings.Builder
	for n := 0; ; n++ {
		words, end := p.next()
		first, separator := true, "; "
		for _, w := range words {
			shown := isPath(w.content) && !strings.ContainsAny(w.content, "=@?*&%") && !strings.Contains(w.content, "://")
			if first && !isAssignment(w.content) {
				first = false
				// Behind the first command what looks like another one can be
				// part of an argument.
				shown = shown || isProgram(w.content) && (n == 0 || isKnown(w.content))
			}
			if !shown {
				continue
			}
			if b.Len() > 0 {
				b.WriteString(separator)
			}
			separator = " "
			b.WriteString(w.content)
		}
		if end == 0 {
			return b.String()
		}
	}
}

// isKnown reports whether a word is the name of a program that this package knows.
func isKnown(c string) bool {
	return programs[c] != nil || wraps[c] || readsText[c] || prints[c] || writers[c] || copiers[c]
}

// isProgram reports whether a word can be the name of a program.
func isProgram(c string) bool {
	return len(c) <= 64 && strings.Trim(c, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./+") == "" && !isRandom(c)
}
