package wallet

import (
	"context"
	"math/rand/v2"
	"slices"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/payload"
	"github.com/carekey/carekey/wallet/view"
)

// Inbox is what was granted to this wallet.
type Inbox struct {
	w          *Wallet
	by, reason string
	every      bool                  // what waits unread is read however much it is
	may        func(size int64) bool // as in wanted
	accepts    bool                  // a delivery is opened, by who wants the file
	begins     func() error          // called when nothing is in the way of an opening, before it is entered; nil: nobody
}

// Inbox returns what was granted to this wallet, to be looked at and opened.
func (w *Wallet) Inbox() Inbox { return Inbox{w: w} }

// By is the inbox for somebody who opens with the wallet of a house, such as "Nurse Ada":
// the patient's audit shows it as what the recipient says, at most [payload.MaxBy] bytes.
// Nobody vouches for it.
func (in Inbox) By(who string) Inbox {
	in.by = who
	return in
}

// Received is a consent that somebody gave to this wallet.
type Received struct {
	Seen
	Consent     contract.ID `json:"consent"`
	From        string      `json:"-"`    // the contact's name; "" for an unknown sender
	Says        string      `json:"says"` // what the sender calls himself: his word, which nobody vouches for, and hostile; "" if he does not
	Verified    bool        `json:"-"`    // the check words of the sender were compared
	Ref         string      `json:"-"`    // of the contact
	NotBefore   Hour        `json:"begins,omitzero"`
	Fetched     int         `json:"-"` // accesses of one's own on the ledger
	LastFetched Hour        `json:"lastFetched,omitzero"`
}

// List lists what was granted to this wallet, oldest first.
func (in Inbox) List(ctx context.Context) (out []Received, err error) {
	err = in.w.Look(ctx, func() error {
		if err := in.w.view.NeedThreads(); err != nil {
			return err
		}
		ts := slices.Collect(in.w.view.Of(view.Received))
		if err := in.readTerms(ctx, ts); err != nil {
			return err
		}
		for _, t := range ofRole(ts, view.Received) {
			out = append(out, in.of(t))
		}
		return nil
	})
	return out, err
}

// Find finds a consent of the inbox by the beginning of its id, or by whose it is. Its terms
// are not asked for.
func (in Inbox) Find(ctx context.Context, id string) (found Received, err error) {
	err = in.w.with(ctx, func() error {
		t, err := in.w.find(ctx, view.Received, id, "consent")
		if err == nil {
			found = in.of(t)
		}
		return err
	})
	return found, err
}

// Sender returns a consent of the inbox, with who gave it: [ErrMissing], or what is wrong
// with them, if its terms cannot be read.
func (in Inbox) Sender(ctx context.Context, id string) (r Received, err error) {
	err = in.w.Look(ctx, func() error {
		t, err := in.w.find(ctx, view.Received, id, "consent")
		if err == nil {
			err = in.terms(ctx, t)
		}
		if err == nil {
			r = in.of(t)
		}
		return err
	})
	return r, err
}

// people are the contacts, and whom this wallet ever gave or wrote anything to, so far as the
// terms of that are known.
func (in Inbox) people() map[crypto.Address]bool {
	known := map[crypto.Address]bool{}
	for i := range in.w.book.contacts {
		known[in.w.book.contacts[i].Address] = true
	}
	for _, t := range in.w.view.Threads() {
		if t.Given() && t.Terms != nil && (t.Role == view.OwnGrant || t.Request() == (contract.ID{})) { // who was denied something is not known by that
			known[t.Terms.Peer] = true
		}
	}
	return known
}

// maxUnread is how many consents given to this wallet are tried in vain at a time.
// Terms that cannot be had or read are not kept: who gave thousands of such would make
// every look ask the store for each.
var maxUnread = 200

// What strangers may make a wallet read, by letters and by outsize terms.
const (
	fewLetters = 20       // in one look
	dayLetters = 200      // in a day
	fewOver    = 5        // in one look beyond that: else they would hide what a contact gives on that day
	usualTerms = 65 << 10 // bytes of a payload up to which terms are as those of any consent: a class of 64 KiB
)

var dayOutsize int64 = 16 << 20 // bytes of others in a day

// strangers is what of that was read on a day.
type strangers struct {
	Day     int64 `json:"day"` // since 1970
	Letters int   `json:"letters,omitempty"`
	Bytes   int64 `json:"bytes,omitempty"` // of outsize terms
}

// Every is the inbox for somebody who wants to see all of it, whatever it costs.
func (in Inbox) Every() Inbox {
	in.every = true
	return in
}

