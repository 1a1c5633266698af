// SPDX-License-Identifier: Apache-2.0

package httpwire

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
)

// writer writes random requests as all kinds of clients do, and others do not.
type writer struct {
	bytes.Buffer
	rnd *rand.Rand
}

func (w *writer) pick(s ...string) string { return s[w.rnd.IntN(len(s))] }

// rarely is true one time in n.
func (w *writer) rarely(n int) bool { return w.rnd.IntN(n) == 0 }

// nl ends a line.
func (w *writer) nl() string {
	if w.rarely(60) {
		return w.pick("\r\r\n", "\r", "\n\n", "\r\n\r\n", "\n\r", " \r\n", "\t\n", "\x0b\r\n")
	}
	return w.pick("\r\n", "\r\n", "\r\n", "\n")
}

func (w *writer) line(s ...string) {
	for _, p := range s {
		w.WriteString(p)
	}
	w.WriteString(w.nl())
}

// body returns a body that looks like requests.
func (w *writer) body() []byte {
	body := make([]byte, []int{0, 1, 2, 17, 200, 5000, 100000, 300000}[min(w.rnd.IntN(8), w.rnd.IntN(8), w.rnd.IntN(8))])
	text := w.pick("GET / HTTP/1.1\r\nHost: no\r\n\r\n", "0\r\n\r\nGET / HTTP/1.1\r\nHost: no\r\n\r\n", "{\"Image\":\"i\"}", "\r\n")
	for i := range body {
		body[i] = text[i%len(text)]
	}
	return body
}

// target writes a target that tells the handler what to do.
func (w *writer) target() string {
	t := w.pick("/containers/json", "/v1.47/containers/json", "/info", "/%63ontainers/a%2Fb/json", "/x/skim", "/x/skim",
		"http://docker/images/json", "*", "//info", "/a?b?c&", "/"+strings.Repeat("a", w.rnd.IntN(6000)), "/x/exec", "/x/create", "/x/attach",
		"/x/attach")
	if w.rarely(12) {
		t = w.pick("http://[::1]:80/x", "http://[::1/x", "http://a:b/x", "http://a:1:2/x", "http://[fe80::1%25en0]/x", "http://a[b]/x", "http://[x]/x",
			"http://u:p@h/x", "http:///x", "http:/x", "HTTP://X/x", "x", "docker:80", "[::1]:80", "a:1:2", "/%zz", "/%00", "/a#b", "/a\x7f", "/\xff", "", "/ /", "http://a%20b/x",
			"http://%41/x", "/x?a=%zz", "ftp://x/y", "mailto:x", "?x=1", "/x?", "unix:/x", "http://[::1]%20/x", "http://1.2.3.4:99999/x", "http://[1.2.3.4]/")
	}
	if !strings.Contains(t, "?") {
		t += "?"
	}
	switch w.rnd.IntN(12) {
	case 0:
		t += "read=none"
	case 1:
		t += "read=some"
	case 2:
		t += "first=yes"
	case 3:
		t += "first=yes&read=none"
	case 4:
		t += "info=" + w.pick("100", "102", "103", "199")
	}
	return t + w.pick("", "", "&status=404", "&status=500", "&status=204", "&status=304")
}

// framing writes the headers that say how long a body is, and the body.
func (w *writer) framing(version string) {
	body := w.body()
	if w.rarely(10) {
		w.oddFraming(body)
		return
	}
	switch {
	case version == "HTTP/1.1" && w.rarely(2):
		if w.rarely(3) {
			w.line("Content-Length: ", w.pick("3", "0", "", "x", "-1", "1, 1")) // chunked overrides it
		}
		if w.rarely(6) {
			w.line("Trailer: ", w.pick("T", "T, U", "", "Content-Length", "a b", "\x01"))
		}
		w.line("Transfer-Encoding: ", w.pick("chunked", "Chunked"))
		w.WriteString(w.nl())
		w.chunks(body)
	case w.rarely(2):
		w.line("Content-Length: ", fmt.Sprint(len(body)))
		w.WriteString(w.nl())
		w.Write(body)
	default:
		w.WriteString(w.nl())
	}
}

