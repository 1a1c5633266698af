// SPDX-License-Identifier: Apache-2.0

package dockerevents

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/containerapi/containerapi/plugin/docker"
	"github.com/containerapi/containerapi/plugin/event"
)

// How long an engine may take to accept a connection and to begin its answer.
// An engine that is starting accepts at once and answers when it is ready.
const (
	dialLimit   = 5 * time.Second
	answerLimit = 10 * time.Second
)

// newestMinor is the newest version of the Engine API, 1.x, that is asked for.
// Newer engines speak it too.
const newestMinor = 53

// userAgent tells the requests of this plugin from others.
const userAgent = "falco-containerapi"

// errNotEngine is the error of an answer that no Docker Engine gives.
var errNotEngine = errors.New("what answers there is not a Docker Engine")

// engine speaks to a Docker Engine: by GET only, each on a connection
// of its own.
//
// Moby's client does not serve here: it refuses API versions below 1.40, reads
// an event of any length into memory and keeps whole inspect responses, with
// the environment in them.
type engine struct {
	client *http.Client
	base   url.URL
	// version is the path prefix of the API version that the engine and this
	// package agreed on, "/v1.41", or "" for an engine that does not say. It is
	// nil before the first answer.
	version atomic.Pointer[string]
	// pid is the process that listens on the engine's unix socket, as the last
	// connection told, 0 if that is not known.
	pid atomic.Int32
	// data is the directory where a local engine keeps its data, nil until it said so.
	data atomic.Pointer[string]
}

func newEngine(p *endpoint) *engine {
	dialer := &net.Dialer{
		Timeout:         dialLimit,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
	}
	g := &engine{base: url.URL{Scheme: "http", Host: "docker"}}
	g.client = &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				conn, err := dialer.DialContext(ctx, p.network, p.address)
				if local, ok := conn.(*net.UnixConn); ok {
					g.pid.Store(listener(local))
				}
				return conn, err
			},
			TLSClientConfig:        p.tls,
			TLSHandshakeTimeout:    dialLimit,
			ResponseHeaderTimeout:  answerLimit,
			MaxResponseHeaderBytes: 64 << 10,
			DisableKeepAlives:      true,
			DisableCompression:     true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if p.network == "tcp" {
		g.base.Host = p.address
	}
	if p.tls != nil {
		g.base.Scheme = "https"
	}
	return g
}

// listener returns the id of the process that listens at the other end of a
// connection, 0 if it is not known: unix(7), SO_PEERCRED.
func listener(conn *net.UnixConn) int32 {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	var pid int32
	_ = raw.Control(func(fd uintptr) {
		if peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = peer.Pid
		}
	})
	return pid
}

// get returns the body of the answer to a GET, and its header.
func (g *engine) get(ctx context.Context, path, query string) (io.ReadCloser, http.Header, error) {
	u := g.base
	u.Path, u.RawQuery = path, query
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, nil, err
	}
	request.Header.Set("User-Agent", userAgent)
	request.Header.Set("Accept", "application/jsonl, application/json")
	response, err := g.client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	if response.StatusCode == http.StatusOK {
		return response.Body, response.Header, nil
	}
	defer response.Body.Close()
	limit := time.AfterFunc(answerLimit, func() { _ = response.Body.Close() })
	defer limit.Stop()
	return nil, nil, refused(response)
}

// refused returns the error of an answer that is not 200, with the engine's
// own message.
func refused(response *http.Response) error {
	var body struct{ Message string }
	if isJSON(response.Header) {
		_ = json.NewDecoder(io.LimitReader(response.Body, 4096)).Decode(&body)
	}
	return &statusError{status: response.StatusCode, message: readable(body.Message)}
}

// statusError is an answer other than 200.
type statusError struct {
	status  int
	message string
}

func (e *statusError) Error() string {
	if e.message == "" {
		return fmt.Sprintf("it answers with status %d", e.status)
	}
	return fmt.Sprintf("it answers with status %d: %s", e.status, e.message)
}

// isJSON reports whether an answer is of a type in which engines send events:
// application/json, and application/jsonl from API 1.52 on.
func isJSON(h http.Header) bool {
	media, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	return media == "application/json" || media == "application/jsonl" || media == "application/x-ndjson"
}

// prefix returns the path prefix of the API version to speak.
func (g *engine) prefix(ctx context.Context) (string, error) {
	if agreed := g.version.Load(); agreed != nil {
		return *agreed, nil
	}
	return g.negotiate(ctx)
}

// negotiate finds out which API version to speak, as [engine.prefix] returns it
// from then on.
func (g *engine) negotiate(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, dialLimit+answerLimit)
	defer cancel()
	body, header, err := g.get(ctx, "/_ping", "")
	if err != nil {
		return "", err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, 16))
	if err != nil {
		return "", err
	}
	if strings.TrimSpace(string(text)) != "OK" {
		return "", errNotEngine
	}
	agreed, err := versionPath(header.Get("Api-Version"))
	if err == nil {
		g.version.Store(&agreed)
	}
	return agreed, err
}

