package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/cmd/cli/clitest"
	"github.com/carekey/carekey/crypto/lane"
)

// trusted writes a certificate for this computer that programs trust which are told so, and
// its key.
func (d *distantTown) trusted() (cert, key string) {
	d.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	d.must(err)
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: begin, NotAfter: begin.AddDate(100, 0, 0), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, private.Public(), private)
	d.must(err)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	d.must(err)
	cert, key = filepath.Join(d.dir, "cert.pem"), filepath.Join(d.dir, "key.pem")
	d.must(os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	d.must(os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
	d.order = append(d.order, "SSL_CERT_FILE="+cert)
	return cert, key
}

// TestLinkAtANode is the way of a link with the real programs: an operator with a certificate
// that is trusted, a patient, and somebody who has nothing but the link. Threats: who has the
// node's disk and its log reads something of it; a node that was killed counts anew.
func TestLinkAtANode(t *testing.T) {
	lane.OneGoroutine(t)
	t.Parallel()
	d := newDistance(t)
	address := freeAddress(t)
	cert, key := d.trusted()
	d.operator("init", "ledger", "--name", "City ledger", "--url", "https://"+address, "--tls-cert", cert, "--tls-key", key)
	d.serve("--listen", address)
	t.Cleanup(func() { d.kill() })
	invitation := strings.TrimSpace(string(d.operator("invite", "ledger")))
	d.mustRun("patient", "init", "--name", "Maria", "--ledger", invitation, "--words-file", filepath.Join(d.dir, "p.words"))
	d.mustRun("patient", "record", "add", filepath.Join(top(), "testdata", "fhir", "parts.json"))

	var made struct {
		Text, Page, Consent string
		Operator            struct{ Left int }
	}
	d.must(json.Unmarshal([]byte(d.mustRun("patient", "link", "create", "--role", "nurse", "--openings", "2", "--yes", "--json")), &made))
	if made.Operator.Left != 2 || !strings.HasPrefix(made.Page, "https://"+address+"/view#shlink:/") {
		t.Fatalf("%+v", made)
	}
	// An independent decoder reads the whole of it, from the file and from the terminal.
	file := filepath.Join(d.dir, "link.png")
	d.mustRun("patient", "link", "show", made.Consent, "-o", file)
	picture, err := os.ReadFile(file)
	d.must(err)
	person := sitAt(t, 120, 60, append(d.env("patient"), "TERM=xterm"), true, filepath.Join(d.dir, "bin", "carekey"), "link", "show", made.Consent)
	if code := person.end(); code != 0 {
		t.Fatalf("link show: exit %d: %s", code, person.screen)
	}
	for name, picture := range map[string][]byte{"file": picture, "terminal": clitest.Screen(t, string(person.screen))} {
		if got := clitest.Zbar(t, picture); got != made.Page {
			t.Errorf("on the %s is read %q, not %q", name, got, made.Page)
		}
	}
	open := func(by string) int {
		code, _, _ := d.run("nobody", "fetch", made.Page, "--allow-local", "--by", by, "--flat", "-o", "got "+by)
		return code
	}
	if code := open("Jones"); code != 0 {
		t.Fatalf("exit %d", code)
	}
	if got, err := os.ReadFile(filepath.Join(d.dir, "got Jones", "fhir.json")); err != nil || !bytes.Contains(got, []byte("195967001")) || bytes.Contains(got, []byte("propranolol")) {
		t.Errorf("%s, %v", got, err)
	}
	d.kill()
	d.serve("--listen", address)
	if code := open("Smith"); code != 0 {
		t.Errorf("the second opening: exit %d", code)
	}
	if code := open("Late"); code != cli.ExitRefused {
		t.Errorf("a third opening of two: exit %d", code)
	}
	var audit []struct {
		What, By string
		Operator *struct {
			State  string
			Events []struct{ What, By string }
		}
	}
	d.must(json.Unmarshal([]byte(d.mustRun("patient", "audit", "--json")), &audit))
	if len(audit) != 2 || audit[1].By != "Jones" || audit[0].Operator == nil || audit[0].Operator.State != "exhausted" || len(audit[0].Operator.Events) != 3 || audit[0].Operator.Events[1].By != "Smith" {
		t.Errorf("%+v", audit)
	}

	// Of what is in it, of who it is about and of the link nothing is on the node's disk.
	d.must(filepath.WalkDir(filepath.Join(d.dir, "ledger"), func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		secret := made.Text[len(made.Text)-200:]
		for _, word := range []string{"195967001", "Maria", secret} {
			if bytes.Contains(b, []byte(word)) {
				t.Errorf("%s holds %q", path, word)
			}
		}
		return err
	}))

	d.mustRun("patient", "link", "revoke", made.Consent)
	if code := open("After"); code != cli.ExitRefused {
		t.Errorf("after the revocation: exit %d", code)
	}
}
