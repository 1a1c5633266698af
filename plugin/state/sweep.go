// SPDX-License-Identifier: Apache-2.0

package state

import (
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

const (
	// sweepChunk is how many profiles are looked at in one transaction.
	sweepChunk = 2048
	// sweepInterval is how often the profiles are looked through for old ones.
	sweepInterval = 24 * time.Hour
)

// cut says which profiles of a class are forgotten: all that were last seen before an
// hour, and some of that hour.
type cut struct {
	hour uint32 // since 1970
	some int
}

// makeRoom forgets profiles if there might be no room for one more batch.
func (f *File) makeRoom(ctx context.Context, s *session) error {
	for class, n := range s.about.profiles {
		if n+batchSize > f.limits.of(class) {
			return f.forget(ctx, s)
		}
	}
	return nil
}

// sweep forgets profiles that were not used for long, and those that there is no room
// for: in their class, or in the file.
func (f *File) sweep(ctx context.Context) error {
	s := f.session.Load()
	if s == nil {
		return nil
	}
	if time.Now().Before(s.sweep) && s.about.bytes <= f.limits.bytes {
		return nil
	}
	return f.outcome(s, f.forget(ctx, s))
}

// forget makes room. Of a class or a file that is nearly full a sixteenth becomes free,
// so that it is not to be done again soon.
func (f *File) forget(ctx context.Context, s *session) error {
	return guard(func() error {
		s.sweep = time.Now().Add(sweepInterval)
		hours, err := s.count(ctx)
		if err != nil {
			return err
		}
		oldest := uint32(max(0, time.Now().Add(-f.limits.age).Unix()) / 3600)
		cuts := make(map[Class]cut)
		for class, of := range hours {
			have, keep := s.about.profiles[class], f.limits.of(class)
			if have+batchSize > keep {
				keep = max(0, keep-max(keep/16, batchSize))
			}
			if s.about.bytes > f.limits.bytes {
				keep = min(keep, have*(f.limits.bytes/1024)/(s.about.bytes/1024)*15/16)
			}
			c := cutAt(of, keep)
			if c.hour < oldest {
				c = cut{hour: oldest}
			}
			cuts[class] = c
		}
		return f.drop(ctx, s, cuts)
	})
}

// cutAt says what is forgotten so that a number of profiles stays. Of one hour those go
// that have the lowest hashes, which nobody chooses.
func cutAt(hours map[uint32]int, keep int) cut {
	for _, hour := range slices.Backward(slices.Sorted(maps.Keys(hours))) {
		if keep -= hours[hour]; keep < 0 {
			return cut{hour: hour, some: -keep}
		}
	}
	return cut{}
}

// each calls do with all profiles until ctx ends, in as many transactions as keep each of them short:
// the pages that one reads cannot be used again before it ends.
func (s *session) each(ctx context.Context, do func(k key, text []byte)) error {
	var from []byte
	for done := false; !done; {
		err := s.db.View(func(tx *bbolt.Tx) error {
			c := tx.Bucket(profilesBucket).Cursor()
			name, text := c.Seek(from)
			for n := 0; name != nil && n < sweepChunk; n++ {
				var k key
				if len(name) == 1+len(k.id) {
					k.class = Class(name[0])
					copy(k.id[:], name[1:])
					do(k, text)
				}
				name, text = c.Next()
			}
			done = name == nil
			from = append(from[:0], name...)
			return nil
		})
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		s.release()
	}
	return nil
}

// hour returns the hour in which a profile was last seen; one that cannot be read is as old as can be.
func hour(text []byte) uint32 {
	if len(text) < headSize || text[0] != version {
		return 0
	}
	return binary.LittleEndian.Uint32(text[atLast:]) / 3600
}

// count returns how many profiles of each class were last seen in which hour, and counts
// them anew.
func (s *session) count(ctx context.Context) (map[Class]map[uint32]int, error) {
	hours := make(map[Class]map[uint32]int)
	counted := about{seed: s.about.seed, profiles: make(map[Class]int)}
	err := s.each(ctx, func(k key, text []byte) {
		if hours[k.class] == nil {
			hours[k.class] = make(map[uint32]int)
		}
		hours[k.class][hour(text)]++
		counted.profiles[k.class]++
		counted.bytes += len(text)
	})
	if err == nil {
		s.about = counted
	}
	return hours, err
}

// drop forgets what the cuts say. What is saved meanwhile waits.
func (f *File) drop(ctx context.Context, s *session, cuts map[Class]cut) error {
	var going []key
	err := s.each(ctx, func(k key, text []byte) {
		c := cuts[k.class]
		h := hour(text)
		switch {
		case h > c.hour || h == c.hour && c.some == 0:
			return
		case h == c.hour:
			c.some--
			cuts[k.class] = c
		}
		going = append(going, k)
	})
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(going, batchSize) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		err := s.update(func(tx *bbolt.Tx) error {
			b := tx.Bucket(profilesBucket)
			for _, k := range chunk {
				name := k.bytes()
				text := b.Get(name)
				if text == nil {
					continue
				}
				s.about.profiles[k.class]--
				s.about.bytes -= len(text)
				if err := b.Delete(name); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		s.release()
	}
	return nil
}
