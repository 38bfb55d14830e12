package outbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// Do writes a batch down and brings it to its end. Without an error each change is in the
// log, or its Err says why it never will be. An error means that the batch waits and is
// gone on with by Finish, unless it was without effect; it is [ErrPending] if nothing
// is wrong but that a service is out of reach.
func (o *Outbox) Do(ctx context.Context, b *Batch) error {
	if len(b.Changes) == 0 {
		return nil
	}
	wait := o.wait(b)
	if wait != nil && ledgerclient.Unreachable(wait) == nil && !b.revokes() {
		return wait
	}
	// The last moment at which nothing has happened.
	if err := ctx.Err(); err != nil {
		return err
	}
	b.name = o.newName()
	if err := o.write(b); err != nil {
		if !b.revokes() {
			return err
		}
		b.name = ""
		o.Owner.Unwritten(err)
	}
	b.own = make(map[contract.Entry]bool, len(b.Changes))
	for _, c := range b.Changes {
		b.own[c.Entry] = true
	}
	o.expectEnds(b)
	// From here on an interruption would only leave to the next process what takes
	// a moment now.
	ctx = context.WithoutCancel(ctx)
	err := o.try(ctx, b, wait)
	switch {
	case err == nil:
		return nil
	case wait == nil && o.withoutEffect(ctx, b, err):
		// The person is told that it failed, so it must not happen later.
		return errors.Join(err, o.remove(b), o.syncDir())
	case b.name == "":
		return err // what is not written down does not wait
	}
	b.left, b.own = err, nil
	o.waiting = append(o.waiting, b)
	if ledgerclient.Unreachable(err) != nil {
		return ErrPending.Of(err)
	}
	return err // what waits is told with the error
}

// Finish reads what waits and brings it to its end, as far as it can be. noLock is why
// another process may be at it: then it is only read. rest is why what the log does not show is
// not submitted now; nil if nothing is.
func (o *Outbox) Finish(ctx context.Context, noLock, rest error) {
	o.waiting, o.ends = nil, nil
	names, err := o.names()
	if err != nil {
		o.waiting = []*Batch{{left: err}}
		return
	}
	all := make([]*Batch, len(names))
	for i, name := range names {
		if all[i], err = o.read(name); err != nil {
			all[i] = &Batch{name: name, left: err}
		}
		o.expectEnds(all[i])
	}
	for _, b := range all {
		switch {
		case b.left != nil:
		case noLock != nil:
			b.left = noLock
		default:
			wait := o.wait(b)
			if (wait == nil || errors.Is(wait, ledgerclient.ErrStale)) && !o.shown(b) {
				wait = cmp.Or(rest, wait)
			}
			b.left = o.try(ctx, b, wait)
		}
		if b.left != nil {
			o.waiting = append(o.waiting, b)
		} else if b.Tag == "" {
			o.finished = append(o.finished, b.Changes...)
		}
	}
}

// expectEnds notes the revocations of a batch: their grants are given to no keeper any more,
// before any is told.
func (o *Outbox) expectEnds(b *Batch) {
	for _, c := range b.Changes {
		if c.revokes() {
			if o.ends == nil {
				o.ends = map[contract.ID]bool{}
			}
			o.ends[c.Entry.Subject] = true
		}
	}
}

// wait is why a batch cannot be sent now; nil if it can.
func (o *Outbox) wait(b *Batch) error {
	if err := o.Log.Behind(); err != nil || o.overtakes(b) {
		return err
	}
	for _, before := range o.waiting {
		if len(before.Changes) > 0 && (!before.ordered || ledgerclient.Unreachable(before.left) == nil) {
			return before.left
		}
	}
	return nil
}

// shown reports whether the log has all entries of a batch.
func (o *Outbox) shown(b *Batch) bool {
	return !slices.ContainsFunc(b.Changes, func(c *Change) bool { return !o.placed(c) })
}

// overtakes reports whether a batch need not wait for those before it: it revokes
// only what the ledger shows.
func (o *Outbox) overtakes(b *Batch) bool {
	for _, c := range b.Changes {
		if !c.revokes() || !o.known(c.Entry.Subject) {
			return false
		}
	}
	return true
}

