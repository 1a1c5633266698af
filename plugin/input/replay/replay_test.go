// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/input"
	"github.com/containerapi/containerapi/plugin/input/inputtest"
)

func write(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func audit(id string) string {
	return `{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"` + id + `","verb":"list","objectRef":{"resource":"secrets"}}`
}

func packed(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(text))
	w.Close()
	return b.String()
}

func ids(s *inputtest.Sink) string {
	var ids []string
	for _, e := range s.Events() {
		id := e.AuditID
		if e.Shortened {
			id += "(shortened)"
		}
		ids = append(ids, id)
	}
	return strings.Join(ids, " ")
}

func run(t *testing.T, path string, o Options) *inputtest.Sink {
	t.Helper()
	r, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	sink := new(inputtest.Sink)
	if err := r.Run(t.Context(), sink); err != nil {
		t.Fatal(err)
	}
	if p := r.Progress(); p != 1 {
		t.Errorf("progress is %v at the end", p)
	}
	return sink
}

func TestFile(t *testing.T) {
	list := `{"kind":"EventList","items":[` + audit("l1") + `,` + audit("l2") + `]}`
	docker := `{"Type":"container","Action":"start","Actor":{"ID":"c1"},"timeNano":5}`
	const cri = "2026-11-22T12:00:00Z "
	pretty := strings.NewReplacer(",", ",\n  ", "{", "{\n  ").Replace(list)
	for _, test := range []struct {
		name, file, text string
		want             string
		malformed        int
	}{
		{"lines", "a.jsonl", audit("1") + "\n" + audit("2") + "\n", "1 2", 0},
		{"no newline at the end", "a", audit("1") + "\n" + audit("2"), "1 2", 0},
		{"windows", "a", audit("1") + "\r\n\r\n" + audit("2") + "\r\n", "1 2", 0},
		{"empty", "a", "", "", 0},
		{"blank lines", "a", "\n\n" + audit("1") + "\n \n", "1", 0},
		{"lists and arrays", "a", list + "\n[" + audit("3") + "]\n", "l1 l2 3", 0},
		{"kinds", "a", docker + "\n" + audit("1") + "\n", " 1", 0},
		{"broken lines", "a", audit("1") + "\n{\"auditID\":\"x\n\x00\x00\nnonsense\n" + audit("2"), "1 2", 2},
		{"first line broken", "a", "{\"auditID\":\"x\n" + audit("2") + "\n", "2", 1},
		{"pretty", "a.json", pretty, "l1 l2", 0},
		{"pretty, several", "a.json", pretty + "\n" + pretty, "l1 l2 l1 l2", 0},
		{"pretty, broken end", "a.json", pretty + "\n{", "l1 l2", 1},
		{"array over lines", "a.json", "[\n" + audit("1") + ",\n" + audit("2") + "\n]", "1 2", 0},
		{"one line", "a.json", list, "l1 l2", 0},
		{"container's log", "a.log", cri + "stderr F I1122 12:00:00.000000 1 server.go:1] started\n" +
			cri + "stdout P " + audit("1")[:20] + "\n" + cri + "stdout F " + audit("1")[20:] + "\n", "1", 0},
		{"packed", "a.gz", packed(audit("1") + "\n" + audit("2") + "\n"), "1 2", 0},
		{"packed, under another name", "audit.log-20261126", packed(audit("1")+"\n") + packed(audit("2")+"\n"), "1 2", 0},
		{"packed with zstd", "a.zst", "\x28\xb5\x2f\xfd\x04\x00\nx\ny\n", "", 1},
		{"packed with xz", "a.xz", "\xfd7zXZ\x00\x00\x04\nx\ny\n", "", 1},
		{"text of Windows", "a.json", "\xff\xfe{\x00\"\x00\n\x00}\x00", "", 1},
		{"packed, cut off", "a.gz", packed(audit("1") + "\n")[:60], "", 1},
		{"not packed", "a.gz", audit("1"), "", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			sink := run(t, write(t, filepath.Join(t.TempDir(), test.file), test.text), Options{})
			if got := ids(sink); got != test.want || sink.MalformedCount() != test.malformed {
				t.Errorf("got %q and %d malformed, want %q and %d\n%s", got, sink.MalformedCount(), test.want, test.malformed, sink.MalformedText())
			}
		})
	}
}

// What the plugin wrote into a capture reads back.
func TestOwnEvents(t *testing.T) {
	var own []byte
	var d event.Decoder
	d.Decode([]byte(audit("1")), func(e *event.Event, err error) { own = e.AppendJSON(nil) })
	sink := run(t, write(t, filepath.Join(t.TempDir(), "own"), string(own)+"\n"), Options{})
	if events := sink.Events(); len(events) != 1 || events[0].JSON != string(own) {
		t.Errorf("got %v, want %s", events, own)
	}
}

