package wallet

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/crash"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/home"
	"github.com/carekey/carekey/wallet/outbox"
	"github.com/carekey/carekey/wallet/view"
)

// What a program needs that gives or ends consents by the thousand, in several steps
// and over several runs: see package batch.

// Together runs f with the wallet's lock, so that what f learns and changes by several
// methods is of one state, in which no other process changes anything. Who has waited
// for the lock since it was given up last goes first.
func (w *Wallet) Together(ctx context.Context, f func() error) error {
	if !w.lock.held {
		home.LetIn(ctx, w.home.Dir)
	}
	return w.with(ctx, f)
}

// Ready returns why nothing new can be begun at once: the ledger was not followed to
// its head, or something waits for it. It is nil if something can.
func (w *Wallet) Ready() error {
	if w.view.Behind() != nil {
		return w.view.Behind()
	}
	return errors.Join(append(w.Changes().PassedOver(), w.Changes().Stuck())...)
}

// Hour is the hour at which the ledger would judge an entry now.
func (lg Log) Hour() contract.Hour { return lg.w.view.Hour() }

// Signed are grants or revocations that are signed, or being signed, and not sent.
type Signed struct {
	// Errs says of each that was to be signed why it is not, nil if it is: of a grant a
	// [ErrWithdrawn], or a [ErrMissing] of a record's description or key; of a
	// revocation a *RefusedError, since the consent was revoked before.
	Errs []error

	w       *Wallet
	changes []*outbox.Change
	records []Record // of the grants, each once
	config  contract.Config
	err     error
	done    chan struct{} // closed once all are signed
}

// Sign begins to sign grants, on all cores and while the wallet does something
// else, behind those that are being signed already. An error means that none is.
func (gs Grants) Sign(ctx context.Context, plans []*GrantPlan) (*Signed, error) {
	s := &Signed{w: gs.w, done: make(chan struct{})}
	err := gs.w.with(ctx, func() error {
		ground := gs.newGround()
		var good []*GrantPlan
		s.config, s.Errs = gs.w.client.Config(), make([]error, len(plans))
		for i, p := range plans {
			err := gs.addPlan(ctx, ground, p)
			if err != nil && !errors.Is(err, ErrWithdrawn) && !isMissing(err) {
				return err
			}
			if s.Errs[i] = err; err == nil {
				good = append(good, p)
			}
		}
		for v := range ground.versions {
			s.records = append(s.records, Record{ID: v.record, Version: v.version})
		}
		s.changes = make([]*outbox.Change, len(good))
		errs := make([]error, len(good))
		before := gs.w.signing
		gs.w.signing = s.done
		go func() {
			defer crash.Report()
			defer close(s.done)
			if before != nil {
				<-before
			}
			ledgerclient.Parallel(len(good), func(i int) {
				if errs[i] = ctx.Err(); errs[i] == nil {
					s.changes[i], errs[i] = gs.prepare(good[i], ground)
				}
			})
			s.err = cmp.Or(errs...)
		}()
		return nil
	})
	return s, err
}

// SignRevocations signs the ends of consents that are on the ledger.
func (cs Consents) SignRevocations(ctx context.Context, ids []contract.ID) (*Signed, error) {
	s := &Signed{w: cs.w, Errs: make([]error, len(ids)), done: make(chan struct{})}
	close(s.done)
	err := cs.w.with(ctx, func() error {
		s.config = cs.w.client.Config()
		var open []*view.Thread
		for i, id := range ids {
			t := cs.w.view.Thread(id)
			switch {
			case t == nil || t.Role != view.OwnGrant:
				return ErrNotFound.With("noun", "consent", "query", id.String())
			case t.Status == contract.StatusClosed:
				s.Errs[i] = &RefusedError{By: "ledger", Rule: contract.RuleRevoked, Consent: id}
			default:
				open = append(open, t)
			}
		}
		s.changes = make([]*outbox.Change, len(open))
		errs := make([]error, len(open))
		ledgerclient.Parallel(len(open), func(i int) { s.changes[i], errs[i] = cs.prepareRevocation(open[i].Tag, open[i].ID) })
		return cmp.Or(errs...)
	})
	return s, err
}

// Wait waits until all is signed, and returns why something could not be.
func (s *Signed) Wait() error {
	<-s.done
	return s.err
}

// Usable reports whether what was signed may still be sent: the keepers are the same,
// and no record of it was removed since.
func (s *Signed) Usable() bool {
	config := s.w.client.Config()
	return s.config.Release == config.Release && slices.Equal(s.config.Keepers, config.Keepers) &&
		!slices.ContainsFunc(s.records, func(r Record) bool { _, err := s.w.Grants().grantable(r); return err != nil })
}

// Send brings what was signed onto the ledger, as one batch, as soon as all is.
// [ErrPending] means that it waits; with any other error nothing was sent, or what was
// begun waits.
//
// tag is the name of one of the wallet's job's files (see [Job]) that [Ended] is
// written to once the batch has come to its end, whoever brings it there: before it
// leaves the outbox, so that it is always in one of the two. With "" nobody is told.
func (s *Signed) Send(ctx context.Context, tag string) error {
	return s.w.with(ctx, func() error { return s.send(ctx, tag) })
}

func (s *Signed) send(ctx context.Context, tag string) error {
	if err := s.Wait(); err != nil || len(s.changes) == 0 {
		return err
	}
	return s.w.outbox.Do(ctx, &outbox.Batch{Tag: tag, Changes: s.changes})
}

// Ended is what became of a batch that was sent with a tag.
type Ended struct {
	Size    uint64        `json:"size"` // a head with all entries of the batch
	Root    crypto.Hash   `json:"root"`
	Changes []EndedChange `json:"changes"` // all that were signed, in their order
}

// EndedChange is what became of one grant or revocation.
type EndedChange struct {
	Consent contract.ID   `json:"consent"`
	Failed  bool          `json:"failed,omitempty"` // it did not come onto the ledger and never will
	Rule    contract.Rule `json:"rule,omitempty"`   // why the ledger refused it, if it did
	Hour    contract.Hour `json:"hour,omitempty"`   // when
}
