// SPDX-License-Identifier: Apache-2.0

package jsonscan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

// sample is what the tests want of a text.
type sample struct {
	Name string
	On   bool
	List []string
	Deep struct{ Inner []struct{ Path string } }
	Keys map[string]struct{}
}

// scan reads a text in pieces of the given length.
func scan(text []byte, piece, limit int) (sample, error) {
	var v sample
	s := New(&Node{Members: map[string]*Node{
		"Name": {String: func(s string) { v.Name = s }},
		"On":   {Bool: func(b bool) { v.On = b }},
		"List": {
			Begin:   func(array bool) { v.List = []string{} },
			Element: &Node{String: func(s string) { v.List = append(v.List, s) }},
		},
		"Deep": {Members: map[string]*Node{"Inner": {Element: &Node{
			Begin:   func(bool) { v.Deep.Inner = append(v.Deep.Inner, struct{ Path string }{}) },
			Members: map[string]*Node{"Path": {String: func(s string) { v.Deep.Inner[len(v.Deep.Inner)-1].Path = s }}},
		}}}},
		"Keys": {
			Begin: func(bool) {
				if v.Keys == nil {
					v.Keys = map[string]struct{}{}
				}
			},
			Key: func(key string) { v.Keys[key] = struct{}{} },
		},
	}}, limit)
	for len(text) > 0 {
		n := min(piece, len(text))
		if _, err := s.Write(text[:n]); err != nil {
			return v, err
		}
		text = text[n:]
	}
	return v, s.Close()
}

func TestScanner(t *testing.T) {
	for _, text := range []string{
		`{"Name":"a","On":true,"List":["x","y"],"Deep":{"Inner":[{"Path":"/a"},{"Other":1}]},"Keys":{"k":{},"l":{}}}`,
		`{"name":"a","NAME":"b"}`,
		`{"Name":"\u0041\n\ud83d\ude00\ud83dx\udc00\/\"\\"}`,
		"{\"Name\":\"\xff\xc0a\"}",
		`{"x":{"Name":"no"},"Name":"yes","y":[{"Name":"no"}]}`,
		`{"x":[[[1,-2.5e+7,0.1,true,false,null,{}]]],"On":true}`,
		` { "Name" : "a" , "List" : [ "b" , "c" ] } `,
		`{"Name":"a"} and more`,
		`{}`, `[]`, `"x"`, `12`, `null`, `{"List":[]}`, "{\"Na\u017fe\":\"long s is none of these\"}",
	} {
		var want sample
		if err := json.NewDecoder(strings.NewReader(text)).Decode(&want); err != nil && !strings.Contains(err.Error(), "cannot unmarshal") {
			t.Fatalf("%s: %v", text, err)
		}
		for piece := range 9 {
			got, err := scan([]byte(text), piece+1, DefaultLimit)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s in pieces of %d: %+v, %v; want %+v", text, piece+1, got, err, want)
			}
		}
	}
}

func TestScannerErrors(t *testing.T) {
	for _, text := range []string{
		``, `{`, `{"Name"`, `{"Name":`, `{"Name":"a`, `{"Name":"a"`, `{"Name" "a"}`, `{,}`, `{"a":1,}`, `[1,]`, `[1 2]`, `{"a":1]`, `[}`,
		`tru`, `trux`, `-`, `[01]`, `1.`, `1e`, `+1`, "{\"Name\":\"\n\"}", `{"Name":"\x"}`, `{"Name":"\u00g0"}`, `{1:2}`, `}`,
		strings.Repeat("[", maxDepth+1),
	} {
		if _, err := scan([]byte(text), 3, DefaultLimit); !errors.Is(err, ErrSyntax) {
			t.Errorf("%.40q gave %v", text, err)
		}
	}
}

// Nothing but what is wanted is kept, and of that no more than the limit.
func TestScannerBound(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	got, err := scan([]byte(`{"Other":"`+long+`","`+long+`":1,"Name":"kept"}`), 4096, 100)
	if err != nil || got.Name != "kept" {
		t.Errorf("%v, %q", err, got.Name)
	}
	got, err = scan([]byte(`{"List":["one","two","`+long+`"],"Name":"lost"}`), 4096, 100)
	if !errors.Is(err, ErrLimit) || len(got.List) != 2 {
		t.Errorf("%v, %q", err, got.List)
	}
}

