package wallet

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/payload"
	"github.com/carekey/carekey/wallet/view"
)

// Audit is what happened to the consents that this wallet gave.
type Audit struct {
	w     *Wallet
	again bool
}

// Audit returns what happened to the consents that this wallet gave.
func (w *Wallet) Audit() Audit { return Audit{w: w} }

// Again is the audit that asks the keepers and the store for everything, also for what is
// kept of their answers.
func (a Audit) Again() Audit {
	a.again = true
	return a
}

// Event is one thing that happened to a consent of this wallet.
type Event struct {
	Hour    Hour            `json:"time"`
	What    What            `json:"what"`
	Ledger  crypto.LedgerID `json:"ledger"` // that the consent is on
	Consent contract.ID     `json:"consent"`
	Who     string          `json:"-"`              // the contact's name; "" if the address is no contact or not known
	Address crypto.Address  `json:"-"`              // of the recipient; zero if not known
	Link    bool            `json:"link,omitempty"` // the consent is a link: what was said with an opening is what somebody typed
	Records []ConsentRecord `json:"records"`
	Purpose payload.Purpose `json:"-"`
	// Reason is what the recipient said; HasReason is false where the store does
	// not hold it or it cannot be read, which the contract cannot prevent.
	Reason    string            `json:"reason"`
	By        string            `json:"by,omitempty"` // who looked, in the recipient's words: as hostile as the reason
	HasReason bool              `json:"-"`
	Damaged   bool              `json:"damaged,omitempty"` // the store holds another reason than the one that was committed to
	Code      ledgerclient.Code `json:"-"`                 // why a keeper refused
	// More makes this many refused attempts of one event, of which the keeper has
	// nothing but their number: they came at Hour or later. 0 is the rule. Of several keepers it
	// is the highest number, and who counted so far is Keeper: others may have filed some of
	// these, or counted others.
	More   int    `json:"more,omitempty"`
	Keeper Keeper `json:"-"` // of Refused, Stopped and Destroyed
	// Keepers are all that refused one opening for one reason, by their lines; the first of
	// them is Keeper. None for other events, and of a consent with one keeper.
	Keepers []Keeper `json:"keepers,omitempty"`
	// Verified: signed by who it names, in the log under the signed head, and the
	// thread it belongs to proven complete. For what only a keeper tells: signed by
	// the keeper and, for an attempt, by the recipient.
	Verified bool      `json:"verified"`
	Clock    time.Time `json:"clock,omitzero"` // what the clock says, if it disagrees with the ledger's time: see Log.Doubt; otherwise zero
	// Missing are the services that gave no answer about the consent: "ledger" since
	// AsOf, what its keepers filed with "keeper", this reason with "store".
	Missing []string  `json:"missing,omitempty"`
	Silent  []Keeper  `json:"silent,omitempty"` // of "keeper": those that gave no answer, or none that is to be believed
	AsOf    time.Time `json:"asOf,omitzero"`    // when the ledger was followed last, if it is out of reach; otherwise zero
	// KeepersAsOf is the ledger hour in which the keepers were asked about the consent, if
	// they were not now: it has ended, and their answer is kept. What they filed since then
	// is not among the events. 0 if they were asked.
	KeepersAsOf Hour `json:"keepersAsOf,omitzero"`

	index uint64 // in the log; orders events of one hour
}

// What happened.
type What string

const (
	Granted   What = "granted"
	Opened    What = "opened"
	Refused   What = "refused" // a keeper refused the recipient
	Revoked   What = "revoked"
	Stopped   What = "stopped"   // a keeper saw the revocation
	Destroyed What = "destroyed" // a keeper destroyed its share
)

// Events returns everything that happened to the consents of this wallet, newest
// last. Every thread is proven complete first: an access that the ledger hides is
// an error, not a gap. A part that the stores no longer hold is left empty. What keepers
// said of a consent that has ended is kept and not asked for again, see
// Event.KeepersAsOf, and so is what was said with an opening, which does not change.
func (a Audit) Events(ctx context.Context) (out []Event, err error) {
	err = a.w.Look(ctx, func() error {
		cs := a.w.Consents()
		ts, err := cs.threads(ctx)
		if err != nil {
			return err
		}
		if err := cs.proveNews(ctx, ts, true); err != nil {
			return err
		}
		known := cs.kept
		if a.again {
			known = func(*view.Thread) *inquired { return nil }
		}
		keep := func(t *view.Thread, q *inquired) { cs.keep(t, q, false) }
		// Those that are kept first, so that how many they are does not count for how often
		// is asked about the others.
		var first, later []*view.Thread
		for _, t := range ts {
			if cs.isKept(t) {
				first = append(first, t)
			} else {
				later = append(later, t)
			}
		}
		if err := a.each(ctx, append(first, later...), known, keep, 0, func(_ *view.Thread, events []Event, _ error) {
			out = append(out, events...)
		}); err != nil {
			return err
		}
		slices.SortStableFunc(out, func(a, b Event) int { return cmp.Or(cmp.Compare(a.Hour, b.Hour), cmp.Compare(a.index, b.index)) })
		return nil
	})
	return out, err
}

