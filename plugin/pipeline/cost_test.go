// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/history"
	"github.com/containerapi/containerapi/plugin/jsonstream"
)

// maxCost is what a text may cost, however it is made: so often what encoding/json takes
// to see that as much is valid, which is 3 ms a megabyte on one core of 2025. The worst
// is 6 to 7 times on a machine that does nothing else.
const maxCost = 12

// texts are the places of an audit event where a client's text stands, %s in each. All
// else of the event is such that the text is looked at. Commands are those of clients
// that may run none: who may is bounded by what running them takes.
var texts = map[string]string{
	"query":           `"requestURI":"/api/v1/secrets?%s","verb":"list","objectRef":{"resource":"secrets","apiVersion":"v1"}`,
	"path":            `"requestURI":"/api/v1/namespaces/shop/secrets/%s","verb":"get","objectRef":{"resource":"secrets","apiVersion":"v1"}`,
	"command":         `"requestURI":"/api/v1/namespaces/shop/pods/web/exec?command=%s","verb":"get","responseStatus":{"code":403},"objectRef":{"resource":"pods","subresource":"exec","apiVersion":"v1"}`,
	"many commands":   `"requestURI":"/api/v1/namespaces/shop/pods/web/exec?command=a&command=%s","verb":"get","responseStatus":{"code":403},"objectRef":{"resource":"pods","subresource":"exec","apiVersion":"v1"}`,
	"kubelet":         `"requestURI":"/api/v1/nodes/n/proxy/run/shop/web/c?cmd=%s","verb":"create","responseStatus":{"code":403},"objectRef":{"resource":"nodes","subresource":"proxy","apiVersion":"v1"}`,
	"kubelet path":    `"requestURI":"/api/v1/nodes/n/proxy/%s","verb":"get","objectRef":{"resource":"nodes","subresource":"proxy","apiVersion":"v1"}`,
	"agent":           `"userAgent":"%s","verb":"list","requestURI":"/api/v1/secrets","objectRef":{"resource":"secrets","apiVersion":"v1"}`,
	"name":            `"objectRef":{"resource":"secrets","apiVersion":"v1","name":"%s"},"verb":"get"`,
	"namespace":       `"objectRef":{"resource":"secrets","apiVersion":"v1","namespace":"%s"},"verb":"get"`,
	"resource":        `"objectRef":{"resource":"%s"},"verb":"get"`,
	"subresource":     `"objectRef":{"resource":"pods","subresource":"%s"},"verb":"get"`,
	"verb":            `"verb":"%s"`,
	"audit id":        `"verb":"list","auditID":"%s","objectRef":{"resource":"secrets","apiVersion":"v1"}`,
	"user":            `"user":{"username":"%s"},"verb":"list"`,
	"service account": `"user":{"username":"system:serviceaccount:%s"},"verb":"list"`,
	"groups":          `"user":{"groups":["%s"]},"verb":"list"`,
	"many groups":     `"user":{"groups":["a","%s"]},"verb":"list"`,
	"credential":      `"user":{"extra":{"authentication.kubernetes.io/credential-id":["%s"]}},"verb":"list"`,
	"impersonated":    `"impersonatedUser":{"username":"%s"},"verb":"list"`,
	"addresses":       `"sourceIPs":["%s"],"verb":"list"`,
	"many addresses":  `"sourceIPs":["a","%s"],"verb":"list"`,
	"message":         `"responseStatus":{"code":403,"message":"users %s cannot impersonate resource"},"verb":"list"`,
	"reason":          `"responseStatus":{"code":403,"reason":"%s"},"verb":"list"`,
	"annotation":      `"annotations":{"authorization.k8s.io/reason":"%s"},"verb":"list"`,
	"time":            `"requestReceivedTimestamp":"%s","verb":"list"`,
	"stage":           `"stage":"%s","verb":"list"`,
	"object":          `"requestObject":{"x":"%s"},"verb":"list"`,
	"another":         `"another":"%s","verb":"list"`,
}

// parts are what a text is made of that is to cost much.
var parts = []string{
	"/password/x", "x", `\u0026`, "&", "=", "&command=", "&command=a", "&%63ommand=%26", "pass-", "pass=x ", "-", "--password ", "a=b&", "%", "%2f", "/", "../", "//", "://a:b@",
	" ", "'", "$(", "`", ";", "|", "sh -c ", "eyJhbGciOi.", "e", `\"`, `\\`, "\U0001f600", "\u202e", `\ud800`, "A_B=", "-u a:", "mysql -p", "bearer ", `","`, `\n`, "0", ":",
	"curl -u a:b -H 'A: b' ", "IDENTIFIED BY 'x' ", "1Q~", "12345678:", ".atlasv1.", `auth('a','`, `['password']=`, "x-token:",
}

// auditText is an event with a text of about so many bytes, as often as it takes to be
// measured.
func auditText(member, part string, size int) string {
	one, all := auditEvent(member, part, size), 512<<10
	if raceEnabled {
		all = 64 << 10
	}
	return `{"kind":"EventList","items":[` + strings.Repeat(one+",", max(1, all/len(one))-1) + one + "]}"
}

