// SPDX-License-Identifier: Apache-2.0

package state

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/containerapi/containerapi/plugin/oneline"
)

// Limits of time of a Redis.
const (
	// writeLimit is how long a batch may take, and to connect.
	writeLimit = 2 * time.Second
	// firstRetry is when one that is gone is asked again; each time that it goes again
	// within the minute it is left alone for twice as long, up to lastRetry.
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
	// checkInterval is how often one that is not written to is asked whether it is
	// still the same.
	checkInterval = 10 * time.Second
)

// What stands in Redis.
const (
	prefix = "containerapi:"
	// stateName is the key of a string: the version, a byte, and the seed.
	stateName = prefix + "state"
	// numbersField is the field of a profile that has all but its facts. Its facts are
	// fields of nine bytes, kind and hash, with four bytes, their time; big endian.
	numbersField = "n"
	numbersSize  = 15
)

// Redis is a Store in a Redis or Valkey that several share. Each profile is a hash, in
// which each fact is a field of its own, so that two who save the same profile lose
// nothing of each other; of its numbers those of one can win if both save within the
// same millisecond. A profile that nobody saves to for 90 days expires there.
//
// Keys begin with containerapi:, and the commands are GET, SET, HGET, HGETALL, HSET,
// HDEL and EXPIRE, so that this is all that its user needs (with +select, if the URL
// names a database):
//
//	ACL SETUSER falco on >PASSWORD ~containerapi:* -@all +get +set +hget +hgetall +hset +hdel +expire
//
// One that does not answer costs an event a tenth of a second once: then it is left
// alone, and asked by a goroutine whether it is back.
type Redis struct {
	client *redis.Client
	// secret is the password, which no line that is logged may have.
	secret, name string
	log          *log.Logger

	behind behind
	seed   atomic.Pointer[[16]byte]
	up     atomic.Bool
	// down gets why it was found to be down.
	down chan error

	stop    context.CancelFunc
	stopped chan struct{}
	close   sync.Once
}

var errURL = errors.New("not a URL as redis://USER:PASSWORD@HOST:6379 or rediss://…, with other signs than letters and digits in USER and PASSWORD as %XX")

// parseURL reads the URL of a Redis. No error has a part of it: it can hold a password,
// and an error in it can be what makes another part of it the password.
func parseURL(text string) (*redis.Options, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "redis" && u.Scheme != "rediss" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errURL
	}
	o, err := redis.ParseURL(text)
	if err != nil {
		return nil, errURL
	}
	if o.TLSConfig != nil {
		o.TLSConfig.MinVersion = tls.VersionTLS12
	}
	o.Protocol = 2
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = writeLimit, writeLimit, writeLimit
	o.ContextTimeoutEnabled = true // so that a Load has its own limit
	o.MaxRetries, o.DialerRetries = -1, 1
	o.PoolSize, o.PipelinePoolSize, o.ConnMaxIdleTime = 4, -1, -1
	// Commands that its user need not be allowed.
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return o, nil
}

// silent takes what go-redis logs: what is wrong is said here, once.
type silent struct{}

// Printf implements the logger of go-redis.
func (silent) Printf(context.Context, string, ...any) {}

var silence = sync.OnceFunc(func() { redis.SetLogger(silent{}) })

// OpenRedis connects to a Redis. It is no error if that does not answer: it is tried
// again. The error is of the URL.
func OpenRedis(text string, log *log.Logger) (*Redis, error) {
	o, err := parseURL(text)
	if err != nil {
		return nil, err
	}
	silence()
	ctx, stop := context.WithCancel(context.Background())
	r := &Redis{
		client: redis.NewClient(o), secret: o.Password, name: o.Addr, log: log,
		behind: newBehind(), down: make(chan error, 1), stop: stop, stopped: make(chan struct{}),
	}
	seed := newSeed()
	r.seed.Store(&seed)
	opened := make(chan struct{})
	go r.run(ctx, opened)
	<-opened
	return r, nil
}

func (r *Redis) shared() {}

// Seed implements Store.
func (r *Redis) Seed() [16]byte { return *r.seed.Load() }

// Save implements Store.
func (r *Redis) Save(changes []Changed) error { return r.behind.add(changes) }

// Load implements Store.
func (r *Redis) Load(c Class, id ID) (Profile, bool, error) {
	k := key{c, id}
	changed := r.behind.find(k)
	p, ok, err := r.get(k)
	if changed != nil {
		return changed.onto(p), true, nil
	}
	return p, ok, err
}

// Close implements Store.
func (r *Redis) Close() error {
	r.close.Do(r.stop)
	<-r.stopped
	return nil
}

