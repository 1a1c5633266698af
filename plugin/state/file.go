// SPDX-License-Identifier: Apache-2.0

package state

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// Limits of time.
const (
	// loadLimit is how long a Load may take.
	loadLimit = 100 * time.Millisecond
	// lockLimit is how long a file that someone else has open is waited for: a Falco
	// that loads its configuration again may still have the old one's.
	lockLimit = time.Second
	// openLimit is how long OpenFile waits for the file: a disk can hang.
	openLimit = 3 * time.Second
	// retryInterval is when it is tried again after a failure.
	retryInterval = 10 * time.Second
	// closeLimit is how long Close takes to write what waits.
	closeLimit = 2 * time.Second
)

// maxFile is how large the file may become, in bytes.
const maxFile = 1 << 30

var (
	profilesBucket = []byte("profiles")
	aboutBucket    = []byte("about")
	stateKey       = []byte("state")
)

var (
	errInUse = errors.New("another process has it open")
	errNewer = errors.New("a newer version of the plugin wrote it")
)

// File is a Store in a file of its own, which one process at a time has open. It is safe
// to be stopped at any time. A file that is damaged is set aside, as the same name with
// .damaged behind it, and a new one begun.
//
// While the file cannot be had, because someone else has it open, the directory is
// read-only or the disk full, what is saved waits in memory as far as there is room.
type File struct {
	path   string
	log    *log.Logger
	limits limits

	behind  behind
	seed    atomic.Pointer[[16]byte]
	session atomic.Pointer[session]
	// broken gets a session that turned out to be damaged.
	broken chan damage
	// said is what was last logged of why the file cannot be had; only run uses it.
	said string

	stop    context.CancelFunc
	stopped chan struct{}
	close   sync.Once
}

// limits are how much a file keeps.
type limits struct {
	// profiles are how many of a class; others are of classes that it does not name.
	profiles map[Class]int
	others   int
	// bytes are how many the profiles take, of all classes.
	bytes int
	// firstSweep is how long after the file is opened old profiles are looked for.
	firstSweep time.Duration
	// age is for how long a profile that is not used is kept.
	age time.Duration
	// file is how large the file may become, in bytes.
	file int
}

var defaultLimits = limits{
	profiles: map[Class]int{Kubernetes: 500_000, Impersonated: 50_000, Docker: 100_000, Bearer: 500_000},
	others:   10_000,
	bytes:    512 << 20,
	age:      maxAge,
	file:     maxFile,

	firstSweep: time.Minute,
}

// maxAge is for how long a profile that is not used is kept, as long as Redis keeps them.
const maxAge = 90 * 24 * time.Hour

func (l limits) of(c Class) int {
	if n, ok := l.profiles[c]; ok {
		return n
	}
	return l.others
}

// OpenFile opens a state, which it makes if there is none, with its directory. Of what is
// wrong with it one line is logged, and it is tried again.
func OpenFile(path string, log *log.Logger) *File { return openFile(path, log, defaultLimits) }

func openFile(path string, log *log.Logger, l limits) *File {
	ctx, stop := context.WithCancel(context.Background())
	f := &File{
		path: path, log: log, limits: l, behind: newBehind(),
		broken: make(chan damage, 1), stop: stop, stopped: make(chan struct{}),
	}
	seed := newSeed()
	f.seed.Store(&seed)
	opened := make(chan struct{})
	go f.run(ctx, opened)
	select {
	case <-opened:
	case <-time.After(openLimit):
		log.Printf("state: %s: does not open within %v, and is waited for: what was learned before is not known until then", path, openLimit)
	}
	return f
}

// Seed implements Store.
func (f *File) Seed() [16]byte { return *f.seed.Load() }

// Save implements Store.
func (f *File) Save(changes []Changed) error { return f.behind.add(changes) }

// Load implements Store.
func (f *File) Load(c Class, id ID) (Profile, bool, error) {
	k := key{c, id}
	changed := f.behind.find(k)
	var p Profile
	var ok bool
	err := ErrUnavailable
	if s := f.session.Load(); s != nil {
		p, ok, err = s.load(k)
	}
	if changed != nil {
		return changed.onto(p), true, nil
	}
	return p, ok, err
}