// each gives the events of consents to take, in their order, some at a time: what the
// ledger shows of them, and what the keepers filed. Of that they are asked where known knows
// nothing, and keep gets what they say; damaged is why they cannot say it, if something they
// hold of one is damaged. Of openings before the position since, what was said with them is
// not read.
func (a Audit) each(ctx context.Context, ts []*view.Thread, known func(*view.Thread) *inquired, keep func(*view.Thread, *inquired), since uint64, take func(t *view.Thread, events []Event, damaged error)) error {
	for some := range slices.Chunk(ts, ledgerclient.MaxBulk) {
		told := map[*view.Thread]*inquired{}
		var asked []*view.Thread
		for _, t := range some {
			if told[t] = known(t); told[t] == nil {
				asked = append(asked, t)
			}
		}
		answers := a.w.Consents().inquire(ctx, asked...)
		for i, t := range asked {
			told[t] = &answers[i]
			if answers[i].err == nil {
				keep(t, told[t])
			} else if before := a.w.Consents().kept(t); before != nil {
				before.err, before.silent = answers[i].err, answers[i].silent
				told[t] = before
			}
		}
		said, err := a.readAccesses(ctx, some, since)
		if err != nil {
			return err
		}
		for _, t := range some {
			events, damaged, err := a.events(t, told[t], said)
			if err != nil {
				return err
			}
			take(t, events, damaged)
		}
	}
	return nil
}

// said is what a recipient said with an access; err is why that cannot be read.
type said struct {
	view.Said
	err error
}

// events are those of one consent: what the ledger shows of it, and what the keepers filed.
// with is what was said with its accesses.
func (a Audit) events(t *view.Thread, told *inquired, with map[contract.ID]said) (_ []Event, damaged, err error) {
	c := a.w.Consents().of(t)
	base := Event{Ledger: c.Ledger, AsOf: c.AsOf, Consent: t.ID, Who: c.To, Address: c.Address, Link: c.Link, Records: c.Records, Purpose: c.Purpose, Verified: true, Clock: c.Clock, KeepersAsOf: Hour(told.asOf)}
	if told.err != nil && !a.w.view.DoWithout(told.err) {
		return nil, nil, told.err
	}
	if a.w.view.Behind() != nil || a.w.view.Silent("ledger") != nil {
		base.Missing = append(base.Missing, "ledger")
	}
	if told.err != nil {
		base.Missing, base.Silent = append(base.Missing, "keeper"), told.silent
		if ledgerclient.Unreachable(told.err).Damaged {
			damaged = told.err
		}
	}
	var out []Event
	last := t.Index
	add := func(hour contract.Hour, what What, keeper Keeper) *Event {
		out = append(out, base)
		e := &out[len(out)-1]
		e.Hour, e.What, e.Keeper, e.index = Hour(hour), what, keeper, last
		return e
	}
	add(t.Hour, Granted, Keeper{})
	for _, f := range t.FollowUps() {
		last = f.Index
		switch f.Kind {
		case contract.KindRevoke:
			add(f.Hour, Revoked, Keeper{})
		case contract.KindAccess:
			e := add(f.Hour, Opened, Keeper{})
			s := with[f.ID]
			e.By, e.Reason, e.HasReason = s.By, s.Reason, s.Any
			if isTampered(s.err) {
				e.Damaged = true // the access is certain; what was said with it is not
			} else if a.w.view.DoWithout(s.err) {
				e.Missing = append(slices.Clone(e.Missing), "store")
			} else if s.err != nil {
				return nil, nil, s.err
			}
		}
	}
	// Who opens asks all keepers with one access: what they refused for one reason is one event.
	// With one keeper it is as often as it was asked.
	type attempt struct {
		access contract.ID
		code   ledgerclient.Code
		nth    int // with this access, at one keeper
	}
	refused, more := map[attempt]int{}, -1 // in out
	for _, told := range told.answers {
		at := t.Hour
		nth := map[attempt]int{}
		for i := range told.Refused {
			r := &told.Refused[i]
			at = r.Answer.Hour
			a := attempt{access: r.Request.Access.ID(a.w.client.ID()), code: r.Answer.Code}
			nth[a]++
			a.nth = nth[a]
			n, known := refused[a]
			if !known {
				n = len(out)
				refused[a] = n
				add(at, Refused, told.Keeper).Code = r.Answer.Code
			}
			e := &out[n]
			e.Hour = min(e.Hour, Hour(at))
			if told.Of > 1 {
				e.Keepers = append(e.Keepers, told.Keeper)
			}
		}
		if n := int(told.More); n > 0 && more < 0 {
			more = len(out)
			add(at, Refused, told.Keeper).More = n
		} else if n > 0 && n > out[more].More { // each may have counted the same
			out[more].More, out[more].Keeper = n, told.Keeper
		}
		for _, ack := range told.Acks {
			what := Stopped
			if ack.End == ledgerclient.DestroyedShare {
				what = Destroyed
			}
			add(ack.Hour, what, told.Keeper)
		}
	}
	return out, damaged, nil
}

