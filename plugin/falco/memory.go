// SPDX-License-Identifier: Apache-2.0

package falco

/*
#include <stdlib.h>
*/
import "C"

import "unsafe"

// memory is a piece of C memory, which Falco may keep pointers into.
type memory struct {
	p   unsafe.Pointer
	len int
}

func allocate(n int) memory {
	return memory{p: C.malloc(C.size_t(n)), len: n}
}

func (m *memory) bytes() []byte { return unsafe.Slice((*byte)(m.p), m.len) }

// atLeast returns the memory, replaced by a larger one if it has less than n
// bytes.
func (m *memory) atLeast(n int) []byte {
	if m.len < n {
		m.free()
		*m = allocate(max(n, 4096))
	}
	return m.bytes()
}

func (m *memory) free() {
	C.free(m.p)
	*m = memory{}
}
