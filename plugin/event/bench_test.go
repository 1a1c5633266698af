// SPDX-License-Identifier: Apache-2.0

package event_test

import (
	"testing"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/event/eventtest"
)

// recordings are real events of attacks and of benign software.
const recordings = "../../e2e/testdata/recordings/*/*.jsonl.gz"

// BenchmarkAppendJSON writes each recorded event.
func BenchmarkAppendJSON(b *testing.B) {
	lines := eventtest.Recorded(b, recordings)
	// A Decoder for each, because an event lives no longer than its Decoder
	// lets it.
	var events []*event.Event
	size := 0
	for _, line := range lines {
		err := new(event.Decoder).Decode(line, func(e *event.Event, err error) {
			if err != nil {
				b.Fatal(err)
			}
			events = append(events, e)
			size += len(e.AppendJSON(nil))
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	var text []byte
	b.SetBytes(int64(size / len(events)))
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		text = events[i].AppendJSON(text[:0])
		i = (i + 1) % len(events)
	}
}

// BenchmarkDecodeAppendJSON reads each recorded event and writes it: the share
// of BenchmarkAppendJSON in it is what the writer can gain or lose.
func BenchmarkDecodeAppendJSON(b *testing.B) {
	lines := eventtest.Recorded(b, recordings)
	var (
		d    event.Decoder
		text []byte
	)
	write := func(e *event.Event, err error) {
		if err != nil {
			b.Fatal(err)
		}
		text = e.AppendJSON(text[:0])
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if err := d.Decode(lines[i], write); err != nil {
			b.Fatal(err)
		}
		i = (i + 1) % len(lines)
	}
}
