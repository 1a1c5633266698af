// SPDX-License-Identifier: Apache-2.0

package dockerd

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/containerapi/containerapi/internal/debian"
)

// NamedEnv is the environment variable that names a dockerd to run tests on beside
// the others: one that a developer built, for example.
const NamedEnv = "CONTAINERAPI_DOCKERD"

// Engine is an installation of Docker that a [Daemon] is started from. The zero value
// is the one of this machine.
type Engine struct {
	// Name tells it from others, "newest"; empty for this machine's.
	Name string
	// usr is the directory that dockerd and what it starts have as /usr, with other
	// versions of containerd, runc and libraries; empty for this machine's.
	usr string
	// program is run in place of the dockerd in usr; empty for that one.
	program string
}

// Engines returns the engines to run tests on: this machine's, the one of the newest
// Debian release, which `make setup` installs in a directory of its own, and the
// dockerd that [NamedEnv] names, if it does. That one has the containerd and runc of
// the newest release. Whether an engine is there shows when it is started.
func Engines() ([]Engine, error) {
	root, err := debian.Root()
	if err != nil {
		return nil, err
	}
	usr := filepath.Join(root, "usr")
	all := []Engine{{Name: "machine"}, {Name: "newest", usr: usr}}
	if named := os.Getenv(NamedEnv); named != "" {
		all = append(all, Engine{Name: "named", usr: usr, program: named})
	}
	return all, nil
}

// OfMachine reports whether the engine is the one that is installed on this machine.
func (e Engine) OfMachine() bool { return e.usr == "" }

// Start is [Start] on this engine.
func (e Engine) Start(ctx context.Context, flags ...string) (*Daemon, error) {
	return e.start(ctx, nil, flags)
}

// find returns the path of the engine's docker command. The error is a
// [MissingError] where a program of it is missing.
func (e Engine) find() (cli string, err error) {
	if e.OfMachine() {
		if _, err := exec.LookPath("dockerd"); err != nil {
			return "", &MissingError{"needs dockerd: apt-get install docker.io"}
		}
		cli, err := exec.LookPath("docker")
		if err != nil {
			return "", &MissingError{"needs the docker command: apt-get install docker.io"}
		}
		return cli, nil
	}
	cli = filepath.Join(e.usr, "bin/docker")
	for _, name := range []string{filepath.Join(e.usr, "sbin/dockerd"), cli} {
		if _, err := os.Stat(name); err != nil {
			return "", &MissingError{fmt.Sprintf("needs the Docker Engine of Debian %s: make setup: %v", debian.Newest, err)}
		}
	}
	return cli, nil
}

// mountUsr is a script that runs a command with another /usr, in the mount namespace
// that it is in: $0 is the directory, $1 a dockerd in place of the one there, or
// empty.
const mountUsr = `usr=$0 program=$1
shift
if [ "$program" ]; then mount --bind "$program" "$usr/sbin/dockerd"; fi &&
	mount --rbind "$usr" /usr && exec "$@"`

// storage returns the flags of dockerd that say how images are kept. The drivers work
// on any file system.
func (e Engine) storage() []string {
	if e.OfMachine() {
		return []string{"--storage-driver=vfs"}
	}
	// In containerd's own store, as new installations have had them since Docker 29.
	return []string{"--feature=containerd-snapshotter=true", "--storage-driver=native"}
}

// command returns the command that runs dockerd, in a mount namespace of its own.
func (e Engine) command(flags []string) *exec.Cmd {
	if e.OfMachine() {
		return exec.Command("dockerd", flags...)
	}
	args := append([]string{"-c", mountUsr, e.usr, e.program, "/usr/sbin/dockerd"}, flags...)
	return exec.Command("/bin/sh", args...)
}