func (w *writer) oddFraming(body []byte) {
	for range 1 + w.rnd.IntN(2) {
		if w.rarely(2) {
			w.line(w.pick("Content-Length:", "content-length: ", "Content-Length : ", "Content-Length:\r\n "),
				w.pick("", " ", fmt.Sprint(len(body)), fmt.Sprint(len(body)), "0", "+3", "03", "0x3", "3 ", "3,3", "3\t", "-0", "9999999999999999999999", "9223372036854775807", "3\x00", "\xa03", "3;x", "1 2", "1_0"))
		} else {
			w.line(w.pick("Transfer-Encoding:", "transfer-encoding: ", "Transfer-Encoding : ", "Transfer-Encoding:\r\n ", "Transfer_Encoding: "),
				w.pick("", "chunked", "chunked", "CHUNKED", "chunked ", "\tchunked", "chunked, chunked", "gzip, chunked", "identity", "chunked;x", "\x0bchunked", "chunke", "gzip"))
		}
	}
	w.WriteString(w.nl())
	if w.rarely(2) {
		w.chunks(body)
	} else {
		w.Write(body)
	}
}

// chunks writes a body in chunks.
func (w *writer) chunks(body []byte) {
	for len(body) > 0 {
		n := min(len(body), 1+w.rnd.IntN([]int{1, 20, 30000}[w.rnd.IntN(3)]))
		if w.Len() > 200000 {
			n = len(body)
		}
		w.chunkLine(fmt.Sprintf("%x", n))
		w.Write(body[:n])
		if w.rarely(400) {
			w.WriteString(w.pick("\n", "\r", "", "\r\r\n", "\n\r\n"))
		} else {
			w.WriteString("\r\n")
		}
		body = body[n:]
	}
	if w.rarely(15) {
		w.chunkLine(w.pick("", " ", "\t", "-0", "0x0", "+0", "g", "00000000000000000", "\r"))
	} else {
		w.chunkLine("0")
	}
	if w.rarely(3) {
		for range w.rnd.IntN(3) {
			w.line(w.pick("T: 1", "T: 1\r\n U: 2", "V:", "T: GET / HTTP/1.1"))
		}
		if w.rarely(8) {
			w.line(w.pick(": x", " T: 1", "no colon", "T : 1", "\x01: 1", "T: "+strings.Repeat("x", w.rnd.IntN(5000)), " ", "\t", "T: \x01"))
		}
	}
	if w.rarely(20) {
		w.WriteString(w.pick("\n", "", "\r", "\r\r\n"))
	} else {
		w.WriteString("\r\n")
	}
}

func (w *writer) chunkLine(size string) {
	if w.rarely(40) {
		size = w.pick("", "+", "0x", "-", " ", "1;", "f f") + size
	}
	w.WriteString(w.pick("", "", "0", "000") + size + w.pick("", "", "", ";ext", "; a=\"b\"", "  ", "\t", ";"))
	if w.rarely(60) {
		w.WriteString(w.pick(" ;x", ";a\rb", ";a\nb", ";"+strings.Repeat("x", w.rnd.IntN(5000)), "\r", "\x00", "\x0b"))
	}
	if w.rarely(20) {
		w.WriteString(w.pick("\n", "\r\r\n", "\r", ""))
	} else {
		w.WriteString("\r\n")
	}
}

// request writes a request.
func (w *writer) request() {
	method := w.pick("GET", "GET", "HEAD", "POST", "POST", "PUT", "DELETE", "OPTIONS", "BREW", "CONNECT", "PATCH", "TRACE")
	version := w.pick("HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0")
	target := w.target()
	if method == "CONNECT" && w.rarely(2) {
		target = w.pick("docker:80", "docker", "[::1]:1", "/x", "a:b", "", "a:1:2", "[x]")
	}
	if w.rarely(25) {
		method = w.pick("PRI", "get", "G T", "", "GET\t", "G@T", "\x00", "x", "POST\x0b", "\r\nGET")
	}
	if w.rarely(25) {
		version = w.pick("HTTP/1.2", "HTTP/1.9", "HTTP/2.0", "HTTP/0.9", "HTTP/1.10", "HTTP/1.", "http/1.1", "HTTP/1.1 ", "HTTP/3.0", "", "HTTP/11", "HTTP/1,1")
	}
	if w.rarely(30) {
		method, target, version = "PRI", w.pick("*", "*", "/"), "HTTP/2.0"
	}
	w.line(method, w.pick(" ", " ", " ", " ", "  ")[:1], target, " ", version)
	w.headers(version)
	if method == "POST" {
		w.WriteString(w.pick("", "", "\r\n", "\n\n\r\n", "\r\n\r\n\r\n"))
	}
}

