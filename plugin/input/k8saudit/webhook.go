// SPDX-License-Identifier: Apache-2.0

// Package k8saudit has the inputs for Kubernetes audit events: the webhook
// that an API server sends them to, and the log file that it writes.
package k8saudit

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"mime"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"

	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/input"
	"github.com/containerapi/containerapi/plugin/jsonstream"
)

const (
	defaultBatchSize = 12 << 20
	defaultDeadline  = 10 * time.Second
	// senderTimeout is how long an API server waits for an answer:
	// defaultRequestTimeout in k8s.io/apiserver/pkg/util/webhook.
	senderTimeout = 30 * time.Second

	// headerTimeout is how long a client may take for the head of a request.
	headerTimeout = 5 * time.Second

	maxConnections = 256
	// maxBodies is how many bodies are in memory at once.
	maxBodies = 8
)

var (
	errStopped = errors.New("the plugin is shutting down")
	errFull    = errors.New("the event queue is full, try again")
)

// WebhookOptions are the settings of a [Webhook]. The zero value stands for
// the defaults.
type WebhookOptions struct {
	// MaxBatchSize is the largest accepted body in bytes, counted before and
	// after it is unpacked; by default 12 MiB.
	MaxBatchSize int64
	// Deadline is how long a request waits for room in the queue before it is
	// answered with 429; by default 10 s. It must be below the 30 s after
	// which an API server gives up.
	Deadline time.Duration
	// Certificate and Key are PEM files, needed for https. Without Key,
	// Certificate holds both. They are read again when they change.
	Certificate, Key string
	// ClientCA is a PEM file. If it is set, a client must show a certificate
	// that was signed by one of the certificates in it.
	ClientCA string
}

// Webhook receives what an API server sends to --audit-webhook-config-file.
type Webhook struct {
	options  WebhookOptions
	url      string
	path     string
	listener net.Listener
	tls      *certificates // nil for http

	sink     input.Sink
	bodies   chan struct{} // one for each body in memory
	turn     chan struct{} // held from the last look at delivered to the end of Commit
	lastFull atomic.Int64  // when a full queue was logged, Unix seconds

	mu        sync.Mutex
	delivered *delivered
	stopped   bool
	running   sync.WaitGroup

	deliveries sync.Pool
}

var _ input.Input = (*Webhook)(nil)

// ListenWebhook returns a webhook that listens at an http or https URL.
// Without a host, it listens on 127.0.0.1 only; without a path, on "/".
func ListenWebhook(u *url.URL, o WebhookOptions) (*Webhook, error) {
	w, err := newWebhook(u, o)
	if err == nil {
		w.listener, err = net.Listen("tcp", net.JoinHostPort(cmp.Or(u.Hostname(), "127.0.0.1"), u.Port()))
	}
	if err != nil {
		return nil, fmt.Errorf("webhook %s: %w", u.Redacted(), err)
	}
	w.url = u.Scheme + "://" + w.Addr().String() + w.path
	return w, nil
}

// newWebhook returns a webhook that does not listen yet.
func newWebhook(u *url.URL, o WebhookOptions) (*Webhook, error) {
	o.MaxBatchSize = cmp.Or(o.MaxBatchSize, defaultBatchSize)
	o.Deadline = cmp.Or(o.Deadline, defaultDeadline)
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("scheme %q is neither http nor https", u.Scheme)
	case u.Port() == "":
		return nil, errors.New("no port, write one as in http://:9765/k8s-audit")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("only a host, a port and a path can be given")
	case o.MaxBatchSize < 0:
		return nil, fmt.Errorf("largest batch of %d bytes is below 0", o.MaxBatchSize)
	case o.Deadline < 0 || o.Deadline >= senderTimeout:
		return nil, fmt.Errorf("deadline of %v is not between 0 and the %v after which an API server gives up", o.Deadline, senderTimeout)
	}
	w := &Webhook{
		options:   o,
		path:      cmp.Or(u.Path, "/"),
		bodies:    make(chan struct{}, maxBodies),
		turn:      make(chan struct{}, 1),
		delivered: newDelivered(),
	}
	if u.Scheme == "https" {
		var err error
		if w.tls, err = newCertificates(o); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// Addr returns the address that the webhook listens on.
func (w *Webhook) Addr() net.Addr { return w.listener.Addr() }

// Close implements input.Input.
func (w *Webhook) Close() error { return w.listener.Close() }

// Run implements input.Input.
func (w *Webhook) Run(ctx context.Context, sink input.Sink) error {
	w.sink = sink
	w.deliveries.New = func() any { return &delivery{batch: sink.Batch()} }
	base, stop := context.WithCancelCause(context.Background())
	defer stop(errStopped)
	server := &http.Server{
		Handler:           http.HandlerFunc(w.handle),
		BaseContext:       func(net.Listener) context.Context { return base },
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      90 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          log.New(serverLog{w}, "", 0),
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 32, MaxReceiveBufferPerConnection: 256 << 10},
	}
	served := make(chan error, 1)
	listener := netutil.LimitListener(w.listener, maxConnections)
	if w.tls == nil {
		go func() { served <- server.Serve(listener) }()
	} else {
		server.TLSConfig = &tls.Config{
			MinVersion:         tls.VersionTLS12,
			NextProtos:         []string{"h2", "http/1.1"},
			GetConfigForClient: w.tlsConfig,
		}
		go func() { served <- server.ServeTLS(listener, "", "") }()
	}
	sink.Info("receiving Kubernetes audit events at %s", w.url)
	if addr, ok := w.Addr().(*net.TCPAddr); ok && !addr.IP.IsLoopback() && w.options.ClientCA == "" {
		sink.Info("webhook %s asks for no client certificate: whoever reaches it can add events", w.url)
	}

	var err error
	select {
	case <-ctx.Done():
	case err = <-served:
		served <- err
	}
	w.mu.Lock()
	w.stopped = true
	w.mu.Unlock()
	stop(errStopped)
	// Requests that wait are answered now; connections that are in the
	// middle of something else half a second later.
	patience, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	server.Shutdown(patience)
	server.Close()
	<-served
	w.running.Wait()
	if err != nil {
		return fmt.Errorf("webhook %s: %w", w.url, err)
	}
	return nil
}

