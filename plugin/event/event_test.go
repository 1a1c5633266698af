// SPDX-License-Identifier: Apache-2.0

package event

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/containerapi/containerapi/plugin/command"
)

// exec is a real event of kube-apiserver 1.34, recorded with the audit level
// RequestResponse and shortened where "…" stands.
const exec = `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"f4bbf567-1a26-450c-b5f0-d48f4e8c951e","stage":"ResponseStarted","requestURI":"/api/v1/namespaces/shop/pods/web-654d494b9-kzcq8/exec?command=sh\u0026command=-c\u0026command=cat+%2Fvar%2Frun%2Fsecrets%2Fkubernetes.io%2Fserviceaccount%2Ftoken%3B+env+%7C+grep+PASS\u0026container=web\u0026stderr=true\u0026stdout=true","verb":"get","user":{"username":"alice@example.com","uid":"1002","groups":["developers","system:authenticated"],"extra":{"authentication.kubernetes.io/credential-id":["JTI=dc84e9be"],"authentication.kubernetes.io/pod-name":["web-1"],"scopes":["CANARY"]}},"sourceIPs":["10.1.2.3","127.0.0.1"],"userAgent":"kubectl/v1.34.2 (linux/amd64) kubernetes/$Format","objectRef":{"resource":"pods","namespace":"shop","name":"web-654d494b9-kzcq8","apiVersion":"v1","subresource":"exec"},"responseStatus":{"metadata":{},"code":101},"requestReceivedTimestamp":"2026-11-22T11:17:24.811010Z","stageTimestamp":"2026-11-22T11:17:24.814496Z","annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: allowed by RoleBinding \"developer/shop\" of Role \"developer\" to User \"alice@example.com\"","patch.webhook.admission.k8s.io/round_0_index_0":"CANARY"}}`

// secret is an event as an API server with a careless audit policy writes it.
const secret = `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"1","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/shop/secrets/db","verb":"get","user":{"username":"bob"},"objectRef":{"resource":"secrets","namespace":"shop","name":"db","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":422,"status":"Failure","reason":"Invalid","message":"metadata.labels: Invalid value: \"CANARY\"","details":{"causes":[{"message":"CANARY"}]}},"requestObject":{"data":{"password":"CANARY"}},"responseObject":{"kind":"Secret","data":{"password":"CANARY"},"metadata":{"annotations":{"a":"CANARY"}}},"requestReceivedTimestamp":"2026-11-22T11:17:24.811010Z","stageTimestamp":"2026-11-22T11:17:24.814496Z"}`

// dockerRequestEvent is an event of this plugin's own with all that a request has.
const dockerRequestEvent = `{"input":"docker_api","reads":["credential","environment"],"request":{"method":"POST","path":"/containers/victim/exec","query":"x=y","version":"1.41","userAgent":"Docker-Client/20.10","status":201,"first":true,"unreadable":"http2","object":"keys","command":"cat /etc/shadow","archivePath":"/etc","image":"busybox","privileged":true,"mounts":["/:/host"],"exposes":["host_root","privileged"],"execPrivileged":true,"timeNano":1700000001234567890},"client":{"pid":42,"ppid":1,"name":"docker","parentName":"sh","exepath":"/usr/bin/docker","cmdline":"docker exec victim cat /etc/shadow","uid":1000,"loginuid":-1,"inContainer":true,"container":{"id":"ff","name":"attacker","image":"evil"},"addr":"10.0.0.1"},"container":{"id":"0123","name":"victim","image":"busybox"},"daemon":"unix:///run/docker.sock","insecure":true}`

// dockerExec is a real event of Docker 20.10, with a label added.
const dockerExec = `{"status":"exec_start: sh -c env TOKEN=CANARY","id":"0123abcd","from":"busybox","Type":"container","Action":"exec_start: sh -c env TOKEN=CANARY","Actor":{"ID":"0123abcd","Attributes":{"execID":"77aa","image":"busybox","name":"victim","com.example.secret":"CANARY"}},"scope":"local","time":1700000001,"timeNano":1700000001234567890}`

func decode(t *testing.T, text string) Event {
	t.Helper()
	var got []Event
	d := new(Decoder)
	if err := d.Decode([]byte(text), func(e *Event, err error) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, *e)
	}); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 {
		t.Fatalf("got %d events, want 1", len(got))
	}
	return got[0]
}

func TestDecodeAudit(t *testing.T) {
	got := decode(t, exec)
	const words = "sh -c cat /var/run/secrets/kubernetes.io/serviceaccount/token; env | grep PASS"
	k := got.Kubernetes
	for name, pair := range map[string][2]any{
		"input":     {got.Input, KubernetesAudit},
		"time":      {got.Time, time.Date(2026, 11, 22, 11, 17, 24, 811010000, time.UTC).UnixNano()},
		"command":   {k.Command, words},
		"user":      {k.User.Name, "alice@example.com"},
		"groups":    {strings.Join(k.User.Groups, " "), "developers system:authenticated"},
		"peer":      {k.Peer(), "127.0.0.1"},
		"path":      {k.Path(), "/api/v1/namespaces/shop/pods/web-654d494b9-kzcq8/exec"},
		"token":     {k.CredentialID + " " + k.TokenPod, "JTI=dc84e9be web-1"},
		"code":      {k.Code, uint64(101)},
		"decision":  {k.Decision, "allow"},
		"resource":  {k.Resource + "/" + k.Subresource, "pods/exec"},
		"namespace": {k.Namespace, "shop"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %v, want %v", name, pair[0], pair[1])
		}
	}
}

