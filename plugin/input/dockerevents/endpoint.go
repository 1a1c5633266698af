// SPDX-License-Identifier: Apache-2.0

package dockerevents

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"

	"github.com/docker/go-connections/tlsconfig"
)

// DefaultSocket is the socket of docker://: where dockerd listens unless it is told
// otherwise.
const DefaultSocket = "/var/run/docker.sock"

// maxSocketPath is how many bytes the path of a unix socket may have: sun_path
// of 'struct sockaddr_un' in unix(7) without its final zero.
const maxSocketPath = 107

// endpoint is where a Docker Engine listens.
type endpoint struct {
	// network and address are those of [net.Dial].
	network, address string
	// tls is nil where the connection is not encrypted.
	tls *tls.Config
}

// Socket returns the path of the engine's unix socket, or "" for one on TCP.
func (e *Events) Socket() string {
	if e.endpoint.network == "unix" {
		return e.endpoint.address
	}
	return ""
}

// String returns the endpoint in Docker's form, "unix:///var/run/docker.sock"
// or "tcp://host:2376".
func (p *endpoint) String() string { return p.network + "://" + p.address }

// parse returns the endpoint that a docker:// or docker+tcp:// URL names. The
// TLS files are read now, so that what is wrong with them is said at once.
func parse(u *url.URL, o Options) (*endpoint, error) {
	if u.Opaque != "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return nil, fmt.Errorf("the input URL %q has more than a place to connect to: write docker:///path/of.sock or docker+tcp://host:port", u.Redacted())
	}
	switch u.Scheme {
	case "docker":
		return parseSocket(u)
	case "docker+tcp":
		return parseTCP(u, o)
	}
	return nil, fmt.Errorf("the input URL %q has no scheme of Docker: write docker:// or docker+tcp://", u.Redacted())
}

func parseSocket(u *url.URL) (*endpoint, error) {
	if u.Host != "" {
		return nil, fmt.Errorf("the input URL %q names a host: a socket's path begins with a third slash (docker:///run/docker.sock), a host needs docker+tcp://", u)
	}
	path := u.Path
	if path == "" || path == "/" {
		path = DefaultSocket
	}
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("the input URL %q names a path of %d bytes: a socket's has at most %d", u, len(path), maxSocketPath)
	}
	return &endpoint{network: "unix", address: path}, nil
}

func parseTCP(u *url.URL, o Options) (*endpoint, error) {
	if u.Hostname() == "" || u.Port() == "" || u.Path != "" && u.Path != "/" {
		return nil, fmt.Errorf("the input URL %q must be docker+tcp://host:port; Docker's port is 2376 with TLS, 2375 without", u)
	}
	p := &endpoint{network: "tcp", address: net.JoinHostPort(u.Hostname(), u.Port())}
	if o.TLSCA == "" && o.TLSCert == "" && o.TLSKey == "" {
		return p, nil
	}
	if (o.TLSCert == "") != (o.TLSKey == "") {
		return nil, errors.New("TLS for Docker: a client certificate and its key go together, and one of them is not set")
	}
	config, err := tlsconfig.Client(tlsconfig.Options{
		CAFile:             o.TLSCA,
		CertFile:           o.TLSCert,
		KeyFile:            o.TLSKey,
		ExclusiveRootPools: true,
		MinVersion:         tls.VersionTLS12,
	})
	if err != nil {
		return nil, fmt.Errorf("TLS for Docker: %w", err)
	}
	p.tls = config
	return p, nil
}
