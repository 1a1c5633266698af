// SPDX-License-Identifier: Apache-2.0

// Package oneline makes text that a stranger chose safe to show: on one line, and
// without what moves a terminal's cursor or turns the direction of writing.
package oneline

import (
	"unicode"
	"unicode/utf8"
)

// Text returns a text with each character that is not safe to show replaced by a
// space, and each byte that is no UTF-8 by U+FFFD: control characters, the
// separators of lines and paragraphs, and characters that nobody sees, among
// them those for bidirectional writing (https://trojansource.codes). The two that
// join letters, which words of some languages need, stay.
func Text(s string) string {
	if n := plain(s); n == len(s) {
		return s
	}
	b := Append(nil, s)
	if string(b) == s {
		return s
	}
	return string(b)
}

// Append appends a text as [Text] returns it.
func Append(b []byte, s string) []byte {
	for len(s) > 0 {
		n := plain(s)
		b = append(b, s[:n]...)
		if s = s[n:]; s == "" {
			break
		}
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			b = utf8.AppendRune(b, utf8.RuneError)
		case unsafeRune(r):
			b = append(b, ' ')
		default:
			b = append(b, s[:size]...)
		}
		s = s[size:]
	}
	return b
}

// plain returns how many bytes at the beginning of a text are ASCII and safe. It
// looks at eight at once: nearly all text is plain from end to end.
func plain(s string) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	n := 0
	for ; len(s)-n >= 8; n += 8 {
		b := s[n : n+8]
		x := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 | uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		// The top bit of a byte is set if the byte is not ASCII, below a space,
		// or 0x7f, which one more makes 0x80. A byte that follows one of these
		// may have it, too.
		if (x|(x-' '*ones)|(x+ones))&tops != 0 {
			break
		}
	}
	for ; n < len(s); n++ {
		if c := s[n]; c < ' ' || c >= 0x7f {
			break
		}
	}
	return n
}

func unsafeRune(r rune) bool {
	const nonJoiner, joiner = '\u200c', '\u200d'
	return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Cf) && r != nonJoiner && r != joiner
}
