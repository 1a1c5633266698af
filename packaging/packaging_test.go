// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestReproducible packs the same files twice, with other times, modes and
// umasks: every release file must have the same bytes.
func TestReproducible(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	var packed [2]string
	for i, root := range []string{first, second} {
		when := time.Unix(int64(i)*1e6, 0)
		for name, text := range map[string]string{
			"plugin/plugin.go":                        "package main\n\nconst version = \"1.2.3\"\n\nvar info = Info{RequiredAPIVersion: \"3.0.0\"}\n",
			"libcontainerapi.so":                      "a library",
			"libcontainerapi-extract.so":              "another library",
			"rules/containerapi_rules.yaml":           "- required_engine_version: 0.26.0\n- required_plugin_versions:\n  - name: containerapi\n    version: 1.2.0\n",
			"rules/containerapi_k8s_audit_rules.yaml": "- required_engine_version: 0.26.0\n",
			"rules/containerapi_syscall_rules.yaml":   "- required_engine_version: 0.57.0\n",
		} {
			path := filepath.Join(root, name)
			if err := errors.Join(
				os.MkdirAll(filepath.Dir(path), 0o755),
				os.WriteFile(path, []byte(text), []os.FileMode{0o600, 0o755}[i]),
				os.Chtimes(path, when, when),
			); err != nil {
				t.Fatal(err)
			}
		}
		packed[i] = filepath.Join(root, "dist")
		if err := run(t.Context(), []string{"-out", packed[i], "-arch", "arm64", root}); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"containerapi-1.2.3-linux-aarch64.tar.gz",
		"containerapi-extract-1.2.3-linux-aarch64.tar.gz",
		"containerapi-k8s-audit-rules-1.2.3.tar.gz",
		"containerapi-rules-1.2.3.tar.gz",
		"containerapi-syscall-rules-1.2.3.tar.gz",
	}
	var names []string
	entries, err := os.ReadDir(packed[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if !slices.Equal(names, want) {
		t.Errorf("release files %q, want %q", names, want)
	}
	for _, name := range names {
		a, err1 := os.ReadFile(filepath.Join(packed[0], name))
		b, err2 := os.ReadFile(filepath.Join(packed[1], name))
		if err1 != nil || err2 != nil || !bytes.Equal(a, b) {
			t.Errorf("%s differs from build to build (%v, %v)", name, err1, err2)
		}
	}
	checkTar(t, filepath.Join(packed[0], want[0]), "libcontainerapi.so", "a library")
}

// checkTar fails the test if the archive does not have just this one file.
func checkTar(t *testing.T, path, name, content string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	zipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewReader(zipped)
	header, err := archive.Next()
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(archive)
	if err != nil {
		t.Fatal(err)
	}
	if header.Name != name || string(text) != content || header.Mode != 0o644 || header.Uid != 0 || !header.ModTime.Equal(time.Unix(0, 0)) {
		t.Errorf("%s has %+v with %q", path, header, text)
	}
	if _, err := archive.Next(); err != io.EOF {
		t.Errorf("%s has more than one file (%v)", path, err)
	}
}

// TestErrors names what is wrong and what to do.
func TestErrors(t *testing.T) {
	for _, test := range []struct {
		args []string
		says string
	}{
		{[]string{t.TempDir()}, "plugin.go"},
		{[]string{"-arch", "riscv64", "-out", t.TempDir(), ".."}, "amd64 and arm64"},
		{[]string{"-push", "localhost:1/x", "-out", t.TempDir(), ".."}, "run packaging without -push first"},
		{[]string{"one", "two"}, "one directory"},
	} {
		if err := run(t.Context(), test.args); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("packaging %q: error %v, want one with %q", test.args, err, test.says)
		}
	}
}

// TestOverlays holds the references in the overlays for Helm against what is
// released: artifacts by their names, and by this version, or by its minor
// version where they are followed.
func TestOverlays(t *testing.T) {
	r, err := read("..")
	if err != nil {
		t.Fatal(err)
	}
	references := make(map[string]bool)
	minor := r.version[:strings.LastIndexByte(r.version, '.')]
	for _, a := range r.artifacts {
		references[a.repository()+":"+r.version] = true
		references[a.repository()+":"+minor] = a.kind == rulesfile
	}
	overlays, err := filepath.Glob("../helm/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range overlays {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(`ghcr\.io/containerapi/(\S+)`).FindAllStringSubmatch(string(text), -1) {
			if found++; !references[match[1]] {
				t.Errorf("%s: %s is not what is released", name, match[0])
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d references in %q", found, overlays)
	}
}

// TestVersion holds what else names the version against the plugin's: what rules
// require, the first entry of the changelog, and the names in the docs.
func TestVersion(t *testing.T) {
	r, err := read("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range r.artifacts {
		for _, dependency := range a.dependencies {
			if _, version, _ := strings.Cut(dependency, ":"); version != r.version {
				t.Errorf("%s needs %s, but the version is %s", a.name, dependency, r.version)
			}
		}
	}
	for name, pattern := range map[string]string{
		"../CHANGELOG.md":     `(?s)\A.*?\n## (\S+)`,
		"../docs/packages.md": `containerapi(?:-[a-z0-9]+)*[-:](\d+\.\d+\.\d+)`,
	} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		matches := regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1)
		if len(matches) == 0 {
			t.Errorf("%s names no version", name)
		}
		for _, match := range matches {
			if match[1] != r.version {
				t.Errorf("%s: %q, but the version is %s", name, match[0], r.version)
			}
		}
	}
}