func (w *Webhook) tlsConfig(*tls.ClientHelloInfo) (*tls.Config, error) {
	config, reloaded, err := w.tls.current()
	if err != nil {
		w.sink.Info("webhook %s keeps its last certificate: %v", w.url, err)
	}
	if reloaded {
		w.sink.Info("webhook %s uses a new certificate", w.url)
	}
	return config, nil
}

// serverLog takes what the HTTP server logs: handshakes that failed.
type serverLog struct{ *Webhook }

func (l serverLog) Write(line []byte) (int, error) {
	text, _, _ := bytes.Cut(line, []byte("\n")) // no stack
	// Health checks and port scans connect and close.
	if !bytes.HasSuffix(text, []byte(": EOF")) {
		l.sink.Malformed(fmt.Errorf("webhook %s: %s", l.url, text))
	}
	return len(line), nil
}

// delivery is what the processing of one request needs.
type delivery struct {
	body    []byte
	gzip    gzip.Reader
	decoder jsonstream.Decoder
	batch   input.Batch
	hashes  []uint64 // of the events in batch
}

// refusal is a request that is not answered with 200.
type refusal struct {
	status int
	reason string
}

func (w *Webhook) handle(out http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	stopped := w.stopped
	if !stopped {
		w.running.Add(1)
	}
	w.mu.Unlock()
	if stopped {
		http.Error(out, errStopped.Error(), http.StatusServiceUnavailable)
		return
	}
	defer w.running.Done()

	refused := w.check(r)
	if refused == nil {
		refused = w.deliver(out, r)
	}
	if refused == nil {
		out.WriteHeader(http.StatusOK)
		return
	}
	switch refused.status {
	case http.StatusTooManyRequests:
		out.Header().Set("Retry-After", "1")
		if now, last := time.Now().Unix(), w.lastFull.Load(); now-last >= 60 && w.lastFull.CompareAndSwap(last, now) {
			w.sink.Info("webhook %s: event queue is full, senders are asked to try again", w.url)
		}
	case http.StatusServiceUnavailable:
	case http.StatusMethodNotAllowed:
		out.Header().Set("Allow", http.MethodPost)
		fallthrough
	default:
		w.sink.Malformed(fmt.Errorf("webhook %s: request from %s refused: %s", w.url, r.RemoteAddr, refused.reason))
	}
	http.Error(out, refused.reason, refused.status)
}

// check refuses a request for what its head says.
func (w *Webhook) check(r *http.Request) *refusal {
	if r.URL.Path != w.path {
		return &refusal{http.StatusNotFound, "wrong path"}
	}
	if r.Method != http.MethodPost {
		return &refusal{http.StatusMethodNotAllowed, "the method is not POST"}
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return &refusal{http.StatusUnsupportedMediaType, "the Content-Type is not application/json"}
	}
	switch r.Header.Get("Content-Encoding") {
	case "", "identity", "gzip":
	default:
		return &refusal{http.StatusUnsupportedMediaType, "the Content-Encoding is not gzip"}
	}
	if r.ContentLength > w.options.MaxBatchSize {
		return w.tooLarge()
	}
	return nil
}