// versionPath returns the path prefix for the newest version that an engine
// whose newest is this one has in common with this package. Engines too old to
// name a version are asked without one.
func versionPath(newest string) (string, error) {
	if newest == "" {
		return "", nil
	}
	text, ok := strings.CutPrefix(newest, "1.")
	minor, err := strconv.ParseUint(text, 10, 16)
	if !ok || err != nil {
		return "", errNotEngine
	}
	return "/v1." + strconv.FormatUint(min(minor, newestMinor), 10), nil
}

// events returns the stream of events since a time, in nanoseconds since the
// Unix epoch: those that the engine remembers, at most its last 256, and then
// those that happen.
func (g *engine) events(ctx context.Context, since int64) (io.ReadCloser, error) {
	// An engine that was away may be another one now.
	prefix, err := g.negotiate(ctx)
	if err != nil {
		return nil, err
	}
	query := url.Values{"since": {fmt.Sprintf("%d.%09d", since/1e9, since%1e9)}}
	body, header, err := g.get(ctx, prefix+"/events", query.Encode())
	if err != nil {
		return nil, err
	}
	if !isJSON(header) {
		_ = body.Close()
		return nil, errNotEngine
	}
	return body, nil
}

// maxInspect is how many bytes of an inspect response are read.
const maxInspect = 8 << 20

// definition is what is kept of a container's definition. The environment is in
// the rest.
type definition struct {
	event.Container
	image string // its id
	// pid is that of its first process, 0 while it does not run.
	pid int
	// started is when that was last, the zero time if it never was.
	started time.Time
	// healthCheck is the command that the engine runs to check its health, as an
	// exec's event shows it, or "" if there is none.
	healthCheck string
}

// inspect returns a container by its id, the beginning of it, or its name.
func (g *engine) inspect(ctx context.Context, container string) (definition, error) {
	var c struct {
		ID    string `json:"Id"`
		Name  string
		Image string
		State struct {
			Running   bool
			Pid       int
			StartedAt time.Time
		}
		Config struct {
			Image       string
			Shell       []string
			Healthcheck struct{ Test []string }
		}
	}
	if err := g.read(ctx, "/containers/"+url.PathEscape(container)+"/json", &c); err != nil {
		return definition{}, err
	}
	found := definition{healthCheck: healthCommand(c.Config.Healthcheck.Test, c.Config.Shell)}
	found.Container = event.Container{ID: c.ID, Name: strings.TrimPrefix(c.Name, "/"), Image: c.Config.Image}
	found.image, found.started = c.Image, c.State.StartedAt
	if c.State.Running {
		found.pid = c.State.Pid
	}
	return found, nil
}

// read reads the JSON answer to a GET.
func (g *engine) read(ctx context.Context, path string, into any) error {
	_, err := ask(ctx, g, path, nil, func(answer io.Reader) (any, error) {
		if json.NewDecoder(answer).Decode(into) != nil {
			return nil, errors.New("the inspect response cannot be read")
		}
		return into, nil
	})
	return err
}

// ask has read read the answer to a GET.
func ask[T any](ctx context.Context, g *engine, path string, query url.Values, read func(io.Reader) (T, error)) (T, error) {
	var none T
	prefix, err := g.prefix(ctx)
	if err != nil {
		return none, err
	}
	body, _, err := g.get(ctx, prefix+path, query.Encode())
	if err != nil {
		return none, err
	}
	defer body.Close()
	return read(io.LimitReader(body, maxInspect))
}

// image returns the id of an image, and the digests by which the engine knows
// it from repositories.
func (g *engine) image(ctx context.Context, ref string) (image, error) {
	var i struct {
		ID          string `json:"Id"`
		RepoDigests []string
		Identity    struct {
			Pull []struct{ Repository string }
		}
	}
	if err := g.read(ctx, "/images/"+escapeImage(ref)+"/json", &i); err != nil {
		return image{}, err
	}
	found := image{id: i.ID, digests: make(map[string]string)}
	for _, known := range i.RepoDigests {
		repository, digest, _ := strings.Cut(known, "@")
		// Where an image is called by its manifest's digest (containerd's store),
		// each name that someone gives it has one.
		if digest != i.ID {
			found.digests[docker.Repository(repository)] = digest
		}
	}
	for _, pull := range i.Identity.Pull {
		found.digests[docker.Repository(pull.Repository)] = i.ID
	}
	return found, nil
}

// escapeImage escapes a reference for a path, in which its slashes stay.
func escapeImage(ref string) string {
	return strings.ReplaceAll(url.PathEscape(ref), "%2F", "/")
}

// image is what an engine knows of an image.
type image struct {
	id string
	// digests are those of the repositories that the image was pulled from or
	// pushed to: a name that someone gave it has none.
	digests map[string]string
}
