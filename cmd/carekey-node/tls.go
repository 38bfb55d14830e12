package main

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
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/wallet/atomicfile"
)

// makeCertificate makes a key and a certificate of its own for the hosts of the
// URLs. Invitations pin the key, so that names and dates in it mean nothing to a
// wallet; other programs may look at them.
func makeCertificate(dir string, urls []string, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return err
	}
	t := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "carekey node"},
		NotBefore:             now.Add(-24 * time.Hour),
		NotAfter:              now.AddDate(20, 0, 0),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		DNSNames:              []string{"localhost"},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	for _, u := range urls {
		p, err := url.Parse(u)
		if err != nil {
			return err
		}
		if ip := net.ParseIP(p.Hostname()); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, p.Hostname())
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "tls"), 0o700); err != nil {
		return err
	}
	if err := atomicfile.Write(path(dir, privateKey), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600); err != nil {
		return err
	}
	return atomicfile.Write(path(dir, certificate), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

// errTLS: the certificate or its key cannot be used
const errTLS fault.Code = "bad-certificate"

// certificates gives the node's certificate and reads it again when the file
// changed, so that one that is renewed needs no restart.
type certificates struct {
	cert, key string

	mu      sync.Mutex
	loaded  *tls.Certificate
	changed time.Time // of the file that was loaded
	failed  func(error)
}

func openCertificate(dir string, c *config) (*certificates, error) {
	s := &certificates{cert: path(dir, c.TLS.Certificate), key: path(dir, c.TLS.Key)}
	_, err := s.get()
	return s, err
}

// leaf is the certificate itself, which get has read.
func (s *certificates) leaf() *x509.Certificate { return s.loaded.Leaf }

func (s *certificates) get() (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	info, err := os.Stat(s.cert)
	if err == nil && s.loaded != nil && info.ModTime().Equal(s.changed) {
		return s.loaded, nil
	}
	var c tls.Certificate
	if err == nil {
		c, err = tls.LoadX509KeyPair(s.cert, s.key)
	}
	if err != nil {
		if s.loaded != nil { // half of a renewal: the old one serves on
			if s.failed != nil {
				s.failed(err)
			}
			return s.loaded, nil
		}
		return nil, errTLS.Of(err)
	}
	s.loaded, s.changed = &c, info.ModTime()
	return s.loaded, nil
}

func (s *certificates) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.get() },
	}
}
