// SPDX-License-Identifier: Apache-2.0

package jsonstream_test

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/jsonstream"
)

const head = `{"kind":"Event","auditID":"a1","verb":"list","user":{"username":"mallory"}`

// apiServer is an event as an API server writes it.
const apiServer = `{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a1","verb":"list","user":{"username":"mallory"},"userAgent":"curl"}`

// quoted is a text as a JSON string.
func quoted(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// byteByByte is a text as a JSON array of its bytes.
func byteByByte(text string) string {
	numbers := make([]int, len(text))
	for i := range numbers {
		numbers[i] = int(text[i])
	}
	b, err := json.Marshal(numbers)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestDecoder(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 1000) + "1" + strings.Repeat("}", 1000)
	large := `"` + strings.Repeat("x", 1<<20) + `"`
	for _, test := range []struct {
		name, text string
		want       string // one letter for each call: event, shortened event, malformed, log of the server
	}{
		{"event", head + `}`, "e"},
		{"list", `{"kind":"EventList","items":[` + head + `},{},` + head + `}]}`, "eme"},
		{"empty list", `{"kind":"EventList","items":[]}`, ""},
		{"deep object", head + `,"requestObject":` + deep + `}`, "e"},
		{"deep object in a list", `[` + head + `},` + head + `,"responseObject":` + deep + `}]`, "ee"},
		{"deep elsewhere", head + `,"annotations":` + deep + `}`, "s"},
		{"large object", head + `,"requestObject":` + large + `}`, "e"},
		{"large elsewhere", head + `,"userAgent":` + large + `}`, "s"},
		{"cut", head + `,"responseObject":{"items":[`, "s"},
		{"cut in a string", head + `,"userAgent":"}`, "s"},
		{"cut by CloudWatch", head + `,"responseObject":{"metadata":{"name":"x[Truncated...]`, "s"},
		{"cut list", `{"kind":"EventList","items":[` + head + `},`, "em"},
		{"truncated", head, "s"},
		{"broken", head + `,"x":y}`, "m"},
		{"large and truncated", head + `,"requestObject":` + large, "s"},
		{"byte order mark", "\ufeff" + `{"kind":"EventList","items":[` + head + `}]}`, "e"},
		{"container runtime", `2026-09-14T10:00:00.000000000Z stdout F ` + head + `}`, "e"},
		{"node name", `master-0.example.com ` + head + `}`, "e"},
		{"syslog", `<14>Sep 14 10:00:00 host kube-apiserver[1]: ` + head + `}`, "e"},
		{"json-file", `{"log":` + quoted(head+"}\n") + `,"stream":"stdout","time":"2026-09-14T10:00:00Z"}`, "e"},
		{"json-file of klog", `{"log":"I0914 10:00:00.000000 1 server.go:1] started\n","stream":"stderr"}`, "l"},
		{"AKS", `{"category":"kube-audit","properties":{"log":` + quoted(head+"}") + `,"pod":"kube-apiserver-1"}}`, "e"},
		{"AKS records", `{"records":[{"properties":{"log":` + quoted(head+"}") + `}},{"properties":{"log":` + quoted(head+"}") + `}}]}`, "ee"},
		{"CloudWatch", `{"messageType":"DATA_MESSAGE","logGroup":"g","logEvents":[{"id":"1","message":` + quoted(head+"}") + `},{"id":"2","message":` + quoted(head+"}") + `}]}`, "ee"},
		{"CloudWatch event", `{"timestamp":1,"message":` + quoted(head+"}") + `}`, "e"},
		{"journald", `{"MESSAGE":` + quoted(head+"}") + `,"_PID":"1"}`, "e"},
		{"journald of what cannot be printed", `{"MESSAGE":` + byteByByte(head+`,"userAgent":"\u0085"}`) + `,"_PID":"1"}`, "e"},
		{"Fluent Bit", `[{"date":1,"log":` + quoted("2026-09-14T10:00:00Z stdout F "+head+"}") + `}]`, "e"},
		{"parsed envelope", `{"log_processed":` + head + `}}`, "e"},
		{"envelope of an envelope", `{"message":` + quoted(`{"log":`+quoted(head+"}")+`}`) + `}`, "e"},
		{"cut in an envelope", `{"log":` + quoted(head+`,"userAgent":"x`) + `}`, "s"},
		{"envelopes without end", strings.Repeat(`{"message":`, 20) + `1` + strings.Repeat("}", 20), "m"},
		{"CloudWatch filter-log-events", `{"events":[{"logStreamName":"s","message":` + quoted(head+"}") + `},{"message":` + quoted(head+"}") + `}],"searchedLogStreams":[]}`, "ee"},
		{"CloudWatch Logs Insights", `{"results":[[{"field":"@timestamp","value":"x"},{"field":"@message","value":` + quoted(head+"}") + `}]]}`, "e"},
		{"Filebeat", `{"@timestamp":"x","log":{"offset":0,"file":{"path":"/x"}},"message":` + quoted(head+"}") + `}`, "e"},
		{"Elastic's integration", `{"event":{"dataset":"kubernetes.audit_logs"},"kubernetes":{"audit":` + head + `}}}`, "e"},
		{"Logstash", `{"message":` + quoted(head+"}") + `,"event":{"original":` + quoted(head+"}") + `}}`, "e"},
		{"Elasticsearch", `{"hits":{"total":2,"hits":[{"_source":` + head + `}},{"_source":` + head + `}}]}}`, "ee"},
		{"Splunk's collector", `{"time":1,"sourcetype":"kube:audit","event":` + head + `}}`, "e"},
		{"Splunk's export", `{"preview":false,"result":{"_raw":` + quoted(head+"}") + `,"user":"x"}}`, "e"},
		{"Loki", `{"streams":[{"stream":{"job":"audit"},"values":[["1",` + quoted(head+"}") + `],["2",` + quoted(head+"}") + `]]}]}`, "ee"},
		{"OpenTelemetry", `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":` + quoted(head+"}") + `}}]}]}]}`, "e"},
		{"Azure's properties as text", `{"category":"kube-audit","properties":` + quoted(`{"log":`+quoted(head+"}")+`}`) + `}`, "e"},
		{"Log Analytics", `{"Category":"kube-audit","log_s":` + quoted(head+"}") + `}`, "e"},
		{"cut within a text, another behind it", apiServer[:110] + apiServer, "se"},
		{"cut within a name", apiServer[:52] + apiServer, "me"},
		{"cut behind a value, two behind it", apiServer[:len(apiServer)-1] + apiServer + apiServer, "see"},
		{"one within another", apiServer[:110] + apiServer + apiServer[110:], "sem"},
		{"cut in an envelope, another behind it", `{"log":` + quoted(apiServer[:110]+apiServer) + `}`, "se"},
		{"an event in an object of one", head + `,"requestObject":` + apiServer + `}`, "e"},
		{"no event", `{"a":1}`, "m"},
		{"no object", `12`, "m"},
		{"klog", `I0914 10:00:00.000000 1 server.go:1] started`, "l"},
		{"klog with JSON", `I0914 10:00:00.000000       1 rest.go:1] "Patched" body={"a":1}`, "l"},
		{"klog before an event", `I0914 10:00:00.000000 1 audit.go:1] ` + head + `}`, "e"},
		{"no klog", `I0914 started`, "m"},
		{"JSON log", `{"ts":1700000000000.1,"caller":"server/server.go:1","msg":"started","v":0}`, "l"},
		{"nothing", ``, "m"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var d jsonstream.Decoder
			got := ""
			d.Decode([]byte(test.text), func(e *event.Event, err error) {
				switch {
				case err == jsonstream.ErrServerLog:
					got += "l"
				case err != nil:
					got += "m"
					if strings.Contains(err.Error(), "mallory") {
						t.Errorf("error quotes its input: %v", err)
					}
				case e.Kubernetes.AuditID != "a1" || e.Kubernetes.User.Name != "mallory":
					t.Errorf("wrong event %+v", e.Kubernetes)
				case e.Shortened:
					got += "s"
				default:
					got += "e"
				}
			})
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// What is no audit event of an API server, but often taken for one, is named.
func TestShapes(t *testing.T) {
	for text, want := range map[string]string{
		`{"protoPayload":{"methodName":"io.k8s.core.v1.secrets.list"}}`:                     "k8saudit-gke",
		`{"eventVersion":"1.08","eventSource":"eks.amazonaws.com","eventName":"x"}`:         "cloudtrail",
		`{"MESSAGE":null,"_PID":"1","SYSLOG_IDENTIFIER":"kube-apiserver"}`:                  "journalctl --all",
		`{"TimeGenerated":"x","AuditId":"a1","Verb":"list","RequestUri":"/api/v1/secrets"}`: "k8saudit-aks",
		`{"kind":"Event","apiVersion":"v1","involvedObject":{"kind":"Pod"},"message":null}`: "--audit-log-path",
	} {
		var d jsonstream.Decoder
		d.Decode([]byte(text), func(e *event.Event, err error) {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", text, err, want)
			}
		})
	}
}

// A small text of many values must not take a hundred times its size.
func TestDecoderMemory(t *testing.T) {
	bomb := []byte(head + `,"annotations":[1` + strings.Repeat(",1", 4<<20) + `]}`)
	var d jsonstream.Decoder
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	events := 0
	d.Decode(bomb, func(e *event.Event, err error) {
		if err == nil && e.Shortened {
			events++
		}
	})
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > uint64(len(bomb)) {
		t.Errorf("allocated %d bytes for a text of %d", grown, len(bomb))
	}
	if events != 1 {
		t.Errorf("got %d shortened events, want 1", events)
	}
}

// A line of many cut events costs what its length costs.
func TestDecoderManyCut(t *testing.T) {
	text := []byte(strings.Repeat(apiServer[:len(apiServer)-1], 20000))
	var d jsonstream.Decoder
	events := 0
	start := time.Now()
	d.Decode(text, func(_ *event.Event, err error) {
		if err == nil {
			events++
		}
	})
	if took := time.Since(start); events != 20000 || took > 10*time.Second {
		t.Errorf("%d events of 20000 in %v", events, took)
	}
}

func FuzzDecoder(f *testing.F) {
	f.Add([]byte(`{"kind":"EventList","items":[` + head + `},{}]}`))
	f.Add([]byte(head + `,"requestObject":{"a`))
	f.Add([]byte(`2026-09-14T10:00:00Z stdout F ` + head + `}`))
	f.Add([]byte(`{"logEvents":[{"message":` + quoted(head+"}") + `}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var d jsonstream.Decoder
		d.Decode(text, func(e *event.Event, err error) {
			if (e == nil) == (err == nil) {
				t.Fatal("neither or both of an event and an error")
			}
		})
	})
}

// What the object of a request gives is found wherever in the event the object stands,
// and however long it is.
func TestGiven(t *testing.T) {
	const audit = `{"kind":"Event","auditID":"a1","verb":"create","user":{"username":"mallory"}`
	const object = `{"metadata":{"annotations":{"a":"PADDING"}},"spec":{"hostPID":true,"serviceAccountName":"admin","volumes":[{"hostPath":{"path":"/"}}],"containers":[{"env":[{"value":"s3cret"}]}]}}`
	reference := func(resource string) string { return `,"objectRef":{"resource":"` + resource + `"}` }
	for _, length := range []int{0, 100 << 10, 3 << 20} {
		asked := `,"requestObject":` + strings.Replace(object, "PADDING", strings.Repeat("x", length), 1)
		for name, test := range map[string]struct{ text, exposes string }{
			"behind":        {audit + reference("pods") + asked + `}`, "host_root host_pid account"},
			"before":        {audit + asked + reference("pods") + `}`, "host_root host_pid account"},
			"in a list":     {`{"kind":"EventList","items":[` + audit + reference("pods") + asked + `}]}`, "host_root host_pid account"},
			"no pod":        {audit + reference("configmaps") + asked + `}`, ""},
			"no object":     {audit + reference("pods") + `}`, ""},
			"read, not put": {strings.Replace(audit, "create", "get", 1) + reference("pods") + asked + `}`, ""},
		} {
			var d jsonstream.Decoder
			d.Decode([]byte(test.text), func(e *event.Event, err error) {
				if err != nil {
					t.Fatalf("%s, %d: %v", name, length, err)
				}
				given := e.Kubernetes.Given
				if got := strings.Join(given.Exposes, " "); got != test.exposes || given.Unread {
					t.Errorf("%s, %d: exposes %q, want %q; unread: %t", name, length, got, test.exposes, given.Unread)
				}
				if text := string(e.AppendJSON(nil)); strings.Contains(text, "s3cret") || strings.Contains(text, "xxx") {
					t.Errorf("%s, %d: the object is in the event: %.300s", name, length, text)
				}
			})
		}
	}
}