func nameOf(k key) string { return prefix + string(rune(k.class)) + ":" + hex.EncodeToString(k.id[:]) }

// get asks for a profile.
func (r *Redis) get(k key) (p Profile, ok bool, err error) {
	if !r.up.Load() {
		return p, false, ErrUnavailable
	}
	ctx, cancel := context.WithTimeout(context.Background(), loadLimit)
	defer cancel()
	fields, err := r.client.HGetAll(ctx, nameOf(k)).Result()
	if err != nil {
		r.lost(err)
		return p, false, ErrUnavailable
	}
	for name, value := range fields {
		if len(name) == 9 && len(value) == 4 {
			p.Facts = append(p.Facts, Fact{
				Kind: name[0], Hash: binary.BigEndian.Uint64([]byte(name[1:])), Time: binary.BigEndian.Uint32([]byte(value)),
			})
		}
	}
	n, ok := decodeNumbers(fields[numbersField])
	n.Facts = latest(p.Facts, MaxFacts)
	if more := p.Facts[len(n.Facts):]; len(more) > 0 {
		// Those of many who each had room for theirs.
		_ = r.behind.add([]Changed{{Class: k.class, ID: k.id, Dropped: more}})
	}
	return n, ok, nil
}

// lost notes that Redis did not answer.
func (r *Redis) lost(err error) {
	r.up.Store(false)
	select {
	case r.down <- err:
	default:
	}
}

// run connects, writes what waits, and connects again.
func (r *Redis) run(ctx context.Context, opened chan<- struct{}) {
	defer close(r.stopped)
	defer r.client.Close()
	link := link{redis: r, wait: firstRetry}
	link.connect(ctx)
	close(opened)
	ticker := time.NewTicker(flushInterval)
	defer ticker.Stop()
	checked := time.Now()
	for {
		select {
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
			defer cancel()
			for r.up.Load() && !r.behind.empty() && r.flush(ctx) == nil {
			}
			return
		case err := <-r.down:
			link.gone(err)
			continue
		case <-r.behind.more:
		case <-ticker.C:
		}
		switch now := time.Now(); {
		case !r.up.Load():
			if now.Before(link.next) {
				continue
			}
			link.connect(ctx)
			checked = now
		case now.Sub(checked) > checkInterval:
			checked = now
			if err := r.check(ctx); err != nil {
				link.gone(err)
			}
		}
		link.flush(ctx)
	}
}

// link says when Redis goes and is back, and decides when it is asked again.
type link struct {
	redis *Redis
	said  bool
	since time.Time // when it came; zero while it is gone
	next  time.Time // when it is asked again
	wait  time.Duration
	// refused is when it last took no writes, for a reason of its own: no memory,
	// no right. It answers nevertheless.
	refused time.Time
}

// gone notes that Redis failed.
func (l *link) gone(err error) {
	r := l.redis
	r.up.Store(false)
	switch {
	case l.since.IsZero(): // it did not come back
	case time.Since(l.since) > time.Minute:
		l.wait = firstRetry
	default:
		l.wait = min(2*l.wait, lastRetry)
	}
	l.since, l.next = time.Time{}, time.Now().Add(l.wait)
	if !l.said {
		l.said = true
		r.log.Printf("state: Redis at %s: %s: what others learn is not known, and what is learned here is not shared, until it is back", r.name, r.safe(err))
	}
}

// connect asks Redis for the seed.
func (l *link) connect(ctx context.Context) {
	r := l.redis
	if err := r.check(ctx); err != nil {
		l.gone(err)
		return
	}
	select {
	case <-r.down: // of before
	default:
	}
	l.since = time.Now()
	r.up.Store(true)
	if l.said {
		l.said = false
		r.log.Printf("state: Redis at %s: is back", r.name)
	}
}

// flush writes what waits.
func (l *link) flush(ctx context.Context) {
	r := l.redis
	if !l.refused.IsZero() && time.Since(l.refused) < retryInterval {
		return
	}
	for r.up.Load() && !r.behind.empty() && ctx.Err() == nil {
		err := r.flush(ctx)
		var refusal redis.Error
		switch {
		case err == nil && !l.refused.IsZero():
			l.refused = time.Time{}
			r.log.Printf("state: Redis at %s: takes what is learned again", r.name)
		case err == nil:
		case errors.As(err, &refusal):
			if l.refused.IsZero() {
				r.log.Printf("state: Redis at %s: %s: what is learned here is not shared until it takes it", r.name, r.safe(err))
			}
			l.refused = time.Now()
			return
		default:
			l.gone(err)
		}
	}
}

