// SPDX-License-Identifier: Apache-2.0

// Package field holds the fields that rules use: one table in which a field's
// name, type, description and value stand on one row.
package field

import (
	"fmt"
	"net/netip"

	"github.com/falcosecurity/plugin-sdk-go/pkg/sdk"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/falco"
)

// Field is one row of the table.
type Field struct {
	// Name is what rules call the field.
	Name string
	// Desc says what the field is, its unit if it has one, and when it has a
	// value.
	Desc string
	// Value takes the field's value from an event.
	Value Value
}

// Value is how a field gets its value from an event, and thereby of which type
// that is: a function of one of the types below.
type Value interface {
	// Type is the type's name in plugin-sdk-go, and whether the field is a
	// list.
	Type() (name string, list bool)
	set(id int, e *event.Event, b *falco.Block)
}

// The types of fields. An empty string, an empty list and an invalid address
// mean that the event has no such value.
type (
	text  func(*event.Event) string
	texts func(*event.Event) []string
	// number and flag return false as their second result where there is no
	// value.
	number func(*event.Event) (uint64, bool)
	flag   func(*event.Event) (value, ok bool)
	addr   func(*event.Event) netip.Addr
	// joined is a text in three parts.
	joined func(*event.Event) (a, b, c string)
)

func (f text) Type() (string, bool)   { return "string", false }
func (f texts) Type() (string, bool)  { return "string", true }
func (f number) Type() (string, bool) { return "uint64", false }
func (f flag) Type() (string, bool)   { return "bool", false }
func (f addr) Type() (string, bool)   { return "ipaddr", false }
func (f joined) Type() (string, bool) { return "string", false }

func (f text) set(id int, e *event.Event, b *falco.Block)  { b.SetString(id, f(e)) }
func (f texts) set(id int, e *event.Event, b *falco.Block) { b.SetStrings(id, f(e)) }
func (f addr) set(id int, e *event.Event, b *falco.Block)  { b.SetAddr(id, f(e)) }

func (f number) set(id int, e *event.Event, b *falco.Block) {
	if v, ok := f(e); ok {
		b.SetUint64(id, v)
	}
}

func (f flag) set(id int, e *event.Event, b *falco.Block) {
	if v, ok := f(e); ok {
		b.SetBool(id, v)
	}
}

func (f joined) set(id int, e *event.Event, b *falco.Block) {
	x, y, z := f(e)
	b.SetJoined(id, x, y, z)
}

// Fill writes the values that an event has for the fields that the block
// wants. The fields of another input than the event's cost nothing.
func Fill(e *event.Event, b *falco.Block) {
	fill(0, common, e, b)
	switch e.Input {
	case event.KubernetesAudit:
		fill(len(common), kube, e, b)
	case event.DockerEvent, event.DockerAPI:
		fill(len(common)+len(kube), dockerAPI, e, b)
	}
}

func fill(first int, rows []Field, e *event.Event, b *falco.Block) {
	for i := range rows {
		if b.Wants(first + i) {
			rows[i].Value.set(first+i, e, b)
		}
	}
}

// All returns the whole table. A field's index in it is the id that Falco
// knows it by.
func All() []Field {
	all := make([]Field, 0, len(common)+len(kube)+len(dockerAPI))
	all = append(all, common...)
	all = append(all, kube...)
	return append(all, dockerAPI...)
}

// Entries returns the table in the form that Falco is given it.
func Entries() []sdk.FieldEntry {
	all := All()
	if len(all) > falco.MaxFields {
		panic(fmt.Sprintf("%d fields, but falco.MaxFields is %d", len(all), falco.MaxFields))
	}
	entries := make([]sdk.FieldEntry, len(all))
	for i, f := range all {
		name, list := f.Value.Type()
		entries[i] = sdk.FieldEntry{Name: f.Name, Type: name, IsList: list, Desc: f.Desc}
	}
	return entries
}