// readTerms reads the terms that are not known yet of consents given to this
// wallet. If there are many, which of them are tried is left to chance, so that none
// is passed over for ever; each can still be named and opened.
//
// Before they are read a letter looks like a consent, and a stranger's like a contact's: it
// is over once some were strangers' letters. Consents do not count, whoever gave them.
func (in Inbox) readTerms(ctx context.Context, ts []*view.Thread) error {
	var unread []*view.Thread
	for _, t := range ts {
		if t.Terms == nil {
			unread = append(unread, t)
		}
	}
	slices.Reverse(unread) // what came last is what somebody waits for
	if rest := unread[min(fewOver, len(unread)):]; len(unread) > maxUnread {
		rand.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
	}
	if in.w.lock.tried && !in.every { // once in a look, whoever asks
		return nil
	}
	in.w.lock.tried = true
	day := &in.w.notes.Strangers
	if today := in.w.opt.Now().Unix() / (24 * 3600); day.Day != today {
		*day = strangers{Day: today}
	}
	if !in.every {
		in.may = func(size int64) bool {
			if size <= usualTerms {
				return true
			}
			if day.Bytes+size > dayOutsize {
				return false
			}
			day.Bytes += size
			return true
		}
	}
	known := in.people()
	failed, letters, few := 0, 0, fewLetters
	if day.Letters >= dayLetters {
		few = fewOver
	}
	atOnce := few
	for len(unread) > 0 {
		some := unread[:min(len(unread), ledgerclient.MaxBulk, maxUnread-failed, atOnce)]
		if !in.every && letters >= few {
			some = nil
		}
		if len(some) == 0 {
			for _, t := range unread {
				t.SetDamage(ErrUnread.With("consent", t.ID))
			}
			break
		}
		if err := in.tryTerms(ctx, some...); err != nil {
			return err
		}
		before := letters
		for _, t := range some {
			switch {
			case t.Terms == nil:
				failed++
			case t.Role == view.ReceivedLetter && !known[t.Terms.Peer]:
				letters++
			}
		}
		if day.Letters += letters - before; letters == before {
			atOnce = min(2*atOnce, ledgerclient.MaxBulk)
		}
		unread = unread[len(some):]
	}
	return nil
}

// tryTerms reads the terms of consents given to this wallet, if they can be had.
// A stranger's terms that do not verify are no reason to hide everybody else's.
func (in Inbox) tryTerms(ctx context.Context, ts ...*view.Thread) error {
	for _, t := range ts {
		t.SetDamage(nil)
	}
	return in.eachTerms(ctx, ts, in.w.spare)
}

func (in Inbox) of(t *view.Thread) Received {
	r := Received{Seen: in.w.Consents().seen(t), Consent: t.ID, NotBefore: Hour(t.NotBefore), LastFetched: Hour(t.LastAccess)}
	for _, f := range t.FollowUps() {
		if f.Kind == contract.KindAccess {
			r.Fetched++
		}
	}
	if t.Terms != nil {
		r.Says = t.Terms.Says
	}
	c := in.w.Contacts().known(r.Address)
	r.From, r.Verified, r.Ref = c.Name, c.Verified, c.Ref
	return r
}

// Entered reports whether an opening of a consent was entered on the ledger since it was
// like r, or waits to be, after a method that did not come to its end; hour is the opening's,
// 0 if it is not known.
func (in Inbox) Entered(r Received) (hour Hour, ok bool) {
	t := in.w.view.Thread(r.Consent)
	if t == nil {
		return 0, false
	}
	if now := in.of(t); now.Fetched > r.Fetched {
		return now.LastFetched, true
	}
	waits := in.w.outbox.For(r.Consent)
	return 0, waits != nil && waits.Label == string(Accessing)
}

// oneTimeKeys makes the one-time keys of a consent that was given to this wallet.
func (in Inbox) oneTimeKeys(t *view.Thread) (*crypto.Counterparty, error) {
	e, err := in.w.view.Opening(t)
	if err != nil {
		return nil, err
	}
	keys, mine, err := in.w.keys.Recognize(e.Author, e.Counterparty)
	if err != nil {
		return nil, err
	}
	if !mine {
		return nil, ErrNotYours.With("consent", t.ID)
	}
	return keys, nil
}

// terms makes the terms of a consent given to this wallet known; they are
// verified.
func (in Inbox) terms(ctx context.Context, t *view.Thread) error {
	return in.eachTerms(ctx, []*view.Thread{t}, func(_ *view.Thread, err error) error { return err })
}

// eachTerms does what terms does. failed is told why those of one are not known; with its
// error it is over.
func (in Inbox) eachTerms(ctx context.Context, ts []*view.Thread, failed func(*view.Thread, error) error) error {
	var all []unread
	for _, t := range ts {
		if t.Terms != nil {
			continue
		}
		keys, err := in.oneTimeKeys(t)
		if err != nil {
			if err := failed(t, err); err != nil {
				return err
			}
			continue
		}
		all = append(all, unread{t, keys.Locator(t.ID, byte(ledgerclient.PartTerms)), keys.Open, in.may})
	}
	return stored{in.w}.readTerms(ctx, all, func(t *view.Thread, tr *payload.Terms, err error) error {
		if err == nil && tr.To != in.w.Address() {
			err = tampered("terms of consent", t.ID, nil)
		}
		if err == nil {
			err = in.w.Log().gossip(ctx, tr.Checkpoint)
		}
		if err != nil {
			return failed(t, err)
		}
		return in.w.view.NoteTerms(t, tr)
	})
}
