package wallet_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/wallet"
)

// Promises 6, 8: two homes restored from one seed work at once on one ledger.
// Nothing is doubled, and each sees all that the other did.
func TestTwoHomesOfOneSeed(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	seeds := map[string]crypto.Entropy{"patient": crypto.NewEntropy(), "clinic": crypto.NewEntropy()}
	homes := map[string][2]*wallet.Wallet{}
	for who, seed := range seeds {
		var two [2]*wallet.Wallet
		for i := range two {
			opt := wallet.Options{Dir: filepath.Join(tn.dir, who+string(rune('0'+i))), Keyring: tn.keys, Services: tn.services(), Now: tn.clock}
			w, err := wallet.Create(ctx, opt, seed, who, tn.ledgerDir())
			if err != nil {
				t.Fatal(err)
			}
			two[i] = w
		}
		homes[who] = two
	}
	address := homes["clinic"][0].Address()
	for _, w := range homes["patient"] {
		if _, _, err := w.Contacts().Add(ctx, clinicHome, address.String()); err != nil {
			t.Fatal(err)
		}
	}
	const each = 8
	done := make(chan error)
	for i, w := range homes["patient"] {
		go func() {
			done <- func() error {
				for k := range each {
					n := i*each + k
					title := "r" + string(rune('a'+n))
					r, _, err := w.Records().Add(ctx, source(title, 1), wallet.Describe{}, nil)
					if err != nil {
						return err
					}
					p, err := w.Grants().Plan(ctx, wallet.GrantRequest{To: clinicHome, Records: []string{r.ID.String()}, NotAfter: endOf(n)})
					if err != nil {
						return err
					}
					if _, _, err := w.Grants().Give(ctx, p); err != nil {
						return err
					}
				}
				return nil
			}()
		}()
	}
	for range homes["patient"] {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	// Both clinics fetch everything in the same hour, then both patients revoke
	// everything.
	for _, w := range homes["clinic"] {
		go func() {
			done <- func() error {
				box, err := w.Inbox().List(ctx)
				if err != nil {
					return err
				}
				for _, r := range box {
					if err := fetch(w, r); err != nil {
						return err
					}
				}
				return nil
			}()
		}()
	}
	for range homes["clinic"] {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	for i, w := range homes["clinic"] {
		box := must(w.Inbox().List(ctx))(t)
		if len(box) != 2*each {
			t.Errorf("clinic %d received %d consents, want %d", i, len(box), 2*each)
		}
		for _, r := range box {
			if err := fetch(w, r); err != nil {
				t.Errorf("clinic %d: %v", i, err)
			}
			if r.Fetched > 1 {
				t.Errorf("clinic %d: consent %s has %d accesses in one hour", i, r.Consent, r.Fetched)
			}
		}
	}
	var revoked [2][]wallet.Revocation
	for i, w := range homes["patient"] {
		cs := must(w.Consents().List(ctx))(t)
		recs := must(w.Records().List(ctx))(t)
		if len(cs) != 2*each || len(recs) != 2*each {
			t.Errorf("patient %d sees %d consents and %d records, want %d", i, len(cs), len(recs), 2*each)
		}
		ends := map[wallet.Hour]bool{}
		var ids []contract.ID
		for _, c := range cs {
			if ends[c.NotAfter] || c.Missing || c.To != clinicHome || c.Openings != 1 {
				t.Errorf("patient %d: %+v", i, c)
			}
			ends[c.NotAfter] = true
			ids = append(ids, c.ID)
		}
		go func() {
			var err error
			revoked[i], err = w.Consents().Revoke(ctx, ids)
			done <- err
		}()
	}
	for range homes["patient"] {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	mine := 0
	for i := range 2 * each {
		for k := range revoked {
			if !revoked[k][i].Already {
				mine++
			}
			if revoked[k][i].Consent.Status != wallet.StatusRevoked || len(revoked[k][i].Acks) == 0 {
				t.Errorf("patient %d: %+v", k, revoked[k][i])
			}
		}
	}
	if mine != 2*each {
		t.Errorf("%d revocations were each one's own, want %d", mine, 2*each)
	}
	size, _, _, err := homes["patient"][0].Log().Head(ctx)
	if want := uint64(1 + 2*each*4); err != nil || size != want {
		t.Errorf("the ledger has %d entries, want %d: %v", size, want, err)
	}
	f, err := folder.Open(tn.ledgerDir(), folder.Options{Clock: tn.clock})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Verify(ctx, nil, nil); err != nil {
		t.Error(err)
	}
}

// busy grants and revokes, three times as many grants as revocations, in one home
// that another process uses at the same time. arg is the first number.
func busy(d district, arg string) error {
	ctx := context.Background()
	patient, _, f, err := d.open()
	if err != nil {
		return err
	}
	defer f.Close()
	first, err := strconv.Atoi(arg)
	if err != nil {
		return err
	}
	recs, err := patient.Records().List(ctx)
	if err != nil {
		return err
	}
	for n := first; n < first+busyGrants; n++ {
		p, err := patient.Grants().Plan(ctx, wallet.GrantRequest{To: clinicHome, Records: []string{recs[0].ID.String()}, NotAfter: endOf(n)})
		if err != nil {
			return err
		}
		c, _, err := patient.Grants().Give(ctx, p)
		if err != nil {
			return err
		}
		if n%3 == 0 {
			if _, err := patient.Consents().Revoke(ctx, []contract.ID{c.ID}); err != nil {
				return err
			}
		}
	}
	return nil
}

const busyGrants = 12

// Promise 8: processes that grant and revoke at once, in one home and on one
// ledger, do not double, lose or mix up anything.
func TestProcessesAtOnce(t *testing.T) {
	d := newDistrict(t, t.TempDir())
	prefill(t, d)
	const processes = 3
	var running []*exec.Cmd
	for i := range processes {
		cmd := otherProcess(t, "busy", d, strconv.Itoa(100+i*busyGrants))
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		running = append(running, cmd)
	}
	for _, cmd := range running {
		if err := cmd.Wait(); err != nil {
			t.Errorf("a process: %v", err)
		}
	}
	a := inspect(t, d, true)
	for n := 100; n < 100+processes*busyGrants; n++ {
		id := a.grants[endOf(n)]
		if id == "" {
			t.Errorf("consent %d is lost", n)
		}
		if a.revoked[id] != (n%3 == 0) {
			t.Errorf("consent %d: revoked %t", n, a.revoked[id])
		}
	}
	if want := 2 + processes*busyGrants; len(a.grants) != want {
		t.Errorf("%d consents, want %d", len(a.grants), want)
	}
}
