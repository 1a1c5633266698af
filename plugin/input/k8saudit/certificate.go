// SPDX-License-Identifier: Apache-2.0

package k8saudit

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
)

// certificates makes the TLS configuration of a server from files, and makes
// it again once they have changed.
type certificates struct {
	certificate, key, clientCA string

	mu     sync.Mutex
	config *tls.Config
	files  []os.FileInfo
}

func newCertificates(o WebhookOptions) (*certificates, error) {
	if o.Certificate == "" {
		return nil, errors.New("https needs a certificate: set the certificate file, or use http")
	}
	c := &certificates{certificate: o.Certificate, key: o.Key, clientCA: o.ClientCA}
	if c.key == "" {
		c.key = c.certificate
	}
	var err error
	if c.files, err = c.stat(); err != nil {
		return nil, err
	}
	c.config, err = c.load()
	return c, err
}

// current returns the configuration that the files hold now. If they cannot be
// read, it returns the last good one, and the error the first time.
func (c *certificates) current() (config *tls.Config, reloaded bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	files, err := c.stat()
	if err != nil {
		missed := c.files == nil
		c.files = nil
		if missed {
			err = nil
		}
		return c.config, false, err
	}
	if same(files, c.files) {
		return c.config, false, nil
	}
	c.files = files
	if config, err = c.load(); err != nil {
		return c.config, false, err
	}
	c.config = config
	return config, true, nil
}

func (c *certificates) load() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(c.certificate, c.key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", c.certificate, c.key, err)
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{pair},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"h2", "http/1.1"},
		// A resumed session would outlive the CA that let it in.
		SessionTicketsDisabled: true,
	}
	if c.clientCA == "" {
		return config, nil
	}
	pem, err := os.ReadFile(c.clientCA)
	if err != nil {
		return nil, fmt.Errorf("client CA: %w", err)
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("client CA %s holds no PEM certificate", c.clientCA)
	}
	config.ClientAuth = tls.RequireAndVerifyClientCert
	return config, nil
}

func (c *certificates) stat() ([]os.FileInfo, error) {
	var files []os.FileInfo
	for _, name := range []string{c.certificate, c.key, c.clientCA} {
		if name == "" {
			continue
		}
		info, err := os.Stat(name)
		if err != nil {
			return nil, fmt.Errorf("TLS file: %w", err)
		}
		files = append(files, info)
	}
	return files, nil
}

func same(a, b []os.FileInfo) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !os.SameFile(a[i], b[i]) || a[i].Size() != b[i].Size() || !a[i].ModTime().Equal(b[i].ModTime()) {
			return false
		}
	}
	return true
}