func (w *Webhook) tooLarge() *refusal {
	return &refusal{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than the limit of %d bytes", w.options.MaxBatchSize)}
}

// deliver queues the events in the request's body, all of them or none.
func (w *Webhook) deliver(out http.ResponseWriter, r *http.Request) *refusal {
	start := time.Now()
	ctx, cancel := context.WithTimeoutCause(r.Context(), w.options.Deadline, errFull)
	defer cancel()
	select {
	case w.bodies <- struct{}{}:
		defer func() { <-w.bodies }()
	case <-ctx.Done():
		return unqueued(ctx, ctx.Err())
	}
	left := w.options.Deadline - time.Since(start)

	d := w.deliveries.Get().(*delivery)
	defer w.deliveries.Put(d)
	if refused := w.read(d, out, r); refused != nil {
		return refused
	}
	// What the server allowed for reading must not end the wait for the queue.
	http.NewResponseController(out).SetReadDeadline(time.Time{})
	ctx, cancel = context.WithTimeoutCause(r.Context(), left, errFull)
	defer cancel()

	defer d.batch.Reset()
	if refused := w.decode(d, true); refused != nil {
		return refused
	}
	select {
	case w.turn <- struct{}{}:
		defer func() { <-w.turn }()
	case <-ctx.Done():
		return unqueued(ctx, ctx.Err())
	}
	if w.overtaken(d.hashes) {
		d.batch.Reset()
		w.decode(d, false)
	}
	if d.batch.Len() == 0 {
		return nil
	}
	if err := d.batch.Commit(ctx); err != nil {
		return unqueued(ctx, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, hash := range d.hashes {
		w.delivered.add(hash)
	}
	return nil
}

// unqueued says why events were not queued.
func unqueued(ctx context.Context, err error) *refusal {
	if err != input.ErrClosed && context.Cause(ctx) == errFull {
		return &refusal{http.StatusTooManyRequests, errFull.Error()}
	}
	// Also if the client went away, which then does not read this.
	return &refusal{http.StatusServiceUnavailable, errStopped.Error()}
}

// read reads the body, unpacked, into d.body.
func (w *Webhook) read(d *delivery, out http.ResponseWriter, r *http.Request) *refusal {
	limit := w.options.MaxBatchSize
	var body io.Reader = http.MaxBytesReader(out, r.Body, limit)
	err := error(nil)
	if r.Header.Get("Content-Encoding") == "gzip" {
		if err = d.gzip.Reset(body); err == nil {
			body = &d.gzip
		}
	}
	if err == nil {
		d.body, err = appendAll(d.body[:0], io.LimitReader(body, limit+1))
	}
	var tooLarge *http.MaxBytesError
	var timeout net.Error
	switch {
	case errors.As(err, &tooLarge) || int64(len(d.body)) > limit:
		return w.tooLarge()
	case context.Cause(r.Context()) != nil:
		return unqueued(r.Context(), err)
	case errors.As(err, &timeout) && timeout.Timeout():
		return &refusal{http.StatusRequestTimeout, "the body did not come in time"}
	case err != nil:
		return &refusal{http.StatusBadRequest, "the body cannot be read: " + err.Error()}
	}
	return nil
}

// appendAll appends all that r holds, growing b as it comes: a length that a
// client only claims costs nothing.
func appendAll(b []byte, r io.Reader) ([]byte, error) {
	for {
		if len(b) == cap(b) {
			grown := make([]byte, len(b), max(64<<10, 2*cap(b)))
			copy(grown, b)
			b = grown
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return b, err
		}
	}
}

// decode puts the events of d.body that were not queued before into d.batch,
// and says what is malformed if report is set.
func (w *Webhook) decode(d *delivery, report bool) *refusal {
	d.hashes = d.hashes[:0]
	items, bad := 0, 0
	var first error
	each := func(e *event.Event, err error) {
		if err == nil {
			d.batch.Add(e)
			return
		}
		if bad++; first == nil {
			first = err
		}
		if report && bad > 1 {
			w.sink.Malformed(fmt.Errorf("webhook %s: an event among others: %w", w.url, err))
		}
	}
	err := jsonstream.Items(d.body, func(item []byte) {
		items++
		hash := w.delivered.hash(item)
		if w.remembers(hash) {
			return
		}
		before := d.batch.Len()
		d.decoder.Item(item, each)
		if d.batch.Len() > before {
			d.hashes = append(d.hashes, hash)
		}
	})
	switch {
	case err != nil:
		return &refusal{http.StatusBadRequest, err.Error()}
	case first != nil && items == bad:
		return &refusal{http.StatusBadRequest, first.Error()}
	case first != nil && report:
		w.sink.Malformed(fmt.Errorf("webhook %s: an event among others: %w", w.url, first))
	}
	return nil
}

func (w *Webhook) remembers(hash uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.delivered.has(hash)
}

// overtaken reports that another request brought one of the events since they
// were decoded.
func (w *Webhook) overtaken(hashes []uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, hash := range hashes {
		if w.delivered.has(hash) {
			return true
		}
	}
	return false
}
