// SPDX-License-Identifier: Apache-2.0

package jsonstream

import (
	"bytes"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/kubernetes"
)

// Decoder reads events from texts of any size. Unlike an [event.Decoder] it
// takes memory that does not depend on the values in the text, reads events with
// objects that are nested too deeply for a parser, and finds events in what log
// collectors put around them. The zero value is ready. A Decoder must not be used
// by two goroutines at once.
type Decoder struct {
	events   event.Decoder
	envelope envelope
}

// Decode calls each for every event in a text: one event, an array or a list of
// events, also behind a prefix or in an envelope. In place of what is not an event,
// each gets nil and the reason. Of an event that ends too early, because it is the
// beginning of a longer one, it is read what is there, and the event marked as
// shortened.
//
// The event is valid until each returns.
func (d *Decoder) Decode(text []byte, each func(*event.Event, error)) { d.decode(text, 0, each) }

func (d *Decoder) decode(text []byte, depth int, each func(*event.Event, error)) {
	d.events.Reads = kubernetes.Reads
	// In an array there may be envelopes.
	array := bytes.HasPrefix(text, []byte("["))
	if len(text) <= maxWhole && !array && d.events.Decode(text, each) == nil {
		return
	}
	if rest := d.read(text, depth, false, each); rest != nil {
		d.pieces(rest, depth, each)
	}
}

// eventHead is what an API server begins an event with.
var eventHead = []byte(`{"kind":"Event","apiVersion":"audit.k8s.io/`)

// read decodes the events of a text. Where one is cut and another begins behind that,
// it returns the text from the first of the two on, unless the text is a piece of such a
// one.
func (d *Decoder) read(text []byte, depth int, piece bool, each func(*event.Event, error)) (rest []byte) {
	reader := readText(text)
	for n := 0; ; n++ {
		item, err := reader.Next()
		if err != nil {
			if n == 0 {
				each(nil, ErrNoJSON)
			}
			return nil
		}
		cut := item.Cut || item.Err == errBroken || item.Err == errUnended
		if cut && !piece && bytes.Contains(text[reader.began+1:], eventHead) {
			return text[reader.began:]
		}
		d.item(item, depth, each)
	}
}

// pieces decodes a text in which an event is cut and another one follows on the same
// line, as where a server was killed while it wrote and then began anew. Each piece is
// read once, however many there are.
func (d *Decoder) pieces(text []byte, depth int, each func(*event.Event, error)) {
	for len(text) > 0 {
		end := len(text)
		if i := bytes.Index(text[1:], eventHead); i >= 0 {
			end = i + 1
		}
		d.read(text[:end], depth, true, each)
		text = text[end:]
	}
}

// Item calls each as [Decoder.Decode] does for one item of a [Reader].
func (d *Decoder) Item(item Item, each func(*event.Event, error)) { d.item(item, 0, each) }

func (d *Decoder) item(item Item, depth int, each func(*event.Event, error)) {
	d.events.Reads = kubernetes.Reads
	if item.Err != nil {
		each(nil, item.Err)
		return
	}
	err := d.events.Decode(item.Text, func(e *event.Event, err error) {
		if e != nil && item.Shortened {
			e.Shortened = true
		}
		each(e, err)
	})
	switch {
	case err == nil:
	case err == event.ErrUnrecognized:
		d.unpack(item.Text, depth, each)
	case item.Shortened:
		each(nil, err)
	default:
		// Broken, or nested too deeply for the parser: whoever may write nested
		// objects to the API must not hide what they do with them.
		d.shrunk(item.Text, err, each)
	}
}

// shrunk decodes what an event needs of a text that could not be parsed for the
// reason why.
func (d *Decoder) shrunk(text []byte, why error, each func(*event.Event, error)) {
	item, err := readText(text).shrunk(false)
	if err == nil && item.Err == nil {
		err = d.events.Decode(item.Text, func(e *event.Event, err error) {
			if e != nil {
				e.Shortened = e.Shortened || item.Shortened
			}
			each(e, err)
		})
	}
	if err != nil || item.Err != nil {
		each(nil, why)
	}
}