// Close implements Store.
func (f *File) Close() error {
	f.close.Do(f.stop)
	select {
	case <-f.stopped:
		return nil
	case <-time.After(closeLimit + time.Second):
		return fmt.Errorf("state: %s is not closed: the disk does not answer", f.path)
	}
}

// run has the file: it opens it, writes to it, and opens it again after a failure.
func (f *File) run(ctx context.Context, opened chan<- struct{}) {
	defer close(f.stopped)
	// What is wrong with a mapped file, or the disk below it, is a signal.
	debug.SetPanicOnFault(true)
	f.reopen()
	close(opened)
	ticker := time.NewTicker(flushInterval)
	defer ticker.Stop()
	var failed time.Time // when something went wrong last
	for {
		select {
		case <-ctx.Done():
			for end := time.Now().Add(closeLimit); !f.behind.empty() && time.Now().Before(end); {
				if f.flush(context.Background()) != nil {
					break
				}
			}
			if s := f.session.Swap(nil); s != nil {
				s.close()
			}
			return
		case d := <-f.broken:
			f.setAside(d.session, d.err)
			continue
		case <-f.behind.more:
		case <-ticker.C:
		}
		if time.Since(failed) < retryInterval && !failed.IsZero() {
			continue
		}
		failed = time.Time{}
		if f.session.Load() == nil && !f.reopen() {
			failed = time.Now()
			continue
		}
		for !f.behind.empty() && ctx.Err() == nil {
			if err := f.flush(ctx); err != nil {
				failed = time.Now()
				break
			}
		}
		if err := f.sweep(ctx); err != nil {
			failed = time.Now()
		}
	}
}

// say logs why the file cannot be had, once.
func (f *File) say(err error) {
	text := err.Error()
	if text == f.said {
		return
	}
	f.said = text
	f.log.Printf("state: %v: what is learned is lost at the end, until that works again", err)
}

// well logs that the file can be had again.
func (f *File) well() {
	if f.said != "" {
		f.said = ""
		f.log.Printf("state: %s: works again", f.path)
	}
}

// reopen opens the file, and returns whether it did.
func (f *File) reopen() bool {
	s, err := f.begin()
	if errors.Is(err, errDamaged) {
		if err = f.rename(err); err == nil {
			s, err = f.begin()
		}
	}
	if err != nil {
		f.say(fmt.Errorf("%s: %w", f.path, err))
		return false
	}
	if s.about.seed != f.Seed() {
		f.seed.Store(&s.about.seed)
		f.behind.forget() // of hashes under another seed
	}
	f.session.Store(s)
	f.well()
	return true
}

// rename sets a damaged file aside.
func (f *File) rename(why error) error {
	aside := f.path + ".damaged"
	if err := os.Rename(f.path, aside); err != nil {
		return fmt.Errorf("%w, and cannot be set aside: %w", why, err)
	}
	f.log.Printf("state: %s: %v; it is now %s, and all is learned anew", f.path, why, aside)
	return nil
}

// setAside ends a session whose file turned out to be damaged, and begins a new one.
func (f *File) setAside(s *session, why error) {
	if !f.session.CompareAndSwap(s, nil) {
		return // it was before
	}
	// bbolt may hold its locks for good, so it is not closed. The memory that it has mapped is lost.
	s.abandon()
	if err := f.rename(why); err != nil {
		f.say(err)
		return
	}
	f.reopen()
}

