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

	"github.com/containerapi/containerapi/plugin/input"
	"github.com/containerapi/containerapi/plugin/jsonstream"
)

const (
	defaultDeadline = 10 * time.Second
	// senderTimeout is how long an API server waits for an answer:
	// defaultRequestTimeout in k8s.io/apiserver/pkg/util/webhook.
	senderTimeout = 30 * time.Second

	// headerTimeout is how long a client may take for the head of a request, and
	// answerTimeout for taking the answer.
	headerTimeout = 5 * time.Second
	answerTimeout = 10 * time.Second

	// maxStreams is how many requests there may be at once on a connection over
	// HTTP/2.
	maxStreams = 8
	// batchSize is how many bytes of events are queued at once.
	batchSize = 256 << 10

	// healthPath answers a probe.
	healthPath = "/healthz"
)

var (
	errStopped = errors.New("the plugin is shutting down")
	errFull    = errors.New("the event queue is full, try again")
	errBusy    = errors.New("too many requests wait for the event queue, try again")
)

// WebhookOptions are the settings of a [Webhook]. The zero value stands for
// the defaults.
type WebhookOptions struct {
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
	// TokenFile holds one bearer token a line. If it is set, a request must show
	// one of them, beside a certificate if ClientCA is set, too. It is read again
	// when it changes.
	TokenFile string
}

// Webhook receives what an API server sends to --audit-webhook-config-file.
type Webhook struct {
	options  WebhookOptions
	url      string
	path     string
	listener net.Listener
	tls      *certificates // nil for http
	tokens   *tokens       // nil if none is asked for

	sink     input.Sink
	bodies   bodies
	requests sync.Pool    // of *request
	lastFull atomic.Int64 // when a full queue was logged, Unix seconds

	// turn is held by the one request whose events are decoded and queued, so that
	// what is said of an event is decided in the order in which they are delivered.
	// It guards what follows.
	turn      chan struct{}
	decoder   jsonstream.Decoder
	batch     input.Batch // decoded once, and kept while there is no room
	delivered *delivered  // also what is in batch
	// left has a value when a request left events in batch.
	left chan struct{}

	mu      sync.Mutex
	stopped bool
	running sync.WaitGroup
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
	o.Deadline = cmp.Or(o.Deadline, defaultDeadline)
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("scheme %q is neither http nor https", u.Scheme)
	case u.Port() == "":
		return nil, errors.New("no port, write one as in http://:9765/k8s-audit")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("only a host, a port and a path can be given")
	case o.Deadline < 0 || o.Deadline >= senderTimeout:
		return nil, fmt.Errorf("deadline of %v is not between 0 and the %v after which an API server gives up", o.Deadline, senderTimeout)
	}
	w := &Webhook{
		options:   o,
		path:      cmp.Or(u.Path, "/"),
		bodies:    bodies{open: make(map[*body]bool)},
		turn:      make(chan struct{}, 1),
		left:      make(chan struct{}, 1),
		delivered: newDelivered(),
	}
	w.requests.New = func() any { return &request{reader: jsonstream.NewReader(nil, false)} }
	var err error
	if o.TokenFile != "" {
		if w.tokens, err = newTokens(o.TokenFile); err != nil {
			return nil, err
		}
	}
	if u.Scheme == "https" {
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
	w.sink, w.batch = sink, sink.Batch()
	base, stop := context.WithCancelCause(context.Background())
	defer stop(errStopped)
	places := listen(w.listener)
	server := &http.Server{
		Handler:           http.HandlerFunc(w.handle),
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnContext:       places.context,
		ConnState:         places.state,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          log.New(serverLog{w}, "", 0),
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerConnection: 256 << 10},
	}
	served := make(chan error, 1)
	if w.tls == nil {
		go func() { served <- server.Serve(places) }()
	} else {
		server.TLSConfig = &tls.Config{
			MinVersion:         tls.VersionTLS12,
			NextProtos:         []string{"h2", "http/1.1"},
			GetConfigForClient: w.tlsConfig,
		}
		go func() { served <- server.ServeTLS(places, "", "") }()
	}
	w.running.Go(func() { w.flush(base) })
	w.greet()

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

