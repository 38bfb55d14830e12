package wallet_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/wallet"
)

// halted is a ledger at which nothing is ordered any more: its newest head is of that time.
type halted struct {
	*folder.Folder
	at   *time.Time
	told *int // how often it was told of entries, of which it then decides nothing; nil: it orders them
}

func (h halted) Properties() ledgerclient.Properties {
	return ledgerclient.Properties{Gate: ledgerclient.Enforced, Reach: "here", Clock: "node", Remote: true, Operators: 1, Freshness: 10 * time.Minute}
}

func (h halted) Checkpoint(ctx context.Context) ([]byte, error) {
	return h.CheckpointAt(ctx, *h.at)
}

func (h halted) Append(ctx context.Context, es []contract.Entry) ([]ledgerclient.Outcome, error) {
	if h.told == nil {
		return h.Folder.Append(ctx, es)
	}
	*h.told++
	return nil, &ledgerclient.UnreachableError{Service: "ledger", Err: errCut, Answered: true, Undecided: true}
}

// Where nothing is ordered any more, who looks is shown all that was, as of when that was
// signed, and is told so; nothing is given or opened on it, and what is to end ends.
func TestLookingAtAnOldHead(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	signed := tn.now
	var told *int
	over := func(w wallet.Options) wallet.Options {
		f := must(folder.Open(tn.ledgerDir(), folder.Options{Clock: tn.clock}))(t)
		t.Cleanup(func() { f.Close() })
		w.Services.Ledger = halted{f, &signed, told}
		return w
	}
	open := func(name string) *wallet.Wallet { return must(wallet.Open(ctx, over(tn.options(name))))(t) }
	tn.person("Maria")
	clinic := tn.person("Dr Smith")
	maria := open("Maria")
	add(t, maria, "a.txt", "a")
	must2(maria.Contacts().Add(ctx, "Dr Smith", clinic.Address().String()))(t)
	c, _ := grant(t, maria, "Dr Smith", tn.now)

	signed = tn.now.Add(20 * time.Minute) // and then no more
	tn.now = tn.now.Add(5 * time.Hour)
	halts := func(what string, w *wallet.Wallet, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		since, why := w.Log().OutOfReach()
		if !errors.Is(why, ledgerclient.ErrStale) || !since.Equal(signed) {
			t.Errorf("%s: as of %v, %v", what, since, why)
		}
	}
	for range 2 { // what Dr Smith was given since he looked last, too
		clinic = open("Dr Smith")
		rs, err := clinic.Inbox().List(ctx)
		if halts("inbox", clinic, err); len(rs) != 1 || rs[0].Status != wallet.StatusActive || !rs[0].AsOf.Equal(signed) {
			t.Errorf("inbox: %+v", rs)
		}
	}
	maria = open("Maria")
	records, err := maria.Records().List(ctx)
	if halts("record list", maria, err); len(records) != 1 || !records[0].AsOf.Equal(signed) {
		t.Errorf("record list: %+v", records)
	}
	cs, err := maria.Consents().List(ctx)
	if halts("consent list", maria, err); len(cs) != 1 || cs[0].Status != wallet.StatusActive || !cs[0].AsOf.Equal(signed) {
		t.Errorf("consent list: %+v", cs)
	}
	es, err := maria.Audit().Events(ctx)
	if halts("audit", maria, err); len(es) != 1 || len(es[0].Missing) == 0 || es[0].Missing[0] != "ledger" {
		t.Errorf("audit: %+v", es)
	}
	s, err := maria.Audit().Status(ctx)
	if halts("status", maria, err); s.Records != 1 || len(s.Consents) != 1 {
		t.Errorf("status: %+v", s)
	}

	for what, verb := range map[string]func() error{
		"grant": func() error {
			_, err := open("Maria").Grants().Plan(ctx, wallet.GrantRequest{To: "Dr Smith", All: true, NotAfter: contract.Hour(c.NotAfter)})
			return err
		},
		"fetch":   func() error { _, err := open("Dr Smith").Inbox().OpenByID(ctx, c.ID.String(), "x"); return err },
		"verify":  func() error { _, _, err := open("Maria").Log().Verify(ctx, wallet.Checked{}, nil); return err },
		"sync":    func() error { _, err := open("Maria").Changes().Sync(ctx); return err },
		"contact": func() error { return open("Maria").Contacts().SetVerified(ctx, "Dr Smith") },
	} {
		if err := verb(); !errors.Is(err, ledgerclient.ErrStale) {
			t.Errorf("%s: %v", what, err)
		}
	}

	revoke := func() ([]wallet.Revocation, error) {
		o := over(tn.options("Maria"))
		o.Revoking = true
		return must(wallet.Open(ctx, o))(t).Consents().Revoke(ctx, []contract.ID{c.ID})
	}
	told = new(int)
	if _, err := revoke(); !errors.Is(err, wallet.ErrPending) || *told != 1 {
		t.Errorf("revoke: %v, told %d times", err, *told)
	}
	for _, want := range []int{0, 1, 1} { // who looks waits for it once in ten minutes
		*told = 0
		for range 3 {
			maria = open("Maria")
			cs, err := maria.Consents().List(ctx)
			if halts("consent list", maria, err); len(cs) != 1 || cs[0].Pending != wallet.Revoking {
				t.Errorf("consent list: %+v", cs)
			}
		}
		if *told != want {
			t.Errorf("told %d times, not %d", *told, want)
		}
		tn.now = tn.now.Add(11 * time.Minute)
	}
	told = nil
	rs, err := revoke()
	if err != nil || len(rs) != 1 || rs[0].Consent.Status != wallet.StatusRevoked {
		t.Errorf("revoke: %+v, %v", rs, err)
	}
	signed = tn.now
	clinic = open("Dr Smith")
	if rs, err := clinic.Inbox().List(ctx); err != nil || len(rs) != 1 || rs[0].Status != wallet.StatusRevoked || !rs[0].AsOf.IsZero() {
		t.Errorf("when it goes on: %+v, %v", rs, err)
	}
	if _, why := clinic.Log().OutOfReach(); why != nil {
		t.Error(why)
	}
}
