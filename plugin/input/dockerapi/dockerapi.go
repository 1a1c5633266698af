// SPDX-License-Identifier: Apache-2.0

// Package dockerapi is the input of every request to a Docker API on this host,
// with the process behind it.
package dockerapi

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/sys/unix"

	"github.com/containerapi/containerapi/plugin/correlate"
	"github.com/containerapi/containerapi/plugin/docker"
	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/httpwire"
	"github.com/containerapi/containerapi/plugin/identity"
	"github.com/containerapi/containerapi/plugin/input"
	"github.com/containerapi/containerapi/plugin/tap"
)

const (
	// tick is how often the input looks after what no record reports: requests
	// without an answer, sockets that were made anew, lost records.
	tick = 250 * time.Millisecond
	// maxConns and maxClients are how many connections and how many processes
	// that connected are remembered, of the socket and again of the ports.
	maxConns, maxClients = 16384, 16384
	// maxProcesses is how many processes are remembered by their pid, for
	// records that had no room to say more.
	maxProcesses = 4096
	// pidTime is for how long the pid of a process that ended is still its own:
	// the kernel gives out all others first.
	pidTime = 2 * time.Second
	// maxHeld is how many bytes may be held of all connections' heads that are
	// not complete: one can have a mebibyte.
	maxHeld = 32 << 20
	// maxBatch is how many bytes of events are queued at once.
	maxBatch = 64 << 10
)

// Options are the settings of this input.
type Options struct {
	// Socket is the path of the Docker socket.
	Socket string
	// Ports are TCP ports that the engine may listen on as well, see
	// [tap.Tap.Watch].
	Ports []uint16
	// Containers is what the engine says of its containers.
	Containers Containers
	// Requests gets every request that is seen.
	Requests *correlate.Log
	// RingSize is that of [tap.Options].
	RingSize int
}

// Containers finds a container by its id, the beginning of it, or its name. What
// is not known of it stays empty.
type Containers interface {
	// Cached returns what is known already.
	Cached(ref string) event.Container
	// Find asks the engine if it has to, which can take its time.
	Find(ctx context.Context, ref string) event.Container
	// Running is Find for a container that runs, by its whole id, and says whether
	// the engine answered.
	Running(ctx context.Context, id string) (found event.Running, answered bool)
	// Image returns what an image is that the engine has under an id or a name,
	// and whether it is from the repository of the name that it is called by.
	Image(ctx context.Context, ref, name string) event.Image
}

// Input is an [input.Input] of the requests to a Docker API on this host.
type Input struct {
	o    Options
	load func(tap.Options) (*tap.Tap, error)
}

var _ input.Input = (*Input)(nil)

// Open returns the input. Neither the socket nor the permission to see it need
// be there yet.
func Open(o Options) *Input { return &Input{o: o, load: tap.Load} }

// Close does nothing: an input that does not run holds nothing.
func (in *Input) Close() error { return nil }

// Run delivers requests until ctx ends. Where the tap cannot be loaded it says
// why, and ends.
func (in *Input) Run(ctx context.Context, sink input.Sink) error {
	t, err := in.loaded(ctx)
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		sink.Info("requests to the Docker API are not seen, only its events: %v", err)
		return nil
	}
	defer t.Close()
	// Only the read ends here: what is closed must not be in use any more.
	stop := context.AfterFunc(ctx, func() { _ = t.Interrupt() })
	defer stop()

	in.o.Requests.TapStarted()
	defer in.o.Requests.TapStopped()
	r := newReader(ctx, in.o, t, sink, maxConns)
	r.watch()

	ended := make(chan struct{})
	var ticking sync.WaitGroup
	ticking.Go(func() { r.tick(ended) })
	defer ticking.Wait()
	defer close(ended)
	var rec tap.Record
	for r.step(&rec) {
	}
	return nil
}

