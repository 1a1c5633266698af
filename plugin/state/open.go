// SPDX-License-Identifier: Apache-2.0

package state

import (
	"fmt"
	"log"
)

// InMemory is the setting for a state that does not last.
const InMemory = "memory"

// Valid returns an error that says what is wrong with a setting, and not what it is: it can
// hold a password. A setting is empty, for a file, or memory, or the URL of a Redis.
func Valid(setting string) error {
	if setting == "" || setting == InMemory {
		return nil
	}
	if _, err := parseURL(setting); err != nil {
		return fmt.Errorf("neither empty nor %s, and %w", InMemory, err)
	}
	return nil
}

// Open opens the state that a setting names. The path is of the file, for an empty
// setting; where that is empty, too, nothing lasts. The error is of the setting: what
// cannot be reached is logged, and tried again.
func Open(setting, path string, log *log.Logger) (Store, error) {
	if err := Valid(setting); err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	switch {
	case setting == "" && path != "":
		return OpenFile(path, log), nil
	case setting == "" || setting == InMemory:
		log.Print("state: is kept in memory only: after a restart all is new again, and told again, and so it is to each Falco of several that share a cluster's events")
		return NewMemory(), nil
	}
	return OpenRedis(setting, log)
}