// Any text means what it means to encoding/json, whatever pieces it comes in.
func FuzzScanner(f *testing.F) {
	for _, text := range []string{
		`{"Name":"a","On":true,"List":["x"],"Deep":{"Inner":[{"Path":"/a"}]},"Keys":{"k":{}}}`,
		`{"Name":"\ud83d\ude00\ud83d"}`, `[1e5,-0.1]`, `{"a":[{}]} x`, "{\"Name\":\"\xff\"}", `{"Keys":{"a\u0000":1}}`,
	} {
		f.Add([]byte(text), uint64(1))
	}
	f.Fuzz(func(t *testing.T, text []byte, seed uint64) {
		var any json.RawMessage
		wrong := json.NewDecoder(bytes.NewReader(text)).Decode(&any)
		got, err := scan(text, 1+int(seed%7), DefaultLimit)
		if (err == nil) != (wrong == nil) {
			t.Fatalf("%q: %v, encoding/json says %v", text, err, wrong)
		}
		if err != nil {
			return
		}
		var want sample
		if json.Unmarshal(any, &want) != nil || twice(any) {
			return // dockerd refuses it, or a member stands there twice
		}
		if got.Deep.Inner == nil && len(want.Deep.Inner) == 0 {
			got.Deep, want.Deep = sample{}.Deep, sample{}.Deep
		}
		if fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", want) && !hasNull(any) {
			t.Fatalf("%q:\ngot  %#v\nwant %#v", text, got, want)
		}
	})
}

// twice reports whether an object has two members of the same name, whatever
// their case: what encoding/json makes of them is more than the tests' sample.
func twice(text []byte) bool {
	d := json.NewDecoder(bytes.NewReader(text))
	type level struct {
		keys map[string]bool
		key  bool
	}
	var stack []level
	for {
		token, err := d.Token()
		if err != nil {
			return false
		}
		top := len(stack) - 1
		if top >= 0 && stack[top].keys != nil && stack[top].key {
			if name, ok := token.(string); ok {
				for other := range stack[top].keys {
					if strings.EqualFold(other, name) {
						return true
					}
				}
				stack[top].keys[name] = true
				stack[top].key = false
				continue
			}
		}
		switch token {
		case json.Delim('{'):
			stack = append(stack, level{map[string]bool{}, true})
			continue
		case json.Delim('['):
			stack = append(stack, level{})
			continue
		case json.Delim('}'), json.Delim(']'):
			stack = stack[:top]
			top--
		}
		if top >= 0 && stack[top].keys != nil {
			stack[top].key = true
		}
	}
}

func hasNull(text []byte) bool { return bytes.Contains(text, []byte("null")) }

// The time for a text grows with its length and no faster, whatever it is made
// of.
func TestScannerLinear(t *testing.T) {
	for name, parts := range map[string][3]string{
		"escapes": {`{"Name":"`, `\u0041`, `"}`}, "quotes": {`{"Name":"`, `\"`, `"}`}, "text": {`{"Name":"`, "xxxxxxxx", `"}`}, "halves": {`{"Name":"`, `\ud83d`, `"}`},
		"members": {`{`, `"x":0,`, `"Name":""}`}, "the same member": {`{`, `"name":"",`, `"Name":""}`}, "elements": {`{"List":[`, `"",`, `""]}`},
		"arrays": {`{"x":[`, `[],`, `[]]}`}, "objects": {`{"Deep":{"Inner":[`, `{},`, `{}]}}`}, "a long key": {`{"`, "xxxxxxxx", `":0}`},
		"spaces": {`{"x":`, "        ", `0}`}, "a number": {`[`, "11111,", `1]`}, "no UTF-8": {`{"Name":"`, "\xff\xc0", `"}`}, "depth": {``, strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + " ", ``},
	} {
		text := func(n int) []byte { return []byte(parts[0] + strings.Repeat(parts[1], n/len(parts[1])) + parts[2]) }
		measure := func(b []byte) time.Duration {
			best := time.Hour
			for _, piece := range []int{1, 4096} {
				begin := time.Now()
				if _, err := scan(b, piece, 8<<20); err != nil {
					t.Fatal(err)
				}
				best = min(best, time.Since(begin))
			}
			return best
		}
		// Measured in turn, so that both share what else the machine does.
		small, large := time.Hour, time.Hour
		for try := 0; try < 20 && (try == 0 || large > 40*small); try++ {
			small, large = min(small, measure(text(256<<10))), min(large, measure(text(2<<20)))
		}
		if large > 40*small {
			t.Errorf("%s: 256 KiB take %v, 2 MiB %v", name, small, large)
		}
	}
}

func BenchmarkScanner(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	var text bytes.Buffer
	text.WriteString(`{"Image":"i","Env":[`)
	for i := range 2000 {
		fmt.Fprintf(&text, `"VARIABLE_%d=%x",`, i, r.Uint64())
	}
	text.WriteString(`""],"Name":"x"}`)
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := scan(text.Bytes(), 4096, DefaultLimit); err != nil {
			b.Fatal(err)
		}
	}
}

// Where keys are to be exact, one that differs by case is another.
func TestExact(t *testing.T) {
	for _, exact := range []bool{false, true} {
		found := ""
		s := New(&Node{Exact: exact, Members: map[string]*Node{"name": {String: func(text string) { found += text }}}}, DefaultLimit)
		if _, err := s.Write([]byte(`{"name":"a","Name":"b"}`)); err != nil {
			t.Fatal(err)
		}
		if want := map[bool]string{false: "ab", true: "a"}[exact]; found != want {
			t.Errorf("exact: %t: found %q, want %q", exact, found, want)
		}
	}
}
