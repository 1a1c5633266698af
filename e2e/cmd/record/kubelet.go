// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/containerapi/containerapi/e2e/kube"
	"github.com/containerapi/containerapi/internal/dockerd"
)

// startKubelet starts a kubelet with an image for its pods.
func startKubelet(ctx context.Context, cluster *kube.Cluster, dir string) (stop func() error, err error) {
	file := filepath.Join(dir, "image.tar")
	daemon, err := dockerd.Start(ctx)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(kube.SavePodImage(ctx, daemon, file), daemon.Close()); err != nil {
		return nil, err
	}
	kubelet, err := cluster.StartKubelet(ctx, kube.PodImage, file)
	if err != nil {
		return nil, err
	}
	return kubelet.Stop, nil
}
