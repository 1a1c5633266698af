// SPDX-License-Identifier: Apache-2.0

package scap

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"testing"
)

func everything(uint64) bool { return true }

// read unpacks a capture.
func read(t *testing.T, r io.Reader) []byte {
	t.Helper()
	unpacked, err := gzip.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// threads counts the events of each thread.
func threads(t *testing.T, text []byte) map[uint64]int {
	t.Helper()
	count := make(map[uint64]int)
	for r := bytes.NewReader(text); ; {
		kind, body, err := readBlock(r)
		if errors.Is(err, io.EOF) {
			return count
		}
		if err != nil {
			t.Fatal(err)
		}
		if kind == event {
			count[binary.LittleEndian.Uint64(body[2+8:])]++
		}
	}
}

// A capture of which everything is kept stays what it is; else the events of other
// threads are gone, and nothing else.
func TestFilter(t *testing.T) {
	packed, err := os.ReadFile("../testdata/captures/kubectl-token.scap")
	if err != nil {
		t.Fatal(err)
	}
	before := read(t, bytes.NewReader(packed))
	for _, in := range [][]byte{packed, before} {
		var all bytes.Buffer
		if err := Filter(&all, bytes.NewReader(in), everything); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(read(t, &all), before) {
			t.Error("a capture of which everything is kept is another one")
		}
	}
	had := threads(t, before)
	if len(had) < 3 {
		t.Fatalf("the capture has %d threads", len(had))
	}
	for thread, events := range had {
		var one bytes.Buffer
		if err := Filter(&one, bytes.NewReader(packed), func(other uint64) bool { return other == thread }); err != nil {
			t.Fatal(err)
		}
		if got := threads(t, read(t, &one)); len(got) != 1 || got[thread] != events {
			t.Errorf("of thread %d with %d events was kept: %v", thread, events, got)
		}
	}
}

// What newer libs write is cut to what older ones read, the tables and the name of the
// machine are left out.
func TestFilterNewer(t *testing.T) {
	newer := func(kind uint32, size int) []byte {
		body := make([]byte, 2)
		if kind == eventFlags || kind == eventFlagsLarge {
			body = make([]byte, 6)
		}
		body = append(body, make([]byte, 8)...)
		body = binary.LittleEndian.AppendUint64(body, 7)
		body = binary.LittleEndian.AppendUint32(body, uint32(eventHead+5*size+5))
		body = binary.LittleEndian.AppendUint16(body, 19)
		body = binary.LittleEndian.AppendUint32(body, 5)
		for range 5 {
			body = append(body, 1)
			body = append(body, make([]byte, size-1)...)
		}
		return append(body, "abcde"...)
	}
	for kind, size := range map[uint32]int{event: 2, eventFlags: 2, eventLarge: 4, eventFlagsLarge: 4} {
		var in, out bytes.Buffer
		machine := make([]byte, 180)
		copy(machine[hostname:], "secret.example.com")
		for block, body := range map[uint32][]byte{machineInfo: machine, 0x220: []byte("users"), kind: newer(kind, size)} {
			if err := writeBlock(&in, block, body); err != nil {
				t.Fatal(err)
			}
		}
		if err := Filter(&out, &in, everything); err != nil {
			t.Fatal(err)
		}
		text := read(t, &out)
		if bytes.Contains(text, []byte("example")) || bytes.Contains(text, []byte("users")) || !bytes.Contains(text, []byte("node\x00")) {
			t.Errorf("the machine is still there: %q", text)
		}
		if !bytes.Contains(text, []byte("abcd")) || bytes.Contains(text, []byte("abcde")) {
			t.Errorf("%#x: four of five parameters are not there: %q", kind, text)
		}
		length := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint64(nil, 7), uint32(eventHead+4*size+4))
		if !bytes.Contains(text, length) {
			t.Errorf("%#x: the length of the event is wrong: %q", kind, text)
		}
	}
}

func TestFilterBroken(t *testing.T) {
	block := func(kind uint32, body []byte) []byte {
		var out bytes.Buffer
		if err := writeBlock(&out, kind, body); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	lies := make([]byte, 2+eventHead)
	lies[2+20], lies[2+22] = 19, 200
	long := append(bytes.Clone(lies), bytes.Repeat([]byte{0xff}, 400)...)
	for name, in := range map[string][]byte{
		"empty":                      nil,
		"cut off":                    block(event, lies)[:20],
		"shorter than its frame":     {1, 2, 0, 0, 4, 0, 0, 0},
		"short event":                block(event, []byte("abcd")),
		"short machine":              block(machineInfo, []byte("abcd")),
		"too many parameters":        block(event, lies),
		"parameters that are longer": block(event, long),
	} {
		if err := Filter(io.Discard, bytes.NewReader(in), everything); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