// readAccesses reads what recipients said with the accesses that came from a position on, by
// the access. What an entry commits to does not change: it is read once, and kept.
func (a Audit) readAccesses(ctx context.Context, ts []*view.Thread, since uint64) (map[contract.ID]said, error) {
	type access struct {
		t      *view.Thread
		number int // of the follow-up
	}
	var of []access
	var all []wanted
	out := map[contract.ID]said{}
	for _, t := range ts {
		var offsets *crypto.Offsets // made once, if something was said
		for i := range t.FollowUps() {
			f := &t.FollowUps()[i]
			if f.Kind != contract.KindAccess || f.Index < since || t.Terms == nil {
				continue
			}
			if kept, ok := a.w.view.Said(f); ok && !a.again {
				out[f.ID] = said{Said: kept}
				continue
			}
			if offsets == nil {
				_, key, err := a.w.view.Key(t)
				if err != nil {
					return nil, err
				}
				if offsets, err = crypto.NewOffsets(a.w.client.ID(), key, t.Terms.Peer); err != nil {
					return nil, err
				}
			}
			of = append(of, access{t, i})
			all = append(all, wanted{at: offsets.Locator(f.ID, byte(ledgerclient.PartAccess)), most: payload.MaxAccessBlob, what: "reason", id: t.ID, check: func(blob []byte) error {
				e, err := a.w.view.FollowUp(f)
				if err == nil && contract.AccessCommitment(crypto.BlobHash(blob)) != e.Commitment {
					err = tampered("reason of an access to consent", t.ID, errCommitment)
				}
				return err
			}})
		}
	}
	return out, stored{a.w}.readBlobs(ctx, all, func(i int, blob []byte, err error) error {
		t, number := of[i].t, of[i].number
		f := &t.FollowUps()[number]
		s := said{err: err}
		if err == nil {
			e, err := a.w.view.FollowUp(f)
			if err != nil {
				return err
			}
			if s.Said, err = a.openAccess(ctx, t, e, blob); err == nil {
				a.w.view.NoteSaid(t, number, s.Said)
			} else if s.err = err; !a.w.view.DoWithout(err) {
				return err
			}
		}
		if !isMissing(s.err) {
			out[f.ID] = s
		}
		return nil
	})
}

// openAccess opens what a recipient said with an access; nothing if he said nothing, or
// nonsense, which is no error of the ledger: the access itself is shown.
func (a Audit) openAccess(ctx context.Context, t *view.Thread, e *contract.Entry, blob []byte) (s view.Said, err error) {
	_, key, err := a.w.view.Key(t)
	if err != nil {
		return s, err
	}
	var n *payload.Access
	plain, err := crypto.OpenBlob(blob)
	if err == nil {
		plain, err = crypto.OpenPayload(a.w.sealContext(ledgerclient.PartAccess, e.Author), key, plain)
	}
	if err == nil {
		n, err = payload.ParseAccess(plain)
	}
	if err != nil || n.Ledger != a.w.client.ID() || n.Grant != t.ID || n.Author != e.Author || n.From != t.Terms.Peer {
		return s, nil
	}
	// The recipient's head is gossip: a ledger that shows the two of them different
	// histories, or lies about them, is found out here. A head that the ledger never signed
	// is only the recipient's nonsense.
	head, err := a.w.Log().handed(n.Checkpoint)
	if err != nil {
		return s, nil
	}
	if err := a.w.client.CheckHead(ctx, head, a.w.view.Head()); err != nil {
		return s, fmt.Errorf("access to consent %s: %w", t.ID, err)
	}
	return view.Said{By: n.By, Reason: n.Reason, Any: true}, nil
}