// loaded loads the tap, which can take the kernel a second on a busy machine. If
// ctx ends before, it does not wait: the tap is closed as soon as it is there.
func (in *Input) loaded(ctx context.Context) (*tap.Tap, error) {
	type result struct {
		tap *tap.Tap
		err error
	}
	done := make(chan result, 1)
	go func() {
		t, err := in.load(tap.Options{RingSize: in.o.RingSize})
		done <- result{t, err}
	}()
	select {
	case r := <-done:
		if ctx.Err() != nil && r.tap != nil {
			_ = r.tap.Close()
		}
		return r.tap, r.err
	case <-ctx.Done():
		go func() {
			if r := <-done; r.tap != nil {
				_ = r.tap.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

// bootTime is the time since the machine was started, in nanoseconds.
func bootTime() uint64 {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &now)
	return uint64(now.Nano())
}

// newReader returns a reader that remembers so many connections.
func newReader(ctx context.Context, o Options, t *tap.Tap, sink input.Sink, conns int) *reader {
	r := &reader{Options: o, ctx: ctx, tap: t, sink: sink, batch: sink.Batch(), conns: make(map[tap.ConnKey]*conn)}
	r.host = identity.FindHost()
	r.checker, r.started = identity.NewChecker(r.host), bootTime()
	// The only error is a size below one.
	end := func(key tap.ConnKey, c *conn) { r.end(key, c, time.Now().UnixNano()) }
	r.order, _ = simplelru.NewLRU(conns, end)
	r.tcpOrder, _ = simplelru.NewLRU(conns, end)
	r.clients, _ = simplelru.NewLRU[tap.PeerKey, *peer](maxClients, nil)
	r.tcpClients, _ = simplelru.NewLRU[tap.PeerKey, *peer](maxClients, nil)
	r.links, _ = simplelru.NewLRU[link, tap.PeerKey](2*maxClients, nil)
	r.processes, _ = simplelru.NewLRU[uint32, *process](maxProcesses, nil)
	return r
}

// link is what both ends of a TCP connection know of it: the addresses and, if
// both ends were there when it was made, the server's first sequence number.
// Other network namespaces can have the same addresses, and not that number. Of
// an older connection only the namespace is known, which both ends share then.
type link struct {
	client, server netip.AddrPort
	sequence       uint32
	netns          uint32
}

// conn is a connection that a server took.
type conn struct {
	wire   *httpwire.Conn
	mode   httpwire.Mode
	server uint32 // pid
	client tap.PeerKey
	link   link // on TCP
	// acceptedFrom is the client as the server's end names it.
	acceptedFrom tap.Process
	adopted      bool // its accept was not seen
	// peer is nil before the first request. It is kept because the key of
	// the client's end can be another's before the server's is closed.
	peer   *peer
	daemon string
	tcp    bool
	next   uint64 // position of what is read next
	held   int    // bytes, as counted in reader.held
}

// reader is a run of the input. One goroutine does all the work, in the order of
// the records: nothing has to be locked while the engine is asked for a name,
// and what comes meanwhile waits in the ring.
type reader struct {
	Options
	ctx  context.Context
	tap  *tap.Tap
	sink input.Sink
	// due says that it is time for look.
	due atomic.Bool

	batch   input.Batch
	event   event.Event
	conns   map[tap.ConnKey]*conn
	order   *simplelru.LRU[tap.ConnKey, *conn]
	clients *simplelru.LRU[tap.PeerKey, *peer]
	// Those of ports are apart: whoever reaches a port can make many.
	tcpOrder   *simplelru.LRU[tap.ConnKey, *conn]
	tcpClients *simplelru.LRU[tap.PeerKey, *peer]
	links      *simplelru.LRU[link, tap.PeerKey]
	processes  *simplelru.LRU[uint32, *process]

	held    int // by all conns, in bytes
	losses  losses
	known   known
	now     int64 // time of the last record
	watched os.FileInfo
	said    string
	// attaches wait for the start of the container.
	attaches []attach

	host    *identity.Host
	checker *identity.Checker
	started uint64 // in nanoseconds of CLOCK_BOOTTIME
}

// step waits for a record and handles it, and reports whether there may be more.
func (r *reader) step(rec *tap.Record) bool {
	err := r.tap.ReadInto(rec)
	switch {
	case errors.Is(err, tap.ErrClosed) || r.ctx.Err() != nil:
		return false
	case err == nil:
		r.handle(rec)
	case !errors.Is(err, tap.ErrInterrupted):
		r.sink.Malformed(err)
	}
	due := r.due.CompareAndSwap(true, false)
	if due {
		r.look()
	}
	if due || r.tap.Pending() == 0 || r.batch.Size() > maxBatch {
		return r.batch.Commit(r.ctx) == nil // else the queue or the context ended
	}
	return true
}

// tick makes step look after what no record reports, also while none comes.
func (r *reader) tick(ended <-chan struct{}) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ended:
			return
		case <-ticker.C:
		}
		r.due.Store(true)
		_ = r.tap.Interrupt()
	}
}

