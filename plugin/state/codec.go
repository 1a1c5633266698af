// SPDX-License-Identifier: Apache-2.0

package state

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"slices"
)

// How profiles are written:
//
//	version   1 byte
//	last      4 bytes, little endian, as all numbers but varints
//	first     4
//	acts      4
//	days      2
//	for each kind of facts, ascending:
//	  kind    1
//	  count   uvarint, from 1
//	  for each fact, by ascending hash:
//	    hash  8
//	    age   varint, seconds from its time to last
//	checksum  4, CRC-32C of the profile's key and all before it
const (
	// version is that of the values and of the file. Those of a later one are left alone.
	version  = 1
	atLast   = 1
	headSize = 15
	sumSize  = 4
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errValue   = errors.New("a profile is damaged")
)

// encode appends a profile as it is written under its key.
func encode(b []byte, k key, p Profile) []byte {
	start := len(b)
	le := binary.LittleEndian
	b = append(b, version)
	b = le.AppendUint32(b, p.Last)
	b = le.AppendUint32(b, p.First)
	b = le.AppendUint32(b, p.Acts)
	b = le.AppendUint16(b, p.Days)
	facts := p.Facts
	if !slices.IsSortedFunc(facts, same) {
		facts = slices.Clone(facts)
		slices.SortFunc(facts, same)
	}
	for len(facts) > 0 {
		n := slices.IndexFunc(facts, func(f Fact) bool { return f.Kind != facts[0].Kind })
		if n < 0 {
			n = len(facts)
		}
		b = append(b, facts[0].Kind)
		b = binary.AppendUvarint(b, uint64(n))
		for _, f := range facts[:n] {
			b = le.AppendUint64(b, f.Hash)
			b = binary.AppendVarint(b, int64(p.Last)-int64(f.Time))
		}
		facts = facts[n:]
	}
	return le.AppendUint32(b, checksum(k, b[start:]))
}

func checksum(k key, text []byte) uint32 {
	return crc32.Update(crc32.Checksum(k.bytes(), castagnoli), castagnoli, text)
}

// decode reads a profile that was written under a key. It keeps nothing of the text.
func decode(text []byte, k key) (p Profile, err error) {
	if len(text) < headSize+sumSize || text[0] != version {
		return p, errValue
	}
	le := binary.LittleEndian
	text, sum := text[:len(text)-sumSize], le.Uint32(text[len(text)-sumSize:])
	if checksum(k, text) != sum {
		return p, errValue
	}
	p.Last, p.First, p.Acts, p.Days = le.Uint32(text[atLast:]), le.Uint32(text[5:]), le.Uint32(text[9:]), le.Uint16(text[13:])
	text = text[headSize:]
	// A fact takes nine bytes at least.
	p.Facts = make([]Fact, 0, min(len(text)/9, MaxFacts))
	for len(text) > 0 {
		kind := text[0]
		count, n := binary.Uvarint(text[1:])
		if n <= 0 || count == 0 || count > uint64(MaxFacts-len(p.Facts)) {
			return Profile{}, errValue
		}
		text = text[1+n:]
		for range count {
			if len(text) < 9 {
				return Profile{}, errValue
			}
			age, n := binary.Varint(text[8:])
			if n <= 0 || age > int64(p.Last) || age < int64(p.Last)-math.MaxUint32 {
				return Profile{}, errValue
			}
			p.Facts = append(p.Facts, Fact{Kind: kind, Hash: le.Uint64(text), Time: uint32(int64(p.Last) - age)})
			text = text[8+n:]
		}
	}
	return p, nil
}
