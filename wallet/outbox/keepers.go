package outbox

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/carekey/carekey/crypto/crash"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// stop tells the keepers of revocations before they are ordered, so that whoever orders
// cannot delay them, unless they know. What a keeper answers wrongly, or does not answer,
// does not keep a revocation from the ledger; deliver asks once more. It reports whether
// all keepers know now and did not before.
func (o *Outbox) stop(ctx context.Context, b *Batch) bool {
	var revocations []*Change
	all := true
	for _, c := range b.Changes {
		if c.revokes() {
			// Ordered before its grant, by whoever was told, it would never count.
			if o.known(c.Entry.Subject) {
				revocations = append(revocations, c)
			} else {
				all = false
			}
		}
	}
	if b.told || len(revocations) == 0 {
		return false
	}
	b.told = all && ledgerclient.Unreachable(errors.Join(o.tell(ctx, revocations)...)) == nil
	return b.told
}

// tell sends revocations to every keeper, takes up what they acknowledge, and returns why
// each of them failed.
func (o *Outbox) tell(ctx context.Context, revocations []*Change) []error {
	if len(revocations) == 0 {
		return nil
	}
	acks := make([][]ledgerclient.Acknowledgement, len(o.Client.Keepers))
	errs := o.ask(func(i int, k ledgerclient.Keeper) error {
		answers, err := k.Revoke(ctx, entries(revocations))
		refused, err := refusals(err, len(revocations))
		if err != nil {
			return err
		}
		if len(answers) != len(revocations) {
			return &ledgerclient.TamperedError{What: fmt.Sprintf("acknowledgement of keeper %d", i+1)}
		}
		for j := range answers {
			if refused[j] != nil {
				continue
			}
			if err := answers[j].Verify(o.Client.ID(), revocations[j].Entry.Subject, k.Key()); err != nil {
				return &ledgerclient.TamperedError{What: fmt.Sprintf("acknowledgement of keeper %d", i+1), Err: err}
			}
		}
		acks[i] = answers
		return worst(refused)
	})
	for i := range acks {
		for j, a := range acks[i] {
			if a.End != 0 {
				revocations[j].Acks = append(revocations[j].Acks, a)
			}
		}
	}
	return errs
}

// Deposit hands the keepers the shares of grants that are in the log. The shares
// derive from the grants' seeds, so that repeating it deposits the same.
func (o *Outbox) Deposit(ctx context.Context, grants []*Change) error {
	if len(grants) == 0 {
		return nil
	}
	perKeeper := make([][]ledgerclient.Deposit, len(o.Client.Keepers))
	for i := range perKeeper {
		perKeeper[i] = make([]ledgerclient.Deposit, len(grants))
	}
	errs := make([]error, len(grants))
	ledgerclient.Parallel(len(grants), func(j int) {
		errs[j] = func() error {
			c := grants[j]
			pkg, err := contract.ParseGrantPackage(c.Package)
			if err != nil {
				return err
			}
			seed, err := o.Owner.Seed(c.Entry.SelfTag)
			if err != nil {
				return fmt.Errorf("grant %s: %w", c.ID, err)
			}
			shares, err := seed.Shares(int(pkg.K), int(pkg.N))
			if err != nil {
				return err
			}
			key := seed.Key()
			for i, k := range o.Client.Keepers {
				d := &perKeeper[i][j]
				*d = ledgerclient.Deposit{Ledger: o.Client.ID(), Grant: c.ID, Keeper: k.Key(), Share: shares[i], Package: c.Package}
				ledgerclient.Sign(d, key)
			}
			return nil
		}()
	})
	if err := worst(errs); err != nil {
		return err
	}
	return worst(o.ask(func(i int, k ledgerclient.Keeper) error {
		receipts, err := k.Deposit(ctx, perKeeper[i])
		refused, err := refusals(err, len(grants))
		if err != nil {
			return err
		}
		if len(receipts) != len(grants) {
			return &ledgerclient.TamperedError{What: fmt.Sprintf("receipt of keeper %d", i+1)}
		}
		errs := make([]error, len(grants))
		ledgerclient.Parallel(len(grants), func(j int) {
			switch {
			case over(refused[j]): // revoked meanwhile, or its window is over: it needs no share any more
			case refused[j] != nil:
				errs[j] = refused[j]
			default:
				if err := receipts[j].Verify(&perKeeper[i][j], grants[j].Entry.Author); err != nil {
					errs[j] = &ledgerclient.TamperedError{What: fmt.Sprintf("receipt of keeper %d", i+1), Err: err}
				}
			}
		})
		return worst(errs)
	}))
}

// over reports whether a keeper refuses a share because the grant is over.
func over(err error) bool {
	e, ok := errors.AsType[*ledgerclient.KeeperError](err)
	return ok && (e.Code == ledgerclient.Revoked || e.Code == ledgerclient.Destroyed || e.Code == ledgerclient.Expired)
}

// refusals divides what a keeper says to n items into what it says to each, and why it
// gave no answer to them.
func refusals(err error, n int) ([]error, error) {
	if b, ok := errors.AsType[*ledgerclient.BatchError](err); ok && len(b.Errs) == n {
		return b.Errs, nil
	}
	return make([]error, n), err
}

// ask asks all keepers at the same time, and returns why each of them failed.
func (o *Outbox) ask(question func(i int, k ledgerclient.Keeper) error) []error {
	errs := make([]error, len(o.Client.Keepers))
	var wg sync.WaitGroup
	for i, k := range o.Client.Keepers {
		if i == len(errs)-1 { // the last one, or the only one, by who asks
			errs[i] = question(i, k)
			break
		}
		wg.Go(func() {
			defer crash.Report()
			errs[i] = question(i, k)
		})
	}
	wg.Wait()
	return errs
}

// worst returns the first error that is more than silence, else the first; nil if there
// is none.
func worst(errs []error) (silence error) {
	for _, err := range errs {
		switch {
		case err == nil:
		case ledgerclient.Unreachable(err) == nil:
			return err
		case silence == nil:
			silence = err
		}
	}
	return silence
}
