// SPDX-License-Identifier: Apache-2.0

package jsonstream_test

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/jsonstream"
)

// endless is a text of prefix, n times part, and suffix, that is never in memory.
func endless(prefix, part string, n int, suffix string) io.Reader {
	return io.MultiReader(strings.NewReader(prefix), &repeated{part: part, n: n}, strings.NewReader(suffix))
}

type repeated struct {
	part string
	n    int
	rest string
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.rest == "" {
		if r.n == 0 {
			return 0, io.EOF
		}
		r.n--
		r.rest = r.part
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// items reads a stream, and returns its events as the ids that they have, with a "s"
// behind those that are shortened, and "!" for what is none.
func items(t *testing.T, r *jsonstream.Reader) (ids []string, err error) {
	t.Helper()
	for {
		item, err := r.Next()
		if err != nil {
			return ids, err
		}
		if item.Err != nil {
			ids = append(ids, "!")
			continue
		}
		var e struct {
			AuditID string `json:"auditID"`
		}
		if err := json.Unmarshal(item.Text, &e); err != nil {
			t.Fatalf("%.200s: %v", item.Text, err)
		}
		if item.Shortened {
			e.AuditID += "s"
		}
		ids = append(ids, e.AuditID)
	}
}

func TestReader(t *testing.T) {
	const a, b, c = `{"auditID":"a"}`, `{"auditID":"b","x":{"y":["}"]}}`, `{"auditID":"c"}`
	for _, test := range []struct {
		name, text string
		lines      bool
		want       string
	}{
		{"one", a, false, "a"},
		{"list", `{"kind":"EventList","items":[` + a + "," + b + "]}", false, "a b"},
		{"list in another order", `{"items":[` + a + `, ` + b + `],"metadata":{"x":[]},"kind":"EventList"} `, false, "a b"},
		{"empty list", `{"kind":"EventList","items":[ ]}`, false, ""},
		{"array", "[" + a + "\n,\n" + b + "]\n", false, "a b"},
		{"lines", a + "\n" + b + "\n\n" + c + "\n", false, "a b c"},
		{"lists on lines", `{"items":[` + a + "]}\n" + `{"items":[` + b + "]}\n" + c, false, "a b c"},
		{"byte order mark", "\ufeff" + a, false, "a"},
		{"spread over lines", "{\n \"auditID\": \"a\"\n}\n{\n \"auditID\":\n \"b\"\n}", false, "a b"},
		{"prefix", "2026-09-14T10:00:00Z stdout F " + a + "\nmaster-0 " + b, false, "a b"},
		{"lines between", a + "\nI0914 10:00:00 server.go:1] {x} [y]\n" + b + "\n", false, "a ! b"},
		{"prefix in brackets", "[14/Sep/2026] " + a + "\n", false, "a"},
		{"no JSON", "hello", false, "!"},
		{"a line that is cut", `{"auditID":"a","user":{"x` + "\n" + b + "\n", true, "as b"},
		{"a line that is cut outside of a string", `{"auditID":"a","user":{"x":1,` + "\n" + b + "\n", true, "as b"},
		{"a later line that is cut", a + "\n" + `{"auditID":"b","user":` + "\n" + c + "\n", false, "a bs c"},
		{"the end is missing", `{"items":[` + a + `,{"auditID":"b","x":`, false, "a bs !"},
		{"nothing", " \n", false, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			for how, source := range map[string]io.Reader{
				"at once":       strings.NewReader(test.text),
				"byte by byte":  iotest.OneByteReader(strings.NewReader(test.text)),
				"with its end":  iotest.DataErrReader(strings.NewReader(test.text)),
				"in two halves": io.MultiReader(strings.NewReader(test.text[:len(test.text)/2]), strings.NewReader(test.text[len(test.text)/2:])),
			} {
				ids, err := items(t, jsonstream.NewReader(source, test.lines))
				if got := strings.Join(ids, " "); got != test.want || err != io.EOF {
					t.Errorf("%s: got %q and %v, want %q", how, got, err, test.want)
				}
			}
		})
	}
}

// What a client writes into a part of an event costs no other part of it.
func TestReaderLongEvents(t *testing.T) {
	const size = 8 << 20
	const before = `{"kind":"EventList","items":[{"auditID":"a",`
	const behind = `,"verb":"list","sourceIPs":["192.0.2.1","198.51.100.2"],"annotations":{"authorization.k8s.io/decision":"allow"}},{"auditID":"b"}]}`
	for name, part := range map[string]struct{ prefix, part, suffix string }{
		"a text":                   {`"requestURI":"/api?`, "x", `"`},
		"a text of escapes":        {`"requestURI":"/api?`, `\u0026`, `"`},
		"a text of quotes":         {`"userAgent":"`, `\"`, `"`},
		"a text of backslashes":    {`"userAgent":"`, `\\`, `"`},
		"a text of wide letters":   {`"userAgent":"`, "\U0001f600", `"`},
		"a nested text":            {`"objectRef":{"resource":"secrets","name":"`, "x", `","subresource":"y"}`},
		"a list":                   {`"user":{"groups":["x"`, `,"system:x"`, `]}`},
		"an object":                {`"user":{"extra":{"x":1`, `,"y":["z"]`, `}}`},
		"depth":                    {`"x":`, "[", strings.Repeat("]", size)},
		"a number":                 {`"x":`, "1", ""},
		"a key":                    {`"`, "x", `":1`},
		"members":                  {`"m":1`, `,"y":"z"`, ``},
		"an object that is unused": {`"requestObject":{"x":[1`, `,{"y":"z"}`, `]}`},
		"spaces":                   {`"x":1`, ` `, ``},
	} {
		t.Run(name, func(t *testing.T) {
			source := endless(before+part.prefix, part.part, size/len(part.part), part.suffix+behind)
			reader := jsonstream.NewReader(source, false)
			var events []event.Event
			var decoder jsonstream.Decoder
			var was, is runtime.MemStats
			runtime.ReadMemStats(&was)
			for {
				item, err := reader.Next()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if len(item.Text) > 256<<10 {
					t.Fatalf("%d bytes are kept", len(item.Text))
				}
				decoder.Item(item, func(e *event.Event, err error) {
					if err != nil {
						t.Fatal(err)
					}
					copied := *e
					copied.Kubernetes.SourceIPs = slices.Clone(e.Kubernetes.SourceIPs)
					copied.Kubernetes.Verb = strings.Clone(e.Kubernetes.Verb)
					copied.Kubernetes.Decision = strings.Clone(e.Kubernetes.Decision)
					events = append(events, copied)
				})
			}
			runtime.ReadMemStats(&is)
			if grown := is.TotalAlloc - was.TotalAlloc; grown > 4<<20 {
				t.Errorf("allocated %d bytes", grown)
			}
			if len(events) != 2 {
				t.Fatalf("got %d events, want 2", len(events))
			}
			e := events[0]
			if k := e.Kubernetes; k.Verb != "list" || k.Peer() != "198.51.100.2" || k.Decision != "allow" {
				t.Errorf("the rest of the event: %q %q %q", k.Verb, k.Peer(), k.Decision)
			}
			if want := name != "an object that is unused" && name != "spaces"; e.Shortened != want {
				t.Errorf("shortened is %v", e.Shortened)
			}
		})
	}
}

// The first and the last of a long list are kept.
func TestReaderLongList(t *testing.T) {
	var list []string
	for i := range 100_000 {
		list = append(list, fmt.Sprintf(`"192.0.2.%d"`, i))
	}
	text := `{"auditID":"a","sourceIPs":[` + strings.Join(list, ",") + `]}`
	item, err := jsonstream.NewReader(strings.NewReader(text), false).Next()
	if err != nil || !item.Shortened {
		t.Fatal(item.Shortened, err)
	}
	var e struct{ SourceIPs []string }
	if err := json.Unmarshal(item.Text, &e); err != nil {
		t.Fatal(err)
	}
	if got := e.SourceIPs; got[0] != "192.0.2.0" || got[len(got)-1] != "192.0.2.99999" {
		t.Errorf("%q to %q", got[0], got[len(got)-1])
	}
}

// An event has the same identity whatever is kept of it, and another one has not.
func TestReaderHash(t *testing.T) {
	hash := func(source io.Reader) uint64 {
		item, err := jsonstream.NewReader(source, false).Next()
		if err != nil || item.Err != nil {
			t.Fatal(err, item.Err)
		}
		return item.Hash
	}
	long := `{"auditID":"a","requestURI":"` + strings.Repeat("x", 100_000) + `"}`
	other := strings.Replace(long, `x"}`, `y"}`, 1)
	if hash(strings.NewReader(long)) != hash(iotest.OneByteReader(strings.NewReader(long))) {
		t.Error("the identity depends on how the text comes")
	}
	if hash(strings.NewReader(long)) == hash(strings.NewReader(other)) {
		t.Error("two events that differ at their ends have one identity")
	}
}

// The error of the source is the stream's, and what is read by then is no event.
func TestReaderBreaks(t *testing.T) {
	source := io.MultiReader(strings.NewReader(`[{"auditID":"a"},{"auditID":"b","user`), iotest.ErrReader(io.ErrUnexpectedEOF))
	ids, err := items(t, jsonstream.NewReader(source, false))
	if len(ids) != 1 || err != io.ErrUnexpectedEOF {
		t.Errorf("got %q and %v", ids, err)
	}
	if _, err := jsonstream.NewReader(endless("", "\x00", 2<<20, ""), false).Next(); err == nil || err == io.EOF {
		t.Errorf("junk without end: %v", err)
	}
}

// Whatever a text holds, reading it takes time in proportion to its length.
func FuzzReader(f *testing.F) {
	f.Add([]byte(`{"kind":"EventList","items":[{"auditID":"a"},{"x":"\u0026\\\""}]}`), uint16(1))
	f.Add([]byte(`x [1] {"a":[{`+"\n"), uint16(100))
	f.Add([]byte(`{"requestObject":{}}{"\`), uint16(40000))
	f.Fuzz(func(t *testing.T, part []byte, n uint16) {
		length := len(part) * int(n)
		if length > 4<<20 {
			return
		}
		for _, lines := range []bool{false, true} {
			reader := jsonstream.NewReader(endless("", string(part), int(n), ""), lines)
			began, count := time.Now(), 0
			for {
				item, err := reader.Next()
				if err != nil {
					break
				}
				if count++; count > length {
					t.Fatalf("more than %d events", length)
				}
				if item.Err == nil && item.Shortened && !json.Valid(item.Text) && json.Valid(part) {
					t.Fatalf("no JSON: %.200s", item.Text)
				}
			}
			// 20 ms a megabyte, and what a busy machine takes of its own.
			if took := time.Since(began); took > 500*time.Millisecond+time.Duration(length)*20*time.Nanosecond*5 {
				t.Fatalf("%v for %d bytes", took, length)
			}
		}
	})
}

func BenchmarkReader(b *testing.B) {
	text := `{"kind":"EventList","items":[` + strings.Repeat(head+`,"requestURI":"/api/v1/namespaces/shop/secrets/database","userAgent":"kubectl/v1.34.2 (linux/amd64) kubernetes/8cc511e","objectRef":{"resource":"secrets","namespace":"shop","name":"database","apiVersion":"v1"}},`, 999) + head + "}]}"
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		reader := jsonstream.NewReader(strings.NewReader(text), false)
		for {
			if _, err := reader.Next(); err != nil {
				break
			}
		}
	}
}
