// SPDX-License-Identifier: Apache-2.0

package eventtest

import (
	"fmt"
	"reflect"
	"time"

	"github.com/containerapi/containerapi/plugin/command"
	"github.com/containerapi/containerapi/plugin/event"
)

// Leaf is one value of an event that is no struct.
type Leaf struct {
	// Path names it as Go does, such as "Kubernetes.User.Name".
	Path string
	// Value is the value in the event: setting it changes the event.
	Value reflect.Value
	// number is another one for each leaf.
	number int
}

// Leaves returns the leaves of an event as they are declared: all but Input,
// which says what the others mean.
func Leaves(e *event.Event) []Leaf {
	return leaves(nil, "", reflect.ValueOf(e).Elem())
}

func leaves(list []Leaf, path string, v reflect.Value) []Leaf {
	for i := range v.NumField() {
		name, value := path+v.Type().Field(i).Name, v.Field(i)
		switch {
		case value.Kind() == reflect.Struct:
			list = leaves(list, name+".", value)
		case name != "Input":
			list = append(list, Leaf{Path: name, Value: value, number: len(list) + 1})
		}
	}
	return list
}

// Fill gives every leaf of an event a value of its own, as different as its type
// lets it be.
func Fill(e *event.Event) {
	for _, l := range Leaves(e) {
		l.Fill()
	}
}

// Fill gives the leaf the value that it has in a filled event.
func (l Leaf) Fill() { l.set("", l.number) }

// Change gives the leaf another value than Fill.
func (l Leaf) Change() {
	if l.Value.Kind() == reflect.Bool {
		l.Value.SetBool(false)
		return
	}
	l.set(" changed", l.number+1000)
}

// formed are the texts that code reads more in than a text.
var formed = map[string]func(text string, number int) string{
	"Kubernetes.Received": timestamp,
	"Kubernetes.Staged":   timestamp,
	// The command of an exec stands in the URI of its request.
	"Kubernetes.RequestURI": func(text string, _ int) string { return "/" + text + "/exec?command=Kubernetes.Command" },
	"Docker.Action":         func(text string, _ int) string { return "exec_" + text },
	"Docker.Client.Addr":    address,
}

func timestamp(_ string, number int) string {
	return time.Unix(1700000000, int64(number)).UTC().Format(time.RFC3339Nano)
}

func address(_ string, number int) string { return fmt.Sprintf("10.0.%d.%d", number/256, number%256) }

// set sets the leaf by its type. It panics at a type that events did not have
// when it was written.
func (l Leaf) set(suffix string, number int) {
	text := l.Path + suffix
	if form := formed[l.Path]; form != nil {
		text = form(text, number)
	}
	switch v := l.Value; {
	case v.Type() == reflect.TypeFor[command.Reads]():
		v.SetUint(uint64(1 + number/1000)) // a set of three
	case v.Kind() == reflect.String:
		v.SetString(text)
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.CanUint():
		v.SetUint(uint64(number))
	case v.CanInt():
		v.SetInt(int64(number))
	case v.Type() == reflect.TypeFor[[]string]():
		v.Set(reflect.ValueOf([]string{text, address("", number)}))
	default:
		panic(fmt.Sprintf("%s is a %s, which eventtest cannot set", l.Path, v.Type()))
	}
}
