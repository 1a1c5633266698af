// SPDX-License-Identifier: Apache-2.0

package falco

import (
	"encoding/binary"
	"math"
	"net/netip"

	"github.com/containerapi/containerapi/plugin/oneline"
)

// MaxFields is how many fields a plugin may have.
const MaxFields = 192

// maxList is how many values of a list are kept: more than any rule reads,
// and few enough that some lists fit into one extraction.
const maxList = 128

// Set is a set of fields, by their ids. It has a bit for each of
// [MaxFields], and extract.c reads it.
type Set [MaxFields / 64]uint64

// All is the set of all fields.
var All = Set{math.MaxUint64, math.MaxUint64, math.MaxUint64}

// Has reports whether a field is in the set.
func (s *Set) Has(id int) bool { return s[id/64]>>(id%64)&1 != 0 }

// The offsets in a block of its sets of present and of known fields and of the
// values, and the length of all that.
const (
	presentAt = 0
	knownAt   = MaxFields / 8
	valuesAt  = 2 * knownAt
	headLen   = valuesAt + MaxFields*8
)

// Block holds the values of one event: the values of its fields, ready to be
// handed to Falco. Its zero value is not ready; Reset makes it so.
//
// In memory it is a bitmap of the fields that have a value, one of the fields
// of which that is known, then 8 bytes for each field, then what those point
// to. The 8 bytes hold a number or boolean itself, the offset of a string that
// ends with NUL, the offset (low half) and length (high half) of an address, or
// the offset and length of a list of offsets of strings. Integers have the
// machine's byte order.
type Block struct {
	b     []byte
	known Set
}

// Reset empties the block. Only the values of these fields will be given to
// it; the others can be found out later from the event.
func (b *Block) Reset(known Set) {
	if cap(b.b) < headLen {
		b.b = make([]byte, headLen, 4*headLen)
	}
	b.b = b.b[:headLen]
	// Values of fields that are not present are never read.
	clear(b.b[presentAt:knownAt])
	b.known = known
	for i, word := range known {
		binary.NativeEndian.PutUint64(b.b[knownAt+8*i:], word)
	}
}

// Wants reports whether the block is to be given the value of a field.
func (b *Block) Wants(id int) bool { return b.known.Has(id) }

func (b *Block) set(id int, value uint64) {
	b.b[id/8] |= 1 << (id % 8)
	binary.NativeEndian.PutUint64(b.b[valuesAt+id*8:], value)
}

// SetUint64 gives a number to a field.
func (b *Block) SetUint64(id int, v uint64) { b.set(id, v) }

// SetBool gives a boolean to a field.
func (b *Block) SetBool(id int, v bool) {
	if v {
		b.set(id, 1)
	} else {
		b.set(id, 0)
	}
}

// SetString gives a string to a field. An empty string is no value.
func (b *Block) SetString(id int, s string) {
	if s != "" {
		b.set(id, uint64(b.string(s)))
	}
}

// SetJoined gives a string in three parts to a field.
func (b *Block) SetJoined(id int, x, y, z string) {
	if x == "" && y == "" {
		b.SetString(id, z)
		return
	}
	at := b.string(x)
	for _, part := range [...]string{y, z} {
		b.b = b.b[:len(b.b)-1] // the NUL of what came before
		b.string(part)
	}
	b.set(id, uint64(at))
}

// SetStrings gives a list of strings to a field. An empty list is no value.
func (b *Block) SetStrings(id int, list []string) {
	if len(list) == 0 {
		return
	}
	list = list[:min(len(list), maxList)]
	b.align(4)
	at := len(b.b)
	for range list {
		b.b = append(b.b, 0, 0, 0, 0)
	}
	for i, s := range list {
		// Storing the string can move the block.
		offset := b.string(s)
		binary.NativeEndian.PutUint32(b.b[at+4*i:], offset)
	}
	b.set(id, uint64(at)|uint64(len(list))<<32)
}

// SetAddr gives an IP address to a field. The zero Addr is no value.
func (b *Block) SetAddr(id int, a netip.Addr) {
	if !a.IsValid() {
		return
	}
	a = a.Unmap()
	at := len(b.b)
	if a.Is4() {
		ip := a.As4()
		b.b = append(b.b, ip[:]...)
	} else {
		ip := a.As16()
		b.b = append(b.b, ip[:]...)
	}
	b.set(id, uint64(at)|uint64(len(b.b)-at)<<32)
}

// string stores a string and returns its offset. What a stranger chose in it
// becomes safe to show here, where all that rules and alerts see comes by. That
// includes NUL, which would end the string early and hide what follows.
func (b *Block) string(s string) uint32 {
	at := len(b.b)
	b.b = append(oneline.Append(b.b, s), 0)
	return uint32(at)
}

func (b *Block) align(n int) {
	for len(b.b)%n != 0 {
		b.b = append(b.b, 0)
	}
}