// What this plugin writes must mean the same when it is read back, or alerts
// from a capture file would differ from live ones.
func TestRoundTrip(t *testing.T) {
	for _, text := range []string{exec, secret, dockerExec} {
		e := decode(t, text)
		e.Seen = History{Known: true, First: true, Count: 3, Objects: 2, Sources: 1, Age: 60}
		e.Repeated = true
		e.Docker.Daemon, e.Docker.HealthCheck = "unix:///var/run/docker.sock", e.Input == DockerEvent
		if e.Input != DockerEvent {
			e.Docker.Daemon = ""
		}
		written := e.AppendJSON(nil)
		if !json.Valid(written) {
			t.Errorf("not JSON: %s", written)
		}
		again := decode(t, string(written))
		e.Replayed = true
		if !reflect.DeepEqual(e, again) {
			t.Errorf("wrote %+v\nread %+v\nas %s", e, again, written)
		}
	}
}

// An event of this plugin that is read and written again stays as it is.
func TestReadOwn(t *testing.T) {
	e := decode(t, dockerRequestEvent)
	if written := string(e.AppendJSON(nil)); written != dockerRequestEvent {
		t.Errorf("read  %s\nwrote %s", dockerRequestEvent, written)
	}
}

func TestLeaksNothing(t *testing.T) {
	for _, text := range []string{exec, secret, dockerExec} {
		e := decode(t, text)
		if written := e.AppendJSON(nil); strings.Contains(string(written), "CANARY") {
			t.Errorf("a canary is in %s", written)
		}
	}
}

func TestDecodeLists(t *testing.T) {
	for name, test := range map[string]struct {
		text      string
		good, bad int
	}{
		"EventList":      {`{"kind":"EventList","items":[` + exec + `,` + secret + `]}`, 2, 0},
		"array":          {`[` + exec + `,` + dockerExec + `]`, 2, 0},
		"bad among good": {`{"kind":"EventList","items":[` + exec + `,{"kind":"Event"},7,` + secret + `]}`, 2, 2},
		"empty list":     {`{"kind":"EventList","items":[]}`, 0, 0},
	} {
		good, bad := 0, 0
		err := new(Decoder).Decode([]byte(test.text), func(e *Event, err error) {
			if err != nil {
				bad++
			} else {
				good++
			}
		})
		if err != nil || good != test.good || bad != test.bad {
			t.Errorf("%s: %d good, %d bad, %v; want %d, %d", name, good, bad, err, test.good, test.bad)
		}
	}
}

// An error goes to the log, where no part of the input belongs: a line that
// broke in the middle may be half a secret.
func TestDecodeErrors(t *testing.T) {
	for _, text := range []string{
		``, `{`, `null`, `7`, `"CANARY"`, `{"data":"CANARY"`, `{"data":CANARY}`, `CANARY`, `{"kind":"Secret","data":"CANARY"}`,
		`[{"data":"CANARY]`, `{} CANARY`, strings.Repeat("[", 10000),
	} {
		err := new(Decoder).Decode([]byte(text), func(*Event, error) { t.Errorf("%.40q made an event", text) })
		if err == nil || strings.Contains(err.Error(), "CANARY") || len(err.Error()) > 120 {
			t.Errorf("Decode(%.40q) = %v; want a short error without the input", text, err)
		}
	}
}

// The API server says who was to be impersonated only in the message of its
// refusal. This one is real.
func TestRefusedImpersonation(t *testing.T) {
	e := decode(t, `{"auditID":"1","stage":"ResponseComplete","verb":"list","user":{"username":"alice"},"responseStatus":{"status":"Failure","message":"users \"system:admin\" is forbidden: User \"alice\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope","reason":"Forbidden","code":403}}`)
	if e.Kubernetes.Impersonated.Name != "system:admin" || !e.Kubernetes.ImpersonationDenied {
		t.Errorf("got %+v", e.Kubernetes)
	}
}

func TestShorten(t *testing.T) {
	e := decode(t, exec)
	long := strings.Repeat("\x01", 1<<20)
	e.Kubernetes.UserAgent, e.Kubernetes.RequestURI, e.Kubernetes.Command = long, long, long
	for range 1000 {
		e.Kubernetes.User.Groups = append(e.Kubernetes.User.Groups, long)
		e.Kubernetes.SourceIPs = append(e.Kubernetes.SourceIPs, long)
	}
	e.Kubernetes.SourceIPs = append(e.Kubernetes.SourceIPs, "10.0.0.1")
	e.Shorten()
	written := e.AppendJSON(nil)
	if len(written) > MaxShortened || !json.Valid(written) {
		t.Errorf("%d bytes, valid: %t", len(written), json.Valid(written))
	}
	if again := decode(t, string(written)); !again.Shortened || again.Kubernetes.Peer() != "10.0.0.1" || again.Kubernetes.User.Name != "alice@example.com" {
		t.Errorf("the essential parts are lost: %+v", again)
	}
}

