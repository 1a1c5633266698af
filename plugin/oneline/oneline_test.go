// SPDX-License-Identifier: Apache-2.0

package oneline

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "",
		"docker inspect web":       "docker inspect web",
		"größer, 東京":               "größer, 東京",
		"a\nb\r\tc\x00\x1b[2J\x7f": "a b  c  [2J ",
		"a\u0085b\u2028c\u2029d":   "a b c d",
		"a\u202eb\u2066c\u200fd":   "a b c d",
		"a\x9b2Jb\xff":             "a\ufffd2Jb\ufffd",
		"\xe2\x80":                 "\ufffd\ufffd",
		"zero\u200dwidth":          "zero\u200dwidth",
		"ad\u200bmin\ufeff":        "ad min ",
	} {
		if got := Text(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func FuzzText(f *testing.F) {
	for _, text := range []string{"plain", "a\nb", "\u202e", "\xff", "é\u2028"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := Text(text)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, unsafeRune) {
			t.Errorf("%q became %q", text, got)
		}
		if again := Text(got); again != got {
			t.Errorf("%q became %q, and that %q", text, got, again)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	text := strings.Repeat("/api/v1/namespaces/shop/secrets?limit=500", 4)
	b.SetBytes(int64(len(text)))
	var to []byte
	for b.Loop() {
		to = Append(to[:0], text)
	}
}