// look looks after what no record reports.
func (r *reader) look() {
	now := time.Now().UnixNano()
	if r.tap.Pending() > 0 {
		// The answers can be in what waits to be read.
		now = min(now, r.now)
	}
	for _, c := range r.conns {
		c.wire.Flush(now - int64(correlate.AnswerTime))
	}
	r.tellLate(now)
	r.lost()
	r.watch()
	if err := r.tap.Refresh(); err != nil && r.ctx.Err() == nil {
		r.sink.Info("%v", err)
	}
}

// watch makes the tap watch the socket, again when it was made anew.
func (r *reader) watch() {
	info, err := os.Stat(r.Socket)
	// The number of a file that is gone can be given to the next one.
	if err == nil && r.watched != nil && os.SameFile(info, r.watched) && info.ModTime().Equal(r.watched.ModTime()) {
		return
	}
	if err != nil && r.watched == nil && r.said != "" {
		return
	}
	sockets := []tap.Socket{{Path: r.Socket}}
	for _, port := range r.Ports {
		sockets = append(sockets, tap.Socket{Port: port})
	}
	r.watched = info
	if err := r.tap.Watch(sockets); err != nil {
		r.watched = nil
		if text := err.Error(); text != r.said {
			r.said = text
			r.sink.Info("requests to %s are not seen yet: %v", r.Socket, err)
		}
		return
	}
	r.said = ""
	r.sink.Info("seeing every request to %s", r.Socket)
}

func (r *reader) handle(rec *tap.Record) {
	r.now = rec.Time
	switch rec.Kind {
	case tap.Connect:
		r.clientsOf(rec.Remote.IsValid()).Add(rec.Peer, &peer{process: r.remembered(rec.Process), connected: rec.Process.PID})
	case tap.Established:
		r.connected(link{client: rec.Local, server: rec.Remote, sequence: rec.Sequence}, rec.Peer)
		r.connected(link{client: rec.Local, server: rec.Remote, netns: rec.NetNamespace}, rec.Peer)
	case tap.Sender:
		r.sender(rec)
	case tap.Accept:
		r.accept(rec)
	case tap.Request:
		c := r.conn(rec)
		r.skipped(c, rec)
		c.next = rec.Position + uint64(rec.Total)
		c.wire.Request(rec.Data, rec.Total, rec.Time)
		r.hold(c, rec.Time)
		r.setMode(rec.Conn, c)
	case tap.Response:
		c := r.conn(rec)
		c.wire.Response(rec.Data, rec.Time)
		r.setMode(rec.Conn, c)
	case tap.Close:
		if c, ok := r.conns[rec.Conn]; ok {
			r.skipped(c, rec)
			r.close(rec.Conn, c, rec.Time)
		}
	case tap.Exit:
		if p, ok := r.processes.Peek(rec.PID); ok {
			p.ended = rec.Time
		}
		for key, c := range r.conns {
			if c.server == rec.PID {
				r.close(key, c, rec.Time)
			}
		}
	}
}

// clientsOf returns the clients' ends of the ports or of the socket.
func (r *reader) clientsOf(tcp bool) *simplelru.LRU[tap.PeerKey, *peer] {
	if tcp {
		return r.tcpClients
	}
	return r.clients
}

// orderOf returns the connections of the ports or of the socket.
func (r *reader) orderOf(tcp bool) *simplelru.LRU[tap.ConnKey, *conn] {
	if tcp {
		return r.tcpOrder
	}
	return r.order
}

func (r *reader) sender(rec *tap.Record) {
	tcp := rec.Remote.IsValid()
	clients, process := r.clientsOf(tcp), r.remembered(rec.Process)
	if s, ok := clients.Get(rec.Peer); ok {
		s.sentBy(&process, r.checker)
	} else {
		clients.Add(rec.Peer, &peer{process: process})
	}
	if tcp {
		r.connected(link{client: rec.Local, server: rec.Remote, netns: rec.NetNamespace}, rec.Peer)
	}
}

// connected notes whose a TCP connection is. With the number, that stays whose it
// was first: nobody else knew the number by then.
func (r *reader) connected(l link, client tap.PeerKey) {
	if old, ok := r.links.Get(l); ok && l.sequence != 0 && r.tcpClients.Contains(old) {
		return
	}
	r.links.Add(l, client)
}

// process is one that is remembered by its pid.
type process struct {
	tap.Process
	ended int64 // in nanoseconds since the Unix epoch, or 0
}

