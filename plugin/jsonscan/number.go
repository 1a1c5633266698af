// SPDX-License-Identifier: Apache-2.0

package jsonscan

// numState is how far a number was read, RFC 8259 section 6.
type numState uint8

const (
	numStart    numState = iota
	numMinus             // "-"
	numZero              // "0", "-0"
	numInteger           // "12"
	numPoint             // "1."
	numFraction          // "1.5"
	numE                 // "1e"
	numSign              // "1e+"
	numExponent          // "1e5"
)

// complete reports whether the number can end here.
func (n numState) complete() bool {
	return n == numZero || n == numInteger || n == numFraction || n == numExponent
}

// next returns the state after one more byte, or false if the number does not
// go on with it.
func (n numState) next(c byte) (numState, bool) {
	digit := c >= '0' && c <= '9'
	switch n {
	case numStart, numMinus:
		switch {
		case c == '-' && n == numStart:
			return numMinus, true
		case c == '0':
			return numZero, true
		case digit:
			return numInteger, true
		}
	case numZero, numInteger:
		switch {
		case digit && n == numInteger:
			return n, true
		case c == '.':
			return numPoint, true
		case c == 'e' || c == 'E':
			return numE, true
		}
	case numPoint, numFraction:
		switch {
		case digit:
			return numFraction, true
		case (c == 'e' || c == 'E') && n == numFraction:
			return numE, true
		}
	case numE, numSign, numExponent:
		switch {
		case digit:
			return numExponent, true
		case (c == '+' || c == '-') && n == numE:
			return numSign, true
		}
	}
	return n, false
}

// readNumber reads up to the end of a number, and returns how much.
func (s *Scanner) readNumber(p []byte) int {
	for i, c := range p {
		n, ok := s.num.next(c)
		if !ok {
			if !s.num.complete() {
				s.fail("a number that there is not")
				return i
			}
			s.end()
			return i
		}
		s.num = n
		if s.number++; s.number > maxNumber {
			s.fail("a number that is too long")
			return i
		}
	}
	return len(p)
}
