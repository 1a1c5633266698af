// SPDX-License-Identifier: Apache-2.0

package httpwire

import (
	"bytes"
	"math"
	"strings"
)

// readOlderHead reads a head that net/http's server of this Go refuses as one of
// an older Go does that takes it; first is what the first line says. It does so by
// leaving out what the older one passes over:
//
//   - headers without a name, before Go 1.22 (readMIMEHeader in
//     net/textproto/reader.go);
//   - a Content-Length that is empty, before Go 1.22, and any beside chunks
//     (fixLength and parseTransferEncoding in net/http/transfer.go). With
//     GODEBUG=httplaxcontentlength=1, which Go 1.22 and later set for programs
//     that say to be written for an older one, the body then goes on until the
//     connection is closed, if the server closes it after the response;
//   - bytes that no header may have, before Go 1.20, in a Trailer and, where there
//     are no chunks, a Transfer-Encoding;
//   - colons and brackets in the host of a target, before Go 1.25.2 and 1.26
//     (parseHost in net/url/url.go).
//
// Of the last, more is taken than any server does: the response shows it.
func readOlderHead(head []byte, first *Request) (*Request, framing, bool) {
	if first.Method == "" {
		return nil, framing{}, false
	}
	target, host := withoutHost(first)
	_, rest, _ := bytes.Cut(head, []byte("\n"))
	older := make([]byte, 0, len(head)+len("http://d/"))
	older = append(older, first.Method+" "+target+" "+first.Version+"\r\n"...)
	headers, endless := olderHeaders(rest, first.Version != "HTTP/1.0")
	older = append(older, headers...)
	r, f, err := parseHead(older)
	if err != nil {
		return nil, framing{}, false
	}
	r.Target, r.older = first.Target, true
	switch {
	case endless && f.closing:
		f.length = math.MaxInt64
	case endless && f.closed:
		f.unclear = true
	}
	if host != "" {
		r.Host = host
	}
	return r, f, true
}

// withoutHost returns a request's target with another host, and the host that it
// has, if it has one.
func withoutHost(r *Request) (target, host string) {
	scheme, rest := "", r.Target
	if r.Method != "CONNECT" || strings.HasPrefix(r.Target, "/") {
		i := strings.Index(r.Target, "://")
		if i < 0 {
			return r.Target, ""
		}
		scheme, rest = r.Target[:i+3], r.Target[i+3:]
	}
	host = rest
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		host = rest[:i]
	}
	if host == "" {
		return r.Target, ""
	}
	return scheme + "d" + rest[len(host):], host[strings.LastIndexByte(host, '@')+1:]
}

// olderHeaders returns the header lines of a head, up to its end, without what an
// older server passes over, and reports whether the only length is empty. chunks
// says that the version has chunks.
func olderHeaders(lines []byte, chunks bool) (kept []byte, endless bool) {
	type header struct {
		name, text []byte // text with its continuation lines
	}
	var headers []header
	chunked, length, empty := false, false, false
	for len(lines) > 0 {
		end := bytes.IndexByte(lines, '\n') + 1
		if end == 0 {
			end = len(lines)
		}
		line := lines[:end]
		lines = lines[end:]
		if n := len(headers); n > 0 && (line[0] == ' ' || line[0] == '\t') {
			h := &headers[n-1]
			h.text = h.text[:len(h.text)+len(line)] // they lie behind each other
			continue
		}
		name, _, found := bytes.Cut(line, []byte(":"))
		if !found {
			name = []byte("\n") // no header's name
		}
		headers = append(headers, header{name, line})
	}
	for _, h := range headers {
		switch strings.ToLower(string(h.name)) {
		case "transfer-encoding":
			chunked = chunks
		case "content-length":
			length = length || valueOf(h.text) != ""
			empty = true
		}
	}
	for _, h := range headers {
		text := h.text
		switch strings.ToLower(string(h.name)) {
		case "":
			continue
		case "content-length":
			if chunked || !length {
				continue
			}
		case "transfer-encoding":
			if !chunks {
				continue
			}
		case "trailer":
			if chunked {
				text = visible(text)
			}
		}
		kept = append(kept, text...)
	}
	return kept, empty && !length && !chunked
}

// valueOf returns the value of a header, without what stands around it.
func valueOf(text []byte) string {
	_, value, _ := bytes.Cut(text, []byte(":"))
	return string(bytes.Trim(value, " \t\r\n"))
}

// visible replaces what may not stand in a header, but not the ends of its lines.
func visible(text []byte) []byte {
	text = bytes.Clone(text)
	for i, d := range text {
		lineEnd := d == '\n' || d == '\r' && i+1 < len(text) && text[i+1] == '\n'
		if !lineEnd && (d < ' ' && d != '\t' || d == 0x7f) {
			text[i] = '_'
		}
	}
	return text
}
