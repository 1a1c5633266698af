// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"strings"

	"github.com/distribution/reference"
)

// Repository returns the repository that a reference to an image names, as the
// docker command shows it: "traefik" for docker.io/library/traefik:v3. It is ""
// for an image that is called by its id.
func Repository(image string) string {
	if strings.HasPrefix(image, "sha256:") {
		return ""
	}
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return ""
	}
	return reference.FamiliarName(named)
}

// Tag returns the tag that a reference to an image names, "latest" if it names
// neither a tag nor a digest, as for Docker.
func Tag(image string) string {
	if strings.HasPrefix(image, "sha256:") {
		return ""
	}
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return ""
	}
	if tagged, ok := reference.TagNameOnly(named).(reference.Tagged); ok {
		return tagged.Tag()
	}
	return ""
}

// Digest returns the digest that a reference to an image names, "" if it names
// none.
func Digest(image string) string {
	if _, digest, ok := strings.Cut(image, "@"); ok {
		return digest
	}
	return ""
}
