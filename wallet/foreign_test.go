package wallet_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder/foldertest"
	"github.com/carekey/carekey/wallet"
)

// Promise 5: a reader that shares no code with this program finds in a ledger
// written by it the same ids, signatures, state roots and log root.
func TestForeignReaderAgrees(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("CAREKEY_NO_SKIP") != "" {
			t.Fatal(err)
		}
		t.Skip("python3 is not installed")
	}
	ctx := context.Background()
	tn := newTown(t)
	patient, clinic := tn.person("Maria"), tn.person("Dr Smith")
	rec := add(t, patient, "a.txt", "one")
	if _, _, err := patient.Records().Update(ctx, rec.ID.String(), wallet.Source{Reader: strings.NewReader("two"), Name: "a.txt", Size: 3}, wallet.Describe{}, nil); err != nil {
		t.Fatal(err)
	}
	patient.Contacts().Add(ctx, "Dr Smith", clinic.Address().String())
	c, code := grant(t, patient, "Dr Smith", tn.now)
	must(clinic.Inbox().OpenByCode(ctx, code, ""))(t)
	must(patient.Consents().Revoke(ctx, []contract.ID{c.ID}))(t)
	if _, _, err := patient.Records().Remove(ctx, rec.ID.String()); err != nil {
		t.Fatal(err)
	}
	size, root, _, err := patient.Log().Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(python, filepath.Join("..", "testdata", "reader.py"), tn.ledgerDir()).CombinedOutput()
	if want := fmt.Sprintf("ok size %d root %s\n", size, root); err != nil || string(out) != want {
		t.Errorf("reader.py says %q, %v; want %q", out, err, want)
	}
}

// Promise 5: what a store changed is found before anything of it is shown.
func TestStoreIsNotBelieved(t *testing.T) {
	ctx := context.Background()
	for _, part := range []ledgerclient.Part{ledgerclient.PartTerms, ledgerclient.PartEnvelope, ledgerclient.PartContent} {
		for name, damage := range map[string]func([]byte) []byte{
			"first byte":  func(b []byte) []byte { b[0] ^= 1; return b },
			"middle byte": func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
			"last byte":   func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
			"cut":         func(b []byte) []byte { return b[:len(b)-1] },
			"longer":      func(b []byte) []byte { return append(b, 0) },
			"empty":       func(b []byte) []byte { return nil },
		} {
			t.Run(part.String()+" "+name, func(t *testing.T) {
				tn := newTown(t)
				patient, clinic := tn.person("Maria"), tn.person("Dr Smith")
				add(t, patient, "a.txt", "a secret")
				patient.Contacts().Add(ctx, "Dr Smith", clinic.Address().String())
				_, code := grant(t, patient, "Dr Smith", tn.now)
				if part == ledgerclient.PartContent {
					file := onlyMatch(t, foldertest.Content(tn.ledgerDir(), "*"))
					if err := os.WriteFile(file, damage(must(os.ReadFile(file))(t)), 0o600); err != nil {
						t.Fatal(err)
					}
				} else {
					all := foldertest.Payloads(tn.ledgerDir(), part)
					if len(all) != 1 {
						t.Fatal(all)
					}
					good := must(all[0].Read())(t)
					bad := damage(good)
					if len(bad) != int(all[0].Length) {
						return // its length is the record's
					}
					if err := all[0].Write(bad); err != nil {
						t.Fatal(err)
					}
				}
				o, err := clinic.Inbox().OpenByCode(ctx, code, "")
				if err == nil {
					var out strings.Builder
					err = o.Read(ctx, 0, &out, nil)
					if strings.Contains(out.String(), "secret") && err != nil {
						t.Error("plaintext was released before the check")
					}
				}
				var tampered *ledgerclient.TamperedError
				if !errors.As(err, &tampered) {
					t.Errorf("got %v, want a TamperedError", err)
				}
			})
		}
	}
}

// A fetch code is checked, not believed.
func TestFetchCodes(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	patient, clinic, other := tn.person("Maria"), tn.person("Dr Smith"), tn.person("Dr Jones")
	add(t, patient, "a.txt", "a")
	patient.Contacts().Add(ctx, "Dr Smith", clinic.Address().String())
	_, code := grant(t, patient, "Dr Smith", tn.now)

	if _, err := other.Inbox().OpenByCode(ctx, code, ""); !errors.Is(err, wallet.ErrNotYours) {
		t.Errorf("somebody else's code: %v", err)
	}
	foreign := code
	foreign.Ledger[0]++
	if _, err := clinic.Inbox().OpenByCode(ctx, foreign, ""); !errors.Is(err, wallet.ErrForeignCode) {
		t.Errorf("code of another ledger: %v", err)
	}
	forked := code
	forked.Root[0]++
	var fork *ledgerclient.ForkError
	if _, err := clinic.Inbox().OpenByCode(ctx, forked, ""); !errors.As(err, &fork) || !errors.Is(err, wallet.ErrCodeHistory) || fork.Evidence != nil {
		t.Errorf("code of another history: %v", err)
	}
	newer := code
	newer.Size += 1000
	var rollback *ledgerclient.RollbackError
	if _, err := clinic.Inbox().OpenByCode(ctx, newer, ""); !errors.As(err, &rollback) || !errors.Is(err, wallet.ErrCodeHistory) {
		t.Errorf("code of a newer head than the ledger's: %v", err)
	}
	unknown := code
	unknown.Consent = crypto.Hash{1}
	if _, err := clinic.Inbox().OpenByCode(ctx, unknown, ""); !errors.Is(err, wallet.ErrNotFound) {
		t.Errorf("no such consent: %v", err)
	}
	if len(must(patient.Audit().Events(ctx))(t)) != 1 {
		t.Error("the attempts left something in the audit")
	}
	must(clinic.Inbox().OpenByCode(ctx, code, ""))(t)
}

// Promise 3: outside its window a consent opens nothing, and the attempt shows.
func TestWindow(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	patient, clinic := tn.person("Maria"), tn.person("Dr Smith")
	add(t, patient, "a.txt", "a")
	patient.Contacts().Add(ctx, "Dr Smith", clinic.Address().String())
	now := contract.Hour(tn.now.Unix() / 3600)
	p, err := patient.Grants().Plan(ctx, wallet.GrantRequest{To: "Dr Smith", All: true, NotBefore: now + 5, NotAfter: now + 10})
	if err != nil {
		t.Fatal(err)
	}
	c, code, err := patient.Grants().Give(ctx, p)
	if err != nil || c.Status != wallet.StatusUpcoming {
		t.Fatalf("%+v %v", c, err)
	}
	try := func(hour contract.Hour, want contract.Rule) {
		t.Helper()
		tn.now = wallet.HourTime(hour)
		_, err := clinic.Inbox().OpenByCode(ctx, code, "")
		var refused *wallet.RefusedError
		switch {
		case want == "" && err != nil:
			t.Errorf("hour %d: %v", hour-now, err)
		case want != "" && (!errors.As(err, &refused) || refused.Rule != want || !refused.Filed):
			t.Errorf("hour %d: %v, want %s", hour-now, err, want)
		}
	}
	try(now+4, contract.RuleNotYet)
	try(now+5, "")
	try(now+5, "")
	try(now+9, "")
	try(now+10, contract.RuleExpired)
	opened, refused := 0, 0
	for _, e := range must(patient.Audit().Events(ctx))(t) {
		switch e.What {
		case wallet.Opened:
			opened++
		case wallet.Refused:
			refused++
		}
	}
	if opened != 2 || refused != 2 {
		t.Errorf("audit shows %d openings and %d refusals, want 2 and 2", opened, refused)
	}
}
