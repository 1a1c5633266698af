// SPDX-License-Identifier: Apache-2.0

package manifest_test

import (
	"strings"
	"testing"
)

// BenchmarkReader reads a pod, and an object of nothing but names.
func BenchmarkReader(b *testing.B) {
	container := `{"name":"a","image":"busybox","env":[{"name":"A","value":"bbbbbbbb"}],"resources":{"limits":{"cpu":"1"}},"imagePullPolicy":"Always"}`
	for name, text := range map[string]string{
		"pod":   `{"kind":"Pod","metadata":{"name":"x"},"spec":{"containers":[` + strings.Repeat(container+",", 10) + container + `]}}`,
		"names": `{"spec":{` + strings.Repeat(`"a":1,`, 170000) + `"b":1}}`,
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				read(text, len(text))
			}
		})
	}
}
