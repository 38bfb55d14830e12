package wallet

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/text"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/outbox"
	"github.com/carekey/carekey/wallet/view"
)

// Changes are what was signed and is on its way.
type Changes struct{ w *Wallet }

// Changes returns what was signed and is on its way.
func (w *Wallet) Changes() Changes { return Changes{w} }

// ErrPending is outbox.ErrPending.
const ErrPending = outbox.ErrPending

// Action says what a change does.
type Action string

const (
	AddingRecord   Action = "add record"
	UpdatingRecord Action = "update record"
	RemovingRecord Action = "remove record"
	Granting       Action = "grant"
	Revoking       Action = "revoke"
	Accessing      Action = "access"
	KeepingBook    Action = "keep contacts"
	Writing        Action = "letter"
)

// effects take up what a change means that is on the ledger. What is not here means
// nothing beyond its entry.
var effects = map[Action]func(*Wallet, *outbox.Change) error{
	AddingRecord:   func(w *Wallet, c *outbox.Change) error { return w.Records().entered(c) },
	UpdatingRecord: func(w *Wallet, c *outbox.Change) error { return w.Records().entered(c) },
	KeepingBook:    func(w *Wallet, c *outbox.Change) error { return w.Records().entered(c) },
	Granting:       func(w *Wallet, c *outbox.Change) error { return w.Grants().entered(c) },
	Writing:        func(w *Wallet, c *outbox.Change) error { return w.Grants().entered(c) },
}

// prepare makes a change of a signed entry; effect is what effects will need of it.
func (ch Changes) prepare(a Action, e contract.Entry, pkg []byte, effect any, puts ...outbox.Put) (*outbox.Change, error) {
	c := outbox.New(ch.w.client.ID(), string(a), e)
	c.Package, c.Puts, c.Value = pkg, puts, effect
	var err error
	if effect != nil {
		c.Effect, err = json.Marshal(effect)
	}
	return c, err
}

// prepareEnd makes a change of what ends a thread of one's own for good and has no payload.
// opening is the self-tag of the thread's opening entry.
func (ch Changes) prepareEnd(a Action, e contract.Entry, opening crypto.SelfTag) (*outbox.Change, error) {
	seed, err := ch.w.view.Seed(opening)
	if err != nil {
		return nil, err
	}
	key := seed.Key()
	e.Version, e.Author, e.SelfTag = contract.Version, key.Public(), ch.w.view.NewTag()
	rand.Read(e.Commitment[:])
	if err := e.Sign(ch.w.client.ID(), key); err != nil {
		return nil, err
	}
	return ch.prepare(a, e, nil, nil)
}

// effectOf is what a change was made with, or what was kept of that.
func effectOf[T any](c *outbox.Change) (*T, error) {
	if v, ok := c.Value.(*T); ok {
		return v, nil
	}
	v := new(T)
	err := json.Unmarshal(c.Effect, v)
	if err == nil {
		c.Value = v
	}
	return v, err
}

// failure is why a change never will be on the ledger; nil if nothing says so.
func failure(c *outbox.Change) error {
	if r, ok := errors.AsType[*contract.Refusal](c.Err); ok {
		return &RefusedError{By: "ledger", Rule: r.Rule, Hour: r.Hour, Consent: consentOf(c), Giving: c.Entry.Kind == contract.KindGrant}
	}
	if is[*ledgerclient.NotFoundError](c.Err) {
		return ErrMissing.With("part", "content", "id", c.ID)
	}
	return c.Err
}

// consentOf is the consent that a change concerns; zero if none.
func consentOf(c *outbox.Change) contract.ID {
	if c.Entry.Kind == contract.KindRecord {
		return contract.ID{}
	}
	return c.Opening()
}

// do brings changes onto the ledger: see [outbox.Outbox.Do].
func (ch Changes) do(ctx context.Context, changes ...*outbox.Change) error {
	return ch.w.outbox.Do(ctx, &outbox.Batch{Changes: changes})
}