// remembered completes a process of which only the shortest was recorded.
func (r *reader) remembered(p tap.Process) tap.Process {
	if p.ExePath != "" {
		r.processes.Add(p.PID, &process{Process: p})
		return p
	}
	known, ok := r.processes.Get(p.PID)
	switch {
	case !ok:
	case p.Start != 0 && p.Start == known.Start && p.Exe == known.Exe:
		// What has become of its code was recorded.
		whole := known.Process
		whole.Code |= p.Code
		return whole
	case p.Start == 0 && (known.ended == 0 || r.now-known.ended < int64(pidTime)):
		// Its pid is not another's so soon.
		return known.Process
	}
	return p
}

// skipped gives a connection what the server read and no record shows: the ring
// had no room for it.
func (r *reader) skipped(c *conn, rec *tap.Record) {
	switch {
	case rec.Position > c.next:
		c.wire.Request(nil, int(rec.Position-c.next), rec.Time)
	case rec.Position < c.next && rec.Kind == tap.Request:
		c.wire.Lost(rec.Time)
	}
}

func (r *reader) accept(rec *tap.Record) *conn {
	c := &conn{
		server:       rec.PID,
		acceptedFrom: r.remembered(rec.Process),
		adopted:      rec.Adopted,
		daemon:       "unix://" + r.Socket,
		client:       rec.Peer,
		tcp:          rec.Remote.IsValid(),
	}
	if c.tcp {
		c.daemon = "tcp://" + rec.Local.String()
		// The server's remote end is the client's local one.
		c.link = link{client: rec.Remote, server: rec.Local, sequence: rec.Sequence}
		if rec.Sequence == 0 {
			c.link.netns = rec.NetNamespace
		}
	}
	c.wire = httpwire.New(route, func(q *httpwire.Request) { r.emit(c, q) })
	if rec.Adopted {
		c.wire.Lost(rec.Time)
		c.next = rec.Position
	}
	if old, ok := r.conns[rec.Conn]; ok {
		// The kernel's side forgot the connection meanwhile.
		c.peer = old.peer
		r.held -= old.held
		old.wire.Close(rec.Time)
	}
	r.conns[rec.Conn] = c
	r.orderOf(c.tcp).Add(rec.Conn, c)
	return c
}

// conn returns the connection of a record, one that was not seen before as one
// that is older than the tap.
func (r *reader) conn(rec *tap.Record) *conn {
	c, ok := r.conns[rec.Conn]
	if !ok {
		adopted := *rec
		adopted.Adopted = true
		adopted.Process = tap.Process{PID: rec.Client}
		c = r.accept(&adopted)
	}
	r.orderOf(c.tcp).Get(rec.Conn)
	if c.peer == nil {
		r.bind(c)
	}
	return c
}

// bind finds who is at the other end of a connection, which is known with its
// first request, or with fast open on TCP a little later. If that is not the one
// that the server's end names, the record of who connected was lost.
func (r *reader) bind(c *conn) {
	if c.tcp {
		c.client, _ = r.links.Get(c.link)
	}
	clients := r.clientsOf(c.tcp)
	s, ok := clients.Get(c.client)
	if !ok || s.connected != 0 && c.acceptedFrom.PID != 0 && s.connected != c.acceptedFrom.PID {
		s = &peer{process: c.acceptedFrom}
		if c.client != 0 {
			clients.Add(c.client, s)
		}
	}
	c.peer = s
}

// hold counts what a connection holds. When all of them together hold too much,
// those of ports and then those that hold most lose what they have of a head: it
// is reported as lost, one event for each connection, and a client that sends
// heads without an end takes nothing from others.
func (r *reader) hold(c *conn, at int64) {
	r.count(c)
	if r.held <= maxHeld {
		return
	}
	largest := slices.SortedFunc(maps.Values(r.conns), func(a, b *conn) int {
		if a.tcp != b.tcp {
			if a.tcp {
				return -1
			}
			return 1
		}
		return cmp.Compare(b.held, a.held)
	})
	for _, c := range largest {
		// Down to half, so that this is not to be done again at once.
		if r.held <= maxHeld/2 {
			return
		}
		c.wire.Drop(at)
		r.count(c)
	}
}

// count brings up to date what is known of the bytes that a connection holds.
func (r *reader) count(c *conn) {
	held := c.wire.Held()
	r.held += held - c.held
	c.held = held
}

// close ends a connection that is closed, and forgets its client.
func (r *reader) close(key tap.ConnKey, c *conn, at int64) {
	r.end(key, c, at)
	clients := r.clientsOf(c.tcp)
	if s, ok := clients.Peek(c.client); ok && s == c.peer {
		clients.Remove(c.client)
	}
	if c.tcp {
		r.links.Remove(c.link)
	}
}

