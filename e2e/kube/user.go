// SPDX-License-Identifier: Apache-2.0

package kube

import "fmt"

// AddUser makes a kubeconfig for a further user of the cluster, who signs in with
// a certificate. Everything that takes a user of the cluster takes this name as
// well.
func (c *Cluster) AddUser(name, user string, groups ...string) error {
	if err := c.authority.client(name, user, groups...); err != nil {
		return fmt.Errorf("certificate of %s: %w", name, err)
	}
	return c.writeKubeconfig(name, fmt.Sprintf("{client-certificate: %q, client-key: %q}", c.file(name+".crt"), c.file(name+".key")))
}