// enter brings one change onto the ledger: [ErrPending] if it waits, and why it never will
// be there if that is known.
func (ch Changes) enter(ctx context.Context, c *outbox.Change) error {
	waits := ch.do(ctx, c)
	if waits != nil && !errors.Is(waits, ErrPending) {
		return waits
	}
	return cmp.Or(failure(c), waits)
}

// Pending is a change that waits, or waited.
type Pending struct {
	Action Action      `json:"action"`
	ID     contract.ID `json:"id"` // of the entry
	Err    error       `json:"-"`  // why it waits; of one that has come to its end why it never will be on the ledger
}

// Finished returns, once, what earlier runs had begun and this one ended.
func (ch Changes) Finished() (out []Pending) {
	for _, c := range ch.w.outbox.Finished() {
		out = append(out, Pending{Action(c.Label), c.ID, failure(c)})
	}
	return out
}

// Stuck returns why changes that were signed still wait; nil if none do.
func (ch Changes) Stuck() error { return ch.w.outbox.Stuck() }

// PassedOver returns why parts of what waits were passed over: an error for each file
// of the wallet's own that cannot be read, or one for the folder. What they hold may
// have been sent or not.
func (ch Changes) PassedOver() []error { return ch.w.outbox.PassedOver() }

// Pending returns what waits, oldest first.
func (ch Changes) Pending() (out []Pending) {
	ch.w.outbox.Each(func(c *outbox.Change, why error) {
		out = append(out, Pending{Action(c.Label), c.ID, why})
	})
	return out
}

// action is what waits to happen to a record or a consent; "" if nothing
// does. An access is its recipient's matter.
func (ch Changes) action(opening contract.ID) Action {
	if c := ch.w.outbox.For(opening); c != nil && c.Label != string(Accessing) {
		return Action(c.Label)
	}
	return ""
}

// find finds what opens a thread that the ledger does not show yet by the
// beginning of its id.
func (ch Changes) find(a Action, query string) *outbox.Change {
	q := strings.ToLower(text.Code(query))
	var hit *outbox.Change
	for _, c := range ch.w.outbox.Openings(string(a)) {
		if len(q) >= minPrefix && strings.HasPrefix(c.ID.String(), q) {
			if hit != nil {
				return nil
			}
			hit = c
		}
	}
	return hit
}

// Synced is what a Sync did.
type Synced struct {
	From, To uint64        // size of the log that this wallet had seen, and has now
	Hour     contract.Hour // ledger hour of the last entry
	Finished []Pending     // what waited and is done now, or was given up
	Pending  []Pending     // what still waits
}

// Sync follows the ledger to its newest head and sends what waits, which every
// other method does too before it begins. The error is that of Stuck, PassedOver or
// OutOfReach if something still waits, cannot be read, or the ledger could not be
// reached; what was done is returned with it.
func (ch Changes) Sync(ctx context.Context) (Synced, error) {
	var s Synced
	s.From = ch.w.view.Pin().Size
	err := ch.w.look(ctx, syncing, func() error {
		if ch.w.lock.missing == nil {
			ch.complete(ctx, true)
		}
		// What the store did not have when it was looked for may be there by now.
		if err := ch.w.Book().lookAtNews(ctx); err != nil {
			return err
		}
		s.To, s.Hour, s.Pending = ch.w.view.Pin().Size, ch.w.view.Pin().Hour, ch.Pending()
		return nil
	})
	s.Finished = ch.Finished()
	over := append(ch.PassedOver(), nil)
	return s, cmp.Or(err, ch.Stuck(), over[0], ch.w.view.Behind())
}

// completeEvery is how often a keeper that did not take its share is tried again, and a ledger
// that did not decide: by who changes something if its process runs for so long, otherwise at once.
const completeEvery = 10 * time.Minute

