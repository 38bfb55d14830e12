package wallet

import (
	"context"
	"fmt"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/wallet/payload"
	"github.com/carekey/carekey/wallet/view"
)

// readTerms reads, opens and verifies the terms of grants, and gives those of each to
// take. Terms that are not what the entry commits to, or not signed by who they say they
// are from, are a *ledgerclient.TamperedError.
func (st stored) readTerms(ctx context.Context, unread []unread, take func(t *view.Thread, tr *payload.Terms, err error) error) error {
	all := make([]wanted, len(unread))
	opened := make([]*payload.Terms, len(unread))
	for i, u := range unread {
		all[i] = wanted{at: u.at, most: payload.MaxTermsBlob, what: "terms", id: u.t.ID, may: u.may, check: func(blob []byte) (err error) {
			opened[i], err = st.openTerms(&unread[i], blob)
			return err
		}}
	}
	return st.readBlobs(ctx, all, func(i int, _ []byte, err error) error {
		tr := opened[i]
		if opened[i] = nil; err != nil {
			tr = nil
		}
		return take(unread[i].t, tr, err)
	})
}

// unread are terms that are not known yet.
type unread struct {
	t  *view.Thread
	at crypto.Locator
	// open decrypts for this side.
	open func(sc crypto.SealContext, sealed []byte) ([]byte, error)
	may  func(size int64) bool // as in wanted
}

// openTerms verifies terms.
func (st stored) openTerms(u *unread, blob []byte) (*payload.Terms, error) {
	w := st.w
	t := u.t
	e, err := w.view.Opening(t)
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*payload.Terms, error) {
		return nil, tampered("terms of consent", t.ID, err)
	}
	body, err := crypto.OpenBlob(blob)
	if err != nil {
		return fail(err)
	}
	plain, err := u.open(w.sealContext(ledgerclient.PartTerms, e.Author), body)
	if err != nil {
		return fail(err)
	}
	if len(plain) < len(crypto.Signature{}) {
		return fail(fmt.Errorf("too short"))
	}
	sig, text := crypto.Signature(plain[:64]), plain[64:]
	tr, err := payload.ParseTerms(text)
	if err != nil {
		return fail(err)
	}
	pkg := tr.Pack(crypto.BlobHash(blob))
	switch {
	case pkg.Commitment() != e.Commitment:
		return fail(errCommitment)
	case tr.Ledger != w.client.ID() || tr.Author != e.Author || tr.Recipient != e.Counterparty || tr.NotBefore != e.NotBefore || tr.NotAfter != e.NotAfter:
		return fail(fmt.Errorf("they belong to another consent"))
	case !tr.From.Sign.Verify(payload.TermsDigest(tr.Ledger, text), sig):
		return fail(fmt.Errorf("not signed by who they say they are from"))
	}
	return tr, nil
}

// ownTerms makes the terms of grants of one's own known, from the store if another
// machine wrote them. They stay unknown if the store does not hold them, or holds
// others (see thread.damage).
func (cs Consents) ownTerms(ctx context.Context, ts ...*view.Thread) error {
	return cs.eachTerms(ctx, ts, func(_ *view.Thread, err error) error { return err })
}

// eachTerms does what ownTerms does. failed is told of what hinders one of them, and is no
// matter of the store; with its error it is over.
func (cs Consents) eachTerms(ctx context.Context, ts []*view.Thread, failed func(*view.Thread, error) error) error {
	var all []unread
	for _, t := range ts {
		if t.Terms != nil {
			continue
		}
		t.SetDamage(nil)
		seed, _, err := cs.w.view.Key(t)
		if err == nil {
			all = append(all, unread{t: t, at: seed.Locator(t.ID, byte(ledgerclient.PartTerms)), open: cs.w.keys.Open})
		} else if err = failed(t, err); err != nil {
			return err
		}
	}
	return stored(cs).readTerms(ctx, all, func(t *view.Thread, tr *payload.Terms, err error) error {
		if err == nil {
			err = cs.w.view.NoteTerms(t, tr)
		} else {
			err = cs.w.spare(t, err) // the consent itself is on the ledger and can be ended all the same
		}
		if err != nil {
			return failed(t, err)
		}
		return nil
	})
}
