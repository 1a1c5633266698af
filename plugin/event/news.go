// SPDX-License-Identifier: Apache-2.0

package event

import "slices"

// News is a set of what an identity did not do, or have, before.
type News uint8

const (
	// NewIdentity: nothing is remembered of the identity.
	NewIdentity News = 1 << iota
	// NewOperation: it did not do this operation.
	NewOperation
	// NewScope: it did not do this operation in this namespace, or in all of them.
	NewScope
	// NewObject: it did not get at this object.
	NewObject
	// NewClient: it did not use a client of this name.
	NewClient
	// NewAddress: it did not come from this network; where its credential is bound to
	// something that has one address, it did not come from this address.
	NewAddress
	// NewCredential: it did not use a credential of this kind, or of this workload.
	NewCredential
)

var newsNames = [...]string{"identity", "operation", "scope", "object", "client", "address", "credential"}

// newsLists holds the names of each set.
var newsLists = func() (lists [1 << len(newsNames)][]string) {
	for set := range lists {
		for i, name := range newsNames {
			if set>>i&1 != 0 {
				lists[set] = append(lists[set], name)
			}
		}
	}
	return lists
}()

// Names returns the members of the set: "identity", "operation", "scope", "object",
// "client", "address", "credential". The list must not be changed.
func (n News) Names() []string { return newsLists[int(n)%len(newsLists)] }

// NewsNamed returns the member of the set with a name, or 0 for another name.
func NewsNamed(name string) News {
	if i := slices.Index(newsNames[:], name); i >= 0 {
		return 1 << i
	}
	return 0
}
