// SPDX-License-Identifier: Apache-2.0

package dockerd

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// Image is the image that every [Daemon] has: a root with busybox and all its
// commands. A container of it runs a shell until it is stopped if it is
// started with -i or -t, and any command given.
const Image = "busybox"

// busybox returns the path of a statically linked busybox, the only kind that
// runs in a root without libraries.
var busybox = sync.OnceValues(func() (string, error) {
	path, err := exec.LookPath("busybox")
	if err != nil {
		return "", err
	}
	file, err := elf.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	libraries, err := file.ImportedLibraries()
	if err != nil {
		return "", err
	}
	if len(libraries) > 0 {
		return "", fmt.Errorf("%s needs the libraries %q", path, libraries)
	}
	return path, nil
})

// imageTar returns the root of [Image] as a tar archive, made once.
var imageTar = sync.OnceValues(func() ([]byte, error) {
	path, err := busybox()
	if err != nil {
		return nil, err
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	list, err := exec.Command(path, "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("list the commands of busybox: %w", err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(h tar.Header, data []byte) {
		h.ModTime = time.Unix(0, 0)
		h.Size = int64(len(data))
		if err == nil {
			err = w.WriteHeader(&h)
		}
		if err == nil {
			_, err = w.Write(data)
		}
	}
	for _, dir := range []string{"bin/", "etc/", "root/", "tmp/", "var/", "var/run/"} {
		add(tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o755}, nil)
	}
	add(tar.Header{Name: "etc/passwd", Mode: 0o644}, []byte("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"))
	add(tar.Header{Name: "etc/group", Mode: 0o644}, []byte("root:x:0:\nnogroup:x:65534:\n"))
	add(tar.Header{Name: "bin/busybox", Mode: 0o755}, program)
	for name := range strings.FieldsSeq(string(list)) {
		if name != "busybox" {
			add(tar.Header{Name: "bin/" + name, Typeflag: tar.TypeSymlink, Linkname: "busybox", Mode: 0o777}, nil)
		}
	}
	if err == nil {
		err = w.Close()
	}
	return b.Bytes(), err
})

// importImage gives the daemon its image.
func (d *Daemon) importImage(ctx context.Context) error {
	archive, err := imageTar()
	if err != nil {
		return fmt.Errorf("make the image: %w", err)
	}
	cmd := d.Command(ctx, "import", "--change", `CMD ["sh"]`, "-", Image)
	cmd.Stdin = bytes.NewReader(archive)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("docker import: %w\n%s", err, out)
	}
	return nil
}