// errUndecided is why something is not submitted once more.
var errUndecided = errors.New("nothing is known of it since it was submitted last")

// rest is why what waits is not submitted now; nil if it is. Who only looks does not wait each
// time for a ledger to decide what it did not when it was told of it: that would be as long as it
// tries.
func (ch Changes) rest(p purpose) error {
	tried := ch.w.undecided
	if p == looking {
		tried = time.Unix(ch.w.notes.UndecidedAt, 0)
	}
	switch size := ch.w.notes.Undecided; {
	case size == 0 || p == syncing || ch.w.view.Pin().Size > size:
	case ch.w.opt.Now().Sub(tried).Abs() < completeEvery:
		return &ledgerclient.UnreachableError{Service: "ledger", Err: errUndecided, Undecided: true}
	}
	return nil
}

// noteUndecided notes whether the ledger decided what waits.
func (ch Changes) noteUndecided() {
	why := ch.w.outbox.Undecided()
	switch {
	case why == nil && ch.w.view.Behind() != nil || errors.Is(why, errUndecided): // it was not tried
	case why == nil:
		ch.w.notes.Undecided, ch.w.notes.UndecidedAt = 0, 0
	default:
		ch.w.undecided = ch.w.opt.Now()
		ch.w.notes.Undecided, ch.w.notes.UndecidedAt = ch.w.view.Pin().Size, ch.w.undecided.Unix()
	}
}

// complete gives keepers the shares that they have not acknowledged yet. now says that it is
// tried however short ago that was.
func (ch Changes) complete(ctx context.Context, now bool) {
	if ch.w.view.Behind() != nil || len(ch.w.client.Config().Keepers) == 1 && len(ch.w.client.Configs()) == 1 {
		return
	}
	again := now || ch.w.opt.Now().Sub(time.Unix(ch.w.notes.Completed, 0)).Abs() >= completeEvery
	var waiting []*view.Thread
	for _, t := range ch.w.view.Threads() {
		if !t.Given() || t.Unheld == 0 {
			continue
		}
		if (t.Status != contract.StatusOpen || ch.w.view.OpenHour() >= t.NotAfter) || ch.action(t.ID) == Revoking {
			ch.forgetUnheld(t)
			continue
		}
		if again {
			waiting = append(waiting, t)
		}
	}
	most := len(waiting)
	if !now {
		most = lostAtOnce
	}
	ch.give(ctx, waiting, most)
}

// lostAtOnce is how many consents whose shares were lost are read from the store, one after
// another, by who came for something else: whoever says that it lost them costs no more.
const lostAtOnce = 16

// give gives keepers the shares of grants that they have not acknowledged, or lost, and returns
// those that all hold then. Of most lost ones what is deposited is read, others each time, and
// while there is time to deposit it. What the store does not have any more, or not as it was,
// nobody can be given: that is not waited for.
func (ch Changes) give(ctx context.Context, ts []*view.Thread, most int) (given []*view.Thread) {
	if len(ts) == 0 {
		return nil
	}
	ch.w.notes.Completed = ch.w.opt.Now().Unix()
	ctx, cancel := ledgerclient.Hurry(ctx)
	defer cancel()
	reading, enough := context.WithTimeout(ctx, ledgerclient.Patience/2)
	defer enough()
	for some := range slices.Chunk(after(ts, ch.w.notes.Given), ledgerclient.MaxBulk) {
		var again []*outbox.Change
		var whose []*view.Thread
		for _, t := range some {
			lost := ch.w.view.Keeping(t).Terms == crypto.Hash{}
			if lost && (most == 0 || reading.Err() != nil) {
				continue
			}
			c, err := ch.shareAgain(reading, t)
			if lost {
				most--
				ch.w.notes.Given = t.Index
			}
			switch {
			case err == nil:
				again, whose = append(again, c), append(whose, t)
			case lost && (isMissing(err) || isTampered(err) || errors.Is(err, ErrOtherKeepers)):
				ch.forgetUnheld(t)
			}
		}
		ch.w.outbox.Deposit(ctx, again) // enough hold theirs already, and who does not is noted
		given = append(given, slices.DeleteFunc(whose, func(t *view.Thread) bool { return t.Unheld != 0 })...)
	}
	return given
}

