// SPDX-License-Identifier: Apache-2.0

package dockertest

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Registry starts a registry that has [Image] under every name, and returns its
// address, "127.0.0.1:port". It ends with the test.
func (d *Daemon) Registry(t testing.TB) string {
	t.Helper()
	archive, err := d.Command("save", Image).Output()
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string][]byte)
	for reader := tar.NewReader(bytes.NewReader(archive)); ; {
		header, err := reader.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[header.Name], err = io.ReadAll(reader); err != nil {
			t.Fatal(err)
		}
	}
	var saved []struct {
		Config string
		Layers []string
	}
	if err := json.Unmarshal(files["manifest.json"], &saved); err != nil {
		t.Fatal(err)
	}
	blobs := make(map[string][]byte)
	type descriptor struct {
		MediaType string `json:"mediaType"`
		Digest    string `json:"digest"`
		Size      int    `json:"size"`
	}
	add := func(kind string, content []byte) descriptor {
		sum := sha256.Sum256(content)
		digest := "sha256:" + hex.EncodeToString(sum[:])
		blobs[digest] = content
		return descriptor{kind, digest, len(content)}
	}
	const manifestType = "application/vnd.docker.distribution.manifest.v2+json"
	var layers []descriptor
	for _, name := range saved[0].Layers {
		layers = append(layers, add("application/vnd.docker.image.rootfs.diff.tar.gzip", files[name]))
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": manifestType, "layers": layers,
		"config": add("application/vnd.docker.container.image.v1+json", files[saved[0].Config]),
	})
	if err != nil {
		t.Fatal(err)
	}
	digest := add(manifestType, manifest).Digest
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
		content, kind := blobs[name], "application/octet-stream"
		switch {
		case r.URL.Path == "/v2/":
			return
		case strings.Contains(r.URL.Path, "/manifests/"):
			content, kind = manifest, manifestType
			w.Header().Set("Docker-Content-Digest", digest)
		case content == nil:
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write(content)
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}
