// SPDX-License-Identifier: Apache-2.0

package k8saudit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerapi/containerapi/plugin/input/inputtest"
)

// authority is a certificate authority for one test.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t testing.TB) *authority {
	a := &authority{t: t}
	a.cert, a.key, a.pem, _ = a.sign(&x509.Certificate{
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

func (a *authority) sign(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey, []byte, []byte) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber, _ = rand.Int(rand.Reader, big.NewInt(1<<62))
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	template.Subject = pkix.Name{CommonName: template.SerialNumber.String()}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}

// issue returns a certificate for 127.0.0.1 and its key in PEM.
func (a *authority) issue() (cert, key []byte) {
	_, _, cert, key = a.sign(&x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	return cert, key
}

// client is an HTTP client that trusts a and shows a certificate of other.
func (a *authority) client(other *authority) *http.Client {
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	config := &tls.Config{RootCAs: roots}
	if other != nil {
		pair, err := tls.X509KeyPair(other.issue())
		if err != nil {
			a.t.Fatal(err)
		}
		// Shown whether the server asks for it or not.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	a.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func writeFile(t testing.TB, path string, parts ...[]byte) string {
	t.Helper()
	var all []byte
	for _, part := range parts {
		all = append(all, part...)
	}
	if err := os.WriteFile(path, all, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTLS(t *testing.T) {
	t.Cleanup(inputtest.Leaks(t))
	dir := t.TempDir()
	a := newAuthority(t)
	cert, key := a.issue()
	for name, o := range map[string]WebhookOptions{
		"two files": {Certificate: writeFile(t, filepath.Join(dir, "cert"), cert), Key: writeFile(t, filepath.Join(dir, "key"), key)},
		"one file":  {Certificate: writeFile(t, filepath.Join(dir, "both"), key, cert)},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, "https://:0/k8s-audit", o)
			s.client = a.client(nil)
			if status := s.send(strings.NewReader(list("a"))); status != 200 {
				t.Errorf("status %d", status)
			}
			config := s.client.Transport.(*http.Transport).TLSClientConfig.Clone()
			config.MaxVersion = tls.VersionTLS11
			if c, err := tls.Dial("tcp", s.hook.Addr().String(), config); err == nil {
				c.Close()
				t.Error("TLS 1.1 is accepted")
			}
			s.stop()
			s.client.CloseIdleConnections()
		})
	}
}

func TestMutualTLS(t *testing.T) {
	t.Cleanup(inputtest.Leaks(t))
	dir := t.TempDir()
	servers, clients, strangers := newAuthority(t), newAuthority(t), newAuthority(t)
	cert, key := servers.issue()
	s := serve(t, "https://:0", WebhookOptions{
		Certificate: writeFile(t, filepath.Join(dir, "cert"), cert, key),
		ClientCA:    writeFile(t, filepath.Join(dir, "ca"), clients.pem),
	})
	for _, test := range []struct {
		name    string
		client  *http.Client
		status  int
		problem string
	}{
		{"good", servers.client(clients), 200, ""},
		{"none", servers.client(nil), 0, "didn't provide a certificate"},
		{"of a stranger", servers.client(strangers), 0, "unknown authority"},
	} {
		s.client = test.client
		before := s.sink.MalformedCount()
		if status := s.send(strings.NewReader(list(test.name))); status != test.status {
			t.Errorf("%s: status %d", test.name, status)
		}
		s.client.CloseIdleConnections()
		if test.problem != "" {
			s.sink.Eventually(t, "the handshake is logged", func() bool { return s.sink.MalformedCount() > before })
			s.wantMalformed(before+1, test.problem)
		}
	}
	once(t, s.sink, []string{"good"})
	// A health check that only connects is nothing to log.
	before := s.sink.MalformedCount()
	c, err := net.Dial("tcp", s.hook.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	s.client = servers.client(clients)
	s.send(strings.NewReader(list("good")))
	s.client.CloseIdleConnections()
	s.wantMalformed(before, "")
	s.stop()
}

func TestCertificateRotation(t *testing.T) {
	t.Cleanup(inputtest.Leaks(t))
	dir := t.TempDir()
	first, second := newAuthority(t), newAuthority(t)
	certFile, keyFile, caFile := filepath.Join(dir, "cert"), filepath.Join(dir, "key"), filepath.Join(dir, "ca")
	cert, key := first.issue()
	writeFile(t, certFile, cert)
	writeFile(t, keyFile, key)
	writeFile(t, caFile, first.pem)
	s := serve(t, "https://:0", WebhookOptions{Certificate: certFile, Key: keyFile, ClientCA: caFile})
	try := func(trust, show *authority, want int) {
		t.Helper()
		s.client = trust.client(show)
		if status := s.send(strings.NewReader(list("a"))); status != want {
			t.Errorf("status %d, want %d", status, want)
		}
		s.client.CloseIdleConnections()
	}
	try(first, first, 200)
	// Half of a rotation: the key does not fit, the last pair stays.
	cert, key = second.issue()
	writeFile(t, certFile, cert)
	try(first, first, 200)
	try(first, first, 200)
	if n := strings.Count(s.sink.InfoText(), "keeps its last certificate"); n != 1 {
		t.Errorf("the problem is logged %d times:\n%s", n, s.sink.InfoText())
	}
	os.Remove(keyFile)
	try(first, first, 200)
	writeFile(t, keyFile, key)
	writeFile(t, caFile, second.pem)
	try(second, second, 200)
	try(second, first, 0)
	if !strings.Contains(s.sink.InfoText(), "uses a new certificate") {
		t.Error("the new certificate is not logged")
	}
	s.stop()
}
