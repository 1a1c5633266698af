// SPDX-License-Identifier: Apache-2.0

package jsonscan

import "strings"

// member finds what is wanted of a member as encoding/json does: the key as it
// is written, or else one that differs by case only.
func member(members map[string]*Node, key string) *Node {
	if n, ok := members[key]; ok {
		return n
	}
	for name, n := range members {
		if strings.EqualFold(name, key) {
			return n
		}
	}
	return nil
}