func auditEvent(member, part string, size int) string {
	text := strings.Repeat(part, size/len(part))
	stage := `"stage":"ResponseComplete",`
	if strings.HasPrefix(member, `"stage"`) {
		stage = ""
	}
	id := `"auditID":"a",`
	if strings.Contains(member, `"auditID"`) {
		id = ""
	}
	return `{"kind":"Event",` + id + stage + fmt.Sprintf(member, text) + `}`
}

// reading is what becomes of a text on its way to the queue.
type reading struct {
	decoder jsonstream.Decoder
	batch   *batch
}

func newReading() *reading {
	s := newSink("x", newQueue(1<<30), history.New(history.Options{}), newAnnounced(), 256<<10, event.Masked, log.New(io.Discard, "", 0))
	return &reading{batch: s.Batch().(*batch)}
}

func (r *reading) read(text string) (events int) {
	stream := jsonstream.NewReader(strings.NewReader(text), false)
	for {
		item, err := stream.Next()
		if err != nil {
			r.batch.empty()
			return events
		}
		r.decoder.Item(item, func(e *event.Event, err error) {
			if err == nil {
				r.batch.Add(e)
				events++
			}
		})
	}
}

// cost is how much longer a function takes than encoding/json takes for a text of so many
// bytes, in time of the processor: the least of some tries, or the first that is little
// enough.
func cost(size int, enough float64, f func()) float64 {
	document := []byte(`"` + strings.Repeat("x", size) + `"`)
	least := math.Inf(1)
	for range 15 {
		base := threadTime(func() { json.Valid(document) })
		if least = min(least, float64(threadTime(f))/float64(base)); least <= enough {
			break
		}
	}
	return least
}

func threadTime(f func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, after unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &before)
	f()
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &after)
	return time.Duration(after.Nano() - before.Nano())
}

// No text of an event costs more than it may, whatever it consists of, just below and
// far above the length that is read whole.
func TestCostOfTexts(t *testing.T) {
	r := newReading()
	worst, which, sizes := 0.0, "", 3
	if raceEnabled {
		sizes = 1 // the race detector looks at the same code once more
	}
	for name, member := range texts {
		for _, part := range parts {
			for _, size := range []int{15 << 10, 4 << 10, 300 << 10}[:sizes] {
				text := auditText(member, part, size)
				used := cost(len(text), maxCost, func() { r.read(text) })
				if used > worst {
					worst, which = used, fmt.Sprintf("%s of %q, %d bytes", name, part, size)
				}
				if used > maxCost {
					t.Errorf("%s of %q, %d bytes: %.1f times encoding/json", name, part, size, used)
				}
			}
		}
	}
	t.Logf("the worst is %s: at most %.1f times encoding/json", which, worst)
}

// maxCommandCost is what the command of someone who may run it may cost. It is looked at
// as a shell would, which takes longer: the worst is 60 times. To run it takes the API
// server and a kubelet more.
const maxCommandCost = 120

// No command that is run costs more than it may.
func TestCostOfCommands(t *testing.T) {
	r := newReading()
	member := strings.Replace(texts["command"], `"code":403`, `"code":101`, 1)
	worst, which := 0.0, ""
	for _, part := range append(parts, "sh+-c+", "echo+x+|+", "{a,b}", "[", "curl+", "-e+", "mysql+-p", "a=b;", "python+-c+") {
		for _, size := range []int{4 << 10, 15 << 10} {
			text := auditText(member, part, size)
			used := cost(len(text), maxCommandCost, func() { r.read(text) })
			if used > worst {
				worst, which = used, fmt.Sprintf("%q, %d bytes", part, size)
			}
			if used > maxCommandCost {
				t.Errorf("a command of %q, %d bytes: %.1f times encoding/json", part, size, used)
			}
		}
	}
	t.Logf("the worst is a command of %s: at most %.1f times encoding/json", which, worst)
}

func BenchmarkTexts(b *testing.B) {
	for name, member := range texts {
		for _, part := range []string{"x", "&", "pass-", `\u0026`, "&command=a"} {
			b.Run(name+"/"+part, func(b *testing.B) {
				text := auditText(member, part, 250<<10)
				r := newReading()
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					r.read(text)
				}
			})
		}
	}
}

// FuzzCost looks for a text that costs more.
func FuzzCost(f *testing.F) {
	var names []string
	for name := range texts {
		names = append(names, name)
	}
	for i, part := range parts {
		f.Add(names[i%len(names)], part)
	}
	r := newReading()
	f.Fuzz(func(t *testing.T, name, part string) {
		member, ok := texts[name]
		if !ok || part == "" || len(part) > 1<<10 {
			return
		}
		quoted, _ := json.Marshal(part)
		text := auditText(member, string(quoted[1:len(quoted)-1]), 250<<10)
		// Coverage is counted while fuzzing, which takes several times as long, and not
		// for encoding/json.
		const limit = 10 * maxCost
		if used := cost(len(text), limit, func() { r.read(text) }); used > limit {
			t.Errorf("%s of %q: %.1f times encoding/json", name, part, used)
		}
	})
}
