// SPDX-License-Identifier: Apache-2.0

package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// The form of bbolt's files, from internal/common of go.etcd.io/bbolt: page.go, meta.go,
// inode.go and bucket.go.
const (
	pageHeader = 16 // id 8, flags 2, count 2, overflow 4
	element    = 16 // of a leaf: flags 4, position 4, key's and value's size 4; of a branch: position 4, key's size 4, page 8

	branchPage   = 0x01
	leafPage     = 0x02
	metaPage     = 0x04
	freelistPage = 0x10
	bucketFlag   = 0x01 // of a leaf's element

	metaMagic   = 0xED0CDAED
	metaVersion = 2
	metaSize    = 64 // with its checksum

	// maxDepth is more than any tree here has.
	maxDepth = 24
	// maxPages is how many pages one key and value may take.
	maxPages = 64
)

var errDamaged = errors.New("the file is damaged")

// bbolt trusts what it maps: a wrong number in a page makes it panic, read what is not
// its own or turn in a circle without an end, which no recover ends. So all pages are
// looked at before it gets a file, in one pass and by reading, not mapping, it.

// checker goes through the pages of a file.
type checker struct {
	file *os.File
	page int64  // size of a page in bytes
	high uint64 // number of pages
	seen []uint64
	// kept are buffers, one for each level of the tree.
	kept [maxDepth][]byte
}

// check returns an error that wraps errDamaged unless the structure of a file is whole.
// Values have a checksum of their own.
func check(file *os.File) error {
	stat, err := file.Stat()
	if err != nil {
		return err
	}
	meta, err := findMeta(file, stat.Size())
	if err != nil {
		return err
	}
	ne := binary.NativeEndian
	c := &checker{file: file, page: int64(ne.Uint32(meta[8:])), high: ne.Uint64(meta[40:])}
	if c.high < 4 || c.high > uint64(stat.Size()/c.page) {
		return fmt.Errorf("%w: it has %d bytes, and should have %d pages of %d", errDamaged, stat.Size(), c.high, c.page)
	}
	c.seen = make([]uint64, c.high/64+1)
	c.seen[0] = 3 // both metas
	_ = unix.Fadvise(int(file.Fd()), 0, stat.Size(), unix.FADV_WILLNEED)
	if err := c.tree(ne.Uint64(meta[16:]), 0, nil, nil, true); err != nil {
		return err
	}
	return c.freelist(ne.Uint64(meta[32:]))
}

// findMeta returns the meta page that counts: the later one that is whole.
func findMeta(file *os.File, size int64) ([]byte, error) {
	var best []byte
	ne := binary.NativeEndian
	try := func(at, id int64) {
		b := make([]byte, pageHeader+metaSize)
		if _, err := file.ReadAt(b, at); err != nil {
			return
		}
		header, m := b[:pageHeader], b[pageHeader:]
		sum := fnv.New64a()
		sum.Write(m[:metaSize-8])
		page := int64(ne.Uint32(m[8:]))
		if ne.Uint64(header) != uint64(id) || ne.Uint16(header[8:]) != metaPage || ne.Uint32(m) != metaMagic || ne.Uint32(m[4:]) != metaVersion ||
			ne.Uint64(m[56:]) != sum.Sum64() || page < 1024 || page > 1<<16 || page&(page-1) != 0 || id*page != at {
			return
		}
		if best == nil || ne.Uint64(m[48:]) > ne.Uint64(best[48:]) {
			best = m
		}
	}
	try(0, 0)
	for at := int64(1024); at <= 1<<16; at <<= 1 {
		try(at, 1)
	}
	if best == nil {
		return nil, fmt.Errorf("%w: it does not begin as one of this plugin (%d bytes)", errDamaged, size)
	}
	return best, nil
}

// wrong is the error about a page.
func wrong(id uint64, what string) error {
	return fmt.Errorf("%w: page %d %s", errDamaged, id, what)
}

// read reads a page with those that belong to it.
func (c *checker) read(id uint64, into []byte) ([]byte, error) {
	if id < 2 || id >= c.high {
		return nil, wrong(id, "is named, and is none")
	}
	into = grow(into, c.page)
	if _, err := c.file.ReadAt(into, int64(id)*c.page); err != nil {
		return nil, c.failed(id, err)
	}
	ne := binary.NativeEndian
	if ne.Uint64(into) != id {
		return nil, wrong(id, "is another")
	}
	more := uint64(ne.Uint32(into[12:]))
	if more > 0 {
		limit := uint64(maxPages)
		if ne.Uint16(into[8:]) == freelistPage {
			limit = c.high
		}
		if more > limit || id+more >= c.high {
			return nil, wrong(id, "is too long")
		}
		into = grow(into, c.page*int64(more+1))
		if _, err := c.file.ReadAt(into, int64(id)*c.page); err != nil {
			return nil, c.failed(id, err)
		}
	}
	for i := id; i <= id+more; i++ {
		if c.seen[i/64]&(1<<(i%64)) != 0 {
			return nil, wrong(i, "is used twice")
		}
		c.seen[i/64] |= 1 << (i % 64)
	}
	return into, nil
}

