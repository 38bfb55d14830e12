package outbox

import (
	"context"
	"errors"
	"fmt"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// ErrOtherKeepers: a grant was ordered behind a document that changed how many keepers
// there are, or how many of them open it. Its shares are nobody's; it is revoked. consent
const ErrOtherKeepers fault.Code = "keepers-changed/ordered"

// desk is one keeper, with what it is asked of changes.
type desk struct {
	ledgerclient.Keeper
	key   crypto.PubKey
	items []item

	// One for each item.
	deposits []ledgerclient.Deposit
	acks     []ledgerclient.Acknowledgement
}

// item is what a keeper does for one change.
type item struct {
	change int
	line   int // of the keeper, in the document that the change's grant stands under; from 0
	name   string
	err    error // why it did not
	over   error // it says that the grant is over, and needs nothing
}

// desks are the keepers of some changes.
type desks struct {
	all []*desk
	at  map[crypto.PubKey]int
}

// take adds a keeper to those that are asked about a change, and returns its place.
func (ds *desks) take(c *ledgerclient.Client, change int, config *contract.Config, line int) (place int) {
	key := config.Keepers[line]
	n, ok := ds.at[key]
	if !ok {
		if n = len(ds.all); ds.at == nil {
			ds.at = map[crypto.PubKey]int{}
		}
		ds.at[key], ds.all = n, append(ds.all, &desk{Keeper: c.Keeper(key), key: key})
	}
	ds.all[n].items = append(ds.all[n].items, item{change: change, line: line, name: ledgerclient.KeeperName(config, line)})
	return n
}

// ask asks all keepers at the same time. did is told of what a keeper did for a change;
// enough reports whether that is enough of all, so that the others are not waited for.
func (o *Outbox) ask(ctx context.Context, ds *desks, ask func(context.Context, *desk) error, did func(k *desk, item int), enough func() bool) {
	ledgerclient.AskAll(ctx, len(ds.all), ledgerclient.Patience, func(ctx context.Context, i int) error {
		return ask(ctx, ds.all[i])
	}, func(i int, err error) bool {
		k := ds.all[i]
		var failed []error
		for n := range k.items {
			if err != nil {
				k.items[n].err = err
			}
			if failed = append(failed, k.items[n].err); k.items[n].err == nil {
				did(k, n)
			}
		}
		if err := worst(failed); err != nil {
			o.Owner.Failed(k.key, err)
		}
		return enough()
	})
}

// count is how many keepers did something for a change, and how many are to; or how many
// say that it is over, and how many must, so that one that lies does not end it.
type count struct{ have, need, over, ends int }

func (c count) enough() bool { return c.have >= c.need || c.ends > 0 && c.over >= c.ends }

// all reports whether there are enough for all.
func all(counts []count) bool {
	for _, c := range counts {
		if !c.enough() {
			return false
		}
	}
	return true
}

// missing is why there are not enough keepers for all changes; nil if there are.
func (ds *desks) missing(counts []count) error {
	var errs []error
	for _, k := range ds.all {
		for _, it := range k.items {
			if !counts[it.change].enough() {
				errs = append(errs, it.err)
			}
		}
	}
	return worst(errs)
}

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
	silent, _ := o.tell(ctx, revocations, func(*contract.Config) int { return 1 }) // who orders does not wait for the slowest
	b.told = all && !silent
	return b.told
}

// Enough is how many of a grant's keepers must have ended their shares so that fewer are
// left than open it.
func Enough(c *contract.Config) int { return len(c.Keepers) - int(c.Release) + 1 }

// tell sends revocations to the keepers of their grants and takes up what they acknowledge.
// The error is why fewer have acknowledged one than least says for its configuration.
// silent reports whether one of the keepers gave no answer.
func (o *Outbox) tell(ctx context.Context, revocations []*Change, least func(*contract.Config) int) (silent bool, err error) {
	if len(revocations) == 0 {
		return false, nil
	}
	var ds desks
	counts := make([]count, len(revocations))
	for i, c := range revocations {
		config, _, _ := o.Log.Grant(c.Entry.Subject)
		counts[i].need = least(config)
		for line := range config.Keepers {
			ds.take(o.Client, i, config, line)
		}
	}
	o.ask(ctx, &ds, func(ctx context.Context, k *desk) error {
		about := make([]contract.Entry, len(k.items))
		for n, it := range k.items {
			about[n] = revocations[it.change].Entry
		}
		answers, err := k.Revoke(ctx, about)
		refused, err := refusals(err, len(about))
		if err != nil {
			return err
		}
		if len(answers) != len(about) {
			return &ledgerclient.TamperedError{What: "acknowledgement of " + k.items[0].name}
		}
		for n := range k.items {
			it := &k.items[n]
			if it.err = refused[n]; it.err == nil {
				if err := answers[n].Verify(o.Client.ID(), about[n].Subject, k.key); err != nil {
					it.err = &ledgerclient.TamperedError{What: "acknowledgement of " + it.name, Err: err}
				}
			}
		}
		k.acks = answers
		return nil
	}, func(k *desk, n int) {
		c := k.items[n].change
		counts[c].have++
		revocations[c].Acks = append(revocations[c].Acks, k.acks[n])
	}, func() bool { return all(counts) })
	for _, k := range ds.all {
		for _, it := range k.items {
			silent = silent || ledgerclient.Unreachable(it.err) != nil
		}
	}
	return silent, ds.missing(counts)
}