// A command is judged as it was sent, also where what looks like a secret in it
// is not shown.
// A shell that a program feeds does what nobody sees; one at a terminal is a person's.
func TestExecInput(t *testing.T) {
	for query, want := range map[string]string{
		"command=sh&stdin=true&tty=true&stdout=true":          "",
		"command=sh&stdin=true&stdout=true":                   "opaque",
		"stdin=1&command=sh":                                  "opaque",
		"std%69n=&command=sh":                                 "opaque",
		"stdin=True&tty=false&tty=true&command=sh":            "opaque",
		"stdin=true&tty=0&command=sh":                         "opaque",
		"stdin=FALSE&stdin=true&command=sh":                   "",
		"command=sh&stdout=true":                              "",
		"command=sh&command=-c&command=id&stdin=true":         "",
		strings.Repeat("x=y&", 200) + "stdin=true&command=sh": "opaque",
		"command=sh&command=-c&command=" + strings.Repeat("true;", 4000) + "&command=id&tty=true": "opaque",
	} {
		for path, subresource := range map[string]string{"/api/v1/namespaces/a/pods/b/exec": "exec", "/api/v1/nodes/n/proxy/exec/a/b/c": "proxy"} {
			if subresource == "proxy" {
				query = strings.Replace(query, "stdin=1", "input=1", 1)
			}
			e := decode(t, `{"auditID":"1","stage":"ResponseStarted","verb":"get","requestURI":"`+path+"?"+query+`"}`)
			if got := strings.Join(e.CommandReads.Names(), " "); got != want {
				t.Errorf("%s?%.200s reads %q, want %q", path, query, got, want)
			}
		}
	}
}

func TestReadsOfMasked(t *testing.T) {
	const text = `{"auditID":"1","stage":"ResponseStarted","verb":"get","requestURI":"/api/v1/namespaces/a/pods/b/exec?command=sh&command=-c&command=API_TOKEN%3Dx+SECRET_FILE%3D%22.env%22+app","objectRef":{"resource":"pods","subresource":"exec"}}`
	e := decode(t, text)
	if e.CommandReads != command.ReadsCredential || strings.Contains(e.Kubernetes.Command, ".env") {
		t.Errorf("%q reads %q", e.Kubernetes.Command, e.CommandReads.Names())
	}
	again := decode(t, string(e.AppendJSON(nil)))
	if again.CommandReads != e.CommandReads {
		t.Errorf("read back, %q reads %q", again.Kubernetes.Command, again.CommandReads.Names())
	}
	if e := decode(t, dockerExec); e.CommandReads != command.ReadsEnvironment {
		t.Errorf("%q reads %q", e.Docker.Command, e.CommandReads.Names())
	}
}

func FuzzDecode(f *testing.F) {
	for _, text := range []string{exec, secret, dockerExec, `{"kind":"EventList","items":[` + exec + `]}`, `{"input":"k8s_audit","audit":{"auditID":"1"}}`} {
		f.Add(text)
	}
	f.Add(dockerRequestEvent)
	f.Add(`{"Type":"container","Action":"die","time":9683996064079937536}`)
	f.Add(`{"Type":"container","Action":"die","time":28130740137}`)
	f.Fuzz(func(t *testing.T, text string) {
		new(Decoder).Decode([]byte(text), func(e *Event, err error) {
			if err != nil {
				return
			}
			written := e.AppendJSON(nil)
			if !json.Valid(written) {
				t.Fatalf("not JSON: %q", written)
			}
			again := e.AppendJSON(nil)
			if err := new(Decoder).Decode(again, func(e *Event, err error) {
				if err != nil {
					t.Fatalf("%q cannot be read back: %v", written, err)
				}
				if second := e.AppendJSON(nil); string(second) != string(written) {
					t.Fatalf("written %s\nread back and written %s", written, second)
				}
			}); err != nil {
				t.Fatalf("%q cannot be read back: %v", written, err)
			}
		})
	})
}

func FuzzAppendString(f *testing.F) {
	f.Add("plain")
	f.Add("\x00\"\\\u2028\xff\xc3")
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		if err := json.Unmarshal(appendString(nil, s), &got); err != nil {
			t.Fatal(err)
		}
		if want := strings.ToValidUTF8(s, "\ufffd"); got != want && !strings.Contains(s, "\xff") {
			// encoding/json, too, replaces each bad byte by itself.
			var std string
			b, _ := json.Marshal(s)
			json.Unmarshal(b, &std)
			if got != std {
				t.Fatalf("%q became %q, encoding/json makes %q", s, got, std)
			}
		}
	})
}
