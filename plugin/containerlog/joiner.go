// SPDX-License-Identifier: Apache-2.0

// Package containerlog reads the lines that a container engine makes of what a
// container wrote.
package containerlog

import (
	"bytes"

	"github.com/valyala/fastjson"
)

// dockerPiece is how many bytes of a line Docker writes at once, as defaultBufSize of
// moby's daemon/logger says.
const dockerPiece = 16 << 10

// Joiner puts lines together that a container engine cut: a kubelet's runtimes and
// Docker write a line of more than 16 KiB in pieces. Lines that no engine wrote are
// left as they are.
type Joiner struct {
	max     int
	streams [2]stream // stdout, stderr
	parser  fastjson.Parser
}

// stream is what a container wrote to one of its outputs since the last whole line.
type stream struct {
	pieces  []byte
	waiting bool
}

// NewJoiner returns a Joiner of lines up to max bytes. Of longer ones it returns that
// much.
func NewJoiner(max int) *Joiner { return &Joiner{max: max} }

// Line returns what the container wrote as one line, which ends with the given line of
// its log. If that holds only a piece and not the last one, ok is false. The text is
// valid until the next call.
func (j *Joiner) Line(line []byte) (text []byte, ok bool) {
	if name, last, piece, ok := cutCRI(line); ok {
		return j.add(j.stream(name), piece, last)
	}
	written, ok := dockerText(line)
	if !ok || endsLine(written) && !j.Waiting() {
		return line, true
	}
	v, err := j.parser.ParseBytes(line)
	if err != nil {
		return line, true
	}
	s, piece := j.stream(v.GetStringBytes("stream")), v.GetStringBytes("log")
	last := len(piece) != dockerPiece || piece[len(piece)-1] == '\n'
	if last && !s.waiting {
		return line, true
	}
	return j.add(s, piece, last)
}

// Waiting reports that the end of a line has not come yet.
func (j *Joiner) Waiting() bool { return j.streams[0].waiting || j.streams[1].waiting }

func (j *Joiner) stream(name []byte) *stream {
	if string(name) == "stderr" {
		return &j.streams[1]
	}
	return &j.streams[0]
}

func (j *Joiner) add(s *stream, piece []byte, last bool) (text []byte, ok bool) {
	if last && !s.waiting {
		return piece, true
	}
	if !s.waiting {
		s.pieces = s.pieces[:0]
	}
	s.pieces = append(s.pieces, piece[:min(len(piece), j.max-len(s.pieces))]...)
	s.waiting = !last
	return s.pieces, last
}

// cutCRI splits a line as the kubelet's log format has it: the time, the stream, tags
// that a colon separates, of which the first is P for a piece and F for the last one,
// and the text.
func cutCRI(line []byte) (stream []byte, last bool, text []byte, ok bool) {
	if len(line) == 0 || line[0] < '0' || line[0] > '9' {
		return nil, false, nil, false
	}
	const timeLength = len("2006-01-02T15:04:05.999999999-07:00")
	end := bytes.IndexByte(line[:min(len(line), timeLength+1)], ' ')
	if end < 0 {
		return nil, false, nil, false
	}
	stream, rest, _ := bytes.Cut(line[end+1:], []byte(" "))
	if string(stream) != "stdout" && string(stream) != "stderr" {
		return nil, false, nil, false
	}
	tags, text, _ := bytes.Cut(rest, []byte(" "))
	switch tag, _, _ := bytes.Cut(tags, []byte(":")); string(tag) {
	case "P":
		return stream, false, text, true
	case "F":
		return stream, true, text, true
	}
	return nil, false, nil, false
}

// dockerText returns the text in a line of Docker's driver json-file, as it stands
// there.
func dockerText(line []byte) (text []byte, ok bool) {
	rest, ok := bytes.CutPrefix(line, []byte(`{"log":"`))
	if !ok {
		return nil, false
	}
	for i := 0; i < len(rest); {
		quote := bytes.IndexByte(rest[i:], '"')
		if quote < 0 {
			return nil, false
		}
		end := i + quote
		if trailing(rest[:end])%2 == 0 {
			return rest[:end], true
		}
		i = end + 1
	}
	return nil, false
}

// endsLine reports that the text of a JSON string ends with a newline.
func endsLine(text []byte) bool {
	before, ok := bytes.CutSuffix(text, []byte("n"))
	return ok && trailing(before)%2 == 1
}

// trailing returns how many backslashes a text ends with.
func trailing(text []byte) int { return len(text) - len(bytes.TrimRight(text, `\`)) }