func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	for i, name := range []string{"c", "b", "a", "d.gz"} {
		text := audit(name) // without a newline
		if name == "d.gz" {
			text = packed(text)
		}
		path := write(t, filepath.Join(dir, name), text)
		age := now.Add(time.Duration(min(i, 1)) * time.Hour) // all but the first have the same
		if err := os.Chtimes(path, age, age); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	if got, want := ids(run(t, dir, Options{})), "c a b d.gz"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestLongLine(t *testing.T) {
	text := strings.TrimSuffix(audit("1"), "}") + `,"responseObject":"` + strings.Repeat("x", 80<<20) + `"}` + "\n" + audit("2")
	sink := run(t, write(t, filepath.Join(t.TempDir(), "long"), text), Options{MaxLine: 1 << 20})
	if got, want := ids(sink), "1(shortened) 2"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		filepath.Join(dir, "missing"): "missing",
		dir:                           "no files",
		os.DevNull:                    "neither",
	} {
		if _, err := Open(path, Options{}); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got error %v", path, err)
		}
	}
}

// A replay waits while the queue is full, and ends while it waits.
func TestFullQueue(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "a"), strings.Repeat(audit("1")+"\n", 10000))
	for _, stop := range []string{"room", "context", "closed"} {
		t.Run(stop, func(t *testing.T) {
			r, err := Open(path, Options{})
			if err != nil {
				t.Fatal(err)
			}
			sink := new(inputtest.Sink)
			sink.SetFull(true)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- r.Run(ctx, sink) }()
			sink.Eventually(t, "the replay waits for room", func() bool { return sink.Waiting() == 1 })
			if p := r.Progress(); p <= 0 || p > 1 {
				t.Errorf("progress is %v", p)
			}
			want := 0
			switch stop {
			case "room":
				sink.SetFull(false)
				want = 10000
			case "context":
				cancel()
			case "closed":
				sink.Close()
			}
			if err := <-done; err != nil || sink.Len() != want {
				t.Errorf("got error %v and %d events, want %d", err, sink.Len(), want)
			}
		})
	}
}

// Lines of all lengths come out as they were written, wherever a chunk ends.
func TestMany(t *testing.T) {
	var text strings.Builder
	var want []string
	for i := range 20000 {
		id := fmt.Sprint(i)
		want = append(want, id)
		text.WriteString(strings.TrimSuffix(audit(id), "}") + `,"userAgent":"` + strings.Repeat("x", i%3000) + "\"}\n")
	}
	if got := ids(run(t, write(t, filepath.Join(t.TempDir(), "many"), text.String()), Options{})); got != strings.Join(want, " ") {
		t.Error("not the events that were written")
	}
}

func FuzzReplay(f *testing.F) {
	f.Add([]byte(audit("1") + "\n" + audit("2")))
	f.Add([]byte("[\n" + audit("1") + ",\n" + audit("2") + "\n]\n{"))
	f.Fuzz(func(t *testing.T, text []byte) {
		sink := new(inputtest.Sink)
		r := &Replay{maxLine: 64, sink: sink, batch: sink.Batch()}
		r.add = r.added
		if err := r.read(t.Context(), bytes.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	})
}

// nothing is a sink that costs nothing, so that the reader is measured.
type nothing struct{ inputtest.Sink }

func (*nothing) Batch() input.Batch { return new(counting) }

type counting struct{ n int }

func (c *counting) Add(*event.Event)             { c.n++ }
func (c *counting) Len() int                     { return c.n }
func (c *counting) Size() int                    { return c.n * 1000 }
func (c *counting) Commit(context.Context) error { c.n = 0; return nil }

// BenchmarkReplay reads lines of 1.2 KB from a file and decodes them;
// BenchmarkDecode only decodes them. The difference is what the reader costs.
func BenchmarkReplay(b *testing.B) {
	line := benchmarkLine()
	path := write(b, filepath.Join(b.TempDir(), "a"), strings.Repeat(line+"\n", 10000))
	r, err := Open(path, Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += 10000 {
		if err := r.Run(b.Context(), new(nothing)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	text := slices.Repeat([]byte(benchmarkLine()+"\n"), 10000)
	var d event.Decoder
	var c counting
	n := len(text) / 10000
	b.SetBytes(int64(n))
	b.ReportAllocs()
	add := func(e *event.Event, err error) { c.Add(e) }
	i := 0
	for b.Loop() {
		d.Decode(text[i*n:(i+1)*n-1], add)
		i = (i + 1) % 10000
	}
}

func benchmarkLine() string {
	return `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"ab029a48-60f5-496b-a648-2c32d3dc9dd9","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/default/pods/atomic-pod","verb":"get","user":{"username":"kubernetes-admin","groups":["kubeadm:cluster-admins","system:authenticated"],"extra":{"authentication.kubernetes.io/credential-id":["X509SHA256=53c6a10848665cfa096a55ed0667eed568091816cfc87feb6044c25566abc716"]}},"sourceIPs":["127.0.0.1"],"userAgent":"kubectl/v1.34.2 (linux/amd64) kubernetes/$Format","objectRef":{"resource":"pods","namespace":"default","name":"atomic-pod","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":200},"responseObject":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"atomic-pod","namespace":"default","uid":"` + strings.Repeat("0", 200) + `"}},"requestReceivedTimestamp":"2026-11-22T12:01:24.749097Z","stageTimestamp":"2026-11-22T12:01:24.749097Z","annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":""}}`
}