// greet logs where the webhook listens, and what it lacks.
func (w *Webhook) greet() {
	w.sink.Info("receiving Kubernetes audit events at %s", w.url)
	if addr, ok := w.Addr().(*net.TCPAddr); !ok || addr.IP.IsLoopback() {
		return
	}
	switch {
	case w.options.ClientCA == "" && w.tokens == nil:
		w.sink.Info("webhook %s asks for neither a client certificate nor a token: whoever reaches it can add events", w.url)
	case w.tls == nil:
		w.sink.Info("webhook %s gets its token in the clear: use https", w.url)
	}
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
	// Health checks and port scans connect and close; others are closed here.
	if !bytes.HasSuffix(text, []byte(": EOF")) && !bytes.HasSuffix(text, []byte(net.ErrClosed.Error())) {
		l.sink.Malformed(fmt.Errorf("webhook %s: %s", l.url, text))
	}
	return len(line), nil
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
	defer handled(r)()

	if probe(out, r, w.path) {
		return
	}
	refused := w.check(r)
	if refused == nil {
		proven(r)
		refused = w.deliver(out, r)
	}
	_ = http.NewResponseController(out).SetWriteDeadline(time.Now().Add(answerTimeout))
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
	case http.StatusUnauthorized:
		out.Header().Set("WWW-Authenticate", "Bearer")
		fallthrough
	default:
		w.sink.Malformed(fmt.Errorf("webhook %s: request from %s refused: %s", w.url, r.RemoteAddr, refused.reason))
	}
	http.Error(out, refused.reason, refused.status)
}

// probe answers a request that only asks whether somebody is there, as a kubelet
// does, and reports whether it is one. It is nothing to log.
func probe(out http.ResponseWriter, r *http.Request, path string) bool {
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return false
	case r.URL.Path == healthPath:
		fmt.Fprintln(out, "ok")
	case r.URL.Path == path:
		out.Header().Set("Allow", http.MethodPost)
		http.Error(out, "the method is not POST", http.StatusMethodNotAllowed)
	default:
		http.Error(out, "wrong path", http.StatusNotFound)
	}
	return true
}

// check refuses a request for what its head says.
func (w *Webhook) check(r *http.Request) *refusal {
	if w.tokens != nil {
		reloaded, err := w.tokens.refresh()
		if err != nil {
			w.sink.Info("webhook %s keeps its last token: %v", w.url, err)
		}
		if reloaded {
			w.sink.Info("webhook %s uses a new token", w.url)
		}
		if !w.tokens.allow(r.Header.Get("Authorization")) {
			return &refusal{http.StatusUnauthorized, "no valid bearer token"}
		}
	}
	if r.URL.Path != w.path {
		return &refusal{http.StatusNotFound, "wrong path"}
	}
	if r.Method != http.MethodPost {
		return &refusal{http.StatusMethodNotAllowed, "the method is not POST"}
	}
	if kinds[mediaType(r)] == 0 {
		return &refusal{http.StatusUnsupportedMediaType, "the Content-Type is neither application/json nor application/x-ndjson"}
	}
	switch r.Header.Get("Content-Encoding") {
	case "", "identity", "gzip":
	default:
		return &refusal{http.StatusUnsupportedMediaType, "the Content-Encoding is not gzip"}
	}
	return nil
}

// kind is how the JSON texts of a body are laid out.
type kind uint8

const (
	anyLayout kind = iota + 1
	onLines        // one a line
)

// kinds are the types of bodies that are read. A browser sends none of them to
// another site without asking it.
var kinds = map[string]kind{
	"application/json":          anyLayout,
	"application/x-ndjson":      onLines,
	"application/ndjson":        onLines,
	"application/jsonl":         onLines,
	"application/x-jsonlines":   onLines,
	"application/jsonlines":     onLines,
	"application/stream+json":   onLines,
	"application/x-json-stream": onLines,
}

func mediaType(r *http.Request) string {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return kind
}

// request is what reading one request needs.
type request struct {
	gzip   gzip.Reader
	reader *jsonstream.Reader
}

// deliver queues the events in the request's body, as it comes. What is queued
// stays so if the rest cannot be read: a sender that sends all of it again brings
// only what is missing.
func (w *Webhook) deliver(out http.ResponseWriter, r *http.Request) *refusal {
	body := w.bodies.begin(out, r)
	if body == nil {
		return &refusal{http.StatusTooManyRequests, errBusy.Error()}
	}
	defer body.end()
	q := w.requests.Get().(*request)
	defer w.requests.Put(q)
	defer q.reader.Reset(nil, false)

	var source io.Reader = body
	if r.Header.Get("Content-Encoding") == "gzip" {
		if err := q.gzip.Reset(body); err != nil {
			return unread(r, err)
		}
		source = &q.gzip
	}
	q.reader.Reset(source, kinds[mediaType(r)] == onLines)
	d := delivery{webhook: w, patience: patience{r.Context(), w.options.Deadline}}
	defer d.leave()
	for {
		item, err := q.reader.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return unread(r, err)
		}
		if err := d.take(item); err != nil {
			return unqueued(err)
		}
	}
	switch {
	case d.bad != nil && d.good == 0:
		return &refusal{http.StatusBadRequest, d.bad.Error()}
	case d.bad != nil:
		w.amongOthers(d.bad)
	case q.reader.Empty():
		return &refusal{http.StatusBadRequest, "the body is empty"}
	}
	if err := d.finish(); err != nil {
		return unqueued(err)
	}
	return nil
}