// Summary is what an owner wants to know at a glance.
type Summary struct {
	Consents []Consent  `json:"-"`                      // active and upcoming
	Ended    int        `json:"ended"`                  // expired and revoked
	ByClock  int        `json:"endedByClock,omitempty"` // of those: expired by this computer's clock alone, which the ledger's last entry does not confirm
	Accesses []Event    `json:"-"`                      // opened or refused since the last look
	Records  int        `json:"records"`                // not removed
	Inbox    []Received `json:"-"`                      // active and never fetched
	Fetched  []Received `json:"-"`                      // active and fetched, what ends first at the beginning
	Pending  []Pending  `json:"-"`                      // changes that are not finished
	Contacts int        `json:"contacts"`
	Unasked  int        `json:"unasked"`          // consents that no keeper was asked about this time: what they refused lately is not among Accesses
	Missing  []string   `json:"missing"`          // services that gave no answer, as in Event
	Silent   []Keeper   `json:"silent,omitempty"` // keepers that gave none, each once
}

// SortByEnd puts what ends first at the beginning.
func SortByEnd(rs []Received) {
	slices.SortStableFunc(rs, func(x, y Received) int { return cmp.Compare(x.Until, y.Until) })
}

// lookBack is for how many hours after a window's end Status still asks the
// keepers for refused attempts; Audit always does.
const lookBack = 30 * 24

// askedAtOnce is about how many consents Status asks the keepers, and proves of the
// ledger that it hid nothing of them. A question and its answer are two signatures: for
// a hundred thousand consents they would take a minute.
const askedAtOnce = 256

// turn is at most askedAtOnce of some threads: those that come after a place in the
// log, then the first ones, so that from one time to the next all have their turn.
func turn(ts []*view.Thread, last uint64) []*view.Thread {
	if len(ts) <= askedAtOnce {
		return ts
	}
	return after(ts, last)[:askedAtOnce]
}

// after is threads, those that come after a place in the log before the others.
func after(ts []*view.Thread, last uint64) []*view.Thread {
	from := sort.Search(len(ts), func(i int) bool { return ts[i].Index > last })
	return slices.Concat(ts[from:], ts[:from])
}

// Status returns the summary and remembers that it was looked at. If there are many
// consents it asks the keepers about some of them, others each time; Audit asks about
// all.
func (a Audit) Status(ctx context.Context) (Summary, error) { return a.status(ctx, true) }

// Peek returns what Status does and does not remember it: what is new stays new.
func (a Audit) Peek(ctx context.Context) (Summary, error) { return a.status(ctx, false) }

func (a Audit) status(ctx context.Context, remember bool) (s Summary, err error) {
	err = a.w.Look(ctx, func() error {
		ts, err := a.w.Consents().threads(ctx)
		if err != nil {
			return err
		}
		var touched []*view.Thread
		for _, t := range ts {
			switch c := a.w.Consents().of(t); c.Status {
			case StatusActive, StatusUpcoming:
				s.Consents = append(s.Consents, c)
			default:
				s.Ended++
				if c.Status == StatusExpired && a.w.view.Head().Time.IsZero() && t.NotAfter > a.w.view.Pin().Hour {
					s.ByClock++
				}
			}
			if a.w.view.OpenHour() < t.NotAfter+lookBack {
				touched = append(touched, t)
			}
		}
		if err := a.lookAt(ctx, touched, &s, remember); err != nil {
			return err
		}
		s.Consents = append(s.Consents, a.w.Consents().pending()...)
		s.Records = len(a.w.outbox.Openings(string(AddingRecord)))
		var unopened, opened []*view.Thread
		for _, t := range a.w.view.Threads() {
			switch {
			case t.Role == view.OwnRecord && t.Status == contract.StatusOpen:
				s.Records++
			case t.Role != view.Received || a.w.Consents().statusOf(t) != StatusActive:
			case t.LastAccess == 0:
				unopened = append(unopened, t)
			default:
				opened = append(opened, t)
			}
		}
		if err := a.w.Inbox().readTerms(ctx, slices.Concat(unopened, opened)); err != nil {
			return err
		}
		for _, t := range ofRole(unopened, view.Received) {
			s.Inbox = append(s.Inbox, a.w.Inbox().of(t))
		}
		for _, t := range ofRole(opened, view.Received) {
			s.Fetched = append(s.Fetched, a.w.Inbox().of(t))
		}
		SortByEnd(s.Fetched)
		s.Pending = a.w.Changes().Pending()
		s.Contacts = len(a.w.book.contacts)
		if remember {
			a.w.notes.Looked = a.w.view.Pin().Size
		}
		return nil
	})
	return s, err
}

