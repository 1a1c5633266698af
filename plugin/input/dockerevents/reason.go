// SPDX-License-Identifier: Apache-2.0

package dockerevents

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"unicode"
)

// reason says in one line why an engine cannot be reached or was lost, and
// what to do. It quotes nothing that the other side sent but an engine's own
// message.
func (p *endpoint) reason(err error) error {
	var status *statusError
	var network net.Error
	switch {
	case p.network == "tcp" && p.tls == nil && errors.As(err, &status) && status.status == http.StatusBadRequest:
		return fmt.Errorf("%w; it may need TLS", err)
	case errors.Is(err, errNotEngine), errors.As(err, &status):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return errors.New("the other side closed the connection")
	case p.network == "unix" && errors.Is(err, fs.ErrNotExist):
		return errors.New("there is no such socket; is the Docker Engine running?")
	case p.network == "unix" && errors.Is(err, fs.ErrPermission):
		return errors.New("permission denied; the user that Falco runs as needs access to the socket")
	case p.network == "unix" && errors.Is(err, syscall.ECONNREFUSED):
		if info, err := os.Stat(p.address); err == nil && info.Mode().Type() != fs.ModeSocket {
			return errors.New("this is not a socket")
		}
		return errors.New("nothing listens there; is the Docker Engine running?")
	case errors.As(err, &network) && network.Timeout():
		return errors.New("no answer in time")
	case p.tls != nil && strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return errors.New("it does not speak TLS; set no TLS files for this input")
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	text := err.Error()
	if strings.Contains(text, "malformed") || strings.Contains(text, "transport connection broken") {
		if p.tls == nil && p.network == "tcp" {
			return fmt.Errorf("%w, or one that needs TLS", errNotEngine)
		}
		return errNotEngine
	}
	// What net/http quotes of an answer stands in quotation marks.
	text, _, _ = strings.Cut(text, `"`)
	return errors.New(readable(strings.TrimRight(text, " :(")))
}

// readable returns a text of another program as one short line.
func readable(text string) string {
	const limit = 200
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return strings.TrimSpace(text)
}