// Deposit hands shares of grants that are in the log to their keepers: to all of them, or
// to those that a grant's Unheld names. The shares derive from the grants' seeds, so that
// repeating it deposits the same. It is done when as many hold theirs as open the grant;
// the Owner is told of those that do not yet. Of a grant that is revoked, or will be, nobody
// is given a share: who was not told of the revocation would take it.
func (o *Outbox) Deposit(ctx context.Context, grants []*Change) error {
	var ds desks
	var waits []error
	counts := make([]count, len(grants))
	places := make([][]deskPlace, len(grants))
	before := make([]uint16, len(grants))
	for i, c := range grants {
		config, open, err := o.Log.Grant(c.ID)
		if err != nil {
			waits = append(waits, err)
			continue
		}
		before[i] = c.Unheld
		if !open || o.ends[c.ID] {
			c.Unheld = 0
			continue
		}
		if c.Unheld == 0 {
			c.Unheld = 1<<len(config.Keepers) - 1
		}
		counts[i].need, counts[i].ends = int(config.Release), Enough(config)
		for line := range config.Keepers {
			if c.Unheld>>line&1 == 0 {
				counts[i].have++
				continue
			}
			k := ds.take(o.Client, i, config, line)
			places[i] = append(places[i], deskPlace{k, len(ds.all[k].items) - 1})
		}
	}
	if err := o.signDeposits(&ds, grants, places); err != nil {
		return err
	}
	o.ask(ctx, &ds, func(ctx context.Context, k *desk) error {
		receipts, err := k.Deposit(ctx, k.deposits)
		refused, err := refusals(err, len(k.items))
		if err != nil {
			return err
		}
		if len(receipts) != len(k.items) {
			return &ledgerclient.TamperedError{What: "receipt of " + k.items[0].name}
		}
		ledgerclient.Parallel(len(k.items), func(n int) {
			switch it := &k.items[n]; {
			case over(refused[n]): // revoked meanwhile, or its window has ended: it needs no share any more
				it.over = refused[n]
			case refused[n] != nil:
				it.err = refused[n]
			default:
				if err := receipts[n].Verify(&k.deposits[n], grants[it.change].Entry.Author); err != nil {
					it.err = &ledgerclient.TamperedError{What: "receipt of " + it.name, Err: err}
				}
			}
		})
		return nil
	}, func(k *desk, n int) {
		it := &k.items[n]
		if it.over != nil {
			counts[it.change].over++
			return
		}
		counts[it.change].have++
		grants[it.change].Unheld &^= 1 << it.line
	}, func() bool { return all(counts) })
	for _, k := range ds.all {
		for _, it := range k.items {
			if n := counts[it.change]; it.over != nil && n.have >= n.need { // the others hold theirs
				o.Owner.Failed(k.key, it.over)
			}
		}
	}
	for i, c := range grants {
		if counts[i].have < counts[i].need && counts[i].enough() {
			c.Unheld = 0 // it is over, and nobody is to have its share
		}
		if counts[i].enough() && before[i]|c.Unheld != 0 {
			o.Owner.Held(c)
		}
	}
	return worst(append(waits, ds.missing(counts)))
}

// deskPlace is an item of a desk.
type deskPlace struct{ desk, item int }

// signDeposits makes the deposits of grants at their places.
func (o *Outbox) signDeposits(ds *desks, grants []*Change, places [][]deskPlace) error {
	for _, k := range ds.all {
		k.deposits = make([]ledgerclient.Deposit, len(k.items))
	}
	errs := make([]error, len(grants))
	ledgerclient.Parallel(len(grants), func(i int) {
		if len(places[i]) > 0 {
			errs[i] = o.signDeposit(ds, grants[i], places[i])
		}
	})
	return worst(errs)
}

func (o *Outbox) signDeposit(ds *desks, c *Change, places []deskPlace) error {
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
	for _, at := range places {
		k := ds.all[at.desk]
		line := k.items[at.item].line // undo has seen to it that there are as many shares
		d := &k.deposits[at.item]
		*d = ledgerclient.Deposit{Ledger: o.Client.ID(), Grant: c.ID, Keeper: k.key, Share: shares[line], Package: c.Package}
		ledgerclient.Sign(d, key)
	}
	return nil
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