// end ends what is known of a connection.
func (r *reader) end(key tap.ConnKey, c *conn, at int64) {
	if _, ok := r.conns[key]; !ok {
		return
	}
	delete(r.conns, key)
	r.orderOf(c.tcp).Remove(key)
	r.held -= c.held
	c.wire.Close(at)
}

// setMode tells the kernel how much of the connection is wanted.
func (r *reader) setMode(key tap.ConnKey, c *conn) {
	mode := c.wire.Wants()
	if mode == c.mode {
		return
	}
	c.mode = mode
	var err error
	switch mode {
	case httpwire.Full:
		err = r.tap.Resume(key)
	case httpwire.Skim:
		err = r.tap.Skim(key)
	case httpwire.Ignore:
		err = r.tap.Ignore(key)
	}
	if err != nil && r.ctx.Err() == nil {
		r.sink.Info("%v", err)
	}
}

// route says what httpwire has to know of a request's route.
func route(method, target string) httpwire.Route { return docker.NewCall(method, target) }

// emit puts the event of a request into the batch.
func (r *reader) emit(c *conn, q *httpwire.Request) {
	call, ok := q.Route.(*docker.Call)
	if !ok { // its head could not be read
		call = docker.NewCall(q.Method, q.Target)
	}
	e := &r.event
	e.Reset()
	e.Input, e.Time = event.DockerAPI, q.Time
	if e.Time == 0 {
		e.Time = time.Now().UnixNano()
	}
	call.Describe(e)
	d := &e.Docker
	d.Daemon = c.daemon
	d.Insecure = c.tcp && q.Unreadable != httpwire.TLS
	d.Client = r.clientOf(c)
	if q.Unreadable == httpwire.Lost && q.Method == "" && !r.losses.due(lossKey(c), e.Time) {
		return // said already
	}
	d.Request.First = r.known.first(d, e.Time, !q.Waiting)
	d.Request.UserAgent = q.UserAgent
	d.Request.Status = uint64(q.Status)
	d.Request.Unreadable = q.Unreadable
	d.Request.Unread, d.Request.Waiting = q.BodyUnread, q.Waiting
	if object := call.Object(); call.AboutContainer() && object != "" {
		d.Container = r.container(object)
	} else {
		d.ActorName = object
	}
	// An act that failed has no event, and neither has one that was not
	// understood. One whose body is still to come is none yet.
	if q.Unreadable == "" && q.Status < 300 && !q.Waiting {
		r.Requests.Add(correlate.Request{
			Time: e.Time, Operation: e.Operation, ID: call.Becomes(), Container: d.Container.ID, Image: d.Request.CreateImage,
			Command: call.EventCommand(), Shown: d.Command, Exposes: d.Request.CreateExposes, Partial: q.BodyUnread, Client: d.Client,
		})
	}
	// Only now: the engine can take its time, and the act's own event waits for this.
	r.identifyImage(e)
	start := c.peer.process.Start
	if r.waitsForStart(e, call, q) {
		r.holdAttach(e, start)
	} else {
		r.tellStarted(e, start)
		r.batch.Add(e)
	}
	// What the lists point to is the request's.
	d.Request.CreateMounts, d.Request.CreateExposes = nil, nil
}

// identifyImage finds what the engine has under the name of an image that a
// container was created from.
func (r *reader) identifyImage(e *event.Event) {
	q := &e.Docker.Request
	if q.CreateImage == "" || q.Waiting || q.Status >= 300 || r.tap.Busy() {
		return
	}
	found := r.Containers.Image(r.ctx, q.CreateImage, q.CreateImage)
	q.CreateImageID, q.CreateImageVerified = found.ID, found.Verified
}

// container finds the container that a client named.
func (r *reader) container(ref string) event.Container {
	found := r.find(ref)
	switch {
	case found.ID != "":
	case wholeID.MatchString(ref):
		found.ID = ref
	default:
		found.Name = ref
	}
	return found
}

// find finds a container. While much waits to be read, the engine, which can
// take its time, is not asked: nothing must be lost for the sake of a name.
func (r *reader) find(ref string) event.Container {
	if r.tap.Busy() {
		return r.Containers.Cached(ref)
	}
	return r.Containers.Find(r.ctx, ref)
}

// complete says of a client's container what the engine knows of it.
func (r *reader) complete(who event.Client) event.Client {
	if who.Container.ID != "" {
		if found := r.find(who.Container.ID); found.ID != "" {
			who.Container = found
		}
	}
	return who
}
