// SPDX-License-Identifier: Apache-2.0

package containerlog_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/containerapi/containerapi/plugin/containerlog"
)

// docker is a line as Docker's driver json-file writes it.
func docker(stream, text string) string {
	line, err := json.Marshal(struct {
		Log    string `json:"log"`
		Stream string `json:"stream"`
		Time   string `json:"time"`
	}{text, stream, "2026-09-14T10:00:00Z"})
	if err != nil {
		panic(err)
	}
	return string(line)
}

func TestJoiner(t *testing.T) {
	const stdout, stderr = "2026-09-14T10:00:00.000000001Z stdout ", "2026-09-14T12:00:00.000000001+02:00 stderr "
	piece := strings.Repeat("x", 16<<10)
	escape := piece[2:] + `\n`
	for _, test := range []struct {
		name        string
		lines, want []string
		waiting     bool
	}{
		{name: "no engine's", lines: []string{`{"a":1}`, "", "12 stdout x", `{"log":"`}, want: []string{`{"a":1}`, "", "12 stdout x", `{"log":"`}},
		{name: "whole", lines: []string{stdout + "F a b", stdout + "F:x c", stdout + "F "}, want: []string{"a b", "c", ""}},
		{name: "pieces", lines: []string{stdout + "P a ", stdout + "P b", stdout + "F c", stdout + "F d"}, want: []string{"a bc", "d"}},
		{name: "last piece without text", lines: []string{stdout + "P a", stdout + "F"}, want: []string{"a"}},
		{name: "two streams", lines: []string{stdout + "P a", stderr + "P 1", stderr + "F 2", stdout + "F b"}, want: []string{"12", "ab"}},
		{name: "the end has not come", lines: []string{stdout + "P a", stderr + "F 1"}, want: []string{"1"}, waiting: true},
		{name: "too long", lines: []string{stdout + "P " + piece, stdout + "P " + piece, stdout + "F " + piece}, want: []string{piece + piece[:4<<10]}},
		{name: "Docker, whole", lines: []string{docker("stdout", "a\n")}, want: []string{docker("stdout", "a\n")}},
		{name: "Docker, without an end", lines: []string{docker("stdout", "a")}, want: []string{docker("stdout", "a")}},
		{name: "Docker, quotes", lines: []string{docker("stdout", `"\`+"\n")}, want: []string{docker("stdout", `"\`+"\n")}},
		{name: "Docker, pieces", lines: []string{docker("stdout", piece), docker("stderr", "1\n"), docker("stdout", "\"end\n"), docker("stdout", "b\n")},
			want: []string{docker("stderr", "1\n"), piece + "\"end\n", docker("stdout", "b\n")}},
		{name: "Docker, a piece that ends with an escape", lines: []string{docker("stdout", escape), docker("stdout", "b\n")}, want: []string{escape + "b\n"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			j := containerlog.NewJoiner(20 << 10)
			var got []string
			for _, line := range test.lines {
				if text, ok := j.Line([]byte(line)); ok {
					got = append(got, string(text))
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %.80q, want %.80q", got, test.want)
			}
			if j.Waiting() != test.waiting {
				t.Errorf("waiting: %v", j.Waiting())
			}
		})
	}
}

func FuzzJoiner(f *testing.F) {
	f.Add("2026-09-14T10:00:00.000000001Z stdout P a\n2026-09-14T10:00:00.000000001Z stdout F b")
	f.Add(docker("stdout", strings.Repeat("x", 16<<10)) + "\n" + docker("stdout", "b\n"))
	f.Fuzz(func(t *testing.T, text string) {
		j := containerlog.NewJoiner(1 << 10)
		for line := range strings.Lines(text) {
			j.Line([]byte(line))
		}
	})
}
