// SPDX-License-Identifier: Apache-2.0

package jsonstream

import (
	"bytes"
	"cmp"
	"errors"
	"slices"

	"github.com/valyala/fastjson"

	"github.com/containerapi/containerapi/plugin/event"
)

// maxEnvelopes is how many envelopes may lie in each other: a record of Azure in a
// list of a log collector's in a container's log.
const maxEnvelopes = 4

// maxLevels is how deep an event may lie in one envelope: in the fifth of a
// collection of OpenTelemetry's logs.
const maxLevels = 12

// envelopes are the members that most log collectors and cloud providers put an audit
// event into, as an object or as text. Others are looked for.
var envelopes = [][]string{
	{"log"},               // Docker's json-file driver, Fluent Bit, Fluentd
	{"log_processed"},     // Fluent Bit with Merge_Log
	{"properties", "log"}, // diagnostic logs of Azure, and so of AKS
	{"message"},           // CloudWatch, Filebeat
	{journalMessage},      // journald
	{"@message"},          // CloudWatch Logs Insights
	{"body"},              // OpenTelemetry
	{"line"},              // Loki
}

const journalMessage = "MESSAGE"

// errLongMessage is why an entry of journald holds no message, by systemd's
// documentation of its export formats.
var errLongMessage = errors.New("an entry of journald without its message, as journalctl leaves out one above 4 KiB: use journalctl --all")

// shape is a JSON object that is no audit event, but is taken for one.
type shape struct {
	member string
	err    error
}

// shapes are told by a member that only they have.
var shapes = []shape{
	{"protoPayload", errors.New("an entry of Google Cloud's audit log, and no event of a Kubernetes API server: Falco's plugin k8saudit-gke reads it, with containerapi-extract beside it")},
	{"eventSource", errors.New("a record of AWS CloudTrail, and no event of a Kubernetes API server: Falco's plugin cloudtrail reads it")},
	{"AuditId", errors.New("a row of Azure's table AKSAudit, and no event of a Kubernetes API server: have its diagnostic logs sent to a storage account or to an Event Hub, which Falco's plugin k8saudit-aks reads")},
	{"caller", ErrServerLog}, // --logging-format=json
	{"involvedObject", errors.New("a Kubernetes Event, and no audit event: give --audit-log-path or --audit-webhook-config-file to the API server")},
}

// envelope holds the memory for one at each depth.
type envelope struct {
	parsers [maxEnvelopes]fastjson.Parser
}

// unpack calls each for the events in a JSON text that is none itself: of an object,
// of the first member that holds any, as some collectors keep what they took apart as
// well.
func (d *Decoder) unpack(text []byte, depth int, each func(*event.Event, error)) {
	if depth == maxEnvelopes {
		each(nil, event.ErrUnrecognized)
		return
	}
	v, err := d.envelope.parsers[depth].ParseBytes(text)
	if err != nil {
		each(nil, event.ErrUnrecognized)
		return
	}
	s := search{decoder: d, depth: depth + 1, each: each}
	for _, path := range envelopes {
		inner := v.Get(path...)
		switch {
		case inner == nil:
			continue
		case inner.Type() == fastjson.TypeNull && path[0] == journalMessage:
			each(nil, errLongMessage)
			return
		case inner.Type() == fastjson.TypeString:
			if s.text(inner.GetStringBytes()) {
				return
			}
		case s.in(inner, 1):
			return
		}
		s.tried = append(s.tried, inner)
	}
	for _, shape := range shapes {
		if v.Exists(shape.member) {
			each(nil, shape.err)
			return
		}
	}
	if !s.in(v, 0) {
		each(nil, cmp.Or(s.why, event.ErrUnrecognized))
	}
}

// search looks for events in a JSON value.
type search struct {
	decoder *Decoder
	depth   int // of the envelopes around what is found
	each    func(*event.Event, error)
	tried   []*fastjson.Value
	why     error // the first text that was looked at is no event
}

// in reports whether there are events in a value that lies so deep in others, and
// hands them on.
func (s *search) in(v *fastjson.Value, level int) (found bool) {
	if level > maxLevels || slices.Contains(s.tried, v) {
		return false
	}
	switch v.Type() {
	case fastjson.TypeString:
		text := v.GetStringBytes()
		return bytes.Contains(text, []byte(`{"`)) && s.text(text)
	case fastjson.TypeArray:
		if text := bytesOf(v.GetArray()); text != nil {
			return s.text(text)
		}
		for _, element := range v.GetArray() {
			found = s.in(element, level+1) || found
		}
	case fastjson.TypeObject:
		if level > 0 && (v.Exists("auditID") || v.Exists("kind")) {
			return s.text(v.MarshalTo(nil))
		}
		v.GetObject().Visit(func(_ []byte, member *fastjson.Value) {
			found = found || s.in(member, level+1)
		})
	}
	return found
}

// bytesOf returns the text that an array consists of byte by byte, or nil. journald
// writes a text so in which a character is that cannot be printed.
func bytesOf(elements []*fastjson.Value) []byte {
	text := make([]byte, 0, len(elements))
	for _, element := range elements {
		n, err := element.Int()
		if err != nil || n < 0 || n > 255 {
			return nil
		}
		text = append(text, byte(n))
	}
	if len(text) == 0 {
		return nil
	}
	return text
}

// text reports whether there are events in a text, and hands them on. Why something
// else in it is none is handed on only with them.
func (s *search) text(text []byte) (found bool) {
	var why error
	s.decoder.decode(text, s.depth, func(e *event.Event, err error) {
		switch {
		case err == nil:
			if why != nil && !found {
				s.each(nil, why)
			}
			found = true
			s.each(e, nil)
		case found:
			s.each(nil, err)
		default:
			why = cmp.Or(why, err)
		}
	})
	s.why = cmp.Or(s.why, why)
	return found
}
