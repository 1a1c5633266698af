// SPDX-License-Identifier: Apache-2.0

// Package scap takes out of captures of system calls what nobody needs. A capture is
// a file of blocks as libscap writes it, see scap_savefile.h of falcosecurity/libs.
package scap

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The types of blocks that are kept. All others are tables of what the machine had
// before: its processes, files, addresses and users.
const (
	sectionHeader = 0x0a0d0d0a
	machineInfo   = 0x201
	event         = 0x216
	// eventFlags has 32 bits of flags before the event.
	eventFlags = 0x217
	// The lengths of the parameters of large ones have 32 bits, not 16.
	eventLarge      = 0x221
	eventFlagsLarge = 0x222
)

const (
	// frame is what is around the body of a block: its type and its length
	// before, its length again behind it. Each has 32 bits.
	frame = 12
	// maxBlock bounds the length of a block, in bytes. An event has at most
	// some 100 KiB, the table of a machine's processes a few MiB.
	maxBlock = 1 << 30
	// eventHead are time, thread, length, type and number of parameters.
	eventHead = 8 + 8 + 4 + 2 + 4
)

// hostname is where the name of the machine stands in a machineInfo.
const hostname, hostnameLen = 20, 128

// older are the events, by their types, that have more parameters since libs 0.24,
// and how many they had before. Libs 0.23, which Debian's sysdig has, reads none with
// more than it knows; newer libs fill in what is missing.
var older = map[uint16]uint32{
	19:  4, // socket
	151: 3, // fcntl
	451: 2, // close_range
}

// Filter writes a capture with nothing but the events of some threads, as kept says
// by their number in the machine's own PID namespace. The machine's name is not kept.
// What is read may be compressed; what is written is. The same capture gives the same
// bytes.
func Filter(w io.Writer, r io.Reader, kept func(thread uint64) bool) error {
	in, err := unpacked(r)
	if err != nil {
		return err
	}
	out := gzip.NewWriter(w)
	for {
		kind, body, err := readBlock(in)
		if errors.Is(err, io.EOF) {
			return out.Close()
		}
		if err != nil {
			return fmt.Errorf("read the capture: %w", err)
		}
		if body, err = filter(kind, body, kept); err != nil {
			return fmt.Errorf("read the capture: %w", err)
		}
		if body == nil {
			continue
		}
		if err := writeBlock(out, kind, body); err != nil {
			return err
		}
	}
}

// unpacked returns a reader of what may be compressed.
func unpacked(r io.Reader) (io.Reader, error) {
	in := bufio.NewReader(r)
	magic, err := in.Peek(2)
	if err != nil {
		return nil, fmt.Errorf("read the capture: %w", err)
	}
	if !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return in, nil
	}
	return gzip.NewReader(in)
}

// readBlock returns the type and the body of the next block. The error is io.EOF
// behind the last one.
func readBlock(r io.Reader) (kind uint32, body []byte, err error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	kind, length := binary.LittleEndian.Uint32(head[:]), binary.LittleEndian.Uint32(head[4:])
	if length < frame || length > maxBlock {
		return 0, nil, fmt.Errorf("a block of type %#x has %d bytes", kind, length)
	}
	rest := make([]byte, length-8)
	if _, err := io.ReadFull(r, rest); err != nil {
		return 0, nil, fmt.Errorf("a block of type %#x: %w", kind, io.ErrUnexpectedEOF)
	}
	return kind, rest[:len(rest)-4], nil
}

// writeBlock writes a block, and fills it up to 32 bits.
func writeBlock(w io.Writer, kind uint32, body []byte) error {
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	length := uint32(len(body) + frame)
	block := binary.LittleEndian.AppendUint32(nil, kind)
	block = binary.LittleEndian.AppendUint32(block, length)
	block = append(block, body...)
	_, err := w.Write(binary.LittleEndian.AppendUint32(block, length))
	return err
}

// filter returns what of a block is kept, nil for nothing.
func filter(kind uint32, body []byte, kept func(thread uint64) bool) ([]byte, error) {
	switch kind {
	case sectionHeader:
		return body, nil
	case machineInfo:
		if len(body) < hostname+hostnameLen {
			return nil, errors.New("the machine's block is too short")
		}
		name := body[hostname : hostname+hostnameLen]
		clear(name[copy(name, "node"):])
		return body, nil
	case event, eventFlags, eventLarge, eventFlagsLarge:
		return filterEvent(kind, body, kept)
	}
	return nil, nil
}

func filterEvent(kind uint32, body []byte, kept func(thread uint64) bool) ([]byte, error) {
	// The CPU stands before the event.
	start := 2
	if kind == eventFlags || kind == eventFlagsLarge {
		start += 4
	}
	size := 2
	if kind == eventLarge || kind == eventFlagsLarge {
		size = 4
	}
	if len(body) < start+eventHead {
		return nil, errors.New("an event is too short")
	}
	head := body[start : start+eventHead]
	if !kept(binary.LittleEndian.Uint64(head[8:])) {
		return nil, nil
	}
	count := binary.LittleEndian.Uint32(head[22:])
	limit, ok := older[binary.LittleEndian.Uint16(head[20:])]
	if !ok || count <= limit {
		return body, nil
	}
	lengths, values, err := parameters(body[start+eventHead:], int(count), int(limit), size)
	if err != nil {
		return nil, err
	}
	shorter := append([]byte(nil), body[:start+eventHead]...)
	shorter = append(append(shorter, lengths...), values...)
	binary.LittleEndian.PutUint32(shorter[start+16:], uint32(len(shorter)-start))
	binary.LittleEndian.PutUint32(shorter[start+22:], limit)
	return shorter, nil
}

// parameters returns the lengths, of size bytes each, and the values of the first
// parameters of an event, limit of count.
func parameters(text []byte, count, limit, size int) (lengths, values []byte, err error) {
	if count > len(text)/size {
		return nil, nil, errors.New("an event has fewer parameters than it says")
	}
	lengths, values = text[:limit*size], text[count*size:]
	total := 0
	for i := range limit {
		if size == 2 {
			total += int(binary.LittleEndian.Uint16(lengths[i*size:]))
		} else {
			total += int(binary.LittleEndian.Uint32(lengths[i*size:]))
		}
	}
	if total > len(values) {
		return nil, nil, errors.New("the parameters of an event are longer than it is")
	}
	return lengths, values[:total], nil
}