// safe returns the text of an error from the network.
func (r *Redis) safe(err error) string {
	text := err.Error()
	if r.secret != "" {
		text = strings.ReplaceAll(text, r.secret, "***")
	}
	return oneline.Text(text)
}

// check looks whether Redis does what is needed of it, and has the seed.
func (r *Redis) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	text, err := r.client.Get(ctx, stateName).Result()
	if errors.Is(err, redis.Nil) {
		err = r.client.SetArgs(ctx, stateName, r.state(), redis.SetArgs{Mode: "NX"}).Err()
		if err == nil || errors.Is(err, redis.Nil) { // by this one, or another
			text, err = r.client.Get(ctx, stateName).Result()
		}
	}
	if err != nil {
		return err
	}
	if err := r.adopt(text); err != nil {
		return err
	}
	return r.client.HGetAll(ctx, nameOf(key{})).Err()
}

// state returns what Redis should have as the state.
func (r *Redis) state() string {
	seed := r.Seed()
	return string(append([]byte{version}, seed[:]...))
}

// adopt takes the seed that Redis has.
func (r *Redis) adopt(text string) error {
	if len(text) != 17 || text[0] != version {
		return fmt.Errorf("%s is not of this version of the plugin: a newer one shares it, or something else has that key", stateName)
	}
	seed := [16]byte([]byte(text[1:]))
	if seed != r.Seed() {
		r.seed.Store(&seed)
		r.behind.forget() // of hashes under another seed
	}
	return nil
}

// flush writes a batch of what waits.
func (r *Redis) flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	batch := r.behind.take()
	err := r.write(ctx, batch)
	r.behind.wrote(err)
	return err
}

func (r *Redis) write(ctx context.Context, batch []*Changed) error {
	ours := r.state()
	state, have, err := r.ask(ctx, batch)
	if err != nil {
		return err
	}
	if state != ours {
		// It was emptied, or replaced by another.
		if err := r.check(ctx); err != nil {
			return err
		}
		if r.state() != ours {
			return nil // the batch is of hashes under another seed
		}
	}
	_, err = r.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, c := range batch {
			c.send(ctx, pipe, have[i])
		}
		return nil
	})
	return err
}

// ask returns what Redis has as the state, and as the numbers of the profiles.
func (r *Redis) ask(ctx context.Context, batch []*Changed) (state string, numbers []string, err error) {
	pipe := r.client.Pipeline()
	head := pipe.Get(ctx, stateName)
	var asked []*redis.StringCmd
	for _, c := range batch {
		asked = append(asked, pipe.HGet(ctx, nameOf(key{c.Class, c.ID}), numbersField))
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return "", nil, err
	}
	// Exec returns the first error only.
	for _, a := range append(asked, head) {
		if err := a.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return "", nil, err
		}
	}
	for _, a := range asked {
		numbers = append(numbers, a.Val())
	}
	return head.Val(), numbers, nil
}

// send writes a change to a profile of which Redis has these numbers.
func (c *Changed) send(ctx context.Context, pipe redis.Pipeliner, have string) {
	old, ok := decodeNumbers(have)
	facts := c.Facts
	switch {
	case !ok && c.Profile.Last == 0:
		return // only to be shortened, and gone
	case !ok:
		facts = c.Profile.Facts
	}
	name := nameOf(key{c.Class, c.ID})
	values := []any{numbersField, encodeNumbers(numbers(old, c.Profile))}
	for _, f := range facts {
		values = append(values, fieldOf(f), string(binary.BigEndian.AppendUint32(nil, f.Time)))
	}
	pipe.HSet(ctx, name, values...)
	if len(c.Dropped) > 0 {
		var fields []string
		for _, f := range c.Dropped {
			fields = append(fields, fieldOf(f))
		}
		pipe.HDel(ctx, name, fields...)
	}
	pipe.Expire(ctx, name, maxAge)
}

func fieldOf(f Fact) string {
	return string(binary.BigEndian.AppendUint64([]byte{f.Kind}, f.Hash))
}

func encodeNumbers(p Profile) string {
	b := append(make([]byte, 0, numbersSize), version)
	b = binary.BigEndian.AppendUint32(b, p.First)
	b = binary.BigEndian.AppendUint32(b, p.Last)
	b = binary.BigEndian.AppendUint32(b, p.Acts)
	return string(binary.BigEndian.AppendUint16(b, p.Days))
}

func decodeNumbers(text string) (p Profile, ok bool) {
	if len(text) != numbersSize || text[0] != version {
		return p, false
	}
	b, be := []byte(text), binary.BigEndian
	return Profile{First: be.Uint32(b[1:]), Last: be.Uint32(b[5:]), Acts: be.Uint32(b[9:]), Days: be.Uint16(b[13:])}, true
}
