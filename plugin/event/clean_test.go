// SPDX-License-Identifier: Apache-2.0

package event_test

import (
	"encoding/json"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/event/eventtest"
	"github.com/containerapi/containerapi/plugin/oneline"
)

// worked are the texts that this plugin itself works out.
var worked = map[string]bool{"Operation": true, "Credential": true, "Outcome": true}

// shows reports whether a text has a secret in it, also percent-encoded.
func shows(text, secret string) bool {
	for range 3 {
		if strings.Contains(text, secret) {
			return true
		}
		decoded, err := url.PathUnescape(text)
		if err != nil {
			return false
		}
		text = decoded
	}
	return false
}

// No text of an event leaves with a secret in it, whichever text it is.
func TestCleanCanaries(t *testing.T) {
	canaries := eventtest.Canaries()
	if len(canaries) < 90 {
		t.Fatalf("only %d kinds of canaries", len(canaries))
	}
	for _, canary := range canaries {
		for _, input := range inputs {
			for _, text := range []string{canary.Text, "x " + canary.Text + " y", "/x/" + url.PathEscape(canary.Text), "/x?watch=1&labelSelector=" + url.QueryEscape(canary.Text), "/x?" + canary.Text} {
				e := filledWith(input, text, 2)
				e.Clean(event.Masked)
				for _, leaf := range eventtest.Leaves(e) {
					if worked[leaf.Path] || isUnwritten(input, leaf.Path) {
						continue
					}
					if v := leaf.Value; v.Kind() == reflect.String && shows(v.String(), canary.Secret) || v.Kind() == reflect.Slice && shows(strings.Join(v.Interface().([]string), " "), canary.Secret) {
						t.Errorf("%s, %s: %q is shown in %q", input, leaf.Path, text, v)
					}
				}
				e.Operation = ""
				if got := unquoted(t, string(e.AppendJSON(nil))); shows(got, canary.Secret) {
					t.Errorf("%s: %q is shown in %s", input, text, got)
				}
			}
		}
	}
}

// unquoted returns all texts of a JSON object.
func unquoted(t *testing.T, text string) string {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	var b strings.Builder
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			b.WriteString(v + "\n")
		case []any:
			for _, v := range v {
				walk(v)
			}
		case map[string]any:
			for _, v := range v {
				walk(v)
			}
		}
	}
	walk(v)
	return b.String()
}

// No text leaves with what a terminal obeys, and all are forgotten in none.
func TestCleanOneLine(t *testing.T) {
	const nasty = "a\nb\rc\x00d\x1b]0;x\x07e\x9bf\u2028g\u2029h\u0085i\u202ej\u2066k\u200bl\ufeffm\U000e0041n\xff"
	for _, input := range inputs {
		e := filledWith(input, nasty, 2)
		e.Clean(event.Masked)
		for _, leaf := range eventtest.Leaves(e) {
			if worked[leaf.Path] || isUnwritten(input, leaf.Path) {
				continue
			}
			texts := []string{}
			switch v := leaf.Value; v.Kind() {
			case reflect.String:
				texts = append(texts, v.String())
			case reflect.Slice:
				texts = v.Interface().([]string)
			}
			for _, text := range texts {
				if text != oneline.Text(text) {
					t.Errorf("%s: %s is %q", input, leaf.Path, text)
				}
			}
		}
	}
}

// An event that was cleaned is the same when it is read back and cleaned again.
func TestCleanTwice(t *testing.T) {
	for _, canary := range eventtest.Canaries() {
		for _, input := range inputs {
			for _, shown := range []event.Shown{event.Masked, event.Names} {
				e := filledWith(input, canary.Text, 2)
				e.Kubernetes.RequestURI = "/api/v1/namespaces/x/pods/y/exec?command=sh&command=-c&command=" + url.QueryEscape(canary.Text) + "&x=" + url.QueryEscape(canary.Text)
				e.Docker.Type, e.Docker.Action = "container", "exec_create"
				e.Clean(shown)
				once := string(e.AppendJSON(nil))
				again := decoded(t, e)
				again.Clean(shown)
				if twice := string(again.AppendJSON(nil)); twice != once {
					t.Fatalf("%s: %s\nbecame %s", input, once, twice)
				}
			}
		}
	}
}