func (w *writer) headers(version string) {
	if w.rarely(40) {
		w.line(w.pick(" Host: x", ": x", "no colon", "A b: c", "Host : x", "\x01: x", "X\xff: y", ":", " "))
	}
	if !w.rarely(50) {
		w.line(w.pick("Host: docker", "host:  api.moby.localhost  ", "HOST:", "Host: /var/run/docker.sock"))
	}
	if w.rarely(40) {
		w.line(w.pick("Host: two", "Host: a b", "Host: [::1]", "Host: a\x01", "Host: \xff", "Host: a\"b", "Host: a/b?c"))
	}
	if version == "HTTP/1.0" || w.rarely(10) {
		w.line("Connection: ", w.pick("Keep-Alive", "Keep-Alive", "keep-alive, close", "close, keep-alive", "xkeep-alive", "Upgrade", "Upgrade, HTTP2-Settings", "keep-alive;x"))
	}
	if w.rarely(25) {
		w.line("Connection: ", w.pick("close", "Close", "xclose", "close,x", "x close", "", "keep-alive"))
	}
	if w.rarely(10) {
		w.line("Upgrade: ", w.pick("tcp", "h2c", "websocket"))
	}
	if w.rarely(10) {
		w.line("Expect: ", w.pick("100-continue", "100-continue", "100-Continue", "x100-continue", "cake", "", "100-continue, x"))
	}
	for range w.rnd.IntN(3) {
		w.line(w.pick("User-Agent: curl/8", "user-agent: Docker-Client/27 (linux)", "User-Agent: one\r\n \ttwo", "X-Registry-Auth: c2VjcmV0",
			"X: "+strings.Repeat("y", w.rnd.IntN(9000)), "Accept:", "X: a:b", "x-\xe9: 1", "X: \xe9", ": ignored", ": \x01", "X: \x01", "X: a\r\n\t \r\n b", "Cookie: "+strings.Repeat("a;", 20)))
	}
	if w.rarely(300) {
		w.WriteString(strings.Repeat("H: v\r\n", 600))
	}
	w.framing(version)
}

// generate writes random requests. It ends with one after which the server
// closes the connection, some of the time.
func generate(rnd *rand.Rand) []byte {
	w := &writer{rnd: rnd}
	for range 1 + rnd.IntN(6) {
		w.request()
	}
	w.WriteString(w.pick("", "", "",
		"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET /never HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /last HTTP/1.0\r\n\r\nGET /never HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /no-host HTTP/1.1\r\n\r\n", "GET http://x/no-host HTTP/1.1\r\n\r\n", "GET /  HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "GET / HTTP/2.0\r\nHost: x\r\n\r\n", "\x16\x03\x01\x02", "nonsense\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
		"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nXX", "GET /half HTTP/1.1\r\nHo"))
	if rnd.IntN(3) == 0 {
		return mutate(rnd, w.Bytes())
	}
	return w.Bytes()
}

// mutate changes a few bytes of what a client sends.
func mutate(rnd *rand.Rand, data []byte) []byte {
	words := []string{"\r\n", "\n", "\r", " ", "\t", ":", ";", ",", "0", "\x00", "\r\n\r\n", "0\r\n\r\n", "HTTP/1.1", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\r\n ", "chunked", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "/", "\xff"}
	for range 1 + rnd.IntN(4) {
		if len(data) == 0 {
			break
		}
		// Most of it is bodies; near a line's end it is more interesting.
		at := rnd.IntN(len(data))
		if n := bytes.IndexByte(data[at:], '\n'); n >= 0 && rnd.IntN(2) == 0 {
			at = min(len(data)-1, max(0, at+n+rnd.IntN(7)-3))
		}
		var new []byte
		new = append(new, data[:at]...)
		switch rest := data[at:]; rnd.IntN(4) {
		case 0: // removed
			new = append(new, rest[1+rnd.IntN(min(len(rest), 4)):]...)
		case 1: // another byte
			new = append(append(new, byte(rnd.IntN(256))), rest[1:]...)
		case 2: // a word more
			new = append(append(new, words[rnd.IntN(len(words))]...), rest...)
		case 3: // the same twice
			n := min(len(rest), 1+rnd.IntN(40))
			new = append(append(new, rest[:n]...), rest...)
		}
		data = new
	}
	return data
}
