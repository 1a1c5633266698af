// SPDX-License-Identifier: Apache-2.0

package httpwire

import (
	"bytes"
	"iter"
	"math"
	"strings"
)

// readOlderHead reads a head that net/http's server of this Go refuses as one of
// an older Go does that takes it; first is what the first line says. It does so by
// leaving out what the older one passes over:
//
//   - headers without a name, before Go 1.22 (readMIMEHeader in
//     net/textproto/reader.go);
//   - control characters behind a Content-Length that stands there twice, before
//     Go 1.20;
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
	lines, endless := olderHeaders(rest, first.Version != "HTTP/1.0")
	older = append(older, lines...)
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
		if i < 0 || strings.ContainsAny(r.Target[:i], "/?:") {
			return r.Target, "" // it is a path, or in one
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
	chunked, lengths, same, length := false, 0, true, ""
	for name, text := range headers(lines) {
		switch name {
		case "transfer-encoding":
			chunked = chunks
		case "content-length":
			value := valueOf(text)
			same = same && (lengths == 0 || value == length)
			lengths, length = lengths+1, value
		}
	}
	for name, text := range headers(lines) {
		switch name {
		case "":
			continue
		case "content-length":
			switch {
			case chunked || same && length == "":
				continue
			case same && lengths > 1:
				text = []byte("Content-Length: " + length + "\r\n")
				lengths = 0 // the first of them
			case same && lengths == 0:
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
	return kept, length == "" && same && lengths > 0 && !chunked
}

// headers returns the headers of a head: the names in lower case, "\n" for a line
// that has none, and the whole lines, with those that continue them.
func headers(lines []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for len(lines) > 0 {
			end := lineEnd(lines)
			for end < len(lines) && (lines[end] == ' ' || lines[end] == '\t') {
				end += lineEnd(lines[end:])
			}
			name, _, found := bytes.Cut(lines[:end], []byte(":"))
			text := "\n"
			switch {
			case found && len(name) <= len("transfer-encoding"):
				text = strings.ToLower(string(name))
			case found:
				text = "another"
			}
			if !yield(text, lines[:end]) {
				return
			}
			lines = lines[end:]
		}
	}
}

// lineEnd returns where the first line ends.
func lineEnd(b []byte) int {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return i + 1
	}
	return len(b)
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