// try brings a batch to its end, or as far as it goes if something is in the way:
// then the keepers are told of its revocations. It returns why it did not end.
func (o *Outbox) try(ctx context.Context, b *Batch, wait error) error {
	if wait == nil {
		return o.carry(ctx, b)
	}
	if o.stop(ctx, b) {
		o.rewrite(b) // if it cannot be written they are told again: that does no harm
	}
	if u := ledgerclient.Unreachable(wait); b.revokes() && (u == nil || u.Answered) && o.overtakes(b) {
		// The ledger is there, and what it shows cannot be believed, or it shows nothing
		// now. It is told all the same: a revocation harms nobody. Its answer would prove
		// nothing.
		_, err := o.Client.Submit(ctx, entries(b.Changes))
		if u := ledgerclient.Unreachable(err); u != nil && u.Undecided && errors.Is(wait, ledgerclient.ErrStale) {
			return err // who only looks is not to wait for that each time
		}
	}
	return wait
}

// carry does all steps of a batch, whether or not some were done before.
func (o *Outbox) carry(ctx context.Context, b *Batch) error {
	if s := o.several(); s != nil {
		s.Anew()
	}
	o.stop(ctx, b)
	for _, step := range []func(context.Context, *Batch) error{o.renew, o.store, o.order, o.meet, o.undo, o.apply, o.deliver, o.end} {
		if err := step(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// withoutEffect reports whether a batch that has just failed left nothing that
// others could see. A revocation is never without effect: the keepers were told,
// and it is to reach the ledger as soon as it can. Nor is anything that an
// unreachable ledger may still order, or nodes whom another one was heard before.
func (o *Outbox) withoutEffect(ctx context.Context, b *Batch, err error) bool {
	return ledgerclient.Unreachable(err) == nil && !b.heard && !slices.ContainsFunc(b.Changes, (*Change).revokes) &&
		o.Log.Follow(ctx, b.own) == nil && !slices.ContainsFunc(b.Changes, o.placed)
}

// renew signs withdrawals anew that waited for so long that no ledger accepts them any
// more. Should what they replace be on the ledger after all, the rules let only one of
// the two through. The other changes that go stale mean nothing by then, or hold a
// content that the store has dropped: the ledger says so.
func (o *Outbox) renew(_ context.Context, b *Batch) error {
	changed := false
	for _, c := range b.Changes {
		hour := o.Log.Hour()
		if !c.withdraws() || c.Entry.NotAfter > hour || !o.mustGetThrough(c) || o.placed(c) {
			continue
		}
		c.Entry.NotBefore, c.Entry.NotAfter = contract.Acceptance(hour)
		if err := o.resign(c); err != nil {
			return err
		}
		changed = true
	}
	if !changed {
		return nil
	}
	return o.write(b)
}

func (o *Outbox) resign(c *Change) error {
	err := o.Owner.Resign(&c.Entry)
	c.ID = c.Entry.ID(o.Client.ID())
	return err
}

// mustGetThrough reports whether a change is signed anew when its bytes can never come
// into the log, though nothing forbids what they say. All others can be made again.
func (o *Outbox) mustGetThrough(c *Change) bool {
	return (c.revokes() || c.withdraws()) && o.known(c.Entry.Subject)
}

// store hands the payloads to the store.
func (o *Outbox) store(ctx context.Context, b *Batch) error {
	var puts []ledgerclient.Put
	for _, c := range b.Changes {
		for _, p := range c.Puts {
			puts = append(puts, ledgerclient.Put{Entry: c.Entry, Package: c.Package, Part: p.Part, Locators: p.Locators, Blob: p.Blob})
		}
	}
	if len(puts) == 0 {
		return nil
	}
	if err := o.Client.Store.PutBlobs(ctx, puts); err != nil && !allWithdrawn(err) {
		return err
	}
	return nil
}

// allWithdrawn reports whether a store refused payloads only because their threads
// were withdrawn since the batch was begun: then they are to stay away.
func allWithdrawn(err error) bool {
	refused := []error{err}
	if b, ok := errors.AsType[*ledgerclient.BatchError](err); ok {
		refused = b.Unwrap()
	}
	for _, e := range refused {
		if s, ok := errors.AsType[*ledgerclient.StoreError](e); !ok || s.Reason != ledgerclient.Withdrawn {
			return false
		}
	}
	return true
}

// order appends the entries that are not in the log yet: of a batch that was sent
// before and not answered, nobody knows. Sending one twice would do no harm, since
// a ledger knows an entry by its id. A content that vanished from the store
// meanwhile, because too much time passed, ends its change. A refusal counts only if the
// log shows its reason. A revocation or withdrawal that can never come into the log as it
// is signed, because it was ordered before what it is about, is signed anew, once.
func (o *Outbox) order(ctx context.Context, b *Batch) error {
	var open []*Change
	for _, c := range b.Changes {
		if o.placed(c) {
			continue
		}
		// The grant was given up, and nobody is handed the end of it: ordered by whoever
		// has it before the grant, which others may still order, it would be of no use.
		if c.revokes() && !o.known(c.Entry.Subject) {
			c.Err = &contract.Refusal{Rule: contract.RuleUnknownSubject, Entry: c.ID, Hour: o.Log.Hour()}
			continue
		}
		if err := o.contentIsThere(ctx, c); err != nil {
			return err
		}
		if c.Err == nil {
			open = append(open, c)
		}
	}
	anew := map[*Change]bool{}
	again := func(c *Change) error {
		anew[c] = true
		if err := o.resign(c); err != nil {
			return err
		}
		return o.rewrite(b)
	}
	for len(open) > 0 {
		outcomes, err := o.Client.Submit(ctx, entries(open))
		if spent, ok := fault.As(err, ledgerclient.ErrSpent); ok {
			i := slices.IndexFunc(open, func(c *Change) bool { return c.ID == fault.Get[contract.ID](spent, "entry") })
			if i < 0 || anew[open[i]] {
				return err
			}
			if c := open[i]; !o.mustGetThrough(c) {
				c.Err = err
				open = slices.Delete(open, i, i+1)
			} else if err := again(c); err != nil {
				return err
			}
			continue
		}
		if u := ledgerclient.Unreachable(err); u != nil && u.Undecided && o.Log.Follow(ctx, b.own) == nil && o.shown(b) {
			return nil // what nobody has said meanwhile the log has
		}
		if _, tampered := errors.AsType[*ledgerclient.TamperedError](err); err == nil || tampered {
			b.heard = o.several() != nil
			if tampered && o.elsewhere(err) {
				continue
			}
		}
		if err != nil {
			return o.unbelieved(b, err)
		}
		if slices.ContainsFunc(outcomes, func(o ledgerclient.Outcome) bool { return o.Refusal != nil }) {
			if err := o.Log.Follow(ctx, b.own); err != nil {
				return err
			}
		}
		var left, wrong []*Change
		var why, lied error
		for i, c := range open {
			refusal := outcomes[i].Refusal
			if refusal == nil {
				continue
			}
			if o.placed(c) {
				lied = &ledgerclient.TamperedError{What: "answer to a submission", Err: fmt.Errorf("entry %s is refused, by rule %s, and the log has it", c.ID, refusal.Rule)}
				continue
			}
			rightly, err := o.refuses(c, refusal.Hour)
			switch {
			case err != nil:
				return err
			case rightly:
				c.Err = refusal
			case refusal.Rule != contract.RuleUnknownSubject || anew[c] || !o.mustGetThrough(c):
				why = &ledgerclient.TamperedError{What: "answer to a submission", Err: fmt.Errorf("entry %s is refused, by rule %s, and the log shows no reason", c.ID, refusal.Rule)}
				wrong = append(wrong, c)
			default: // ordered before what it is about
				if err := again(c); err != nil {
					return err
				}
				left = append(left, c)
			}
		}
		if said := cmp.Or(lied, why); said != nil && !o.elsewhere(said) && why != nil {
			return o.unbelieved(b, why)
		}
		open = append(left, wrong...)
	}
	return nil
}

// elsewhere reports whether there is another node that takes entries, since what one answered
// to them is not so, and why.
func (o *Outbox) elsewhere(why error) bool {
	s := o.several()
	return s != nil && s.Doubt(why)
}

// several are the nodes of the ledger; nil if it is one.
func (o *Outbox) several() ledgerclient.Several {
	s, _ := o.Client.Ledger.(ledgerclient.Several)
	return s
}

// unbelieved is why a batch does not end to which a node gave an answer that is not so. Others,
// who were not waited for once it had answered, may have the entries, and order them yet. A
// revocation does not wait for that: it is told again.
func (o *Outbox) unbelieved(b *Batch, why error) error {
	if _, tampered := errors.AsType[*ledgerclient.TamperedError](why); !tampered || o.several() == nil ||
		ledgerclient.Unreachable(why) != nil || slices.ContainsFunc(b.Changes, (*Change).revokes) {
		return why
	}
	return &ledgerclient.UnreachableError{Service: "ledger", Err: why, Answered: true, Undecided: true}
}

// contentIsThere gives a change up whose content the store has dropped.
func (o *Outbox) contentIsThere(ctx context.Context, c *Change) error {
	if c.Content == (crypto.Locator{}) {
		return nil
	}
	blob, err := o.Client.Store.Blob(ctx, c.Content)
	if _, gone := errors.AsType[*ledgerclient.NotFoundError](err); gone {
		c.Err = err
		return nil
	}
	if err != nil {
		return err
	}
	return blob.Close()
}

// refuses reports whether the contract refuses a change at that hour, in the log that
// was followed: a refusal is not believed without its reason. The hour is the word of who
// refuses: it is one in which the entry could have been judged, or none.
func (o *Outbox) refuses(c *Change, hour contract.Hour) (bool, error) {
	if hour > o.Log.Hour()+1 || !c.Entry.Opens() && hour < c.Entry.NotBefore { // clocks may differ at the turn of an hour
		return false, nil
	}
	var s contract.State
	if !c.Entry.Opens() {
		var err error
		if s, err = o.Log.State(c.Entry.Subject); err != nil {
			return false, err
		}
	}
	const notFirst = 1 // no rule asks more of the position
	_, err := contract.Apply(o.Client.Config(), s, &c.Entry, c.ID, notFirst, hour)
	if _, refused := errors.AsType[*contract.Refusal](err); refused {
		return true, nil
	}
	return false, err
}

// meet follows the log and finds every entry there that was not refused: nobody is
// believed that it is. Where one node said so of what it kept to itself, another one is told.
func (o *Outbox) meet(ctx context.Context, b *Batch) error {
	for {
		if err := o.Log.Follow(ctx, b.own); err != nil {
			return err
		}
		i := slices.IndexFunc(b.Changes, func(c *Change) bool { return c.Err == nil && !o.placed(c) })
		if i < 0 {
			b.ordered = true
			return nil
		}
		err := &ledgerclient.TamperedError{What: "answer to a submission", Err: fmt.Errorf("entry %s is not in the log", b.Changes[i].ID)}
		if !o.elsewhere(err) {
			return o.unbelieved(b, err)
		}
		if err := o.order(ctx, b); err != nil {
			return err
		}
	}
}

// undo ends grants whose key is split for other numbers of keepers than there are where
// they stand: they cannot be given to them, and to give them anew is for a person.
func (o *Outbox) undo(ctx context.Context, b *Batch) error {
	var ends []*Change
	for _, c := range b.Changes {
		if c.Err != nil || c.Entry.Kind != contract.KindGrant {
			continue
		}
		pkg, err := contract.ParseGrantPackage(c.Package)
		if err != nil {
			return err
		}
		config, open, _ := o.Log.Grant(c.ID)
		if int(pkg.N) == len(config.Keepers) && pkg.K == config.Release {
			continue
		}
		c.Err = ErrOtherKeepers.With("consent", c.ID)
		if open && !o.ends[c.ID] {
			end, err := o.Owner.End(c)
			if err != nil {
				return err
			}
			ends = append(ends, end)
		}
	}
	if len(ends) == 0 {
		return nil
	}
	b.Changes = append(b.Changes, ends...)
	o.expectEnds(b)
	if err := o.rewrite(b); err != nil {
		return err
	}
	if err := o.order(ctx, b); err != nil {
		return err
	}
	return o.meet(ctx, b)
}

// apply takes up what the changes mean.
func (o *Outbox) apply(_ context.Context, b *Batch) error {
	for _, c := range b.Changes {
		if c.Err == nil {
			if err := o.Owner.Apply(c); err != nil {
				return err
			}
		}
	}
	return nil
}

// deliver does what follows once entries are in the log: withdrawn content away, shares
// to the keepers, shares of revoked grants destroyed.
func (o *Outbox) deliver(ctx context.Context, b *Batch) error {
	var grants, revocations []*Change
	for _, c := range b.Changes {
		switch {
		case c.Err != nil:
		case c.withdraws():
			if err := o.Client.Store.Erase(ctx, c.Entry); err != nil {
				return err
			}
		case c.Entry.Kind == contract.KindGrant:
			grants = append(grants, c)
		case c.revokes():
			revocations = append(revocations, c)
		}
	}
	if err := o.Deposit(ctx, grants); err != nil {
		return err
	}
	_, err := o.tell(ctx, revocations, Enough)
	return err
}

// end makes durable what was learned and forgets the batch. The file of one without a
// tag may come back if the machine loses power now: then all of it is done again. Who was
// told how a batch ended may have gone on to something else, and is not told twice.
func (o *Outbox) end(_ context.Context, b *Batch) error {
	if err := o.Owner.Save(); err != nil {
		if !b.revokes() {
			return err
		}
		o.Owner.Unwritten(err) // it is on the ledger, where it is found again
	}
	if b.Tag != "" {
		if err := o.Owner.Ended(b); err != nil {
			return err
		}
	}
	err := o.remove(b)
	if b.Tag != "" {
		err = errors.Join(err, o.syncDir())
	}
	if err != nil && b.revokes() {
		o.Owner.Unwritten(err)
		return nil
	}
	return err
}