// failed is the error of a page that cannot be read. A disk that cannot read a part of
// the file damaged it.
func (c *checker) failed(id uint64, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, unix.EIO) {
		return wrong(id, "cannot be read: "+err.Error())
	}
	return err
}

func grow(b []byte, n int64) []byte {
	if int64(cap(b)) < n {
		b = make([]byte, n)
	}
	return b[:n]
}

// tree checks the pages from one on down, whose keys must be from low to before high
// (nil: any). Only a leaf of the root has buckets.
func (c *checker) tree(id uint64, depth int, low, high []byte, root bool) error {
	if depth == maxDepth {
		return wrong(id, "is too deep")
	}
	p, err := c.read(id, c.kept[depth])
	if err != nil {
		return err
	}
	c.kept[depth] = p
	ne := binary.NativeEndian
	switch ne.Uint16(p[8:]) {
	case leafPage:
		return c.leaf(id, p, depth, low, high, root)
	case branchPage:
	default:
		return wrong(id, "is of no kind")
	}
	// Keys are short. The level below uses other buffers.
	n := int(ne.Uint16(p[10:]))
	if n == 0 || pageHeader+n*element > len(p) {
		return wrong(id, "has a wrong number of entries")
	}
	at := func(i int) ([]byte, uint64, bool) {
		e := pageHeader + i*element
		k, ok := within(p, e, int(ne.Uint32(p[e:])), int(ne.Uint32(p[e+4:])), n)
		return k, ne.Uint64(p[e+8:]), ok
	}
	for i := range n {
		k, child, ok := at(i)
		if !ok || low != nil && bytes.Compare(k, low) < 0 || high != nil && bytes.Compare(k, high) >= 0 {
			return wrong(id, "has a wrong key")
		}
		next := high
		if i+1 < n {
			if next, _, ok = at(i + 1); !ok || bytes.Compare(k, next) >= 0 {
				return wrong(id, "has a wrong key")
			}
		}
		if err := c.tree(child, depth+1, k, next, root); err != nil {
			return err
		}
	}
	return nil
}

// within returns size bytes at a position that is counted from the element at e on; they
// must be behind all n elements.
func within(p []byte, e, position, size, n int) ([]byte, bool) {
	if position > len(p) || size > len(p) || size == 0 || e+position < pageHeader+n*element || e+position+size > len(p) {
		return nil, false
	}
	return p[e+position : e+position+size], true
}

// leaf checks a leaf's keys, and the buckets that the root's have.
func (c *checker) leaf(id uint64, p []byte, depth int, low, high []byte, root bool) error {
	ne := binary.NativeEndian
	n := int(ne.Uint16(p[10:]))
	if pageHeader+n*element > len(p) {
		return wrong(id, "has a wrong number of entries")
	}
	var last []byte
	for i := range n {
		e := pageHeader + i*element
		flags, position := ne.Uint32(p[e:]), int(ne.Uint32(p[e+4:]))
		keySize, valueSize := int(ne.Uint32(p[e+8:])), int(ne.Uint32(p[e+12:]))
		k, ok := within(p, e, position, keySize, n)
		if !ok || low != nil && bytes.Compare(k, low) < 0 || high != nil && bytes.Compare(k, high) >= 0 || i > 0 && bytes.Compare(last, k) >= 0 {
			return wrong(id, "has a wrong key")
		}
		last = k
		if valueSize == 0 && flags == 0 {
			continue
		}
		v, ok := within(p, e, position+keySize, valueSize, n)
		switch {
		case !ok || flags&^bucketFlag != 0 || root != (flags == bucketFlag):
			return wrong(id, "has a wrong value")
		case !root:
			continue
		case len(v) < 16:
			return wrong(id, "has a wrong bucket")
		}
		if child := ne.Uint64(v); child != 0 {
			// Its keys have nothing to do with those here.
			if err := c.tree(child, depth+1, nil, nil, false); err != nil {
				return err
			}
			continue
		}
		// A small bucket's only page is in its value.
		inline := v[16:]
		if len(inline) < pageHeader || ne.Uint16(inline[8:]) != leafPage {
			return wrong(id, "has a wrong bucket")
		}
		if err := c.leaf(id, inline, depth+1, nil, nil, false); err != nil {
			return err
		}
	}
	return nil
}

// freelist checks that the pages that are said to be free are not in use.
func (c *checker) freelist(id uint64) error {
	p, err := c.read(id, nil)
	if err != nil {
		return err
	}
	ne := binary.NativeEndian
	if ne.Uint16(p[8:]) != freelistPage {
		return wrong(id, "is no list of free pages")
	}
	n, ids := uint64(ne.Uint16(p[10:])), p[pageHeader:]
	if n == math.MaxUint16 {
		n, ids = ne.Uint64(ids), ids[8:]
	}
	if n > uint64(len(ids)/8) {
		return wrong(id, "has a wrong number of free pages")
	}
	last := uint64(1)
	for i := range n {
		free := ne.Uint64(ids[8*i:])
		if free <= last || free >= c.high || c.seen[free/64]&(1<<(free%64)) != 0 {
			return wrong(id, "names a page as free that is not")
		}
		last = free
	}
	return nil
}