// forgetUnheld gives up that keepers get their shares of a consent that is over, or will be.
func (ch Changes) forgetUnheld(t *view.Thread) {
	if t.Unheld != 0 {
		ch.w.view.NoteKeeping(t, view.Keeping{Revoked: ch.w.view.Keeping(t).Revoked})
	}
}

// shareAgain makes what is deposited of a grant, from what the store has of it where it was
// deposited whole before.
func (ch Changes) shareAgain(ctx context.Context, t *view.Thread) (*outbox.Change, error) {
	terms := ch.w.view.Keeping(t).Terms
	if terms == (crypto.Hash{}) {
		c, err := ch.w.Recovery().grantAgain(ctx, t)
		if err == nil {
			c.Unheld = t.Unheld
		}
		return c, err
	}
	tr, err := ch.w.view.Terms(t)
	if err != nil {
		return nil, err
	}
	e, err := ch.w.view.Opening(t)
	if err != nil {
		return nil, err
	}
	pkg := tr.Pack(terms)
	c, err := ch.prepare(Granting, *e, pkg.Marshal(), nil)
	if err == nil {
		c.Unheld = t.Unheld
	}
	return c, err
}

// noteHeld notes who has not acknowledged its share of a grant.
func (ch Changes) noteHeld(c *outbox.Change) {
	t := ch.w.view.Thread(c.ID)
	if t == nil {
		return
	}
	k := view.Keeping{Unheld: c.Unheld, Revoked: ch.w.view.Keeping(t).Revoked}
	if pkg, err := contract.ParseGrantPackage(c.Package); err == nil && c.Unheld != 0 {
		k.Terms = pkg.Terms
	}
	ch.w.view.NoteKeeping(t, k)
	ch.w.notes.Completed = ch.w.opt.Now().Unix()
}

// owner is the wallet as its outbox sees it.
type owner struct{ w *Wallet }

// Seed is outbox.Owner's.
func (o owner) Seed(tag crypto.SelfTag) (crypto.Seed, error) { return o.w.view.Seed(tag) }

// Resign is outbox.Owner's.
func (o owner) Resign(e *contract.Entry) error {
	_, key, err := o.w.view.Key(o.w.view.Thread(e.Subject))
	if err != nil {
		return err
	}
	e.SelfTag = o.w.view.NewTag()
	return e.Sign(o.w.client.ID(), key)
}

// End is outbox.Owner's.
func (o owner) End(grant *outbox.Change) (*outbox.Change, error) {
	return o.w.Consents().prepareRevocation(grant.Entry.SelfTag, grant.ID)
}

// Held is outbox.Owner's.
func (o owner) Held(grant *outbox.Change) { o.w.Changes().noteHeld(grant) }

// Failed is outbox.Owner's.
func (o owner) Failed(keeper crypto.PubKey, err error) { o.w.view.Failed(keeper, err) }

// Apply is outbox.Owner's.
func (o owner) Apply(c *outbox.Change) error {
	if effect := effects[Action(c.Label)]; effect != nil {
		return effect(o.w, c)
	}
	return nil
}

// Save is outbox.Owner's.
func (o owner) Save() error { return o.w.save() }

// Ended is outbox.Owner's.
func (o owner) Ended(b *outbox.Batch) error { return o.w.tell(b) }

// Unwritten is outbox.Owner's.
func (o owner) Unwritten(err error) {
	for _, known := range o.w.view.Unwritten() {
		if errors.Is(err, known) {
			return
		}
	}
	o.w.view.AddUnwritten(err)
}
