package wallet

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/outbox"
	"github.com/carekey/carekey/wallet/view"
)

// RevokeRequest says which consents to end: by id, all of a contact, or all.
type RevokeRequest struct {
	Consents []string
	To       string
	All      bool
}

// Revocation is what became of one consent.
type Revocation struct {
	Consent Consent        `json:"-"`
	Already bool           `json:"already"` // it was revoked before
	Acks    []Acknowledged `json:"acks"`
	Unasked bool           `json:"-"` // a keeper gave no answer: it may have acknowledged what Acks lack
	// Stopped is at how many keepers it has stopped, by their word; each counts once, and one
	// may lie. Consent.Final tells from when on that does not matter.
	Stopped int      `json:"stopped"`
	Silent  []Keeper `json:"silent,omitempty"` // who has not acknowledged it
}

// Acknowledged is a keeper's signed word on its share of a consent.
type Acknowledged struct {
	Keeper
	End  ledgerclient.End `json:"end"`
	Hour Hour             `json:"time"`
}

// Select returns the consents that a request means: those named, also
// if they are over; of a contact's or all, those that are active, upcoming or on
// their way to the ledger. Which are over only the ledger tells: no clock is asked.
// Where it cannot be believed, those that were revoked before are among them: it may have
// lost that. A contact may be named by the address too.
func (cs Consents) Select(ctx context.Context, r RevokeRequest) (out []Consent, err error) {
	err = cs.w.Look(ctx, func() (err error) {
		out, err = cs.choose(ctx, r)
		return err
	})
	return out, err
}

func (cs Consents) choose(ctx context.Context, r RevokeRequest) ([]Consent, error) {
	var to crypto.Address
	if r.To != "" {
		c, err := cs.w.Contacts().Named(r.To)
		if err != nil {
			if c.Address, _ = crypto.ParseAddress(r.To); c.Address == (crypto.Address{}) {
				if cs.w.book.read == nil { // it may be in the book that cannot be read
					err = errors.Join(cs.w.view.Unwritten()...)
				}
				return nil, err
			}
		}
		to = c.Address
	}
	chosen := map[contract.ID]bool{}
	for _, q := range r.Consents {
		q, err := named{cs.w, view.OwnGrant, "consent"}.meant(ctx, q)
		if err != nil {
			return nil, err
		}
		if p := cs.w.Changes().find(Granting, q); p != nil {
			chosen[p.ID] = true
			continue
		}
		t, err := cs.w.find(ctx, view.OwnGrant, q, "consent")
		if err != nil {
			return nil, err
		}
		chosen[t.ID] = true
	}
	if err := cs.w.view.NeedThreads(); err != nil && len(r.Consents) == 0 {
		return nil, err
	}
	var ts []*view.Thread
	for t := range cs.w.view.Of(view.OwnGrant) {
		open := (t.Status == contract.StatusOpen || cs.w.view.Disbelieved()) && t.NotAfter > cs.w.view.Pin().Hour && cs.w.Changes().action(t.ID) != Revoking
		if chosen[t.ID] || open && (r.All || r.To != "") {
			ts = append(ts, t)
		}
	}
	cs.tryTerms(ctx, ts...)
	var out []Consent
	for _, t := range ofRole(ts, view.OwnGrant) {
		if chosen[t.ID] || r.All || cs.isFor(t, to) {
			out = append(out, cs.of(t))
		}
	}
	for _, c := range cs.pending() {
		if chosen[c.ID] || c.Pending != Revoking && (r.All || r.To != "" && c.Address == to) {
			out = append(out, c)
		}
	}
	return out, nil
}

// tryTerms is ownTerms for what ends consents: it can be done without their terms.
func (cs Consents) tryTerms(ctx context.Context, ts ...*view.Thread) {
	cs.eachTerms(ctx, ts, func(t *view.Thread, err error) error {
		t.SetDamage(err)
		return nil
	})
}