// lookAt adds what is new of consents to a summary. If there are many, the keepers are
// asked about some.
func (a Audit) lookAt(ctx context.Context, ts []*view.Thread, s *Summary, remember bool) error {
	asked := turn(ts, a.w.notes.Asked)
	ask := make(map[*view.Thread]bool, len(asked))
	for _, t := range asked {
		ask[t] = true
	}
	if s.Unasked = len(ts) - len(asked); s.Unasked > 0 {
		a.w.notes.Asked = asked[len(asked)-1].Index
		ts = slices.DeleteFunc(ts, func(t *view.Thread) bool { // those of which there is news are always looked at
			fs := t.FollowUps()
			return !ask[t] && (len(fs) == 0 || fs[len(fs)-1].Index < a.w.notes.Looked)
		})
	}
	if err := a.w.Consents().proveNews(ctx, ts, false); err != nil {
		return err
	}
	cs := a.w.Consents()
	known := func(t *view.Thread) *inquired {
		if ask[t] {
			return nil
		}
		return cmp.Or(cs.kept(t), &inquired{})
	}
	keep := func(t *view.Thread, q *inquired) { // so that no audit shows less than was shown here
		if t.Asked() != 0 {
			cs.keep(t, q, true)
		}
	}
	err := a.each(ctx, ts, known, keep, a.w.notes.Looked, func(t *view.Thread, events []Event, damaged error) {
		if i := slices.IndexFunc(s.Consents, func(c Consent) bool { return c.ID == t.ID }); i >= 0 && s.Consents[i].Damaged == nil {
			s.Consents[i].Damaged = damaged
		}
		for _, m := range events[0].Missing {
			if !slices.Contains(s.Missing, m) {
				s.Missing = append(s.Missing, m)
			}
		}
		for _, k := range events[0].Silent {
			if !slices.ContainsFunc(s.Silent, func(x Keeper) bool { return x.Key == k.Key }) {
				s.Silent = append(s.Silent, k)
			}
		}
		refused, shown := 0, a.w.notes.Refused[t.ID.String()]
		for _, e := range events {
			if e.What == Refused {
				refused += max(1, e.More)
			}
			if e.What == Opened && e.index >= a.w.notes.Looked || e.What == Refused && refused > shown {
				s.Accesses = append(s.Accesses, e)
			}
		}
		if refused > shown && remember {
			if a.w.notes.Refused == nil {
				a.w.notes.Refused = map[string]int{}
			}
			a.w.notes.Refused[t.ID.String()] = refused
		}
	})
	if err == nil {
		a.lookForShares(ctx, asked)
	}
	return err
}

// lookForShares asks whether each of several keepers holds its shares of what can be opened, and
// returns of what one does not any more. Who does not say it is named already.
func (a Audit) lookForShares(ctx context.Context, ts []*view.Thread) (lost []*view.Thread) {
	cs := a.w.Consents()
	ts = slices.DeleteFunc(slices.Clone(ts), func(t *view.Thread) bool {
		return cs.statusOf(t) != StatusActive || len(a.w.keepersOf(t).Keepers) == 1
	})
	if len(ts) == 0 || a.w.view.Behind() != nil {
		return nil
	}
	if said, err := cs.shares(ctx, ts, nil); err == nil {
		lost = cs.tellLost(ts, said)
	}
	return lost
}

// Head follows the ledger and returns the newest verified head: the log's size in entries,
// its root and the ledger hour. If the ledger is out of reach, which OutOfReach tells, it is
// the head that was verified last.
func (lg Log) Head(ctx context.Context) (size uint64, root crypto.Hash, hour contract.Hour, err error) {
	err = lg.w.Look(ctx, func() error {
		size, root, hour = lg.w.view.Pin().Size, lg.w.view.Pin().Root, lg.w.view.Pin().Hour
		return nil
	})
	return size, root, hour, err
}