// begin opens the file if it can be had and is whole.
func (f *File) begin() (s *session, err error) {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(f.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			file.Close()
		}
	}()
	if err := lock(file, lockLimit); err != nil {
		return nil, err
	}
	stat, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if named, err := os.Stat(f.path); err != nil || !os.SameFile(stat, named) {
		return nil, errInUse // by who set it aside meanwhile
	}
	if stat.Size() > 0 {
		if err := check(file); err != nil {
			return nil, err
		}
	}
	if err := file.Chmod(0o600); err != nil {
		return nil, err
	}
	s = &session{file: file, requests: make(chan request), ended: make(chan struct{}), sweep: time.Now().Add(f.limits.firstSweep)}
	err = guard(func() error {
		s.db, err = bbolt.Open(f.path, 0o600, &bbolt.Options{
			Timeout:      lockLimit,
			FreelistType: bbolt.FreelistMapType,
			MaxSize:      f.limits.file,
			NoStatistics: true,
			OpenFile:     func(string, int, fs.FileMode) (*os.File, error) { return file, nil },
		})
		if err != nil {
			return err
		}
		s.about, err = readAbout(s.db)
		if errors.Is(err, fs.ErrNotExist) {
			s.about = about{seed: f.Seed(), profiles: make(map[Class]int)}
			return s.update(func(*bbolt.Tx) error { return nil })
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	go s.read(f.broken)
	return s, nil
}

// lock waits for a file to be nobody else's.
func lock(file *os.File, limit time.Duration) error {
	for end := time.Now().Add(limit); ; {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case err != unix.EWOULDBLOCK && err != unix.EINTR:
			return fmt.Errorf("lock: %w", err)
		case time.Now().After(end):
			return errInUse
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// guard calls do, and returns a panic of it as an error that wraps errDamaged. The
// goroutine should have called debug.SetPanicOnFault.
func guard(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errDamaged, r)
		}
	}()
	return do()
}

// flush writes a batch of what waits.
func (f *File) flush(ctx context.Context) error {
	s := f.session.Load()
	if s == nil {
		return ErrUnavailable
	}
	err := f.makeRoom(ctx, s)
	if err == nil {
		batch := f.behind.take()
		err = guard(func() error {
			return s.update(func(tx *bbolt.Tx) error { return s.put(tx, batch) })
		})
		f.behind.wrote(err)
	}
	return f.outcome(s, err)
}

// outcome deals with what a transaction of a session came to.
func (f *File) outcome(s *session, err error) error {
	switch {
	case errors.Is(err, errDamaged):
		f.setAside(s, err)
	case errors.Is(err, context.Canceled): // it is to be closed
	case err != nil:
		f.say(fmt.Errorf("%s: %w", f.path, err))
	default:
		f.well()
		s.release()
	}
	return err
}

// session is a file from when it is opened.
type session struct {
	db   *bbolt.DB
	file *os.File
	// about is the goroutine's that writes.
	about    about
	requests chan request
	ended    chan struct{}
	// busy is set while a request takes longer than it may.
	busy atomic.Bool
	// sweep is when profiles are to be looked through again.
	sweep time.Time
}

// about is what stands in the file beside the profiles.
type about struct {
	seed     [16]byte
	profiles map[Class]int
	bytes    int
}

// readAbout returns what a file says of itself, or fs.ErrNotExist if it is new.
func readAbout(db *bbolt.DB) (a about, err error) {
	err = db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(aboutBucket)
		if b == nil && tx.Bucket(profilesBucket) == nil {
			return fs.ErrNotExist
		}
		if b == nil {
			return errDamaged
		}
		a, err = decodeAbout(b.Get(stateKey))
		if err == nil && tx.Bucket(profilesBucket) == nil {
			err = errDamaged
		}
		return err
	})
	return a, err
}

// encode returns version, seed, bytes, the number of profiles of each class, a checksum.
func (a about) encode() []byte {
	le := binary.LittleEndian
	b := append([]byte{version}, a.seed[:]...)
	b = le.AppendUint64(b, uint64(a.bytes))
	for class, n := range a.profiles {
		b = append(b, byte(class))
		b = le.AppendUint32(b, uint32(n))
	}
	return le.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodeAbout(b []byte) (a about, err error) {
	const head = 1 + 16 + 8
	le := binary.LittleEndian
	if len(b) < 1+sumSize || crc32.Checksum(b[:len(b)-sumSize], castagnoli) != le.Uint32(b[len(b)-sumSize:]) {
		return a, errDamaged
	}
	if b[0] > version {
		return a, errNewer
	}
	b = b[:len(b)-sumSize]
	if b[0] != version || len(b) < head || (len(b)-head)%5 != 0 {
		return a, errDamaged
	}
	copy(a.seed[:], b[1:])
	a.bytes = int(le.Uint64(b[17:]))
	a.profiles = make(map[Class]int)
	for b = b[head:]; len(b) > 0; b = b[5:] {
		a.profiles[Class(b[0])] = int(le.Uint32(b[1:]))
	}
	return a, nil
}

// update changes the file, and what it says of itself with it.
func (s *session) update(do func(*bbolt.Tx) error) error {
	before := s.about.clone()
	err := s.db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{aboutBucket, profilesBucket} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		if err := do(tx); err != nil {
			return err
		}
		return tx.Bucket(aboutBucket).Put(stateKey, s.about.encode())
	})
	if err != nil {
		s.about = before
	}
	return err
}

