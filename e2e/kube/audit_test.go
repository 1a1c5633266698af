// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	authentication "k8s.io/api/authentication/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	audit "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/containerapi/containerapi/plugin/event"
)

// An audit event as the API server's own types write it reads as the same event:
// the plugin has the names of the members from the documentation, and a name
// that changes would be an empty field.
func TestAuditEvent(t *testing.T) {
	received := meta.NewMicroTime(time.Date(2026, 11, 22, 12, 1, 24, 749097000, time.UTC))
	staged := meta.NewMicroTime(received.Add(time.Millisecond))
	written := audit.Event{
		TypeMeta:   meta.TypeMeta{Kind: "Event", APIVersion: audit.SchemeGroupVersion.String()},
		Level:      audit.LevelRequestResponse,
		AuditID:    "id",
		Stage:      audit.StageResponseComplete,
		RequestURI: "/api/v1/namespaces/apps/pods/web/exec?command=cat&command=%2Fetc%2Fhosts",
		Verb:       "create",
		User: authentication.UserInfo{
			Username: "system:serviceaccount:apps:web", UID: "u1", Groups: []string{"g1", "g2"},
			Extra: map[string]authentication.ExtraValue{
				user.CredentialIDKey: {"JTI=1"}, serviceaccount.PodNameKey: {"web-1"},
				serviceaccount.PodUIDKey: {"u2"}, serviceaccount.NodeNameKey: {"node-1"},
			},
		},
		ImpersonatedUser: &authentication.UserInfo{
			Username: "admin", UID: "u3", Groups: []string{"system:masters"}, Extra: map[string]authentication.ExtraValue{"x": {"y"}},
		},
		SourceIPs: []string{"192.0.2.1", "198.51.100.2"},
		UserAgent: "kubectl/v1.34.2",
		ObjectRef: &audit.ObjectReference{
			Resource: "pods", Namespace: "apps", Name: "web", UID: "u4", APIGroup: "group", APIVersion: "v1", ResourceVersion: "5", Subresource: "exec",
		},
		ResponseStatus:           &meta.Status{Status: meta.StatusFailure, Code: 403, Reason: meta.StatusReasonForbidden, Message: "no"},
		RequestObject:            &runtime.Unknown{Raw: []byte(`{"a":1}`), ContentType: runtime.ContentTypeJSON},
		ResponseObject:           &runtime.Unknown{Raw: []byte(`{"b":2}`), ContentType: runtime.ContentTypeJSON},
		RequestReceivedTimestamp: received,
		StageTimestamp:           staged,
		Annotations: map[string]string{
			// decisionAnnotationKey and reasonAnnotationKey of
			// k8s.io/apiserver/pkg/endpoints/filters, which exports neither.
			"authorization.k8s.io/decision": "forbid", "authorization.k8s.io/reason": "because",
			serviceaccount.IssuedCredentialIDAuditAnnotationKey: "JTI=2",
		},
	}
	want := event.Kubernetes{
		AuditID: "id", Level: "RequestResponse", Stage: "ResponseComplete",
		Received: "2026-11-22T12:01:24.749097Z", Staged: "2026-11-22T12:01:24.750097Z",
		RequestURI: written.RequestURI, Command: "cat /etc/hosts", Verb: "create",
		User:         event.User{Name: "system:serviceaccount:apps:web", UID: "u1", Groups: []string{"g1", "g2"}},
		Impersonated: event.User{Name: "admin", UID: "u3", Groups: []string{"system:masters"}},
		SourceIPs:    []string{"192.0.2.1", "198.51.100.2"}, UserAgent: "kubectl/v1.34.2",
		Resource: "pods", Subresource: "exec", Namespace: "apps", Name: "web", APIGroup: "group", APIVersion: "v1",
		Status: "Failure", Code: 403, Reason: "Forbidden", Decision: "forbid", DecisionReason: "because",
		CredentialID: "JTI=1", IssuedCredentialID: "JTI=2", TokenPod: "web-1", TokenPodUID: "u2", TokenNode: "node-1",
	}
	wantFilled(t, written)
	wantFilled(t, *written.ObjectRef)
	// Only a message about impersonation says that it was denied. Whether the path
	// differs, and what the object gives, no API server says.
	wantFilled(t, want, "ImpersonationDenied", "Differs", "Given")

	text, err := json.Marshal(written)
	if err != nil {
		t.Fatal(err)
	}
	var decoder event.Decoder
	n := 0
	err = decoder.Decode(text, func(e *event.Event, err error) {
		n++
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(e.Kubernetes, want) {
			t.Errorf("%s\nreads as %+v\nwant     %+v", text, e.Kubernetes, want)
		}
		if e.Input != event.KubernetesAudit || e.Time != received.UnixNano() {
			t.Errorf("input is %v, time %d, want that of %v", e.Input, e.Time, received)
		}
	})
	if err != nil || n != 1 {
		t.Errorf("%d events, %v", n, err)
	}
}

// wantFilled fails the test for every field of a struct that has no value, but
// for those that are named: the test would not notice them.
func wantFilled(t *testing.T, value any, empty ...string) {
	t.Helper()
	v := reflect.ValueOf(value)
	missing := make(map[string]bool)
	for _, name := range empty {
		missing[name] = true
	}
	for i := range v.NumField() {
		if name := v.Type().Field(i).Name; v.Field(i).IsZero() != missing[name] {
			t.Errorf("%s.%s is %v", v.Type(), name, v.Field(i))
		}
	}
}
