// SPDX-License-Identifier: Apache-2.0

package jsonstream

import (
	"errors"

	"github.com/containerapi/containerapi/plugin/event"
)

// maxParsed is up to which size a text is parsed as it is. A parsed text takes
// up to 50 times its size, so a larger one is taken apart first.
const maxParsed = 256 << 10

var errCut = errors.New("longer than the limit, and not an event that could be shortened")

// Decoder reads events from texts of any size. Unlike an [event.Decoder] it
// takes memory that does not depend on the values in the text, and reads
// events with objects that are nested too deeply for a parser. The zero value
// is ready. A Decoder must not be used by two goroutines at once.
type Decoder struct {
	events event.Decoder
	saved  []byte
}

// Decode calls each for every event in a JSON text: one event, an array or an
// EventList. In place of what is not an event, each gets nil and the reason.
// cut says that the text is the beginning of a longer one; the event is read
// from it as far as it goes, and marked as shortened.
//
// The event is valid until each returns.
func (d *Decoder) Decode(text []byte, cut bool, each func(*event.Event, error)) {
	if cut {
		if !d.salvage(text, true, each) {
			each(nil, errCut)
		}
		return
	}
	if len(text) <= maxParsed {
		err := d.events.Decode(text, each)
		if err == nil {
			return
		}
		if err == event.ErrUnrecognized || End(text) < 0 {
			each(nil, err)
			return
		}
	}
	if err := Items(text, func(item []byte) { d.Item(item, each) }); err != nil {
		each(nil, err)
	}
}

// Item calls each for one event, or with nil and the reason why it is none.
func (d *Decoder) Item(text []byte, each func(*event.Event, error)) {
	var err error = errBroken
	if len(text) <= maxParsed {
		if err = d.events.Decode(text, each); err == nil {
			return
		}
	}
	// Too large, broken, or nested too deeply for the parser: whoever may
	// write nested objects to the API must not hide what they do with them.
	if err == event.ErrUnrecognized || !d.salvage(text, false, each) {
		each(nil, err)
	}
}

func (d *Decoder) salvage(text []byte, cut bool, each func(*event.Event, error)) bool {
	object, lost, complete := Salvage(d.saved[:0], text)
	if cap(object) <= maxParsed {
		d.saved = object
	}
	if object == nil || complete == cut {
		return false
	}
	found := false
	err := d.events.Decode(object, func(e *event.Event, err error) {
		if e != nil {
			e.Shortened = e.Shortened || lost
		}
		found = true
		each(e, err)
	})
	if err == nil && !found {
		return false // a list that lost its items
	}
	if err != nil {
		each(nil, err)
	}
	return true
}