// Revoke ends consents: the keepers are told at once, the revocations go onto
// the ledger, and the keepers destroy their shares. Each of the two is done also
// when the other is out of reach; then what is left waits, and what was done is
// returned with [ErrPending]. Consents that were revoked before are reported as
// such.
//
// The key and the consents are all that it needs: what cannot be written of the
// wallet's folder is told by Unwritten. A revocation that could not be written down and
// not be ordered either is returned with the reason, which is no ErrPending:
// nothing waits.
func (cs Consents) Revoke(ctx context.Context, ids []contract.ID) (out []Revocation, err error) {
	err = cs.w.Look(ctx, func() error {
		sent := map[contract.ID]*outbox.Change{}
		var shown, unseen []*outbox.Change // by whether the ledger shows the consent
		for _, id := range ids {
			grant, t, ok := cs.granted(id)
			if !ok {
				return ErrNotFound.With("noun", "consent", "query", id.String())
			}
			// A ledger that cannot be believed may have lost what it showed before.
			if t != nil && t.Status == contract.StatusClosed && !cs.w.view.Disbelieved() || cs.w.Changes().action(id) == Revoking {
				continue
			}
			c, err := cs.prepareRevocation(grant, id)
			if err != nil {
				return err
			}
			if sent[id] = c; t != nil {
				cs.w.Changes().forgetUnheld(t)
				shown = append(shown, c)
			} else {
				unseen = append(unseen, c)
			}
		}
		// By the order in which they come nobody is to know them again.
		rand.Shuffle(len(shown), func(i, j int) { shown[i], shown[j] = shown[j], shown[i] })
		// What is on the ledger does not wait for what is not.
		waits := cmp.Or(cs.w.Changes().do(ctx, shown...), cs.w.Changes().do(ctx, unseen...))
		told := cs.acknowledgements(ctx, ids, sent)
		var first error
		failed := 0
		for _, id := range ids {
			c := sent[id]
			already := c == nil
			if c != nil && c.Err != nil {
				refused, ok := errors.AsType[*contract.Refusal](c.Err)
				already = ok && refused.Rule == contract.RuleRevoked // another machine was faster
				if !already {
					failed, first = failed+1, cmp.Or(first, failure(c))
				}
			}
			r, err := cs.revoked(id, c, told[id])
			if r != nil {
				r.Already = already
				out = append(out, *r)
			}
			waits = cmp.Or(waits, err)
		}
		if failed > 0 {
			return ErrPartly.Of(first, "done", len(out), "failed", failed)
		}
		return waits
	})
	return out, err
}

// acknowledgements asks the keepers what they acknowledged of those consents that this
// process has no answer about, and reads the terms of all that may not have been kept when
// they were chosen.
func (cs Consents) acknowledgements(ctx context.Context, ids []contract.ID, sent map[contract.ID]*outbox.Change) map[contract.ID]*inquired {
	var ended, silent []*view.Thread
	for _, id := range ids {
		t, c := cs.w.view.Thread(id), sent[id]
		told := c != nil && len(c.Acks) > 0
		if t == nil || t.Status != contract.StatusClosed && !told && cs.w.Changes().action(id) != Revoking {
			continue
		}
		if ended = append(ended, t); !told {
			silent = append(silent, t)
		}
	}
	cs.tryTerms(ctx, ended...)
	answers := cs.inquire(ctx, silent...)
	out := map[contract.ID]*inquired{}
	for i := range answers {
		out[silent[i].ID] = &answers[i]
	}
	return out
}

// revoked returns what became of a revocation; nil if it failed. sent is the change, if it
// was signed just now, and told what acknowledgements found. The error is that of a keeper
// which does not say what it acknowledged, and is not only out of reach.
func (cs Consents) revoked(id contract.ID, sent *outbox.Change, told *inquired) (*Revocation, error) {
	var acks []ledgerclient.Acknowledgement
	if sent != nil {
		acks = sent.Acks
	}
	t := cs.w.view.Thread(id)
	if t == nil {
		p := cs.w.Changes().find(Granting, id.String())
		if p == nil || cs.w.Changes().action(id) != Revoking {
			return nil, nil
		}
		return &Revocation{Consent: cs.pendingOf(p)}, nil // nobody is told of what the ledger does not show
	}
	if told == nil && len(acks) == 0 {
		return nil, nil
	}
	r := &Revocation{Consent: cs.of(t)}
	var err error
	if told != nil {
		for i := range told.answers {
			acks = append(acks, told.answers[i].Acks...)
		}
		err = told.err
		if r.Unasked = err != nil; cs.w.view.DoWithout(err) && !ledgerclient.Unreachable(err).Damaged {
			err = nil
		}
	}
	r.Acks = cs.acknowledged(t, acks)
	stopped := map[crypto.PubKey]bool{}
	for _, a := range r.Acks {
		stopped[a.Key] = true
	}
	config := cs.w.keepersOf(t)
	for line, key := range config.Keepers {
		if !stopped[key] {
			r.Silent = append(r.Silent, keeperOf(config, line))
		}
	}
	if r.Stopped = len(stopped); r.Consent.Keepers > 0 {
		r.Consent.Final = cs.w.final(t, r.Stopped)
	}
	return r, err
}

// prepareRevocation signs the end of a consent of one's own. grant is the self-tag of
// its opening entry.
func (cs Consents) prepareRevocation(grant crypto.SelfTag, id contract.ID) (*outbox.Change, error) {
	return cs.w.Changes().prepareEnd(Revoking, contract.Entry{Kind: contract.KindRevoke, Subject: id, NotAfter: ^contract.Hour(0)}, grant)
}

func (cs Consents) acknowledged(t *view.Thread, acks []ledgerclient.Acknowledgement) (out []Acknowledged) {
	config := cs.w.keepersOf(t)
	for line, key := range config.Keepers {
		for _, a := range acks {
			if key == a.Keeper {
				out = append(out, Acknowledged{Keeper: keeperOf(config, line), End: a.End, Hour: Hour(a.Hour)})
			}
		}
	}
	return out
}
