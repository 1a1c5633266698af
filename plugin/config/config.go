// SPDX-License-Identifier: Apache-2.0

// Package config holds the plugin's settings, Falco's init_config.
package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/invopop/jsonschema"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/state"
)

// Config is the plugin's init_config. Keys that the k8saudit plugin has too
// mean the same here.
type Config struct {
	SSLCertificate       string `json:"sslCertificate" jsonschema:"title=TLS certificate,description=PEM file with the certificate of the https webhook. It may hold the key as well."`
	SSLKey               string `json:"sslKey" jsonschema:"title=TLS key,description=PEM file with the key of the https webhook. Empty if sslCertificate holds it."`
	SSLClientCA          string `json:"sslClientCA" jsonschema:"title=TLS client CA,description=PEM file with the authorities that clients of the https webhook must have a certificate of (mutual TLS). Empty: clients need no certificate."`
	MaxEventSize         int    `json:"maxEventSize" jsonschema:"title=Maximum event size,description=Size in bytes above which an event is shortened to its essential parts.,maximum=16777216"`
	WebhookTokenFile     string `json:"webhookTokenFile" jsonschema:"title=Webhook token file,description=File with the bearer tokens that senders to the webhook must show: one a line. Empty: they need none."`
	WebhookQueueDeadline int    `json:"webhookQueueDeadline" jsonschema:"title=Webhook queue deadline,description=For how many seconds a webhook request waits for room in the queue before it is answered 429 and sent again by the API server.,minimum=1,maximum=25"`
	MaxLineSize          int    `json:"maxLineSize" jsonschema:"title=Maximum line size,description=Size in bytes above which a line of an audit log is read only up to its objects.,minimum=262144,maximum=268435456"`
	StateDir             string `json:"stateDir" jsonschema:"title=State directory,description=Directory for what lasts: how far a followed audit log was read and what was learned of who did what. Empty: that is forgotten at the end."`
	State                string `json:"state" jsonschema:"title=State,description=Where it is kept what was learned of who did what: empty (a file in stateDir) or memory (it is forgotten at the end) or the URL of a Redis or Valkey that several share: redis://USER:PASSWORD@HOST:6379 or rediss://"`
	LearnFor             int    `json:"learnFor" jsonschema:"title=Learn for,description=For how many hours from when an identity was first seen what it does is learned.,maximum=8760"`
	QueueSize            int    `json:"queueSize" jsonschema:"title=Queue size,description=How many bytes of events may wait for Falco. When there are more the inputs wait.,minimum=65536,maximum=1073741824"`
	DockerTLSCA          string `json:"dockerTLSCA" jsonschema:"title=Docker TLS CA,description=PEM file with the authorities that a docker+tcp daemon must have a certificate of."`
	DockerTLSCertificate string `json:"dockerTLSCertificate" jsonschema:"title=Docker TLS certificate,description=PEM file with the client certificate for a docker+tcp daemon."`
	DockerTLSKey         string `json:"dockerTLSKey" jsonschema:"title=Docker TLS key,description=PEM file with the key of dockerTLSCertificate."`
	Commands             string `json:"commands" jsonschema:"title=Commands,description=What events show of the commands of clients and of execs: masked (all but what may be a secret) or names (the names of programs and files only).,enum=masked,enum=names"`
}

// Default returns the settings of an empty init_config.
func Default() Config {
	return Config{
		SSLCertificate: "/etc/falco/falco.pem",
		MaxEventSize:   256 << 10,
		// The API server gives up after 30 s and sends again.
		WebhookQueueDeadline: 10,
		MaxLineSize:          16 << 20,
		StateDir:             "/var/lib/containerapi",
		LearnFor:             24,
		QueueSize:            32 << 20,
		Commands:             "masked",
	}
}

// Deadline is WebhookQueueDeadline as a duration.
func (c Config) Deadline() time.Duration {
	return time.Duration(c.WebhookQueueDeadline) * time.Second
}

// Learning is LearnFor as a duration.
func (c Config) Learning() time.Duration { return time.Duration(c.LearnFor) * time.Hour }

// Shown is Commands as the events know it.
func (c Config) Shown() event.Shown { return event.Shown(c.Commands == "names") }

// Parse reads an init_config. Its error names the key that is wrong.
func Parse(text string) (Config, error) {
	c := Default()
	if strings.TrimSpace(text) == "" {
		return c, nil
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return c, explain(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return c, errors.New("init_config: there is more after the JSON object")
	}
	return c, c.validate()
}

// explain says an error of encoding/json in terms of the keys.
func explain(err error) error {
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong) && wrong.Field != "":
		return fmt.Errorf("init_config: %s must be a %s, not a %s", wrong.Field, wrong.Type, wrong.Value)
	case errors.As(err, &wrong):
		return fmt.Errorf("init_config must be a map of settings, not a %s", wrong.Value)
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return fmt.Errorf("init_config: there is no setting %s; the settings are %s", name, strings.Join(keys(), ", "))
	}
	return fmt.Errorf("init_config: %w", err)
}

func keys() []string {
	t := reflect.TypeFor[Config]()
	names := make([]string, t.NumField())
	for i := range names {
		names[i] = t.Field(i).Tag.Get("json")
	}
	return names
}

// validate checks what the schema's minimum, maximum and enum say, for engines that
// do not check an init_config against its schema.
func (c Config) validate() error {
	schema := reflected()
	v := reflect.ValueOf(c)
	for i := range v.NumField() {
		field := v.Field(i)
		name := v.Type().Field(i).Tag.Get("json")
		property, _ := schema.Properties.Get(name)
		if len(property.Enum) > 0 && !slices.Contains(property.Enum, field.Interface()) {
			return fmt.Errorf("init_config: %s is %q, but must be one of %v", name, field, property.Enum)
		}
		if !field.CanInt() {
			continue
		}
		low, _ := property.Minimum.Int64()
		high, _ := property.Maximum.Int64()
		if n := field.Int(); n < low || n > high {
			return fmt.Errorf("init_config: %s is %d, but must be from %d to %d", name, n, low, high)
		}
	}
	if err := state.Valid(c.State); err != nil {
		return fmt.Errorf("init_config: state is %w", err)
	}
	return nil
}

// Schema returns the JSON schema of the settings, made from Config.
func Schema() string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(reflected()); err != nil {
		panic(err) // a schema of this package's own type
	}
	return b.String()
}

func reflected() *jsonschema.Schema {
	r := jsonschema.Reflector{
		ExpandedStruct:             true,
		DoNotReference:             true,
		Anonymous:                  true,
		RequiredFromJSONSchemaTags: true,
	}
	schema := r.Reflect(&Config{})
	// Falco's validator reads draft 4 to 7 and is told none.
	schema.Version = ""
	// Falco makes null of an empty map. What is no map Parse refuses.
	schema.Type = ""
	// A limit that a shortened event can be above would be none.
	size, _ := schema.Properties.Get("maxEventSize")
	size.Minimum = json.Number(strconv.Itoa(event.MaxShortened))
	defaults := reflect.ValueOf(Default())
	for i := range defaults.NumField() {
		property, _ := schema.Properties.Get(defaults.Type().Field(i).Tag.Get("json"))
		property.Default = defaults.Field(i).Interface()
	}
	return schema
}