func TestCleanURI(t *testing.T) {
	for uri, want := range map[string]string{
		"/api/v1/secrets?limit=500&resourceVersion=0":                            "/api/v1/secrets?limit=500&resourceVersion=0",
		"/api/v1/namespaces/shop/secrets?labelSelector=owner%3Dhelm":             "/api/v1/namespaces/shop/secrets?labelSelector=owner%3Dhelm",
		"/api/v1/events?fieldSelector=involvedObject.name%3Dweb&limit=5":         "/api/v1/events?fieldSelector=involvedObject.name%3Dweb&limit=5",
		"/apis/apps/v1/x?fieldManager=kubectl-client-side-apply&dryRun=All":      "/apis/apps/v1/x?fieldManager=kubectl-client-side-apply&dryRun=All",
		"/api/v1/namespaces/x/pods/y/log?container=c&tailLines=10&sinceTime=a":   "/api/v1/namespaces/x/pods/y/log?container=c&tailLines=10&sinceTime=a",
		"/api/v1/pods?token=hunter2":                                             "/api/v1/pods?token=***",
		"/api/v1/pods?whatever=hunter2&hunter2&hunter2%20=x":                     "/api/v1/pods?whatever=***&***&***",
		"/api/v1/pods?limit=hunter%202&watch=hunter2hunter2hunter2hunter2hunter": "/api/v1/pods?limit=***&watch=***",
		"/api/v1/pods?command=hunter2&continue=hunter2":                          "/api/v1/pods?continue=***",
		"/api/v1/pods?&&&&limit=1":                                               "/api/v1/pods?limit=1",
		"/api/v1/nodes/n/proxy/password/hunter2/x":                               "/api/v1/nodes/n/proxy/password/***/x",
		"/api/v1/nodes/n/proxy/x/API_KEY/hunter2":                                "/api/v1/nodes/n/proxy/x/API_KEY/***",
		"/api/v1/nodes/n/proxy/x/password/":                                      "/api/v1/nodes/n/proxy/x/password/",
		"/api/v1/pods?&&":                                                        "/api/v1/pods?",
		"/api/v1/nodes/n/proxy/password:hunter2/x":                               "/api/v1/nodes/n/proxy/password:***/x",
		"/api/v1/nodes/n/proxy/%zz/token%3Dhunter2/x":                            "/api/v1/nodes/n/proxy/%zz/token%253D***/x",
		"/api/v1/nodes/n/proxy/token=hunter2/hunter2":                            "/api/v1/nodes/n/proxy/token=***",
		"/api/v1/namespaces/x/services/y/proxy/a?key=hunter2":                    "/api/v1/namespaces/x/services/y/proxy/a?key=***",
		"/api/v1/namespaces/x/pods/y/exec?command=cat&command=%2Fetc%2Fshadow":   "/api/v1/namespaces/x/pods/y/exec?command=cat+%2Fetc%2Fshadow",
		"/api/v1/nodes/n/proxy/run/x/y/c?cmd=mysql+-phunter2&token=hunter2":      "/api/v1/nodes/n/proxy/run/x/y/c?token=***&command=mysql+-p%2A%2A%2A",
		"/api/v1/namespaces/x/pods/y/exec?%63ommand=mysql&c%6fmmand=-phunter2":   "/api/v1/namespaces/x/pods/y/exec?command=mysql+-p%2A%2A%2A",
		"/api/v1/namespaces/x/pods/y/exec?command=env&command=A=hunter+two":      "/api/v1/namespaces/x/pods/y/exec?command=env+A%3D%2A%2A%2A",
	} {
		e := read(t, `{"kind":"Event","auditID":"1","stage":"ResponseComplete","requestURI":`+quote(uri)+`,"verb":"get"}`)
		e.Clean(event.Masked)
		if got := e.Kubernetes.RequestURI; got != want {
			t.Errorf("%s\n became %s\n want   %s", uri, got, want)
		}
	}
	long := read(t, `{"kind":"Event","auditID":"1","stage":"ResponseComplete","requestURI":"/api/v1/secrets?`+strings.Repeat("a=b&", 100000)+`"}`)
	if long.Clean(event.Masked); len(long.Kubernetes.RequestURI) > 4096 {
		t.Errorf("a long query is shown with %d bytes", len(long.Kubernetes.RequestURI))
	}
}

// read returns the event of a JSON text.
func read(t *testing.T, text string) *event.Event {
	t.Helper()
	var read *event.Event
	err := new(event.Decoder).Decode([]byte(text), func(e *event.Event, err error) {
		if err != nil {
			t.Fatal(err)
		}
		read = e
	})
	if err != nil {
		t.Fatal(err)
	}
	return read
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// With the least setting only programs and files are shown.
func TestCleanNames(t *testing.T) {
	e := read(t, `{"kind":"Event","auditID":"1","stage":"ResponseComplete","verb":"create","requestURI":"/api/v1/namespaces/x/pods/y/exec?command=sh&command=-c&command=`+
		url.QueryEscape("cat -n /etc/shadow | grep hunter2; curl -d hunter2 http://hunter2/ -o /tmp/x")+`"}`)
	reads := e.CommandReads
	e.Clean(event.Names)
	if got := e.Kubernetes.Command; got != "sh /etc/shadow; grep; curl /tmp/x" {
		t.Errorf("command %q", got)
	}
	if got := string(e.AppendJSON(nil)); strings.Contains(got, "hunter") || reads == 0 || e.CommandReads != reads {
		t.Errorf("%s", got)
	}
	d := &event.Event{Input: event.DockerAPI}
	d.Docker.Client.Cmdline = "/usr/bin/docker run -v /:/host --name hunter2 -e A='x;hunter2' alpine cat /host/etc/shadow hunter2"
	d.Docker.Command = "hunter2prog /opt/x y"
	d.Clean(event.Names)
	if got := d.Docker.Client.Cmdline; strings.Contains(got, "hunter2") || !strings.HasPrefix(got, "/usr/bin/docker ") || !strings.Contains(got, "/host/etc/shadow") {
		t.Errorf("command line %q", got)
	}
	if got := d.Docker.Command; got != "hunter2prog /opt/x" {
		t.Errorf("command %q", got)
	}
}
