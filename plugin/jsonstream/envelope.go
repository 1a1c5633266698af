// SPDX-License-Identifier: Apache-2.0

package jsonstream

import (
	"errors"

	"github.com/valyala/fastjson"

	"github.com/containerapi/containerapi/plugin/event"
)

// maxEnvelopes is how many envelopes may lie in each other: a record of Azure in a
// list of a log collector's in a container's log.
const maxEnvelopes = 4

// envelopes are the members that log collectors and cloud providers put an audit
// event into, as an object or as text.
var envelopes = [][]string{
	{"log"},               // Docker's json-file driver, Fluent Bit, Fluentd
	{"log_processed"},     // Fluent Bit with Merge_Log
	{"properties", "log"}, // diagnostic logs of Azure, and so of AKS
	{"message"},           // CloudWatch, Filebeat
	{"MESSAGE"},           // journald
	{"@message"},          // CloudWatch Logs Insights
	{"body"},              // OpenTelemetry
	{"line"},              // Loki
}

// shape is a JSON object that is no audit event, but is taken for one.
type shape struct {
	member string
	err    error
}

// shapes are told by a member that only they have.
var shapes = []shape{
	{"protoPayload", errors.New("an entry of Google Cloud's audit log, and no event of a Kubernetes API server: Falco's plugin k8saudit-gke reads it, with containerapi-extract beside it")},
	{"eventSource", errors.New("a record of AWS CloudTrail, and no event of a Kubernetes API server: Falco's plugin cloudtrail reads it")},
	{"caller", ErrServerLog}, // --logging-format=json
	{"involvedObject", errors.New("a Kubernetes Event, and no audit event: give --audit-log-path or --audit-webhook-config-file to the API server")},
}

// envelope holds the memory for one at each depth.
type envelope struct {
	parsers [maxEnvelopes]fastjson.Parser
}

// unpack calls each for the events in a JSON text that is none itself.
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
	for _, path := range envelopes {
		inner := v.Get(path...)
		switch {
		case inner == nil:
		case inner.Type() == fastjson.TypeString:
			d.decode(inner.GetStringBytes(), depth+1, each)
			return
		case inner.Type() == fastjson.TypeObject:
			d.decode(inner.MarshalTo(nil), depth+1, each)
			return
		}
	}
	for _, s := range shapes {
		if v.Exists(s.member) {
			each(nil, s.err)
			return
		}
	}
	each(nil, event.ErrUnrecognized)
}
