// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"fmt"

	"github.com/containerapi/containerapi/internal/dockerd"
)

// PodImage is the name of the image of pods that [SavePodImage] makes.
const PodImage = "docker.io/local/pause:1"

// SavePodImage makes an image for [Cluster.StartKubelet] with a Docker Engine, and
// saves it to a file: its containers stay until they are killed.
func SavePodImage(ctx context.Context, d *dockerd.Daemon, file string) error {
	for _, args := range [][]string{
		{"create", "--name=pause", dockerd.Image, "true"},
		{"commit", `--change=ENTRYPOINT ["/bin/busybox", "sleep", "100000"]`, "--change=CMD []", "pause", PodImage},
		{"save", "--output=" + file, PodImage},
		{"rm", "pause"},
		{"rmi", PodImage},
	} {
		if out, err := d.Command(ctx, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("docker %s: %w: %s", args, err, out)
		}
	}
	return nil
}
