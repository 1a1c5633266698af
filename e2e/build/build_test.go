// SPDX-License-Identifier: Apache-2.0

package build

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/containerapi/containerapi/e2e/process"
)

// TestBuild builds a program of this module: only what is missing is built, and
// what is not built is named.
func TestBuild(t *testing.T) {
	// What is cached of compiled packages is not in this directory.
	goCache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOCACHE", string(goCache[:len(goCache)-1]))
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	const name = "falcosidekick"
	p := Programs{Name: "sink-1", Modules: []Module{{
		Directory: ".", Packages: []string{"github.com/containerapi/containerapi/e2e/compose/" + name},
	}}}
	if _, err := p.Program(name); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was not built is found: %v", err)
	}
	if _, err := p.Directory(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory of what was not built is found: %v", err)
	}
	log := new(process.Output)
	if err := p.Build(t.Context(), log); err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	want := filepath.Join(cache, "containerapi", "sink-1")
	if dir, err := p.Directory(); err != nil || dir != want {
		t.Errorf("the directory is %q, %v, want %q", dir, err, want)
	}
	program, err := p.Program(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, []byte("mine"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := p.Build(t.Context(), log); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(program); err != nil || string(text) != "mine" {
		t.Errorf("a program that was there is built again: %v", err)
	}
	if entries, err := os.ReadDir(want); err != nil || len(entries) != 1 {
		t.Errorf("in the directory are %v, %v", entries, err)
	}
}
