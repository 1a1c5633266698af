// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for _, empty := range []string{"", " \n", "{}", "null"} {
		c, err := Parse(empty)
		if err != nil || c != Default() {
			t.Errorf("Parse(%q) = %+v, %v; want the defaults", empty, c, err)
		}
	}
	c, err := Parse(`{"queueSize": 65536, "sslKey": "/k.pem"}`)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.QueueSize, want.SSLKey = 65536, "/k.pem"
	if c != want {
		t.Errorf("got %+v, want %+v", c, want)
	}
}

// What is wrong must be found by its name: an init_config is written by hand.
func TestParseErrors(t *testing.T) {
	for config, names := range map[string]string{
		`{"queuesize2": 1}`:          "queuesize2",
		`{"queueSize": "big"}`:       "queueSize",
		`{"queueSize": 10}`:          "queueSize",
		`{"queueSize": 1.5}`:         "queueSize",
		`{"maxEventSize": -1}`:       "maxEventSize",
		`{"maxEventSize": 32767}`:    "maxEventSize", // what a shortened event can have
		`{"sslKey": 7}`:              "sslKey",
		`{"webhookQueueDeadline":0}`: "webhookQueueDeadline",
		`{"learnFor": -1}`:           "learnFor",
		`{"learnFor": "24h"}`:        "learnFor",
		`{"state": "bbolt"}`:         "state",
		`{"state": "redis://"}`:      "state",
		`[1]`:                        "map of settings",
		`"text"`:                     "map of settings",
		`{"queueSize": 65536} {}`:    "more after",
		`{`:                          "init_config",
	} {
		if _, err := Parse(config); err == nil || !strings.Contains(err.Error(), names) {
			t.Errorf("Parse(%s) = %v; want an error that names %q", config, err, names)
		}
	}
}

// The URL of a Redis may hold a password.
func TestStateIsNotQuoted(t *testing.T) {
	if c, err := Parse(`{"state": "redis://falco:hunter2@redis:6379", "learnFor": 48}`); err != nil || c.Learning() != 48*time.Hour {
		t.Errorf("%+v, %v", c, err)
	}
	for _, wrong := range []string{`"redis://falco:hunter2@"`, `"redis://falco:hun%ter2@redis"`, `"falco:hunter2@redis"`} {
		if _, err := Parse(`{"state": ` + wrong + `}`); err == nil || strings.Contains(err.Error(), "ter2") {
			t.Errorf("Parse of %s: %v", wrong, err)
		}
	}
}

func TestSchema(t *testing.T) {
	var s struct {
		Type       string
		Properties map[string]struct {
			Type, Description string
			Default           any
		}
		AdditionalProperties any
		Required             []string
	}
	if err := json.Unmarshal([]byte(Schema()), &s); err != nil {
		t.Fatal(err)
	}
	if s.Type != "" {
		t.Errorf("the type is %q; Falco makes null of the empty map in a user's file", s.Type)
	}
	if s.AdditionalProperties != false {
		t.Errorf("additionalProperties is %v; unknown keys must be refused", s.AdditionalProperties)
	}
	if len(s.Required) > 0 {
		t.Errorf("%v are required; every setting has a default", s.Required)
	}
	for _, key := range keys() {
		p, ok := s.Properties[key]
		if !ok || p.Type == "" || p.Description == "" || p.Default == nil {
			t.Errorf("%s: %+v; want type, description and default", key, p)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`{"queueSize": 65536}`)
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := Parse(text); err == nil {
			if err := c.validate(); err != nil {
				t.Errorf("Parse(%q) let pass: %v", text, err)
			}
		}
	})
}
