// SPDX-License-Identifier: Apache-2.0

package lines_test

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/containerapi/containerapi/plugin/lines"
)

func readAll(t testing.TB, r *lines.Reader) (got []string) {
	t.Helper()
	for {
		line, cut, err := r.Next()
		if err == io.EOF {
			if rest := r.Rest(); len(rest) > 0 {
				got = append(got, "rest:"+string(rest))
			}
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		text := string(line)
		if cut {
			text = "cut:" + text
		}
		got = append(got, text)
	}
}

func TestReader(t *testing.T) {
	for _, test := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{"a\nb\n", []string{"a", "b"}},
		{"a\n\nb", []string{"a", "", "rest:b"}},
		{"12345678\nb\n", []string{"cut:12345678", "b"}},
		{"1234567\nb\n", []string{"1234567", "b"}},
		{strings.Repeat("x", 1000) + "\nb\n", []string{"cut:xxxxxxxx", "b"}},
		{"\x00\x00\x00a\n", []string{"", "a"}},
		{"b\n" + strings.Repeat("\x00", 1000) + "a\nc\n", []string{"b", "", "a", "c"}},
		{"a\n\x00\x00", []string{"a"}},
	} {
		for _, source := range []io.Reader{strings.NewReader(test.text), iotest.OneByteReader(strings.NewReader(test.text))} {
			if got := readAll(t, lines.NewReader(source, 4, 8)); !slices.Equal(got, test.want) {
				t.Errorf("%.20q: got %q, want %q", test.text, got, test.want)
			}
		}
	}
}

// A line whose end comes only after the source ended once is returned whole.
func TestReaderGoesOn(t *testing.T) {
	var source bytes.Buffer
	r := lines.NewReader(&source, 4, 100)
	source.WriteString("hel")
	if _, _, err := r.Next(); err != io.EOF {
		t.Fatalf("got %v, want EOF", err)
	}
	source.WriteString("lo\nx")
	if line, _, err := r.Next(); string(line) != "hello" || err != nil {
		t.Fatalf("got %q, %v", line, err)
	}
}

// counted counts how often it is read.
type counted struct {
	io.Reader
	n int
}

func (c *counted) Read(p []byte) (int, error) { c.n++; return c.Reader.Read(p) }

// What is said to be there does not have to be read first, and what is not said
// to be there has to be.
func TestReaderBuffered(t *testing.T) {
	for _, test := range []struct {
		name, text string
		chunk      int
	}{
		{"one read", "a\nb\n\nc\n", 100},
		{"short reads", "a\nbc\ndef\nghij\n", 3},
		{"a cut line before", strings.Repeat("x", 50) + "\na\nb\n", 100},
		{"NUL bytes before", "a\n\x00\x00b\nc\n", 100},
		{"unfinished", "a\nb", 100},
	} {
		source := &counted{Reader: iotest.DataErrReader(strings.NewReader(test.text))}
		r := lines.NewReader(source, test.chunk, 16)
		for {
			buffered, before := r.Buffered(), source.n
			_, cut, err := r.Next()
			if read := source.n > before; !cut && buffered == read {
				t.Errorf("%s: buffered is %t, and the source was read: %t", test.name, buffered, read)
			}
			if err != nil {
				break
			}
		}
	}
}

// A line of 100 MB costs no more memory than the longest line that is returned.
func TestHugeLine(t *testing.T) {
	huge := io.MultiReader(io.LimitReader(repeat{}, 100<<20), strings.NewReader("\nnext\n"))
	r := lines.NewReader(huge, 64<<10, 1<<20)
	allocated := testing.Benchmark(func(b *testing.B) {
		if b.N > 1 {
			return
		}
		b.ReportAllocs()
		if _, cut, err := r.Next(); err != nil || !cut {
			t.Errorf("got %v, cut: %t", err, cut)
		}
	}).AllocedBytesPerOp()
	if allocated > 8<<20 {
		t.Errorf("%d bytes were allocated", allocated)
	}
	if got, _, err := r.Next(); err != nil || string(got) != "next" {
		t.Errorf("the next line is %.100q, %v", got, err)
	}
}

// repeat is an endless line.
type repeat struct{}

func (repeat) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("a\nb\n\x00c\n"), 3)
	f.Add([]byte("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\nb"), 7)
	f.Fuzz(func(t *testing.T, text []byte, chunk int) {
		const longest = 16
		if chunk < 1 || chunk > 64 {
			return
		}
		var want []string
		parts := strings.Split(string(text), "\n")
		for i, line := range parts {
			if trimmed := strings.TrimLeft(line, "\x00"); trimmed != line {
				if trimmed != "" || i < len(parts)-1 {
					want = append(want, "")
				}
				line = trimmed
			}
			switch {
			case len(line) >= longest:
				want = append(want, "cut:"+line[:longest])
			case i < len(parts)-1:
				want = append(want, line)
			case line != "":
				want = append(want, "rest:"+line)
			}
		}
		got := readAll(t, lines.NewReader(iotest.HalfReader(bytes.NewReader(text)), chunk, longest))
		if !slices.Equal(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}

func BenchmarkReader(b *testing.B) {
	line := strings.Repeat("x", 1200) + "\n"
	text := strings.Repeat(line, 10000)
	source := strings.NewReader(text)
	r := lines.NewReader(source, 1<<20, 16<<20)
	b.ReportAllocs()
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		if _, _, err := r.Next(); err != nil {
			source.Reset(text)
		}
	}
}

func ExampleReader() {
	r := lines.NewReader(strings.NewReader("one\ntwo\n"), 1<<20, 16<<20)
	for {
		line, _, err := r.Next()
		if err != nil {
			break
		}
		fmt.Println(string(line))
	}
	// Output:
	// one
	// two
}