func (a about) clone() about {
	profiles := make(map[Class]int, len(a.profiles))
	for class, n := range a.profiles {
		profiles[class] = n
	}
	a.profiles = profiles
	return a
}

// put writes changed profiles.
func (s *session) put(tx *bbolt.Tx, batch []*Changed) error {
	b := tx.Bucket(profilesBucket)
	for _, c := range batch {
		k := key{c.Class, c.ID}
		name := k.bytes()
		var old Profile
		text := b.Get(name)
		if text == nil {
			s.about.profiles[c.Class]++
		} else {
			old, _ = decode(text, k) // a damaged one is replaced
			s.about.bytes -= len(text)
		}
		value := encode(nil, k, c.onto(old))
		s.about.bytes += len(value)
		if err := b.Put(name, value); err != nil {
			return err
		}
	}
	return nil
}

// damage is what was found wrong with a session's file.
type damage struct {
	session *session
	err     error
}

// request asks the goroutine that reads for a profile.
type request struct {
	key   key
	reply chan<- reply
}

type reply struct {
	profile Profile
	ok      bool
	err     error
}

// load returns a profile from the file, or an error if that takes too long: the disk may hang.
func (s *session) load(k key) (Profile, bool, error) {
	if s.busy.Load() {
		return Profile{}, false, ErrUnavailable
	}
	limit := time.NewTimer(loadLimit)
	defer limit.Stop()
	answer := make(chan reply, 1)
	select {
	case s.requests <- request{k, answer}:
	case <-s.ended:
		return Profile{}, false, ErrUnavailable
	case <-limit.C:
		return Profile{}, false, ErrUnavailable
	}
	select {
	case r := <-answer:
		return r.profile, r.ok, r.err
	case <-limit.C:
		s.busy.Store(true)
		return Profile{}, false, ErrUnavailable
	}
}

// read answers requests until the session ends.
func (s *session) read(broken chan<- damage) {
	debug.SetPanicOnFault(true)
	for n := 0; ; n++ {
		select {
		case <-s.ended:
			return
		case q := <-s.requests:
			r, err := s.get(q.key)
			q.reply <- r
			s.busy.Store(false)
			if errors.Is(err, errDamaged) {
				s.busy.Store(true) // for good
				select {
				case broken <- damage{s, err}:
				case <-s.ended:
				}
				return
			}
			if n%releaseEvery == 0 {
				_ = guard(func() error { s.release(); return nil })
			}
		}
	}
}

// get reads a profile. One that is damaged is none: it will be learned anew.
func (s *session) get(k key) (r reply, err error) {
	err = guard(func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			text := tx.Bucket(profilesBucket).Get(k.bytes())
			if text == nil {
				return nil
			}
			p, err := decode(text, k)
			if err == nil {
				r.profile, r.ok = p, true
			}
			return nil
		})
	})
	if err != nil {
		r.err = ErrUnavailable
	}
	return r, err
}

// releaseEvery is after how many reads their pages are given back: each makes the kernel
// map 64 KiB.
const releaseEvery = 128

// release gives back the memory of the pages that were read. They stay in the kernel's
// cache, which is not this process'.
func (s *session) release() {
	_ = s.db.View(func(tx *bbolt.Tx) error {
		size := tx.Size() / int64(os.Getpagesize()) * int64(os.Getpagesize())
		return adviseUnneeded(s.db.Info().Data, uintptr(size))
	})
}

func adviseUnneeded(address, size uintptr) error {
	if _, _, errno := unix.Syscall(unix.SYS_MADVISE, address, size, unix.MADV_DONTNEED); errno != 0 {
		return errno
	}
	return nil
}

// close ends a session.
func (s *session) close() {
	close(s.ended)
	_ = guard(s.db.Close)
}

// abandon ends a session whose database cannot be closed any more.
func (s *session) abandon() {
	close(s.ended)
	s.file.Close() // and with it the lock
}
